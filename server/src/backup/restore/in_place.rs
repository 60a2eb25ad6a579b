//! The configured SQLite file, replaced under those who have it open.

use std::{
    io::Read,
    ops::Range,
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::Connection;
use switchback_proto::v1::{Engine, RestoreReport};

use super::{
    Restoration, beside,
    new_file::{remove, unusable},
    note, unfinished,
};
use crate::{
    backup::sqlite,
    capture::lock,
    db::source::SourceFile,
    dialect::finding::MOVED_ASIDE,
    error::{Error, Reason, Result},
    failpoint,
    task::blocking,
};

impl Restoration<'_> {
    /// Writes the backup into the configured file, in one transaction of SQLite: whoever has the
    /// file open goes on with what was restored, and nobody writes into a file without a name.
    pub(super) async fn replace_file(&self) -> Result<RestoreReport> {
        self.refuse_migration().await?;
        let source = &self.database.source;
        let path = source.path();
        let there = path.symlink_metadata().is_ok();
        if there && !self.request.overwrite {
            let message = format!("{} is there already", path.display());
            return Err(Error::new(Reason::RestoreRefused, message).hint(
                "restore to a new file with `--as NAME`, or replace it with --overwrite: it is \
                 backed up first",
            ));
        }
        let file_name = path.file_name().unwrap_or_default().to_string_lossy();
        let made = beside(path, &unfinished(&file_name, self.run));
        let done = async {
            let mut findings = self.write_pages(&made).await?;
            let mut safety = String::new();
            let (file, from) = (source.clone(), made.clone());
            let backed_up = self.backed_up().await?;
            let resumed = backed_up.is_some();
            let hold = move || {
                let connection = hold(&file)?;
                let replaced = resumed && is_same(&connection, &file, &from)?;
                Ok((connection, replaced))
            };
            let held = if there { Some(blocking(hold).await) } else { None };
            match held {
                // An earlier run was cut off behind its commit, and nobody has written since: a
                // backup would be one of what was restored.
                Some(Ok((_, true))) => safety = backed_up.unwrap_or_default().to_owned(),
                Some(Ok((connection, false))) => {
                    safety = self.back_up_first(Engine::Sqlite).await?;
                    failpoint::hit("replace.before");
                    let (file, from) = (source.clone(), made.clone());
                    blocking(move || overwrite(&connection, &file, &from)).await?;
                    failpoint::hit("replace.after");
                }
                Some(Err(error)) if is_beyond_reading(&error) => {
                    let aside = move_aside(path, &self.request.backup_id)?;
                    let message =
                        format!("the file could not be read and was moved to {}", aside.display());
                    findings.push(note(MOVED_ASIDE, message, "remove it once nobody needs it"));
                    sqlite::publish(&made, path)?;
                }
                Some(Err(error)) => return Err(error),
                None => sqlite::publish(&made, path)?,
            }
            Ok::<_, Error>((findings, safety))
        };
        let done = done.await;
        remove(&made);
        let (findings, safety_backup_id) = done?;
        Ok(RestoreReport {
            path: path.display().to_string(),
            bytes: self.manifest.bytes,
            validated: true,
            safety_backup_id,
            findings,
            ..RestoreReport::default()
        })
    }
}

fn is_beyond_reading(error: &Error) -> bool {
    matches!(error.reason(), Reason::SourceNotADatabase | Reason::SourceCorrupt)
}

/// Gives what is no database any more another name, with what SQLite has left beside it.
fn move_aside(path: &Path, backup: &str) -> Result<PathBuf> {
    let with = |path: &Path, suffix: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    };
    let aside = with(path, &format!(".before-{backup}"));
    for suffix in ["-wal", "-shm", "-journal", ""] {
        let from = with(path, suffix);
        if from.symlink_metadata().is_ok() {
            std::fs::rename(&from, with(&aside, suffix))
                .map_err(|error| unusable(&from, &error))?;
        }
    }
    Ok(aside)
}

/// How long it waits for those who write or read.
const WAIT: Duration = Duration::from_secs(10);

/// Takes the write lock: what is written from here on waits, so that all that is replaced is in the
/// backup that is made first.
fn hold(file: &SourceFile) -> Result<Connection> {
    let connection = file.open()?;
    lock::begin(&connection, file, WAIT)?;
    Ok(connection)
}

/// Writes every page of a file that nobody has open into the database that the connection holds,
/// and commits. Whoever has that one open goes on with what was restored.
#[expect(clippy::disallowed_methods, reason = "nobody has the file open that is read")]
fn overwrite(connection: &Connection, file: &SourceFile, from: &Path) -> Result<()> {
    let explain = |error| file.explain(error);
    let number = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0));
    let size = number("PRAGMA main.page_size").map_err(explain)?;
    let unreadable = |error: std::io::Error| unusable(from, &error);
    let mut pages = std::fs::File::open(from).map_err(unreadable)?;
    let mut page = vec![0; usize::try_from(size).unwrap_or_default()];
    let bytes = pages.metadata().map_err(unreadable)?.len();
    pages.read_exact(&mut page).map_err(unreadable)?;
    if page_size(&page) != size {
        return Err(unlike(file));
    }
    let mut first = page.clone();
    adopt_header(connection, &mut first).map_err(explain)?;
    let mut write = connection
        .prepare("INSERT INTO sqlite_dbpage (pgno, data, schema) VALUES (?1, ?2, 'main')")
        .map_err(explain)?;
    let count = bytes.cast_signed() / size;
    for number in 2..=count {
        pages.read_exact(&mut page).map_err(unreadable)?;
        // SQLite locks by the bytes of this one, and never writes it.
        if number != LOCK_BYTE / size + 1 {
            write.execute((number, &page)).map_err(explain)?;
        }
    }
    drop(write);
    // The header last, since the next statement reads the schema that it speaks of; and the end of
    // the file with it, since every page that is written would take that back.
    let end = "INSERT INTO sqlite_dbpage (pgno, data, schema) \
               VALUES (1, ?1, 'main'), (?2, NULL, 'main')";
    connection.execute(end, (&first, count + 1)).map_err(explain)?;
    lock::commit(connection, file, WAIT)
}

/// Whether the database that the connection holds has every page of a file that nobody has open,
/// but for what [`adopt_header`] keeps.
#[expect(clippy::disallowed_methods, reason = "nobody has the file open that is read")]
fn is_same(connection: &Connection, file: &SourceFile, from: &Path) -> Result<bool> {
    let explain = |error| file.explain(error);
    let unreadable = |error: std::io::Error| unusable(from, &error);
    let number = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0));
    let size = number("PRAGMA main.page_size").map_err(explain)?;
    let count = number("PRAGMA main.page_count").map_err(explain)?;
    let mut pages = std::fs::File::open(from).map_err(unreadable)?;
    if pages.metadata().map_err(unreadable)?.len().cast_signed() != count * size {
        return Ok(false);
    }
    let mut page = vec![0; usize::try_from(size).unwrap_or_default()];
    let mut read = connection
        .prepare("SELECT data FROM sqlite_dbpage('main') WHERE pgno = ?1")
        .map_err(explain)?;
    for number in 1..=count {
        pages.read_exact(&mut page).map_err(unreadable)?;
        if number == LOCK_BYTE / size + 1 {
            continue;
        }
        let mut present: Vec<u8> = read.query_row([number], |row| row.get(0)).map_err(explain)?;
        if number == 1 && present.len() == page.len() {
            KEPT.into_iter().for_each(|kept| present[kept.clone()].copy_from_slice(&page[kept]));
        }
        if present != page {
            return Ok(false);
        }
    }
    Ok(true)
}

/// What the first page says of the file itself: its journal mode, how often it was changed, the
/// number of its schema, and who wrote it last.
const KEPT: [Range<usize>; 4] = [18..20, 24..28, 40..44, 92..100];

/// Where SQLite's locks are (SQLite manual, "Database File Format", section 1.5).
const LOCK_BYTE: i64 = 1 << 30;

fn page_size(header: &[u8]) -> i64 {
    // 1 stands for 65,536 (section 1.3.2).
    match i64::from(u16::from_be_bytes([header[16], header[17]])) {
        1 => 65_536,
        size => size,
    }
}

/// Keeps what the first page says of the file itself: its journal mode, and the number of its
/// schema, which must be another one, so that no connection goes on with the schema of before
/// (SQLite manual, "Database File Format", section 1.3).
fn adopt_header(connection: &Connection, page: &mut [u8]) -> rusqlite::Result<()> {
    let sql = "SELECT data FROM sqlite_dbpage('main') WHERE pgno = 1";
    let present: Vec<u8> = connection.query_row(sql, [], |row| row.get(0))?;
    page[18..20].copy_from_slice(&present[18..20]);
    page[24..28].copy_from_slice(&present[24..28]);
    page[92..100].copy_from_slice(&present[92..100]);
    let cookie = |page: &[u8]| u32::from_be_bytes([page[40], page[41], page[42], page[43]]);
    let next = cookie(&present).max(cookie(page)).wrapping_add(1);
    page[40..44].copy_from_slice(&next.to_be_bytes());
    Ok(())
}

fn unlike(to: &SourceFile) -> Error {
    let message = format!("{} has pages of another size than the backup", to.path().display());
    Error::new(Reason::RestoreRefused, message).hint(
        "restore under another name (`--as NAME`), stop the applications, and put that file \
               in its place",
    )
}
