//! Every page of a SQLite file, written over a database that others have open.

use std::{io::Read, ops::Range, path::Path, time::Duration};

use rusqlite::Connection;

use super::new_file::unusable;
use crate::{
    capture::{self, lock, mark, seal},
    db::source::SourceFile,
    error::{Error, Reason, Result},
};

/// How long it waits for those who write or read.
const WAIT: Duration = Duration::from_secs(10);

/// Takes the write lock: what is written from here on waits, so that all that is replaced is in the
/// backup that is made first.
pub(super) fn hold(file: &SourceFile) -> Result<Connection> {
    let explain = |error| file.explain(error);
    let connection = file.open()?;
    if seal::is_on(&connection).map_err(explain)? {
        return Err(fenced(file));
    }
    lock::begin(&connection, file, WAIT)?;
    // A migration of whatever server: the record of this one may know nothing of it.
    if mark::read(&connection).map_err(explain)?.is_some()
        || capture::log::is_there(&connection).map_err(explain)?
    {
        return Err(fenced(file));
    }
    // Pages that do not fit into memory go to the file, for which readers are waited for.
    connection.busy_timeout(WAIT).map_err(explain)?;
    let vacuum: i64 =
        connection.query_row("PRAGMA main.auto_vacuum", [], |row| row.get(0)).map_err(explain)?;
    if vacuum == FULL {
        // It would vacuum at the commit, by what it knows of the file from before.
        connection.pragma_update(None, "auto_vacuum", INCREMENTAL).map_err(explain)?;
    }
    Ok(connection)
}

/// Values of `PRAGMA auto_vacuum`.
const FULL: i64 = 1;
const INCREMENTAL: i64 = 2;

fn fenced(file: &SourceFile) -> Error {
    let message = format!("{} belongs to a migration, or was sealed by one", file.path().display());
    Error::new(Reason::RestoreRefused, message).hint(
        "restore to a new file with `--as NAME`: while PostgreSQL is the active engine this one \
         must take no writes",
    )
}

/// Writes every page of a file that nobody has open into the database that the connection holds,
/// and commits. Whoever has that one open goes on with what was restored.
#[expect(clippy::disallowed_methods, reason = "nobody has the file open that is read")]
pub(super) fn overwrite(
    connection: &Connection,
    file: &SourceFile,
    (from, cookie): (&Path, u32),
) -> Result<bool> {
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
    // Another schema: no connection goes on with the one from before.
    first[40..44].copy_from_slice(&cookie.to_be_bytes());
    let mut write = connection
        .prepare("INSERT INTO sqlite_dbpage (pgno, data, schema) VALUES (?1, ?2, 'main')")
        .map_err(explain)?;
    let count = bytes.cast_signed() / size;
    let pages_now = u32::try_from(count).unwrap_or_default();
    first[28..32].copy_from_slice(&pages_now.to_be_bytes());
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
    lock::commit(connection, file, WAIT)?;
    // Not by this connection, which knows the file from before.
    is_same(&file.open()?, file, from)
}

/// Whether the database has every page of a file that nobody has open, but for what the first page
/// says of the file itself. Somebody may have written since, and then it has not.
#[expect(clippy::disallowed_methods, reason = "nobody has the file open that is read")]
fn is_same(connection: &Connection, file: &SourceFile, from: &Path) -> Result<bool> {
    let explain = |error| file.explain(error);
    let unreadable = |error: std::io::Error| unusable(from, &error);
    connection.execute_batch("BEGIN").map_err(explain)?;
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
        if number == 1 {
            for own in OWN {
                present[own.clone()].copy_from_slice(&page[own]);
            }
        }
        if present != page {
            return Ok(false);
        }
    }
    Ok(true)
}

/// What the first page says of the file itself: its journal mode, how often it has changed, how
/// many pages it has, the number of its schema, and who wrote it last.
const OWN: [Range<usize>; 5] = [18..20, 24..28, 28..32, 40..44, 92..100];

/// Where SQLite's locks are (SQLite manual, "Database File Format", section 1.5).
const LOCK_BYTE: i64 = 1 << 30;

fn page_size(header: &[u8]) -> i64 {
    // 1 stands for 65,536 (section 1.3.2).
    match i64::from(u16::from_be_bytes([header[16], header[17]])) {
        1 => 65_536,
        size => size,
    }
}

/// Keeps what the first page says of the file itself: its journal mode, and the counters by which
/// others see that it has changed (SQLite manual, "Database File Format", section 1.3).
fn adopt_header(connection: &Connection, page: &mut [u8]) -> rusqlite::Result<()> {
    let sql = "SELECT data FROM sqlite_dbpage('main') WHERE pgno = 1";
    let present: Vec<u8> = connection.query_row(sql, [], |row| row.get(0))?;
    for own in [18..20, 24..28, 92..100] {
        page[own.clone()].copy_from_slice(&present[own]);
    }
    Ok(())
}

fn unlike(to: &SourceFile) -> Error {
    let message = format!("{} has pages of another size than the backup", to.path().display());
    Error::new(Reason::RestoreRefused, message).hint(
        "restore under another name (`--as NAME`), stop the applications, and put that file \
               in its place",
    )
}
