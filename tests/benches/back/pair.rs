//! The pairs that are measured: the source is a copy of one that is made once.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use rusqlite::Connection;
use switchback_tests::{
    bench,
    cluster::Cluster,
    rig::{self, Rig},
    server::Server,
};

use crate::work::FILLED;

/// Longest wait until everything is carried back. A writer without rest is far ahead at its end.
const PATIENCE: Duration = Duration::from_secs(900);

/// Makes a source with rows to be updated, and a table of which PostgreSQL guards some columns:
/// those of `changing` need none.
pub(crate) fn source(path: &Path, rows: u64) {
    bench::source(path, rows);
    let sql = format!(
        "CREATE TABLE guarded (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, n INTEGER,
                               price DECIMAL(10,2), score REAL, at DATETIME);
         INSERT INTO guarded VALUES (1, 'name 1', 1, 1.25, 0.5, '2024-01-31 10:00:00');
         WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {FILLED})
         INSERT INTO changing SELECT i, 'name ' || i, i % 7 FROM n"
    );
    Connection::open(path).and_then(|c| c.execute_batch(&sql)).expect("rows to be updated");
}

/// A pair of a copy of the source and a database of this cluster.
pub(crate) async fn pair(cluster: &Cluster, source: &Path) -> Rig {
    let directory = rig::directory();
    let copy = directory.path().join("source.db");
    fs::copy(source, &copy).expect("a copy");
    let database = cluster.database().await;
    let server = Server::start(&copy, &database.url).await;
    Rig { server, database, source: copy, directory }
}

pub(crate) async fn migrated(cluster: &Cluster, source: &Path) -> Rig {
    let rig = pair(cluster, source).await;
    rig.cli(&["migrate"]).await.expect(0);
    rig
}

/// Waits until the server says that nothing waits and the log says so too: what the server says is
/// what it last saw.
pub(crate) async fn until_carried(rig: &Rig) {
    let target = rig.target().await;
    let began = Instant::now();
    loop {
        if bench::lag(&rig.server).await == 0 {
            let sql = "SELECT EXISTS (SELECT FROM switchback.change_log)";
            let waits: bool = target.query_one(sql, &[]).await.expect("the log").get(0);
            if !waits {
                return;
            }
        }
        assert!(began.elapsed() < PATIENCE, "changes wait: {}", rig.server.logs());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
