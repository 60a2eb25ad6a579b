//! The switch: one engine takes writes and the other one refuses them, whatever ends in the middle.

use switchback_tests::{
    cli::Run,
    cluster::{Cluster, PASSWORD, Profile},
    content::{content, refusal},
    fixtures::damage,
    rig::{Rig, directory},
    server::Server,
};
use tokio_postgres::{Client, NoTls, error::SqlState};

use crate::{
    round,
    standstill::{ROWS, hold},
};

/// Points at which the process ends: before and after each commit of the switch.
const POINTS: [&str; 5] =
    ["attempt.after", "fence.before", "fence.after", "decide.before", "decide.after"];

const WRITE: &str = "INSERT INTO big (id) VALUES (-1)";

async fn owner(rig: &Rig) -> Client {
    let (client, connection) =
        tokio_postgres::connect(&rig.database.url, NoTls).await.expect("the owner connects");
    tokio::spawn(connection);
    client
}

/// Whether PostgreSQL takes a write of an application; the row is not kept.
async fn postgres_is_open(rig: &Rig) -> bool {
    let mut client = owner(rig).await;
    let transaction = client.transaction().await.expect("a transaction");
    match transaction.batch_execute("INSERT INTO big (id) VALUES (-99)").await {
        Ok(()) => true,
        Err(error) => {
            assert_eq!(error.code(), Some(&SqlState::READ_ONLY_SQL_TRANSACTION), "{error:?}");
            false
        }
    }
}

fn sqlite_is_open(rig: &Rig) -> bool {
    refusal(&rig.source, WRITE).is_none_or(|said| !said.contains("moved to PostgreSQL"))
}

#[tokio::test]
async fn after_the_switch_sqlite_refuses_and_says_where_to_go() {
    let rig = Rig::of(|connection| damage::big(connection, 1_000)).await;
    let before = content(&rig.source);
    let run = rig.cli(&["migrate"]).await;
    run.expect(0);
    let pause = run.report()["cutover"]["write_pause_ms"].as_f64().expect("a pause");
    assert!(pause > 0.0, "{}", run.report());
    assert_eq!(run.report()["cutover"]["epoch"], 1);

    let said = refusal(&rig.source, WRITE).expect("SQLite refuses the write");
    assert!(said.contains("moved to PostgreSQL") && said.contains(&rig.database.name), "{said}");
    assert!(!said.contains(PASSWORD), "the refusal holds the password");
    assert!(postgres_is_open(&rig).await);
    assert_eq!(content(&rig.source), before);
    let status = rig.cli(&["status"]).await;
    assert_eq!(status.events[0]["phase"], "reversible");
    assert_eq!(status.events[0]["rollback"], "available");
    rig.finish().await;
}

#[tokio::test]
async fn postgres_refuses_writes_until_the_switch() {
    let rig = Rig::of(|connection| damage::big(connection, ROWS)).await;
    let mut run = rig.start(&["migrate"]);
    let (lock, _) = hold(&rig, &mut run).await;
    drop(lock);
    assert!(!postgres_is_open(&rig).await);
    let truncate = owner(&rig).await.batch_execute("TRUNCATE big").await.expect_err("refused");
    assert_eq!(truncate.code(), Some(&SqlState::READ_ONLY_SQL_TRANSACTION));
    run.finish().await.expect(0);
    assert!(postgres_is_open(&rig).await);
    rig.finish().await;
}

#[tokio::test]
async fn a_kill_at_any_point_of_the_switch_leaves_one_engine_open_at_most() {
    for point in POINTS {
        let mut rig = Rig::of(|connection| damage::big(connection, 1_000)).await;
        let plan = round::planned(&rig, &[]).await;
        let before = content(&rig.source);
        rig.server.terminate().await;
        rig.server.set("SWITCHBACK_FAILPOINT", point);
        rig.server.launch().await;
        let mut run = rig.start(&["migrate"]);
        let started = run.find(|event| event["event"] == "started").await;
        let operation = started["operation_id"].as_str().expect("an id").to_owned();
        rig.server.ended().await;
        drop(run);
        let open = (sqlite_is_open(&rig), postgres_is_open(&rig).await);
        let wanted = match point {
            "attempt.after" | "fence.before" => (true, false),
            "fence.after" | "decide.before" => (false, false),
            _ => (false, true),
        };
        assert_eq!(open, wanted, "SQLite and PostgreSQL after {point}");

        rig.server.set("SWITCHBACK_FAILPOINT", "");
        rig.server.launch().await;
        rig.cli(&["operations", "watch", &operation]).await.expect(0);
        assert_eq!((sqlite_is_open(&rig), postgres_is_open(&rig).await), (false, true), "{point}");
        rig.assert_faithful(&plan).await;
        assert_eq!(content(&rig.source), before, "{point}");
        rig.finish().await;
    }
}

/// A row that an application writes between the crash and the restart is not left behind.
#[tokio::test]
async fn a_write_before_the_fence_is_not_lost() {
    let mut rig = Rig::of(|connection| damage::big(connection, 1_000)).await;
    rig.server.terminate().await;
    rig.server.set("SWITCHBACK_FAILPOINT", "attempt.after");
    rig.server.launch().await;
    let mut run = rig.start(&["migrate"]);
    let started = run.find(|event| event["event"] == "started").await;
    rig.server.ended().await;
    drop(run);
    rig.source().execute_batch(WRITE).expect("SQLite is open");
    rig.server.set("SWITCHBACK_FAILPOINT", "");
    rig.server.launch().await;
    let operation = started["operation_id"].as_str().expect("an id");
    rig.cli(&["operations", "watch", operation]).await.expect(0);
    assert!(!sqlite_is_open(&rig) && postgres_is_open(&rig).await);
    let sql = "SELECT count(*) FROM big WHERE id = -1";
    let arrived: i64 = rig.target().await.query_one(sql, &[]).await.expect("a count").get(0);
    assert_eq!(arrived, 1);
    rig.finish().await;
}

/// What the switch waits for does not come: SQLite goes on, and the pair stays in sync.
async fn assert_goes_on(rig: &Rig, run: &Run) {
    run.refused(5, "CUTOVER_FAILED");
    assert!(sqlite_is_open(rig) && !postgres_is_open(rig).await);
    rig.source().execute_batch("INSERT INTO big (id) VALUES (-2)").expect("SQLite is open");
    assert_eq!(rig.cli(&["status"]).await.events[0]["phase"], "following");
    rig.cli(&["migrate"]).await.refused(5, "TARGET_IN_USE");
    rig.cli(&["cutover"]).await.expect(0);
    assert!(!sqlite_is_open(rig) && postgres_is_open(rig).await);
    let sql = "SELECT count(*) FROM big WHERE id = -2";
    let arrived: i64 = rig.target().await.query_one(sql, &[]).await.expect("a count").get(0);
    assert_eq!(arrived, 1);
    rig.cli(&["validate"]).await.expect(0);
}

#[tokio::test]
async fn a_switch_that_postgres_holds_up_leaves_sqlite_open() {
    let rig = Rig::of(|connection| damage::big(connection, ROWS)).await;
    let mut run = rig.start(&["migrate"]);
    run.find(|event| event["event"] == "phase" && event["phase"] == "validating").await;
    let mut client = rig.target().await;
    let lock = client.transaction().await.expect("a transaction");
    lock.batch_execute("LOCK TABLE big IN SHARE MODE").await.expect("a lock");
    let run = run.finish().await;
    drop(lock);
    assert_goes_on(&rig, &run).await;
    rig.finish().await;
}

#[tokio::test]
async fn a_writer_that_keeps_the_lock_stops_the_switch_and_not_itself() {
    let rig = Rig::of(|connection| damage::big(connection, ROWS)).await;
    let mut run = rig.start(&["migrate"]);
    run.find(|event| event["event"] == "phase" && event["phase"] == "following").await;
    let writer = rig.source();
    let held = writer.execute_batch("BEGIN IMMEDIATE");
    let run = run.finish().await;
    if held.is_err() || run.code == 0 {
        // The switch was faster.
        rig.finish().await;
        return;
    }
    writer.execute_batch(&format!("{WRITE}; COMMIT")).expect("the writer goes on");
    assert_goes_on(&rig, &run).await;
    rig.finish().await;
}

/// Both engines are fenced and PostgreSQL is gone: it alone knows what it has decided.
#[tokio::test]
async fn a_fenced_source_waits_for_postgres_and_goes_forward() {
    let cluster = Cluster::start(Profile::Fast).expect("a cluster");
    let place = directory();
    let source = place.path().join("source.db");
    damage::big(&rusqlite::Connection::open(&source).expect("a file"), 1_000);
    let database = cluster.database().await;
    let settings = [("SWITCHBACK_FAILPOINT", "fence.after")];
    let server = Server::start_with(&source, &database.url, &settings).await;
    let mut rig = Rig { server, database, source, directory: place };
    let mut run = rig.start(&["migrate"]);
    let started = run.find(|event| event["event"] == "started").await;
    rig.server.ended().await;
    drop(run);
    cluster.stop_immediate();
    rig.server.set("SWITCHBACK_FAILPOINT", "");
    rig.server.launch().await;
    let operation = started["operation_id"].as_str().expect("an id");
    let mut watch = rig.start(&["operations", "watch", operation]);
    watch.find(|event| event["event"] == "waiting").await;
    assert!(!sqlite_is_open(&rig), "nobody knows yet what PostgreSQL has decided");
    cluster.start_again();
    watch.finish().await.expect(0);
    assert!(!sqlite_is_open(&rig) && postgres_is_open(&rig).await);
}

#[tokio::test]
async fn a_source_that_has_moved_is_not_migrated_again() {
    let rig = Rig::of(|connection| damage::big(connection, 100)).await;
    rig.cli(&["migrate"]).await.expect(0);
    let other = Cluster::shared().database().await;
    let server = Server::start(&rig.source, &other.url).await;
    let run = switchback_tests::cli::run(&server.endpoint(), &["migrate"]).await;
    run.refused(5, "SOURCE_FENCED");
    assert!(!sqlite_is_open(&rig));
    drop(server);
    other.remove().await;
    rig.finish().await;
}

/// The switch was given up while SQLite was fenced; the server ends while it opens SQLite again,
/// before and after the commit.
#[tokio::test]
async fn a_kill_while_the_switch_is_given_up_opens_sqlite_again() {
    for point in ["unfence.before", "unfence.after"] {
        let mut rig = Rig::of(|connection| damage::big(connection, 1_000)).await;
        let before = content(&rig.source);
        rig.server.terminate().await;
        rig.server.set("SWITCHBACK_FAILPOINT", "fence.after");
        rig.server.launch().await;
        let mut run = rig.start(&["migrate"]);
        let started = run.find(|event| event["event"] == "started").await;
        rig.server.ended().await;
        drop(run);
        // As a server that did not make it in time leaves it.
        let given_up = "UPDATE switchback.control SET decision = 'aborted'";
        rig.target().await.batch_execute(given_up).await.expect("the attempt is given up");
        rig.server.set("SWITCHBACK_FAILPOINT", point);
        rig.server.launch_to_end().await;
        assert_eq!(sqlite_is_open(&rig), point == "unfence.after");
        rig.server.set("SWITCHBACK_FAILPOINT", "");
        rig.server.launch().await;
        let operation = started["operation_id"].as_str().expect("an id");
        let run = rig.cli(&["operations", "watch", operation]).await;
        if point == "unfence.before" {
            run.refused(5, "CUTOVER_FAILED");
            assert!(sqlite_is_open(&rig) && !postgres_is_open(&rig).await);
            rig.cli(&["abort"]).await.expect(0);
            assert_eq!(content(&rig.source), before);
            assert_no_trace(&rig);
            rig.assert_target_empty().await;
        } else {
            // Nothing says any more that it failed once.
            run.expect(0);
            assert!(!sqlite_is_open(&rig) && postgres_is_open(&rig).await);
        }
        rig.finish().await;
    }
}

/// PostgreSQL's record is of before the attempt, as after a restore: nothing is done until
/// somebody says which engine is to go on.
#[tokio::test]
async fn records_that_contradict_each_other_halt_the_switch() {
    let mut rig = Rig::of(|connection| damage::big(connection, 1_000)).await;
    rig.server.terminate().await;
    rig.server.set("SWITCHBACK_FAILPOINT", "fence.after");
    rig.server.launch().await;
    let mut run = rig.start(&["migrate"]);
    let started = run.find(|event| event["event"] == "started").await;
    rig.server.ended().await;
    drop(run);
    let restored = "UPDATE switchback.control SET attempt = 0, decision = 'none'";
    rig.target().await.batch_execute(restored).await.expect("a record of before");
    rig.server.set("SWITCHBACK_FAILPOINT", "");
    rig.server.launch().await;
    let operation = started["operation_id"].as_str().expect("an id");
    rig.cli(&["operations", "watch", operation]).await.refused(5, "HALTED");
    assert!(!sqlite_is_open(&rig) && !postgres_is_open(&rig).await);
    assert_eq!(rig.cli(&["status"]).await.events[0]["phase"], "halted");
    rig.cli(&["migrate"]).await.expect(0);
    assert!(!sqlite_is_open(&rig) && postgres_is_open(&rig).await);
    rig.finish().await;
}

fn assert_no_trace(rig: &Rig) {
    let sql = "SELECT count(*) FROM sqlite_schema WHERE name LIKE '%switchback%'";
    let left: i64 = rig.source().query_row(sql, [], |row| row.get(0)).expect("the schema is read");
    assert_eq!(left, 0, "something of ours is left in the source");
}
