//! The way back: what was written on PostgreSQL is in SQLite, and the pair goes forward again.

use serde_json::Value;
use switchback_tests::{
    content::refusal,
    rig::Rig,
    workload::{Launch, Writers, oracle},
};

use crate::{
    round,
    writing::{
        WRITERS, assert_same_rows, at_the_switch_back, in_step, load, on_postgres, on_sqlite,
        postgres_is_open, rig, sqlite_is_open,
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
        writers.until_ok_on("postgres", 20 * round).await;
        let run = rig.cli(&["rollback"]).await;
        run.expect(0);
        eprintln!("back: {} ms", run.report()["write_pause_ms"]);
        at_the_switch_back(&rig, &writers, 2 * round).await;
        writers.until_ok_on("sqlite", 10 + 20 * round).await;
        let run = rig.cli(&["cutover"]).await;
        run.expect(0);
        eprintln!("forth: {} ms", run.report()["write_pause_ms"]);
    }
    writers.until_ok_on("postgres", 80).await;
    writers.stop().await;
    on_postgres(&rig, &writers).await;
    in_step(&rig).await;
    on_sqlite(&rig, &writers).await;
    assert_same_rows(&rig, &plan).await;
    assert!(!sqlite_is_open(&rig.source) && postgres_is_open(&rig.database).await);
    rig.finish().await;
}
