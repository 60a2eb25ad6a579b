//! One table of a SQLite file, in a file of its own.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension, config::DbConfig};
use switchback_proto::v1::Finding;

use super::note;
use crate::{
    apply::reverse::unknown_collation,
    census,
    db::source::{SourceFile, stand_in_for_collations},
    dialect::{finding::TRIGGERS_LEFT_OUT, sqlite::quote},
    error::{Error, Reason, Result},
};

/// Copies a table with its rows, rowids and indexes into a new file. Triggers may need other
/// tables: they are left out, and named.
pub(super) fn extract(from: &Path, to: &Path, table: &str) -> Result<Vec<Finding>> {
    let file = SourceFile::new(from);
    let explain = |error| file.explain(error);
    let source = file.open()?;
    let number = |sql: &str| source.query_row(sql, [], |row| row.get::<_, i64>(0));
    let page_size = number("PRAGMA main.page_size").map_err(explain)?;
    let encoding: String =
        source.query_row("PRAGMA main.encoding", [], |row| row.get(0)).map_err(explain)?;
    let found = "SELECT name FROM main.sqlite_schema WHERE type = 'table' AND name = ?1 COLLATE \
                 NOCASE AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND sql NOT LIKE 'CREATE VIRTUAL%'";
    let name: Option<String> =
        source.query_row(found, [table], |row| row.get(0)).optional().map_err(explain)?;
    let name = name.ok_or_else(|| unknown(table))?;
    let schema = census::schema::read(&source, &file)?;
    let read = schema.tables.iter().find(|table| table.name == name);
    if let Some(collation) = read.and_then(unknown_collation) {
        let message = format!("{name} is sorted by {collation}, a collation of the application");
        return Err(Error::new(Reason::RestoreRefused, message)
            .hint("restore the whole backup, whose pages are copied as they are"));
    }
    drop(source);
    let copy = || {
        let target = Connection::open(to)?;
        stand_in_for_collations(&target)?;
        target.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)?;
        target.pragma_update(None, "page_size", page_size)?;
        target.pragma_update(None, "encoding", &encoding)?;
        target.pragma_update(None, "foreign_keys", false)?;
        target.pragma_update(None, "ignore_check_constraints", true)?;
        target.execute("ATTACH ?1 AS source", [from.to_string_lossy()])?;
        target.execute_batch("BEGIN")?;
        copy_table(&target, &name)?;
        let findings = left_out(&target, &name)?;
        target.execute_batch("COMMIT")?;
        Ok(findings)
    };
    copy().map_err(explain)
}

fn copy_table(target: &Connection, name: &str) -> rusqlite::Result<()> {
    let sql = "SELECT sql FROM source.sqlite_schema WHERE tbl_name = ?1 AND type = ?2 AND sql IS \
               NOT NULL ORDER BY rowid";
    let mut statements = target.prepare(sql)?;
    let mut of = |kind: &str| -> rusqlite::Result<Vec<String>> {
        statements.query_map([name, kind], |row| row.get(0))?.collect()
    };
    let (tables, indexes) = (of("table")?, of("index")?);
    for statement in &tables {
        target.execute_batch(statement)?;
    }
    let columns = "SELECT name FROM pragma_table_xinfo(?1, 'source') WHERE hidden = 0";
    let mut columns = target.prepare(columns)?;
    let columns: Vec<String> =
        columns.query_map([name], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    let quoted: Vec<String> = columns.iter().map(|column| quote(column)).collect();
    let rowid = ["rowid", "_rowid_", "oid"]
        .into_iter()
        .find(|name| !columns.iter().any(|column| column.eq_ignore_ascii_case(name)));
    let without = "SELECT wr FROM pragma_table_list(?1) WHERE schema = 'source'";
    let without_rowid: bool = target.query_row(without, [name], |row| row.get(0))?;
    let rowid = rowid.filter(|_| !without_rowid);
    let listed: Vec<&str> = rowid.into_iter().chain(quoted.iter().map(String::as_str)).collect();
    let (listed, name) = (listed.join(", "), quote(name));
    // Whatever the constraints of the table say, nothing is skipped or replaced.
    target.execute_batch(&format!(
        "INSERT OR ABORT INTO main.{name} ({listed}) SELECT {listed} FROM source.{name}"
    ))?;
    for statement in &indexes {
        target.execute_batch(statement)?;
    }
    Ok(())
}

fn left_out(target: &Connection, name: &str) -> rusqlite::Result<Vec<Finding>> {
    let sql = "SELECT count(*) FROM source.sqlite_schema WHERE type = 'trigger' AND tbl_name = ?1";
    let count: i64 = target.query_row(sql, [name], |row| row.get(0))?;
    let sequence =
        "SELECT EXISTS (SELECT 1 FROM main.sqlite_schema WHERE name = 'sqlite_sequence')";
    if target.query_row(sequence, [], |row| row.get::<_, bool>(0))? {
        target.execute("DELETE FROM main.sqlite_sequence WHERE name = ?1", [name])?;
        target.execute(
            "INSERT INTO main.sqlite_sequence SELECT name, seq FROM source.sqlite_sequence WHERE \
             name = ?1",
            [name],
        )?;
    }
    let found = (count > 0).then(|| {
        note(
            TRIGGERS_LEFT_OUT,
            format!("{count} triggers of the table were left out: they may need other tables"),
            "restore the whole backup to see them",
        )
    });
    Ok(found.into_iter().collect())
}

fn unknown(table: &str) -> Error {
    Error::new(Reason::UnknownTable, format!("the backup has no table {table:?}")).hint(
        "names are those of the engine that was backed up; a virtual table goes with the \
               whole backup only",
    )
}
