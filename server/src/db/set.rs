//! The configured databases: their connections and their state.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use futures_util::future::join_all;
use switchback_proto::{
    v1::{self, Engine, EngineState, EngineStatus, Finding, Phase},
    words::Word,
};
use tokio::{
    sync::{Mutex, Notify},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use super::{
    control::{ControlStore, DatabaseRecord},
    lag::{Lag, LagNow},
    postgres::{PoolSettings, Postgres},
    shown::{Engines, describe, known_lag},
    source::SourceFile,
    sqlite::SqlitePoolOfSource,
    standing::Standing,
    target::{Holder, Target},
    versions::Cached,
    way_back::{is_way_back_healthy, rollback},
};
use crate::{
    clock,
    config::{Config, DatabaseConfig},
    error::{Error, Reason, Result},
};

/// How often PostgreSQL is asked which engine is active, while SQLite is taken for it.
const FOLLOW: Duration = Duration::from_secs(5);

/// How long a start waits for PostgreSQL to confirm that it is the active engine.
const EXPECT: Duration = Duration::from_secs(3);

/// How long the end of the server waits for questions to a source; there is nothing to be lost.
const CLOSED: Duration = Duration::from_secs(1);

/// One configured pair of engines.
#[derive(Debug, Clone)]
pub struct Database {
    /// Its settings.
    pub config: DatabaseConfig,
    /// The source file.
    pub source: SourceFile,
    /// The target.
    pub postgres: Postgres,
    /// Where scratch files go.
    pub scratch: PathBuf,
    /// Held by whatever changes the pair: an operation, or the follower for one batch.
    pub gate: Arc<Mutex<()>>,
    /// Tells the follower that there may be something to follow.
    pub wake: Arc<Notify>,
    holder: Holder,
    /// How far the target is behind.
    pub lag: Lag,
    /// What its coordinator tells of it.
    pub standing: Standing,
    pub(super) sqlite: SqlitePoolOfSource,
    pub(super) versions: Cached,
}

/// What is known of a database without asking anybody.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// Its name.
    pub name: &'a str,
    /// What is recorded about it.
    pub record: DatabaseRecord,
    /// How far the target is behind; `None` where this server does not know.
    pub lag: Option<LagNow>,
    /// Whether the active engine answered when the health check asked last.
    pub answers: Option<bool>,
    /// When the newest backup was taken, in milliseconds since 1970.
    pub backed_up_at: Option<i64>,
    /// Its connections to PostgreSQL.
    pub pool: PoolNow,
}

/// Connections of a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolNow {
    /// Those that nobody uses.
    pub idle: u32,
    /// Those that somebody uses.
    pub used: u32,
    /// Most that there may be.
    pub size: u32,
}

/// Every configured database.
#[derive(Debug)]
pub struct DatabaseSet {
    databases: BTreeMap<String, Database>,
    store: ControlStore,
}

impl DatabaseSet {
    /// Prepares the pools; connects to nothing.
    pub fn new(config: &Config, store: ControlStore, holder: &Holder) -> Result<Self> {
        let scratch = &config.state_dir;
        let databases = config.databases.values().map(|config| {
            let settings = PoolSettings {
                max_connections: config.pool_size,
                name: holder.session(),
                ..PoolSettings::default()
            };
            let database = Database {
                source: SourceFile::new(&config.sqlite),
                postgres: Postgres::new(config.postgres.expose(), settings)?,
                lag: Lag::default(),
                standing: Standing::default(),
                sqlite: SqlitePoolOfSource::new(&config.sqlite),
                versions: Cached::default(),
                config: config.clone(),
                scratch: scratch.clone(),
                gate: Arc::default(),
                wake: Arc::default(),
                holder: holder.clone(),
            };
            Ok((config.name.clone(), database))
        });
        Ok(Self { databases: databases.collect::<Result<_>>()?, store })
    }

    /// One database, with records of its own.
    pub(crate) fn of(database: Database, store: ControlStore) -> Self {
        let databases = BTreeMap::from([(database.config.name.clone(), database)]);
        Self { databases, store }
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
            if let Some(at) = self.store.backed_up_at(name).await? {
                database.standing.set_backed_up(at);
            }
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
        let Some(recorded) = database.target().read_control(name).await? else { return Ok(()) };
        let known = self.store.database(name).await?;
        let active = Engine::from_word(&recorded.active).unwrap_or(known.active);
        let epoch = u64::try_from(recorded.epoch).unwrap_or_default();
        let finalized = recorded.phase == Phase::Finalized.word();
        // This server's own record may be a step ahead of what was just read.
        let switched = active != known.active && epoch > known.epoch;
        if !switched && (!finalized || known.phase == Phase::Finalized) {
            return Ok(());
        }
        let phase = match active {
            Engine::Postgres if finalized => Phase::Finalized,
            Engine::Postgres => Phase::Reversible,
            _ => Phase::Following,
        };
        tracing::info!(
            database = name,
            epoch,
            active_engine = active.word(),
            "the active engine is another one by PostgreSQL's record"
        );
        self.store.set_database(name, DatabaseRecord { active, epoch, phase }).await
    }

    /// Whether the active engine of a database answers.
    pub async fn active_state(&self, name: &str) -> EngineState {
        let Some(database) = self.databases.get(name) else { return EngineState::Unspecified };
        let Ok(record) = self.store.database(name).await else { return EngineState::Unspecified };
        let status = match record.active {
            Engine::Postgres => database.postgres_status().await,
            _ => database.sqlite.status().await,
        };
        database.standing.set_active(record.active, status.state() == EngineState::Up);
        status.state()
    }

    /// Whether the way back of a database is there and its lag small; `None` where there is none, or
    /// where another server knows.
    pub async fn way_back(&self, name: &str) -> Result<Option<bool>> {
        let database = self.get(name)?;
        let record = self.store.database(name).await?;
        let halted_by = self.store.halted_by(name).await?;
        let findings: Vec<Finding> =
            halted_by.into_iter().chain(database.standing.findings()).collect();
        Ok(is_way_back_healthy(rollback(&record, &findings), database.known_lag(&record)))
    }

    /// What is known of every database without asking an engine or the disk.
    pub fn known(&self) -> impl Iterator<Item = Known<'_>> {
        self.databases.iter().filter_map(|(name, database)| {
            let record = self.store.known(name)?;
            let asked = database.standing.active().filter(|(engine, _)| *engine == record.active);
            Some(Known {
                name,
                record,
                lag: database.known_lag(&record),
                answers: asked.map(|(_, answers)| answers),
                backed_up_at: database.standing.backed_up_at(),
                pool: database.pool(),
            })
        })
    }

    /// The state of a database, as callers see it.
    pub async fn state(&self, name: &str) -> Result<v1::Database> {
        let database = self.get(name)?;
        // Before the record, which an operation that ends has written by then: who asks in the
        // middle of a switch must not be told of neither.
        let newest = self.store.newest(name).await?;
        let record = self.store.database(name).await?;
        let halted_by = self.store.halted_by(name).await?;
        let validated_at = self.store.validated_at(name).await?.map(clock::from_millis);
        let backed_up_at = self.store.backed_up_at(name).await?.map(clock::from_millis);
        let (sqlite, postgres, versions) = tokio::join!(
            database.sqlite.status(),
            database.postgres_status(),
            database.shown_versions()
        );
        let engines = Engines { sqlite, postgres, versions };
        let findings: Vec<Finding> =
            halted_by.into_iter().chain(database.standing.findings()).collect();
        let rollback = rollback(&record, &findings).into();
        let state = describe(database, record, newest, engines);
        Ok(v1::Database { findings, rollback, validated_at, backed_up_at, ..state })
    }

    /// Closes every connection. One to a source that somebody has locked is left as it is.
    pub async fn close(&self) {
        let sources = self.databases.values().map(|database| database.sqlite.close());
        let sources = timeout(CLOSED, join_all(sources));
        let _ = tokio::join!(sources, self.store.close());
    }
}

impl Database {
    fn pool(&self) -> PoolNow {
        let now = self.postgres.pool_state();
        PoolNow {
            idle: now.idle_connections,
            used: now.connections.saturating_sub(now.idle_connections),
            size: self.config.pool_size,
        }
    }

    /// The target, as this server may change it.
    pub fn target(&self) -> Target {
        Target::new(self.postgres.clone(), self.holder.clone())
    }

    /// The same settings over another file and another target, which nobody else knows.
    pub(crate) fn with(&self, sqlite: &Path, postgres: Postgres, scratch: &Path) -> Self {
        Self {
            config: DatabaseConfig {
                sqlite: sqlite.to_owned(),
                engine: None,
                ..self.config.clone()
            },
            source: SourceFile::new(sqlite),
            postgres,
            scratch: scratch.to_owned(),
            gate: Arc::default(),
            wake: Arc::default(),
            holder: self.holder.clone(),
            lag: Lag::default(),
            standing: Standing::default(),
            sqlite: SqlitePoolOfSource::new(sqlite),
            versions: Cached::default(),
        }
    }

    fn known_lag(&self, record: &DatabaseRecord) -> Option<LagNow> {
        let coordinator = self.standing.coordinator();
        let elsewhere = !coordinator.is_empty() && coordinator != self.holder.name;
        known_lag(record, elsewhere, self.lag.seen())
    }

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
