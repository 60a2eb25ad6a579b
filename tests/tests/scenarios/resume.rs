//! The server is killed, the operation is cancelled, PostgreSQL goes away: in the middle.

use switchback_tests::{
    cluster::{Cluster, Profile},
    content::content,
    fixtures::damage,
    rig::{Rig, directory},
    server::Server,
};
use tokio_postgres::Client;

use crate::{
    round,
    standstill::{ROWS, hold, in_the_middle},
};

#[tokio::test]
async fn a_killed_server_goes_on_from_its_last_chunk() {
    let mut rig = Rig::of(|connection| damage::big(connection, ROWS)).await;
    let before = content(&rig.source);
    let plan = round::planned(&rig, &[]).await;
    let mut run = rig.start(&["migrate"]);
    let (lock, operation) = hold(&rig, &mut run).await;
    let (rows, writer) = (copied(&lock).await, writer_of_first_row(&lock).await);
    assert!(0 < rows && rows < i64::from(ROWS), "{rows} rows are not the middle");
    rig.server.kill9().await;
    drop(lock);
    rig.server.launch().await;

    // By itself: nobody asks for it.
    let watch = rig.cli(&["operations", "watch", &operation]).await;
    watch.expect(0);
    assert_eq!(watch.result()["state"], "succeeded");
    rig.assert_faithful(&plan).await;
    let writer_now = writer_of_first_row(&rig.target().await).await;
    assert_eq!(writer_now, writer, "the rows were copied a second time");
    assert_eq!(content(&rig.source), before);
    // The command line held on through the restart.
    assert_eq!(run.finish().await.result()["state"], "succeeded");
    rig.cli(&["validate"]).await.expect(0);
    rig.finish().await;
}

#[tokio::test]
async fn a_kill_in_any_phase_ends_well() {
    for phase in ["planning", "installing", "copying", "indexing", "validating"] {
        let mut rig = Rig::of(|connection| damage::big(connection, 20_000)).await;
        let plan = round::planned(&rig, &[]).await;
        let mut run = rig.start(&["migrate"]);
        let event = run.find(|event| event["event"] == "phase" && event["phase"] == phase).await;
        rig.server.kill9().await;
        drop(run);
        rig.server.launch().await;
        let operation = event["operation_id"].as_str().expect("an id");
        let watch = rig.cli(&["operations", "watch", operation]).await;
        assert_eq!(watch.code, 0, "killed while {phase}: {}\n{}", watch.stdout, watch.stderr);
        rig.assert_faithful(&plan).await;
        rig.cli(&["validate"]).await.expect(0);
        rig.finish().await;
    }
}

#[tokio::test]
async fn a_cancelled_copy_leaves_nothing() {
    let rig = Rig::of(|connection| damage::big(connection, ROWS)).await;
    let before = content(&rig.source);
    let mut run = rig.start(&["migrate"]);
    let (lock, operation) = hold(&rig, &mut run).await;
    rig.cli(&["operations", "cancel", &operation]).await.expect(0);
    drop(lock);
    let run = run.finish().await;
    run.expect(1);
    assert_eq!(run.result()["state"], "cancelled");
    assert_eq!(run.reason(), "CANCELLED");
    round::assert_undone(&rig, &before).await;
    rig.cli(&["operations", "cancel", &operation]).await.refused(5, "OPERATION_ENDED");
    // The way is free for another one.
    rig.cli(&["migrate"]).await.expect(0);
    rig.finish().await;
}

#[tokio::test]
async fn a_kill_during_the_clean_up_leaves_nothing_either() {
    let mut rig = Rig::of(|connection| damage::big(connection, ROWS)).await;
    let before = content(&rig.source);
    let mut run = rig.start(&["migrate"]);
    let (lock, operation) = hold(&rig, &mut run).await;
    rig.cli(&["operations", "cancel", &operation]).await.expect(0);
    rig.server.kill9().await;
    drop((run, lock));
    rig.server.launch().await;
    let watch = rig.cli(&["operations", "watch", &operation]).await;
    watch.expect(1);
    assert_eq!(watch.result()["state"], "cancelled");
    round::assert_undone(&rig, &before).await;
    rig.finish().await;
}

#[tokio::test]
async fn postgres_may_crash_in_the_middle() {
    let cluster = Cluster::start(Profile::Fast).expect("a cluster");
    let place = directory();
    let source = place.path().join("source.db");
    damage::big(&rusqlite::Connection::open(&source).expect("a file"), ROWS);
    let database = cluster.database().await;
    let server = Server::start(&source, &database.url).await;
    let rig = Rig { server, database, source, directory: place };
    let plan = round::planned(&rig, &[]).await;
    let mut run = rig.start(&["migrate"]);
    in_the_middle(&mut run).await;
    cluster.stop_immediate();
    run.find(|event| event["event"] == "waiting").await;
    cluster.start_again();
    let run = run.finish().await;
    run.expect(0);
    rig.assert_faithful(&plan).await;
    rig.cli(&["validate"]).await.expect(0);
}

/// How many rows are recorded as copied.
async fn copied(client: &Client) -> i64 {
    let sql = "SELECT coalesce(sum(rows), 0)::bigint FROM switchback.copy_position";
    client.query_one(sql, &[]).await.expect("positions").get(0)
}

/// The transaction that wrote the first row.
async fn writer_of_first_row(client: &Client) -> String {
    let sql = "SELECT xmin::text FROM big WHERE id = 1";
    client.query_one(sql, &[]).await.expect("the first row").get(0)
}
