//! Reads the schema of a SQLite file: by SQLite's own PRAGMAs, which can't disagree with SQLite,
//! and from the text of the statements only what PRAGMAs don't tell.

mod table;
mod virtual_table;

use std::collections::{HashMap, HashSet};

use rusqlite::{Connection, OptionalExtension};

use crate::{
    db::source::SourceFile,
    dialect::{
        capture,
        schema::{Encoding, SourceSchema, Table, Trigger, View},
        sqlite,
    },
    error::Result,
};

/// One row of `sqlite_schema`.
struct Object {
    kind: String,
    name: String,
    table: String,
    sql: Option<String>,
}

/// Reads the schema. One read transaction around it is the caller's.
pub fn read(connection: &Connection, file: &SourceFile) -> Result<SourceSchema> {
    read_all(connection).map_err(|error| file.explain(error))
}

fn read_all(connection: &Connection) -> rusqlite::Result<SourceSchema> {
    let objects = objects(connection)?;
    let kinds = table_kinds(connection)?;
    let virtual_tables = virtual_table::read(&objects, &kinds);
    let shadows: HashSet<&str> = virtual_tables
        .iter()
        .flat_map(|table| table.shadows.iter().map(String::as_str))
        .chain(virtual_tables.iter().map(|table| table.name.as_str()))
        .collect();
    let texts: HashMap<&str, &str> = objects
        .iter()
        .filter(|object| object.kind == "index")
        .filter_map(|object| Some((object.name.as_str(), object.sql.as_deref()?)))
        .collect();
    let sequences = sequences(connection)?;
    let mut tables: Vec<Table> = Vec::new();
    for object in &objects {
        let name = object.name.as_str();
        if object.kind != "table" || is_sqlites_own(name) || shadows.contains(name) {
            continue;
        }
        let kind = kinds.get(name).cloned().unwrap_or_default();
        let mut table = table::read(connection, object, &kind, &texts)?;
        table.sequence = sequences.get(name).copied();
        tables.push(table);
    }
    Ok(SourceSchema {
        encoding: encoding(connection)?,
        user_version: connection.pragma_query_value(None, "user_version", |row| row.get(0))?,
        bytes: bytes(connection)?,
        fingerprint: fingerprint(&objects),
        tables,
        views: views(connection, &objects),
        triggers: triggers(&objects),
        virtual_tables,
    })
}

fn is_sqlites_own(name: &str) -> bool {
    name.get(..7).is_some_and(|prefix| prefix.eq_ignore_ascii_case("sqlite_"))
}

/// Without what Switchback itself has put there: it is not the application's.
fn objects(connection: &Connection) -> rusqlite::Result<Vec<Object>> {
    let mut objects: Vec<Object> = connection
        .prepare("SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY rowid")?
        .query_map([], |row| {
            Ok(Object {
                kind: row.get(0)?,
                name: row.get(1)?,
                table: row.get(2)?,
                sql: row.get(3)?,
            })
        })?
        .collect::<rusqlite::Result<_>>()?;
    objects.retain(|object| !capture::is_ours(&object.name));
    Ok(objects)
}

/// What `PRAGMA table_list` says about a table.
#[derive(Debug, Clone, Default)]
struct TableKind {
    /// `table`, `view`, `virtual` or `shadow`.
    kind: String,
    without_rowid: bool,
    strict: bool,
}

fn table_kinds(connection: &Connection) -> rusqlite::Result<HashMap<String, TableKind>> {
    connection
        .prepare("SELECT name, type, wr, strict FROM pragma_table_list WHERE schema = 'main'")?
        .query_map([], |row| {
            let kind =
                TableKind { kind: row.get(1)?, without_rowid: row.get(2)?, strict: row.get(3)? };
            Ok((row.get(0)?, kind))
        })?
        .collect()
}

/// Page numbers are left out: VACUUM changes them and nothing else.
fn fingerprint(objects: &[Object]) -> String {
    let mut hash = blake3::Hasher::new();
    for object in objects {
        let sql = object.sql.as_deref().unwrap_or_default();
        for text in [&object.kind, &object.name, &object.table, sql] {
            hash.update(&text.len().to_le_bytes());
            hash.update(text.as_bytes());
        }
    }
    hash.finalize().to_hex().to_string()
}

fn encoding(connection: &Connection) -> rusqlite::Result<Encoding> {
    let name: String = connection.pragma_query_value(None, "encoding", |row| row.get(0))?;
    Ok(if name == "UTF-8" { Encoding::Utf8 } else { Encoding::Utf16 })
}

fn bytes(connection: &Connection) -> rusqlite::Result<u64> {
    let number = |pragma| -> rusqlite::Result<u64> {
        let value: i64 = connection.pragma_query_value(None, pragma, |row| row.get(0))?;
        Ok(u64::try_from(value).unwrap_or_default())
    };
    Ok(number("page_count")? * number("page_size")?)
}

fn sequences(connection: &Connection) -> rusqlite::Result<HashMap<String, i64>> {
    let exists = connection
        .query_row("SELECT 1 FROM sqlite_schema WHERE name = 'sqlite_sequence'", [], |_| Ok(()))
        .optional()?;
    if exists.is_none() {
        return Ok(HashMap::new());
    }
    // Applications may write anything into this table.
    connection
        .prepare(
            "SELECT name, max(seq) FROM sqlite_sequence \
             WHERE typeof(name) = 'text' AND typeof(seq) = 'integer' GROUP BY name",
        )?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect()
}

fn views(connection: &Connection, objects: &[Object]) -> Vec<View> {
    objects
        .iter()
        .filter(|object| object.kind == "view")
        .map(|object| View {
            name: object.name.clone(),
            // A view may name what is not there: then SQLite can't tell its columns.
            columns: view_columns(connection, &object.name).unwrap_or_default(),
            sql: object.sql.clone().unwrap_or_default(),
        })
        .collect()
}

fn view_columns(connection: &Connection, view: &str) -> rusqlite::Result<Vec<String>> {
    connection
        .prepare(&format!("PRAGMA table_info({})", sqlite::quote(view)))?
        .query_map([], |row| row.get("name"))?
        .collect()
}

fn triggers(objects: &[Object]) -> Vec<Trigger> {
    objects
        .iter()
        .filter(|object| object.kind == "trigger")
        .map(|object| Trigger { name: object.name.clone(), table: object.table.clone() })
        .collect()
}

#[cfg(test)]
mod tests;
