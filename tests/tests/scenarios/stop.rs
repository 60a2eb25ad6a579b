//! SIGTERM in the middle of every phase: the server ends well within its grace, and what it was
//! doing goes on after the next start. Each says on stderr how long the stop took.

use std::time::{Duration, Instant};

use rusqlite::Connection;
use switchback_proto::v1::Plan;
use switchback_tests::{cli::Running, fixtures::damage, rig::Rig};

use crate::{
    databases::{migrated, owners_make_databases},
    round,
    standstill::{ROWS, hold, in_the_middle, lock, somebody_waits},
};

/// The default of `SWITCHBACK_SHUTDOWN_GRACE`.
const GRACE: Duration = Duration::from_secs(10);

/// A process is gone a moment after its last instruction, later on a busy machine.
const GONE: Duration = Duration::from_secs(1);

/// Enough for a phase that is not held to be met in its middle.
const SOME: &str = "CREATE TABLE large (id INTEGER PRIMARY KEY, note TEXT, payload BLOB);
    WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 30000)
    INSERT INTO large SELECT i, 'note ' || i, randomblob(400) FROM n;";

async fn big(rows: u32) -> Rig {
    Rig::of(|connection| damage::big(connection, rows)).await
}

/// Ends the server in a phase, which something holds up until it has ended, and starts it again.
async fn stop<T>(rig: &mut Rig, phase: &str, held: T) {
    let began = Instant::now();
    let status = rig.server.terminate().await;
    let took = began.elapsed();
    eprintln!("stopped in {phase:<22} {:>6} ms", took.as_millis());
    assert_eq!(status.code(), Some(0), "{phase}: {}", rig.server.logs());
    assert!(took < GRACE + GONE, "{phase}: {took:?}");
    drop(held);
    rig.server.launch().await;
}

/// The same with an operation, which its command follows to its end through the restart.
async fn stop_in<T>(rig: &mut Rig, phase: &str, run: Running, held: T) {
    let resumed = |rig: &Rig| rig.server.logs().matches("resuming operation").count();
    let before = resumed(rig);
    stop(rig, phase, held).await;
    assert!(resumed(rig) > before, "{phase}: it had ended before");
    run.finish().await.expect(0);
}

async fn enters(run: &mut Running, phase: &str) {
    run.find(|event| event["event"] == "phase" && event["phase"] == phase).await;
}

/// A lock on the source: of a writer in a WAL, of everything in a rollback journal.
fn lock_source(rig: &Rig) -> Connection {
    let connection = rig.source();
    connection.busy_timeout(switchback_tests::DEADLINE).expect("a time-out");
    connection.execute_batch("BEGIN EXCLUSIVE").expect("held");
    connection
}

async fn assert_arrived(rig: &Rig, plan: &Plan) {
    rig.assert_faithful(plan).await;
    rig.cli(&["validate"]).await.expect(0);
}

#[tokio::test]
async fn in_planning() {
    let mut rig = big(ROWS / 10).await;
    let plan = round::planned(&rig, &[]).await;
    let held = lock_source(&rig);
    let mut run = rig.start(&["migrate"]);
    enters(&mut run, "planning").await;
    stop_in(&mut rig, "planning", run, held).await;
    assert_arrived(&rig, &plan).await;
    rig.finish().await;
}

#[tokio::test]
async fn in_installing() {
    let mut rig = big(ROWS).await;
    let source = rig.source();
    source.pragma_update(None, "journal_mode", "wal").expect("a WAL");
    let plan = round::planned(&rig, &[]).await;
    // Readers are not in its way, nor it in theirs.
    let held = lock_source(&rig);
    let mut run = rig.start(&["migrate", "--skip-backup"]);
    enters(&mut run, "installing").await;
    stop_in(&mut rig, "installing", run, held).await;
    assert_arrived(&rig, &plan).await;
    rig.finish().await;
}

#[tokio::test]
async fn in_copying() {
    let mut rig = big(ROWS).await;
    let plan = round::planned(&rig, &[]).await;
    let mut run = rig.start(&["migrate"]);
    let (held, _) = hold(&rig, &mut run).await;
    somebody_waits(&rig).await;
    stop_in(&mut rig, "copying", run, held).await;
    assert_arrived(&rig, &plan).await;
    rig.finish().await;
}

#[tokio::test]
async fn in_indexing() {
    let mut rig = big(ROWS).await;
    let plan = round::planned(&rig, &[]).await;
    let mut run = rig.start(&["migrate"]);
    in_the_middle(&mut run).await;
    // The copy passes it, an index does not.
    let held = lock(&rig, "big", "ROW EXCLUSIVE").await;
    enters(&mut run, "indexing").await;
    somebody_waits(&rig).await;
    stop_in(&mut rig, "indexing", run, held).await;
    assert_arrived(&rig, &plan).await;
    rig.finish().await;
}

#[tokio::test]
async fn in_validating() {
    let mut rig = big(ROWS).await;
    let plan = round::planned(&rig, &[]).await;
    let mut run = rig.start(&["migrate", "--skip-backup"]);
    enters(&mut run, "validating").await;
    stop_in(&mut rig, "validating", run, ()).await;
    assert_arrived(&rig, &plan).await;
    rig.finish().await;
}

#[tokio::test]
async fn in_following_and_aborting() {
    let mut rig = big(ROWS / 10).await;
    rig.cli(&["migrate", "--manual-cutover"]).await.expect(0);
    let held = lock(&rig, "big", "ACCESS EXCLUSIVE").await;
    rig.source().execute_batch("UPDATE big SET flag = 7 WHERE id = 1").expect("a write");
    somebody_waits(&rig).await;
    stop(&mut rig, "following", held).await;
    rig.cli(&["validate"]).await.expect(0);

    let held = lock(&rig, "big", "ACCESS EXCLUSIVE").await;
    let mut run = rig.start(&["abort"]);
    enters(&mut run, "aborting").await;
    somebody_waits(&rig).await;
    stop_in(&mut rig, "aborting", run, held).await;
    rig.assert_target_empty().await;
    rig.finish().await;
}

#[tokio::test]
async fn in_the_switch_the_way_back_and_the_end() {
    let mut rig = big(ROWS / 10).await;
    rig.cli(&["migrate", "--manual-cutover"]).await.expect(0);
    let held = lock(&rig, "big", "ACCESS EXCLUSIVE").await;
    let mut run = rig.start(&["cutover", "--deadline", "60s"]);
    enters(&mut run, "cutting_over").await;
    somebody_waits(&rig).await;
    stop_in(&mut rig, "cutting_over", run, held).await;

    let held = lock_source(&rig);
    let owner = rig.database.owner().await;
    owner.batch_execute("UPDATE big SET name = 'later' WHERE id = 2").await.expect("a write");
    stop(&mut rig, "reversible", held).await;
    rig.cli(&["validate"]).await.expect(0);

    // As a writer that does not end has it.
    let held = lock(&rig, "big", "ROW EXCLUSIVE").await;
    let mut run = rig.start(&["rollback", "--deadline", "60s"]);
    enters(&mut run, "rolling_back").await;
    somebody_waits(&rig).await;
    stop_in(&mut rig, "rolling_back", run, held).await;
    let sql = "SELECT name FROM big WHERE id = 2";
    let name: String = rig.source().query_row(sql, [], |row| row.get(0)).expect("the row");
    assert_eq!(name, "later");

    rig.cli(&["cutover"]).await.expect(0);
    let held = lock(&rig, "big", "ROW EXCLUSIVE").await;
    let mut run = rig.start(&["finalize", "--force"]);
    run.find(|event| event["event"] == "started").await;
    somebody_waits(&rig).await;
    stop_in(&mut rig, "finalizing", run, held).await;
    rig.finish().await;
}

#[tokio::test]
async fn in_a_backup_and_a_validation() {
    let mut rig = migrated(SOME).await;
    for (command, name) in [("backup", "a backup"), ("validate", "a validation")] {
        let held = lock(&rig, "large", "ACCESS EXCLUSIVE").await;
        let mut run = rig.start(&[command]);
        run.find(|event| event["event"] == "started").await;
        somebody_waits(&rig).await;
        stop_in(&mut rig, name, run, held).await;
    }
    let listed = rig.cli(&["backups", "list"]).await;
    let id = listed.events[0]["backup_id"].as_str().expect("an id").to_owned();
    rig.cli(&["backups", "verify", &id]).await.expect(0);
    rig.finish().await;
}

#[tokio::test]
async fn in_a_restoration() {
    owners_make_databases().await;
    let mut rig = Rig::of_sql(SOME).await;
    let run = rig.cli(&["backup"]).await;
    run.expect(0);
    let id = run.report()["backup_id"].as_str().expect("an id").to_owned();
    for (name, into) in
        [("a restoration", &[][..]), ("one into PostgreSQL", &["--into", "postgres"])]
    {
        let copy = format!("{}_stop", rig.database.name);
        let arguments = [&["restore", &id, "--as", &copy][..], into].concat();
        let mut run = rig.start(&arguments);
        run.find(|event| event["event"] == "progress").await;
        stop(&mut rig, name, ()).await;
        run.finish().await.expect(0);
    }
    rig.finish().await;
}
