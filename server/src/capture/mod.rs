//! What Switchback puts into the source file: change capture, whose triggers write down the key of
//! every row that changes, and the fence. Both stand under SQLite's write lock and go together.

pub mod fence;
pub mod guard;
pub mod lock;
pub mod log;
pub mod mark;
pub mod seal;

use rusqlite::{Connection, config::DbConfig};
use uuid::Uuid;

use crate::{
    db::source::SourceFile,
    dialect::{
        capture::{PREFIX, is_ours},
        schema::SourceSchema,
        sqlite::quote,
    },
    error::{Error, Reason, Result},
};

/// Number of a table in the log and in the names of its triggers, from its position in the
/// schema; 0 is the log's anchor.
pub fn table_number(position: usize) -> usize {
    position + 1
}

/// Puts change capture into the file. The caller holds the write lock and commits.
pub fn install(
    connection: &Connection,
    file: &SourceFile,
    schema: &SourceSchema,
    migration: &str,
) -> Result<()> {
    let explain = |error| file.explain(error);
    // Without triggers, SQLite would not compile them.
    let triggers = |on| {
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, on).map_err(explain)
    };
    triggers(true)?;
    let before = log::check_compiles(connection, schema).map_err(explain)?;
    triggers(false)?;
    mark::create(connection, migration).map_err(explain)?;
    log::install(connection, schema, &Uuid::now_v7().to_string()).map_err(explain)?;
    mark::seal(connection).map_err(explain)?;
    triggers(true)?;
    let after = log::check_compiles(connection, schema).map_err(explain)?;
    triggers(false)?;
    let broken =
        after.into_iter().find(|(table, _)| before.iter().all(|(known, _)| known != table));
    broken.map_or(Ok(()), |(table, words)| {
        let message = format!("changes of the table {table} cannot be captured: {words}");
        Err(Error::new(Reason::SourceFailed, message)
            .hint("nothing was changed; report this with the table's schema"))
    })
}

/// Whether the file has a change log of ours and no mark that says whose; not where it may be
/// fenced, since only the mark says by which attempt.
pub fn is_unmarked(connection: &Connection) -> rusqlite::Result<bool> {
    let fenced = "SELECT EXISTS (SELECT 1 FROM main.sqlite_schema \
                  WHERE type = 'trigger' AND name GLOB '_switchback_*_f[iud]')";
    let fenced: bool = connection.query_row(fenced, [], |row| row.get(0))?;
    Ok(!fenced && mark::read(connection)?.is_none() && log::is_there(connection)?)
}

/// Drops every trigger and every table of ours. The caller holds the write lock and commits.
pub fn remove(connection: &Connection) -> rusqlite::Result<()> {
    remove_where(connection, |_| true)
}

/// Drops change capture; the fence and the mark stay. The caller holds the write lock and commits.
pub fn remove_all_but_fence(connection: &Connection) -> rusqlite::Result<()> {
    let is_fence = |name: &str| ["_fi", "_fu", "_fd"].iter().any(|suffix| name.ends_with(suffix));
    remove_where(connection, |name| name != PREFIX && !is_fence(name))?;
    mark::seal(connection)
}

fn remove_where(connection: &Connection, goes: impl Fn(&str) -> bool) -> rusqlite::Result<()> {
    // Triggers first: the application's tables must never have one whose log is gone.
    for kind in ["trigger", "table"] {
        let names: Vec<String> = connection
            .prepare("SELECT name FROM main.sqlite_master WHERE type = ?1")?
            .query_map([kind], |row| row.get(0))?
            .collect::<rusqlite::Result<_>>()?;
        for name in names.iter().filter(|name| is_ours(name) && goes(name)) {
            connection.execute_batch(&format!("DROP {kind} main.{}", quote(name)))?;
        }
    }
    Ok(())
}
