//! Which engine is active, and who may change that.

use switchback_proto::{
    v1::{Engine, OperationState, Phase},
    words::Word,
};

use super::build::Context;
use crate::{
    db::{
        control::{ControlStore, DatabaseRecord},
        postgres::failed,
        target::Control,
    },
    error::{Error, Reason, Result},
};

/// Lets a migration begin, or says what is in its way. What an earlier migration of this server
/// could not remove is removed first.
pub(super) async fn admit(context: &Context<'_>, store: &ControlStore) -> Result<()> {
    let name = &context.database.config.name;
    if store.database(name).await?.active == Engine::Postgres {
        return Err(already(name));
    }
    let Some(control) = context.target.read_control(name).await? else { return Ok(()) };
    if control.active == Engine::Postgres.word() {
        return Err(already(name));
    }
    if control.migration == *context.id || ended(store, &control).await? {
        tracing::info!(migration = control.migration, "removing what an earlier migration left");
        context.target.clean_up(name, &control.migration).await?;
        return Ok(());
    }
    Err(Error::new(
        Reason::TargetInUse,
        format!("the target holds the migration {} of another server", control.migration),
    )
    .hint("let that server finish or cancel it; if it is gone for good, use an empty database"))
}

async fn ended(store: &ControlStore, control: &Control) -> Result<bool> {
    let known = store.operation(&control.migration).await?;
    Ok(known.is_some_and(|operation| operation.state() != OperationState::Running))
}

fn already(name: &str) -> Error {
    Error::new(
        Reason::AlreadyMigrated,
        format!("PostgreSQL is the active engine of {name} already"),
    )
    .hint("`switchback status` shows it; `switchback validate` compares both sides")
}

/// Makes PostgreSQL the active engine: one commit there decides, the control database follows.
pub(super) async fn activate(context: &Context<'_>, store: &ControlStore) -> Result<()> {
    let name = &context.database.config.name;
    let client = context.target.postgres().get().await?;
    // A compare-and-set: it decides once, however often it is run.
    let sql = "UPDATE switchback.control SET decision = 'pg', active = 'postgres', \
                 phase = 'finalized', epoch = epoch + 1 \
               WHERE database = $1 AND migration = $2 AND decision = 'none'";
    client.execute(sql, &[name, &context.id]).await.map_err(failed)?;
    drop(client);
    let decided = context.target.read_control(name).await?;
    let decided = decided.filter(|control| {
        control.migration == *context.id && control.active == Engine::Postgres.word()
    });
    let Some(control) = decided else {
        return Err(Error::new(
            Reason::TargetInUse,
            "the target's record of the migration is gone",
        )
        .hint("somebody removed the schema switchback: migrate again into an empty database"));
    };
    let record = DatabaseRecord {
        active: Engine::Postgres,
        epoch: u64::try_from(control.epoch).unwrap_or_default(),
        phase: Phase::Finalized,
    };
    store.set_database(name, record).await
}
