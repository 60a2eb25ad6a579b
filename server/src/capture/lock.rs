//! SQLite's write lock, taken beside writers that never rest.

use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, config::DbConfig};

use crate::{
    db::source::{BUSY_TIMEOUT, SourceFile},
    error::Result,
};

/// Between two tries: SQLite's own busy handler sleeps up to 100 ms, and loses against saturated
/// writers.
const SPIN: Duration = Duration::from_micros(200);

/// Begins a transaction that holds the write lock; `SOURCE_LOCKED` where it is not free in time.
pub fn begin(connection: &Connection, file: &SourceFile, wait: Duration) -> Result<()> {
    let explain = |error| file.explain(error);
    connection.pragma_update(None, "query_only", false).map_err(explain)?;
    connection.busy_timeout(Duration::ZERO).map_err(explain)?;
    // What is recorded here has to outlive a loss of power.
    connection.pragma_update(None, "synchronous", "FULL").map_err(explain)?;
    // Triggers of the application are not to run on what is ours.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false).map_err(explain)?;
    spin(connection, file, "BEGIN IMMEDIATE", wait)
}

/// Commits; in a rollback journal it has to wait for readers.
pub fn commit(connection: &Connection, file: &SourceFile, wait: Duration) -> Result<()> {
    spin(connection, file, "COMMIT", wait)
}

/// Makes it a reader's connection again.
pub fn release(connection: &Connection, file: &SourceFile) -> Result<()> {
    let explain = |error| file.explain(error);
    connection.busy_timeout(BUSY_TIMEOUT).map_err(explain)?;
    connection.pragma_update(None, "query_only", true).map_err(explain)
}

#[expect(clippy::disallowed_methods, reason = "SQLite notifies nobody of a lock that is free")]
fn spin(connection: &Connection, file: &SourceFile, sql: &str, wait: Duration) -> Result<()> {
    let began = Instant::now();
    loop {
        match connection.execute_batch(sql) {
            Err(error)
                if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
                    && began.elapsed() < wait =>
            {
                std::thread::sleep(SPIN);
            }
            done => return done.map_err(|error| file.explain(error)),
        }
    }
}
