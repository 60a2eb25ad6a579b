//! Going back without PostgreSQL, which is gone: SQLite holds what was carried back until then.

use std::time::{Duration, Instant};

use switchback_proto::v1::{Engine, Finding, Phase, RollbackReport, RollbackRequest, Severity};
use tokio::time::{sleep, timeout};

use super::{
    attempt::{AGAIN, Limit},
    cutover::DEADLINE,
    marked,
    recorded::Recorded,
};
use crate::{
    clock,
    db::{
        Database,
        control::{ControlStore, DatabaseRecord},
        postgres::failed,
        target::{Target, leave_all_behind},
    },
    dialect::finding::{self, Place, finding},
    error::{Error, Reason, Result},
    failpoint,
};

/// How long PostgreSQL is given to show that it is there.
const ANSWER: Duration = Duration::from_secs(10);

/// Makes SQLite the active engine as it is, where PostgreSQL does not answer.
pub(super) async fn go_back(
    database: &Database,
    store: &ControlStore,
    request: &RollbackRequest,
) -> Result<RollbackReport> {
    let name = &database.config.name;
    let record = store.database(name).await?;
    if record.active != Engine::Postgres || record.phase == Phase::Finalized {
        return Err(Error::new(
            Reason::NotReversible,
            format!("{name} has no PostgreSQL that something was carried back from"),
        )
        .hint("`switchback status` shows where the database is"));
    }
    let mark = marked::marked(&database.source).await?;
    // An earlier run has begun with this very migration: there is only forward.
    let is_of = |id: &String| mark.as_ref().is_none_or(|mark| mark.migration == *id);
    let given_up = store.given_up(name).await?.filter(is_of);
    if given_up.is_none() {
        refuse_reachable(database).await?;
    }
    let fenced = mark.filter(|mark| mark.fenced.is_some()).map(|mark| mark.migration);
    let Some(migration) = given_up.or(fenced) else {
        return Err(Error::new(
            Reason::NotReversible,
            "the SQLite file is not the one that changes were carried back to",
        )
        .hint("put that file back under its path"));
    };
    let missing = missing(
        store.carried_until(name).await?,
        database.lag.seen().map(|lag| lag.changes),
        kept_aside(&database.standing.findings()),
    );
    if !request.accept_loss {
        return Err(Error::new(Reason::RollbackLoses, missing.message)
            .hint("bring PostgreSQL back, or accept it: --from-last-drain --accept-loss"));
    }
    // Persisted first: should PostgreSQL come back, it is fenced before anything else.
    store.give_up(name, &migration).await?;
    failpoint::hit("forced.before");
    marked::leave(&database.source, &migration, i64::MAX).await?;
    failpoint::hit("forced.after");
    let epoch = record.epoch + 1;
    let record = DatabaseRecord { active: Engine::Sqlite, epoch, phase: Phase::Idle };
    store.set_database(name, record).await?;
    database.lag.forget();
    tracing::warn!(database = name, migration, "SQLite is active again without PostgreSQL");
    Ok(RollbackReport { epoch, findings: vec![missing], ..RollbackReport::default() })
}

/// What PostgreSQL still says must not be given up.
async fn refuse_reachable(database: &Database) -> Result<()> {
    match timeout(ANSWER, database.postgres.version()).await {
        Err(_) => Ok(()),
        // A database that is gone was lost with all that it held.
        Ok(Err(error))
            if matches!(error.reason(), Reason::TargetUnreachable | Reason::TargetMissing) =>
        {
            Ok(())
        }
        Ok(Err(error)) => Err(error),
        Ok(Ok(_)) => Err(Error::new(
            Reason::InvalidRequest,
            "PostgreSQL answers: nothing has to be given up",
        )
        .hint("go back with everything that it holds: `switchback rollback`")),
    }
}

/// Rows that were kept aside in PostgreSQL when this server last looked.
fn kept_aside(findings: &[Finding]) -> u64 {
    let kept = findings.iter().filter(|finding| finding.code == finding::ROW_KEPT_ASIDE);
    kept.map(|finding| finding.count).sum()
}

/// Which writes may be missing.
fn missing(until: Option<i64>, seen: Option<u64>, kept_aside: u64) -> Finding {
    let since = match until {
        Some(millis) => format!("after {}", clock::from_millis(millis)),
        None => "since the cutover, at a time that is not known".to_owned(),
    };
    let seen = match seen {
        None => "how many is not known".to_owned(),
        Some(count) => format!("{count} were seen waiting when it last answered"),
    };
    let kept = match kept_aside {
        0 => String::new(),
        rows => format!("; {rows} rows from before were kept aside in PostgreSQL"),
    };
    let message =
        format!("changes that PostgreSQL acknowledged {since} are not in SQLite; {seen}{kept}");
    let hint = "should PostgreSQL come back, it is fenced and its tables are kept";
    finding(Severity::Warning, finding::WRITES_MISSING, Place::database(), message, hint)
}

/// Fences a PostgreSQL that was given up and is back: SQLite is active. What it holds stays.
pub(super) async fn fence(database: &Database, store: &ControlStore) -> Result<()> {
    let name = &database.config.name;
    let Some(given_up) = store.given_up(name).await? else { return Ok(()) };
    let target = database.target();
    let control = target.read_control(name).await?.filter(|c| c.migration == given_up);
    let Some(control) = control else {
        // It came back empty, or somebody has removed what was there.
        database.standing.set_given_up(None);
        return store.take_back(name).await;
    };
    if control.active == "postgres" {
        // What a person has decided outranks the lease of a server that does not know of it.
        target.seize(name, &given_up).await?;
        let recorded = Recorded::parse(&control)?;
        let limit = Limit { began: Instant::now(), deadline: DEADLINE };
        while let Err(error) = close(&target, &recorded, limit).await {
            if limit.is_over() {
                tracing::error!(
                    database = name, %error,
                    "PostgreSQL, which was given up, is back and takes writes: it could not be fenced"
                );
                return Err(error);
            }
            sleep(AGAIN).await;
        }
        tracing::warn!(database = name, "PostgreSQL, which was given up, is back and was fenced");
    }
    let waiting = target.waiting(name).await?;
    let left = match target.left_behind(name).await? {
        0 => String::new(),
        rows => format!("; {rows} rows that SQLite cannot hold are in switchback.kept_aside"),
    };
    database.standing.set_given_up(Some(finding(
        Severity::Warning,
        finding::GIVEN_UP_IS_BACK,
        Place::database(),
        format!(
            "PostgreSQL is back after SQLite went on without it: it takes no writes, and {waiting} \
             changes in its tables are not in SQLite{left}"
        ),
        "switchback.change_log names their keys; bring them over by hand, then `switchback abort` \
         removes its tables",
    )));
    Ok(())
}

/// One try to fence all tables, and to record that SQLite is active.
async fn close(target: &Target, recorded: &Recorded, limit: Limit) -> Result<()> {
    let mut client = target.postgres().get().await?;
    let transaction = client.transaction().await.map_err(failed)?;
    let whose = (recorded.plan(), recorded.migration.as_str());
    target.prepare_return(&transaction, whose, limit.left()).await?;
    target.close(&transaction, recorded.plan()).await?;
    let name = &recorded.plan().database;
    // SQLite went on without them, and what undoes the migration would take them away.
    leave_all_behind(transaction.client(), name).await?;
    target.set_phase_in(transaction.client(), (name, &recorded.migration), GIVEN_UP).await?;
    transaction.commit().await.map_err(failed)
}

/// Phase that the record of a migration shows whose PostgreSQL was given up.
pub(super) const GIVEN_UP: &str = "given_up";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_were_kept_aside_are_missing_too() {
        let place = Place::table("t");
        let kept = finding(Severity::Warning, finding::ROW_KEPT_ASIDE, place, "", "");
        let other = finding(Severity::Warning, finding::TARGET_CHANGED, place, "", "");
        let count = kept_aside(&[Finding { count: 3, ..kept.clone() }, other, kept]);
        assert_eq!(count, 4);
        let told = |rows| missing(None, None, rows).message;
        assert!(told(count).ends_with("; 4 rows from before were kept aside in PostgreSQL"));
        assert!(!told(0).contains("kept aside"));
    }
}
