//! The configured SQLite file, replaced under those who have it open.

use std::{
    io::Read,
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::Connection;
use switchback_proto::v1::{Engine, Finding, RestoreReport};

use super::{
    Replacing, Restoration, beside, digits,
    new_file::{PUBLISHED, remove, unusable},
    note, unfinished,
};
use crate::{
    backup::sqlite,
    capture::{self, lock, mark, seal},
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
        let path = self.database.source.path();
        let file_name = path.file_name().unwrap_or_default().to_string_lossy();
        let made = beside(path, &unfinished(&file_name, self.run));
        let journal = self.run.journal.as_str();
        let report = RestoreReport {
            path: path.display().to_string(),
            bytes: self.manifest.bytes,
            validated: true,
            ..RestoreReport::default()
        };
        if journal == PUBLISHED && path.exists() {
            remove(&made);
            return Ok(report);
        }
        if let Some(Replacing { safety, cookie: Some(cookie) }) = self.replacing() {
            self.backups.repository.unmark(&safety).await?;
            if self.is_replaced(cookie).await? {
                remove(&made);
                return Ok(RestoreReport { safety_backup_id: safety, ..report });
            }
        }
        self.refuse_migration().await?;
        let there = path.symlink_metadata().is_ok();
        if there && !self.request.overwrite {
            let message = format!("{} is there already", path.display());
            return Err(Error::new(Reason::RestoreRefused, message).hint(
                "restore to a new file with `--as NAME`, or replace it with --overwrite: it is \
                 backed up first",
            ));
        }
        let done = async {
            let mut findings = self.write_pages(&made).await?;
            let (more, safety) = self.put_in_place(&made, there).await?;
            findings.extend(more);
            Ok::<_, Error>((findings, safety))
        };
        let done = done.await;
        remove(&made);
        let (findings, safety_backup_id) = done?;
        Ok(RestoreReport { safety_backup_id, findings, ..report })
    }

    /// Puts a finished file in the place of the configured one; the backup of that.
    async fn put_in_place(&self, made: &Path, there: bool) -> Result<(Vec<Finding>, String)> {
        let source = &self.database.source;
        if !there {
            self.publish(made).await?;
            return Ok((Vec::new(), String::new()));
        }
        let file = source.clone();
        match blocking(move || hold(&file)).await {
            Ok(connection) => {
                let known = self.replacing().map(|replacing| replacing.safety);
                let safety = self.back_up_first(Engine::Sqlite, known.as_deref()).await?;
                self.overwrite(connection, made, &safety).await?;
                Ok((Vec::new(), safety))
            }
            Err(error) if !is_beyond_reading(&error) => Err(error),
            Err(_) => {
                let aside = move_aside(source.path(), digits(self.run))?;
                let message =
                    format!("the file could not be read and was moved to {}", aside.display());
                self.publish(made).await?;
                let hint = "remove it once nobody needs it";
                Ok((vec![note(MOVED_ASIDE, message, hint)], String::new()))
            }
        }
    }

    async fn overwrite(&self, connection: Connection, made: &Path, safety: &str) -> Result<()> {
        let cookie = new_cookie();
        let replacing = Replacing { safety: safety.to_owned(), cookie: Some(cookie) };
        self.record(&replacing.to_json()?).await?;
        failpoint::hit("replace.before");
        let (file, from) = (self.database.source.clone(), made.to_owned());
        blocking(move || overwrite(&connection, &file, (&from, cookie))).await?;
        failpoint::hit("replace.after");
        Ok(())
    }

    async fn publish(&self, made: &Path) -> Result<()> {
        self.record(PUBLISHED).await?;
        sqlite::publish(made, self.database.source.path())
    }

    /// Whether an earlier run of the operation has committed: applications have written since.
    async fn is_replaced(&self, cookie: u32) -> Result<bool> {
        let (source, cookie) = (self.database.source.clone(), i64::from(cookie));
        blocking(move || {
            let connection = source.open()?;
            let sql = "PRAGMA main.schema_version";
            let version: i64 = connection
                .query_row(sql, [], |row| row.get(0))
                .map_err(|error| source.explain(error))?;
            // Applications may have changed their schema meanwhile.
            Ok((cookie..cookie + SCHEMA_CHANGES).contains(&version))
        })
        .await
    }
}

/// Room for changes of the schema between a kill and the next start.
const SCHEMA_CHANGES: i64 = 100_000;

/// A number that no schema has by counting, with room above it.
fn new_cookie() -> u32 {
    let [.., a, b, c, d] = uuid::Uuid::now_v7().into_bytes();
    0x4000_0000 | (u32::from_be_bytes([a, b, c, d]) & 0x3ff0_0000) | 1
}

fn is_beyond_reading(error: &Error) -> bool {
    matches!(error.reason(), Reason::SourceNotADatabase | Reason::SourceCorrupt)
}

/// Gives what is no database any more another name, with what SQLite has left beside it.
fn move_aside(path: &Path, operation: &str) -> Result<PathBuf> {
    let with = |path: &Path, suffix: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    };
    let aside = with(path, &format!(".before-{operation}"));
    for suffix in ["", "-wal", "-shm", "-journal"] {
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
fn overwrite(
    connection: &Connection,
    file: &SourceFile,
    (from, cookie): (&Path, u32),
) -> Result<()> {
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
    lock::commit(connection, file, WAIT)
}

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
