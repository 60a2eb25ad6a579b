//! What the source says of a migration, and how it is opened and left.

use rusqlite::Connection;

use super::{attempt::given_up, build::Context, cutover::DEADLINE, following::Follower};
use crate::{
    capture::{
        self, fence, lock,
        mark::{self, Mark},
    },
    db::source::SourceFile,
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

/// Opens the source to writers again where this attempt has fenced it; capture stays.
///
/// The attempt was given up and can never decide; a later one may have decided since the records
/// were read, and its fence has its own number.
pub(super) async fn lower(context: &Context<'_>, follower: &Follower, attempt: i64) -> Result<()> {
    let (source, schema) = (context.database.source.clone(), follower.schema.clone());
    let id = context.id.clone();
    blocking(move || {
        let own = |mark: &Mark| mark.migration == id && mark.fenced == Some(attempt);
        let Some(connection) = locked(&source, own)? else { return Ok(()) };
        fence::lower(&connection, &schema).map_err(|error| source.explain(error))?;
        failpoint::hit("unfence.before");
        lock::commit(&connection, &source, DEADLINE)?;
        failpoint::hit("unfence.after");
        Ok(())
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

/// A connection that holds the source's write lock, where its mark is as expected.
fn locked(source: &SourceFile, own: impl Fn(&Mark) -> bool) -> Result<Option<Connection>> {
    let connection = source.open()?;
    lock::begin(&connection, source, DEADLINE)?;
    let mark = mark::read(&connection).map_err(|error| source.explain(error))?;
    // Dropped, it rolls back.
    Ok(mark.is_some_and(|mark| own(&mark)).then_some(connection))
}
