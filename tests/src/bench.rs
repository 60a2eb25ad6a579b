//! What the benchmarks of whole processes share: the source, its writers, and the figures.

use std::{
    env, fs,
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::Connection;
use serde_json::Value;
use tokio::task::JoinHandle;

use crate::{
    cli,
    cluster::Database,
    server::Server,
    workload::{Load, Start, schema},
};

/// Writer processes.
pub const WRITERS: u32 = 4;

/// Transactions a second of each writer.
const RATE: u32 = 250;

/// Rows that each writer has in each of its tables at the start.
const OWN_ROWS: u32 = 20;

/// Between two looks at the lag while somebody writes.
const LOOK: Duration = Duration::from_millis(50);

/// A size from the environment.
pub fn setting(name: &str, default: u64) -> u64 {
    env::var(name).ok().and_then(|text| text.replace('_', "").parse().ok()).unwrap_or(default)
}

/// Makes a source: a large table of about 240 bytes a row, an empty one for changes of any number,
/// and those of the writers.
pub fn source(path: &Path, rows: u64) {
    eprintln!("building {rows} rows");
    let connection = Connection::open(path).expect("a SQLite file");
    let sql = format!(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF;
         CREATE TABLE large (id INTEGER PRIMARY KEY, user_id INTEGER NOT NULL, amount REAL,
                             name TEXT, email TEXT, created_at DATETIME, note TEXT, payload BLOB);
         CREATE TABLE changing (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, n INTEGER);
         BEGIN;
         WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows})
         INSERT INTO large
         SELECT i, i * 7919 % 1000003, i * 0.013, 'user number ' || i,
                'user' || i || '@example.org', datetime(1500000000 + i, 'unixepoch'),
                'note ' || hex(randomblob(40)), randomblob(64) FROM n;
         COMMIT; PRAGMA wal_checkpoint(TRUNCATE);"
    );
    connection.execute_batch(&sql).expect("the source is made");
    schema(&connection, Start { writers: WRITERS, rows: OWN_ROWS }).expect("the writers' tables");
}

/// What the writers of such a source do: about 1,000 transactions a second in all.
pub fn load(seed: u64) -> Load {
    Load { seed, rows: OWN_ROWS, rate: RATE, size: 1, ..Load::default() }
}

/// Lets nobody pay for what the one before has left to write.
pub async fn settle(database: &Database) {
    database.admin().await.batch_execute("CHECKPOINT").await.expect("a checkpoint");
}

/// Changes that wait, as an operator sees it.
pub async fn lag(server: &Server) -> u64 {
    let run = cli::run(&server.endpoint(), &["status"]).await;
    run.events[0]["lag_changes"].as_u64().expect("a lag")
}

/// The largest lag that is seen until somebody has written, and what came of that.
pub async fn largest_lag<T>(server: &Server, writer: JoinHandle<T>) -> (u64, T) {
    let mut largest = 0;
    while !writer.is_finished() {
        largest = largest.max(lag(server).await);
        tokio::time::sleep(LOOK).await;
    }
    (largest, writer.await.expect("the writer ends"))
}

/// How figures are spread.
#[derive(Debug, Clone, Copy)]
pub struct Spread {
    /// How many there are.
    pub count: usize,
    /// The middle one.
    pub p50: f64,
    /// The one that a hundredth exceeds: the largest of fewer than a hundred.
    pub p99: f64,
    /// The largest one.
    pub max: f64,
}

impl Spread {
    /// Of some figures, one at least.
    pub fn of(mut figures: Vec<f64>) -> Self {
        figures.sort_by(f64::total_cmp);
        let at = |percent: usize| figures[((figures.len() - 1) * percent).div_ceil(100)];
        Self { count: figures.len(), p50: at(50), p99: at(99), max: at(100) }
    }
}

/// Writes a result to `target/bench`.
pub fn keep(name: &str, result: &Value) {
    let place = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/bench");
    fs::create_dir_all(&place).expect("a directory");
    fs::write(place.join(name), format!("{result:#}")).expect("the result is written");
}
