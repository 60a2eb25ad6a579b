//! `grpc.health.v1`: the process, the services, and two names a database: its active engine, and
//! the way back from PostgreSQL.

use std::{sync::Arc, time::Duration};

use switchback_proto::v1::EngineState;
use tokio_util::sync::CancellationToken;
use tonic_health::{ServingStatus, server::HealthReporter};

use crate::db::DatabaseSet;

/// Name of the database service in health checks.
pub const DATABASE_SERVICE: &str = "switchback.v1.DatabaseService";

/// Name of the operation service in health checks.
pub const OPERATION_SERVICE: &str = "switchback.v1.OperationService";

/// How often the active engines are asked.
const INTERVAL: Duration = Duration::from_secs(2);

/// Keeps `database/<name>` SERVING while the database's active engine answers, and
/// `rollback/<name>` while what is written on PostgreSQL is carried back without much lag, until
/// `stop`; then everything is NOT_SERVING. Where there is no way back its status is UNKNOWN: whoever
/// watches it is told of the next one.
pub async fn watch_engines(
    reporter: HealthReporter,
    set: Arc<DatabaseSet>,
    stop: CancellationToken,
) {
    for service in ["", DATABASE_SERVICE, OPERATION_SERVICE] {
        reporter.set_service_status(service, ServingStatus::Serving).await;
    }
    let mut ticks = tokio::time::interval(INTERVAL);
    loop {
        for name in set.names() {
            let up = set.active_state(name).await == EngineState::Up;
            let status = if up { ServingStatus::Serving } else { ServingStatus::NotServing };
            reporter.set_service_status(format!("database/{name}"), status).await;
            let status = match set.way_back(name).await {
                Ok(Some(true)) => ServingStatus::Serving,
                Ok(Some(false)) => ServingStatus::NotServing,
                Ok(None) | Err(_) => ServingStatus::Unknown,
            };
            reporter.set_service_status(format!("rollback/{name}"), status).await;
        }
        tokio::select! {
            () = stop.cancelled() => break,
            _ = ticks.tick() => {}
        }
    }
    let databases =
        set.names().flat_map(|name| ["database", "rollback"].map(|kind| format!("{kind}/{name}")));
    for service in
        ["", DATABASE_SERVICE, OPERATION_SERVICE].map(String::from).into_iter().chain(databases)
    {
        reporter.set_service_status(service, ServingStatus::NotServing).await;
    }
}
