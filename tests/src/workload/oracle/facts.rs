//! What an engine holds, read at one moment.

use std::{collections::BTreeMap, path::Path};

use rusqlite::{Connection, OpenFlags};
use tokio_postgres::Client;

use super::Side;
use crate::workload::{
    cell::{Cell, Row},
    schema::TABLES,
};

const LEDGER: &str = "SELECT writer, n FROM ledger ORDER BY id";
const BIRTHS: &str = "SELECT writer, event FROM births";

/// The ledger and the rows, by writer.
#[derive(Debug, Default)]
pub(super) struct Facts {
    /// Numbers of transactions, in the order of the ledger's ids.
    ledger: BTreeMap<i64, Vec<u64>>,
    counts: BTreeMap<(i64, u64), u64>,
    rows: Vec<BTreeMap<i64, Vec<Row>>>,
    /// Writer and id of every event that was ever added.
    births: Vec<(i64, i64)>,
}

impl Facts {
    /// What an engine holds.
    pub(super) async fn of(side: Side<'_>) -> Self {
        match side {
            Side::Sqlite(file) => Self::of_sqlite(file),
            Side::Postgres(client) => Self::of_postgres(client).await,
        }
    }

    fn of_sqlite(file: &Path) -> Self {
        // A journal that a killed writer left must be rolled back, so it is not opened read-only.
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE;
        let connection = Connection::open_with_flags(file, flags).expect("the SQLite file opens");
        connection.execute_batch("PRAGMA query_only = on; BEGIN").expect("a read transaction");
        let rows = |sql: &str| -> Vec<Row> {
            let mut statement = connection.prepare(sql).expect("SQLite reads the table");
            let columns = statement.column_count();
            let read = statement.query_map([], |row| {
                (0..columns).map(|column| Ok(Cell::of_sqlite(row.get_ref(column)?))).collect()
            });
            read.expect("SQLite reads the table").map(|row| row.expect("a row")).collect()
        };
        let mut facts = Self::default();
        facts.add_ledger(&rows(LEDGER));
        facts.births = rows(BIRTHS).iter().map(pair).collect();
        for table in &TABLES {
            let sql = format!("SELECT {} FROM {}", table.columns.join(", "), table.name);
            facts.add_rows(rows(&sql));
        }
        facts
    }

    async fn of_postgres(client: &Client) -> Self {
        let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
        client.batch_execute(begin).await.expect("a read transaction");
        let mut facts = Self::default();
        facts.add_ledger(&of_table(client, LEDGER).await);
        facts.births = of_table(client, BIRTHS).await.iter().map(pair).collect();
        for table in &TABLES {
            let sql = format!("SELECT {} FROM {}", table.columns.join(", "), table.name);
            facts.add_rows(of_table(client, &sql).await);
        }
        client.batch_execute("COMMIT").await.expect("the end of a read transaction");
        facts
    }

    /// Every writer of a row or of an entry.
    pub(super) fn writers(&self) -> impl Iterator<Item = i64> {
        let mut writers: Vec<i64> = self.ledger.keys().copied().collect();
        writers.extend(self.rows.iter().flat_map(|table| table.keys()));
        writers.sort_unstable();
        writers.dedup();
        writers.into_iter()
    }

    pub(super) fn ledger(&self, writer: i64) -> &[u64] {
        self.ledger.get(&writer).map_or(&[], Vec::as_slice)
    }

    pub(super) fn count(&self, writer: i64, n: u64) -> u64 {
        self.counts.get(&(writer, n)).copied().unwrap_or(0)
    }

    pub(super) fn births(&self) -> &[(i64, i64)] {
        &self.births
    }

    pub(super) fn rows(&self, table: usize, writer: i64) -> &[Row] {
        self.rows[table].get(&writer).map_or(&[], Vec::as_slice)
    }

    fn add_ledger(&mut self, entries: &[Row]) {
        for (writer, n) in entries.iter().map(pair) {
            let n = n.unsigned_abs();
            self.ledger.entry(writer).or_default().push(n);
            *self.counts.entry((writer, n)).or_default() += 1;
        }
    }

    fn add_rows(&mut self, rows: Vec<Row>) {
        let mut table: BTreeMap<i64, Vec<Row>> = BTreeMap::new();
        for row in rows {
            let Cell::Integer(writer) = row[0] else { panic!("{row:?} has no writer") };
            table.entry(writer).or_default().push(row);
        }
        self.rows.push(table);
    }
}

fn pair(row: &Row) -> (i64, i64) {
    let [Cell::Integer(first), Cell::Integer(second)] = row[..] else {
        panic!("{row:?} is not of two numbers");
    };
    (first, second)
}

async fn of_table(client: &Client, sql: &str) -> Vec<Row> {
    let rows = client.query(sql, &[]).await.expect("PostgreSQL reads the table");
    let cells = |row: &tokio_postgres::Row| {
        (0..row.len()).map(|column| Cell::of_postgres(row, column).expect("a value")).collect()
    };
    rows.iter().map(cells).collect()
}
