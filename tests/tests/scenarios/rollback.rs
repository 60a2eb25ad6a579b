//! The way back: what was written on PostgreSQL is in SQLite, and the pair goes forward again.

use rusqlite::{Connection, ErrorCode};
use serde_json::Value;
use switchback_tests::{
    DEADLINE,
    content::{self, refusal},
    rig::Rig,
    workload::{Launch, Writers, oracle},
};
use tokio::process::Command;

use crate::{
    round,
    writing::{
        WRITERS, assert_same_rows, at_the_switch_back, following, in_step, load, on_postgres,
        on_sqlite, postgres_is_open, rig, sqlite_is_open,
    },
};

const KINDS: &str = "
CREATE TABLE parents (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE);
CREATE TABLE children (id INTEGER PRIMARY KEY,
  parent INTEGER REFERENCES parents (id) ON DELETE CASCADE, note TEXT, price DECIMAL(10,2),
  paid BOOLEAN, born DATE, at DATETIME, body BLOB, score REAL);
CREATE TABLE keyless (a TEXT, b INTEGER);
CREATE TABLE prefs (owner TEXT NOT NULL, name TEXT NOT NULL, setting TEXT,
  PRIMARY KEY (owner, name)) WITHOUT ROWID;
CREATE TABLE hidden (rowid TEXT, _rowid_ TEXT, oid TEXT);
INSERT INTO parents VALUES (1, 'a'), (2, 'b'), (7, 'c');
INSERT INTO children VALUES
  (1, 1, 'x', 1.25, 1, '2024-01-31', '2024-01-31 10:00:00', x'00ff', 0.5),
  (2, 2, NULL, 2.5, 0, '2024-02-29', '2024-02-29 23:59:59', NULL, -1e300),
  (3, 2, 'y', 3.75, 1, NULL, NULL, x'', NULL);
INSERT INTO keyless VALUES ('one', 1), ('one', 1), ('two', 2);
INSERT INTO prefs VALUES ('o', 'n', 's'), ('o', 'm', 't');
INSERT INTO hidden VALUES ('r', 's', 't');";

const WRITTEN: &str = "
INSERT INTO parents (name) VALUES ('new');
DELETE FROM parents WHERE id = 2;
UPDATE parents SET name = 'between' WHERE id = 1;
UPDATE parents SET name = 'a' WHERE id = 7;
UPDATE parents SET name = 'c' WHERE id = 1;
UPDATE children SET id = -10, note = 'moved', price = 9.99, paid = false, born = '2025-12-31',
  at = '2025-12-31 01:02:03', body = '\\xdeadbeef', score = 'infinity' WHERE id = 1;
INSERT INTO keyless VALUES ('three', 3), ('three', 3);
DELETE FROM keyless WHERE a = 'two';
UPDATE prefs SET name = 'q' WHERE name = 'n';
INSERT INTO hidden VALUES ('u', 'v', 'w');";

async fn status(rig: &Rig) -> Value {
    rig.cli(&["status"]).await.events[0].clone()
}

#[tokio::test]
async fn what_was_written_on_postgres_comes_back_and_goes_forward_again() {
    let rig = Rig::of_sql(KINDS).await;
    let plan = round::planned(&rig, &[]).await;
    rig.cli(&["migrate"]).await.expect(0);
    assert_eq!(status(&rig).await["rollback"], "available");
    let target = rig.target().await;
    target.batch_execute(WRITTEN).await.expect("PostgreSQL takes writes");
    in_step(&rig).await;
    assert_same_rows(&rig, &plan).await;
    target.batch_execute("INSERT INTO prefs VALUES ('last', 'minute', NULL)").await.unwrap();

    let run = rig.cli(&["rollback"]).await;
    run.expect(0);
    assert_eq!(run.report()["epoch"], 2);
    assert!(run.report()["write_pause_ms"].as_f64().unwrap() > 0.0);
    let now = status(&rig).await;
    assert_eq!((&now["active_engine"], &now["phase"]), (&"sqlite".into(), &"following".into()));
    assert!(sqlite_is_writable(&rig), "SQLite takes writes");
    let refused = target.batch_execute("DELETE FROM prefs").await.expect_err("it is fenced");
    assert_eq!(refused.code().map(tokio_postgres::error::SqlState::code), Some("25006"));
    let source = rig.source();
    let found: (i64, i64, String) = source
        .query_row(
            "SELECT (SELECT count(*) FROM prefs WHERE owner = 'last'), \
               (SELECT count(*) FROM children), (SELECT name FROM parents WHERE id = 8)",
            [],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )
        .expect("the rows are there");
    assert_eq!(found, (1, 1, "new".into()));
    // AUTOINCREMENT goes on behind what PostgreSQL has given.
    source.execute_batch("INSERT INTO parents (name) VALUES ('again')").unwrap();
    let again = source.last_insert_rowid();
    assert!(again > 8, "{again}");
    drop(source);

    rig.cli(&["cutover"]).await.expect(0);
    assert_eq!(status(&rig).await["epoch"], 3);
    let differing = oracle::identical(&rig.source, &target, &plan).await;
    assert!(differing.is_empty(), "{differing:#?}");
    target.batch_execute("INSERT INTO parents (name) VALUES ('third')").await.unwrap();
    let id: i64 = target.query_one("SELECT max(id) FROM parents", &[]).await.unwrap().get(0);
    assert!(id > again, "{id}");
    rig.finish().await;
}

fn sqlite_is_writable(rig: &Rig) -> bool {
    refusal(&rig.source, "INSERT INTO keyless VALUES ('probe', 0)").is_none()
}

#[tokio::test]
async fn writers_go_there_and_back_again() {
    let rig = rig("wal").await;
    let plan = round::planned(&rig, &[]).await;
    let mut writers = Writers::start(WRITERS, load(), Launch::under_exec(&rig));
    writers.until_ok_on("sqlite", 10).await;
    rig.cli(&["migrate"]).await.expect(0);
    for round in 1..=3_usize {
        writers.until_more_on("postgres", 10).await;
        let run = rig.cli(&["rollback"]).await;
        run.expect(0);
        eprintln!("back: {} ms", run.report()["write_pause_ms"]);
        at_the_switch_back(&rig, &writers, 2 * round).await;
        writers.until_more_on("sqlite", 10).await;
        let run = rig.cli(&["cutover"]).await;
        run.expect(0);
        eprintln!("forth: {} ms", run.report()["write_pause_ms"]);
    }
    writers.until_more_on("postgres", 10).await;
    writers.stop().await;
    on_postgres(&rig, &writers).await;
    in_step(&rig).await;
    on_sqlite(&rig, &writers).await;
    assert_same_rows(&rig, &plan).await;
    assert!(!sqlite_is_open(&rig.source) && postgres_is_open(&rig.database).await);
    rig.finish().await;
}

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

#[tokio::test]
async fn an_open_transaction_lets_the_way_back_pass_its_deadline() {
    let rig = Rig::of_sql(KINDS).await;
    rig.cli(&["migrate"]).await.expect(0);
    let mut busy = rig.database.owner().await;
    let open = busy.transaction().await.unwrap();
    open.batch_execute("DELETE FROM prefs WHERE name = 'm'").await.unwrap();
    rig.cli(&["rollback", "--deadline", "700ms"]).await.refused(5, "ROLLBACK_FAILED");
    assert_eq!(status(&rig).await["phase"], "reversible");
    // Nobody else was kept out.
    rig.target().await.batch_execute("DELETE FROM keyless").await.expect("PostgreSQL is open");
    open.commit().await.unwrap();
    rig.cli(&["rollback"]).await.expect(0);
    let left: i64 = rig
        .source()
        .query_row("SELECT count(*) FROM prefs", [], |row| row.get(0))
        .expect("the rows are there");
    assert_eq!(left, 1);
    rig.finish().await;
}

/// What was there before the migration, and nothing else.
#[tokio::test]
async fn finalize_leaves_each_side_as_it_is_asked_to() {
    let mut contents = Vec::new();
    for (keep, mode) in
        [("clean", "delete"), ("fenced", "delete"), ("sealed", "delete"), ("sealed", "wal")]
    {
        let rig = Rig::of_sql(&format!("PRAGMA journal_mode = {mode}; {KINDS}")).await;
        let before = content::schema(&rig.source);
        let application = rig.source();
        rig.cli(&["migrate"]).await.expect(0);
        let target = rig.target().await;
        target.batch_execute(WRITTEN).await.expect("PostgreSQL takes writes");
        rig.cli(&["finalize", "--keep-source", keep]).await.expect(0);
        let now = status(&rig).await;
        assert_eq!((&now["phase"], &now["rollback"]), (&"finalized".into(), &"none".into()));
        if keep != "fenced" {
            assert_eq!(content::schema(&rig.source), before);
            contents.push(content::content(&rig.source));
        }
        assert_eq!(sqlite_is_writable(&rig), keep == "clean", "{keep}");
        if keep == "sealed" {
            assert_sealed(&rig, &application).await;
        }
        let ours = "SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'switchback%'";
        assert_eq!(target.query_one(ours, &[]).await.unwrap().get::<_, i64>(0), 0);
        let ours = "SELECT count(*) FROM pg_attribute WHERE attname LIKE '%switchback%'";
        assert_eq!(target.query_one(ours, &[]).await.unwrap().get::<_, i64>(0), 0);
        let ours = "SELECT count(*) FROM pg_proc WHERE proname LIKE 'log\\_%'";
        assert_eq!(target.query_one(ours, &[]).await.unwrap().get::<_, i64>(0), 0);
        target.batch_execute("TRUNCATE prefs").await.expect("nothing is in the way");
        let carried: i64 = rig
            .source()
            .query_row("SELECT count(*) FROM parents WHERE name = 'new'", [], |row| row.get(0))
            .unwrap();
        assert_eq!(carried, 1, "what was written before is in SQLite");
        rig.cli(&["rollback"]).await.refused(5, "NOT_REVERSIBLE");
        drop(application);
        rig.finish().await;
    }
    assert!(contents.windows(2).all(|pair| pair[0] == pair[1]), "sealed holds what clean holds");
}

/// Nobody can write: not who had it open all the time, and not another program.
async fn assert_sealed(rig: &Rig, application: &Connection) {
    let refused = application.execute_batch("DELETE FROM prefs").expect_err("it is sealed");
    assert_eq!(refused.sqlite_error_code(), Some(ErrorCode::ReadOnly));
    let count = "SELECT count(*) FROM keyless";
    let rows: i64 = application.query_row(count, [], |row| row.get(0)).expect("it is read");
    let program = "import sqlite3, sys\n\
                   c = sqlite3.connect(sys.argv[1])\n\
                   print(c.execute('SELECT count(*) FROM keyless').fetchone()[0])\n\
                   try: c.execute('DELETE FROM keyless')\n\
                   except sqlite3.OperationalError as e: print(e)";
    let python = Command::new("python3").args(["-c", program]).arg(&rig.source).output().await;
    let said = String::from_utf8(python.expect("python3").stdout).expect("text");
    assert_eq!(said, format!("{rows}\nattempt to write a readonly database\n"));
}

/// It is fenced before the commit and sealed behind it, and the operation goes on.
#[tokio::test]
async fn a_death_while_the_source_is_sealed_leaves_it_shut() {
    let mut rig = Rig::of_sql(&format!("PRAGMA journal_mode = wal; {KINDS}")).await;
    let before = content::schema(&rig.source);
    rig.cli(&["migrate"]).await.expect(0);
    rig.server.kill9().await;
    rig.server.set("SWITCHBACK_FAILPOINT", "finish.before");
    rig.server.launch().await;
    let mut run = rig.start(&["finalize", "--keep-source", "sealed", "--force"]);
    let started = run.find(|event| event["event"] == "started").await;
    rig.server.ended().await;
    assert!(refused(&rig).contains("this database has moved to PostgreSQL"));
    rig.server.set("SWITCHBACK_FAILPOINT", "finish.after");
    rig.server.launch_to_end().await;
    assert!(refused(&rig).contains("attempt to write a readonly database"));
    rig.server.set("SWITCHBACK_FAILPOINT", "");
    rig.server.launch().await;
    let id = started["operation_id"].as_str().expect("an id");
    rig.cli(&["operations", "watch", id]).await.expect(0);
    assert_eq!(content::schema(&rig.source), before);
    // A server that finds it so is content with it.
    rig.server.kill9().await;
    rig.server.launch().await;
    let now = status(&rig).await;
    assert_eq!(now["phase"], "finalized");
    assert_eq!(now["engines"]["sqlite"]["state"], "up", "{now}");
    rig.finish().await;
}

fn refused(rig: &Rig) -> String {
    refusal(&rig.source, "INSERT INTO keyless VALUES ('probe', 0)").expect("it is refused")
}

#[tokio::test]
async fn a_value_that_sqlite_would_change_is_refused_when_it_is_written() {
    let rig = Rig::of_sql(
        "CREATE TABLE prices (id INTEGER PRIMARY KEY, price DECIMAL, score REAL, code STRING,
           at DATETIME);
         INSERT INTO prices VALUES (1, 1.5, 0.5, 'x1', '2024-01-01 10:00:00');",
    )
    .await;
    let plan = round::planned(&rig, &[]).await;
    rig.cli(&["migrate"]).await.expect(0);
    let target = rig.target().await;
    for (column, value) in [
        ("price", "0.123456789012345678901234567890"),
        ("score", "'NaN'"),
        ("code", "'007'"),
        ("at", "'infinity'"),
    ] {
        let insert = format!("INSERT INTO prices (id, {column}) VALUES (9, {value})");
        let update = format!("UPDATE prices SET {column} = {value}");
        for sql in [insert, update] {
            let refused = target.batch_execute(&sql).await.expect_err(&sql);
            let refused = refused.as_db_error().expect("PostgreSQL refuses it");
            assert_eq!(refused.code().code(), "23514", "{sql}: {refused:?}");
            let said = format!("SQLite cannot hold this value of prices.{column}");
            assert!(refused.message().contains(&said), "{sql}: {refused:?}");
        }
    }
    // A time of PostgreSQL has more digits than those that came.
    target
        .batch_execute("INSERT INTO prices VALUES (2, 12.25, -1.5, 'x2', '2025-06-07 08:09:10.5')")
        .await
        .expect("SQLite can hold all of it");
    rig.cli(&["validate"]).await.expect(0);
    rig.cli(&["rollback"]).await.expect(0);
    assert_same_rows(&rig, &plan).await;
    let sql = "SELECT at FROM prices WHERE id = 2";
    let at: String = rig.source().query_row(sql, [], |row| row.get(0)).unwrap();
    assert_eq!(at, "2025-06-07 08:09:10.500000");
    rig.cli(&["cutover"]).await.expect(0);
    assert_same_rows(&rig, &plan).await;
    rig.finish().await;
}

#[tokio::test]
async fn a_pair_is_compared_on_schedule_in_either_direction() {
    let mut rig = Rig::of_sql(KINDS).await;
    rig.server.kill9().await;
    rig.server.set("SWITCHBACK_VALIDATE_EVERY", "1");
    rig.server.launch().await;
    let migrate = following(&rig).await;
    for direction in ["following", "reversible"] {
        let known = status(&rig).await["validated_at"].clone();
        assert!(known.is_string(), "{known}");
        let mut watch = rig.start(&["status", "--watch"]);
        watch.find(|status| status["phase"] == direction && status["validated_at"] != known).await;
        if direction == "following" {
            rig.cli(&["cutover"]).await.expect(0);
        }
    }
    migrate.finish().await.expect(0);
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

/// A program that was refused and forgets its transaction does not keep SQLite's lock.
#[tokio::test]
async fn a_transaction_that_was_refused_holds_up_nothing() {
    let rig = Rig::of_sql(KINDS).await;
    let plan = round::planned(&rig, &[]).await;
    rig.cli(&["migrate"]).await.expect(0);
    let forgetful = rig.source();
    forgetful.execute_batch("BEGIN").expect("a transaction");
    forgetful.execute_batch("INSERT INTO keyless VALUES ('a', 1)").expect_err("it is fenced");
    rig.target().await.batch_execute(WRITTEN).await.expect("PostgreSQL takes writes");
    in_step(&rig).await;
    assert_same_rows(&rig, &plan).await;
    rig.cli(&["rollback"]).await.expect(0);
    drop(forgetful);
    rig.finish().await;
}
