//! The cutover of a pair that is followed: whether it would be made, why not, and that whatever
//! stands in the way leaves SQLite open and the pair in sync.

use std::time::{Duration, Instant};

use rusqlite::Connection;
use switchback_tests::{
    cli::Run,
    content::{content, refusal},
    rig::Rig,
    workload::oracle,
};

use crate::{
    followed::{
        assert_in_sync, assert_no_trace, await_status, finding, follow, number_in_target, status,
    },
    round,
};

const SCHEMA: &str = "CREATE TABLE a (id INTEGER PRIMARY KEY, n INTEGER, v TEXT);
    CREATE TABLE named (k TEXT PRIMARY KEY, v TEXT);
    INSERT INTO a VALUES (1, 1, 'one'), (2, 2, 'two');
    INSERT INTO named VALUES ('one', 'v');";
const WRITE: &str = "INSERT INTO a (n, v) VALUES (7, 'new')";
/// What a cutover may take beyond its deadline on a machine that is busy: a start of the command
/// line, the last batch, and the way back.
const ROOM: Duration = Duration::from_secs(8);

/// A pair in `following`, with this journal mode.
async fn rig(mode: &str) -> Rig {
    let rig = Rig::of(|connection| {
        connection.pragma_update(None, "journal_mode", mode).expect("a journal mode");
        connection.execute_batch(SCHEMA).expect("SQLite takes the fixture");
    })
    .await;
    follow(&rig, &[]).await;
    rig
}

fn is_open(rig: &Rig) -> bool {
    refusal(&rig.source, WRITE).is_none()
}

async fn attempts(rig: &Rig) -> i64 {
    number_in_target(rig, "SELECT attempt FROM switchback.control").await
}

async fn dry(rig: &Rig) -> Run {
    rig.cli(&["cutover", "--dry-run"]).await
}

/// It would not be tried, for a reason with these words, and nothing is changed.
async fn assert_no_go(rig: &Rig, words: &str) {
    let run = dry(rig).await;
    run.expect(5);
    let forecast = &run.report()["forecast"];
    assert_eq!(forecast["go"], false, "{forecast}");
    assert!(forecast["reasons"].to_string().contains(words), "{words:?} is not in {forecast}");
    assert_eq!(attempts(rig).await, 0);
}

/// It is given up in time, SQLite goes on and is followed.
async fn assert_given_up(rig: &Rig, deadline: Duration) {
    let began = Instant::now();
    let text = format!("{}ms", deadline.as_millis());
    let run = rig.cli(&["cutover", "--deadline", &text]).await;
    assert!(began.elapsed() < deadline + ROOM, "it took {:?}", began.elapsed());
    run.refused(5, "CUTOVER_FAILED");
    assert_eq!(status(rig).await["phase"], "following");
}

/// The next one works.
async fn assert_switches(rig: &Rig) {
    rig.cli(&["cutover"]).await.expect(0);
    assert!(!is_open(rig));
    let after = status(rig).await;
    assert_eq!((&after["phase"], &after["epoch"]), (&"reversible".into(), &1.into()));
}

fn write_lock(rig: &Rig) -> Connection {
    let writer = rig.source();
    writer.execute_batch(&format!("BEGIN IMMEDIATE; {WRITE}")).expect("the write lock");
    writer
}

#[tokio::test]
async fn a_dry_run_says_go_and_changes_nothing() {
    let rig = rig("delete").await;
    rig.source().execute_batch(WRITE).expect("a row");
    let before = content(&rig.source);
    let run = dry(&rig).await;
    run.expect(0);
    let forecast = &run.report()["forecast"];
    assert_eq!(forecast["go"], true, "{forecast}");
    let pause = forecast["expected_pause_ms"].as_f64().expect("a pause");
    assert!(pause > 0.0 && pause < 60_000.0, "{forecast}");
    assert_eq!(attempts(&rig).await, 0);
    assert!(is_open(&rig));
    let owner = rig.database.owner().await;
    owner.batch_execute(WRITE).await.expect_err("PostgreSQL is fenced");
    assert_eq!(content(&rig.source), before);
    assert_in_sync(&rig).await;
    assert_switches(&rig).await;
    rig.finish().await;
}

#[tokio::test]
async fn a_dry_run_says_what_is_in_the_way() {
    let rig = rig("delete").await;
    let writer = write_lock(&rig);
    assert_no_go(&rig, "write lock was not free").await;
    writer.execute_batch("COMMIT").expect("the writer goes on");
    drop(writer);

    let client = rig.target().await;
    client.batch_execute("BEGIN; LOCK TABLE named IN SHARE MODE").await.expect("a lock");
    assert_no_go(&rig, "lock").await;
    client.batch_execute("ROLLBACK").await.expect("the lock is gone");
    dry(&rig).await.expect(0);

    rig.source().execute_batch("CREATE TABLE fresh (id)").expect("a table");
    assert_no_go(&rig, "(fresh)").await;
    rig.cli(&["abort"]).await.expect(0);
    dry(&rig).await.refused(5, "NOT_FOLLOWING");
    rig.finish().await;
}

#[tokio::test]
async fn a_writer_that_keeps_its_lock_is_not_disturbed() {
    let rig = rig("wal").await;
    let writer = write_lock(&rig);
    assert_given_up(&rig, Duration::from_millis(300)).await;
    writer.execute_batch("COMMIT").expect("the writer goes on");
    assert!(is_open(&rig));
    assert_in_sync(&rig).await;
    assert_switches(&rig).await;
    rig.finish().await;
}

/// There is a change to carry over, and the writer lets nobody record that it was.
#[tokio::test]
async fn a_writer_that_comes_back_at_once_does_not_hold_up_the_answer() {
    let rig = rig("wal").await;
    rig.source().execute_batch(WRITE).expect("a row");
    let writer = write_lock(&rig);
    assert_given_up(&rig, Duration::from_millis(300)).await;
    writer.execute_batch("COMMIT").expect("the writer goes on");
    assert_in_sync(&rig).await;
    assert_switches(&rig).await;
    rig.finish().await;
}

#[tokio::test]
async fn a_session_of_postgres_that_keeps_a_lock_leaves_sqlite_open() {
    let rig = rig("wal").await;
    let client = rig.target().await;
    client.batch_execute("BEGIN; LOCK TABLE a IN SHARE MODE").await.expect("a lock");
    assert_given_up(&rig, Duration::from_millis(300)).await;
    // Now there is a change as well, which the lock keeps from being carried over.
    rig.source().execute_batch(WRITE).expect("SQLite is open");
    assert_given_up(&rig, Duration::from_millis(300)).await;
    client.batch_execute("ROLLBACK").await.expect("the lock is gone");
    assert_in_sync(&rig).await;
    assert_switches(&rig).await;
    rig.finish().await;
}

#[tokio::test]
async fn a_reader_matters_only_in_a_rollback_journal() {
    let read = "BEGIN; SELECT count(*) FROM a";
    let rolled = rig("delete").await;
    let reader = rolled.source();
    reader.execute_batch(read).expect("a read transaction");
    assert_given_up(&rolled, Duration::from_millis(300)).await;
    reader.execute_batch("COMMIT").expect("the reader goes on");
    assert!(is_open(&rolled));
    assert_in_sync(&rolled).await;
    assert_switches(&rolled).await;
    rolled.finish().await;

    let logged = rig("wal").await;
    let reader = logged.source();
    reader.execute_batch(read).expect("a read transaction");
    assert_switches(&logged).await;
    logged.finish().await;
}

#[tokio::test]
async fn values_that_postgres_cannot_hold_wait_for_a_correction() {
    let rig = rig("wal").await;
    let wrong = "INSERT INTO named VALUES ('nul', 'a' || char(0) || 'b');
                 INSERT INTO a VALUES (50, 'fifty', 'x')";
    rig.source().execute_batch(wrong).expect("SQLite takes them");
    assert_no_go(&rig, "(tables: a, named)").await;
    let rejected = "SELECT count(*) FROM switchback.rejects WHERE (tab, row_key, column_name) \
                    IN (('named', 'k=nul', 'v'), ('a', 'id=50', 'n'))";
    assert_eq!(number_in_target(&rig, rejected).await, 2);
    let cutover = rig.cli(&["cutover"]).await;
    cutover.refused(5, "TOO_MANY_REJECTS");
    assert!(cutover.hint().contains("switchback.rejects"), "{}", cutover.hint());

    let right = "UPDATE named SET v = 'ab' WHERE k = 'nul'; UPDATE a SET n = 50 WHERE id = 50";
    rig.source().execute_batch(right).expect("SQLite takes them");
    dry(&rig).await.expect(0);
    let all = "SELECT count(*) FROM switchback.rejects";
    assert_eq!(number_in_target(&rig, all).await, 0);
    assert_switches(&rig).await;
    assert_eq!(number_in_target(&rig, "SELECT n FROM a WHERE id = 50").await, 50);
    rig.finish().await;
}

#[tokio::test]
async fn a_row_without_a_key_halts_what_follows() {
    let rig = rig("wal").await;
    let wrong = "INSERT INTO named VALUES (NULL, 'nameless'), ('two', 'v')";
    rig.source().execute_batch(wrong).expect("SQLite takes it");
    let halted = await_status(&rig, |status| status["phase"] == "halted").await;
    let found = finding(&halted, "following_stopped").expect("a finding");
    assert!(found["message"].to_string().contains("named"), "{found}");
    assert_eq!(number_in_target(&rig, "SELECT count(*) FROM named").await, 1);
    rig.cli(&["cutover"]).await.refused(5, "HALTED");
    rig.cli(&["abort"]).await.expect(0);
    rig.assert_target_empty().await;
    assert_no_trace(&rig);
    rig.finish().await;
}

const SHOP: &str = "CREATE TABLE customers (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT);
    CREATE TABLE orders (id INTEGER PRIMARY KEY, customer INTEGER NOT NULL
      REFERENCES customers ON DELETE CASCADE, total REAL);
    CREATE TABLE seen (customer INTEGER, page TEXT);
    INSERT INTO customers (name) VALUES ('one'), ('two');
    INSERT INTO orders VALUES (1, 1, 9.5), (2, 2, 3.25);
    INSERT INTO seen VALUES (1, '/'), (1, '/'), (2, '/');";

#[tokio::test]
async fn what_the_schema_promises_holds_after_the_switch() {
    let rig = Rig::of_sql(SHOP).await;
    let plan = round::planned(&rig, &[]).await;
    follow(&rig, &[]).await;
    let written = "PRAGMA foreign_keys = ON;
        INSERT INTO customers VALUES (900, 'gone soon');
        INSERT INTO orders VALUES (3, 900, 1.5), (4, 1, 2.5);
        DELETE FROM customers WHERE id IN (2, 900);
        INSERT INTO seen VALUES (1, '/'), (1, '/'), (3, '/new');
        DELETE FROM seen WHERE customer = 2";
    rig.source().execute_batch(written).expect("applications write");
    assert_switches(&rig).await;
    let differing = oracle::identical(&rig.source, &rig.target().await, &plan).await;
    assert!(differing.is_empty(), "{differing:#?}");
    assert_eq!(number_in_target(&rig, "SELECT count(*) FROM seen WHERE page = '/'").await, 4);

    let valid = "SELECT count(*) FROM pg_constraint WHERE contype = 'f' AND convalidated";
    assert_eq!(number_in_target(&rig, valid).await, 1);
    let owner = rig.database.owner().await;
    owner.batch_execute("INSERT INTO orders VALUES (9, 77, 1)").await.expect_err("an orphan");
    let next = "INSERT INTO customers (name) VALUES ('next') RETURNING id";
    let next: i64 = owner.query_one(next, &[]).await.expect("an id").get(0);
    assert!(next > 900, "the id {next} was given before");
    owner.batch_execute("DELETE FROM customers WHERE id = 1").await.expect("rows go");
    assert_eq!(number_in_target(&rig, "SELECT count(*) FROM orders").await, 0);
    rig.finish().await;
}
