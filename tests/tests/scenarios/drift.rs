//! The application changes its schema under a migration, or something of ours: it is found before
//! the target changes again, and named. What only looks like a change does no harm.

use std::{fs, time::Duration};

use rusqlite::ErrorCode;
use serde_json::Value;
use switchback_tests::{
    DEADLINE,
    content::content,
    fixtures::{damage, files},
    rig::Rig,
    workload::oracle,
};

use crate::{
    followed::{
        assert_in_sync, assert_no_trace, await_status, finding, follow, number, number_in_target,
        status,
    },
    round,
    standstill::{ROWS, hold},
};

const SCHEMA: &str = "CREATE TABLE a (id INTEGER PRIMARY KEY, v TEXT);
    CREATE TABLE b (k TEXT PRIMARY KEY, v TEXT);
    CREATE TABLE bare (k INTEGER, v TEXT);
    INSERT INTO a VALUES (1, 'one'), (2, 'two');
    INSERT INTO b VALUES ('one', 'v');
    INSERT INTO bare VALUES (1, 'x'), (1, 'x'), (2, 'y');";

/// A change of the schema.
#[derive(Clone, Copy)]
struct Drift {
    sql: &'static str,
    /// What the message names.
    named: &'static str,
    /// A query that gives 1 where the change is there.
    stays: &'static str,
}

const ADD_COLUMN: Drift = Drift {
    sql: "ALTER TABLE b ADD COLUMN more TEXT",
    named: "(b)",
    stays: "SELECT count(*) FROM pragma_table_info('b') WHERE name = 'more'",
};
const DROP_TABLE: Drift = Drift {
    sql: "DROP TABLE b",
    named: "(b)",
    stays: "SELECT count(*) = 0 FROM sqlite_schema WHERE name = 'b'",
};
const CREATE_TABLE: Drift = Drift {
    sql: "CREATE TABLE fresh (id INTEGER PRIMARY KEY)",
    named: "(fresh)",
    stays: "SELECT count(*) FROM sqlite_schema WHERE name = 'fresh'",
};
const CREATE_INDEX: Drift = Drift {
    sql: "CREATE INDEX b_v ON b (v)",
    named: "(b)",
    stays: "SELECT count(*) FROM sqlite_schema WHERE name = 'b_v'",
};
const EDIT: Drift = Drift {
    sql: "PRAGMA writable_schema = ON;
          UPDATE sqlite_schema SET sql = replace(sql, 'v TEXT', 'v TEXT DEFAULT 7') WHERE name = 'b';
          PRAGMA writable_schema = OFF",
    named: "(b)",
    stays: "SELECT count(*) FROM sqlite_schema WHERE name = 'b' AND sql LIKE '%DEFAULT 7%'",
};
const DROP_TRIGGER: Drift =
    Drift { sql: "DROP TRIGGER _switchback_2_au", named: "(triggers of b)", stays: "SELECT 1" };
const DROP_LOG: Drift =
    Drift { sql: "DROP TABLE _switchback_log", named: "was removed", stays: "SELECT 1" };

const DROP_MARK: Drift =
    Drift { sql: "DROP TABLE _switchback", named: "was removed", stays: "SELECT 1" };

/// The change and a row, in one transaction: the row never arrives.
fn make(rig: &Rig, drift: Drift) {
    let sql = format!("BEGIN; INSERT INTO a VALUES (100, 'late'); {}; COMMIT", drift.sql);
    rig.source().execute_batch(&sql).expect("SQLite takes the change");
}

fn assert_named(found: &Value, drift: Drift) {
    let message = found["message"].as_str().unwrap_or_default();
    assert!(message.contains(drift.named), "{:?} is not named: {found}", drift.named);
    let hint = found["hint"].as_str().unwrap_or_default();
    assert!(hint.contains("switchback abort"), "{found}");
}

async fn assert_halted(rig: &Rig, drift: Drift) {
    let halted = status(rig).await;
    assert_eq!(halted["phase"], "halted", "{halted}");
    assert_named(finding(&halted, "following_stopped").expect("a finding"), drift);
}

/// In `following` it halts until the migration is aborted.
async fn halts(drift: Drift) {
    let rig = halted(drift).await;
    undone(rig, drift).await;
}

async fn halted(drift: Drift) -> Rig {
    let rig = Rig::of_sql(SCHEMA).await;
    follow(&rig, &[]).await;
    make(&rig, drift);
    await_status(&rig, |status| status["phase"] == "halted").await;
    assert_halted(&rig, drift).await;
    assert_eq!(number_in_target(&rig, "SELECT count(*) FROM a").await, 2);
    rig
}

async fn undone(rig: Rig, drift: Drift) {
    rig.cli(&["abort"]).await.expect(0);
    rig.assert_target_empty().await;
    assert_no_trace(&rig);
    assert_eq!(number(&rig, drift.stays), 1, "the application's own change is gone");
    assert_eq!(number(&rig, "SELECT count(*) FROM a"), 3);
    let after = status(&rig).await;
    assert_eq!(after["phase"], "idle");
    assert!(finding(&after, "following_stopped").is_none(), "{after}");
    rig.finish().await;
}

/// Neither a restart nor a cutover goes on over it.
#[tokio::test]
async fn what_is_halted_stays_so_until_it_is_aborted() {
    for drift in [ADD_COLUMN, DROP_TRIGGER] {
        let mut rig = halted(drift).await;
        rig.server.terminate().await;
        rig.server.launch().await;
        assert_halted(&rig, drift).await;
        let cutover = rig.cli(&["cutover"]).await;
        cutover.refused(5, "HALTED");
        assert!(cutover.hint().contains("switchback abort"), "{}", cutover.hint());
        let dry = rig.cli(&["cutover", "--dry-run"]).await;
        dry.expect(5);
        assert_eq!(dry.report()["forecast"]["go"], false);
        assert!(dry.report()["forecast"]["reasons"].to_string().contains(drift.named));
        assert_halted(&rig, drift).await;
        undone(rig, drift).await;
    }
}

#[tokio::test]
async fn a_table_that_is_gone_halts_what_follows() {
    halts(DROP_TABLE).await;
}

#[tokio::test]
async fn a_new_table_halts_what_follows() {
    halts(CREATE_TABLE).await;
}

#[tokio::test]
async fn a_new_index_halts_what_follows() {
    halts(CREATE_INDEX).await;
}

#[tokio::test]
async fn an_edit_that_sqlite_does_not_count_halts_what_follows() {
    halts(EDIT).await;
}

#[tokio::test]
async fn a_log_that_is_gone_halts_what_follows() {
    halts(DROP_LOG).await;
}

#[tokio::test]
async fn a_mark_that_is_gone_halts_what_follows() {
    halts(DROP_MARK).await;
}

/// The change while rows are copied: the migration fails, and leaves nothing.
async fn fails(drift: Drift) {
    let rig = Rig::of(|connection| {
        connection.execute_batch(SCHEMA).expect("SQLite takes the fixture");
        damage::big(connection, ROWS);
    })
    .await;
    let mut run = rig.start(&["migrate"]);
    let (lock, _) = hold(&rig, &mut run).await;
    make(&rig, drift);
    let before = content(&rig.source);
    drop(lock);
    let run = run.finish().await;
    run.refused(5, "SOURCE_CHANGED");
    assert_named(&run.result()["error"], drift);
    rig.assert_target_empty().await;
    assert_no_trace(&rig);
    assert_eq!(content(&rig.source), before, "the application's own change is gone");
    rig.finish().await;
}

#[tokio::test]
async fn a_new_column_ends_a_copy() {
    fails(ADD_COLUMN).await;
}

#[tokio::test]
async fn an_edit_that_sqlite_does_not_count_ends_a_copy() {
    fails(EDIT).await;
}

/// Leaves holes, which VACUUM closes: each row that is behind one gets another rowid.
const HOLES: &str = "DELETE FROM bare WHERE k % 3 = 0; INSERT INTO bare VALUES (1, 'x'), (7, 'z')";

#[tokio::test]
async fn what_only_tidies_up_does_no_harm_to_what_follows() {
    let rig = Rig::of(damage::kinds).await;
    let plan = round::planned(&rig, &[]).await;
    follow(&rig, &[]).await;
    let tidy = ["VACUUM", "ANALYZE", "REINDEX"];
    for (index, sql) in tidy.iter().chain(&tidy).enumerate() {
        let source = rig.source();
        source.execute_batch(HOLES).expect("rows are gone");
        source.execute_batch(sql).expect("SQLite tidies up");
        source.execute_batch("UPDATE bare SET v = v || '!' WHERE k = 1").expect("rows change");
        drop(source);
        if index % 2 == 0 {
            assert_in_sync(&rig).await;
        }
    }
    rig.cli(&["cutover"]).await.expect(0);
    let differing = oracle::identical(&rig.source, &rig.target().await, &plan).await;
    assert!(differing.is_empty(), "{differing:#?}");
    rig.finish().await;
}

#[tokio::test]
async fn a_vacuum_in_the_middle_of_a_copy_does_no_harm() {
    let rig = Rig::of(|connection| {
        damage::kinds(connection);
        damage::big(connection, ROWS);
    })
    .await;
    let plan = round::planned(&rig, &[]).await;
    let mut run = rig.start(&["migrate"]);
    let (lock, _) = hold(&rig, &mut run).await;
    let source = rig.source();
    source.execute_batch(&format!("{HOLES}; ANALYZE; REINDEX")).expect("rows are gone");
    source.execute_batch("VACUUM").expect("SQLite tidies up");
    drop(lock);
    // And once more while both sides are compared.
    run.find(|event| event["event"] == "phase" && event["phase"] == "validating").await;
    source.execute_batch("DELETE FROM bare WHERE k = 5; VACUUM").expect("SQLite tidies up");
    drop(source);
    run.finish().await.expect(0);
    let differing = oracle::identical(&rig.source, &rig.target().await, &plan).await;
    assert!(differing.is_empty(), "{differing:#?}");
    rig.finish().await;
}

#[tokio::test]
async fn an_older_copy_of_the_file_halts_what_follows() {
    let rig = Rig::of_sql(SCHEMA).await;
    follow(&rig, &[]).await;
    rig.source().execute_batch("INSERT INTO a VALUES (3, 'three')").expect("a row");
    assert_in_sync(&rig).await;
    let backup = files::beside(&rig.source, ".backup");
    fs::copy(&rig.source, &backup).expect("a backup");
    rig.source().execute_batch("INSERT INTO a VALUES (4, 'four')").expect("a row");
    assert_in_sync(&rig).await;
    fs::rename(&backup, &rig.source).expect("the backup is put back");

    let halted = await_status(&rig, |status| status["phase"] == "halted").await;
    let found = finding(&halted, "following_stopped").expect("a finding");
    assert!(found["message"].to_string().contains("older copy"), "{found}");
    assert!(found["hint"].to_string().contains("switchback abort"), "{found}");
    assert_eq!(number_in_target(&rig, "SELECT count(*) FROM a").await, 4);
    rig.cli(&["cutover"]).await.refused(5, "HALTED");
    rig.cli(&["abort"]).await.expect(0);
    rig.assert_target_empty().await;
    assert_no_trace(&rig);
    rig.cli(&["migrate"]).await.expect(0);
    rig.finish().await;
}

#[tokio::test]
async fn another_journal_mode_is_followed() {
    let rig = Rig::of_sql(SCHEMA).await;
    follow(&rig, &[]).await;
    // SQLite leaves WAL mode for the only connection, as with any second process: the server's own
    // makes it refuse, in good order.
    for (mode, set) in [("wal", Some("wal")), ("delete", None), ("wal", Some("wal"))] {
        let source = rig.source();
        source.busy_timeout(Duration::ZERO).expect("a time-out");
        let sql = format!("PRAGMA journal_mode = {mode}");
        let found = source.query_row(&sql, [], |row| row.get::<_, String>(0));
        match set {
            Some(set) => assert_eq!(found.as_deref(), Ok(set)),
            None => {
                let code = found.expect_err("SQLite refuses").sqlite_error_code();
                assert_eq!(code, Some(ErrorCode::DatabaseBusy));
            }
        }
        source.busy_timeout(DEADLINE).expect("a time-out");
        source.execute_batch("INSERT INTO a (v) VALUES ('more')").expect("a row");
        drop(source);
        assert_in_sync(&rig).await;
    }
    rig.cli(&["cutover"]).await.expect(0);
    rig.finish().await;
}
