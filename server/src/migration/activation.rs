//! Which engine is active, and who may change that.

use switchback_proto::{
    v1::{Engine, OperationState, Phase},
    words::Word,
};

use super::{build::Context, cutover};
use crate::{
    db::{
        control::{ControlStore, DatabaseRecord},
        target::{Control, gone},
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
    let Some(control) = context.target.read_control(name).await? else {
        return cutover::refuse_fenced(&context.database.source).await;
    };
    if control.active == Engine::Postgres.word() {
        return Err(already(name));
    }
    if control.migration == *context.id || ended(store, &control).await? {
        tracing::info!(migration = control.migration, "removing what an earlier migration left");
        undo(context, &control.migration).await?;
        let record = store.database(name).await?;
        store.set_database(name, DatabaseRecord { phase: Phase::Idle, ..record }).await?;
        return cutover::refuse_fenced(&context.database.source).await;
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

/// Undoes a migration: first the record that nothing can decide for it any more, then the source
/// is opened, then what it made is removed. Returns how many objects that were.
pub(super) async fn undo(context: &Context<'_>, migration: &str) -> Result<u64> {
    let recorded = context.target.give_up(context.name(), migration).await?;
    let source = &context.database.source;
    if source.path().exists() && cutover::fenced(source, migration).await?.is_some() {
        // Without a record nobody knows whether PostgreSQL was opened.
        if !recorded {
            return Err(gone());
        }
        cutover::open(source, migration).await?;
    }
    context.target.clean_up(context.name(), migration).await
}
