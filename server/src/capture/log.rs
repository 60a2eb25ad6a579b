//! The change log in the source file: installing and trimming it.
//!
//! Every function works inside a transaction that the caller has begun.

use rusqlite::Connection;

use super::table_number;
use crate::dialect::{
    capture::{self, LOG},
    schema::{SourceSchema, Table},
    sqlite::quote,
};

/// Creates the log and the triggers, and logs the anchor: an entry of table 0 whose key is `token`.
pub fn install(
    connection: &Connection,
    schema: &SourceSchema,
    token: &str,
) -> rusqlite::Result<()> {
    connection.execute_batch(&capture::create_log(capture::log_width(&schema.tables)))?;
    let log = quote(LOG);
    connection.execute(&format!("INSERT INTO {log}(tab, k1) VALUES (0, ?1)"), [token])?;
    for (position, table) in schema.tables.iter().enumerate() {
        for (_, sql) in capture::capture_triggers(table_number(position), table) {
            connection.execute_batch(&sql)?;
        }
    }
    Ok(())
}

/// Whether there is a log of ours.
pub fn is_there(connection: &Connection) -> rusqlite::Result<bool> {
    let sql =
        "SELECT count(*) = 3 FROM pragma_table_info(?, 'main') WHERE name IN ('seq', 'tab', 'k1')";
    connection.query_row(sql, [LOG], |row| row.get(0))
}

/// Sequence number of the newest entry; an error where there is none, as the anchor always is.
pub fn newest(connection: &Connection) -> rusqlite::Result<i64> {
    let log = quote(LOG);
    connection.query_row(&format!("SELECT max(seq) FROM {log}"), [], |row| row.get(0))
}

/// Whether the log has this entry: without it, the file is not the one that was read before.
pub fn has(connection: &Connection, seq: i64) -> rusqlite::Result<bool> {
    let log = quote(LOG);
    let sql = format!("SELECT EXISTS (SELECT 1 FROM main.{log} WHERE seq = ?1)");
    connection.query_row(&sql, [seq], |row| row.get(0))
}

/// Removes up to `most` of the oldest entries before `below` and returns how many it removed.
///
/// The entry `below` and the newest one stay: an emptied table would begin at 1 again.
pub fn trim(connection: &Connection, below: i64, most: usize) -> rusqlite::Result<usize> {
    let log = quote(LOG);
    let below = below.min(newest(connection)?);
    connection.execute(
        &format!(
            "DELETE FROM {log} WHERE seq IN \
             (SELECT seq FROM {log} WHERE seq < ?1 ORDER BY seq LIMIT ?2)"
        ),
        (below, i64::try_from(most).unwrap_or(i64::MAX)),
    )
}

/// Prepares an INSERT, an UPDATE and a DELETE of every table, which compiles its triggers, and
/// returns the tables where that fails, with SQLite's words.
///
/// A statement that failed before the triggers were there is reported too.
pub fn check_compiles(
    connection: &Connection,
    schema: &SourceSchema,
) -> rusqlite::Result<Vec<(String, String)>> {
    let mut broken = Vec::new();
    for table in &schema.tables {
        for sql in statements(table) {
            match connection.prepare(&sql) {
                Ok(_) => {}
                Err(error) if is_about_the_statement(&error) => {
                    broken.push((table.name.clone(), error.to_string()));
                    break;
                }
                Err(error) => return Err(error),
            }
        }
    }
    Ok(broken)
}

/// SQLITE_ERROR, SQLITE_AUTH and the like; a busy or damaged file says nothing about a trigger.
fn is_about_the_statement(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode as Code;
    let elsewhere = [
        Code::DatabaseBusy,
        Code::DatabaseLocked,
        Code::DatabaseCorrupt,
        Code::NotADatabase,
        Code::SystemIoFailure,
        Code::OutOfMemory,
        Code::OperationInterrupted,
    ];
    error.sqlite_error_code().is_none_or(|code| !elsewhere.contains(&code))
}

fn statements(table: &Table) -> Vec<String> {
    let name = quote(&table.name);
    let written = table.columns.iter().find(|column| column.generated.is_none());
    let update = written.map(|column| {
        let column = quote(&column.name);
        format!("UPDATE main.{name} SET {column} = {column}")
    });
    let mut statements = vec![format!("INSERT INTO main.{name} DEFAULT VALUES")];
    statements.extend(update);
    statements.push(format!("DELETE FROM main.{name}"));
    statements
}

#[cfg(test)]
mod tests;
