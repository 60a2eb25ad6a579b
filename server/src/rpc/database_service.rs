//! `DatabaseService`.

use std::{pin::Pin, sync::Arc, time::Duration};

use futures_util::{Stream, StreamExt, stream};
use switchback_proto::v1::{self, database_service_server::DatabaseService};
use tokio::sync::OwnedSemaphorePermit;
use tonic::{Request, Response, Status};

use super::{Watchers, call::Call, check, roles, status_of, stopping::until_stop};
use crate::{
    backup::Backups,
    db::DatabaseSet,
    diagnose::Doctor,
    error::Result,
    operations::{self, Operations},
    shutdown::stopping,
    task::detached,
};

/// How often the state of a watched database is looked at.
const WATCH_INTERVAL: Duration = Duration::from_secs(1);

/// Serves `DatabaseService`.
#[derive(Debug, Clone)]
pub struct Databases {
    set: Arc<DatabaseSet>,
    operations: Operations,
    backups: Backups,
    watchers: Watchers,
    doctor: Doctor,
}

type Events<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

impl Databases {
    /// Over the configured databases and the server's operations.
    pub(crate) fn new(
        set: Arc<DatabaseSet>,
        operations: Operations,
        backups: Backups,
        watchers: Watchers,
        doctor: Doctor,
    ) -> Self {
        Self { set, operations, backups, watchers, doctor }
    }

    /// Starts an operation and streams its events.
    async fn start<T: Send + 'static>(
        &self,
        call: &Call,
        request: operations::Request,
        wrap: fn(v1::OperationEvent) -> T,
    ) -> Result<Response<Events<T>>, Status> {
        call.about(request.database(), request.request_id());
        call.require(roles::of_operation(&request)).map_err(|error| status_of(&error))?;
        check::operation(&request)?;
        let started = async {
            self.set.get(request.database())?;
            // Before it starts: a caller that is refused must not have started something.
            let place = self.watchers.of_operation()?;
            let id = self.operations.start_for(call.caller(), request).await?;
            call.operation(&id);
            Ok((self.operations.watch(&id, 1).await?, place))
        };
        let (events, place) = started.await.map_err(|error| status_of(&error))?;
        let events = events.map(move |event| {
            let _held = &place;
            event.map_err(|error| status_of(&error))
        });
        let stop = self.operations.stop();
        let events = until_stop(events, (stop.announced, stop.port), operations::is_last);
        Ok(Response::new(Box::pin(events.map(move |event| event.map(wrap)))))
    }
}

#[tonic::async_trait]
impl DatabaseService for Databases {
    type PlanStream = Events<v1::PlanResponse>;
    type MigrateStream = Events<v1::MigrateResponse>;
    type ValidateStream = Events<v1::ValidateResponse>;
    type CutoverStream = Events<v1::CutoverResponse>;
    type RollbackStream = Events<v1::RollbackResponse>;
    type FinalizeStream = Events<v1::FinalizeResponse>;
    type AbortStream = Events<v1::AbortResponse>;
    type BackupStream = Events<v1::BackupResponse>;
    type RestoreStream = Events<v1::RestoreResponse>;
    type VerifyBackupStream = Events<v1::VerifyBackupResponse>;
    type WatchDatabaseStream = Events<v1::WatchDatabaseResponse>;

    async fn plan(
        &self,
        request: Request<v1::PlanRequest>,
    ) -> Result<Response<Self::PlanStream>, Status> {
        let (call, request) = Call::open(request)?;
        let wrap = |event| v1::PlanResponse { event: Some(event) };
        self.start(&call, operations::Request::Plan(request), wrap).await
    }

    async fn migrate(
        &self,
        request: Request<v1::MigrateRequest>,
    ) -> Result<Response<Self::MigrateStream>, Status> {
        let (call, request) = Call::open(request)?;
        let wrap = |event| v1::MigrateResponse { event: Some(event) };
        self.start(&call, operations::Request::Migrate(Box::new(request)), wrap).await
    }

    async fn validate(
        &self,
        request: Request<v1::ValidateRequest>,
    ) -> Result<Response<Self::ValidateStream>, Status> {
        let (call, request) = Call::open(request)?;
        let wrap = |event| v1::ValidateResponse { event: Some(event) };
        self.start(&call, operations::Request::Validate(request), wrap).await
    }

    async fn cutover(
        &self,
        request: Request<v1::CutoverRequest>,
    ) -> Result<Response<Self::CutoverStream>, Status> {
        let (call, request) = Call::open(request)?;
        let wrap = |event| v1::CutoverResponse { event: Some(event) };
        self.start(&call, operations::Request::Cutover(request), wrap).await
    }

    async fn abort(
        &self,
        request: Request<v1::AbortRequest>,
    ) -> Result<Response<Self::AbortStream>, Status> {
        let (call, request) = Call::open(request)?;
        let wrap = |event| v1::AbortResponse { event: Some(event) };
        self.start(&call, operations::Request::Abort(request), wrap).await
    }

    async fn get_database(
        &self,
        request: Request<v1::GetDatabaseRequest>,
    ) -> Result<Response<v1::GetDatabaseResponse>, Status> {
        let name = request.into_inner().database;
        let database = self.set.state(&name).await.map_err(|error| status_of(&error))?;
        Ok(Response::new(v1::GetDatabaseResponse { database: Some(database) }))
    }

    async fn list_databases(
        &self,
        _: Request<v1::ListDatabasesRequest>,
    ) -> Result<Response<v1::ListDatabasesResponse>, Status> {
        let mut databases = Vec::new();
        for name in self.set.names() {
            databases.push(self.set.state(name).await.map_err(|error| status_of(&error))?);
        }
        Ok(Response::new(v1::ListDatabasesResponse { databases }))
    }

    async fn watch_database(
        &self,
        request: Request<v1::WatchDatabaseRequest>,
    ) -> Result<Response<Self::WatchDatabaseStream>, Status> {
        let name = request.into_inner().database;
        let stop = self.operations.stop();
        if stop.work.is_cancelled() {
            // It would end at once, and its reader come back at once.
            return Err(status_of(&stopping()));
        }
        let place = self.watchers.of_database().map_err(|error| status_of(&error))?;
        let first = self.set.state(&name).await.map_err(|error| status_of(&error))?;
        let watch = DatabaseWatch {
            set: Arc::clone(&self.set),
            name,
            ticks: tokio::time::interval(WATCH_INTERVAL),
            last: None,
            first: Some(first),
            _place: place,
        };
        let states = stream::unfold(watch, |mut watch| async move {
            let item = watch.next().await.map_err(|error| status_of(&error));
            Some((
                item.map(|database| v1::WatchDatabaseResponse { database: Some(database) }),
                watch,
            ))
        });
        Ok(Response::new(until_stop(states, (stop.announced, stop.work), |_| false)))
    }

    async fn diagnose(
        &self,
        request: Request<v1::DiagnoseRequest>,
    ) -> Result<Response<v1::DiagnoseResponse>, Status> {
        let database = request.into_inner().database;
        let diagnosed = self.doctor.diagnose(&database).await;
        diagnosed.map(Response::new).map_err(|error| status_of(&error))
    }

    async fn rollback(
        &self,
        request: Request<v1::RollbackRequest>,
    ) -> Result<Response<Self::RollbackStream>, Status> {
        let (call, request) = Call::open(request)?;
        let wrap = |event| v1::RollbackResponse { event: Some(event) };
        self.start(&call, operations::Request::Rollback(request), wrap).await
    }

    async fn finalize(
        &self,
        request: Request<v1::FinalizeRequest>,
    ) -> Result<Response<Self::FinalizeStream>, Status> {
        let (call, request) = Call::open(request)?;
        let wrap = |event| v1::FinalizeResponse { event: Some(event) };
        self.start(&call, operations::Request::Finalize(request), wrap).await
    }

    async fn backup(
        &self,
        request: Request<v1::BackupRequest>,
    ) -> Result<Response<Self::BackupStream>, Status> {
        let (call, request) = Call::open(request)?;
        let wrap = |event| v1::BackupResponse { event: Some(event) };
        self.start(&call, operations::Request::Backup(request), wrap).await
    }

    async fn restore(
        &self,
        request: Request<v1::RestoreRequest>,
    ) -> Result<Response<Self::RestoreStream>, Status> {
        let (call, request) = Call::open(request)?;
        let wrap = |event| v1::RestoreResponse { event: Some(event) };
        self.start(&call, operations::Request::Restore(request), wrap).await
    }

    async fn list_backups(
        &self,
        request: Request<v1::ListBackupsRequest>,
    ) -> Result<Response<v1::ListBackupsResponse>, Status> {
        let listed = self.backups.list(&request.into_inner()).await;
        listed.map(Response::new).map_err(|error| status_of(&error))
    }

    async fn verify_backup(
        &self,
        request: Request<v1::VerifyBackupRequest>,
    ) -> Result<Response<Self::VerifyBackupStream>, Status> {
        let (call, request) = Call::open(request)?;
        let wrap = |event| v1::VerifyBackupResponse { event: Some(event) };
        self.start(&call, operations::Request::VerifyBackup(request), wrap).await
    }

    async fn delete_backup(
        &self,
        request: Request<v1::DeleteBackupRequest>,
    ) -> Result<Response<v1::DeleteBackupResponse>, Status> {
        let (call, request) = Call::open(request)?;
        call.about(&request.database, "");
        check::backup_id(&request.backup_id)?;
        let deleted = self.backups.delete(&request).await;
        deleted.map(Response::new).map_err(|error| status_of(&error))
    }

    async fn prune_backups(
        &self,
        request: Request<v1::PruneBackupsRequest>,
    ) -> Result<Response<v1::PruneBackupsResponse>, Status> {
        let (call, request) = Call::open(request)?;
        call.about(&request.database, "");
        call.require(roles::of_prune(&request)).map_err(|error| status_of(&error))?;
        check::prune(&request)?;
        let pruned = self.backups.prune(&request).await;
        pruned.map(Response::new).map_err(|error| status_of(&error))
    }
}

/// The states of a database, each different from the one before.
struct DatabaseWatch {
    set: Arc<DatabaseSet>,
    name: String,
    ticks: tokio::time::Interval,
    first: Option<v1::Database>,
    last: Option<v1::Database>,
    _place: OwnedSemaphorePermit,
}

impl DatabaseWatch {
    async fn next(&mut self) -> Result<v1::Database> {
        loop {
            let state = match self.first.take() {
                Some(first) => first,
                None => {
                    self.ticks.tick().await;
                    let (set, name) = (Arc::clone(&self.set), self.name.clone());
                    detached(async move { set.state(&name).await }).await?
                }
            };
            if self.last.as_ref() != Some(&state) {
                self.last = Some(state.clone());
                return Ok(state);
            }
        }
    }
}
