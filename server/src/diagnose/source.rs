//! The SQLite file and its directory.

use std::path::Path;

use switchback_proto::v1::Engine;

use super::{checks::Checks, disk};
use crate::{
    db::{
        Database,
        source::{explain, open},
    },
    error::Result,
    task::blocking,
};

/// What is asked of a file.
struct Facts {
    journal_mode: String,
    is_readonly: bool,
    bytes: u64,
}

/// Tests the file of a database.
pub(super) async fn test(database: &Database, checks: &mut Checks) {
    let path = database.config.sqlite.clone();
    let read = path.clone();
    let facts = match blocking(move || facts(&read)).await {
        Ok(facts) => facts,
        Err(error) => return checks.refused("sqlite", &error),
    };
    let active = database.standing.active().map(|(engine, _)| engine);
    if !facts.is_readonly {
        checks.ok("sqlite", format!("{}: readable and writable", path.display()));
    } else if active == Some(Engine::Postgres) {
        // As a sealed one is.
        checks.ok("sqlite", format!("{}: read-only, and not the active engine", path.display()));
    } else {
        let hint = "let the server's user write the file: a migration records changes in it";
        checks.fail("sqlite", format!("{} is read-only", path.display()), hint);
    }
    journal(&facts.journal_mode, checks);
    // Changes are recorded in the file until they are applied, and its log grows meanwhile.
    let room = disk::ROOM.max(facts.bytes / 10);
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    disk::directory("sqlite_dir", parent.unwrap_or(Path::new(".")), room, checks).await;
}

fn journal(mode: &str, checks: &mut Checks) {
    match mode {
        "wal" => checks.ok("journal_mode", "wal: writers do not wait for readers"),
        "memory" | "off" => {
            let message = format!("{mode}: a crash of the application can damage the file");
            checks.warn("journal_mode", message, "set PRAGMA journal_mode = WAL");
        }
        other => {
            let message = format!("{other}: writers wait while the file is read");
            let hint = "PRAGMA journal_mode = WAL lets applications write meanwhile";
            checks.warn("journal_mode", message, hint);
        }
    }
}

fn facts(path: &Path) -> Result<Facts> {
    let connection = open(path)?;
    let asked = || {
        let number = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0));
        let bytes = number("PRAGMA page_count")?.saturating_mul(number("PRAGMA page_size")?);
        Ok(Facts {
            journal_mode: connection.query_row("PRAGMA journal_mode", [], |row| row.get(0))?,
            is_readonly: connection.is_readonly("main")?,
            bytes: bytes.unsigned_abs(),
        })
    };
    asked().map_err(|error| explain(path, error))
}
