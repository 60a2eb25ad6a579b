//! One source, one target and one server: what a scenario runs on.

use std::{
    fs,
    path::{Path, PathBuf},
};

use rusqlite::Connection;
use switchback_proto::v1::Plan;
use tempfile::TempDir;
use tokio_postgres::Client;

use crate::{
    checker::{self, Outcome},
    cli::{self, Run, Running},
    cluster::{Cluster, Database},
    server::Server,
};

/// A source, a target and a server between them.
#[derive(Debug)]
pub struct Rig {
    /// The server.
    pub server: Server,
    /// The target.
    pub database: Database,
    /// The source file.
    pub source: PathBuf,
    /// Where the source file is; removed with the rig.
    pub directory: TempDir,
}

impl Rig {
    /// A source made by SQL.
    pub async fn of_sql(sql: &str) -> Self {
        Self::of(|connection| connection.execute_batch(sql).expect("SQLite takes the fixture"))
            .await
    }

    /// A source made through a connection.
    pub async fn of(build: impl FnOnce(&Connection)) -> Self {
        let directory = directory();
        let source = directory.path().join("source.db");
        build(&Connection::open(&source).expect("a SQLite file"));
        Self::on(directory, source).await
    }

    /// A copy of a file, under its own name.
    pub async fn of_file(file: &Path) -> Self {
        let directory = directory();
        let source = directory.path().join(file.file_name().expect("a file has a name"));
        let bytes = fs::read(file).expect("a readable file");
        fs::write(&source, bytes).expect("a copy");
        Self::on(directory, source).await
    }

    /// A source that was made in a directory of its own.
    pub async fn on(directory: TempDir, source: PathBuf) -> Self {
        let database = Cluster::shared().database().await;
        let server = Server::start(&source, &database.url).await;
        Self { server, database, source, directory }
    }

    /// Runs the command line against the server.
    pub async fn cli(&self, arguments: &[&str]) -> Run {
        cli::run(&self.server.endpoint(), arguments).await
    }

    /// Starts the command line against the server.
    pub fn start(&self, arguments: &[&str]) -> Running {
        cli::start(&self.server.endpoint(), arguments)
    }

    /// A superuser's connection to the target.
    pub async fn target(&self) -> Client {
        self.database.admin().await
    }

    /// A connection that may change the source.
    pub fn source(&self) -> Connection {
        Connection::open(&self.source).expect("the source opens")
    }

    /// BLAKE3 of the source file.
    pub fn source_hash(&self) -> String {
        hash(&self.source)
    }

    /// What an independent comparison of both sides finds, by table.
    pub async fn compare(&self, plan: &Plan) -> Vec<Outcome> {
        checker::compare(&self.source, &self.target().await, plan).await
    }

    /// Fails unless every row of the plan's tables arrived.
    pub async fn assert_faithful(&self, plan: &Plan) {
        for outcome in self.compare(plan).await {
            assert!(outcome.is_faithful(), "not faithful: {outcome:#?}");
        }
    }

    /// Fails unless the target holds nothing but what PostgreSQL put there.
    pub async fn assert_target_empty(&self) {
        let left = checker::objects(&self.target().await).await;
        assert!(left.is_empty(), "left behind in the target: {left:?}");
    }

    /// Ends the server and drops the target.
    pub async fn finish(self) {
        let Self { server, database, .. } = self;
        drop(server);
        database.remove().await;
    }
}

/// BLAKE3 of a file.
pub fn hash(file: &Path) -> String {
    blake3::hash(&fs::read(file).expect("a readable file")).to_hex().to_string()
}

/// A directory for a source file.
pub fn directory() -> TempDir {
    tempfile::Builder::new().prefix("switchback-s-").tempdir().expect("a directory")
}
