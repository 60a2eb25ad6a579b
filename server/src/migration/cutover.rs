//! The switch to PostgreSQL: fence SQLite, then one commit in PostgreSQL decides.
//!
//! Each step reads both engines' records first, so that it can be begun again at any instant.

use std::time::{Duration, Instant};

use switchback_proto::v1::{CutoverReport, Engine, Phase};
use tokio::time::{sleep, timeout};

use super::{
    build::Context,
    journal::Journal,
    resume::{Decision, Records, Step, next_step},
    source_watch::SourceWatch,
};
use crate::{
    capture::{
        self,
        fence::{self, Mark},
        lock,
    },
    db::{
        control::{ControlStore, DatabaseRecord},
        source::SourceFile,
    },
    error::{Error, Reason, Result},
    failpoint,
    task::blocking,
};

/// How long a switch waits for SQLite's write lock, and for PostgreSQL's locks, before it gives up
/// and opens SQLite again.
pub(super) const DEADLINE: Duration = Duration::from_secs(5);

/// Between two tries for PostgreSQL's locks, of which each waits a little itself.
const AGAIN: Duration = Duration::from_millis(50);

/// How a switch went on.
pub(super) enum Switched {
    /// PostgreSQL is active.
    Done,
    /// The source was not watched since it was validated: validate again.
    Unwatched,
}

/// What a switch knows of the time before it.
pub(super) struct Watched {
    /// Has seen the source since before it was validated.
    pub(super) watch: Option<SourceWatch>,
    /// When the switch was begun in this process: tries that failed count too.
    pub(super) began: Instant,
}

/// Makes PostgreSQL the active engine.
pub(super) async fn switch(
    context: &Context<'_>,
    store: &ControlStore,
    journal: &mut Journal,
    watched: Watched,
) -> Result<Switched> {
    let Watched { mut watch, began } = watched;
    // A restart does not know since when writers wait.
    let mut held = began;
    loop {
        match next_step(records(context).await?) {
            Step::Attempt => {
                let Some(watch) = watch.take() else { return Ok(Switched::Unwatched) };
                let number = context.target.begin_attempt(context.name(), context.id).await?;
                failpoint::hit("attempt.after");
                let number = number.ok_or_else(crate::db::target::gone)?;
                held = raise(context, journal, watch, number).await?;
            }
            Step::Decide(attempt) => {
                failpoint::hit("decide.before");
                decide(context, journal, attempt, began).await?;
                failpoint::hit("decide.after");
                let pause = held.elapsed().as_secs_f64() * 1000.0;
                journal.report.cutover = Some(CutoverReport { write_pause_ms: pause, epoch: 0 });
            }
            Step::Done => {
                record(context, store, journal).await?;
                return Ok(Switched::Done);
            }
            Step::Unfence => open(&context.database.source, context.id).await?,
            Step::Halt => return Err(halted(context).await),
        }
    }
}

async fn records(context: &Context<'_>) -> Result<Records> {
    let control = context.target.own_control(context.name(), context.id).await?;
    let unknown = || Error::new(Reason::Halted, format!("unknown decision {}", control.decision));
    Ok(Records {
        decision: Decision::from_word(&control.decision).ok_or_else(unknown)?,
        postgres_active: control.active == "postgres",
        attempt: control.attempt,
        fenced: fenced(&context.database.source, context.id).await?,
    })
}

/// The attempt of this migration that fenced the source.
pub(super) async fn fenced(source: &SourceFile, id: &str) -> Result<Option<i64>> {
    let (source, id) = (source.clone(), id.to_owned());
    blocking(move || {
        let connection = source.open()?;
        match fence::mark(&connection).map_err(|error| source.explain(error))? {
            Some(mark) if mark.migration == id => Ok(mark.fenced),
            Some(mark) => Err(fence::foreign(&source, &mark)),
            None => Ok(None),
        }
    })
    .await
}

/// Refuses a source that a migration which is not known here has fenced.
pub(super) async fn refuse_fenced(source: &SourceFile) -> Result<()> {
    let source = source.clone();
    blocking(move || {
        let connection = source.open()?;
        let mark = fence::mark(&connection).map_err(|error| source.explain(error))?;
        mark.map_or(Ok(()), |mark| Err(fence::foreign(&source, &mark)))
    })
    .await
}

/// Fences the source, if nobody has written to it since it was watched and the attempt still
/// stands. Writers wait for the lock meanwhile; returns since when.
async fn raise(
    context: &Context<'_>,
    journal: &Journal,
    watch: SourceWatch,
    attempt: i64,
) -> Result<Instant> {
    let locked = blocking(move || watch.lock(DEADLINE)).await?;
    let held = Instant::now();
    // Read again under the lock: another server may have given the attempt up.
    let asked = context.target.own_control(context.name(), context.id);
    let control = timeout(DEADLINE, asked).await.map_err(|_| {
        Error::new(Reason::TargetUnreachable, "PostgreSQL did not answer while writers waited")
            .hint("the source is open; the switch is tried again")
    })??;
    if control.decision != "pending" || control.attempt != attempt {
        return Err(Error::new(Reason::CutoverFailed, "another server gave the attempt up")
            .hint("`switchback status` says what became of the migration"));
    }
    let mark = Mark { migration: context.id.clone(), fenced: Some(attempt) };
    let (file, moved) = (context.database.source.clone(), context.database.postgres.display());
    // As it was validated: under the lock nothing can have changed it.
    let schema = journal.schema()?.clone();
    failpoint::hit("fence.before");
    blocking(move || {
        fence::raise(&locked, &schema, &mark, &moved).map_err(|error| file.explain(error))?;
        lock::commit(&locked, &file, DEADLINE)
    })
    .await?;
    failpoint::hit("fence.after");
    Ok(held)
}

/// Commits the decision; tries again while other sessions hold a table's lock, until the deadline.
/// While PostgreSQL is away nobody knows what it has decided: then only it can tell.
async fn decide(
    context: &Context<'_>,
    journal: &Journal,
    attempt: i64,
    began: Instant,
) -> Result<()> {
    loop {
        let decided = context.target.decide(journal.plan()?, context.id, attempt).await;
        // Where it is not the one that is pending, the records say what it is.
        let Err(error) = decided else { return Ok(()) };
        if !undecided(context).await {
            return Err(error);
        }
        if began.elapsed() >= DEADLINE {
            return Err(Error::new(
                Reason::CutoverFailed,
                format!("the switch was not made within {} s: {error}", DEADLINE.as_secs()),
            )
            .hint("end the sessions that hold locks on the target's tables, then migrate again"));
        }
        sleep(AGAIN).await;
    }
}

/// The server is there and has not decided: the answer to a commit may have been lost.
async fn undecided(context: &Context<'_>) -> bool {
    let control = context.target.own_control(context.name(), context.id).await;
    control.is_ok_and(|control| control.decision == "pending")
}

/// Opens the source again and removes everything of ours from it.
pub(super) async fn open(source: &SourceFile, id: &str) -> Result<()> {
    let (source, id) = (source.clone(), id.to_owned());
    blocking(move || {
        let connection = source.open()?;
        let explain = |error| source.explain(error);
        connection.pragma_update(None, "query_only", false).map_err(explain)?;
        lock::begin(&connection, &source, DEADLINE)?;
        let mark = fence::mark(&connection).map_err(explain)?;
        if mark.is_none_or(|mark| mark.migration != id) {
            return connection.execute_batch("ROLLBACK").map_err(explain);
        }
        failpoint::hit("unfence.before");
        capture::remove(&connection).map_err(explain)?;
        lock::commit(&connection, &source, DEADLINE)?;
        failpoint::hit("unfence.after");
        Ok(())
    })
    .await
}

/// The control database follows what PostgreSQL has decided.
async fn record(context: &Context<'_>, store: &ControlStore, journal: &mut Journal) -> Result<()> {
    let control = context.target.own_control(context.name(), context.id).await?;
    let epoch = u64::try_from(control.epoch).unwrap_or_default();
    if let Some(report) = &mut journal.report.cutover {
        report.epoch = epoch;
    }
    let record = DatabaseRecord { active: Engine::Postgres, epoch, phase: Phase::Reversible };
    store.set_database(context.name(), record).await
}

async fn halted(context: &Context<'_>) -> Error {
    let found = records(context).await;
    Error::new(Reason::Halted, format!("both engines' records contradict each other: {found:?}"))
        .hint(
            "one of the two was restored or changed by hand, and nothing was changed since: compare \
             them; where SQLite is to go on, `switchback migrate` opens it first",
        )
}
