//! Makes sure that the source is the one that was planned for, and that nobody writes to it.

use std::{fs, os::unix::fs::MetadataExt, path::Path, time::Duration};

use rusqlite::{Connection, MAIN_DB};

use crate::{
    capture::lock,
    census,
    copy::reader::changed,
    db::source::{SourceFile, missing},
    dialect::schema::SourceSchema,
    error::{Error, Reason, Result},
    task::blocking,
};

/// Refuses a source whose schema is not the one that the plan was made from. It may have changed
/// between two phases, or while the server was down.
pub(super) async fn unchanged_schema(source: &SourceFile, planned: &SourceSchema) -> Result<()> {
    let (source, planned) = (source.clone(), planned.fingerprint.clone());
    blocking(move || {
        let connection = source.open()?;
        let now = census::schema::read(&connection, &source)?;
        if now.fingerprint == planned { Ok(()) } else { Err(changed()) }
    })
    .await
}

/// Notices every commit of another connection (`PRAGMA data_version`), and that the path names
/// another file by now.
pub(super) struct SourceWatch {
    source: SourceFile,
    connection: Connection,
    version: i64,
    file: FileId,
}

impl SourceWatch {
    pub(super) async fn start(source: &SourceFile) -> Result<Self> {
        let source = source.clone();
        blocking(move || {
            let file = FileId::of(source.path())?;
            let connection = source.open()?;
            let version = data_version(&connection).map_err(|error| source.explain(error))?;
            Ok(Self { source, connection, version, file })
        })
        .await
    }

    /// Takes the write lock, if nobody has written to the source and it is the same file.
    pub(super) fn lock(self, deadline: Duration) -> Result<Connection> {
        if FileId::of(self.source.path())? != self.file {
            return Err(was("replaced"));
        }
        let explain = |error| self.source.explain(error);
        if self.connection.is_readonly(MAIN_DB).map_err(explain)? {
            return Err(unfenceable(&self.source));
        }
        self.connection.pragma_update(None, "query_only", false).map_err(explain)?;
        lock::begin(&self.connection, &self.source, deadline).map_err(|error| {
            match error.reason() {
                Reason::SourceLocked => late(deadline).caused_by(error),
                _ => error,
            }
        })?;
        if data_version(&self.connection).map_err(explain)? == self.version {
            return Ok(self.connection);
        }
        Err(was("written to"))
    }
}

fn late(deadline: Duration) -> Error {
    let message = format!("the source's write lock was not free within {deadline:?}");
    Error::new(Reason::CutoverFailed, message)
        .hint("a transaction of an application stays open: end it, then migrate again")
}

/// What cannot be written to cannot be fenced either.
fn unfenceable(source: &SourceFile) -> Error {
    let message =
        format!("{} is read-only: its writers cannot be refused", source.path().display());
    Error::new(Reason::SourceUnreadable, message)
        .hint("the server's user needs write access to the file and its directory")
}

fn was(what: &str) -> Error {
    Error::new(Reason::SourceChanged, format!("the source was {what} while it was validated"))
        .hint("stop the applications that write to the SQLite file, then migrate again")
}

fn data_version(connection: &rusqlite::Connection) -> rusqlite::Result<i64> {
    connection.query_row("PRAGMA data_version", [], |row| row.get(0))
}

/// Device and inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FileId(u64, u64);

impl FileId {
    fn of(path: &Path) -> Result<Self> {
        let found = fs::metadata(path).map_err(|error| missing(path, &error))?;
        Ok(Self(found.dev(), found.ino()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> (tempfile::TempDir, SourceFile) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.db");
        Connection::open(&path).unwrap().execute_batch("CREATE TABLE t (a)").unwrap();
        (directory, SourceFile::new(path))
    }

    fn write(source: &SourceFile, sql: &str) {
        Connection::open(source.path()).unwrap().execute_batch(sql).unwrap();
    }

    #[tokio::test]
    async fn what_happens_to_the_source_is_noticed() {
        let (_directory, source) = sample();
        let soon = Duration::from_millis(20);
        drop(SourceWatch::start(&source).await.unwrap().lock(soon).unwrap());

        let watch = SourceWatch::start(&source).await.unwrap();
        write(&source, "INSERT INTO t VALUES (1)");
        assert_eq!(watch.lock(soon).unwrap_err().reason(), Reason::SourceChanged);

        let watch = SourceWatch::start(&source).await.unwrap();
        let writer = Connection::open(source.path()).unwrap();
        writer.execute_batch("BEGIN; INSERT INTO t VALUES (2)").unwrap();
        assert_eq!(watch.lock(soon).unwrap_err().reason(), Reason::CutoverFailed);
        drop(writer);

        let watch = SourceWatch::start(&source).await.unwrap();
        let other = source.path().with_extension("other");
        fs::copy(source.path(), &other).unwrap();
        fs::rename(&other, source.path()).unwrap();
        assert_eq!(watch.lock(soon).unwrap_err().reason(), Reason::SourceChanged);

        let watch = SourceWatch::start(&source).await.unwrap();
        fs::remove_file(source.path()).unwrap();
        assert_eq!(watch.lock(soon).unwrap_err().reason(), Reason::SourceMissing);
    }

    #[tokio::test]
    async fn another_schema_is_refused() {
        let (_directory, source) = sample();
        let planned = census::schema::read(&source.open().unwrap(), &source).unwrap();
        write(&source, "INSERT INTO t VALUES (1); VACUUM");
        unchanged_schema(&source, &planned).await.unwrap();
        write(&source, "ALTER TABLE t ADD COLUMN b");
        let error = unchanged_schema(&source, &planned).await.unwrap_err();
        assert_eq!(error.reason(), Reason::SourceChanged);
    }
}
