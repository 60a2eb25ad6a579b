//! What an owner may do to PostgreSQL's tables, or somebody to the SQLite file, while there is a way
//! back: it is seen and told, and nothing is lost in silence.

use switchback_tests::{DEADLINE, rig::Rig};

use crate::{
    kinds::{KINDS, sqlite_is_writable},
    round,
    writing::{assert_same_rows, following, in_step},
};

#[tokio::test]
async fn what_sqlite_has_no_place_for_is_told_and_not_left_behind_in_silence() {
    let rig = Rig::of_sql(KINDS).await;
    rig.cli(&["migrate"]).await.expect(0);
    let target = rig.target().await;
    target
        .batch_execute("ALTER TABLE prefs ADD COLUMN extra text; CREATE TABLE audit (at text)")
        .await
        .expect("PostgreSQL takes it");
    let mut watch = rig.start(&["status", "--watch"]);
    let told = watch.find(|status| status["findings"].as_array().map_or(0, Vec::len) == 2).await;
    assert_eq!(told["rollback"], "available");
    assert_eq!(told["findings"][0]["code"], "target_schema_changed");
    rig.cli(&["rollback"]).await.refused(5, "RETURN_REFUSED");
    let dry = rig.cli(&["rollback", "--dry-run"]).await;
    dry.expect(5);
    assert_eq!(dry.report()["forecast"]["go"], false, "{dry:?}");
    target.batch_execute("INSERT INTO prefs VALUES ('p', 'q', 'r', 'kept here')").await.unwrap();
    let run = rig.cli(&["rollback", "--accept-left-behind", "2"]).await;
    run.expect(0);
    assert_eq!(run.report()["findings"].as_array().map(Vec::len), Some(2));
    let sql = "SELECT setting FROM prefs WHERE owner = 'p'";
    let came: String = rig.source().query_row(sql, [], |row| row.get(0)).unwrap();
    assert_eq!(came, "r");
    rig.finish().await;
}

#[tokio::test]
async fn truncate_is_refused_and_a_lost_column_closes_the_way_back() {
    let rig = Rig::of_sql(KINDS).await;
    rig.cli(&["migrate"]).await.expect(0);
    let target = rig.target().await;
    let refused = target.batch_execute("TRUNCATE prefs").await.expect_err("it is not seen");
    assert!(format!("{refused:?}").contains("TRUNCATE cannot be carried back"), "{refused:?}");
    target.batch_execute("ALTER TABLE children DROP COLUMN note").await.expect("it takes it");
    let mut watch = rig.start(&["status", "--watch"]);
    let told = watch.find(|status| status["rollback"] == "unavailable").await;
    assert_eq!(told["findings"][0]["severity"], "blocker");
    drop(watch);
    target
        .batch_execute(
            "ALTER TABLE children ADD COLUMN note text;
             ALTER TABLE keyless ADD COLUMN parent bigint REFERENCES parents ON DELETE CASCADE;",
        )
        .await
        .expect("and back");
    // A cascade would undo what follows after a rollback.
    rig.cli(&["rollback"]).await.refused(5, "RETURN_REFUSED");
    target.batch_execute("ALTER TABLE keyless DROP COLUMN parent").await.expect("and back");
    let mut watch = rig.start(&["status", "--watch"]);
    watch.find(|status| status["rollback"] == "available").await;
    rig.cli(&["rollback"]).await.expect(0);
    rig.finish().await;
}

/// Whatever somebody does to the triggers: what was written comes back, and PostgreSQL is closed.
#[tokio::test]
async fn triggers_that_were_dropped_or_switched_off_lose_nothing() {
    let rig = Rig::of_sql(KINDS).await;
    let plan = round::planned(&rig, &[]).await;
    rig.cli(&["migrate"]).await.expect(0);
    let target = rig.target().await;
    target
        .batch_execute(
            "ALTER TABLE hidden DISABLE TRIGGER USER; ALTER TABLE hidden ENABLE TRIGGER USER;
             ALTER TABLE prefs DISABLE TRIGGER USER;
             INSERT INTO prefs VALUES ('un', 'seen', 'a');
             DELETE FROM prefs WHERE name = 'm';
             DROP TRIGGER switchback_capture ON keyless;
             INSERT INTO keyless VALUES ('unseen', 9);",
        )
        .await
        .expect("the owner may");
    // Found by itself.
    let sql = "SELECT count(*) FROM pg_trigger WHERE tgname = 'switchback_capture' \
               AND tgenabled = 'A' AND tgrelid IN ('prefs'::regclass, 'keyless'::regclass)";
    let began = std::time::Instant::now();
    while target.query_one(sql, &[]).await.unwrap().get::<_, i64>(0) < 2 {
        assert!(began.elapsed() < DEADLINE, "{}", rig.server.logs());
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    // The fence, which that switched on, is off again.
    while target.batch_execute("INSERT INTO hidden VALUES ('x', 'y', 'z')").await.is_err() {
        assert!(began.elapsed() < DEADLINE, "{}", rig.server.logs());
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    in_step(&rig).await;
    assert_same_rows(&rig, &plan).await;
    // Found by the rollback.
    target
        .batch_execute(
            "ALTER TABLE prefs DISABLE TRIGGER USER;
             INSERT INTO prefs VALUES ('at', 'last', 'b');
             DROP TRIGGER switchback_fence ON parents;",
        )
        .await
        .expect("the owner may");
    rig.cli(&["rollback"]).await.expect(0);
    assert_same_rows(&rig, &plan).await;
    for table in ["parents", "prefs", "keyless"] {
        let refused = target.batch_execute(&format!("DELETE FROM {table}")).await;
        assert!(refused.is_err(), "{table} is open");
    }
    rig.cli(&["cutover"]).await.expect(0);
    target.batch_execute("INSERT INTO prefs VALUES ('and', 'on', 'c')").await.expect("it is open");
    in_step(&rig).await;
    assert_same_rows(&rig, &plan).await;
    rig.finish().await;
}

/// A copy from before the switch takes no writes for long, and nothing is carried back to it.
#[tokio::test]
async fn an_older_copy_of_the_file_is_fenced_and_closes_the_way_back() {
    let rig = Rig::of_sql(KINDS).await;
    let migrate = following(&rig).await;
    let older = rig.directory.path().join("older.db");
    let copy = format!("VACUUM INTO '{}'", older.display());
    rig.source().execute_batch(&copy).expect("a copy");
    rig.cli(&["cutover"]).await.expect(0);
    migrate.finish().await.expect(0);
    let target = rig.target().await;
    target.batch_execute("INSERT INTO prefs VALUES ('after', 'it', NULL)").await.unwrap();
    in_step(&rig).await;
    let kept = rig.directory.path().join("kept.db");
    std::fs::rename(&rig.source, &kept).expect("moved away");
    std::fs::rename(&older, &rig.source).expect("put there");
    assert!(sqlite_is_writable(&rig));
    let mut watch = rig.start(&["status", "--watch"]);
    let told = watch.find(|status| status["rollback"] == "unavailable").await;
    assert_eq!(told["findings"][0]["code"], "return_stopped", "{told}");
    let began = std::time::Instant::now();
    while sqlite_is_writable(&rig) {
        assert!(began.elapsed() < DEADLINE, "it is open: {}", rig.server.logs());
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    rig.cli(&["rollback"]).await.refused(5, "SOURCE_CHANGED");
    // The newest one again.
    std::fs::rename(&kept, &rig.source).expect("put back");
    watch.find(|status| status["rollback"] == "available").await;
    target.batch_execute("DELETE FROM prefs WHERE owner = 'after'").await.unwrap();
    rig.cli(&["rollback"]).await.expect(0);
    rig.finish().await;
}

/// DDL changes rows and fires no trigger; rows that PostgreSQL could not hold are in SQLite alone.
#[tokio::test]
async fn a_table_that_is_carried_back_as_a_whole_keeps_its_rejected_rows() {
    let rig = Rig::of_sql(
        "CREATE TABLE notes (id INTEGER PRIMARY KEY, body TEXT, mood TEXT);
         INSERT INTO notes VALUES (1, 'one', 'a'), (2, CAST(x'ff' AS TEXT), 'b'), (3, 'three', 'c');",
    )
    .await;
    let on = ["migrate", "--on", "invalid_utf8=reject", "--allow-rejects", "1"];
    rig.cli(&on).await.expect(0);
    let target = rig.target().await;
    target
        .batch_execute(
            "ALTER TABLE notes DROP COLUMN mood; ALTER TABLE notes ADD COLUMN mood text;
             UPDATE notes SET mood = 'new' WHERE id = 3;",
        )
        .await
        .expect("PostgreSQL takes it");
    rig.cli(&["rollback"]).await.expect(0);
    let rows: Vec<(i64, Option<String>)> = rig
        .source()
        .prepare("SELECT id, mood FROM notes ORDER BY id")
        .unwrap()
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    let wanted = [(1, None), (2, Some("b".to_owned())), (3, Some("new".to_owned()))];
    assert_eq!(rows, wanted);
    rig.finish().await;
}

/// A row that gets past its guard closes the way back; it is named to people and not to the log.
#[tokio::test]
async fn a_row_that_cannot_go_back_is_named_and_nothing_is_skipped() {
    let rig = Rig::of_sql(
        "CREATE TABLE notes (name TEXT NOT NULL PRIMARY KEY, code STRING);
         INSERT INTO notes VALUES ('first', 'x1');",
    )
    .await;
    rig.cli(&["migrate"]).await.expect(0);
    let target = rig.target().await;
    target
        .batch_execute(
            "BEGIN; ALTER TABLE notes DISABLE TRIGGER switchback_guard_1;
             INSERT INTO notes VALUES ('kept-quiet', '007'), ('second', 'x2');
             ALTER TABLE notes ENABLE ALWAYS TRIGGER switchback_guard_1; COMMIT;",
        )
        .await
        .expect("the owner may");
    let mut watch = rig.start(&["status", "--watch"]);
    let told = watch.find(|status| status["rollback"] == "unavailable").await;
    let found = &told["findings"][0];
    assert_eq!((&found["code"], &found["severity"]), (&"return_stopped".into(), &"blocker".into()));
    assert!(found["examples"].to_string().contains("kept-quiet"), "{found}");
    assert!(!found["message"].to_string().contains("kept-quiet"), "{found}");
    rig.cli(&["rollback"]).await.refused(5, "RETURN_REFUSED");
    let rows = "SELECT count(*) FROM notes";
    let count = |rig: &Rig| rig.source().query_row(rows, [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(count(&rig), 1, "part of a batch");
    target.batch_execute("UPDATE notes SET code = 'x7' WHERE code = '007'").await.unwrap();
    watch.find(|status| status["rollback"] == "available").await;
    rig.cli(&["rollback"]).await.expect(0);
    assert_eq!(count(&rig), 3);
    let logs = rig.server.logs();
    assert!(logs.contains("nothing is carried back") && !logs.contains("kept-quiet"), "{logs}");
    rig.finish().await;
}
