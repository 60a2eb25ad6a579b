//! What the source says of a migration, and how it is opened and left.

use std::sync::Arc;

use rusqlite::Connection;
use switchback_proto::v1::KeepSource;

use super::{attempt::given_up, cutover::DEADLINE};
use crate::{
    capture::{
        self, fence, guard, lock,
        mark::{self, Mark},
        seal,
    },
    db::source::SourceFile,
    dialect::schema::SourceSchema,
    error::Result,
    failpoint,
    task::blocking,
};

/// The attempt of this migration that fenced the source.
pub(super) async fn fenced(source: &SourceFile, id: &str) -> Result<Option<i64>> {
    let (source, id) = (source.clone(), id.to_owned());
    blocking(move || {
        let connection = source.open()?;
        match mark::read(&connection).map_err(|error| source.explain(error))? {
            Some(mark) if mark.migration == id => Ok(mark.fenced),
            Some(mark) => Err(mark::foreign(&source, &mark)),
            None => Ok(None),
        }
    })
    .await
}

/// Refuses a source that a migration which is not known here has marked.
pub(super) async fn refuse_marked(source: &SourceFile) -> Result<()> {
    let mark = marked(source).await?;
    mark.map_or(Ok(()), |mark| Err(mark::foreign(source, &mark)))
}

/// The source's mark; `None` where no migration has left one.
pub(super) async fn marked(source: &SourceFile) -> Result<Option<Mark>> {
    let source = source.clone();
    blocking(move || {
        let connection = source.open()?;
        mark::read(&connection).map_err(|error| source.explain(error))
    })
    .await
}

/// The source's `PRAGMA schema_version` while it was fenced, and since it is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lowered {
    pub(super) before: i64,
    pub(super) after: i64,
}

/// Opens the source to writers again where this attempt has fenced it; capture stays.
///
/// The attempt was given up and can never decide; a later one may have decided since the records
/// were read, and its fence has its own number.
pub(super) async fn lower(
    source: &SourceFile,
    schema: &Arc<SourceSchema>,
    id: &str,
    attempt: i64,
) -> Result<Option<Lowered>> {
    let (source, schema, id) = (source.clone(), Arc::clone(schema), id.to_owned());
    blocking(move || {
        let own = |mark: &Mark| mark.migration == id && mark.fenced == Some(attempt);
        let Some(connection) = locked(&source, own)? else { return Ok(None) };
        let explain = |error| source.explain(error);
        let before = guard::schema_version(&connection).map_err(explain)?;
        fence::lower(&connection, &schema).map_err(explain)?;
        let after = guard::schema_version(&connection).map_err(explain)?;
        failpoint::hit("unfence.before");
        lock::commit(&connection, &source, DEADLINE)?;
        failpoint::hit("unfence.after");
        Ok(Some(Lowered { before, after }))
    })
    .await
}

/// The lock of a source that this migration left open: an older copy of the one that was fenced.
pub(super) async fn lock_open(source: &SourceFile, id: &str) -> Result<Option<Connection>> {
    let (source, id) = (source.clone(), id.to_owned());
    blocking(move || locked(&source, |mark| mark.migration == id && mark.fenced.is_none())).await
}

/// Fences the source again. Its lock is held.
pub(super) async fn fence_again(
    connection: Connection,
    source: &SourceFile,
    schema: &Arc<SourceSchema>,
    (attempt, moved): (i64, &str),
) -> Result<()> {
    let (source, schema, moved) = (source.clone(), Arc::clone(schema), moved.to_owned());
    blocking(move || {
        fence::raise(&connection, &schema, attempt, &moved).map_err(|e| source.explain(e))?;
        lock::commit(&connection, &source, DEADLINE)
    })
    .await
}

/// Removes everything of a migration from the source.
pub(super) async fn leave(source: &SourceFile, id: &str, attempt: i64) -> Result<()> {
    let (source, id) = (source.clone(), id.to_owned());
    blocking(move || {
        let explain = |error| source.explain(error);
        let connection = source.open()?;
        lock::begin(&connection, &source, DEADLINE)?;
        let mark = mark::read(&connection).map_err(explain)?;
        let ours = match &mark {
            Some(mark) => mark.migration == id,
            // Somebody has removed the mark and left the rest.
            None => capture::is_unmarked(&connection).map_err(explain)?,
        };
        if !ours {
            // Dropped, it rolls back.
            return Ok(());
        }
        // What was given up says nothing of a later attempt, which may have decided.
        if mark.and_then(|mark| mark.fenced).is_some_and(|fenced| fenced > attempt) {
            return Err(given_up());
        }
        capture::remove(&connection).map_err(explain)?;
        failpoint::hit("leave.before");
        lock::commit(&connection, &source, DEADLINE)?;
        failpoint::hit("leave.after");
        Ok(())
    })
    .await
}

/// Leaves the source as a finalized migration leaves it. PostgreSQL is the only engine by now.
pub(super) async fn finish(source: &SourceFile, id: &str, keep: KeepSource) -> Result<()> {
    let (source, id) = (source.clone(), id.to_owned());
    blocking(move || {
        // Somebody may have moved it away.
        if !source.path().exists() {
            return Ok(());
        }
        let explain = |error| source.explain(error);
        let connection = source.open()?;
        // The server died behind the commit.
        if seal::is_on(&connection).map_err(explain)? {
            settle(&connection);
            return Ok(());
        }
        if !lock_own(&connection, &source, |mark| mark.migration == id)? {
            return Ok(());
        }
        match keep {
            KeepSource::Clean => capture::remove(&connection),
            KeepSource::Sealed => {
                capture::remove(&connection).and_then(|()| seal::put_on(&connection))
            }
            KeepSource::Unspecified | KeepSource::Fenced => {
                capture::remove_all_but_fence(&connection)
            }
        }
        .map_err(explain)?;
        failpoint::hit("finish.before");
        lock::commit(&connection, &source, DEADLINE)?;
        failpoint::hit("finish.after");
        if keep == KeepSource::Sealed {
            settle(&connection);
        }
        Ok(())
    })
    .await
}

/// Makes a sealed file complete by itself where that can be done; it is sealed all the same.
fn settle(connection: &Connection) {
    match seal::settle(connection, DEADLINE) {
        Ok(true) => {}
        Ok(false) => tracing::warn!("a reader keeps the write-ahead log beside the sealed file"),
        Err(error) => tracing::warn!(%error, "the write-ahead log stays beside the sealed file"),
    }
}

/// A connection that holds the source's write lock, where its mark is as expected.
fn locked(source: &SourceFile, own: impl Fn(&Mark) -> bool) -> Result<Option<Connection>> {
    let connection = source.open()?;
    // Dropped, it rolls back.
    Ok(lock_own(&connection, source, own)?.then_some(connection))
}

/// Takes the write lock, and says whether the mark is as expected.
fn lock_own(
    connection: &Connection,
    source: &SourceFile,
    own: impl Fn(&Mark) -> bool,
) -> Result<bool> {
    lock::begin(connection, source, DEADLINE)?;
    let mark = mark::read(connection).map_err(|error| source.explain(error))?;
    Ok(mark.is_some_and(|mark| own(&mark)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{census, error::Reason};

    /// A file that the attempt 2 of the migration `m` has fenced.
    fn fenced_by_two() -> (tempfile::TempDir, SourceFile, Arc<SourceSchema>) {
        let directory = tempfile::tempdir().unwrap();
        let file = SourceFile::new(directory.path().join("a.db"));
        let connection = Connection::open(file.path()).unwrap();
        connection.execute_batch("CREATE TABLE t (id INTEGER PRIMARY KEY)").unwrap();
        let schema = census::schema::read(&connection, &file).unwrap();
        capture::install(&connection, &file, &schema, "m").unwrap();
        fence::raise(&connection, &schema, 2, "elsewhere").unwrap();
        (directory, file, Arc::new(schema))
    }

    fn takes_writes(file: &SourceFile) -> bool {
        let application = Connection::open(file.path()).unwrap();
        application.execute_batch("INSERT INTO t DEFAULT VALUES").is_ok()
    }

    fn objects(file: &SourceFile) -> i64 {
        let sql = "SELECT count(*) FROM sqlite_schema WHERE name LIKE '%switchback%'";
        Connection::open(file.path()).unwrap().query_row(sql, [], |row| row.get(0)).unwrap()
    }

    /// A coordinator that was paused may wake up here after another one has decided.
    #[tokio::test]
    async fn only_the_attempt_that_was_given_up_is_opened() {
        let (_directory, file, schema) = fenced_by_two();
        for (id, attempt) in [("m", 1), ("m", 3), ("other", 2)] {
            lower(&file, &schema, id, attempt).await.unwrap();
            assert!(!takes_writes(&file), "{id} {attempt}");
        }
        lower(&file, &schema, "m", 2).await.unwrap();
        assert!(takes_writes(&file));
        assert_eq!(fenced(&file, "m").await.unwrap(), None);
        assert!(objects(&file) > 0, "capture stays");
    }

    #[tokio::test]
    async fn what_a_later_attempt_has_fenced_is_not_left() {
        let (_directory, file, _) = fenced_by_two();
        let error = leave(&file, "m", 1).await.unwrap_err();
        assert_eq!(error.reason(), Reason::CutoverFailed);
        leave(&file, "other", 9).await.unwrap();
        assert!(!takes_writes(&file));
        assert_eq!(fenced(&file, "m").await.unwrap(), Some(2));
        leave(&file, "m", 2).await.unwrap();
        assert!(takes_writes(&file));
        assert_eq!(objects(&file), 0);
    }

    #[tokio::test]
    async fn a_source_that_is_sealed_already_is_finished() {
        let (_directory, file, _) = fenced_by_two();
        finish(&file, "other", KeepSource::Sealed).await.unwrap();
        assert_eq!(fenced(&file, "m").await.unwrap(), Some(2));
        for _ in 0..2 {
            finish(&file, "m", KeepSource::Sealed).await.unwrap();
            assert!(!takes_writes(&file));
            assert_eq!(objects(&file), 0);
        }
        // Nor does anything else that may still look at it fail.
        assert_eq!(marked(&file).await.unwrap(), None);
        leave(&file, "m", 2).await.unwrap();
    }
}
