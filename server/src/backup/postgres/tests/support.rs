//! Databases of a private cluster, a store in memory, and what a database looks like from outside.

use std::{
    collections::{BTreeMap, BTreeSet},
    process::Command,
    sync::{
        Mutex,
        atomic::{AtomicU32, Ordering},
    },
};

use tokio_util::sync::CancellationToken;

use super::{
    super::{
        create::{self, BackedUp},
        programs::Programs,
        restore::Restore,
    },
    cluster::{binaries, cluster},
};
use crate::{
    backup::{
        chunk::{ChunkId, ChunkRef, Fetch, LARGEST, Sink},
        key::Key,
        manifest::{PostgresContent, TableName},
    },
    db::postgres::{PoolSettings, Postgres},
    dialect::ident::quote,
    error::{Error, Reason, Result},
};

/// A store in memory.
#[derive(Default)]
pub(super) struct Memory {
    pub(super) chunks: Mutex<BTreeMap<ChunkId, Vec<u8>>>,
}

impl Memory {
    pub(super) fn ids(&self) -> BTreeSet<ChunkId> {
        self.chunks.lock().unwrap().keys().copied().collect()
    }
}

impl Sink for Memory {
    fn key(&self) -> Key {
        Key::PLAIN
    }

    fn id(&self, content: &[u8]) -> ChunkId {
        ChunkId(*blake3::hash(content).as_bytes())
    }

    async fn put(&self, content: Vec<u8>) -> Result<ChunkRef> {
        assert!(!content.is_empty() && content.len() <= LARGEST);
        // Later ones may be ready sooner.
        tokio::task::yield_now().await;
        let id = self.id(&content);
        let length = u32::try_from(content.len()).unwrap();
        self.chunks.lock().unwrap().insert(id, content);
        Ok(ChunkRef { id, length })
    }
}

impl Fetch for Memory {
    async fn get(&self, chunk: ChunkRef) -> Result<Vec<u8>> {
        let found = self.chunks.lock().unwrap().get(&chunk.id).cloned();
        found.ok_or_else(|| Error::new(Reason::BackupDamaged, "no such chunk"))
    }
}

/// A database of the cluster.
pub(super) struct Database {
    pub(super) name: String,
    pub(super) postgres: Postgres,
}

impl Database {
    /// An empty one.
    pub(super) async fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("b{}'=\" x", NUMBER.fetch_add(1, Ordering::Relaxed));
        let sql = format!("CREATE DATABASE {} TEMPLATE template0 ENCODING 'UTF8'", quote(&name));
        Self::named("postgres").sql(&sql).await;
        Self::named(&name)
    }

    pub(super) async fn with(sql: &str) -> Self {
        let database = Self::new().await;
        // A session of the pool is as it was made.
        database.sql(&format!("{sql}; SET search_path = pg_catalog")).await;
        database
    }

    pub(super) fn named(name: &str) -> Self {
        Self::of("switchback", name)
    }

    /// As another user sees it; anybody enters without a password.
    pub(super) fn of(user: &str, name: &str) -> Self {
        let socket = cluster().directory.display();
        let escaped = name.replace('\'', "\\'");
        let url = format!("host={socket} user={user} password='s3cret-pw' dbname='{escaped}'");
        let postgres = Postgres::new(&url, PoolSettings::default()).unwrap();
        Self { name: name.into(), postgres }
    }

    pub(super) async fn sql(&self, sql: &str) {
        self.postgres.get().await.unwrap().batch_execute(sql).await.unwrap();
    }

    pub(super) async fn text(&self, sql: &str) -> String {
        self.postgres.get().await.unwrap().query_one(sql, &[]).await.unwrap().get(0)
    }

    pub(super) async fn number(&self, sql: &str) -> i64 {
        self.postgres.get().await.unwrap().query_one(sql, &[]).await.unwrap().get(0)
    }

    /// The schema as `pg_dump` writes it.
    pub(super) fn schema(&self) -> String {
        let mut command = Command::new(binaries().join("pg_dump"));
        command.envs(self.postgres.environment()).arg("--schema-only");
        let output = command.arg("--exclude-schema=switchback").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        // Recent versions write a random word, so that nobody can guess it.
        let text = String::from_utf8(output.stdout).unwrap();
        let lines = text.lines().filter(|line| !line.contains("restrict"));
        lines.collect::<Vec<_>>().join("\n")
    }

    /// Number and hash of the rows of each table, view and sequence, as text.
    pub(super) async fn rows(&self) -> BTreeMap<String, String> {
        let client = self.postgres.get().await.unwrap();
        let sql = "SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c \
                     JOIN pg_namespace n ON n.oid = c.relnamespace \
                   WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S') AND n.nspname !~ '^pg_' \
                     AND n.nspname NOT IN ('information_schema', 'switchback')";
        let mut all = BTreeMap::new();
        for row in client.query(sql, &[]).await.unwrap() {
            let name: String = row.get(0);
            let sql = format!(
                "SELECT count(*) || ' ' || coalesce(md5(string_agg(t::text, E'\\n' \
                   ORDER BY t::text COLLATE \"C\")), '') FROM {name} AS t"
            );
            let is_sequence = format!(
                "SELECT relkind = 'S' FROM pg_class WHERE oid = '{}'::regclass",
                name.replace('\'', "''")
            );
            let sql = if client.query_one(&is_sequence, &[]).await.unwrap().get(0) {
                format!("SELECT last_value || ' ' || is_called FROM {name}")
            } else {
                sql
            };
            all.insert(name, client.query_one(&sql, &[]).await.unwrap().get(0));
        }
        all
    }

    pub(super) async fn back_up(&self, store: &impl Sink) -> Result<BackedUp> {
        self.back_up_with(store, &Programs::installed()).await
    }

    pub(super) async fn back_up_with(
        &self,
        store: &impl Sink,
        programs: &Programs,
    ) -> Result<BackedUp> {
        let cancel = CancellationToken::new();
        let job =
            create::Job { postgres: &self.postgres, programs, progress: &|_| (), cancel: &cancel };
        create::read(&job, store).await
    }
}

/// Lines of one text that the other does not have: `-` of the first, `+` of the second.
pub(super) fn differences(first: &str, second: &str) -> Vec<String> {
    let lines = |text: &str| -> BTreeSet<String> { text.lines().map(str::to_owned).collect() };
    let (first, second) = (lines(first), lines(second));
    let gone = first.difference(&second).map(|line| format!("-{line}"));
    gone.chain(second.difference(&first).map(|line| format!("+{line}"))).collect()
}

/// Databases of the cluster whose names hold a text.
pub(super) async fn databases(part: &str) -> Vec<String> {
    let client = Database::named("postgres").postgres.get().await.unwrap();
    let sql = "SELECT datname::text FROM pg_database WHERE strpos(datname, $1) > 0 ORDER BY 1";
    let rows = client.query(sql, &[&part]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

/// What a restore needs besides a backup.
pub(super) struct Setting {
    pub(super) programs: Programs,
    pub(super) scratch: tempfile::TempDir,
    pub(super) cancel: CancellationToken,
}

impl Setting {
    pub(super) fn new() -> Self {
        Self {
            programs: Programs::installed(),
            scratch: tempfile::tempdir().unwrap(),
            cancel: CancellationToken::new(),
        }
    }

    pub(super) fn job<'a, F>(
        &'a self,
        content: &'a PostgresContent,
        fetch: &'a F,
        database: &'a Database,
    ) -> Restore<'a, F> {
        Restore {
            content,
            fetch,
            postgres: &database.postgres,
            programs: &self.programs,
            operation: "0123456789ab",
            tables: None,
            scratch: self.scratch.path(),
            progress: &|_| (),
            cancel: &self.cancel,
        }
    }
}

pub(super) fn name(schema: &str, name: &str) -> TableName {
    TableName { schema: schema.into(), name: name.into() }
}
