//! Who coordinates a migration, where several servers are configured with the same pair.

use std::time::{Duration, Instant};

use tokio::time::sleep;
use tokio_postgres::{GenericClient, types::ToSql};

use super::{Control, FORMAT, Target, controls, found_version, installed_version};
use crate::{
    db::postgres::{explain, failed},
    error::{Error, Reason, Result},
};

/// Ending a session takes a moment; one that hangs in the kernel is not waited for.
const EVICTION: Duration = Duration::from_secs(5);

/// Between two looks whether they are gone.
const AGAIN: Duration = Duration::from_millis(20);

/// A server, as the record names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Stays the same as long as its state directory.
    pub id: String,
    /// Where it runs, for people.
    pub name: String,
    /// How long it keeps others waiting when it says nothing.
    pub lease: Duration,
}

impl Holder {
    /// What its sessions in PostgreSQL are called.
    pub fn session(&self) -> String {
        session(&self.id)
    }

    /// For PostgreSQL.
    pub(super) fn lease(&self) -> String {
        format!("{} ms", self.lease.as_millis())
    }
}

/// PostgreSQL cuts names off behind 63 bytes; an id has 36.
fn session(holder: &str) -> String {
    format!("switchback {holder}")
}

/// Who coordinates a migration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tenure {
    /// There is none.
    Nobody,
    /// This server.
    Ours,
    /// Another server.
    Other {
        /// Where it runs.
        name: String,
        /// Phase that the migration has reached, as a word.
        phase: String,
    },
    /// A server that has been silent for longer than its lease.
    Abandoned,
}

impl Target {
    /// Who this server is.
    pub fn holder(&self) -> &Holder {
        &self.holder
    }

    /// Who coordinates a database's migration; the lease is renewed where it is this server.
    pub async fn tenure(&self, database: &str) -> Result<Tenure> {
        let client = self.postgres().get().await?;
        let newest = i32::try_from(super::VERSIONS.len()).ok();
        if found_version(&*client).await? != newest {
            return Ok(Tenure::Nobody);
        }
        let renew = "UPDATE switchback.control SET lease_until = now() + $3::text::interval \
                     WHERE database = $1 AND holder = $2";
        let values: [&(dyn ToSql + Sync); 3] = [&database, &self.holder.id, &self.holder.lease()];
        if client.execute(renew, &values).await.map_err(failed)? > 0 {
            return Ok(Tenure::Ours);
        }
        let sql = "SELECT holder_name, phase, lease_until < now() AND source_schema <> '' \
                   FROM switchback.control WHERE database = $1";
        let row = client.query_opt(sql, &[&database]).await.map_err(failed)?;
        Ok(row.map_or(Tenure::Nobody, |row| {
            if row.get(2) {
                return Tenure::Abandoned;
            }
            Tenure::Other { name: row.get(0), phase: row.get(1) }
        }))
    }

    /// Takes over a migration whose coordinator has been silent for longer than its lease; `None`
    /// where there is none.
    pub async fn take_over(&self, database: &str) -> Result<Option<Control>> {
        let client = self.postgres().get().await?;
        if installed_version(&*client).await?.is_none() {
            return Ok(None);
        }
        let sql = "UPDATE switchback.control SET holder = $2, holder_name = $3, \
                     lease_until = now() + $4::text::interval \
                   WHERE database = $1 AND holder <> $2 AND lease_until < now() \
                     AND source_schema <> ''";
        let values: [&(dyn ToSql + Sync); 4] =
            [&database, &self.holder.id, &self.holder.name, &self.holder.lease()];
        // What a later version has begun is left to one.
        let silent = "SELECT holder FROM switchback.control \
                      WHERE database = $1 AND holder <> $2 AND lease_until < now() \
                        AND format <= $3";
        let silent = client.query_opt(silent, &[&database, &self.holder.id, &FORMAT]).await;
        let Some(silent) = silent.map_err(failed)? else { return Ok(None) };
        // It may hold the record's lock; and once more, as it may have connected again since.
        self.evict(&*client, silent.get(0)).await;
        if client.execute(sql, &values).await.map_err(failed)? == 0 {
            return Ok(None);
        }
        self.evict(&*client, silent.get(0)).await;
        let controls = controls(&*client).await?;
        Ok(controls.into_iter().find(|control| control.database == database))
    }

    /// Takes a migration over from whoever coordinates it.
    pub(crate) async fn seize(&self, database: &str, migration: &str) -> Result<()> {
        let client = self.postgres().get().await?;
        let sql = "UPDATE switchback.control SET holder = $3, holder_name = $4, \
                     lease_until = now() + $5::text::interval \
                   WHERE database = $1 AND migration = $2";
        let holder = &self.holder;
        let values: [&(dyn ToSql + Sync); 5] =
            [&database, &migration, &holder.id, &holder.name, &holder.lease()];
        client.execute(sql, &values).await.map_err(failed)?;
        Ok(())
    }

    /// Ends the sessions of a server that has lost its lease and waits until they are gone: it may
    /// be paused in the middle of a transaction, which would keep its locks.
    async fn evict(&self, client: &impl GenericClient, holder: &str) {
        let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                   WHERE datname = current_database() AND application_name = $1";
        let name = session(holder);
        let began = Instant::now();
        loop {
            match client.query(sql, &[&name]).await {
                Ok(sessions) if sessions.is_empty() => return,
                Ok(_) if began.elapsed() < EVICTION => sleep(AGAIN).await,
                Ok(_) => return tracing::warn!("sessions of the server that is gone go on"),
                Err(error) => {
                    let error = explain(&error);
                    return tracing::warn!(%error, "the sessions of that server are left alone");
                }
            }
        }
    }

    /// Fails where another server coordinates a database's migration.
    pub(crate) async fn check_tenure(&self, database: &str) -> Result<()> {
        let client = self.postgres().get().await?;
        self.require(&*client, database).await
    }

    /// Fails where another server coordinates a database's migration, and keeps it so until the end
    /// of the transaction.
    pub(crate) async fn require(&self, client: &impl GenericClient, database: &str) -> Result<()> {
        let sql = "SELECT holder FROM switchback.control WHERE database = $1 FOR SHARE";
        let row = client.query_opt(sql, &[&database]).await.map_err(failed)?;
        if row.is_none_or(|row| row.get::<_, &str>(0) == self.holder.id) {
            return Ok(());
        }
        Err(passed_on(client, database, &self.holder.id).await)
    }

    /// The error where a statement that needs the lease has changed nothing.
    pub(super) async fn refused(
        &self,
        client: &impl GenericClient,
        database: &str,
        migration: &str,
    ) -> Error {
        let found = controls(client).await;
        let own = found.map(|controls| {
            controls.into_iter().find(|c| c.database == database && c.migration == migration)
        });
        match own {
            Err(error) => error,
            Ok(None) => super::gone(),
            Ok(Some(control)) if control.holder != self.holder.id => held(&control),
            Ok(Some(control)) => Error::new(
                Reason::CutoverFailed,
                format!(
                    "the record of the migration has changed meanwhile (decision {}, attempt {})",
                    control.decision, control.attempt
                ),
            )
            .hint("`switchback status` says what became of the migration"),
        }
    }
}

/// The error where what only the coordinator writes is not as it was left.
pub(super) async fn passed_on(client: &impl GenericClient, database: &str, holder: &str) -> Error {
    let controls = match controls(client).await {
        Ok(controls) => controls,
        Err(error) => return error,
    };
    match controls.iter().find(|control| control.database == database) {
        None => super::gone(),
        Some(control) if control.holder != holder => held(control),
        // A server that was killed had sent this commit already.
        Some(_) => Error::new(
            Reason::TargetUnreachable,
            "an earlier connection of this server has gone on meanwhile",
        )
        .hint("the work goes on from there"),
    }
}

/// The error for a migration that another server coordinates.
pub(crate) fn held(control: &Control) -> Error {
    Error::new(
        Reason::LeaseHeld,
        format!(
            "the server {} coordinates the migration {} of {}",
            control.holder_name, control.migration, control.database
        ),
    )
    .hint(
        "ask that server; this one takes over by itself when that one has been gone for its lease",
    )
}
