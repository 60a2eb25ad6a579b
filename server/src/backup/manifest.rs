//! What a backup holds, as its manifest says it.

use serde::{Deserialize, Serialize};

use super::chunk::ChunkRef;

/// The format that this version writes, and the newest that it reads.
pub(crate) const FORMAT: u32 = 1;

/// A backup: docs/backup-format.md has every field.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    pub(crate) format: u32,
    pub(crate) backup_id: String,
    pub(crate) database: String,
    /// `sqlite` or `postgres`.
    pub(crate) engine: String,
    pub(crate) epoch: u64,
    pub(crate) phase: String,
    /// RFC 3339.
    pub(crate) created_at: String,
    pub(crate) server_version: String,
    pub(crate) schema_versions: Vec<Version>,
    /// Bytes of content.
    pub(crate) bytes: u64,
    pub(crate) chunks: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) sqlite: Option<SqliteContent>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) postgres: Option<PostgresContent>,
    /// What the backup does not hold.
    pub(crate) findings: Vec<Missing>,
}

/// A version that a schema migration tool has recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Version {
    pub(crate) engine: String,
    pub(crate) tool: String,
    pub(crate) version: String,
}

/// The pages of a SQLite file at one commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SqliteContent {
    pub(crate) page_size: u32,
    pub(crate) pages: u64,
    /// Index chunks.
    pub(crate) index: Vec<ChunkRef>,
}

/// What one snapshot of a PostgreSQL database shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PostgresContent {
    /// `server_version_num`.
    pub(crate) server_version: u32,
    pub(crate) encoding: String,
    pub(crate) collate: String,
    pub(crate) ctype: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) dump: Option<SchemaDump>,
    pub(crate) tables: Vec<StoredTable>,
    pub(crate) sequences: Vec<StoredSequence>,
}

/// The schema by `pg_dump`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SchemaDump {
    /// Its version, as it prints it.
    pub(crate) pg_dump: String,
    /// The archive, in order.
    pub(crate) chunks: Vec<ChunkRef>,
    /// OIDs of triggers in it that are Switchback's own, which are not restored.
    #[serde(default)]
    pub(crate) own_triggers: Vec<u32>,
}

/// How rows of a table are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum RowFormat {
    /// As COPY's binary form, without header and trailer.
    Binary,
    /// As COPY's text form: a type of the table has no binary one.
    Text,
}

/// A table with its rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredTable {
    pub(crate) schema: String,
    pub(crate) name: String,
    pub(crate) columns: Vec<StoredColumn>,
    /// Names of its columns, in the key's order.
    pub(crate) primary_key: Vec<String>,
    /// `ALTER TABLE … ADD CONSTRAINT …`, keys first.
    pub(crate) constraints: Vec<String>,
    /// `CREATE INDEX …` of those that no constraint makes.
    pub(crate) indexes: Vec<String>,
    pub(crate) rows: u64,
    /// Sum of the hashes of its rows, 64 hex digits.
    pub(crate) digest: String,
    pub(crate) bytes: u64,
    pub(crate) format: RowFormat,
    /// Index chunks.
    pub(crate) index: Vec<ChunkRef>,
    /// `RANGE (…)` of a partitioned table, whose rows are in its partitions; empty for others.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) partition_by: String,
    /// `FOR VALUES …` of a partition; empty for others.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) bound: String,
    /// What it inherits from, or is a partition of.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) parents: Vec<TableName>,
}

/// Name of a table.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct TableName {
    pub(crate) schema: String,
    pub(crate) name: String,
}

/// A column of a stored table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredColumn {
    pub(crate) name: String,
    /// As `format_type` writes it.
    pub(crate) r#type: String,
    pub(crate) not_null: bool,
    /// SQL expression; empty for none.
    pub(crate) default: String,
    /// `a` always, `d` by default; empty where it is no identity.
    pub(crate) identity: String,
    /// SQL expression; empty for an ordinary column. It has no content.
    pub(crate) generated: String,
}

/// A sequence and where it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredSequence {
    pub(crate) schema: String,
    pub(crate) name: String,
    pub(crate) data_type: String,
    pub(crate) start: i64,
    pub(crate) increment: i64,
    pub(crate) minimum: i64,
    pub(crate) maximum: i64,
    pub(crate) cycle: bool,
    pub(crate) last_value: i64,
    pub(crate) is_called: bool,
    /// The column that it goes with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) owner: Option<SequenceOwner>,
}

/// The column that a sequence goes with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SequenceOwner {
    pub(crate) table: TableName,
    pub(crate) column: String,
    /// The column is an identity column; otherwise the sequence is `OWNED BY` it.
    pub(crate) identity: bool,
}

/// Something that a backup does not hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Missing {
    pub(crate) code: String,
    pub(crate) table: String,
    pub(crate) message: String,
}
