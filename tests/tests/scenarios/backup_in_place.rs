//! SQLite backups in place of a file, one table of them, and what is not written over.

use std::{fs, path::PathBuf};

use rusqlite::Connection;
use switchback_tests::{
    content::{content, schema},
    rig::Rig,
    workload::{Launch, Writers},
};

use crate::{
    backup::{LARGE, assert_sound, backup, id, restored},
    writing::{WRITERS, rig, staying},
};

#[tokio::test]
async fn what_is_there_is_not_written_over() {
    let rig =
        Rig::of_sql("CREATE TABLE t (id INTEGER PRIMARY KEY, a); INSERT INTO t VALUES (1, 2)")
            .await;
    let first = id(&backup(&rig).await);
    let file = restored(&rig, &first, "copy").await;
    let again = rig.cli(&["restore", &first, "--as", "copy"]).await;
    again.refused(5, "RESTORE_REFUSED");
    // SQLite would take it for this file's own.
    fs::remove_file(&file).expect("removed");
    fs::write(file.with_extension("db-wal"), "old").expect("written");
    rig.cli(&["restore", &first, "--as", "copy"]).await.refused(5, "RESTORE_REFUSED");
    rig.cli(&["restore", &first]).await.refused(5, "RESTORE_REFUSED");
    for name in ["../copy", "a/b", "-x", ""] {
        let run = rig.cli(&["restore", &first, &format!("--as={name}")]).await;
        assert!(matches!(run.code, 2 | 5), "{name}: {}", run.stdout);
    }
    rig.cli(&["restore", "20260101T000000Z-abcdef", "--as", "other"])
        .await
        .refused(2, "UNKNOWN_BACKUP");
    rig.finish().await;
}

#[tokio::test]
async fn a_file_is_replaced_under_those_who_have_it_open() {
    for mode in ["wal", "delete"] {
        let rig = rig(mode).await;
        rig.source().execute_batch(LARGE).expect("rows");
        let first = backup(&rig).await;
        let mut writers = Writers::start(WRITERS, staying(), Launch::on_file(&rig.source));
        writers.until_ok(20).await;
        let open = rig.source();
        open.execute_batch("CREATE TABLE later (id INTEGER PRIMARY KEY); DELETE FROM large")
            .expect("changes");
        let run = rig.cli(&["restore", &id(&first), "--overwrite"]).await;
        run.expect(0);
        let safety = run.report()["safety_backup_id"].as_str().expect("a backup").to_owned();
        // A connection from before sees what was restored.
        let rows: i64 =
            open.query_row("SELECT count(*) FROM large", [], |row| row.get(0)).expect("rows");
        assert_eq!(rows, 60000, "{mode}");
        assert!(open.execute_batch("SELECT * FROM later").is_err());
        assert_sound(&rig.source);
        writers.stop().await;
        // All that was acknowledged before is in the backup that was made first.
        let before = restored(&rig, &safety, "before").await;
        assert_sound(&before);
        let later: i64 = Connection::open(&before)
            .and_then(|file| file.query_row("SELECT count(*) FROM later", [], |row| row.get(0)))
            .expect("the table");
        assert_eq!(later, 0);
        rig.finish().await;
    }
}

#[tokio::test]
async fn a_damaged_file_is_moved_aside() {
    let rig = Rig::of_sql(LARGE).await;
    let first = backup(&rig).await;
    let before = content(&rig.source);
    fs::write(&rig.source, "no database at all, and long enough to be read as one".repeat(99))
        .expect("written");
    let run = rig.cli(&["restore", &id(&first), "--overwrite"]).await;
    run.expect(0);
    assert_eq!(run.found("moved_aside").len(), 1, "{}", run.stdout);
    assert_eq!(content(&rig.source), before);
    rig.finish().await;
}

#[tokio::test]
async fn one_table_is_restored_by_itself() {
    let rig = Rig::of_sql(
        "CREATE TABLE users (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT COLLATE NOCASE UNIQUE);
         CREATE TABLE emptied (id INTEGER PRIMARY KEY AUTOINCREMENT, a);
         INSERT INTO emptied VALUES (5, 1); DELETE FROM emptied;
         CREATE TABLE orders (id INTEGER PRIMARY KEY, user_id REFERENCES users);
         CREATE INDEX by_name ON users (name DESC) WHERE name IS NOT NULL;
         CREATE TRIGGER t AFTER INSERT ON users BEGIN DELETE FROM orders; END;
         INSERT INTO users VALUES (7, 'a'), (9, X'00ff'); DELETE FROM users WHERE id = 9;
         INSERT INTO orders VALUES (1, 7)",
    )
    .await;
    let first = id(&backup(&rig).await);
    let run = rig.cli(&["restore", &first, "--table", "users", "--as", "users"]).await;
    run.expect(0);
    assert_eq!(run.found("triggers_left_out").len(), 1);
    let file = PathBuf::from(run.report()["path"].as_str().expect("a path"));
    assert_sound(&file);
    let restored = Connection::open(&file).expect("it opens");
    restored.execute_batch("INSERT INTO users (name) VALUES ('b')").expect("a row");
    let ids: Vec<i64> = restored
        .prepare("SELECT id FROM users ORDER BY id")
        .and_then(|mut rows| rows.query_map([], |row| row.get(0))?.collect())
        .expect("rows");
    assert_eq!(ids, [7, 10], "AUTOINCREMENT gives no id again");
    assert!(schema(&file).iter().any(|object| object.contains("by_name")));
    // Nothing is in the table, and its ids are remembered all the same.
    let run = rig.cli(&["restore", &first, "--table", "emptied", "--as", "emptied"]).await;
    run.expect(0);
    let emptied =
        Connection::open(run.report()["path"].as_str().expect("a path")).expect("it opens");
    emptied.execute_batch("INSERT INTO emptied DEFAULT VALUES").expect("a row");
    assert_eq!(emptied.last_insert_rowid(), 6);
    let run = rig.cli(&["restore", &first, "--table", "nothing", "--as", "n"]).await;
    run.refused(2, "UNKNOWN_TABLE");
    rig.finish().await;
}

/// PostgreSQL is the active engine: the file must go on refusing writes.
#[tokio::test]
async fn a_fenced_file_is_not_replaced() {
    let rig =
        Rig::of_sql("CREATE TABLE t (id INTEGER PRIMARY KEY, a); INSERT INTO t VALUES (1, 2)")
            .await;
    let run = rig.cli(&["migrate"]).await;
    run.expect(0);
    let before = run.report()["backup_id"].as_str().expect("a backup").to_owned();
    rig.cli(&["finalize"]).await.expect(0);
    rig.cli(&["restore", &before, "--overwrite"]).await.refused(5, "RESTORE_REFUSED");
    assert!(rig.source().execute_batch("INSERT INTO t VALUES (2, 3)").is_err());
    rig.finish().await;
}

/// Whatever both files say of vacuuming, and whichever is larger.
#[tokio::test]
async fn a_file_that_vacuums_itself_is_replaced() {
    const ROWS: &str = "CREATE TABLE t (id INTEGER PRIMARY KEY, a BLOB);
        WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300)
        INSERT INTO t SELECT i, randomblob(3000) FROM n; DELETE FROM t WHERE id % 7 = 0;";
    for (stored, present) in [("none", "full"), ("incremental", "full"), ("full", "none")] {
        let rig = Rig::of_sql(&format!("PRAGMA auto_vacuum = {stored}; {ROWS}")).await;
        let first = id(&backup(&rig).await);
        let before = content(&rig.source);
        for rows in [2, 900] {
            fs::remove_file(&rig.source).expect("removed");
            let sql = format!(
                "PRAGMA auto_vacuum = {present}; CREATE TABLE u (a BLOB);
                 WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows})
                 INSERT INTO u SELECT randomblob(3000) FROM n; DELETE FROM u WHERE rowid % 2;"
            );
            rig.source().execute_batch(&sql).expect("another file");
            let run = rig.cli(&["restore", &first, "--overwrite"]).await;
            run.expect(0);
            assert_eq!(run.report()["validated"], true, "{}", run.stdout);
            assert_sound(&rig.source);
            assert_eq!(content(&rig.source), before, "{stored} over {present} with {rows}");
            rig.source().execute_batch("DELETE FROM t; VACUUM").expect("it can be used");
        }
        rig.finish().await;
    }
}
