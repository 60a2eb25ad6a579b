//! Backups of SQLite beside writers, and what is made of them again.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use rusqlite::Connection;
use serde_json::Value;
use switchback_tests::{
    cli::Run,
    content::{content, schema},
    rig::Rig,
    workload::{Launch, Writers, oracle, oracle::Side},
};

use crate::writing::{WRITERS, rig, staying};

/// Some 30 MB: several slices of a reading, so that writers come in between.
pub(crate) const LARGE: &str =
    "CREATE TABLE large (id INTEGER PRIMARY KEY, note TEXT, payload BLOB);
    WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60000)
    INSERT INTO large SELECT i, 'note ' || i, randomblob(400) FROM n;";

/// What a `backup` reports.
pub(crate) async fn backup(rig: &Rig) -> Value {
    let run = rig.cli(&["backup"]).await;
    run.expect(0);
    run.report().clone()
}

pub(crate) fn id(report: &Value) -> String {
    report["backup_id"].as_str().expect("an id").to_owned()
}

/// Restores to a new file.
pub(crate) async fn restored(rig: &Rig, backup: &str, name: &str) -> PathBuf {
    let run = rig.cli(&["restore", backup, "--as", name]).await;
    run.expect(0);
    assert_eq!(run.report()["validated"], true, "{}", run.stdout);
    PathBuf::from(run.report()["path"].as_str().expect("a path"))
}

/// Every backup that is listed, newest first.
pub(crate) async fn listed(rig: &Rig) -> Vec<Value> {
    let run = rig.cli(&["backups", "list"]).await;
    run.expect(0);
    run.events
}

pub(crate) fn assert_sound(file: &Path) {
    let connection = Connection::open(file).expect("it opens");
    let check: String =
        connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).expect("a check");
    assert_eq!(check, "ok");
}

pub(crate) fn number(report: &Value, field: &str) -> u64 {
    report[field].as_u64().unwrap_or_else(|| panic!("no {field} in {report}"))
}

#[tokio::test]
async fn a_wal_database_is_stored_beside_its_writers() {
    beside_writers("wal").await;
}

#[tokio::test]
async fn a_rollback_journal_database_is_stored_beside_its_writers() {
    beside_writers("delete").await;
}

async fn beside_writers(mode: &str) {
    let rig = rig(mode).await;
    rig.source().execute_batch(LARGE).expect("rows");
    let mut writers = Writers::start(WRITERS, staying(), Launch::on_file(&rig.source));
    writers.until_ok(20).await;
    for round in 0..3 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
        let report = backup(&rig).await;
        // It did not wait for them to rest.
        writers.until_ok(10).await;
        let file = restored(&rig, &id(&report), &format!("round-{round}")).await;
        assert_sound(&file);
        let verdict = oracle::check_snapshot(writers.journals(), Side::Sqlite(&file), since).await;
        verdict.expect_green();
        if round > 0 {
            let (read, sent) = (number(&report, "bytes_read"), number(&report, "bytes_uploaded"));
            assert!(sent < read / 4, "the large table was sent again: {report}");
        }
    }
    writers.stop().await;
    // Nobody writes: byte by byte the same, but for what SQLite's header says of the last commit.
    let report = backup(&rig).await;
    let file = restored(&rig, &id(&report), "still").await;
    assert_eq!(content(&file), content(&rig.source));
    assert_eq!(schema(&file), schema(&rig.source));
    let again = backup(&rig).await;
    let (read, sent) = (number(&again, "bytes_read"), number(&again, "bytes_uploaded"));
    assert!(sent * 100 < read, "unchanged data was sent again: {again}");
    assert!(number(&again, "bytes_deduplicated") >= read);
    let all = listed(&rig).await;
    assert_eq!(all.len(), 5, "{all:?}");
    assert_eq!(all[0]["backup_id"], again["backup_id"]);
    rig.cli(&["backups", "verify", &id(&again)]).await.expect(0);
    assert!(listed(&rig).await[0]["verified_at"].is_string());
    rig.finish().await;
}

#[tokio::test]
async fn a_restored_file_has_the_same_bytes() {
    for mode in ["delete", "wal"] {
        let rig = Rig::of_sql(LARGE).await;
        let connection = rig.source();
        connection.pragma_update(None, "journal_mode", mode).expect("a mode");
        connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").expect("a checkpoint");
        drop(connection);
        let file = restored(&rig, &id(&backup(&rig).await), "same").await;
        assert!(fs::read(&file).expect("a file") == fs::read(&rig.source).expect("a file"));
        rig.finish().await;
    }
}

/// A server killed in the middle goes on with the same backup, and sends nothing twice.
#[tokio::test]
async fn a_backup_survives_the_death_of_its_server() {
    for (point, listed_before) in [("stored.after:9", 0), ("backup.before", 0), ("backup.after", 1)]
    {
        let mut rig = Rig::of_sql(LARGE).await;
        rig.server.kill9().await;
        rig.server.set("SWITCHBACK_FAILPOINT", point);
        rig.server.launch().await;
        let run = rig.start(&["backup"]);
        rig.server.ended().await;
        rig.server.set("SWITCHBACK_FAILPOINT", "");
        rig.server.launch().await;
        let run = run.finish().await;
        run.expect(0);
        let report = run.report();
        let all = listed(&rig).await;
        assert_eq!(all.len(), 1, "{point}: {all:?}");
        let (read, sent) = (number(report, "bytes_read"), number(report, "bytes_uploaded"));
        assert!(sent < read, "{point}: {report}");
        if listed_before == 1 {
            assert_eq!(all[0]["backup_id"], report["backup_id"]);
        }
        let file = restored(&rig, &id(report), "copy").await;
        assert_eq!(content(&file), content(&rig.source), "{point}");
        rig.finish().await;
    }
}

#[tokio::test]
async fn a_migration_is_preceded_by_a_backup_and_finalize_asks_for_it() {
    let rig =
        Rig::of_sql("CREATE TABLE t (id INTEGER PRIMARY KEY, a); INSERT INTO t VALUES (1, 2)")
            .await;
    let before = content(&rig.source);
    let run = rig.cli(&["migrate"]).await;
    run.expect(0);
    let backup = run.report()["backup_id"].as_str().expect("a backup").to_owned();
    let file = restored(&rig, &backup, "before").await;
    assert_eq!(content(&file), before);
    rig.cli(&["validate"]).await.expect(0);
    rig.cli(&["backups", "delete", &backup, "--yes"]).await.expect(0);
    let refused = rig.cli(&["finalize"]).await;
    refused.refused(5, "BACKUP_MISSING");
    rig.cli(&["finalize", "--force"]).await.expect(0);
    rig.finish().await;
}

/// Following captures changes; a copy of the file must not.
#[tokio::test]
async fn what_a_migration_put_into_the_file_is_not_restored() {
    let rig =
        Rig::of_sql("CREATE TABLE t (id INTEGER PRIMARY KEY, a); INSERT INTO t VALUES (1, 2)")
            .await;
    let before = (content(&rig.source), schema(&rig.source));
    rig.cli(&["migrate", "--manual-cutover"]).await.expect(0);
    let report = backup(&rig).await;
    let run: Run = rig.cli(&["restore", &id(&report), "--as", "copy"]).await;
    run.expect(0);
    assert_eq!(run.found("capture_removed").len(), 1, "{}", run.stdout);
    let file = PathBuf::from(run.report()["path"].as_str().expect("a path"));
    assert_eq!((content(&file), schema(&file)), before);
    // In the middle of a migration nothing is replaced.
    rig.cli(&["restore", &id(&report), "--overwrite"]).await.refused(5, "RESTORE_REFUSED");
    rig.cli(&["abort"]).await.expect(0);
    rig.finish().await;
}
