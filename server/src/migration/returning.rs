//! The way back to SQLite: one commit in PostgreSQL decides, then SQLite is opened.
//!
//! The deciding transaction holds the tables, so that what it reads is all there is; SQLite has it
//! before the commit (docs/adr/0008). Up to then PostgreSQL is active and nothing is to be undone;
//! from then on there is only opening SQLite.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use switchback_proto::v1::{Engine, Finding, Phase, Plan};
use tokio::time::{sleep, timeout};
use tokio_postgres::Transaction;
use tokio_util::sync::CancellationToken;

use super::{
    attempt::{AGAIN, Limit},
    keeping::Leaving,
    marked,
    reversing::{Reverser, Writing},
};
use crate::{
    db::{
        Database,
        control::{ControlStore, DatabaseRecord},
        postgres::failed,
        target::{SwitchRecord, left_rows},
    },
    error::{Error, Kind, Reason, Result},
    failpoint,
    task::cancelled,
    telemetry::metrics,
    validate::target_drift,
};

/// A batch that took no longer has hardly anything left for the lock.
pub(super) const IN_SYNC: Duration = Duration::from_millis(100);

/// A way back that is being gone.
pub(super) struct Return<'a> {
    pub(super) database: &'a Database,
    pub(super) store: &'a ControlStore,
    pub(super) reverser: &'a Reverser,
    pub(super) plan: &'a Plan,
    pub(super) limit: Limit,
    /// So many rows, tables and columns may be left behind.
    pub(super) accepted: u64,
    pub(super) shutdown: &'a CancellationToken,
}

/// What the way back was like.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Gone {
    /// How long writers were held, in milliseconds; 0 where an earlier run of the server held them.
    pub(super) pause_ms: f64,
    pub(super) epoch: u64,
    /// Changes carried back under the lock.
    pub(super) changes: u64,
    /// Rows left behind, which SQLite cannot hold.
    pub(super) left_behind: u64,
    /// Which rows these are, where this run of the server has decided.
    pub(super) findings: Vec<Finding>,
}

/// The deciding transaction, ready to be committed.
struct Held {
    since: Instant,
    /// Changes carried back in it.
    changes: u64,
    /// Rows left behind.
    left: (u64, Vec<Finding>),
}

impl Return<'_> {
    /// Makes SQLite the active engine, or leaves PostgreSQL as it was.
    pub(super) async fn go(&self) -> Result<Gone> {
        let mut held: Option<Held> = None;
        let mut in_doubt = false;
        loop {
            let record = match self.record().await {
                Ok(record) => record,
                // Its answer to the commit was lost: only it can tell, however long that takes.
                Err(error) if self.waits(&error, in_doubt) => {
                    self.pause(&error).await?;
                    continue;
                }
                Err(error) => return Err(error),
            };
            if !record.postgres_active {
                let epoch = u64::try_from(record.epoch).unwrap_or_default();
                self.open(epoch, record.attempt).await?;
                let Some(Held { since, changes, left: (left_behind, findings) }) = held else {
                    let left_behind = self.left_behind(record.epoch).await?;
                    return Ok(Gone { epoch, left_behind, ..Gone::default() });
                };
                let pause_ms = since.elapsed().as_secs_f64() * 1000.0;
                metrics::record_write_pause(&self.reverser.name, Engine::Postgres, pause_ms);
                return Ok(Gone { pause_ms, epoch, changes, left_behind, findings });
            }
            in_doubt = false;
            match self.decide(&mut held, &mut in_doubt).await {
                Ok(()) => {}
                Err(error) if in_doubt || self.waits(&error, false) => self.pause(&error).await?,
                Err(error) => return Err(error),
            }
        }
    }

    async fn record(&self) -> Result<SwitchRecord> {
        self.reverser.target.switch_record(&self.reverser.name, &self.reverser.migration).await
    }

    /// How many rows an earlier run of the server has left behind when it began this epoch.
    async fn left_behind(&self, epoch: i64) -> Result<u64> {
        if !self.reverser.is_lenient() {
            return Ok(0);
        }
        loop {
            let asked = async {
                let client = self.reverser.target.postgres().get().await?;
                let whose = (self.reverser.name.as_str(), self.reverser.migration.as_str());
                left_rows(&*client, whose, epoch).await
            };
            match asked.await {
                Err(error) => self.pause(&error).await?,
                rows => return rows,
            }
        }
    }

    fn waits(&self, error: &Error, in_doubt: bool) -> bool {
        in_doubt || (error.kind() == Kind::Unavailable && !self.limit.is_over())
    }

    pub(super) async fn pause(&self, error: &Error) -> Result<()> {
        tracing::warn!(%error, "the way back waits");
        tokio::select! {
            () = self.shutdown.cancelled() => Err(cancelled()),
            () = sleep(AGAIN) => Ok(()),
        }
    }

    /// Commits the decision, or leaves everything as it was.
    async fn decide(&self, held: &mut Option<Held>, in_doubt: &mut bool) -> Result<()> {
        let mut client = self.reverser.target.postgres().get().await?;
        let mut began;
        let transaction = loop {
            let transaction = client.transaction().await.map_err(failed)?;
            began = Instant::now();
            match self.prepare(&transaction).await {
                Ok(()) => break transaction,
                Err(error) if is_final(&error) => return Err(error),
                Err(error) if self.limit.is_over() => return Err(late(self.limit, &error)),
                Err(_) => transaction.rollback().await.map_err(failed)?,
            }
            sleep(AGAIN).await;
        };
        let left = self.limit.left().max(AGAIN);
        let carried = match timeout(left, self.carry(&transaction, began)).await {
            Ok(Err(error)) if error.reason() != Reason::Cancelled => return Err(error),
            Ok(Ok(carried)) => carried,
            // PostgreSQL's own time-out, or this one.
            Ok(Err(_)) | Err(_) => return Err(slow(self.limit)),
        };
        failpoint::hit("return.before");
        *held = Some(carried);
        *in_doubt = true;
        transaction.commit().await.map_err(failed)?;
        failpoint::hit("return.after");
        Ok(())
    }

    async fn prepare(&self, transaction: &Transaction<'_>) -> Result<()> {
        let whose = (self.plan, self.reverser.migration.as_str());
        let target = &self.reverser.target;
        target.prepare_return(transaction, whose, self.limit.left()).await
    }

    /// Carries the last changes back, while applications wait for the tables.
    async fn carry(&self, transaction: &Transaction<'_>, since: Instant) -> Result<Held> {
        let reverser = self.reverser;
        reverser.log_uncaptured(transaction).await?;
        reverser.target.close(transaction, self.plan).await?;
        let at = reverser.source_at().await?;
        let mut taken = reverser.take(transaction, at, "0").await?;
        let changes = taken.changes;
        let sequences = reverser.given_values(transaction, self.plan).await?;
        reverser.forget_kept(transaction, &mut taken).await?;
        let kept = reverser.kept(transaction).await?;
        let leaving = self.leaving(transaction).await?;
        let writing = Writing { at, sequences, kept, leaving, wait: self.limit.left() };
        let refused = reverser.write(&mut taken, writing).await?;
        reverser.keep(transaction, &refused).await?;
        let left = reverser.leave_behind(transaction).await?;
        reverser.settle(transaction, at, changes).await?;
        Ok(Held { since, changes, left })
    }

    /// What is left behind of the rows that are kept aside, as the tables stand under their locks.
    async fn leaving(&self, transaction: &Transaction<'_>) -> Result<Option<Leaving>> {
        if !self.reverser.is_lenient() {
            return Ok(None);
        }
        let drift = target_drift(self.plan, transaction.client()).await?.len();
        let allowed = self.accepted.saturating_sub(u64::try_from(drift).unwrap_or(u64::MAX));
        self.reverser.leaving(transaction, allowed).await.map(Some)
    }

    /// Opens SQLite: it was decided, and there is only forward.
    async fn open(&self, epoch: u64, attempt: i64) -> Result<()> {
        let record = DatabaseRecord { active: Engine::Sqlite, epoch, phase: Phase::Following };
        while let Err(error) = open(self.reverser, attempt).await {
            self.pause(&error).await?;
        }
        failpoint::hit("opened.before");
        while let Err(error) = self.store.set_database(&self.reverser.name, record).await {
            self.pause(&error).await?;
        }
        failpoint::hit("opened.after");
        self.database.lag.forget();
        self.database.wake.notify_one();
        Ok(())
    }
}

/// Opens SQLite where PostgreSQL has decided for it, and lets the target follow from where it was.
///
/// `attempt` is the record's: whoever was paused since it was read must not open what a later
/// attempt has fenced.
pub(super) async fn open(reverser: &Reverser, attempt: i64) -> Result<()> {
    let (source, id) = (&reverser.source, &reverser.migration);
    let schema = Arc::clone(&reverser.schema);
    let lowered = marked::lower(source, &schema, id, attempt).await?;
    let Some(lowered) = lowered else { return Ok(()) };
    let versions = (lowered.before, lowered.after);
    // Without this, the tables whose rows VACUUM renames would be copied again.
    reverser.target.follow_from(&reverser.name, id, versions).await
}

fn is_final(error: &Error) -> bool {
    let settled = [Reason::LeaseHeld, Reason::CutoverFailed, Reason::TargetInUse];
    settled.contains(&error.reason())
}

pub(super) fn late(limit: Limit, error: &Error) -> Error {
    let message = format!("the tables were not free within {:?}: {error}", limit.deadline);
    Error::new(Reason::RollbackFailed, message).hint(
        "a transaction of an application stays open: end it, then go back again \
         (`switchback rollback`); PostgreSQL goes on",
    )
}

fn slow(limit: Limit) -> Error {
    let message = format!("the last changes were not carried back within {:?}", limit.deadline);
    Error::new(Reason::RollbackFailed, message).hint(
        "see what both engines are busy with, then go back again (`switchback rollback`); \
         PostgreSQL goes on",
    )
}
