//! What Switchback puts into the source file: change capture, whose triggers write down the key of
//! every row that changes, and the fence. Both stand under SQLite's write lock and go together.

pub mod fence;
pub mod lock;
pub mod log;

use rusqlite::Connection;

use crate::dialect::{capture::is_ours, sqlite::quote};

/// Number of a table in the log and in the names of its triggers, from its position in the
/// schema; 0 is the log's anchor.
pub fn table_number(position: usize) -> usize {
    position + 1
}

/// Drops every trigger and every table of ours. The caller holds the write lock and commits.
pub fn remove(connection: &Connection) -> rusqlite::Result<()> {
    // Triggers first: the application's tables must never have one whose log is gone.
    for kind in ["trigger", "table"] {
        let names: Vec<String> = connection
            .prepare("SELECT name FROM main.sqlite_master WHERE type = ?1")?
            .query_map([kind], |row| row.get(0))?
            .collect::<rusqlite::Result<_>>()?;
        for name in names.iter().filter(|name| is_ours(name)) {
            connection.execute_batch(&format!("DROP {kind} main.{}", quote(name)))?;
        }
    }
    Ok(())
}
