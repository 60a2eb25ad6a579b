//! PostgreSQL is away while it follows: SQLite serves, the lag grows and is told, and goes again.

use rusqlite::Connection;
use switchback_proto::v1::{WatchDatabaseRequest, WatchDatabaseResponse};
use switchback_tests::{
    DEADLINE,
    cluster::{Cluster, Profile},
    rig::{Rig, directory},
    server::Server,
};
use tokio::time::timeout;
use tokio_stream::StreamExt;
use tonic::Streaming;
use tonic_health::pb::health_check_response::ServingStatus;

use crate::followed::{assert_in_sync, await_status, finding, follow, number_in_target, status};

const NAME: &str = "database/default";

fn write(rig: &Rig, rows: u64) {
    let source = rig.source();
    for _ in 0..rows {
        source.execute_batch("INSERT INTO t (a) VALUES ('more')").expect("SQLite is open");
    }
}

/// Reads the states of a watched database up to a lag that is as wanted.
async fn until(watch: &mut Streaming<WatchDatabaseResponse>, wanted: impl Fn(u64) -> bool) {
    loop {
        let state = timeout(DEADLINE, watch.next()).await.expect("a state in time");
        let state = state.expect("it goes on").expect("a state").database.expect("a database");
        if wanted(state.lag_changes) {
            return;
        }
    }
}

#[tokio::test]
async fn the_lag_grows_while_postgres_is_away_and_goes_by_itself() {
    let cluster = Cluster::start(Profile::Fast).expect("a cluster");
    let place = directory();
    let source = place.path().join("source.db");
    let connection = Connection::open(&source).expect("a file");
    connection.execute_batch("CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT)").expect("a table");
    drop(connection);
    let database = cluster.database().await;
    let server = Server::start(&source, &database.url).await;
    let rig = Rig { server, database, source, directory: place };
    follow(&rig, &[]).await;
    assert_in_sync(&rig).await;
    let request = WatchDatabaseRequest { database: "default".into() };
    let watch = rig.server.databases().watch_database(request).await.expect("a stream");
    let mut watch = watch.into_inner();

    cluster.stop_immediate();
    write(&rig, 5);
    let behind = await_status(&rig, |status| status["lag_changes"].as_u64() >= Some(5)).await;
    assert_eq!(behind["engines"]["postgres"]["state"], "down", "{behind}");
    assert_eq!(behind["phase"], "following", "{behind}");
    let waits = finding(&behind, "following_waits").expect("a finding");
    assert_eq!(waits["severity"], "warning");
    write(&rig, 5);
    let grown = await_status(&rig, |status| status["lag_changes"].as_u64() >= Some(10)).await;
    assert!(grown["lag_ms"].as_u64() > behind["lag_ms"].as_u64(), "{behind} {grown}");
    assert_eq!(rig.server.health(NAME).await, Some(ServingStatus::Serving));
    rig.cli(&["cutover"]).await.refused(4, "TARGET_UNREACHABLE");

    // Seen by who watches, too, before it is over.
    until(&mut watch, |lag| lag >= 10).await;

    cluster.start_again();
    let caught_up = |status: &serde_json::Value| {
        status["lag_changes"] == 0 && status["engines"]["postgres"]["state"] == "up"
    };
    await_status(&rig, caught_up).await;
    assert_in_sync(&rig).await;
    assert_eq!(number_in_target(&rig, "SELECT count(*) FROM t").await, 10);
    assert!(finding(&status(&rig).await, "following_waits").is_none());

    until(&mut watch, |lag| lag == 0).await;
}
