//! Plans for tables that the application has made: what matches, what each column takes, and what
//! stands in the way.

use serde_json::Value;
use switchback_tests::{
    cli::Run,
    rig::Rig,
    workload::{Launch, Writers},
};

use crate::{
    existing_schema::dump,
    kinds::status,
    writing::{WRITERS, at_the_switch_back, in_step, load, on_postgres, on_sqlite, rig},
};

const MODE: [&str; 2] = ["--schema", "existing"];

pub(crate) async fn pair(source: &str, target: &str) -> Rig {
    let rig = Rig::of_sql(source).await;
    rig.database.owner().await.batch_execute(target).await.expect("tables of the application");
    rig
}

pub(crate) async fn plan(rig: &Rig, more: &[&str]) -> Run {
    rig.cli(&[&["plan"][..], &MODE, more].concat()).await
}

/// Code, table and column of the findings of a severity.
pub(crate) fn found(run: &Run, severity: &str) -> Vec<String> {
    let report = run.report();
    let findings = report["plan"]["findings"].as_array().expect("findings");
    let chosen = findings.iter().filter(|finding| finding["severity"] == severity);
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    chosen
        .map(|finding| {
            let names = [&finding["code"], &finding["table"], &finding["column"]].map(word);
            names.join(" ").trim_end().to_owned()
        })
        .collect()
}

pub(crate) fn codec(run: &Run, table: usize, column: &str) -> String {
    let report = run.report();
    let columns = report["plan"]["tables"][table]["columns"].as_array().expect("columns");
    let column = columns.iter().find(|found| found["target"] == column).expect(column);
    column["codec"].as_str().expect("a codec").to_owned()
}

#[tokio::test]
async fn what_stands_in_the_way_is_told_all_at_once_and_nothing_is_touched() {
    let rig = pair(
        "CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT, born TEXT, old TEXT, size INTEGER,
           boss INTEGER, ip TEXT, shape TEXT);
         CREATE TABLE lonely (id INTEGER PRIMARY KEY);
         CREATE TABLE hollow (id INTEGER PRIMARY KEY);
         INSERT INTO people VALUES (1, 'a', '2024-02-30', 'x', 70000, 9, '10.0.0.1', '(1,2)'),
           (2, 'a', NULL, NULL, 1, 1, 'nowhere', NULL), (3, NULL, '2024-02-29', NULL, 1, 1, NULL, NULL);
         INSERT INTO lonely VALUES (1);",
        "CREATE TABLE people (id int PRIMARY KEY, name text NOT NULL UNIQUE, born date,
           size smallint, boss int REFERENCES people, ip inet, shape point,
           must text NOT NULL, may text);
         CREATE TABLE theirs (id int PRIMARY KEY);
         INSERT INTO people (id, name, must) VALUES (5, 'z', 'z');",
    )
    .await;
    let (before, source) = (dump(&rig).await, switchback_tests::content::schema(&rig.source));
    let run = plan(&rig, &[]).await;
    run.expect(5);
    let mut blockers = found(&run, "blocker");
    blockers.sort();
    assert_eq!(
        blockers,
        [
            "column_only_in_source people old",
            "column_without_value people",
            "not_canonical people born",
            "not_canonical people ip",
            "not_canonical people size",
            "not_null_violated people name",
            "table_only_in_source lonely",
            "target_not_empty people",
            "type_not_supported people shape",
            "unique_collision people name",
        ]
    );
    let warnings = found(&run, "warning");
    assert!(warnings.contains(&"orphans people".to_owned()), "{warnings:?}");
    let notes = found(&run, "note");
    for note in ["only_in_target", "column_only_in_target people", "table_only_in_source hollow"] {
        assert!(notes.contains(&note.to_owned()), "{note}: {notes:?}");
    }
    rig.cli(&["migrate", "--schema", "existing"]).await.refused(5, "PLAN_BLOCKED");
    assert_eq!(dump(&rig).await, before);
    assert_eq!(switchback_tests::content::schema(&rig.source), source);
    rig.finish().await;
}

#[tokio::test]
async fn names_columns_zones_and_schemas_are_chosen() {
    let rig = pair(
        "CREATE TABLE \"Users\" (id INTEGER PRIMARY KEY, fullName TEXT, legacy TEXT, at TEXT);
         CREATE TABLE log (line TEXT);
         INSERT INTO \"Users\" VALUES (1, 'Ann', 'l1', '2024-07-01 12:00:00');
         INSERT INTO log VALUES ('x');",
        "CREATE SCHEMA app; CREATE TABLE app.app_users (id serial PRIMARY KEY, full_name text,
           at timestamptz, origin text NOT NULL);",
    )
    .await;
    let options = [
        "--target-schema",
        "app",
        "--rename",
        "Users=app_users",
        "--exclude",
        "Users.legacy",
        "--exclude",
        "log",
        "--time-zone",
        "Europe/Berlin",
    ];
    let file = rig.source.with_extension("json").display().to_string();
    let run = plan(&rig, &[&options[..], &["--write", &file]].concat()).await;
    run.expect(5);
    assert_eq!(found(&run, "blocker"), ["column_without_value Users"]);
    assert_eq!(codec(&run, 0, "at"), "timestamptz:in:Europe/Berlin:space:0");
    // What no column of the source gives, an expression over its row does.
    let mut edited: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    let columns = edited["tables"][0]["columns"].as_array_mut().unwrap();
    let mut origin = columns[1].clone();
    for (field, value) in [("source", ""), ("target", "origin"), ("expression", "'sqlite:' || id")]
    {
        origin[field] = value.into();
    }
    columns.push(origin);
    edited["tables"][0]["defaulted"] = Value::Array(Vec::new());
    std::fs::write(&file, edited.to_string()).unwrap();
    rig.cli(&["migrate", "--plan", &file]).await.expect(0);
    let target = rig.target().await;
    let row = "SELECT full_name || origin || (at AT TIME ZONE 'UTC')::text FROM app.app_users";
    let text: String = target.query_one(row, &[]).await.unwrap().get(0);
    assert_eq!(text, "Annsqlite:12024-07-01 10:00:00");
    rig.database
        .owner()
        .await
        .batch_execute(
            "UPDATE app.app_users SET full_name = 'Anna';
             INSERT INTO app.app_users (full_name, origin, at) VALUES ('Bob', 'pg', '2024-01-01 00:00Z')",
        )
        .await
        .expect("PostgreSQL takes writes, and its sequence is set");
    rig.cli(&["rollback"]).await.expect(0);
    let back =
        "SELECT group_concat(id || fullName || coalesce(legacy, '-') || at, ';') FROM \"Users\"";
    let text: String = rig.source().query_row(back, [], |row| row.get(0)).unwrap();
    assert_eq!(text, "1Annal12024-07-01 12:00:00;2Bob-2024-01-01 01:00:00");
    rig.cli(&["abort"]).await.expect(0);
    rig.finish().await;
}

#[tokio::test]
async fn a_unit_that_is_not_known_is_asked_for() {
    let rig = pair(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, ms INTEGER, odd INTEGER);
         INSERT INTO t VALUES (1, 1700000000123, 5), (2, 0, 6);",
        "CREATE TABLE t (id int PRIMARY KEY, ms timestamptz, odd timestamp);",
    )
    .await;
    let file = rig.source.with_extension("json").display().to_string();
    let run = plan(&rig, &["--write", &file]).await;
    run.expect(5);
    assert_eq!(found(&run, "blocker"), ["epoch_unclear t odd"]);
    assert_eq!(found(&run, "warning"), ["epoch_timestamps t ms"]);
    assert_eq!(codec(&run, 0, "ms"), "timestamptz:epoch-ms");
    let edited = std::fs::read_to_string(&file).unwrap();
    let chosen = edited.replace("\"timestamp:epoch-s\"", "\"timestamp:epoch-us\"");
    assert_ne!(edited, chosen);
    std::fs::write(&file, chosen).unwrap();
    rig.cli(&["migrate", "--plan", &file]).await.expect(0);
    let target = rig.target().await;
    let sql = "SELECT (ms AT TIME ZONE 'UTC')::text || ' ' || odd FROM t WHERE id = 1";
    let text: String = target.query_one(sql, &[]).await.unwrap().get(0);
    assert_eq!(text, "2023-11-14 22:13:20.123 1970-01-01 00:00:00.000005");
    rig.finish().await;
}

#[tokio::test]
async fn versions_of_the_application_must_agree() {
    let versions = |version: &str| {
        format!(
            "CREATE TABLE alembic_version (version_num VARCHAR(32) PRIMARY KEY);
             INSERT INTO alembic_version VALUES ('{version}');
             CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER);"
        )
    };
    let rig = pair(&versions("ae1"), &versions("bf2")).await;
    let run = plan(&rig, &[]).await;
    run.expect(5);
    assert_eq!(found(&run, "blocker"), ["schema_version_mismatch alembic_version"]);
    let run = rig.cli(&["migrate", "--schema", "existing"]).await;
    run.refused(5, "SCHEMA_VERSION_MISMATCH");
    assert!(run.message().contains("ae1") && run.message().contains("bf2"), "{}", run.message());
    // An application may have other migrations for each engine: then somebody has to say so.
    let accept = ["--schema", "existing", "--on", "schema_version_mismatch=accept"];
    rig.cli(&[&["migrate", "--manual-cutover"][..], &accept].concat()).await.expect(0);
    rig.cli(&["cutover"]).await.expect(0);
    rig.cli(&["rollback"]).await.expect(0);
    rig.cli(&["abort"]).await.expect(0);
    let set = "UPDATE alembic_version SET version_num = 'ae1'";
    rig.database.owner().await.batch_execute(set).await.unwrap();
    rig.cli(&["migrate", "--schema", "existing"]).await.expect(0);
    rig.finish().await;
}

/// The tables that Switchback would make, made by the application: writers go there and back.
#[tokio::test]
async fn writers_go_into_tables_of_the_application_and_back() {
    let rig = rig("wal").await;
    let made = rig.cli(&["plan"]).await;
    let statements = made.report()["statements"].as_array().expect("statements").clone();
    let owner = rig.database.owner().await;
    for statement in &statements {
        owner.batch_execute(statement.as_str().unwrap()).await.expect("a table of the application");
    }
    // Nothing in it is to be of Switchback.
    for table in made.report()["plan"]["tables"].as_array().expect("tables") {
        let name = table["target"].as_str().unwrap();
        let plain = format!("ALTER TABLE \"{name}\" DROP COLUMN IF EXISTS _switchback_rowid");
        owner.batch_execute(&plain).await.expect("a table of the application");
    }
    let before = dump(&rig).await;
    let mut writers = Writers::start(WRITERS, load(), Launch::under_exec(&rig));
    writers.until_ok_on("sqlite", 10).await;
    rig.cli(&["migrate", "--schema", "existing"]).await.expect(0);
    for round in 1..=2_usize {
        writers.until_more_on("postgres", 10).await;
        rig.cli(&["rollback"]).await.expect(0);
        at_the_switch_back(&rig, &writers, 2 * round).await;
        writers.until_more_on("sqlite", 10).await;
        rig.cli(&["cutover"]).await.expect(0);
    }
    writers.until_more_on("postgres", 10).await;
    writers.stop().await;
    on_postgres(&rig, &writers).await;
    in_step(&rig).await;
    on_sqlite(&rig, &writers).await;
    rig.cli(&["validate"]).await.expect(0);
    rig.cli(&["finalize"]).await.expect(0);
    assert_eq!(dump(&rig).await, before);
    assert_eq!(status(&rig).await["phase"], "finalized");
    rig.finish().await;
}
