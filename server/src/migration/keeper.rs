//! What goes on between operations: pairs are kept in sync, leases are kept, and what a server that
//! is gone has left is taken over.

use std::time::{Duration, Instant};

use switchback_proto::{
    v1::{CutoverRequest, Engine, Finding, Operation, Phase, Severity},
    words::Word,
};
use tokio::time::{interval, timeout};

use super::{
    Migrations,
    carrier::{Carrier, carries},
    coordinator::backoff,
    forced, marked,
    recorded::Recorded,
    returning,
};
use crate::{
    apply::Extent,
    clock,
    db::{
        Database,
        control::DatabaseRecord,
        target::{Control, Tenure},
    },
    dialect::finding::{self, Place},
    error::{Error, Kind, Reason, Result},
    operations::{Operations, Request},
    shutdown::Stop,
};

/// Between two looks at a source in which nothing changes.
const IDLE: Duration = Duration::from_millis(100);

/// Between two batches while applications write: more of them would cost the source more commits.
const BUSY: Duration = Duration::from_millis(20);

/// Between two looks for a pair to follow, where nobody says that there is one.
const ASLEEP: Duration = Duration::from_secs(2);

/// An engine that is back is noticed within this time.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Between two looks at how much has come in while an engine is away.
const OBSERVE: Duration = Duration::from_secs(1);

/// Renewals in one lease: two of them may fail.
const RENEWALS: u32 = 3;

impl Migrations {
    /// Keeps every database in sync that is in `following`, and every lease, until the server
    /// stops.
    pub fn keep(&self, operations: &Operations, stop: &Stop) {
        for name in self.set.names() {
            let (this, name, stop) = (self.clone(), name.to_owned(), stop.clone());
            let operations = operations.clone();
            tokio::spawn(async move {
                let Ok(database) = this.set.get(&name) else { return };
                let both = async {
                    tokio::join!(
                        Box::pin(this.follow(database)),
                        Box::pin(this.hold_leases(database, &operations)),
                        this.validate_on_schedule(database, &operations)
                    );
                };
                stop.work.run_until_cancelled(both).await;
                // What is being switched goes on: nobody must take it over in the middle.
                stop.port.run_until_cancelled(renew_lease(database)).await;
            });
        }
    }

    async fn follow(&self, database: &Database) {
        let mut carrier = None;
        let mut waits = backoff();
        loop {
            let wait = match self.carry_once(database, &mut carrier).await {
                Ok(wait) => {
                    waits = backoff();
                    database.standing.set_waits_for(None);
                    wait
                }
                Err(error) if passes(&error) => {
                    let wait = waits.next().map_or(LONGEST_PAUSE, |wait| wait.min(LONGEST_PAUSE));
                    let name = &database.config.name;
                    tracing::warn!(database = name, %error, "following waits for an engine");
                    // How much waits is known as soon as that it does.
                    observe(database, carrier.as_ref()).await;
                    let code = finding::FOLLOWING_WAITS;
                    let found = stands_in_the_way(Severity::Warning, code, &error);
                    database.standing.set_waits_for(Some(found));
                    pause(database, carrier.as_ref(), wait).await;
                    continue;
                }
                // PostgreSQL goes on, and writes down what changes.
                Err(error) if self.is_reversible(database).await => {
                    carrier = None;
                    tracing::error!(
                        database = database.config.name, %error, "nothing is carried back"
                    );
                    let code = finding::RETURN_STOPPED;
                    let found = stands_in_the_way(Severity::Blocker, code, &error);
                    database.standing.set_waits_for(Some(found));
                    LONGEST_PAUSE
                }
                Err(error) => {
                    carrier = None;
                    self.stop_following(database, &error).await;
                    ASLEEP
                }
            };
            let _ = timeout(wait, database.wake.notified()).await;
        }
    }

    async fn is_reversible(&self, database: &Database) -> bool {
        let record = self.store.database(&database.config.name).await;
        record.is_ok_and(|record| record.phase == Phase::Reversible)
    }

    /// Carries one batch over where there is something to follow; how long to wait then.
    async fn carry_once(
        &self,
        database: &Database,
        carrier: &mut Option<Carrier>,
    ) -> Result<Duration> {
        let name = &database.config.name;
        let phase = self.store.database(name).await?.phase;
        if phase != Phase::Reversible {
            database.standing.set_drift(Vec::new());
            database.standing.set_kept_aside(Vec::new());
        }
        if !carries(phase) {
            *carrier = None;
            return Ok(ASLEEP);
        }
        let _gate = database.gate.lock().await;
        // An operation may have held the gate.
        if self.store.database(name).await?.phase != phase {
            *carrier = None;
            return Ok(Duration::ZERO);
        }
        if carrier.as_ref().is_none_or(|carrier| carrier.phase() != phase) {
            // The target's record may be another server's by now.
            match Carrier::of(database, phase).await {
                Err(error) if error.reason() == Reason::LeaseHeld => return Ok(ASLEEP),
                found => *carrier = Some(found?),
            }
        }
        match carrier {
            Some(Carrier::Over(follower)) => {
                if follower.is_idle().await? {
                    return Ok(IDLE);
                }
                let drained = follower.drain(Extent::All).await?;
                Ok(if drained.changes == 0 { IDLE } else { BUSY })
            }
            Some(Carrier::Back(reverser)) => {
                if let Some(findings) = reverser.drift_now_and_then().await? {
                    database.standing.set_drift(findings);
                    // Rows may be kept aside since before the server's start.
                    reverser.tell_kept(&[]).await?;
                }
                let began = clock::now_millis();
                let carried = reverser.drain().await?;
                if reverser.tells_time() {
                    self.store.set_carried_until(name, began).await?;
                }
                Ok(if carried.changes == 0 { IDLE } else { BUSY })
            }
            None => Ok(ASLEEP),
        }
    }

    /// What stands in the way needs a person: the source is open and nothing is carried over.
    async fn stop_following(&self, database: &Database, error: &Error) {
        let name = &database.config.name;
        // Where another server has undone it in the middle, any statement may be what fails.
        if matches!(database.target().read_control(name).await, Ok(None))
            && self.forget(database).await.unwrap_or(false)
        {
            tracing::info!(database = name, "another server has ended the migration");
            return;
        }
        tracing::error!(database = name, %error, "following has stopped");
        if error.reason() == Reason::LeaseHeld || error.reason() == Reason::NotFollowing {
            return;
        }
        database.standing.set_waits_for(None);
        let found = stands_in_the_way(Severity::Blocker, finding::FOLLOWING_STOPPED, error);
        if let Err(error) = self.store.halt(name, &found).await {
            tracing::error!(database = name, %error, "the halt could not be recorded");
        }
    }

    async fn hold_leases(&self, database: &Database, operations: &Operations) {
        let mut ticks = interval(database.target().holder().lease / RENEWALS);
        loop {
            ticks.tick().await;
            if let Err(error) = self.hold_lease(database, operations).await {
                tracing::debug!(database = database.config.name, %error, "the lease is unknown");
            }
        }
    }

    async fn hold_lease(&self, database: &Database, operations: &Operations) -> Result<()> {
        let (target, name) = (database.target(), &database.config.name);
        forced::fence(database, &self.store).await?;
        match target.tenure(name).await? {
            Tenure::Nobody => {
                database.standing.set_coordinator("");
                self.forget(database).await?;
            }
            Tenure::Ours => {
                database.standing.set_coordinator(&target.holder().name);
                self.take_up(database, operations).await?;
            }
            Tenure::Other { name: holder, phase } => {
                database.standing.set_coordinator(holder);
                self.show(name, &phase).await?;
            }
            Tenure::Abandoned => {
                if let Some(control) = target.take_over(name).await? {
                    tracing::warn!(
                        database = name,
                        migration = control.migration,
                        "the server that coordinated the migration is gone: taken over"
                    );
                    database.standing.set_coordinator(&target.holder().name);
                    self.adopt(database, operations, &control).await?;
                }
            }
        }
        Ok(())
    }

    /// Shows what another server keeps in sync.
    async fn show(&self, name: &str, phase: &str) -> Result<()> {
        let record = self.store.database(name).await?;
        let phase = match Phase::from_word(phase) {
            Some(Phase::Following) => Phase::Following,
            _ => Phase::Idle,
        };
        // Which engine is active is followed elsewhere.
        if record.active == Engine::Postgres || record.phase == phase {
            return Ok(());
        }
        self.store.set_database(name, DatabaseRecord { phase, ..record }).await
    }

    /// Another server has ended what this one showed: nothing of it is left. Whether that is so.
    async fn forget(&self, database: &Database) -> Result<bool> {
        let name = &database.config.name;
        let record = self.store.database(name).await?;
        // Who follows and who holds the lease notice it side by side.
        if record.phase == Phase::Idle {
            return Ok(true);
        }
        if record.phase != Phase::Following || marked::marked(&database.source).await?.is_some() {
            return Ok(false);
        }
        let idle = DatabaseRecord { phase: Phase::Idle, ..record };
        self.store.set_database(name, idle).await?;
        database.lag.forget();
        Ok(true)
    }

    /// Goes on with what this server had taken over when it was stopped.
    async fn take_up(&self, database: &Database, operations: &Operations) -> Result<()> {
        let name = &database.config.name;
        let record = self.store.database(name).await?;
        if record.active == Engine::Postgres {
            return Ok(());
        }
        if record.phase == Phase::Following {
            return finish_switch(database, operations).await;
        }
        if record.phase != Phase::Idle {
            return Ok(());
        }
        let Some(control) = database.target().read_control(name).await? else { return Ok(()) };
        let known = self.store.operation(&control.migration).await?;
        let lost = |known: Operation| {
            known.error.is_some_and(|error| error.reason == Reason::LeaseHeld.as_str())
        };
        let given_up = control.phase == forced::GIVEN_UP;
        if given_up || control.active != Engine::Sqlite.word() || !known.is_none_or(lost) {
            return Ok(());
        }
        self.adopt(database, operations, &control).await
    }

    /// Goes on where the other server stopped. What it made is recorded step by step, so that all
    /// phases can be gone through again.
    async fn adopt(
        &self,
        database: &Database,
        operations: &Operations,
        control: &Control,
    ) -> Result<()> {
        let name = &database.config.name;
        let recorded = Recorded::parse(control)?;
        let record = self.store.database(name).await?;
        if control.active == Engine::Postgres.word() {
            // Shown by its record; what is carried back goes on here.
            database.wake.notify_one();
            return Ok(());
        }
        if control.phase == Phase::Following.word() {
            let following = DatabaseRecord { phase: Phase::Following, ..record };
            self.store.set_database(name, following).await?;
            database.wake.notify_one();
            return finish_switch(database, operations).await;
        }
        let journal = recorded.journal_after(control);
        let left = (journal.phase(), journal.to_json()?);
        let request = Request::Migrate(Box::new(recorded.request));
        operations.adopt(&recorded.migration, request, left).await
    }
}

/// Renews the lease of a database where it is this server's, and takes nothing over.
async fn renew_lease(database: &Database) {
    let target = database.target();
    let mut ticks = interval(target.holder().lease / RENEWALS);
    loop {
        ticks.tick().await;
        if let Err(error) = target.tenure(&database.config.name).await {
            tracing::debug!(database = database.config.name, %error, "the lease is unknown");
        }
    }
}

/// An engine is away, or lacks space: what is in the log waits there until it is back.
fn passes(error: &Error) -> bool {
    let cancelled = error.kind() == Kind::Cancelled;
    cancelled || matches!(error.kind(), Kind::Unavailable | Kind::Exhausted)
}

async fn observe(database: &Database, carrier: Option<&Carrier>) {
    if let Some(carrier) = carrier
        && let Err(error) = carrier.observe().await
    {
        tracing::debug!(database = database.config.name, %error, "the lag is unknown");
    }
}

/// Waits, and goes on telling how far the target is behind.
async fn pause(database: &Database, carrier: Option<&Carrier>, wait: Duration) {
    let until = Instant::now() + wait;
    loop {
        observe(database, carrier).await;
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() || timeout(left.min(OBSERVE), database.wake.notified()).await.is_ok() {
            return;
        }
    }
}

/// An error as a finding.
pub(super) fn stands_in_the_way(severity: Severity, code: &'static str, error: &Error) -> Finding {
    let place = Place::database();
    let found = finding::finding(severity, code, place, error.to_string(), error.hint_text());
    Finding { examples: error.row_key().into_iter().map(str::to_owned).collect(), ..found }
}

/// A pair that is followed and whose source is fenced has no open engine: a server ended in the
/// middle of a switch, which is made or given up in good order.
async fn finish_switch(database: &Database, operations: &Operations) -> Result<()> {
    let mark = marked::marked(&database.source).await?;
    if mark.is_none_or(|mark| mark.fenced.is_none()) {
        return Ok(());
    }
    let name = database.config.name.clone();
    let control = database.target().read_control(&name).await?;
    if let Some(control) = control.filter(|control| control.decision == "sqlite") {
        // The way back was decided.
        let reverser = Recorded::parse(&control)?.reverser(database)?;
        return returning::open(&reverser, control.attempt).await;
    }
    let switch = CutoverRequest { database: name, ..CutoverRequest::default() };
    match operations.start(Request::Cutover(switch)).await {
        // The switch itself, most likely.
        Err(error) if error.reason() == Reason::OperationRunning => Ok(()),
        started => started.map(drop),
    }
}
