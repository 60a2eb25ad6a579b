//! Judges a migration by itself: reads both engines as text and compares, type by type, by rules
//! that are written here a second time. It shares no code with the server's codecs, so that the
//! product's own validation is not the only witness.

mod canonical;
mod reading;

use std::{collections::HashMap, path::Path};

use rusqlite::{Connection, OpenFlags};
use switchback_proto::v1::{ColumnPlan, Plan, TablePlan};
use tokio_postgres::{Client, Row};
use tokio_stream::StreamExt;

pub use canonical::canonical;
use reading::{expression, normal};

/// What the comparison of one table found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Name in the source.
    pub table: String,
    /// Rows of the source.
    pub source_rows: u64,
    /// Rows of the target.
    pub target_rows: u64,
    /// Rows of the source whose values the target's types cannot hold.
    pub unfit: u64,
    /// Rows of the source that the target lacks, the unfit ones not counted.
    pub missing: u64,
    /// Rows of the target that the source lacks.
    pub extra: u64,
    /// What else is wrong: types, sequences.
    pub faults: Vec<String>,
    /// The first rows that are missing or extra, as they were compared.
    pub samples: Vec<String>,
}

impl Outcome {
    /// Every row arrived and nothing else.
    pub fn is_faithful(&self) -> bool {
        self.arrived() && self.unfit == 0
    }

    /// Every row that can arrive did, and nothing else.
    pub fn arrived(&self) -> bool {
        self.missing == 0 && self.extra == 0 && self.faults.is_empty()
    }
}

/// Compares every table of a plan.
pub async fn compare(source: &Path, target: &Client, plan: &Plan) -> Vec<Outcome> {
    let source = open(source);
    let mut outcomes = Vec::new();
    for table in &plan.tables {
        outcomes.push(compare_table(&source, target, &plan.target_schema, table).await);
    }
    outcomes
}

/// Opens a file for reading. A collation that only its application has compares bytes here: the
/// order of rows does not matter.
fn open(source: &Path) -> Connection {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
    let connection = Connection::open_with_flags(source, flags).expect("the source opens");
    let stand_in =
        |connection: &Connection, name: &str| connection.create_collation(name, str::cmp);
    connection.collation_needed(stand_in).expect("a stand-in for collations");
    connection
}

/// What a user has put into a database: relations, types, functions and schemas.
pub async fn objects(target: &Client) -> Vec<String> {
    let sql = "
        SELECT 'relation ' || n.nspname || '.' || c.relname FROM pg_class c
          JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE n.nspname !~ '^(pg_|information_schema$)'
        UNION ALL
        SELECT 'schema ' || nspname FROM pg_namespace
         WHERE nspname !~ '^(pg_|information_schema$|public$)'
        UNION ALL
        SELECT 'function ' || p.proname FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
         WHERE n.nspname !~ '^(pg_|information_schema$)'
        UNION ALL
        SELECT 'type ' || t.typname FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
         WHERE n.nspname !~ '^(pg_|information_schema$)' AND t.typtype IN ('e', 'd')
        UNION ALL
        SELECT 'large object ' || oid FROM pg_largeobject_metadata
        ORDER BY 1";
    let rows = target.query(sql, &[]).await.expect("the catalogue is read");
    rows.iter().map(|row| row.get(0)).collect()
}

/// How often each row occurs in the source, less how often it does in the target.
type Balance = HashMap<String, i64>;

async fn compare_table(
    source: &Connection,
    target: &Client,
    schema: &str,
    table: &TablePlan,
) -> Outcome {
    let mut outcome = Outcome {
        table: table.source.clone(),
        source_rows: 0,
        target_rows: 0,
        unfit: 0,
        missing: 0,
        extra: 0,
        faults: faults_of_types(target, schema, table).await,
        samples: Vec::new(),
    };
    let mut balance = Balance::new();
    add_source(source, table, &mut balance, &mut outcome);
    take_target(target, schema, table, &mut balance, &mut outcome).await;
    for (row, count) in balance {
        let count_of_row = count.unsigned_abs();
        match count {
            0 => continue,
            1.. => outcome.missing += count_of_row,
            _ => outcome.extra += count_of_row,
        }
        if outcome.samples.len() < 5 {
            outcome
                .samples
                .push(format!("{count:+} {}", row.chars().take(300).collect::<String>()));
        }
    }
    if outcome.faults.is_empty() {
        outcome.faults = faults_of_sequences(target, schema, table).await;
    }
    outcome
}

fn add_source(
    source: &Connection,
    table: &TablePlan,
    balance: &mut Balance,
    outcome: &mut Outcome,
) {
    let names: Vec<String> = table.columns.iter().map(|column| quote(&column.source)).collect();
    let sql = format!("SELECT {} FROM {} NOT INDEXED", names.join(", "), quote(&table.source));
    let mut statement = source.prepare(&sql).expect("SQLite reads the table");
    let mut rows = statement.query([]).expect("SQLite reads the table");
    while let Some(row) = rows.next().expect("SQLite reads the row") {
        outcome.source_rows += 1;
        let fields = table.columns.iter().enumerate().map(|(index, column)| {
            let value = row.get_ref(index).expect("a column");
            canonical(value, &column.r#type, &column.codec)
        });
        match fields.collect::<Option<Vec<String>>>() {
            Some(fields) => *balance.entry(fields.join("\u{1f}")).or_default() += 1,
            None => outcome.unfit += 1,
        }
    }
}

async fn take_target(
    target: &Client,
    schema: &str,
    table: &TablePlan,
    balance: &mut Balance,
    outcome: &mut Outcome,
) {
    let fields: Vec<String> = table
        .columns
        .iter()
        .map(|column| expression(&quote(&column.target), &column.r#type, &column.codec))
        .collect();
    let sql =
        format!("SELECT {} FROM {}.{}", fields.join(", "), quote(schema), quote(&table.target));
    let rows = match target.query_raw(&sql, Vec::<String>::new()).await {
        Ok(rows) => rows,
        Err(error) => {
            outcome.faults.push(format!("{sql}: {error:?}"));
            return;
        }
    };
    let mut rows = std::pin::pin!(rows);
    while let Some(row) = rows.next().await {
        outcome.target_rows += 1;
        let row = read(&row.expect("a row"), &table.columns);
        *balance.entry(row).or_default() -= 1;
    }
}

fn read(row: &Row, columns: &[ColumnPlan]) -> String {
    let fields: Vec<String> = columns
        .iter()
        .enumerate()
        .map(|(index, column)| normal(row.get(index), &column.codec))
        .collect();
    fields.join("\u{1f}")
}

/// Columns of the target whose type is not the planned one.
async fn faults_of_types(target: &Client, schema: &str, table: &TablePlan) -> Vec<String> {
    let sql = "
        SELECT a.attname, format_type(a.atttypid, a.atttypmod) FROM pg_attribute a
          JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE n.nspname = $1 AND c.relname = $2 AND a.attnum > 0 AND NOT a.attisdropped
         ORDER BY a.attnum";
    let rows = target.query(sql, &[&schema, &table.target]).await.expect("the catalogue is read");
    let found: Vec<(String, String)> =
        rows.iter().map(|row| (row.get(0), reading::plain(&row.get::<_, String>(1)))).collect();
    let mut wanted: Vec<(String, String)> = table
        .columns
        .iter()
        .map(|column| (column.target.clone(), reading::plain(&column.r#type)))
        .collect();
    if table.carries_rowid {
        wanted.push(("_switchback_rowid".into(), "bigint".into()));
    }
    if found == wanted {
        return Vec::new();
    }
    let differing: Vec<_> = wanted.iter().filter(|column| !found.contains(column)).collect();
    vec![format!("planned columns {differing:?} are not among {} found", found.len())]
}

/// Identity columns whose next value is not above every value. Above the largest integer there is
/// none.
async fn faults_of_sequences(target: &Client, schema: &str, table: &TablePlan) -> Vec<String> {
    let mut faults = Vec::new();
    let relation = format!("{}.{}", quote(schema), quote(&table.target));
    for column in table.columns.iter().filter(|column| column.identity) {
        let sql = format!("SELECT max({}) FROM {relation}", quote(&column.target));
        let largest = target.query_one(&sql, &[]).await.map(|row| row.get::<_, Option<i64>>(0));
        let Ok(largest) = largest else {
            faults.push(format!("{sql} fails"));
            continue;
        };
        if largest == Some(i64::MAX) {
            continue;
        }
        let sql = "SELECT nextval(pg_get_serial_sequence($1, $2))";
        let next = target.query_one(sql, &[&relation, &column.target]).await;
        if !next.is_ok_and(|row| row.get::<_, i64>(0) > largest.unwrap_or(0)) {
            faults.push(format!("{}.{} has no free next value", table.source, column.source));
        }
    }
    faults
}

/// An identifier in double quotes, as both engines take it.
pub fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::Cluster;

    fn plan() -> Plan {
        let column = |name: &str, pg_type: &str, codec: &str| ColumnPlan {
            source: name.into(),
            target: name.into(),
            r#type: pg_type.into(),
            codec: codec.into(),
            ..ColumnPlan::default()
        };
        let columns = vec![
            column("a", "bigint", "integer"),
            column("b", "text", "text"),
            column("c", "double precision", "real"),
            column("d", "bytea", "blob"),
        ];
        let table =
            TablePlan { source: "t".into(), target: "t".into(), columns, ..TablePlan::default() };
        Plan { target_schema: "public".into(), tables: vec![table], ..Plan::default() }
    }

    async fn outcome(rows: &str) -> Outcome {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let source = Connection::open(file.path()).expect("opens");
        let made = "CREATE TABLE t (a, b, c, d);
                    INSERT INTO t VALUES (1, 'one', -0.0, x'00ff'), (1, 'one', -0.0, x'00ff'),
                                         (2, NULL, 9e999, x'')";
        source.execute_batch(made).expect("made");
        let database = Cluster::shared().database().await;
        let target = database.admin().await;
        let made = format!(
            "CREATE TABLE t (a bigint, b text, c float8, d bytea); INSERT INTO t VALUES {rows}"
        );
        target.batch_execute(&made).await.expect("made");
        let mut outcomes = compare(file.path(), &target, &plan()).await;
        outcomes.remove(0)
    }

    #[tokio::test]
    async fn equal_tables_are_faithful() {
        let rows =
            r"(2, NULL, 'Infinity', ''), (1, 'one', '-0', '\x00ff'), (1, 'one', '-0', '\x00ff')";
        let outcome = outcome(rows).await;
        assert!(outcome.is_faithful(), "{outcome:?}");
        assert_eq!((outcome.source_rows, outcome.target_rows), (3, 3));
    }

    #[tokio::test]
    async fn every_kind_of_damage_is_seen() {
        // A lost duplicate, NULL for the empty blob, and a zero that lost its sign.
        let rows = r"(2, NULL, 'Infinity', NULL), (1, 'one', '0', '\x00ff')";
        let outcome = outcome(rows).await;
        assert_eq!((outcome.missing, outcome.extra), (3, 2), "{outcome:?}");
        assert!(!outcome.arrived());
    }
}
