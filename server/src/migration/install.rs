//! Putting change capture into the source.

use std::time::Duration;

use super::journal::Journal;
use crate::{
    capture::{guard, lock, mark},
    db::{Database, source::SourceFile},
    dialect::capture::keyed_schema,
    error::{Error, Reason, Result},
    failpoint,
    task::blocking,
};

/// How long it waits for SQLite's write lock at a time.
const LOCK_WAIT: Duration = Duration::from_secs(5);

/// Puts change capture into the source, unless it is there.
pub(super) async fn install(database: &Database, journal: &Journal, migration: &str) -> Result<()> {
    let (source, migration) = (database.source.clone(), migration.to_owned());
    let schema = keyed_schema(journal.schema()?, journal.plan()?);
    blocking(move || {
        let connection = source.open()?;
        let explain = |error| source.explain(error);
        if connection.is_readonly(rusqlite::MAIN_DB).map_err(explain)? {
            return Err(read_only(&source));
        }
        lock::begin(&connection, &source, LOCK_WAIT)?;
        match mark::read(&connection).map_err(explain)? {
            Some(mark) if mark.migration == migration => return Ok(()),
            Some(mark) => return Err(mark::foreign(&source, &mark)),
            None => {}
        }
        let now = crate::census::schema::read(&connection, &source)?;
        if now.fingerprint != schema.fingerprint {
            return Err(guard::changed(&schema, &now));
        }
        crate::capture::install(&connection, &source, &schema, &migration)?;
        failpoint::hit("install.before");
        lock::commit(&connection, &source, LOCK_WAIT)?;
        failpoint::hit("install.after");
        Ok(())
    })
    .await
}

/// What cannot be written to cannot be followed or fenced either.
fn read_only(source: &SourceFile) -> Error {
    let message = format!(
        "{} is read-only: its changes cannot be captured and its writers cannot be refused",
        source.path().display()
    );
    Error::new(Reason::SourceUnreadable, message)
        .hint("the server's user needs write access to the file and its directory")
}
