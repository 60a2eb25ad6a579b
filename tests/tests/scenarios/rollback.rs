//! The way back: what was written on PostgreSQL is in SQLite, and the pair goes forward again.

use switchback_tests::{
    rig::Rig,
    workload::{Launch, Writers, oracle},
};

use crate::{
    kinds::{KINDS, WRITTEN, sqlite_is_writable, status},
    round,
    writing::{
        WRITERS, assert_same_rows, at_the_switch_back, following, in_step, load, on_postgres,
        on_sqlite, postgres_is_open, rig, sqlite_is_open,
    },
};

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
    // Only the sequence knows of it.
    let gone = "INSERT INTO parents (name) VALUES ('gone') RETURNING id";
    let gone: i64 = target.query_one(gone, &[]).await.unwrap().get(0);
    target.batch_execute("DELETE FROM parents WHERE name = 'gone'").await.unwrap();

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
    assert!(again > gone, "{again} was given before, by {gone}");
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
