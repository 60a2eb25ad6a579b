//! Pooled small questions to the source file, through sqlx. Rows are read by `db::source`.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use sqlx::{
    SqlitePool,
    sqlite::{SqliteConnectOptions, SqlitePoolOptions},
};
use switchback_proto::v1::{EngineState, EngineStatus};

use super::source::has_log;

/// A question waits this long for a connection and for a lock; a health check asks every other
/// second.
const PATIENCE: Duration = Duration::from_secs(2);

/// Questions come from status calls and health checks, one after the other.
const CONNECTIONS: u32 = 2;

/// An idle connection does not hold on to a file that its owner may want to move.
const IDLE: Duration = Duration::from_secs(10);

/// The pools over one source file. Nothing is opened before the first question.
#[derive(Debug, Clone)]
pub(super) struct SqlitePoolOfSource {
    path: PathBuf,
    pool: SqlitePool,
    /// For a file with a write-ahead log: what is read-only cannot move the log into the file
    /// when it is closed. Without a log it would leave an empty one behind.
    beside_log: SqlitePool,
}

impl SqlitePoolOfSource {
    pub(super) fn new(path: &Path) -> Self {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(false)
            .busy_timeout(PATIENCE)
            .pragma("query_only", "1")
            .pragma("trusted_schema", "0");
        let pool = SqlitePoolOptions::new()
            .max_connections(CONNECTIONS)
            .acquire_timeout(PATIENCE)
            .idle_timeout(IDLE);
        Self {
            path: path.to_owned(),
            beside_log: pool.clone().connect_lazy_with(options.clone().read_only(true)),
            pool: pool.connect_lazy_with(options),
        }
    }

    fn pool(&self) -> &SqlitePool {
        if has_log(&self.path) { &self.beside_log } else { &self.pool }
    }

    /// Whether SQLite can read the file, and its version.
    pub(super) async fn status(&self) -> EngineStatus {
        let asked = sqlx::query_as::<_, (String, i64)>(
            "SELECT sqlite_version(), (SELECT count(*) FROM sqlite_schema)",
        )
        .fetch_one(self.pool())
        .await;
        match asked {
            Ok((version, _)) => {
                EngineStatus { state: EngineState::Up.into(), message: String::new(), version }
            }
            Err(error) => EngineStatus {
                state: EngineState::Down.into(),
                message: reason(&error),
                version: String::new(),
            },
        }
    }

    pub(super) async fn close(&self) {
        // The last one to close removes the log, which one that is read-only cannot.
        self.beside_log.close().await;
        self.pool.close().await;
    }
}

fn reason(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Database(error) => error.message().to_owned(),
        sqlx::Error::PoolTimedOut => "it does not answer".to_owned(),
        other => other.to_string(),
    }
}
