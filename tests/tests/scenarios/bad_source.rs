//! Sources that are no good, or not at rest.

use std::path::Path;

use rusqlite::Connection;
use switchback_tests::{
    content::content,
    fixtures::files,
    rig::{Rig, directory},
};

use crate::round;

async fn rig(build: impl FnOnce(&Path)) -> Rig {
    let directory = directory();
    let source = directory.path().join("source.db");
    build(&source);
    Rig::on(directory, source).await
}

/// `plan` and `migrate` are refused alike, and nothing is made and nothing changed.
async fn refused(build: impl FnOnce(&Path), code: i32, reason: &str) {
    let rig = rig(build).await;
    let before = listing(&rig);
    for command in ["plan", "migrate"] {
        let run = rig.cli(&[command]).await;
        run.refused(code, reason);
        let said = format!("{}{}", run.stdout, run.stderr);
        assert!(said.contains("source.db"), "the file is not named: {said}");
    }
    rig.assert_target_empty().await;
    assert_eq!(listing(&rig), before, "{reason}: the source's directory was changed");
    rig.finish().await;
}

/// Every file in the source's directory with its hash.
fn listing(rig: &Rig) -> Vec<(String, String)> {
    let entries = std::fs::read_dir(rig.directory.path()).expect("a directory");
    let mut files: Vec<(String, String)> = entries
        .map(|entry| {
            let path = entry.expect("an entry").path();
            let bytes = std::fs::read(&path).unwrap_or_default();
            (path.display().to_string(), blake3::hash(&bytes).to_hex().to_string())
        })
        .collect();
    files.sort();
    files
}

#[tokio::test]
async fn no_such_file() {
    refused(|_| (), 4, "SOURCE_MISSING").await;
}

#[tokio::test]
async fn a_directory() {
    refused(|path| std::fs::create_dir(path).expect("a directory"), 4, "SOURCE_UNREADABLE").await;
}

#[tokio::test]
async fn not_a_database() {
    refused(files::not_a_database, 5, "SOURCE_NOT_A_DATABASE").await;
}

#[tokio::test]
async fn encrypted_looking() {
    refused(files::encrypted_looking, 5, "SOURCE_NOT_A_DATABASE").await;
}

#[tokio::test]
async fn corrupt() {
    refused(files::corrupt, 5, "SOURCE_CORRUPT").await;
}

#[tokio::test]
async fn truncated() {
    refused(files::truncated, 5, "SOURCE_CORRUPT").await;
}

#[tokio::test]
async fn unreadable_log() {
    refused(files::unreadable_wal, 4, "SOURCE_UNREADABLE").await;
}

#[tokio::test]
async fn an_empty_file_is_said_to_be_empty() {
    let rig = rig(files::empty).await;
    let before = content(&rig.source);
    let run = rig.cli(&["plan"]).await;
    run.expect(0);
    let findings = run.found("no_tables");
    assert!(findings.iter().any(|finding| finding["severity"] == "warning"), "{}", run.stdout);
    rig.cli(&["migrate"]).await.expect(0);
    assert_eq!(content(&rig.source), before, "the file holds more than the mark of the switch");
    rig.finish().await;
}

#[tokio::test]
async fn locked() {
    let rig = rig(|path| drop(files::sound(path))).await;
    let holder = Connection::open(&rig.source).expect("opens");
    holder.execute_batch("BEGIN EXCLUSIVE").expect("a lock");
    rig.cli(&["plan"]).await.refused(4, "SOURCE_LOCKED");
    rig.cli(&["migrate"]).await.refused(4, "SOURCE_LOCKED");
    rig.assert_target_empty().await;
    holder.execute_batch("ROLLBACK").expect("unlocked");
    drop(holder);
    round::arrives(&rig, &[]).await;
    rig.finish().await;
}

/// The transaction that never ended is taken back, as SQLite itself would.
#[tokio::test]
async fn a_hot_journal_is_rolled_back() {
    let rig = rig(files::hot_journal).await;
    let plan = round::planned(&rig, &[]).await;
    rig.cli(&["migrate"]).await.expect(0);
    let sql = "SELECT count(*), count(*) FILTER (WHERE a = 'row ' || id) FROM t";
    let row = rig.target().await.query_one(sql, &[]).await.expect("rows");
    let wanted = i64::try_from(files::rows()).expect("few rows");
    assert_eq!((row.get::<_, i64>(0), row.get::<_, i64>(1)), (wanted, wanted));
    rig.assert_faithful(&plan).await;
    rig.finish().await;
}

/// Rows that only the log of a killed writer holds arrive, and stay in the source.
#[tokio::test]
async fn a_left_log_is_read() {
    let rig = rig(files::left_wal).await;
    let plan = round::planned(&rig, &[]).await;
    rig.cli(&["migrate"]).await.expect(0);
    let sql = "SELECT count(*) FROM t WHERE a LIKE 'from the log %'";
    let count: i64 = rig.target().await.query_one(sql, &[]).await.expect("rows").get(0);
    assert_eq!(u64::try_from(count), Ok(files::rows() - 1));
    rig.assert_faithful(&plan).await;
    rig.cli(&["validate"]).await.expect(0);
    rig.finish().await;
}

/// A file in WAL mode is left without a log, as it was found.
#[tokio::test]
async fn a_source_at_rest_in_wal_mode_is_left_at_rest() {
    let mut rig = rig(|path| {
        let connection = files::sound(path);
        connection.execute_batch("PRAGMA journal_mode = WAL").expect("WAL mode");
    })
    .await;
    round::arrives(&rig, &[]).await;
    rig.server.terminate().await;
    let names: Vec<String> = listing(&rig).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, [rig.source.display().to_string()]);
    rig.finish().await;
}

/// A source that was written to between the plan and the copy is not called whole.
#[tokio::test]
async fn a_schema_that_changes_in_the_middle_stops_the_copy() {
    use crate::standstill::{ROWS, hold};
    let rig = Rig::of(|connection| switchback_tests::fixtures::damage::big(connection, ROWS)).await;
    let mut run = rig.start(&["migrate"]);
    let (lock, _) = hold(&rig, &mut run).await;
    rig.source().execute_batch("ALTER TABLE big ADD COLUMN late TEXT").expect("altered");
    drop(lock);
    let run = run.finish().await;
    run.refused(5, "SOURCE_CHANGED");
    rig.assert_target_empty().await;
    rig.finish().await;
}

#[tokio::test]
async fn a_path_with_odd_letters() {
    let directory = directory();
    let source = directory.path().join("o'dd %41 #?&é \"name\".db");
    drop(files::sound(&source));
    let rig = Rig::on(directory, source).await;
    round::arrives(&rig, &[]).await;
    rig.finish().await;
}
