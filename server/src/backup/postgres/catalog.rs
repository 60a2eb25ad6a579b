//! What a snapshot shows of tables and sequences, in the manifest's words.

mod gaps;
mod sequences;

use std::collections::{HashMap, HashSet};

use tokio_postgres::{GenericClient, Row};

use super::{NO_EXTENSION, SCHEMAS};
use crate::{
    backup::manifest::{RowFormat, StoredColumn, StoredTable, TableName},
    db::postgres::failed,
    dialect::{
        ident::{qualified, quote},
        reverse::TRIGGERS,
    },
    error::Result,
};

pub(super) use gaps::{gaps, missing, without_dump};
pub(super) use sequences::sequences;

/// First version whose scans can begin and end at a block.
pub(super) const BLOCK_RANGES: u32 = 140_000;

/// Types whose binary form names an object by its OID, which is another one elsewhere.
const BY_OID: &str = "'regproc', 'regprocedure', 'regoper', 'regoperator', 'regclass', 'regtype', \
                      'regconfig', 'regdictionary', 'regrole', 'regnamespace', 'regcollation'";

/// A database as a whole.
pub(super) struct Facts {
    /// `server_version_num`.
    pub(super) server_version: u32,
    pub(super) name: String,
    pub(super) encoding: String,
    pub(super) collate: String,
    pub(super) ctype: String,
}

/// A table, and what it takes to read it.
pub(super) struct Table {
    /// Size of its heap in blocks when it was locked.
    pub(super) blocks: u64,
    pub(super) unlogged: bool,
    /// A column's type is none of PostgreSQL's own.
    pub(super) own_types: bool,
    /// Without its content.
    pub(super) stored: StoredTable,
}

impl StoredTable {
    /// Its name with its schema.
    pub(super) fn table_name(&self) -> TableName {
        TableName { schema: self.schema.clone(), name: self.name.clone() }
    }

    /// Names of the columns that have content, quoted.
    pub(super) fn content_columns(&self) -> Vec<String> {
        let stored = self.columns.iter().filter(|column| column.generated.is_empty());
        stored.map(|column| quote(&column.name)).collect()
    }
}

/// What kind of database it is.
pub(super) async fn facts(client: &impl GenericClient) -> Result<Facts> {
    let sql = "SELECT current_setting('server_version_num')::integer, datname::text, \
                 pg_encoding_to_char(encoding)::text, datcollate::text, datctype::text \
               FROM pg_database WHERE datname = current_database()";
    let row = client.query_one(sql, &[]).await.map_err(failed)?;
    Ok(Facts {
        server_version: row.get::<_, i32>(0).unsigned_abs(),
        name: row.get(1),
        encoding: row.get(2),
        collate: row.get(3),
        ctype: row.get(4),
    })
}

/// OIDs of the triggers that Switchback has made on tables of the application.
pub(super) async fn own_triggers(client: &impl GenericClient) -> Result<Vec<u32>> {
    let sql = "SELECT oid FROM pg_trigger WHERE starts_with(tgname::text, $1) ORDER BY oid";
    let rows = client.query(sql, &[&TRIGGERS]).await.map_err(failed)?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Every table but those of extensions, by schema and name.
pub(super) async fn tables(client: &impl GenericClient, version: u32) -> Result<Vec<Table>> {
    let sql = format!(
        "SELECT c.oid, n.nspname::text, c.relname::text, c.relpersistence::text = 'u', \
           CASE WHEN c.relkind = 'r' THEN pg_relation_size(c.oid) ELSE 0 END \
             / current_setting('block_size')::bigint, \
           CASE WHEN c.relkind = 'p' THEN pg_get_partkeydef(c.oid) ELSE '' END, \
           coalesce(pg_get_expr(c.relpartbound, c.oid), ''), \
           EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 \
             AND NOT a.attisdropped AND a.atttypid >= 16384) \
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
         WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND {SCHEMAS} AND {NO_EXTENSION} \
         ORDER BY n.nspname, c.relname"
    );
    let rows = client.query(&sql, &[]).await.map_err(failed)?;
    let oids: Vec<u32> = rows.iter().map(|row| row.get(0)).collect();
    let mut details = Details::read(client, &oids, version).await?;
    Ok(rows.iter().map(|row| details.table(row)).collect())
}

/// What belongs to tables, by their OIDs.
struct Details {
    columns: HashMap<u32, Vec<StoredColumn>>,
    keys: HashMap<u32, Vec<String>>,
    constraints: HashMap<u32, Vec<String>>,
    indexes: HashMap<u32, Vec<String>>,
    parents: HashMap<u32, Vec<TableName>>,
    text: HashSet<u32>,
}

impl Details {
    async fn read(client: &impl GenericClient, oids: &[u32], version: u32) -> Result<Self> {
        let ask = async |sql: &str| client.query(sql, &[&oids]).await.map_err(failed);
        Ok(Self {
            columns: grouped(&ask(COLUMNS).await?, column),
            keys: grouped(&ask(KEYS).await?, |row| row.get(1)),
            constraints: grouped(&ask(CONSTRAINTS).await?, constraint),
            indexes: grouped(&ask(INDEXES).await?, index),
            parents: grouped(&ask(PARENTS).await?, |row| TableName {
                schema: row.get(1),
                name: row.get(2),
            }),
            text: ask(&not_portable(version)).await?.iter().map(|row| row.get(0)).collect(),
        })
    }

    fn table(&mut self, row: &Row) -> Table {
        let oid: u32 = row.get(0);
        let format = if self.text.contains(&oid) { RowFormat::Text } else { RowFormat::Binary };
        let stored = StoredTable {
            schema: row.get(1),
            name: row.get(2),
            columns: self.columns.remove(&oid).unwrap_or_default(),
            primary_key: self.keys.remove(&oid).unwrap_or_default(),
            constraints: self.constraints.remove(&oid).unwrap_or_default(),
            indexes: self.indexes.remove(&oid).unwrap_or_default(),
            rows: 0,
            digest: String::new(),
            bytes: 0,
            format,
            index: Vec::new(),
            partition_by: row.get(5),
            bound: row.get(6),
            parents: self.parents.remove(&oid).unwrap_or_default(),
        };
        let blocks = row.get::<_, i64>(4).unsigned_abs();
        Table { blocks, unlogged: row.get(3), own_types: row.get(7), stored }
    }
}

const COLUMNS: &str = "SELECT a.attrelid, a.attname::text, format_type(a.atttypid, a.atttypmod), \
      a.attnotnull, coalesce(pg_get_expr(d.adbin, d.adrelid), ''), a.attidentity::text, \
      a.attgenerated::text \
    FROM pg_attribute a \
      LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum \
    WHERE a.attrelid = ANY($1) AND a.attnum > 0 AND NOT a.attisdropped \
    ORDER BY a.attrelid, a.attnum";

const KEYS: &str = "SELECT i.indrelid, a.attname::text \
    FROM pg_index i CROSS JOIN unnest(i.indkey::smallint[]) WITH ORDINALITY AS k (attnum, number) \
      JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum \
    WHERE i.indrelid = ANY($1) AND i.indisprimary AND k.number <= i.indnkeyatts \
    ORDER BY i.indrelid, k.number";

/// Without those that a partition or a child has from above.
const CONSTRAINTS: &str = "SELECT k.conrelid, n.nspname::text, c.relname::text, k.conname::text, \
      pg_get_constraintdef(k.oid) \
    FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid \
      JOIN pg_namespace n ON n.oid = c.relnamespace \
    WHERE k.conrelid = ANY($1) AND k.contype IN ('p', 'u', 'x', 'c', 'f') \
      AND k.conparentid = 0 AND k.conislocal \
    ORDER BY k.conrelid, strpos('puxcf', k.contype::text), k.conname";

/// An index of a partitioned table is written for the table alone; behind the head that says so
/// is the rest, which is the same for both.
const INDEXES: &str = "SELECT c.oid, n.nspname::text, c.relname::text, x.relname::text, \
      i.indisunique, CASE WHEN x.relkind = 'I' THEN substr(pg_get_indexdef(i.indexrelid), \
        length(format('CREATE %sINDEX %I ON ONLY ', \
          CASE WHEN i.indisunique THEN 'UNIQUE ' ELSE '' END, x.relname)) + 1) ELSE '' END, \
      pg_get_indexdef(i.indexrelid) \
    FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid \
      JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_class x ON x.oid = i.indexrelid \
    WHERE i.indrelid = ANY($1) AND i.indisvalid AND NOT x.relispartition \
      AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = i.indexrelid \
        AND k.contype IN ('p', 'u', 'x')) \
    ORDER BY c.oid, x.relname";

const PARENTS: &str = "SELECT i.inhrelid, n.nspname::text, c.relname::text \
    FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhparent \
      JOIN pg_namespace n ON n.oid = c.relnamespace \
    WHERE i.inhrelid = ANY($1) ORDER BY i.inhrelid, i.inhseqno";

/// Tables with a type whose binary form is missing, or holds OIDs: those of the `reg` types, and
/// of what is in an array or a composite type. OIDs from 10000 on are given when a cluster or an
/// object is made.
fn not_portable(version: u32) -> String {
    let multirange = if version >= BLOCK_RANGES { "OR r.rngmultitypid = t.oid" } else { "" };
    format!(
        "WITH RECURSIVE used (relation, type, portable) AS ( \
           SELECT a.attrelid, a.atttypid, true FROM pg_attribute a \
           WHERE a.attrelid = ANY($1) AND a.attnum > 0 AND NOT a.attisdropped \
             AND a.attgenerated = '' \
           UNION SELECT u.relation, inner_type.oid, inner_type.portable \
           FROM used u JOIN pg_type t ON t.oid = u.type CROSS JOIN LATERAL ( \
             SELECT t.typbasetype, true WHERE t.typtype = 'd' \
             UNION ALL SELECT t.typelem, t.typelem < 10000 WHERE t.typelem <> 0 \
             UNION ALL SELECT a.atttypid, a.atttypid < 10000 FROM pg_attribute a \
             WHERE t.typtype = 'c' AND a.attrelid = t.typrelid AND a.attnum > 0 \
               AND NOT a.attisdropped \
             UNION ALL SELECT r.rngsubtype, true FROM pg_range r \
             WHERE r.rngtypid = t.oid {multirange}) AS inner_type (oid, portable)) \
         SELECT DISTINCT u.relation FROM used u JOIN pg_type t ON t.oid = u.type \
         WHERE NOT u.portable OR t.typsend = 0 OR t.typreceive = 0 \
           OR t.typnamespace = 'pg_catalog'::regnamespace AND t.typname IN ({BY_OID})"
    )
}

fn column(row: &Row) -> StoredColumn {
    let expression: String = row.get(4);
    let generated = !row.get::<_, &str>(6).is_empty();
    let (default, generated) =
        if generated { (String::new(), expression) } else { (expression, String::new()) };
    StoredColumn {
        name: row.get(1),
        r#type: row.get(2),
        not_null: row.get(3),
        default,
        identity: row.get(5),
        generated,
    }
}

fn constraint(row: &Row) -> String {
    let table = qualified(row.get(1), row.get(2));
    format!("ALTER TABLE {table} ADD CONSTRAINT {} {}", quote(row.get(3)), row.get::<_, &str>(4))
}

fn index(row: &Row) -> String {
    let rest: &str = row.get(5);
    if rest.is_empty() {
        return row.get(6);
    }
    let unique = if row.get(4) { "UNIQUE " } else { "" };
    format!("CREATE {unique}INDEX {} ON {rest}", quote(row.get(3)))
}

/// Items by the OID in the first column, in the order of the rows.
fn grouped<T>(rows: &[Row], item: impl Fn(&Row) -> T) -> HashMap<u32, Vec<T>> {
    let mut groups: HashMap<u32, Vec<T>> = HashMap::new();
    for row in rows {
        groups.entry(row.get(0)).or_default().push(item(row));
    }
    groups
}
