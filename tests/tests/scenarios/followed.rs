//! A pair that is kept in sync, for scenarios that begin there.

use serde_json::Value;
use switchback_tests::rig::Rig;

/// Migrates up to the cutover, and leaves the pair in `following`.
pub(crate) async fn follow(rig: &Rig, choices: &[&str]) {
    rig.cli(&[&["migrate", "--manual-cutover"], choices].concat()).await.expect(0);
}

/// The first state of the database that a condition holds for.
pub(crate) async fn await_status(rig: &Rig, wanted: impl FnMut(&Value) -> bool) -> Value {
    rig.start(&["status", "--watch"]).find(wanted).await
}

/// Every change is carried over, and both sides are equal.
pub(crate) async fn assert_in_sync(rig: &Rig) {
    rig.cli(&["validate"]).await.expect(0);
    assert_eq!(status(rig).await["phase"], "following");
}

/// The state of the database.
pub(crate) async fn status(rig: &Rig) -> Value {
    rig.cli(&["status"]).await.events.remove(0)
}

/// The finding that holds the database up.
pub(crate) fn finding<'a>(status: &'a Value, code: &str) -> Option<&'a Value> {
    status["findings"].as_array()?.iter().find(|finding| finding["code"] == code)
}

/// A number that a query of SQLite gives.
pub(crate) fn number(rig: &Rig, sql: &str) -> i64 {
    rig.source().query_row(sql, [], |row| row.get(0)).expect("SQLite answers")
}

/// A number that a query of PostgreSQL gives.
pub(crate) async fn number_in_target(rig: &Rig, sql: &str) -> i64 {
    rig.target().await.query_one(sql, &[]).await.expect("PostgreSQL answers").get(0)
}

/// Fails where anything of ours is left in the source.
pub(crate) fn assert_no_trace(rig: &Rig) {
    let sql = "SELECT count(*) FROM sqlite_schema WHERE name LIKE '%switchback%'";
    assert_eq!(number(rig, sql), 0, "something of ours is left in the source");
}
