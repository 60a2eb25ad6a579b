//! Schema versions of the application and of what is Switchback's own: what differs is shown and
//! named, and nothing is switched over it.

use std::fs;

use serde_json::{Value, json};
use switchback_proto::v1::Plan;
use switchback_tests::{content::refusal, rig::Rig};

use crate::{
    followed::{await_status, follow, number, status},
    round,
};

const ALEMBIC: &str = "
    CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY);
    INSERT INTO alembic_version VALUES ('ae1027a6acf');
    CREATE TABLE prefs (owner TEXT, name TEXT, value TEXT, PRIMARY KEY (owner, name));
    INSERT INTO prefs VALUES ('m', 'colour', 'red');";

const DJANGO: &str = "
    CREATE TABLE django_migrations (id INTEGER PRIMARY KEY AUTOINCREMENT, app VARCHAR(255) NOT NULL,
      name VARCHAR(255) NOT NULL, applied DATETIME NOT NULL);
    INSERT INTO django_migrations (app, name, applied) VALUES
      ('auth', '0001_initial', '2026-01-02 03:04:05.678901'),
      ('shop', '0001_initial', '2026-01-02 03:04:05.678901'),
      ('shop', '0002_price', '2026-01-02 03:04:06.000001');
    CREATE TABLE prefs (owner TEXT, name TEXT, value TEXT, PRIMARY KEY (owner, name));
    PRAGMA user_version = 7;";

/// A plan without a table, in a file.
async fn plan_without(rig: &Rig, table: &str) -> String {
    let file = rig.directory.path().join("plan.json").display().to_string();
    rig.cli(&["plan", "--write", &file]).await.expect(0);
    let text = fs::read(&file).expect("a written plan");
    let mut plan: Plan = serde_json::from_slice(&text).expect("a plan");
    plan.tables.retain(|planned| planned.source != table);
    fs::write(&file, serde_json::to_string(&plan).expect("JSON")).expect("writable");
    file
}

/// The migration tool of the application makes its table in PostgreSQL.
async fn stamp(rig: &Rig, versions: &[&str]) {
    let owner = rig.database.owner().await;
    let create = "CREATE TABLE IF NOT EXISTS alembic_version \
                  (version_num varchar(32) NOT NULL PRIMARY KEY)";
    owner.batch_execute(create).await.expect("a table");
    for version in versions {
        let insert = format!("INSERT INTO alembic_version VALUES ('{version}')");
        owner.batch_execute(&insert).await.expect("a version");
    }
}

/// SQLite takes writes.
fn is_open(rig: &Rig) -> bool {
    refusal(&rig.source, "INSERT INTO prefs VALUES ('probe', 'p', 'p')").is_none()
}

fn differs(status: &Value) -> &Value {
    &status["schema_versions_differ"]
}

#[tokio::test]
async fn what_is_carried_is_equal_on_both_sides() {
    for (schema, table, newest, count) in [
        (ALEMBIC, "alembic_version", "ae1027a6acf", 1),
        (DJANGO, "django_migrations", "shop.0002_price", 3),
    ] {
        let rig = Rig::of_sql(schema).await;
        let before = status(&rig).await;
        assert_eq!(before["schema_versions"]["sqlite"][table], newest, "{before}");
        assert_eq!(before["schema_versions"]["postgres"], json!({}));
        round::arrives(&rig, &[]).await;
        let both = |status: &Value| !status["schema_versions"]["postgres"][table].is_null();
        let after = await_status(&rig, both).await;
        for engine in ["sqlite", "postgres"] {
            assert_eq!(after["schema_versions"][engine][table], newest, "{after}");
            assert_eq!(after["schema_version_counts"][engine][table], count, "{after}");
        }
        assert!(differs(&after).is_null(), "{after}");
        let version = if table == "django_migrations" { "7" } else { "0" };
        assert_eq!(after["schema_versions"]["sqlite"]["user_version"], version);
        // What the application does next on PostgreSQL is carried back, and in nobody's way.
        let more = match table {
            "alembic_version" => "UPDATE alembic_version SET version_num = 'b0'",
            _ => "UPDATE django_migrations SET name = '0003_tax' WHERE name = '0002_price'",
        };
        rig.database.owner().await.batch_execute(more).await.expect("an upgrade");
        rig.cli(&["rollback"]).await.expect(0);
        rig.finish().await;
    }
}

#[tokio::test]
async fn a_schema_migration_of_one_engine_only_refuses_the_switch() {
    let rig = Rig::of_sql(ALEMBIC).await;
    let plan = plan_without(&rig, "alembic_version").await;
    let migrate = rig.cli(&["migrate", "--manual-cutover", "--plan", &plan]).await;
    migrate.expect(0);
    let told = migrate.found("schema_version_mismatch");
    assert_eq!(told.len(), 1, "{}", migrate.stdout);
    assert_eq!(
        (&told[0]["severity"], &told[0]["table"]),
        (&"warning".into(), &"alembic_version".into())
    );

    // Forward: PostgreSQL is a version behind.
    stamp(&rig, &[]).await;
    let dry = rig.cli(&["cutover", "--dry-run"]).await;
    dry.expect(5);
    let reasons = dry.report()["forecast"]["reasons"].to_string();
    assert!(reasons.contains("PostgreSQL lacks ae1027a6acf"), "{reasons}");
    let refused = rig.cli(&["cutover"]).await;
    refused.refused(5, "SCHEMA_VERSION_MISMATCH");
    let message = refused.message();
    assert!(
        message.ends_with("alembic_version (Alembic): PostgreSQL lacks ae1027a6acf"),
        "{message}"
    );
    assert!(is_open(&rig), "nothing was fenced");
    let shown = await_status(&rig, |status| !differs(status).is_null()).await;
    assert_eq!(shown["phase"], "following");
    assert_eq!(differs(&shown), &json!(["alembic_version"]));
    stamp(&rig, &["ae1027a6acf"]).await;
    rig.cli(&["cutover"]).await.expect(0);

    // Back: PostgreSQL is a version ahead.
    stamp(&rig, &["b0f3"]).await;
    let dry = rig.cli(&["rollback", "--dry-run"]).await;
    dry.expect(5);
    let reasons = dry.report()["forecast"]["reasons"].to_string();
    assert!(reasons.contains("SQLite lacks b0f3"), "{reasons}");
    let refused = rig.cli(&["rollback", "--accept-left-behind", "1"]).await;
    refused.refused(5, "SCHEMA_VERSION_MISMATCH");
    assert!(refused.message().contains("SQLite lacks b0f3"), "{}", refused.message());
    assert!(!refused.message().contains("PostgreSQL lacks"), "{}", refused.message());
    assert_eq!(status(&rig).await["active_engine"], "postgres");
    rig.database
        .owner()
        .await
        .batch_execute("INSERT INTO prefs VALUES ('n', 'c', 'x')")
        .await
        .unwrap();
    record_behind_the_fence(&rig, "INSERT INTO alembic_version VALUES ('b0f3')");
    // The table that was made by hand is one that SQLite's plan does not know.
    rig.cli(&["rollback", "--accept-left-behind", "1"]).await.expect(0);
    assert!(is_open(&rig));
    rig.finish().await;
}

/// As docs/schema-versions.md says: a connection without triggers.
fn record_behind_the_fence(rig: &Rig, sql: &str) {
    let source = rig.source();
    source.execute_batch(sql).expect_err("the table is fenced");
    let triggers = rusqlite::config::DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER;
    source.set_db_config(triggers, false).expect("no triggers");
    source.execute_batch(sql).expect("a version is recorded");
}

#[tokio::test]
async fn an_upgrade_of_the_source_refuses_the_cutover() {
    let rig = Rig::of_sql(DJANGO).await;
    follow(&rig, &[]).await;
    rig.source().execute_batch("PRAGMA user_version = 8").expect("an upgrade");
    for arguments in [&["cutover", "--dry-run"] as &[&str], &["cutover"]] {
        let refused = rig.cli(arguments).await;
        refused.expect(5);
        assert!(refused.stdout.contains("user_version is 8, and was 7"), "{}", refused.stdout);
    }
    rig.cli(&["cutover"]).await.refused(5, "SCHEMA_VERSION_MISMATCH");
    assert_eq!(status(&rig).await["phase"], "following");
    assert_eq!(number(&rig, "SELECT fenced FROM _switchback"), 0);
    rig.source().execute_batch("INSERT INTO prefs VALUES ('o', 'n', 'v')").expect("no fence");
    rig.source().execute_batch("PRAGMA user_version = 7").expect("it is taken back");
    rig.cli(&["cutover"]).await.expect(0);
    rig.finish().await;
}

#[tokio::test]
async fn versions_that_may_not_be_read_are_none() {
    let rig = Rig::of_sql(ALEMBIC).await;
    let plan = plan_without(&rig, "alembic_version").await;
    rig.cli(&["migrate", "--manual-cutover", "--plan", &plan]).await.expect(0);
    let admin = rig.target().await;
    let secret = "CREATE TABLE public.alembic_version (version_num text)";
    admin.batch_execute(secret).await.expect("somebody else's table");
    let shown = status(&rig).await;
    assert_eq!(shown["schema_versions"]["postgres"], json!({}), "{shown}");
    assert!(differs(&shown).is_null(), "{shown}");
    rig.cli(&["cutover"]).await.expect(0);
    rig.finish().await;
}

/// What a later version of the server has written is refused, and stays as it is.
async fn refused_as_newer(rig: &Rig, later: &str, what: &str, back: &str) {
    let target = rig.target().await;
    target.batch_execute(later).await.expect("a later version");
    for arguments in [&["migrate"] as &[&str], &["cutover"], &["abort"]] {
        let refused = rig.cli(arguments).await;
        refused.refused(5, "TARGET_IN_USE");
        let message = refused.message();
        assert!(message.starts_with(what), "{arguments:?}: {message}");
        assert!(message.contains("was written by a newer Switchback (version 99"), "{message}");
        assert!(refused.hint().contains("upgrade the server"), "{}", refused.hint());
    }
    let known = "SELECT count(*) FROM switchback.control WHERE phase = 'following'";
    let known: i64 = target.query_one(known, &[]).await.expect("a count").get(0);
    assert_eq!(known, 1);
    assert!(is_open(rig));
    target.batch_execute(back).await.expect("as before");
}

#[tokio::test]
async fn what_a_newer_server_has_written_is_left_alone() {
    let rig = Rig::of_sql(ALEMBIC).await;
    follow(&rig, &[]).await;
    refused_as_newer(
        &rig,
        "INSERT INTO switchback.schema_migrations (version) VALUES (99)",
        "the schema switchback in PostgreSQL",
        "DELETE FROM switchback.schema_migrations WHERE version = 99",
    )
    .await;
    refused_as_newer(
        &rig,
        "UPDATE switchback.control SET format = 99",
        "the migration recorded in PostgreSQL",
        "UPDATE switchback.control SET format = 1",
    )
    .await;
    rig.cli(&["cutover"]).await.expect(0);
    rig.finish().await;
}
