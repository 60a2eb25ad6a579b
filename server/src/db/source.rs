//! Reading the source file: one rusqlite connection a thread, never writing.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::{Connection, ErrorCode, OpenFlags, config::DbConfig, types::ValueRef};

use crate::{
    dialect::value::Value,
    error::{Error, Newer, Reason, Result},
};

/// How long a reader waits for a writer's lock.
pub(crate) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// A connection that reads the source file.
///
/// It is opened for writing, so that SQLite can recover a hot journal or a write-ahead log that
/// a crashed application left (SQLite manual, "Write-Ahead Logging", section 5), and then set
/// to `query_only`.
pub fn open(path: &Path) -> Result<Connection> {
    // Only `stat`: a plain open() would drop SQLite's POSIX locks when it is closed.
    let metadata = std::fs::metadata(path).map_err(|error| missing(path, &error))?;
    if metadata.is_dir() {
        return Err(Error::new(
            Reason::SourceUnreadable,
            format!("{} is a directory, not a SQLite file", path.display()),
        )
        .hint("check SWITCHBACK_SQLITE: it names the file itself"));
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let log_left = has_log(path);
    let connection = Connection::open_with_flags(path, flags).map_err(|e| explain(path, e))?;
    if log_left {
        connection
            .set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)
            .map_err(|error| explain(path, error))?;
    }
    prepare(&connection).map_err(|error| explain(path, error))?;
    Ok(connection)
}

/// Whether there is a write-ahead log with something in it.
///
/// One that the application left stays as it is: the last connection to close would move it into
/// the file, which is a write. Without one, SQLite removes on closing what it made on opening.
pub(super) fn has_log(path: &Path) -> bool {
    // SQLite keeps the log beside the file that a symbolic link leads to.
    let mut log = path.canonicalize().unwrap_or_else(|_| path.to_owned()).into_os_string();
    log.push("-wal");
    std::fs::metadata(log).is_ok_and(|log| log.len() > 0)
}

fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "query_only", true)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    // A check of the file evaluates CHECKs too, and one that overflows would end it.
    connection.pragma_update(None, "ignore_check_constraints", true)?;
    stand_in_for_collations(connection)?;
    // Touches the file: a connection that cannot read fails here, not in the middle.
    connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))
}

/// Lets SQLite read what is sorted by a collation that only the application brings.
///
/// SQLite has no plan, not even for a scan, for a table WITHOUT ROWID whose key is under such a
/// collation, and cannot check it. Bytes will do, as long as nobody relies on the order or looks a
/// key up.
pub(crate) fn stand_in_for_collations(connection: &Connection) -> rusqlite::Result<()> {
    connection.collation_needed(|connection, name| {
        connection.create_collation(name, |left, right| left.cmp(right))
    })
}

pub(crate) fn missing(path: &Path, error: &std::io::Error) -> Error {
    if error.kind() == std::io::ErrorKind::NotFound {
        return Error::new(Reason::SourceMissing, format!("no SQLite file at {}", path.display()))
            .hint("check SWITCHBACK_SQLITE; the server must see the file under this path");
    }
    Error::new(Reason::SourceUnreadable, format!("cannot read {}: {error}", path.display()))
        .hint("the server's user needs read and write access to the file and its directory")
}

/// Turns what SQLite said into an error that names the file and says what to do.
pub fn explain(path: &Path, error: rusqlite::Error) -> Error {
    if let Some(newer) = newer(&error) {
        return newer.into_error(Reason::SourceFenced);
    }
    let path = path.display();
    let code = error.sqlite_error_code();
    let (reason, message, hint) = match code {
        Some(ErrorCode::NotADatabase) => (
            Reason::SourceNotADatabase,
            format!("{path} is not a SQLite database, or it is encrypted"),
            "an encrypted file (SQLCipher, SEE) must be decrypted with its own tool first",
        ),
        Some(ErrorCode::DatabaseCorrupt) => (
            Reason::SourceCorrupt,
            format!("{path} is damaged: SQLite cannot read all of it"),
            "restore a backup, or recover what is left with `sqlite3 FILE .recover`",
        ),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => (
            Reason::SourceLocked,
            format!("{path} is locked by another process"),
            "wait until the process that holds an exclusive lock has finished, then try again",
        ),
        Some(ErrorCode::CannotOpen | ErrorCode::PermissionDenied | ErrorCode::ReadOnly) => (
            Reason::SourceUnreadable,
            format!("{path} (or its -journal, -wal or -shm file) cannot be opened"),
            "the server's user needs read and write access to the file and its directory",
        ),
        Some(ErrorCode::SystemIoFailure) => (
            Reason::SourceUnreadable,
            format!("reading {path} failed"),
            "check the disk and the file system; network file systems are not supported",
        ),
        Some(ErrorCode::DiskFull) => (
            Reason::StateFull,
            format!("no space left while reading {path}: SQLite needs room for temporary files"),
            "free some space, or point SQLITE_TMPDIR at a larger disk, then try again",
        ),
        _ => (Reason::SourceFailed, format!("reading {path} failed: {error}"), ""),
    };
    let wrapped = Error::new(reason, message).caused_by(error);
    if hint.is_empty() { wrapped } else { wrapped.hint(hint) }
}

/// What of ours in the file a later version has written.
fn newer(error: &rusqlite::Error) -> Option<Newer> {
    let rusqlite::Error::FromSqlConversionFailure(_, _, why) = error else { return None };
    why.downcast_ref::<Newer>().copied()
}

/// Where the source file is; errors of rusqlite become the service's own through it.
#[derive(Debug, Clone)]
pub struct SourceFile(PathBuf);

impl SourceFile {
    /// Names a file; nothing is opened.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// The path.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Opens a connection for reading.
    pub fn open(&self) -> Result<Connection> {
        open(&self.0)
    }

    /// For `map_err`.
    pub fn explain(&self, error: rusqlite::Error) -> Error {
        explain(&self.0, error)
    }
}

/// A value of the current row, without a copy and without a look at the declared type.
pub fn value<'a>(row: &'a rusqlite::Row<'_>, column: usize) -> rusqlite::Result<Value<'a>> {
    Ok(match row.get_ref(column)? {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(value) => Value::Integer(value),
        ValueRef::Real(value) => Value::Real(value),
        ValueRef::Text(bytes) => Value::Text(bytes),
        ValueRef::Blob(bytes) => Value::Blob(bytes),
    })
}
