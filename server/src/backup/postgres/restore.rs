//! A database out of a backup: made beside the others under a name that says it is not ready,
//! filled, validated, and only then given its name.

mod archive;
mod check;
mod empty;
mod fill;
mod load;
mod properties;
mod server;

use std::path::Path;

use tokio_util::sync::CancellationToken;

use super::{OnProgress, catalog, ddl::Selection, programs::Programs};
use crate::{
    backup::{
        chunk::Fetch,
        manifest::{Missing, PostgresContent, TableName},
    },
    db::postgres::Postgres,
    dialect::ident::LONGEST,
    error::{Error, Reason, Result},
    failpoint,
    task::cancelled,
};
pub(crate) use server::Server;

/// Connections that a restore needs at a time: two that load, one that leads.
const CONNECTIONS: u32 = 3;

/// What is to be restored, and how.
pub(crate) struct Restore<'a, F> {
    pub(crate) content: &'a PostgresContent,
    pub(crate) fetch: &'a F,
    /// The configured database; what is restored goes beside it or in its place.
    pub(crate) postgres: &'a Postgres,
    pub(crate) programs: &'a Programs,
    /// Only these tables, with their keys, indexes and sequences.
    pub(crate) tables: Option<&'a [TableName]>,
    /// Hex digits of the operation: what an earlier run of it has left is removed, and what it has
    /// finished is recognised.
    pub(crate) operation: &'a str,
    /// Directory for temporary files.
    pub(crate) scratch: &'a Path,
    pub(crate) progress: OnProgress<'a>,
    pub(crate) cancel: &'a CancellationToken,
}

/// What was restored; every row of it was read again and compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Restored {
    pub(crate) database: String,
    pub(crate) tables: u64,
    pub(crate) rows: u64,
    /// Bytes of rows.
    pub(crate) bytes: u64,
    /// What could not be restored, or is otherwise than it was.
    pub(crate) missing: Vec<Missing>,
    /// The name that the database has now whose place it took.
    pub(crate) kept: Option<String>,
}

/// Restores into a new database of this name on the server of the configured one.
///
/// A name that is in use is [`Reason::RestoreRefused`]; what was restored and differs is
/// [`Reason::RestoreFailed`]. After an error nothing is left.
pub(crate) async fn restore(job: &Restore<'_, impl Fetch>, name: &str) -> Result<Restored> {
    let selection = select(job)?;
    check_name(name)?;
    let mut server = Server::beside(job.postgres, &[name]).await?;
    if server.comment(name).await? == told(job) {
        return Ok(restored(&selection, name.into(), Vec::new()));
    }
    server.refuse_existing(name).await?;
    let made = with_suffix(name, &format!("_restoring_{}", job.operation));
    let missing = build(job, &selection, &server, &made).await?;
    if let Err(error) = server.rename(&[(&made, name)]).await {
        return Err(server.discard(&made, error).await);
    }
    Ok(restored(&selection, name.into(), missing))
}

/// Restores into a database that is there and empty: the configured one.
///
/// One that is not empty is [`Reason::RestoreRefused`]. After an error it is empty again.
///
/// `begun`: an earlier run of the operation found it empty and has begun to fill it.
pub(crate) async fn restore_into_empty(
    job: &Restore<'_, impl Fetch>,
    begun: bool,
) -> Result<Restored> {
    let selection = select(job)?;
    if begun {
        empty::empty(job.postgres).await?;
    }
    empty::refuse_filled(job.postgres).await?;
    let result = unless_cancelled(job, fill::fill(job, &selection, job.postgres)).await;
    let missing = match result {
        Ok(missing) => missing,
        Err(error) => return Err(empty::clear(job.postgres, error).await),
    };
    let database = catalog::facts(&*job.postgres.get().await?).await?.name;
    Ok(restored(&selection, database, missing))
}

/// Refuses a configured database that is not empty.
pub(crate) async fn refuse_filled(postgres: &Postgres) -> Result<()> {
    empty::refuse_filled(postgres).await
}

/// Restores in place of the configured database, which is kept under another name.
///
/// Until what was restored is validated, nothing happens to it; then its sessions are ended, and
/// both change their names in one transaction. After an error it is as it was.
pub(crate) async fn replace(job: &Restore<'_, impl Fetch>) -> Result<Restored> {
    if job.tables.is_some() {
        return Err(Error::new(Reason::InvalidRequest, "some tables cannot replace a database")
            .hint("restore them into a new database, and copy their rows from there"));
    }
    let selection = select(job)?;
    let name = catalog::facts(&*job.postgres.get().await?).await?.name;
    let mut server = Server::beside(job.postgres, &[&name]).await?;
    let made = with_suffix(&name, &format!("_restoring_{}", job.operation));
    let kept = with_suffix(&name, &format!("_before_{}", job.operation));
    let mut missing = build(job, &selection, &server, &made).await?;
    let swapped = async {
        if job.cancel.is_cancelled() {
            return Err(cancelled());
        }
        let properties = properties::copy(server.client(), &name, &made).await?;
        failpoint::hit("replace.before");
        server.rename(&[(&name, &kept), (&made, &name)]).await?;
        failpoint::hit("replace.after");
        Ok(properties)
    };
    match swapped.await {
        Ok(properties) => missing.extend(properties),
        Err(error) => return Err(server.discard(&made, error).await),
    }
    // From here on nothing is undone any more.
    missing.extend(owner(&server, &kept, &name).await);
    Ok(Restored { kept: Some(kept), ..restored(&selection, name, missing) })
}

/// What [`replace`] has done in an earlier run of the same operation; `None` where it has not come
/// to the change of names.
pub(crate) async fn replaced(job: &Restore<'_, impl Fetch>) -> Result<Option<Restored>> {
    let selection = select(job)?;
    let name = catalog::facts(&*job.postgres.get().await?).await?.name;
    let server = Server::beside(job.postgres, &[&name]).await?;
    if server.comment(&name).await? != told(job) {
        return Ok(None);
    }
    let kept = with_suffix(&name, &format!("_before_{}", job.operation));
    let missing = owner(&server, &kept, &name).await;
    Ok(Some(Restored { kept: Some(kept), ..restored(&selection, name, missing) }))
}

/// Gives a database to the owner of the one whose place it took; what kept it from that.
async fn owner(server: &Server, kept: &str, name: &str) -> Vec<Missing> {
    match properties::copy_owner(server.client(), kept, name).await {
        Ok(missing) => missing,
        Err(error) => vec![catalog::missing("database_property", "", error.to_string())],
    }
}

/// Makes a database and fills it; drops it after an error.
async fn build(
    job: &Restore<'_, impl Fetch>,
    selection: &Selection<'_>,
    server: &Server,
    made: &str,
) -> Result<Vec<Missing>> {
    server.drop(made).await?;
    let mut missing = server.create(made, job.content).await?;
    let work = async {
        let postgres = job.postgres.beside(made, CONNECTIONS)?;
        let missing = fill::fill(job, selection, &postgres).await?;
        // A run that is cut off behind the change of names finds what it has done.
        server.set_comment(made, &told(job)).await?;
        Ok(missing)
    };
    match unless_cancelled(job, work).await {
        Ok(found) => missing.extend(found),
        Err(error) => return Err(server.discard(made, error).await),
    }
    Ok(missing)
}

async fn unless_cancelled<T>(
    job: &Restore<'_, impl Fetch>,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    tokio::select! {
        biased;
        () = job.cancel.cancelled() => Err(cancelled()),
        result = Box::pin(work) => result,
    }
}

fn select<'a>(job: &Restore<'a, impl Fetch>) -> Result<Selection<'a>> {
    Selection::new(job.content, job.tables).map_err(|name| {
        let message = format!("the backup holds no table {}.{}", name.schema, name.name);
        Error::new(Reason::UnknownTable, message).hint("its manifest lists the tables it holds")
    })
}

fn restored(selection: &Selection<'_>, database: String, missing: Vec<Missing>) -> Restored {
    let tables = &selection.tables;
    Restored {
        database,
        tables: tables.len() as u64,
        rows: tables.iter().map(|table| table.rows).sum(),
        bytes: tables.iter().map(|table| table.bytes).sum(),
        missing,
        kept: None,
    }
}

fn check_name(name: &str) -> Result<()> {
    if name.is_empty() || name.len() > LONGEST || name.contains('\0') {
        return Err(Error::new(Reason::InvalidRequest, "this cannot be the name of a database")
            .hint("a name has 1 to 63 bytes"));
    }
    Ok(())
}

/// What is said about a database that is ready.
fn told<F>(job: &Restore<'_, F>) -> String {
    format!("restored by Switchback, operation {}", job.operation)
}

/// The name, cut so that the suffix fits.
fn with_suffix(name: &str, suffix: &str) -> String {
    let cut = name.floor_char_boundary(LONGEST - suffix.len());
    format!("{}{suffix}", &name[..cut])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_makes_room() {
        assert_eq!(with_suffix("shop", "_before_1a2b3c"), "shop_before_1a2b3c");
        let long = "é".repeat(31);
        let made = with_suffix(&long, "_restoring_1a2b3c");
        assert!(made.len() <= LONGEST && made.ends_with("é_restoring_1a2b3c"), "{made}");
        assert!(check_name(&long).is_ok() && check_name("").is_err());
        assert!(check_name(&"n".repeat(64)).is_err());
    }
}
