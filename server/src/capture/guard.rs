//! The schema of the source, watched: a change in the middle is found before it can do harm.

use std::sync::atomic::{AtomicI64, Ordering};

use rusqlite::{Connection, OptionalExtension};

use super::{mark, table_number};
use crate::{
    census,
    db::source::SourceFile,
    dialect::{
        capture::{PREFIX, capture_triggers},
        schema::{SourceSchema, Table},
    },
    error::{Error, Reason, Result},
};

/// `PRAGMA schema_version`, which every change of the schema, ANALYZE and VACUUM raise.
pub fn schema_version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("PRAGMA main.schema_version", [], |row| row.get(0))
}

/// BLAKE3 over `sqlite_schema`, in hexadecimal; SQLite's own tables, which ANALYZE makes, aside.
///
/// An edit under `writable_schema` leaves the version alone and is seen here.
pub fn schema_hash(connection: &Connection) -> rusqlite::Result<String> {
    let sql = "SELECT type, name, tbl_name, coalesce(sql, '') FROM main.sqlite_schema \
               WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY type, name";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([])?;
    let mut hash = blake3::Hasher::new();
    while let Some(row) = rows.next()? {
        for column in 0..4 {
            let bytes = row.get_ref(column)?.as_bytes()?;
            hash.update(&bytes.len().to_le_bytes()).update(bytes);
        }
    }
    Ok(hash.finalize().to_hex().to_string())
}

/// Whether the schema is the one that was recorded when capture was installed. Inside a
/// transaction; returns the version.
pub fn check(connection: &Connection, file: &SourceFile, planned: &SourceSchema) -> Result<i64> {
    let explain = |error| file.explain(error);
    let sql = format!("SELECT schema_hash FROM main.{PREFIX} WHERE id = 1");
    let recorded = match mark::read(connection).map_err(explain)? {
        None => None,
        Some(_) => connection
            .query_row(&sql, [], |row| row.get::<_, String>(0))
            .optional()
            .map_err(explain)?,
    };
    if recorded.is_some_and(|hash| schema_hash(connection).is_ok_and(|now| now == hash)) {
        return schema_version(connection).map_err(explain);
    }
    Err(drift(connection, file, planned))
}

/// Says what is not as it was.
fn drift(connection: &Connection, file: &SourceFile, planned: &SourceSchema) -> Error {
    // A connection keeps the schema that it has parsed, whatever is edited under `writable_schema`.
    let now = match file.open().and_then(|fresh| census::schema::read(&fresh, file)) {
        Ok(now) => now,
        Err(error) => return error,
    };
    if now.fingerprint != planned.fingerprint {
        return changed(planned, &now);
    }
    let uncaptured = uncaptured(connection, planned).unwrap_or_default();
    let what = match uncaptured.as_slice() {
        [] => String::new(),
        tables => format!(" (triggers of {})", tables.join(", ")),
    };
    let message = format!(
        "what Switchback put into the SQLite file was removed or changed{what}: writes may have \
         been missed"
    );
    Error::new(Reason::SourceChanged, message).hint(
        "end this migration (`switchback abort`), keep others from dropping triggers and tables \
         named _switchback…, then migrate again",
    )
}

/// The error for a schema that is not the one that was planned.
pub fn changed(planned: &SourceSchema, now: &SourceSchema) -> Error {
    let names = differing(planned, now);
    let what = if names.is_empty() { String::new() } else { format!(" ({})", names.join(", ")) };
    let message = format!("the schema of the SQLite file changed during the migration{what}");
    Error::new(Reason::SourceChanged, message).hint(
        "plan again: end this migration (`switchback abort`) where it still runs, then migrate the \
         new schema; hold the application's own schema migrations back until the switch",
    )
}

/// Names of the tables that lack a trigger of ours.
fn uncaptured(connection: &Connection, planned: &SourceSchema) -> rusqlite::Result<Vec<String>> {
    let sql =
        "SELECT EXISTS (SELECT 1 FROM main.sqlite_schema WHERE type = 'trigger' AND name = ?)";
    let mut exists = connection.prepare(sql)?;
    let mut names = Vec::new();
    for (position, table) in planned.tables.iter().enumerate() {
        for (name, _) in capture_triggers(table_number(position), table) {
            if !exists.query_row([name], |row| row.get::<_, bool>(0))? {
                names.push(table.name.clone());
                break;
            }
        }
    }
    Ok(names)
}

/// Names of what is new, gone or different.
fn differing(planned: &SourceSchema, now: &SourceSchema) -> Vec<String> {
    let tables = |schema: &SourceSchema| schema.tables.iter().map(declared).collect::<Vec<_>>();
    let mut names = apart(&tables(planned), &tables(now), |table| &table.name);
    names.extend(apart(&planned.views, &now.views, |view| &view.name));
    names.extend(apart(&planned.triggers, &now.triggers, |trigger| &trigger.name));
    names.extend(apart(&planned.virtual_tables, &now.virtual_tables, |table| &table.name));
    names.sort_unstable();
    names.dedup();
    names
}

/// The table without what writers change, and without what capture takes for granted of its key.
fn declared(table: &Table) -> Table {
    let mut table = Table { sequence: None, ..table.clone() };
    for column in table.primary_key.clone() {
        table.columns[column].not_null = false;
    }
    table
}

fn apart<T: PartialEq>(planned: &[T], now: &[T], name: impl Fn(&T) -> &String) -> Vec<String> {
    let gone = planned.iter().filter(|item| !now.contains(item));
    let new = now.iter().filter(|item| !planned.contains(item));
    gone.chain(new).map(|item| name(item).clone()).collect()
}

/// The schema as readers have seen it: cheap to look at again.
#[derive(Debug)]
pub struct Seen {
    version: AtomicI64,
    hash: String,
}

impl Seen {
    /// The schema as it is now.
    pub fn now(connection: &Connection) -> rusqlite::Result<Self> {
        Ok(Self { version: schema_version(connection)?.into(), hash: schema_hash(connection)? })
    }

    /// Whether nobody has run ANALYZE or VACUUM either, which may give rows other rowids.
    pub fn is_untouched(&self, connection: &Connection) -> rusqlite::Result<bool> {
        Ok(schema_version(connection)? == self.version.load(Ordering::Relaxed))
    }

    /// Whether it is still the same; ANALYZE and VACUUM do not change it.
    pub fn is_same(&self, connection: &Connection) -> rusqlite::Result<bool> {
        let version = schema_version(connection)?;
        if version == self.version.load(Ordering::Relaxed) {
            return Ok(true);
        }
        let same = schema_hash(connection)? == self.hash;
        if same {
            self.version.store(version, Ordering::Relaxed);
        }
        Ok(same)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEMA: &str = "CREATE TABLE a (k TEXT PRIMARY KEY, v TEXT); CREATE TABLE b (v TEXT);
        CREATE VIEW w AS SELECT v FROM b";

    /// What is said after a change; empty where nothing is.
    fn said(change: &str) -> String {
        let place = tempfile::tempdir().unwrap();
        let file = SourceFile::new(place.path().join("a.db"));
        let connection = Connection::open(file.path()).unwrap();
        connection.execute_batch(SCHEMA).unwrap();
        let mut schema = census::schema::read(&connection, &file).unwrap();
        // As the plan makes it.
        schema.tables[0].columns[0].not_null = true;
        crate::capture::install(&connection, &file, &schema, "m").unwrap();
        connection.execute_batch(change).unwrap();
        check(&connection, &file, &schema).err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn what_changed_is_named() {
        for (change, named) in [
            ("ALTER TABLE b ADD COLUMN more TEXT", "(b)"),
            ("DROP TABLE a", "(a)"),
            ("CREATE TABLE c (x); CREATE INDEX b_v ON b (v)", "(b, c)"),
            ("DROP VIEW w", "(w)"),
            ("CREATE TRIGGER t AFTER INSERT ON b BEGIN SELECT 1; END", "(t)"),
            (
                "PRAGMA writable_schema = 1; UPDATE sqlite_schema \
                 SET sql = replace(sql, 'v TEXT', 'v') WHERE name = 'b'",
                "(b)",
            ),
            ("DROP TRIGGER _switchback_1_ad", "(triggers of a)"),
            ("DROP TABLE _switchback_log", "was removed or changed"),
            ("DROP TABLE _switchback", "was removed or changed"),
        ] {
            let said = said(change);
            assert!(said.contains(named), "{change}: {said}");
        }
    }

    #[test]
    fn what_tidies_up_changes_nothing() {
        for change in ["VACUUM", "ANALYZE", "REINDEX", "PRAGMA user_version = 9"] {
            assert_eq!(said(change), "", "{change}");
        }
    }
}
