//! Tables that the application has made in PostgreSQL are taken over, filled, and given back exactly.

use switchback_tests::{content, rig::Rig};
use tokio_postgres::Client;

use crate::{
    existing_schema::{dump, give_away, pair, write},
    kinds::status,
    writing::in_step,
};

/// What an application writes on PostgreSQL.
const WRITTEN: &str = "
INSERT INTO users (name, mood, age) VALUES ('Dan', 'sad', 40);
UPDATE users SET mood = 'sad', age = 32 WHERE id = 1;
INSERT INTO orders (owner, parent, region, number, total) VALUES (1, 2, 'eu', 3, 5),
  (5, NULL, 'eu', 30, 1);
DELETE FROM users WHERE id = 5;
UPDATE orders SET total = 8 WHERE id = 2;
UPDATE orders SET number = 7 WHERE id = 1;
INSERT INTO notes VALUES ('later', 'two');
DELETE FROM notes WHERE note IS NULL;";

async fn number(client: &Client, sql: &str) -> i64 {
    client.query_one(sql, &[]).await.expect(sql).get(0)
}

fn in_sqlite<T: rusqlite::types::FromSql>(rig: &Rig, sql: &str) -> T {
    rig.source().query_row(sql, [], |row| row.get(0)).expect(sql)
}

#[tokio::test]
async fn tables_of_the_application_go_there_and_back_and_end_as_they_were() {
    let (rig, plan) = pair().await;
    let before = dump(&rig).await;
    let run = rig.cli(&["migrate", "--plan", &write(&rig, &plan)]).await;
    run.expect(0);
    assert_eq!(run.report()["validation"]["matches"], true, "{}", run.report());
    let target = rig.target().await;
    assert_eq!(number(&target, "SELECT count(*) FROM events").await, 0, "no trigger has fired");
    let shown = "SELECT count(*) FROM users WHERE shown = upper(name) || '!' AND added <= now()";
    assert_eq!(number(&target, shown).await, 3);
    rig.cli(&["validate"]).await.expect(0);

    let application = rig.database.owner().await;
    application.batch_execute(WRITTEN).await.expect("PostgreSQL takes writes");
    let fired = "SELECT count(*) FROM events WHERE what IN ('told', 'always_told')";
    assert_eq!(number(&target, fired).await, 2);
    assert_eq!(number(&target, "SELECT count(*) FROM events").await, 2, "one is off");
    assert_eq!(number(&target, "SELECT max(id) FROM users").await, 6);
    assert_eq!(number(&target, "SELECT max(id) FROM orders").await, 10);
    let orphan = application.batch_execute("INSERT INTO audit (who) VALUES (99)").await;
    assert_eq!(orphan.unwrap_err().code().map(|code| code.code()), Some("23503"));
    in_step(&rig).await;
    rig.cli(&["validate"]).await.expect(0);

    rig.cli(&["rollback"]).await.expect(0);
    assert_eq!(status(&rig).await["phase"], "following");
    let kept: String =
        in_sqlite(&rig, "SELECT group_concat(legacy) FROM (SELECT * FROM users ORDER BY id)");
    assert_eq!(kept, "a,b,none", "what PostgreSQL has no column for stays");
    let computed: String = in_sqlite(
        &rig,
        "SELECT group_concat(twice || ':' || half) FROM (SELECT * FROM orders ORDER BY id)",
    );
    assert_eq!(computed, "20:5,16:4,6:1,10:2");
    let moved: i64 = in_sqlite(&rig, "SELECT count(*) FROM lines WHERE number = 7");
    assert_eq!(moved, 2, "what PostgreSQL has cascaded");

    rig.source()
        .execute_batch(
            "INSERT INTO users (name, mood, age) VALUES ('Eve', 'ok', 20);
             UPDATE users SET name = 'Al' WHERE id = 1;
             UPDATE users SET legacy = 'new' WHERE id = 1;
             DELETE FROM lines WHERE n = 2;",
        )
        .expect("SQLite takes writes");
    rig.cli(&["cutover"]).await.expect(0);
    assert_eq!(number(&target, "SELECT count(*) FROM events").await, 2, "following fires nothing");
    assert_eq!(number(&target, "SELECT count(*) FROM users WHERE shown = 'AL!'").await, 1);
    let carried =
        "SELECT count(*) FROM users, orders WHERE shown = 'DAN!' AND total = 8 AND half = 4";
    assert_eq!(number(&target, carried).await, 1, "what SQLite computes is carried over again");
    application.batch_execute("INSERT INTO users (name, mood) VALUES ('Fay', 'ok')").await.unwrap();
    assert_eq!(number(&target, "SELECT count(*) FROM events").await, 3, "they fire again");
    assert_eq!(number(&target, "SELECT max(id) FROM users").await, 8);
    rig.cli(&["validate"]).await.expect(0);
    rig.cli(&["finalize"]).await.expect(0);
    assert_eq!(dump(&rig).await, before);
    assert_eq!(number(&target, "SELECT count(*) FROM switchback.set_aside").await, 0);
    rig.finish().await;
}

/// What the application has dropped on PostgreSQL is not looked for at the next switch.
#[tokio::test]
async fn a_trigger_that_the_application_drops_keeps_nobody_from_switching_again() {
    let (rig, plan) = pair().await;
    rig.cli(&["migrate", "--plan", &write(&rig, &plan)]).await.expect(0);
    let target = rig.target().await;
    target.batch_execute("DROP TRIGGER told ON users").await.expect("it was there");
    rig.cli(&["rollback"]).await.expect(0);
    rig.cli(&["cutover"]).await.expect(0);
    let update = "UPDATE users SET age = 50 WHERE id = 1";
    rig.database.owner().await.batch_execute(update).await.expect("PostgreSQL takes writes");
    let fired = "SELECT count(*) FROM events WHERE what = 'always_told'";
    assert_eq!(number(&target, fired).await, 1, "the other one fires again");
    let there = "SELECT count(*) FROM pg_trigger WHERE tgname = 'told'";
    assert_eq!(number(&target, there).await, 0);
    rig.cli(&["rollback"]).await.expect(0);
    rig.finish().await;
}

/// The last batch is written by the transaction that makes the foreign keys.
#[tokio::test]
async fn what_the_last_batch_deletes_takes_nothing_along() {
    let (rig, plan) = pair().await;
    let file = write(&rig, &plan);
    rig.cli(&["migrate", "--manual-cutover", "--plan", &file]).await.expect(0);
    let busy = rig.target().await;
    busy.batch_execute("BEGIN; LOCK TABLE notes IN ROW EXCLUSIVE MODE").await.unwrap();
    let mut cutover = rig.start(&["cutover", "--deadline", "30s"]);
    cutover.find(|event| event["phase"] == "cutting_over").await;
    let watcher = rig.target().await;
    while number(&watcher, "SELECT count(*) FROM switchback.control WHERE decision = 'pending'")
        .await
        == 0
    {}
    rig.source().execute_batch("UPDATE users SET age = 77 WHERE id = 1").expect("open");
    busy.batch_execute("COMMIT").await.unwrap();
    cutover.finish().await.expect(0);
    assert_eq!(number(&watcher, "SELECT count(*) FROM orders").await, 3);
    assert_eq!(number(&watcher, "SELECT age::bigint FROM users WHERE id = 1").await, 77);
    assert_eq!(number(&watcher, "SELECT count(*) FROM events").await, 0);
    rig.cli(&["validate"]).await.expect(0);
    rig.finish().await;
}

#[tokio::test]
async fn an_abort_gives_everything_back() {
    let (rig, plan) = pair().await;
    let (before, source) = (dump(&rig).await, content::schema(&rig.source));
    let file = write(&rig, &plan);
    rig.cli(&["migrate", "--manual-cutover", "--plan", &file]).await.expect(0);
    assert_ne!(dump(&rig).await, before, "foreign keys are off");
    rig.cli(&["cutover"]).await.expect(0);
    rig.cli(&["rollback"]).await.expect(0);
    rig.cli(&["abort"]).await.expect(0);
    assert_given_back(&rig, &before, &source).await;
    rig.cli(&["abort"]).await.refused(5, "NOT_MIGRATED");
    rig.finish().await;
}

async fn assert_given_back(rig: &Rig, before: &str, source: &[String]) {
    assert_eq!(dump(rig).await, before);
    assert_eq!(content::schema(&rig.source), source);
    let target = rig.target().await;
    assert_eq!(number(&target, "SELECT count(*) FROM users").await, 0);
    let ours = "SELECT count(*) FROM pg_namespace WHERE nspname = 'switchback'";
    assert_eq!(number(&target, ours).await, 0);
    let insert = "INSERT INTO users (name, mood, age) VALUES ('Ann', 'ok', 31)";
    rig.database.owner().await.batch_execute(insert).await.expect("it is the application's again");
}

/// The server dies, another one goes on, and dies while it undoes what there is.
#[tokio::test]
async fn a_death_at_any_step_gives_everything_back_in_the_end() {
    let deaths = [
        ("taken_key.before:2", "clean.before"),
        ("taken.before:2", "clean.after:3"),
        ("taken.after:4", "clean.before:4"),
        ("install.after", "clean.after"),
        ("chunk.after", "clean.before:2"),
        ("make.before:4", "clean.after:2"),
        ("make.after:9", "clean.before:6"),
    ];
    for (dies_first, dies_again) in deaths {
        let (mut rig, plan) = pair().await;
        let (before, source) = (dump(&rig).await, content::schema(&rig.source));
        let file = write(&rig, &plan);
        rig.server.kill9().await;
        rig.server.set("SWITCHBACK_FAILPOINT", dies_first);
        rig.server.launch().await;
        let mut run = rig.start(&["migrate", "--manual-cutover", "--plan", &file]);
        let started = run.find(|event| event["event"] == "started").await;
        rig.server.ended().await;
        rig.server.set("SWITCHBACK_FAILPOINT", "");
        rig.server.launch().await;
        let id = started["operation_id"].as_str().expect("an id");
        rig.cli(&["operations", "watch", id]).await.expect(0);
        rig.cli(&["validate"]).await.expect(0);
        rig.server.kill9().await;
        rig.server.set("SWITCHBACK_FAILPOINT", dies_again);
        rig.server.launch().await;
        let mut run = rig.start(&["abort"]);
        let started = run.find(|event| event["event"] == "started").await;
        rig.server.ended().await;
        rig.server.set("SWITCHBACK_FAILPOINT", "");
        rig.server.launch().await;
        let id = started["operation_id"].as_str().expect("an id");
        rig.cli(&["operations", "watch", id]).await.expect(0);
        assert_given_back(&rig, &before, &source).await;
        rig.finish().await;
    }
}

/// A finalize that dies goes on, and leaves dropped what the application has dropped meanwhile.
#[tokio::test]
async fn a_finalize_that_dies_leaves_all_as_the_application_has_it() {
    let (mut rig, plan) = pair().await;
    rig.cli(&["migrate", "--plan", &write(&rig, &plan)]).await.expect(0);
    let dropped = "DROP INDEX by_age; ALTER TABLE orders DROP CONSTRAINT follows";
    rig.target().await.batch_execute(dropped).await.unwrap();
    rig.server.kill9().await;
    rig.server.set("SWITCHBACK_FAILPOINT", "release.before:2");
    rig.server.launch().await;
    let mut run = rig.start(&["finalize", "--force"]);
    let started = run.find(|event| event["event"] == "started").await;
    rig.server.ended().await;
    rig.server.set("SWITCHBACK_FAILPOINT", "");
    rig.server.launch().await;
    let id = started["operation_id"].as_str().expect("an id");
    rig.cli(&["operations", "watch", id]).await.expect(0);
    let (after, (other, _)) = (dump(&rig).await, pair().await);
    other.target().await.batch_execute(dropped).await.unwrap();
    assert_eq!(after, dump(&other).await);
    other.finish().await;
    rig.finish().await;
}

#[tokio::test]
async fn a_target_that_has_changed_is_not_touched() {
    for change in [
        "CREATE INDEX late ON notes (at)",
        "DROP INDEX by_age; CREATE INDEX by_age ON users (age) WHERE age IS NOT NULL",
        "ALTER TABLE lines ADD COLUMN more text",
        "ALTER TABLE users ENABLE TRIGGER silent",
        "ALTER TABLE orders DROP CONSTRAINT follows",
        "ALTER TABLE events ADD COLUMN who bigint REFERENCES users (id)",
        "ALTER TABLE users DROP CONSTRAINT grown",
        "ALTER TABLE notes ALTER COLUMN note TYPE varchar",
    ] {
        let (rig, plan) = pair().await;
        rig.target().await.batch_execute(change).await.expect(change);
        let (before, source) = (dump(&rig).await, content::schema(&rig.source));
        let run = rig.cli(&["migrate", "--plan", &write(&rig, &plan)]).await;
        run.refused(5, "TARGET_CHANGED");
        assert_eq!(dump(&rig).await, before, "{change}");
        assert_eq!(content::schema(&rig.source), source);
        rig.finish().await;
    }
}

#[tokio::test]
async fn rows_are_deleted_only_when_that_is_asked_for() {
    let (rig, mut plan) = pair().await;
    let before = dump(&rig).await;
    let rows = "INSERT INTO users (name, mood) VALUES ('Old', 'ok');
                INSERT INTO audit (who, what) SELECT id, 'kept' FROM users";
    rig.database.owner().await.batch_execute(rows).await.expect("rows");
    let run = rig.cli(&["migrate", "--plan", &write(&rig, &plan)]).await;
    run.refused(5, "TARGET_NOT_EMPTY");
    assert!(run.message().contains("users"), "{}", run.message());
    assert_eq!(dump(&rig).await, before);
    let target = rig.target().await;
    assert_eq!(number(&target, "SELECT count(*) FROM users").await, 1);
    plan.existing.as_mut().unwrap().empty_target = true;
    rig.cli(&["migrate", "--plan", &write(&rig, &plan)]).await.expect(0);
    assert_eq!(number(&target, "SELECT count(*) FROM users").await, 3);
    assert_eq!(number(&target, "SELECT count(*) FROM audit").await, 1, "it is in no plan");
    rig.cli(&["finalize"]).await.expect(0);
    assert_eq!(dump(&rig).await, before);
    rig.finish().await;
}

#[tokio::test]
async fn what_cannot_be_taken_off_is_named_and_nothing_is_changed() {
    let (rig, plan) = pair().await;
    give_away(&rig, "lines").await;
    let before = dump(&rig).await;
    let run = rig.cli(&["migrate", "--plan", &write(&rig, &plan)]).await;
    run.refused(5, "TARGET_PERMISSION");
    assert!(run.message().contains("lines"), "{}", run.message());
    assert_eq!(dump(&rig).await, before);
    rig.finish().await;

    let (rig, plan) = pair().await;
    let source = content::schema(&rig.source);
    let view = "CREATE VIEW counted AS SELECT u.id, u.name, count(*) FROM users u GROUP BY u.id";
    rig.database.owner().await.batch_execute(view).await.expect("a view");
    let before = dump(&rig).await;
    let run = rig.cli(&["migrate", "--plan", &write(&rig, &plan)]).await;
    run.refused(5, "TARGET_IN_USE");
    assert!(run.message().contains("counted"), "{}", run.message());
    assert_given_back(&rig, &before, &source).await;
    rig.finish().await;
}

/// A constraint of the application that the rows of the source break stops the migration.
#[tokio::test]
async fn rows_that_break_a_constraint_stop_the_migration_before_the_switch() {
    for (rows, constraint, reason) in [
        ("INSERT INTO users VALUES (8, 'Kid', 'ok', 9, 'k')", "grown", "VALUE_REFUSED"),
        ("INSERT INTO users VALUES (8, 'ANN', 'ok', 90, 'k')", "by_lower", "VALUE_REFUSED"),
        // Seen before anything is copied.
        (
            "INSERT INTO orders (id, owner, region, number, total, twice) VALUES (8, 1, 'eu', 1, 1, 2)",
            "in_region",
            "PLAN_BLOCKED",
        ),
    ] {
        let (rig, plan) = pair().await;
        rig.source().execute_batch(rows).expect(rows);
        let (before, source) = (dump(&rig).await, content::schema(&rig.source));
        let run = rig.cli(&["migrate", "--plan", &write(&rig, &plan)]).await;
        run.refused(5, reason);
        let said = run.message();
        assert!(said.contains(constraint) || said.contains("one_of_each"), "{said}");
        assert!(reason != "VALUE_REFUSED" || said.contains("rows of the source break"), "{said}");
        assert_given_back(&rig, &before, &source).await;
        rig.finish().await;
    }
}
