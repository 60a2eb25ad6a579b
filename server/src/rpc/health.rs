//! `grpc.health.v1`: the process, the services, and two names a database: its active engine, and
//! the way back from PostgreSQL.

use std::{
    pin::{Pin, pin},
    sync::Arc,
    task::Poll,
    time::Duration,
};

use futures_util::{Stream, stream};
use switchback_proto::v1::EngineState;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};
use tonic_health::{
    ServingStatus,
    pb::{
        HealthCheckRequest, HealthCheckResponse,
        health_server::{Health, HealthServer},
    },
    server::{HealthReporter, HealthService},
};

use crate::db::DatabaseSet;

/// Name of the database service in health checks.
pub const DATABASE_SERVICE: &str = "switchback.v1.DatabaseService";

/// Name of the operation service in health checks.
pub const OPERATION_SERVICE: &str = "switchback.v1.OperationService";

/// How often the active engines are asked.
const INTERVAL: Duration = Duration::from_secs(2);

/// What is known of every name's health.
#[derive(Debug, Clone)]
pub struct HealthBoard {
    reporter: HealthReporter,
    set: Arc<DatabaseSet>,
}

impl HealthBoard {
    /// Of the server, its services and its databases.
    pub fn new(set: Arc<DatabaseSet>) -> Self {
        Self { reporter: HealthReporter::new(), set }
    }

    /// The service; its streams end at `end`.
    pub(super) fn service(&self, end: CancellationToken) -> HealthServer<impl Health> {
        let told = HealthService::from_health_reporter(self.reporter.clone());
        HealthServer::new(Told { told, end })
    }

    /// Keeps `database/<name>` SERVING while the database's active engine answers, and
    /// `rollback/<name>` while what is written on PostgreSQL is carried back without much lag,
    /// until `stop`; then everything is NOT_SERVING, whatever an engine that was just asked would
    /// have said. Where there is no way back its status is UNKNOWN: whoever watches it is told of
    /// the next one.
    pub async fn keep(self, stop: CancellationToken) {
        stop.run_until_cancelled(self.follow_engines()).await;
        let names = self.set.names();
        let databases =
            names.flat_map(|name| ["database", "rollback"].map(|kind| format!("{kind}/{name}")));
        let own = ["", DATABASE_SERVICE, OPERATION_SERVICE].map(String::from);
        for service in own.into_iter().chain(databases) {
            self.tell(&service, ServingStatus::NotServing).await;
        }
    }

    async fn follow_engines(&self) {
        for service in ["", DATABASE_SERVICE, OPERATION_SERVICE] {
            self.tell(service, ServingStatus::Serving).await;
        }
        let mut ticks = tokio::time::interval(INTERVAL);
        loop {
            for name in self.set.names() {
                let up = self.set.active_state(name).await == EngineState::Up;
                let status = if up { ServingStatus::Serving } else { ServingStatus::NotServing };
                self.tell(&format!("database/{name}"), status).await;
                let status = match self.set.way_back(name).await {
                    Ok(Some(true)) => ServingStatus::Serving,
                    Ok(Some(false)) => ServingStatus::NotServing,
                    Ok(None) | Err(_) => ServingStatus::Unknown,
                };
                self.tell(&format!("rollback/{name}"), status).await;
            }
            ticks.tick().await;
        }
    }

    async fn tell(&self, service: &str, status: ServingStatus) {
        self.reporter.set_service_status(service, status).await;
    }
}

/// The health service, whose streams would hold up a stop of the server for as long as it lets
/// them.
struct Told {
    told: HealthService,
    end: CancellationToken,
}

#[tonic::async_trait]
impl Health for Told {
    type WatchStream = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        self.told.check(request).await
    }

    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let mut statuses = self.told.watch(request).await?.into_inner();
        let mut ended = Box::pin(self.end.clone().cancelled_owned());
        // The last status first: it is why the stream ends.
        let told = stream::poll_fn(move |context| match pin!(&mut statuses).poll_next(context) {
            Poll::Pending => ended.as_mut().poll(context).map(|()| None),
            told => told,
        });
        Ok(Response::new(Box::pin(told)))
    }
}
