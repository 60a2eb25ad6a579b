//! Real applications whose own migrations have made the tables in PostgreSQL.

use std::fs;

use serde_json::Value;
use switchback_tests::{
    application::{Application, Content, assert_same},
    dumps,
    rig::{Rig, directory},
};

use crate::{kinds::status, writing::in_step};

const SEEDS: u32 = 40;
const WRITERS: u32 = 2;
const PLAN: [&str; 3] = ["plan", "--schema", "existing"];
const MIGRATE: [&str; 4] = ["migrate", "--schema", "existing", "--empty-target"];

/// An application's database in SQLite with rows, and its tables in PostgreSQL without.
async fn rig(application: &Application, mode: &str) -> Rig {
    let directory = directory();
    let source = directory.path().join("app.db");
    let connection = rusqlite::Connection::open(&source).expect("a SQLite file");
    connection.pragma_update(None, "journal_mode", mode).expect("a journal mode");
    drop(connection);
    let url = application.sqlite(&source);
    application.migrate(&url).await;
    application.fill(&url, 1, SEEDS).await;
    let rig = Rig::on(directory, source).await;
    application.migrate(&rig.database.url).await;
    rig
}

#[tokio::test]
async fn django_notices_what_is_lost() {
    notices_what_is_lost(&Application::django().await, "django_app_").await;
}

#[tokio::test]
async fn alembic_notices_what_is_lost() {
    notices_what_is_lost(&Application::alembic().await, "").await;
}

#[tokio::test]
async fn django_moves_into_its_own_tables_and_back() {
    // `migrate` has made rows in these.
    let filled = ["auth_permission", "django_content_type"];
    there_and_back(&Application::django().await, "delete", &filled).await;
}

#[tokio::test]
async fn alembic_moves_into_its_own_tables_and_back() {
    there_and_back(&Application::alembic().await, "wal", &[]).await;
}

#[tokio::test]
async fn django_writes_all_the_time() {
    writers_go_along(&Application::django().await, "wal").await;
}

#[tokio::test]
async fn alembic_writes_all_the_time() {
    writers_go_along(&Application::alembic().await, "delete").await;
}

/// What the scenarios rest on: no row of a writer can go or change unseen.
async fn notices_what_is_lost(application: &Application, prefix: &str) {
    let rig = rig(application, "wal").await;
    let sqlite = application.sqlite(&rig.source);
    let mut writers = application.writers(&rig, WRITERS);
    writers.until_more_on("sqlite", 10).await;
    writers.stop().await;
    application.read_and_verify(&sqlite, &writers).await;
    let of =
        |name: &str| if prefix.is_empty() { format!("{name}s") } else { format!("{prefix}{name}") };
    let (receipt, record) = (of("receipt"), of("record"));
    for (damage, said) in [
        (format!("DELETE FROM {receipt} WHERE writer = 1 AND number = 2"), "is not there"),
        (format!("INSERT INTO {receipt} (writer, number) VALUES (2, 1000000)"), "never were"),
        (format!("DELETE FROM {record} WHERE writer = 2"), "the records are []"),
        (format!("UPDATE {record} SET small = small / 2 + 1 WHERE writer = 1"), "small of record"),
    ] {
        let copy = rig.directory.path().join("damaged.db");
        let into = format!("VACUUM INTO '{}'", copy.display());
        rig.source().execute_batch(&into).expect("a copy");
        let changed = rusqlite::Connection::open(&copy).and_then(|copy| copy.execute(&damage, []));
        assert!(changed.expect(&damage) > 0, "{damage}");
        let journals = writers.journals().display().to_string();
        let flags = ["check", "--journals", &journals];
        let complaint = application.ended(&application.sqlite(&copy), &flags).await;
        let complaint = complaint.expect_err(&damage);
        assert!(complaint.contains(said), "{damage}: {complaint}");
        fs::remove_file(copy).expect("the copy is removed");
    }
    rig.finish().await;
}

/// Nobody writes at a switch: what the application reads is the same on both engines.
async fn there_and_back(application: &Application, mode: &str, filled: &[&str]) {
    let rig = rig(application, mode).await;
    let (sqlite, postgres) = (application.sqlite(&rig.source), rig.database.url.clone());
    let schema = dumps::schema(&rig.database).await;
    let before = application.read(&sqlite).await;
    assert_filled(&rig, application, filled).await;

    rig.cli(&MIGRATE).await.expect(0);
    assert_same(&application.read_and_insert(&postgres).await, &before, "after the cutover");
    assert_same(&application.read(&sqlite).await, &before, "what is left in SQLite");

    application.fill(&postgres, SEEDS + 1, SEEDS / 2).await;
    let written = application.read(&postgres).await;
    assert_grown(&written, &before);
    rig.cli(&["rollback"]).await.expect(0);
    assert_same(&application.read_and_insert(&sqlite).await, &written, "after the rollback");

    application.fill(&sqlite, 2 * SEEDS + 1, SEEDS / 4).await;
    let written = application.read(&sqlite).await;
    rig.cli(&["cutover"]).await.expect(0);
    assert_same(
        &application.read_and_insert(&postgres).await,
        &written,
        "after the second cutover",
    );
    rig.cli(&["validate"]).await.expect(0);
    rig.cli(&["finalize"]).await.expect(0);
    assert_same(&application.read_and_insert(&postgres).await, &written, "after the finalize");
    assert_eq!(dumps::schema(&rig.database).await, schema, "the target's schema was changed");
    rig.finish().await;
}

/// Rows that the application's migrations have made are in the way, and nothing else is; they stay
/// where a migration is refused.
async fn assert_filled(rig: &Rig, application: &Application, filled: &[&str]) {
    let before = application.read(&rig.database.url).await;
    let schema = dumps::schema(&rig.database).await;
    let plan = rig.cli(&PLAN).await;
    let mut blockers: Vec<(&str, &str)> = plan
        .found("target_not_empty")
        .into_iter()
        .chain(plan.findings())
        .filter(|finding| finding["severity"] == "blocker")
        .filter_map(|finding| finding["code"].as_str().zip(finding["table"].as_str()))
        .collect();
    blockers.sort_unstable();
    blockers.dedup();
    let wanted: Vec<_> = filled.iter().map(|table| ("target_not_empty", *table)).collect();
    assert_eq!(blockers, wanted, "{}", plan.stdout);
    if !filled.is_empty() {
        plan.expect(5);
        rig.cli(&["migrate", "--schema", "existing"]).await.refused(5, "TARGET_NOT_EMPTY");
        assert_eq!(status(rig).await["phase"], "idle");
    }
    rig.cli(&[&PLAN[..], &["--empty-target"]].concat()).await.expect(0);
    assert_same(&application.read(&rig.database.url).await, &before, "after a plan");
    assert_eq!(dumps::schema(&rig.database).await, schema, "a plan has changed the schema");
}

/// There is more in it than before.
fn assert_grown(now: &Content, before: &Content) {
    let rows = |content: &Content| content.values().filter_map(Value::as_array).map(Vec::len).sum();
    let (now, before): (usize, usize) = (rows(now), rows(before));
    assert!(now > before, "{now} rows, {before} before");
}

/// Writers under `switchback exec` lose nothing that was acknowledged, there, back and there again.
async fn writers_go_along(application: &Application, mode: &str) {
    let rig = rig(application, mode).await;
    let (sqlite, postgres) = (application.sqlite(&rig.source), rig.database.url.clone());
    let schema = dumps::schema(&rig.database).await;
    let mut writers = application.writers(&rig, WRITERS);
    writers.until_more_on("sqlite", 10).await;
    rig.cli(&MIGRATE).await.expect(0);
    writers.until_more_on("postgresql", 10).await;
    rig.cli(&["rollback"]).await.expect(0);
    writers.until_more_on("sqlite", 10).await;
    rig.cli(&["cutover"]).await.expect(0);
    writers.until_more_on("postgresql", 10).await;
    writers.stop().await;

    let read = application.read_and_verify(&postgres, &writers).await;
    in_step(&rig).await;
    let carried_back = application.read_and_verify(&sqlite, &writers).await;
    assert_same(&carried_back, &read, "what was carried back");
    rig.cli(&["validate"]).await.expect(0);
    rig.cli(&["finalize"]).await.expect(0);
    assert_same(&application.read_and_insert(&postgres).await, &read, "after the finalize");
    application.read_and_verify(&postgres, &writers).await;
    assert_eq!(dumps::schema(&rig.database).await, schema, "the target's schema was changed");
    rig.finish().await;
}
