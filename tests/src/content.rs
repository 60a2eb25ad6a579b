//! What a SQLite file holds, Switchback's own objects left out: what must be the same before and
//! after.

use std::path::Path;

use rusqlite::{Connection, ErrorCode, types::ValueRef};

/// BLAKE3 over the schema and every value of every table, in the order in which SQLite reads them.
pub fn content(file: &Path) -> String {
    let connection = Connection::open(file).expect("the source opens");
    let mut hash = blake3::Hasher::new();
    let schema = "SELECT type, name, tbl_name, sql FROM sqlite_schema \
                  WHERE name <> '_switchback' AND name NOT LIKE '\\_switchback\\_%' ESCAPE '\\' ORDER BY rowid";
    rows(&connection, schema, &mut hash);
    for table in tables(&connection) {
        rows(
            &connection,
            &format!("SELECT * FROM main.\"{}\"", table.replace('"', "\"\"")),
            &mut hash,
        );
    }
    hash.finalize().to_hex().to_string()
}

/// The definition of everything in the file, Switchback's own objects too.
pub fn schema(file: &Path) -> Vec<String> {
    let connection = Connection::open(file).expect("the source opens");
    let sql = "SELECT type || ' ' || name || ' ' || tbl_name || ' ' || coalesce(sql, '') \
               FROM sqlite_schema ORDER BY 1";
    let mut statement = connection.prepare(sql).expect("the schema is read");
    let found = statement.query_map([], |row| row.get(0)).expect("the schema is read");
    found.map(|object| object.expect("an object")).collect()
}

/// Whether the file refuses a write to one of its tables, and in which words.
pub fn refusal(file: &Path, sql: &str) -> Option<String> {
    let connection = Connection::open(file).expect("the source opens");
    match connection.execute_batch("BEGIN IMMEDIATE") {
        // Sealed: there is no lock to be had.
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::ReadOnly) => {
            return Some(error.to_string());
        }
        begun => begun.expect("the write lock"),
    }
    let refused = connection.execute_batch(sql).err().map(|error| error.to_string());
    // The fence has done it.
    if !connection.is_autocommit() {
        connection.execute_batch("ROLLBACK").expect("rolled back");
    }
    refused
}

fn tables(connection: &Connection) -> Vec<String> {
    let sql = "SELECT name FROM pragma_table_list WHERE schema = 'main' \
               AND type IN ('table', 'shadow') AND name <> 'sqlite_schema' \
               AND name <> '_switchback' AND name NOT LIKE '\\_switchback\\_%' ESCAPE '\\' ORDER BY name";
    let mut statement = connection.prepare(sql).expect("the tables are listed");
    let names = statement.query_map([], |row| row.get(0)).expect("the tables are listed");
    names.map(|name| name.expect("a name")).collect()
}

/// What SQLite refuses to read (a collation that only the application has) it refuses twice.
fn rows(connection: &Connection, sql: &str, hash: &mut blake3::Hasher) {
    let read = || -> rusqlite::Result<blake3::Hash> {
        let mut own = blake3::Hasher::new();
        let mut statement = connection.prepare(sql)?;
        let columns = statement.column_count();
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            for column in 0..columns {
                own.update(&tagged(row.get_ref(column)?));
            }
        }
        Ok(own.finalize())
    };
    match read() {
        Ok(found) => hash.update(found.as_bytes()),
        Err(error) => hash.update(error.to_string().as_bytes()),
    };
}

fn tagged(value: ValueRef<'_>) -> Vec<u8> {
    let (tag, bytes) = match value {
        ValueRef::Null => (0, Vec::new()),
        ValueRef::Integer(value) => (1, value.to_le_bytes().to_vec()),
        ValueRef::Real(value) => (2, value.to_bits().to_le_bytes().to_vec()),
        ValueRef::Text(bytes) => (3, bytes.to_vec()),
        ValueRef::Blob(bytes) => (4, bytes.to_vec()),
    };
    [&[tag], &bytes.len().to_le_bytes()[..], &bytes].concat()
}
