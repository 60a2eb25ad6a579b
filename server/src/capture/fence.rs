//! The fence on SQLite: triggers that refuse every write and say where the database has gone.

use rusqlite::Connection;

use super::{mark, table_number};
use crate::dialect::{capture::fence_triggers, schema::SourceSchema, sqlite::quote};

/// Raises the fence on every table. The caller holds the write lock and commits; `moved` says
/// where the database has gone, without a password.
pub fn raise(
    connection: &Connection,
    schema: &SourceSchema,
    attempt: i64,
    moved: &str,
) -> rusqlite::Result<()> {
    let message = format!("switchback: this database has moved to PostgreSQL ({moved})");
    for (position, table) in schema.tables.iter().enumerate() {
        for (_, sql) in fence_triggers(table_number(position), table, &message) {
            connection.execute_batch(&sql)?;
        }
    }
    mark::set_fenced(connection, Some(attempt))?;
    mark::seal(connection)
}

/// Opens the tables again; capture stays. The caller holds the write lock and commits.
pub fn lower(connection: &Connection, schema: &SourceSchema) -> rusqlite::Result<()> {
    for (position, table) in schema.tables.iter().enumerate() {
        for (name, _) in fence_triggers(table_number(position), table, "") {
            connection.execute_batch(&format!("DROP TRIGGER IF EXISTS main.{}", quote(&name)))?;
        }
    }
    mark::set_fenced(connection, None)?;
    mark::seal(connection)
}
