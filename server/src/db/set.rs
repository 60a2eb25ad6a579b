//! The configured databases: their connections and their state.

use std::{collections::BTreeMap, time::Duration};

use switchback_proto::{
    v1::{
        self, Engine, EngineState, EngineStatus, OperationState, Phase, RollbackState,
        SchemaVersion,
    },
    words::Word,
};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::{
    control::{ControlStore, DatabaseRecord},
    postgres::{PoolSettings, Postgres},
    source::SourceFile,
    sqlite::SqlitePoolOfSource,
    target::Target,
};
use crate::{
    config::{Config, DatabaseConfig},
    error::{Error, Reason, Result},
};

/// How often PostgreSQL is asked which engine is active, while SQLite is taken for it.
const FOLLOW: Duration = Duration::from_secs(5);

/// How long a start waits for PostgreSQL to confirm that it is the active engine.
const EXPECT: Duration = Duration::from_secs(3);

/// One configured pair of engines.
#[derive(Debug, Clone)]
pub struct Database {
    /// Its settings.
    pub config: DatabaseConfig,
    /// The source file.
    pub source: SourceFile,
    /// The target.
    pub postgres: Postgres,
    sqlite: SqlitePoolOfSource,
}

/// Every configured database.
#[derive(Debug)]
pub struct DatabaseSet {
    databases: BTreeMap<String, Database>,
    store: ControlStore,
}

impl DatabaseSet {
    /// Prepares the pools; connects to nothing.
    pub fn new(config: &Config, store: ControlStore) -> Result<Self> {
        let databases = config.databases.values().map(|config| {
            let settings =
                PoolSettings { max_connections: config.pool_size, ..PoolSettings::default() };
            let database = Database {
                source: SourceFile::new(&config.sqlite),
                postgres: Postgres::new(config.postgres.expose(), settings)?,
                sqlite: SqlitePoolOfSource::new(&config.sqlite),
                config: config.clone(),
            };
            Ok((config.name.clone(), database))
        });
        Ok(Self { databases: databases.collect::<Result<_>>()?, store })
    }

    /// Names of the databases.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.databases.keys().map(String::as_str)
    }

    /// A database by its name.
    pub fn get(&self, name: &str) -> Result<&Database> {
        self.databases.get(name).ok_or_else(|| {
            let known: Vec<&str> = self.names().collect();
            Error::new(Reason::UnknownDatabase, format!("there is no database {name:?}"))
                .hint(format!("the server is configured with: {}", known.join(", ")))
        })
    }

    /// Refuses a record that contradicts what the deployment expects.
    pub async fn check_expectations(&self) -> Result<()> {
        for (name, database) in &self.databases {
            if database.config.engine == Some(Engine::Postgres) {
                // The record may be lost; without an answer it stays what it is.
                let _ = timeout(EXPECT, self.follow_decision(name, database)).await;
            }
            let record = self.store.database(name).await?;
            tracing::info!(
                database = name,
                active_engine = record.active.word(),
                epoch = record.epoch,
                "database configured"
            );
            if database.config.engine.is_some_and(|expected| expected != record.active) {
                let expected = database.config.engine.unwrap_or_default().word();
                let active = record.active.word();
                return Err(Error::new(
                    Reason::StateUnusable,
                    format!(
                        "the active engine of the database {name} is recorded as {active}, \
                         and SWITCHBACK_ENGINE expects {expected}"
                    ),
                )
                .hint("set SWITCHBACK_ENGINE=auto to follow the record"));
            }
        }
        Ok(())
    }

    /// Follows what PostgreSQL records, until `stop`: it is where the active engine is decided, and
    /// this server's own record may be lost, or another server may have migrated.
    pub async fn follow_decisions(&self, stop: &CancellationToken) {
        let mut ticks = tokio::time::interval(FOLLOW);
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            for (name, database) in &self.databases {
                if let Err(error) = self.follow_decision(name, database).await {
                    tracing::debug!(database = name, %error, "the target's record is unknown");
                }
            }
        }
    }

    async fn follow_decision(&self, name: &str, database: &Database) -> Result<()> {
        let known = self.store.database(name).await?;
        if known.active == Engine::Postgres {
            return Ok(());
        }
        let recorded = Target::new(database.postgres.clone()).read_control(name).await?;
        let Some(recorded) = recorded.filter(|record| record.active == Engine::Postgres.word())
        else {
            return Ok(());
        };
        let epoch = u64::try_from(recorded.epoch).unwrap_or_default();
        tracing::info!(database = name, epoch, "PostgreSQL is the active engine by its own record");
        let record = DatabaseRecord { active: Engine::Postgres, epoch, phase: Phase::Reversible };
        self.store.set_database(name, record).await
    }

    /// Whether the active engine of a database answers.
    pub async fn active_state(&self, name: &str) -> EngineState {
        let Some(database) = self.databases.get(name) else { return EngineState::Unspecified };
        let active = self.store.database(name).await.map(|record| record.active);
        let status = match active {
            Ok(Engine::Postgres) => database.postgres_status().await,
            Ok(_) => database.sqlite.status().await,
            Err(_) => EngineStatus::default(),
        };
        status.state()
    }

    /// The state of a database, as callers see it.
    pub async fn state(&self, name: &str) -> Result<v1::Database> {
        let database = self.get(name)?;
        let record = self.store.database(name).await?;
        let newest = self.store.newest(name).await?;
        let (sqlite, postgres, user_version) = tokio::join!(
            database.sqlite.status(),
            database.postgres_status(),
            database.sqlite.user_version()
        );
        Ok(describe(name, record, newest, Engines { sqlite, postgres, user_version }))
    }

    /// Closes every connection.
    pub async fn close(&self) {
        for database in self.databases.values() {
            database.sqlite.close().await;
        }
        self.store.close().await;
    }
}

impl Database {
    async fn postgres_status(&self) -> EngineStatus {
        match self.postgres.version().await {
            Ok(version) => {
                EngineStatus { state: EngineState::Up.into(), message: String::new(), version }
            }
            Err(error) => EngineStatus {
                state: EngineState::Down.into(),
                message: error.to_string(),
                version: String::new(),
            },
        }
    }
}

/// What is written on PostgreSQL does not flow back yet.
fn rollback(record: &DatabaseRecord) -> RollbackState {
    match record.active {
        Engine::Postgres => RollbackState::Unavailable,
        _ => RollbackState::None,
    }
}

struct Engines {
    sqlite: EngineStatus,
    postgres: EngineStatus,
    user_version: Option<i64>,
}

fn describe(
    name: &str,
    record: DatabaseRecord,
    newest: Option<v1::Operation>,
    engines: Engines,
) -> v1::Database {
    let migrating = newest.as_ref().filter(|operation| {
        operation.state() == OperationState::Running
            && operation.kind() == v1::OperationKind::Migrate
    });
    let phase = migrating.map_or(record.phase, v1::Operation::phase);
    let user_version = engines.user_version.map(|version| SchemaVersion {
        engine: Engine::Sqlite.into(),
        tool: "user_version".into(),
        version: version.to_string(),
    });
    v1::Database {
        name: name.to_owned(),
        active_engine: record.active.into(),
        epoch: record.epoch,
        phase: phase.into(),
        lag_changes: 0,
        lag_ms: 0,
        rollback: rollback(&record).into(),
        operation_id: newest.map(|operation| operation.operation_id).unwrap_or_default(),
        sqlite: Some(engines.sqlite),
        postgres: Some(engines.postgres),
        schema_versions: user_version.into_iter().collect(),
    }
}
