//! Which engine is active, and who may change that.

use switchback_proto::{
    v1::{Engine, OperationState, Phase},
    words::Word,
};

use super::{build::Context, forced::GIVEN_UP, marked};
use crate::{
    db::{
        control::{ControlStore, DatabaseRecord},
        target::{Control, Tenure, gone, held},
    },
    error::{Error, Reason, Result},
    failpoint,
};

/// Lets a migration begin, or says what is in its way. What an earlier migration of this server
/// could not remove is removed first.
pub(super) async fn admit(context: &Context<'_>, store: &ControlStore) -> Result<()> {
    let name = &context.database.config.name;
    if store.database(name).await?.active == Engine::Postgres {
        return Err(already(name));
    }
    let Some(control) = context.target.read_control(name).await? else {
        return marked::refuse_marked(&context.database.source).await;
    };
    if control.active == Engine::Postgres.word() {
        return Err(already(name));
    }
    if control.phase == GIVEN_UP {
        let message = "PostgreSQL holds changes that SQLite has not: it was given up, and is back";
        return Err(Error::new(Reason::TargetInUse, message).hint(
            "bring them over by hand, then `switchback abort` removes its tables; or use an \
             empty database",
        ));
    }
    if !control.holder.is_empty() && control.holder != context.target.holder().id {
        return Err(held(&control));
    }
    if control.phase == Phase::Following.word() && control.migration != *context.id {
        let message = format!("the migration {} keeps {name} in sync already", control.migration);
        return Err(Error::new(Reason::TargetInUse, message)
            .hint("switch with `switchback cutover`, or undo it with `switchback abort`"));
    }
    if control.migration == *context.id || ended(store, &control).await? {
        tracing::info!(migration = control.migration, "removing what an earlier migration left");
        undo(context, &control.migration).await?;
        let record = store.database(name).await?;
        store.set_database(name, DatabaseRecord { phase: Phase::Idle, ..record }).await?;
        return marked::refuse_marked(&context.database.source).await;
    }
    Err(held(&control))
}

async fn ended(store: &ControlStore, control: &Control) -> Result<bool> {
    let known = store.operation(&control.migration).await?;
    Ok(known.is_some_and(|operation| operation.state() != OperationState::Running))
}

pub(super) fn already(name: &str) -> Error {
    Error::new(
        Reason::AlreadyMigrated,
        format!("PostgreSQL is the active engine of {name} already"),
    )
    .hint("`switchback status` shows it; `switchback validate` compares both sides")
}

/// Undoes a migration: first the record that nothing can decide for it any more, then the source
/// is opened, then what it made is removed. Returns how many objects that were.
pub(super) async fn undo(context: &Context<'_>, migration: &str) -> Result<u64> {
    failpoint::hit("abort.before");
    let recorded = context.target.give_up(context.name(), migration).await?;
    failpoint::hit("abort.after");
    let source = &context.database.source;
    if source.path().exists() {
        // Without a record nobody knows whether PostgreSQL was opened.
        let fenced = marked::fenced(source, migration).await?;
        if recorded.is_none() && fenced.is_some() {
            return Err(gone());
        }
        let mut attempt = recorded.unwrap_or_default();
        // PostgreSQL's record was restored to one of before. The lease is renewed, so that nobody
        // else begins an attempt meanwhile.
        if fenced > Some(attempt) && context.target.tenure(context.name()).await? == Tenure::Ours {
            attempt = fenced.unwrap_or_default();
        }
        marked::leave(source, migration, attempt).await?;
    }
    context.target.clean_up(context.name(), migration).await
}
