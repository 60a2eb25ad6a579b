//! Autovacuum, which nobody asks for, is at work in the tables that are switched and in the
//! databases that are replaced.

use std::time::{Duration, Instant};

use rusqlite::Connection;
use switchback_tests::{
    DEADLINE,
    cluster::{Cluster, OWNER, Profile},
    fixtures::damage,
    rig::{Rig, directory},
    server::Server,
};

use crate::{
    backup::{backup, id},
    databases::databases,
    followed::follow,
};

/// Between two looks at what PostgreSQL does by itself.
const POLL: Duration = Duration::from_millis(20);

/// In databases of these names, the table `big`.
const AT_WORK: &str = "SELECT EXISTS (SELECT FROM pg_stat_activity
    WHERE backend_type = 'autovacuum worker' AND datname LIKE $1 AND query LIKE '%public.big%')";

/// A pair on a cluster of its own, so that autovacuum is in nobody else's way.
async fn rig(cluster: &Cluster) -> Rig {
    let place = directory();
    let source = place.path().join("source.db");
    damage::big(&Connection::open(&source).expect("a file"), 20_000);
    let database = cluster.database().await;
    let server = Server::start(&source, &database.url).await;
    Rig { server, database, source, directory: place }
}

/// Makes autovacuum come at once, and stay for long.
async fn draw(rig: &Rig) {
    let admin = rig.target().await;
    for setting in [
        "ALTER SYSTEM SET autovacuum_naptime = 1",
        "SELECT pg_reload_conf()",
        // A page takes it a tenth of a second.
        "ALTER TABLE big SET (autovacuum_vacuum_threshold = 0, autovacuum_vacuum_scale_factor = 0,
           autovacuum_vacuum_insert_threshold = 0, autovacuum_vacuum_insert_scale_factor = 0,
           autovacuum_vacuum_cost_delay = 100, autovacuum_vacuum_cost_limit = 1)",
    ] {
        admin.batch_execute(setting).await.expect("a setting");
    }
}

async fn comes(rig: &Rig, database: &str) {
    let admin = rig.target().await;
    let began = Instant::now();
    while !admin.query_one(AT_WORK, &[&database]).await.expect("sessions").get::<_, bool>(0) {
        assert!(began.elapsed() < DEADLINE, "autovacuum never came to {database}");
        tokio::time::sleep(POLL).await;
    }
}

/// A table that was just loaded draws autovacuum, which gives way to whoever waits for longer than
/// PostgreSQL's deadlock_timeout.
#[tokio::test]
async fn it_gives_way_to_a_switch() {
    let cluster = Cluster::start(Profile::Fast).expect("a cluster");
    let rig = rig(&cluster).await;
    follow(&rig, &[]).await;
    draw(&rig).await;
    comes(&rig, &rig.database.name).await;
    rig.cli(&["cutover"]).await.expect(0);
    rig.cli(&["validate"]).await.expect(0);
}

/// PostgreSQL lets superusers alone end it, or drop a database by force that it is in.
#[tokio::test]
async fn it_gives_way_to_a_restoration() {
    let cluster = Cluster::start(Profile::Fast).expect("a cluster");
    let mut rig = rig(&cluster).await;
    let allow = format!("ALTER ROLE {OWNER} CREATEDB");
    rig.target().await.batch_execute(&allow).await.expect("the role may make databases");
    rig.cli(&["migrate", "--skip-backup"]).await.expect(0);
    rig.cli(&["finalize", "--force"]).await.expect(0);
    draw(&rig).await;
    let id = id(&backup(&rig).await);
    rig.server.kill9().await;
    rig.server.set("SWITCHBACK_FAILPOINT", "replace.before");
    rig.server.launch().await;
    let run = rig.start(&["restore", &id, "--overwrite"]);
    rig.server.ended().await;
    // In what is to be dropped, as it is half made, and in what is to be replaced.
    comes(&rig, &format!("{}\\_restoring\\_%", rig.database.name)).await;
    comes(&rig, &rig.database.name).await;
    rig.server.set("SWITCHBACK_FAILPOINT", "");
    rig.server.launch().await;
    let run = run.finish().await;
    run.expect(0);
    let kept = run.report()["kept_database"].as_str().expect("a database");
    assert_eq!(databases(&rig.database).await, [rig.database.name.as_str(), kept]);
}
