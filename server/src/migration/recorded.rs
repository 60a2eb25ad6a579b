//! A migration as PostgreSQL records it: what a server needs that did not begin it.

use switchback_proto::{
    v1::{MigrateRequest, OperationError, Phase, Plan},
    words::Word,
};

use super::{build::Context, following::Follower, journal::Journal, reversing::Reverser};
use crate::{
    db::{
        Database,
        target::{Control, held},
    },
    dialect::{plan::VERSION, schema::SourceSchema},
    error::{Error, Newer, Reason, Result},
    operations::EventLog,
};

/// A migration that has not been cut over.
pub(super) struct Recorded {
    /// Its id.
    pub(super) migration: String,
    pub(super) request: MigrateRequest,
    plan: Plan,
    schema: SourceSchema,
}

impl Recorded {
    /// Reads the record.
    pub(super) fn parse(control: &Control) -> Result<Self> {
        let plan: Plan = parse(&control.plan)?;
        refuse_newer(&plan, Reason::TargetInUse)?;
        Ok(Self {
            migration: control.migration.clone(),
            request: parse(&control.request)?,
            plan,
            schema: parse(&control.source_schema)?,
        })
    }

    /// The plan.
    pub(super) fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The source's schema.
    pub(super) fn schema(&self) -> &SourceSchema {
        &self.schema
    }

    /// The resume record of a coordinator that begins in `phase`.
    pub(super) fn journal(&self, phase: Phase) -> Journal {
        let mut journal = Journal::default();
        journal.set_phase(phase);
        journal.plan = Some(self.plan.clone());
        journal.schema = Some(self.schema.clone());
        journal
    }

    /// The resume record for a server that takes over.
    pub(super) fn journal_after(&self, control: &Control) -> Journal {
        // An attempt is the last thing before the switch; whoever gives up says so first.
        let phase = match (control.phase.as_str(), control.decision.as_str()) {
            ("aborting", _) => Phase::Aborting,
            (_, "none") => Phase::Installing,
            _ => Phase::Following,
        };
        let mut journal = self.journal(phase);
        if phase == Phase::Aborting {
            journal.failure = Some(OperationError {
                reason: Reason::Cancelled.as_str().into(),
                message: "the server that was gone had begun to undo the migration".into(),
                hint: "its log says why".into(),
            });
        }
        journal
    }

    /// What carries its changes over.
    pub(super) fn follower(&self, database: &Database) -> Result<Follower> {
        self.with_context(database, |context| {
            Follower::new(context, &self.journal(Phase::Following))
        })
    }

    /// What carries changes back.
    pub(super) fn reverser(&self, database: &Database) -> Result<Reverser> {
        self.with_context(database, |context| {
            Reverser::new(context, &self.journal(Phase::Reversible))
        })
    }

    fn with_context<T>(
        &self,
        database: &Database,
        make: impl FnOnce(&Context<'_>) -> Result<T>,
    ) -> Result<T> {
        let target = database.target();
        let (log, halt) = (EventLog::none(), tokio_util::sync::CancellationToken::new());
        let context = Context {
            id: &self.migration,
            database,
            target: &target,
            request: &self.request,
            log: &log,
            halt: &halt,
        };
        make(&context)
    }
}

/// Refuses a plan of a later version, whose fields may mean what is not known here.
pub(super) fn refuse_newer(plan: &Plan, reason: Reason) -> Result<()> {
    let (found, known) = (plan.version.into(), VERSION.into());
    let newer = Newer { what: "the plan", found, known };
    newer.check().map_err(|newer| newer.into_error(reason))
}

/// Reads what the target records as JSON.
pub(super) fn parse<T: serde::de::DeserializeOwned>(json: &str) -> Result<T> {
    serde_json::from_str(json).map_err(|error| {
        Error::new(Reason::TargetInUse, "the migration recorded in the target cannot be read")
            .hint("it was written by another version of the server: use that version")
            .caused_by(error)
    })
}

/// The migration of a database that this server keeps in sync.
pub(super) async fn following(database: &Database) -> Result<Recorded> {
    let target = database.target();
    let name = &database.config.name;
    let control = target.read_control(name).await?;
    let control = control.ok_or_else(|| {
        Error::new(Reason::NotFollowing, format!("no migration of {name} is in `following`"))
            .hint("begin one: `switchback migrate --manual-cutover`")
    })?;
    if control.active == "postgres" {
        return Err(super::activation::already(name));
    }
    if control.holder != target.holder().id {
        return Err(held(&control));
    }
    if control.phase != Phase::Following.word() {
        return Err(Error::new(
            Reason::NotFollowing,
            format!("the migration of {name} is in `{}`", control.phase),
        )
        .hint("`switchback status` shows where it is; wait for `following`, or abort it"));
    }
    Recorded::parse(&control)
}

/// The migration of a database that this server can roll back.
pub(super) async fn reversible(database: &Database) -> Result<Recorded> {
    let name = &database.config.name;
    let control = held_control(database).await?;
    if control.active != "postgres" {
        return Err(Error::new(
            Reason::NotReversible,
            format!("SQLite is the active engine of {name}: there is nothing to go back from"),
        )
        .hint("`switchback abort` undoes a migration that has not been cut over"));
    }
    if control.phase != Phase::Reversible.word() {
        return Err(Error::new(
            Reason::NotReversible,
            format!("the migration of {name} is in `{}`", control.phase),
        )
        .hint("there is no way back once a migration is being finalized"));
    }
    Recorded::parse(&control)
}

/// The migration of a database that can be finalized, and whether that has begun.
pub(super) async fn to_finalize(database: &Database) -> Result<(Recorded, bool)> {
    let control = held_control(database).await?;
    if control.active == "postgres" && control.phase == Phase::Finalizing.word() {
        return Ok((Recorded::parse(&control)?, true));
    }
    Ok((reversible(database).await?, false))
}

/// The migration of a database, wherever it is.
pub(super) async fn any(database: &Database) -> Result<Recorded> {
    Recorded::parse(&held_control(database).await?)
}

async fn held_control(database: &Database) -> Result<Control> {
    let target = database.target();
    let name = &database.config.name;
    let control = target.read_control(name).await?.ok_or_else(|| {
        Error::new(Reason::NotReversible, format!("no migration of {name} is recorded"))
            .hint("`switchback status` shows where the database is")
    })?;
    if control.holder != target.holder().id {
        return Err(held(&control));
    }
    Ok(control)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_of_a_later_version_is_refused() {
        let plan = |version| Plan { version, ..Plan::default() };
        assert!(refuse_newer(&plan(VERSION), Reason::InvalidPlan).is_ok());
        for reason in [Reason::InvalidPlan, Reason::TargetInUse] {
            let refused = refuse_newer(&plan(VERSION + 1), reason).unwrap_err();
            assert_eq!(refused.reason(), reason);
            assert_eq!(
                refused.message(),
                "the plan was written by a newer Switchback (version 2, this server knows 1)"
            );
        }
    }
}
