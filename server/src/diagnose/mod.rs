//! What migrations, backups and restorations need, tested before somebody needs it. Nothing of the
//! tests stays.

mod checks;
mod disk;
mod server;
mod source;
mod store;
mod target;

use std::{path::PathBuf, sync::Arc, time::Duration};

use futures_util::{StreamExt, stream};
use switchback_proto::v1;
use tokio::{sync::Mutex, time::timeout};

use self::checks::Checks;
use crate::{
    backup::postgres::programs::Programs,
    clock,
    config::Config,
    db::{Database, DatabaseSet},
    error::Result,
    object_store::ObjectStore,
};

/// For each kind of test. All of them are done within the minute that a call has.
const PATIENCE: Duration = Duration::from_secs(15);

/// Databases that are looked at side by side.
const SIDE_BY_SIDE: usize = 8;

/// What is tested. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Doctor {
    set: Arc<DatabaseSet>,
    store: Arc<dyn ObjectStore>,
    state_dir: PathBuf,
    restore_dir: PathBuf,
    /// The server's own certificate; `None` without TLS.
    certificate: Option<PathBuf>,
    /// Tests write something: callers wait for each other.
    turn: Arc<Mutex<()>>,
}

impl Doctor {
    pub(crate) fn new(config: &Config, set: Arc<DatabaseSet>, store: Arc<dyn ObjectStore>) -> Self {
        Self {
            set,
            store,
            state_dir: config.state_dir.clone(),
            restore_dir: config.restore_dir.clone(),
            certificate: config.tls.as_ref().map(|files| files.certificate.clone()),
            turn: Arc::default(),
        }
    }

    /// Tests what a database needs, or with an empty name what all of them do, and what they share.
    /// `UNKNOWN_DATABASE`; whatever a test finds is in the answer.
    pub(crate) async fn diagnose(&self, database: &str) -> Result<v1::DiagnoseResponse> {
        let databases: Vec<Database> = if database.is_empty() {
            self.set.names().map(|name| self.set.get(name).cloned()).collect::<Result<_>>()?
        } else {
            vec![self.set.get(database)?.clone()]
        };
        let _turn = self.turn.lock().await;
        let (server, store) = tokio::join!(self.server(), self.store());
        let each = stream::iter(databases).map(|database| self.database(database));
        let each: Vec<Checks> = each.buffered(SIDE_BY_SIDE).collect().await;
        let all = [server, store].into_iter().chain(each);
        Ok(v1::DiagnoseResponse {
            checks: all.flat_map(Checks::into_all).collect(),
            server_version: env!("CARGO_PKG_VERSION").into(),
            time: Some(clock::now()),
        })
    }

    async fn server(&self) -> Checks {
        let mut checks = Checks::default();
        checks.version();
        if let Some(file) = &self.certificate {
            server::certificate(file, &mut checks);
        }
        disk::directory("state_dir", &self.state_dir, disk::ROOM, &mut checks).await;
        disk::directory("restore_dir", &self.restore_dir, disk::ROOM, &mut checks).await;
        checks
    }

    async fn store(&self) -> Checks {
        let mut checks = Checks::default();
        let tested = store::test(&*self.store, &mut checks);
        if timeout(PATIENCE, tested).await.is_err() {
            checks.late("store", PATIENCE);
        }
        checks
    }

    async fn database(&self, database: Database) -> Checks {
        let mut checks = Checks::of(&database.config.name);
        if timeout(PATIENCE, source::test(&database, &mut checks)).await.is_err() {
            checks.late("sqlite", PATIENCE);
        }
        let programs = Programs::installed();
        if timeout(PATIENCE, target::test(&database, &programs, &mut checks)).await.is_err() {
            checks.late("postgres", PATIENCE);
        }
        if let Ok(state) = self.set.state(&database.config.name).await {
            checks.held_up(&state.findings);
        }
        checks
    }
}
