//! Lenient guards: PostgreSQL takes what SQLite cannot hold. Such a row is kept aside exactly, told
//! at once, and left behind by a rollback that is told how many there are.

use serde_json::Value;
use switchback_tests::rig::Rig;

use crate::{
    followed::{await_status, finding, number, number_in_target, status},
    round,
    writing::in_step,
};

/// Named by a rowid alias, by a text (of which SQLite takes one for each initial, by an index that
/// PostgreSQL cannot have), by a text without regard to case, by a rowid that PostgreSQL carries, by
/// nothing, and by a time.
const TABLES: &str = "
CREATE TABLE prices (id INTEGER PRIMARY KEY, price DECIMAL, note TEXT);
CREATE TABLE words (word TEXT NOT NULL PRIMARY KEY, n INTEGER);
CREATE UNIQUE INDEX initials ON words (unicode(word));
CREATE TABLE folded (word TEXT NOT NULL COLLATE NOCASE PRIMARY KEY);
CREATE TABLE keyless (a TEXT, score REAL);
CREATE TABLE hidden (rowid TEXT, _rowid_ TEXT, oid REAL);
CREATE TABLE times (at DATETIME NOT NULL PRIMARY KEY, n INTEGER) WITHOUT ROWID;
INSERT INTO prices VALUES (1, 1.5, 'one'), (2, 2.5, 'two');
INSERT INTO words VALUES ('b', 1);
INSERT INTO keyless VALUES ('k', 0.5);
INSERT INTO hidden VALUES ('x', 'y', 0.5);
INSERT INTO times VALUES ('2024-01-01 10:00:00', 1);";

/// More digits than a double has.
const LONG: &str = "0.123456789012345678901234567890";

async fn lenient() -> Rig {
    let rig = Rig::of_sql(TABLES).await;
    rig.cli(&["migrate", "--guards", "lenient"]).await.expect(0);
    rig
}

async fn execute(rig: &Rig, sql: &str) {
    rig.target().await.batch_execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
}

/// What is kept aside and not left behind: key, why and column.
async fn kept(rig: &Rig) -> Vec<(String, String, String)> {
    let sql = "SELECT row_key, why, column_name FROM switchback.kept_aside \
               WHERE NOT left_behind ORDER BY source_table, row_key";
    let rows = rig.target().await.query(sql, &[]).await.expect("what is kept aside");
    rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect()
}

fn row(key: &str, why: &str, column: &str) -> (String, String, String) {
    (key.into(), why.into(), column.into())
}

/// Both engines hold the same but for so many rows of a table.
async fn assert_equal_but(rig: &Rig, table: &str, kept: u64) {
    for level in ["counts", "exact"] {
        let run = rig.cli(&["validate", "--level", level]).await;
        run.expect(0);
        let tables = run.report()["tables"].as_array().expect("tables").clone();
        let found = tables.iter().find(|found| found["table"] == table).expect("the table");
        assert_eq!(found["kept_aside"], kept, "{level}: {found}");
        let rows = |name: &str| found[name].as_u64().expect("a number");
        assert_eq!(rows("target_rows"), rows("source_rows") + kept, "{level}: {found}");
    }
}

#[tokio::test]
async fn strict_refuses_what_lenient_keeps_aside() {
    let strict = Rig::of_sql(TABLES).await;
    let plan = strict.cli(&["plan"]).await;
    assert_eq!(plan.report()["plan"]["guards"], "strict");
    strict.cli(&["migrate", "--guards", "strict"]).await.expect(0);
    let write = format!("UPDATE prices SET price = {LONG} WHERE id = 2");
    let refused = strict.target().await.batch_execute(&write).await.expect_err("it is strict");
    assert_eq!(refused.code().map(|code| code.code()), Some("23514"));
    strict.finish().await;

    let rig = Rig::of_sql(TABLES).await;
    let file = rig.directory.path().join("plan.json");
    let file = file.to_str().expect("a path");
    rig.cli(&["plan", "--guards", "lenient", "--write", file]).await.expect(0);
    rig.cli(&["migrate", "--plan", file]).await.expect(0);
    execute(&rig, &write).await;
    let told = await_status(&rig, |status| finding(status, "row_kept_aside").is_some()).await;
    let found = finding(&told, "row_kept_aside").expect("a finding");
    assert_eq!((&found["table"], &found["column"]), (&"prices".into(), &"price".into()));
    assert_eq!((&found["count"], &found["examples"][0]), (&1.into(), &"id=2".into()));
    assert_eq!(told["rollback"], "available");
    assert!(!rig.server.logs().contains("id=2"), "a key is in the log");
    assert_eq!(number(&rig, "SELECT count(*) FROM prices WHERE id = 2"), 0, "a stale version");
    in_step(&rig).await;
    assert_equal_but(&rig, "prices", 1).await;
    let sql = "SELECT row_text::text FROM switchback.kept_aside";
    let text: String = rig.target().await.query_one(sql, &[]).await.unwrap().get(0);
    let text: Value = serde_json::from_str(&text).expect("an object");
    assert_eq!(text, serde_json::json!({"id": "2", "price": LONG, "note": "two"}));

    execute(&rig, "INSERT INTO prices VALUES (3, 'NaN', NULL)").await;
    in_step(&rig).await;
    for accepted in ["0", "1"] {
        let run = rig.cli(&["rollback", "--accept-left-behind", accepted]).await;
        run.refused(5, "RETURN_REFUSED");
        assert!(run.hint().contains("--accept-left-behind 2"), "{}", run.hint());
    }
    assert_eq!(status(&rig).await["phase"], "reversible");
    let dry = rig.cli(&["rollback", "--dry-run"]).await;
    dry.expect(5);
    assert_eq!(dry.report()["left_behind"], 2, "{dry:?}");
    let dry = rig.cli(&["rollback", "--dry-run", "--accept-left-behind", "2"]).await;
    dry.expect(0);
    assert_eq!(dry.report()["left_behind"], 2, "{dry:?}");
    assert_eq!(kept(&rig).await.len(), 2, "a dry run leaves nothing behind");
    let run = rig.cli(&["rollback", "--accept-left-behind", "2"]).await;
    run.expect(0);
    assert_eq!(run.report()["left_behind"], 2);
    assert_eq!(run.report()["findings"][0]["code"], "row_kept_aside");
    after_the_rollback(&rig, "SELECT count(*) FROM prices", 1).await;
    there_and_back(&rig).await;
    rig.finish().await;
}

/// SQLite and PostgreSQL lack what was left behind, whose text is kept.
async fn after_the_rollback(rig: &Rig, count: &str, rows: i64) {
    assert_eq!(number(rig, count), rows);
    rig.cli(&["validate"]).await.expect(0);
    assert_eq!(number_in_target(rig, count).await, rows, "PostgreSQL has caught up");
    assert!(finding(&status(rig).await, "row_kept_aside").is_none());
    assert_eq!(kept(rig).await, []);
}

/// The same again, with what the first rollback has left behind, then the end.
async fn there_and_back(rig: &Rig) {
    rig.source().execute_batch("INSERT INTO prices VALUES (2, 9, 'new')").expect("it is open");
    rig.cli(&["cutover"]).await.expect(0);
    assert_equal_but(rig, "prices", 0).await;
    execute(rig, "INSERT INTO prices VALUES (4, 'NaN', NULL)").await;
    in_step(rig).await;
    rig.cli(&["rollback"]).await.refused(5, "RETURN_REFUSED");
    let run = rig.cli(&["rollback", "--accept-left-behind", "1"]).await;
    run.expect(0);
    assert_eq!(run.report()["left_behind"], 1);
    after_the_rollback(rig, "SELECT count(*) FROM prices", 2).await;
    let left = "SELECT array_agg(row_key || ' ' || epoch ORDER BY id) FROM switchback.kept_aside";
    let left = rig.target().await.query_one(left, &[]).await.expect("what is left");
    let left: Vec<String> = left.get(0);
    assert_eq!(left, ["id=2 1", "id=3 1", "id=4 3"]);
    let run = rig.cli(&["abort"]).await;
    run.expect(0);
    assert_eq!(run.report()["findings"][0]["code"], "left_behind_stay");
    let sql = "SELECT count(*) FROM switchback.kept_aside WHERE left_behind";
    assert_eq!(number_in_target(rig, sql).await, 3, "the last copy");
    // What is left does not stand in the way of another migration, nor is it taken for its own.
    rig.cli(&["migrate", "--guards", "lenient"]).await.expect(0);
    execute(rig, "INSERT INTO prices VALUES (3, 'NaN', NULL)").await;
    in_step(rig).await;
    assert_eq!(kept(rig).await, [row("id=3", "value", "price")]);
    assert_equal_but(rig, "prices", 1).await;
    let run = rig.cli(&["finalize"]).await;
    run.expect(0);
    assert_eq!(run.report()["findings"][0]["code"], "left_behind_stay");
    assert_eq!(number_in_target(rig, sql).await, 3);
    assert_eq!(kept(rig).await, [], "they are in PostgreSQL's own table");
    assert_eq!(number_in_target(rig, "SELECT count(*) FROM prices").await, 3);
}

#[tokio::test]
async fn a_row_that_is_put_right_or_deleted_is_kept_aside_no_longer() {
    let rig = lenient().await;
    execute(
        &rig,
        "UPDATE prices SET price = 'NaN'; UPDATE keyless SET score = 'NaN' WHERE a = 'k';
         INSERT INTO keyless VALUES ('n', 'NaN'); INSERT INTO words VALUES ('n', 1)",
    )
    .await;
    in_step(&rig).await;
    let all = kept(&rig).await;
    assert_eq!(all.len(), 4, "{all:?}");
    assert!(all[..2].iter().all(|(key, _, _)| key.starts_with("rowid=")), "{all:?}");
    assert_equal_but(&rig, "keyless", 2).await;
    execute(
        &rig,
        "UPDATE prices SET price = 7.25 WHERE id = 1; DELETE FROM prices WHERE id = 2;
         UPDATE keyless SET score = 1.5 WHERE a = 'k'; DELETE FROM keyless WHERE a = 'n';",
    )
    .await;
    in_step(&rig).await;
    assert_eq!(kept(&rig).await, []);
    await_status(&rig, |status| finding(status, "row_kept_aside").is_none()).await;
    assert_equal_but(&rig, "prices", 0).await;
    assert_eq!(number(&rig, "SELECT count(*) FROM keyless WHERE score = 1.5"), 1);
    let run = rig.cli(&["rollback"]).await;
    run.expect(0);
    assert_eq!(run.report()["left_behind"], 0);
    rig.finish().await;
}

#[tokio::test]
async fn a_row_whose_place_is_taken_comes_back_when_there_is_room() {
    let rig = lenient().await;
    execute(&rig, "INSERT INTO words VALUES ('ab', 1)").await;
    in_step(&rig).await;
    execute(&rig, "INSERT INTO words VALUES ('ac', 2)").await;
    in_step(&rig).await;
    assert_eq!(kept(&rig).await, [row("word=ac", "constraint", "")]);
    assert_equal_but(&rig, "words", 1).await;
    // It is tried again with every change of the table, and stays.
    execute(&rig, "UPDATE words SET n = 3 WHERE word IN ('ab', 'b')").await;
    in_step(&rig).await;
    assert_eq!(kept(&rig).await.len(), 1);
    assert_equal_but(&rig, "words", 1).await;
    execute(&rig, "DELETE FROM words WHERE word = 'ab'").await;
    in_step(&rig).await;
    assert_eq!(kept(&rig).await, []);
    assert_equal_but(&rig, "words", 0).await;
    assert_eq!(number(&rig, "SELECT n FROM words WHERE word = 'ac'"), 2);
    // A key in the other case, where the owner has dropped the index that refuses it.
    execute(&rig, "DROP INDEX folded_word_folded_key; INSERT INTO folded VALUES ('A')").await;
    in_step(&rig).await;
    execute(&rig, "INSERT INTO folded VALUES ('a')").await;
    in_step(&rig).await;
    assert_eq!(kept(&rig).await, [row("word=a", "constraint", "")]);
    execute(&rig, "DELETE FROM folded WHERE word = 'A'").await;
    in_step(&rig).await;
    assert_eq!(kept(&rig).await, []);
    let folded = "SELECT count(*) FROM folded WHERE word = 'a' COLLATE BINARY";
    assert_eq!(number(&rig, folded), 1);
    rig.finish().await;
}

/// What SQLite cannot name stands in the way of a rollback only, and a table of which nothing names
/// a row stays strict.
#[tokio::test]
async fn keys_that_sqlite_cannot_hold_are_named_before_a_rollback() {
    let rig = lenient().await;
    let target = rig.target().await;
    let refused = target.batch_execute("INSERT INTO hidden VALUES ('a', 'b', 'NaN')").await;
    assert!(refused.is_err_and(|error| error.code().map(|code| code.code()) == Some("23514")));
    execute(&rig, "INSERT INTO times VALUES ('infinity', 2)").await;
    in_step(&rig).await;
    assert_equal_but(&rig, "times", 1).await;
    let run = rig.cli(&["rollback", "--accept-left-behind", "9"]).await;
    run.refused(5, "RETURN_REFUSED");
    assert!(run.message().contains("times"), "{}", run.message());
    execute(&rig, "UPDATE times SET at = '2025-01-01' WHERE n = 2").await;
    rig.cli(&["rollback"]).await.expect(0);
    assert_eq!(number(&rig, "SELECT count(*) FROM times"), 2);
    rig.finish().await;
}

/// The batch comes again after SQLite has it: no row is kept aside twice or not at all.
#[tokio::test]
async fn a_death_between_both_commits_keeps_each_row_aside_once() {
    let mut rig = lenient().await;
    execute(&rig, "INSERT INTO words VALUES ('ab', 1); UPDATE prices SET price = 'NaN'").await;
    in_step(&rig).await;
    for point in ["reverse.after", "reversed.before", "reversed.after"] {
        rig.server.kill9().await;
        rig.server.set("SWITCHBACK_FAILPOINT", point);
        execute(
            &rig,
            "DELETE FROM words WHERE word = 'ac'; INSERT INTO words VALUES ('ac', 2);
             UPDATE prices SET note = note || '+'; UPDATE prices SET price = 3 WHERE id = 1;
             UPDATE prices SET price = 'NaN' WHERE id = 1",
        )
        .await;
        rig.server.launch_to_end().await;
        rig.server.set("SWITCHBACK_FAILPOINT", "");
        rig.server.launch().await;
        in_step(&rig).await;
        let wanted = [
            row("id=1", "value", "price"),
            row("id=2", "value", "price"),
            row("word=ac", "constraint", ""),
        ];
        assert_eq!(kept(&rig).await, wanted, "{point}");
        assert_equal_but(&rig, "prices", 2).await;
    }
    rig.finish().await;
}

/// SQLite's change log names what would have been left behind; PostgreSQL goes on, and the rows are
/// what they were.
#[tokio::test]
async fn a_death_before_the_decision_leaves_nothing_behind() {
    let mut rig = lenient().await;
    execute(&rig, "UPDATE prices SET price = 'NaN' WHERE id = 2").await;
    in_step(&rig).await;
    rig.server.kill9().await;
    rig.server.set("SWITCHBACK_FAILPOINT", "return.before");
    rig.server.launch().await;
    let mut run = rig.start(&["rollback", "--accept-left-behind", "1"]);
    let started = run.find(|event| event["event"] == "started").await;
    rig.server.ended().await;
    drop(run);
    let logged = "SELECT count(*) FROM _switchback_log WHERE k1 = 2";
    assert!(number(&rig, logged) > 0, "SQLite has committed");
    assert_eq!(kept(&rig).await, [row("id=2", "value", "price")]);
    // It goes on by itself, and more has come that is not accepted.
    execute(&rig, "UPDATE prices SET price = 'NaN' WHERE id = 1").await;
    rig.server.set("SWITCHBACK_FAILPOINT", "");
    rig.server.launch().await;
    let operation = started["operation_id"].as_str().expect("an id");
    rig.cli(&["operations", "watch", operation]).await.refused(5, "RETURN_REFUSED");
    execute(&rig, "UPDATE prices SET price = 4 WHERE id = 2").await;
    in_step(&rig).await;
    assert_eq!(kept(&rig).await, [row("id=1", "value", "price")]);
    let run = rig.cli(&["rollback", "--accept-left-behind", "1"]).await;
    run.expect(0);
    assert_eq!(run.report()["left_behind"], 1);
    after_the_rollback(&rig, "SELECT count(*) FROM prices", 1).await;
    let price = "SELECT price FROM prices WHERE id = 2";
    assert_eq!(number(&rig, price), 4, "an entry for a row that came back does no harm");
    rig.finish().await;
}

/// So many are no exceptions: they wait in the log until there are fewer.
#[tokio::test]
async fn more_rows_than_may_be_kept_aside_stop_the_way_back() {
    let rig = lenient().await;
    execute(&rig, "INSERT INTO prices SELECT n, 'NaN' FROM generate_series(101, 10101) AS n").await;
    let told = await_status(&rig, |status| status["rollback"] == "unavailable").await;
    let stopped = finding(&told, "return_stopped").expect("a finding");
    assert!(stopped["message"].as_str().is_some_and(|said| said.contains("10000 rows")), "{told}");
    assert_eq!(kept(&rig).await, []);
    execute(&rig, "DELETE FROM prices WHERE id = 101").await;
    let told = await_status(&rig, |status| finding(status, "row_kept_aside").is_some()).await;
    assert_eq!(finding(&told, "row_kept_aside").expect("a finding")["count"], 10_000);
    assert_equal_but(&rig, "prices", 10_000).await;
    execute(&rig, "DELETE FROM prices WHERE id > 101").await;
    in_step(&rig).await;
    rig.cli(&["rollback"]).await.expect(0);
    rig.finish().await;
}

/// The lenient mode is that of the plan, whatever somebody does to the triggers.
#[tokio::test]
async fn capture_that_is_put_back_has_no_guards_either() {
    let rig = Rig::of_sql(TABLES).await;
    let plan = round::planned(&rig, &["--guards", "lenient"]).await;
    assert_eq!(plan.guards(), switchback_proto::v1::GuardMode::Lenient);
    rig.cli(&["migrate", "--guards", "lenient"]).await.expect(0);
    execute(
        &rig,
        "DROP TRIGGER switchback_capture ON prices; UPDATE prices SET price = 'NaN' WHERE id = 1",
    )
    .await;
    await_status(&rig, |status| finding(status, "row_kept_aside").is_some()).await;
    execute(&rig, "UPDATE prices SET price = 'NaN'").await;
    in_step(&rig).await;
    assert_equal_but(&rig, "prices", 2).await;
    rig.finish().await;
}
