//! A SQLite backup in PostgreSQL: the restored file is migrated, with everything that a migration
//! proves.

use std::sync::Arc;

use futures_util::StreamExt;
use switchback_proto::v1::{
    FinalizeRequest, KeepSource, MigrateReport, MigrateRequest, OperationState, RestoreReport,
    ResultEvent, operation_event, result_event,
};
use tokio_util::sync::CancellationToken;

use super::{Restoration, unfinished};
use crate::{
    backup::postgres::restore::Server,
    db::{Database, DatabaseSet, control::ControlStore, postgres::failed},
    error::{Error, Reason, Result},
    migration::Migrations,
    operations::{Operations, Request},
    shutdown::Stop,
};

/// Connections that a migration needs.
const POOL: u32 = 8;

impl Restoration<'_> {
    /// A database NAME beside the configured one.
    pub(super) async fn rows_into_postgres(&self) -> Result<RestoreReport> {
        let name = &self.request.restore_as;
        let making = unfinished(name, self.run);
        let file = self.scratch.0.join("restored.db");
        let mut findings = self.write_pages(&file).await?;
        if !self.request.table.is_empty() {
            findings.extend(self.keep_one_table(&file).await?);
        }
        let configured = &self.database.postgres;
        let mut server = Server::beside(configured, &[name, &making]).await?;
        let told = format!("restored by Switchback, operation {}", super::digits(self.run));
        if server.comment(name).await? == told {
            // By an earlier run, which was cut off before it could say so.
            return Ok(RestoreReport {
                database: name.clone(),
                bytes: self.manifest.bytes,
                validated: true,
                ..RestoreReport::default()
            });
        }
        server.refuse_existing(name).await?;
        server.drop(&making).await?;
        server.create_plain(&making).await?;
        let done = async {
            let database =
                self.database.with(&file, configured.beside(&making, POOL)?, &self.scratch.0);
            let report = self.migrate(database.clone(), &self.scratch.0).await?;
            let client = database.postgres.get().await?;
            client.batch_execute("DROP SCHEMA switchback CASCADE").await.map_err(failed)?;
            drop(client);
            server.set_comment(&making, &told).await?;
            server.rename(&[(&making, name)]).await?;
            Ok::<_, Error>(report)
        };
        let migrated = match done.await {
            Ok(migrated) => migrated,
            Err(error) => return Err(server.discard(&making, error).await),
        };
        findings.extend(migrated.findings);
        Ok(RestoreReport {
            database: name.clone(),
            rows: migrated.rows,
            bytes: migrated.bytes,
            validated: migrated.validation.as_ref().is_some_and(|report| report.matches),
            validation: migrated.validation,
            findings,
            ..RestoreReport::default()
        })
    }

    /// Migrates and finalizes, with records of its own that go with the scratch directory.
    async fn migrate(
        &self,
        database: Database,
        scratch: &std::path::Path,
    ) -> Result<MigrateReport> {
        let store = ControlStore::open(scratch).await?;
        let name = database.config.name.clone();
        let set = Arc::new(DatabaseSet::of(database, store.clone()));
        let stop = self.halt.child_token();
        let migrations = Migrations::new(Arc::clone(&set), store.clone(), self.backups.clone());
        let operations =
            Operations::new(store, Arc::new(migrations), Stop::of_work(stop.clone()), 1);
        let migrate = MigrateRequest {
            database: name.clone(),
            skip_backup: true,
            ..MigrateRequest::default()
        };
        let finalize = FinalizeRequest {
            database: name,
            keep_source: KeepSource::Clean.into(),
            force: true,
            ..FinalizeRequest::default()
        };
        let done = async {
            let report =
                self.follow(&operations, Request::Migrate(Box::new(migrate)), &stop).await?;
            self.follow(&operations, Request::Finalize(finalize), &stop).await?;
            match report {
                Some(result_event::Report::Migrate(report)) => Ok(report),
                _ => Err(Error::new(Reason::Internal, "the migration has no report")),
            }
        };
        let done = done.await;
        stop.cancel();
        operations.drained().await;
        set.close().await;
        done
    }

    async fn follow(
        &self,
        operations: &Operations,
        request: Request,
        stop: &CancellationToken,
    ) -> Result<Option<result_event::Report>> {
        let id = operations.start(request).await?;
        let events = operations.watch(&id, 1).await?;
        let mut events = std::pin::pin!(events);
        while let Some(Some(event)) = stop.run_until_cancelled(events.next()).await {
            match event?.event {
                Some(operation_event::Event::Progress(progress)) => self.run.log.progress(progress),
                Some(operation_event::Event::Result(result)) => return ended(result),
                _ => {}
            }
        }
        Err(crate::task::cancelled())
    }
}

fn ended(result: ResultEvent) -> Result<Option<result_event::Report>> {
    if result.state() == OperationState::Succeeded {
        return Ok(result.report);
    }
    let error = result.error.unwrap_or_default();
    let reason = Reason::ALL.iter().copied().find(|reason| reason.as_str() == error.reason);
    Err(Error::new(reason.unwrap_or(Reason::Internal), error.message).hint(error.hint))
}
