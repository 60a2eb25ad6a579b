//! The schema of a SQLite file, as SQLite itself reports it.

use serde::{Deserialize, Serialize};

/// Everything in `sqlite_schema`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SourceSchema {
    /// How the file stores text.
    pub encoding: Encoding,
    /// `PRAGMA user_version`.
    pub user_version: i32,
    /// Size of the file in bytes (pages × page size).
    pub bytes: u64,
    /// BLAKE3 over the rows of `sqlite_schema`, in hexadecimal.
    pub fingerprint: String,
    /// Ordinary tables in the order of their creation, without SQLite's own and shadow tables.
    pub tables: Vec<Table>,
    /// Views in the order of their creation.
    pub views: Vec<View>,
    /// Triggers.
    pub triggers: Vec<Trigger>,
    /// Virtual tables, with the shadow tables that hold their data.
    pub virtual_tables: Vec<VirtualTable>,
}

/// Text encoding of a file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Encoding {
    /// UTF-8.
    #[default]
    Utf8,
    /// UTF-16, either byte order.
    Utf16,
}

/// An ordinary table.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Table {
    /// Name as declared.
    pub name: String,
    /// Columns in declared order, generated ones included.
    pub columns: Vec<Column>,
    /// Column numbers of the PRIMARY KEY in key order; empty for none.
    pub primary_key: Vec<usize>,
    /// CONSTRAINT name of the PRIMARY KEY, if declared.
    #[serde(default)]
    pub primary_key_name: Option<String>,
    /// How a row is addressed.
    pub row_address: RowAddress,
    /// AUTOINCREMENT was declared.
    pub autoincrement: bool,
    /// A STRICT table.
    pub strict: bool,
    /// Value in `sqlite_sequence`, if the table has one.
    pub sequence: Option<i64>,
    /// Indexes, those behind UNIQUE and PRIMARY KEY included.
    pub indexes: Vec<Index>,
    /// Foreign keys in declared order.
    pub foreign_keys: Vec<ForeignKey>,
    /// CHECK constraints of the table and of its columns.
    pub checks: Vec<Check>,
    /// What could not be read of the text of its statements, and why.
    #[serde(default)]
    pub unread: Vec<String>,
}

/// How a row of a table is addressed and in which order rows are read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum RowAddress {
    /// INTEGER PRIMARY KEY: the column with this number is the rowid.
    Alias(usize),
    /// A rowid under the name given (`rowid`, `_rowid_` or `oid`, whichever no column hides).
    Rowid(String),
    /// WITHOUT ROWID: by primary key.
    PrimaryKey,
    /// Columns hide all names of the rowid: the table can only be read as a whole.
    #[default]
    None,
}

/// A column.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Column {
    /// Name as declared; may be empty.
    pub name: String,
    /// Type as declared; empty for none.
    pub declared: String,
    /// Affinity that follows from it.
    pub affinity: Affinity,
    /// NOT NULL was declared (or follows: a WITHOUT ROWID or STRICT primary key).
    pub not_null: bool,
    /// DEFAULT as SQL text of SQLite.
    pub default: Option<String>,
    /// Expression of a generated column, as SQL text of SQLite.
    pub generated: Option<String>,
    /// COLLATE as declared, in upper case; `BINARY` where none is.
    pub collation: String,
}

/// Type affinity (SQLite manual, "Datatypes In SQLite", section 3.1).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Affinity {
    /// INTEGER.
    Integer,
    /// TEXT.
    Text,
    /// BLOB, once called NONE; values are stored as they come.
    #[default]
    Blob,
    /// REAL.
    Real,
    /// NUMERIC.
    Numeric,
    /// A STRICT table's ANY: values are stored as they come.
    Any,
}

impl Affinity {
    /// The affinity that follows from a declared type.
    pub fn of(declared: &str, strict: bool) -> Self {
        let declared = declared.to_ascii_uppercase();
        let has = |words: &[&str]| words.iter().any(|word| declared.contains(word));
        if strict && declared == "ANY" {
            Self::Any
        } else if has(&["INT"]) {
            Self::Integer
        } else if has(&["CHAR", "CLOB", "TEXT"]) {
            Self::Text
        } else if declared.is_empty() || has(&["BLOB"]) {
            Self::Blob
        } else if has(&["REAL", "FLOA", "DOUB"]) {
            Self::Real
        } else {
            Self::Numeric
        }
    }

    /// Values of number-like text become numbers.
    pub fn is_numeric(self) -> bool {
        matches!(self, Self::Integer | Self::Real | Self::Numeric)
    }
}

/// An index.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Index {
    /// Name; `sqlite_autoindex_…` for those behind constraints.
    pub name: String,
    /// UNIQUE.
    pub unique: bool,
    /// What made it.
    pub origin: IndexOrigin,
    /// CONSTRAINT name of a UNIQUE, if declared.
    #[serde(default)]
    pub constraint: Option<String>,
    /// Key terms, without the trailing rowid.
    pub terms: Vec<IndexTerm>,
    /// WHERE of a partial index, as SQL text of SQLite.
    pub predicate: Option<String>,
}

/// What made an index.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum IndexOrigin {
    /// CREATE INDEX.
    #[default]
    Created,
    /// A UNIQUE constraint.
    Unique,
    /// A PRIMARY KEY.
    PrimaryKey,
}

/// One term of an index.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct IndexTerm {
    /// What is indexed.
    pub key: IndexKey,
    /// DESC.
    pub descending: bool,
    /// Collation, in upper case.
    pub collation: String,
}

/// What an index term indexes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum IndexKey {
    /// The column with this number.
    Column(usize),
    /// An expression, as SQL text of SQLite.
    Expression(String),
}

impl Default for IndexKey {
    fn default() -> Self {
        Self::Column(0)
    }
}

/// A foreign key.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ForeignKey {
    /// CONSTRAINT name, if declared.
    pub name: Option<String>,
    /// Numbers of the child columns.
    pub columns: Vec<usize>,
    /// Parent table as declared.
    pub parent: String,
    /// Parent columns as declared; empty means the parent's primary key.
    pub parent_columns: Vec<String>,
    /// `NO ACTION`, `CASCADE`, …
    pub on_update: String,
    /// `NO ACTION`, `CASCADE`, …
    pub on_delete: String,
    /// DEFERRABLE INITIALLY DEFERRED.
    pub deferred: bool,
}

/// A CHECK constraint.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Check {
    /// CONSTRAINT name, if declared.
    pub name: Option<String>,
    /// Expression, as SQL text of SQLite.
    pub expression: String,
}

/// A view.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct View {
    /// Name.
    pub name: String,
    /// Names of its columns as SQLite reports them; empty where SQLite cannot resolve the view.
    pub columns: Vec<String>,
    /// CREATE VIEW statement.
    pub sql: String,
}

/// A trigger.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Trigger {
    /// Name.
    pub name: String,
    /// Table or view that it belongs to.
    pub table: String,
}

/// A virtual table.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct VirtualTable {
    /// Name.
    pub name: String,
    /// Module: `fts5`, `rtree`, …
    pub module: String,
    /// Arguments as declared.
    pub arguments: String,
    /// Tables that hold its data.
    pub shadows: Vec<String>,
}
