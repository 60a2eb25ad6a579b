//! The writers and their oracle without Switchback: what they say of a migration rests on this.

use switchback_tests::{
    cluster::{Cluster, Profile},
    rig::directory,
    workload::{
        Launch, Load, Report, Start, Writers,
        oracle::{self, Side},
        schema, schema_in_postgres,
    },
};

const WRITERS: u32 = 3;
const ROWS: u32 = 20;
const EACH: u64 = 200;

fn load() -> Load {
    Load { rows: ROWS, rate: 150, count: Some(EACH), ..Load::default() }
}

/// The transactions are what they must be, of which some may not have come about.
fn assert_counts(report: &Report) {
    let all = report.ok + report.failed + report.unknown;
    assert_eq!(all, u64::from(WRITERS) * EACH, "{report}");
    assert!(report.ok >= all - 20, "{report}");
}

/// Kills a writer in the middle of its work, and starts it again.
async fn kill_one(writers: &mut Writers) {
    for ok in [10, 20, 20, 20, 20] {
        writers.until_ok(ok).await;
        writers.kill9(2).await;
        writers.launch(2);
    }
}

#[tokio::test]
async fn writers_on_sqlite_are_what_their_journals_say() {
    for mode in ["wal", "delete"] {
        let place = directory();
        let file = place.path().join("a.db");
        let connection = rusqlite::Connection::open(&file).expect("a SQLite file");
        connection.pragma_update(None, "journal_mode", mode).expect("a journal mode");
        schema(&connection, Start { writers: WRITERS, rows: ROWS }).expect("the schema");
        let mut writers = Writers::start(WRITERS, load(), Launch::on_file(&file));
        kill_one(&mut writers).await;
        writers.ended().await;
        let report = oracle::check(writers.journals(), Side::Sqlite(&file)).await.expect_green();
        assert_counts(&report);
        eprintln!("{mode}: {report}");
    }
}

#[tokio::test]
async fn writers_on_postgres_are_what_their_journals_say() {
    let database = Cluster::shared().database().await;
    let mut owner = database.owner().await;
    let start = Start { writers: WRITERS, rows: ROWS };
    schema_in_postgres(&mut owner, start).await.expect("the schema");
    let launch = Launch::Direct { url: database.url.clone() };
    let mut writers = Writers::start(WRITERS, load(), launch);
    kill_one(&mut writers).await;
    writers.ended().await;
    let client = database.admin().await;
    let report = oracle::check(writers.journals(), Side::Postgres(&client)).await.expect_green();
    assert_counts(&report);
    database.remove().await;
}

#[tokio::test]
async fn writers_that_stay_get_over_a_crash_of_postgres() {
    let cluster = Cluster::start(Profile::Fast).expect("a cluster");
    let database = cluster.database().await;
    let start = Start { writers: WRITERS, rows: ROWS };
    schema_in_postgres(&mut database.owner().await, start).await.expect("the schema");
    let launch = Launch::Direct { url: database.url.clone() };
    let load = Load { rate: 0, stay: true, ..load() };
    let mut writers = Writers::start(WRITERS, Load { count: None, ..load }, launch);
    for _ in 0..3 {
        writers.until_ok(10).await;
        cluster.stop_immediate();
        cluster.start_again();
    }
    writers.until_ok(10).await;
    writers.stop().await;
    let client = database.admin().await;
    let report = oracle::check(writers.journals(), Side::Postgres(&client)).await.expect_green();
    assert!(report.failed + report.unknown > 0, "{report}");
}
