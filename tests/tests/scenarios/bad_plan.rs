//! Plans that come back: changed with sense, changed without, and made for another schema.

use std::{fs, path::PathBuf};

use switchback_proto::v1::Plan;
use switchback_tests::rig::Rig;

use crate::round;

const SCHEMA: &str = "
    CREATE TABLE people (id INTEGER PRIMARY KEY, name VARCHAR(20), born DATE, seen TIMESTAMP);
    CREATE TABLE pets (id INTEGER PRIMARY KEY, owner INTEGER REFERENCES people, name TEXT);
    CREATE INDEX pets_by_name ON pets (name);
    INSERT INTO people VALUES (1, 'Ann', '1990-02-28', 1700000000), (2, 'Bob', NULL, 1600000000);
    INSERT INTO pets VALUES (1, 1, 'Rex'), (2, 2, NULL);";

#[tokio::test]
async fn a_changed_plan_is_carried_out_as_changed() {
    let rig = Rig::of_sql(SCHEMA).await;
    let file = written(&rig).await;
    let mut plan = read(&file);
    let people = &mut plan.tables[0];
    people.target = "humans".into();
    people.columns[1].target = "full name".into();
    people.columns[1].r#type = "text".into();
    people.columns[1].codec = "text".into();
    people.columns[3].r#type = "bigint".into();
    people.columns[3].codec = "integer".into();
    people.columns[3].default = String::new();
    plan.tables[1].foreign_keys[0].parent = "humans".into();
    write(&file, &plan);
    let run = rig.cli(&["migrate", "--plan", &file.display().to_string()]).await;
    run.expect(0);
    rig.assert_faithful(&plan).await;
    let sql = "SELECT \"full name\" FROM humans WHERE id = 1 AND seen = 1700000000";
    let name: String = rig.target().await.query_one(sql, &[]).await.expect("a row").get(0);
    assert_eq!(name, "Ann");
    rig.cli(&["validate"]).await.expect(0);
    rig.finish().await;
}

#[tokio::test]
async fn a_table_may_be_left_out_and_is_named() {
    let rig = Rig::of_sql(SCHEMA).await;
    let file = written(&rig).await;
    let mut plan = read(&file);
    plan.tables.remove(1);
    write(&file, &plan);
    let run = rig.cli(&["migrate", "--plan", &file.display().to_string()]).await;
    run.expect(0);
    assert!(run.found("table_left_out").iter().any(|finding| finding["table"] == "pets"));
    rig.assert_faithful(&plan).await;
    rig.finish().await;
}

#[tokio::test]
async fn a_plan_for_another_schema_is_refused() {
    let rig = Rig::of_sql(SCHEMA).await;
    let file = written(&rig).await;
    rig.source().execute_batch("ALTER TABLE pets ADD COLUMN age INTEGER").expect("altered");
    let before = rig.source_hash();
    let run = rig.cli(&["migrate", "--plan", &file.display().to_string()]).await;
    run.refused(2, "INVALID_PLAN");
    round::assert_left_alone(&rig, &before).await;
    rig.finish().await;
}

#[tokio::test]
async fn plans_without_sense_are_refused() {
    let rig = Rig::of_sql(SCHEMA).await;
    let before = rig.source_hash();
    let file = written(&rig).await;
    let changes: [(&str, Change); 7] = [
        ("two tables of one name", |plan| plan.tables[1].target = "people".into()),
        ("two columns of one name", |plan| plan.tables[0].columns[1].target = "id".into()),
        ("a codec that is none", |plan| plan.tables[0].columns[1].codec = "rot13".into()),
        ("a codec for another type", |plan| plan.tables[0].columns[1].r#type = "bytea".into()),
        ("a column that is none", |plan| plan.tables[0].columns[1].source = "nmae".into()),
        ("a table that is none", |plan| plan.tables[0].source = "peple".into()),
        ("a version to come", |plan| plan.version = 99),
    ];
    for (what, change) in changes {
        let mut plan = read(&file);
        change(&mut plan);
        let changed = file.with_extension("changed.json");
        write(&changed, &plan);
        let run = rig.cli(&["migrate", "--plan", &changed.display().to_string()]).await;
        assert_eq!((run.code, run.reason()), (2, "INVALID_PLAN"), "{what}: {}", run.stderr);
        assert!(!run.hint().is_empty(), "{what}: no hint");
    }
    round::assert_left_alone(&rig, &before).await;
    rig.finish().await;
}

type Change = fn(&mut Plan);

/// A type that a value does not fit is found before anything is made, or the row is named.
#[tokio::test]
async fn a_type_that_values_do_not_fit_is_refused() {
    let rig = Rig::of_sql(SCHEMA).await;
    let before = rig.source_hash();
    let file = written(&rig).await;
    let mut plan = read(&file);
    plan.tables[0].columns[1].r#type = "character varying(2)".into();
    write(&file, &plan);
    let run = rig.cli(&["migrate", "--plan", &file.display().to_string()]).await;
    assert_ne!(run.code, 0);
    let said = &run.stderr;
    assert!(said.contains("people") && said.contains("name"), "{said}");
    assert!(!said.contains("Ann") && !said.contains("Bob"), "a value is told: {said}");
    round::assert_left_alone(&rig, &before).await;
    rig.finish().await;
}

#[tokio::test]
async fn files_that_are_no_plan_are_wrong_usage() {
    let rig = Rig::of_sql(SCHEMA).await;
    let file = rig.directory.path().join("plan.json");
    for text in ["", "{", "[]", "{\"version\": \"one\"}", "not json"] {
        fs::write(&file, text).expect("writable");
        let run = rig.cli(&["migrate", "--plan", &file.display().to_string()]).await;
        assert_eq!(run.code, 2, "{text:?}: {}", run.stderr);
        assert!(run.stderr.contains("error:"), "{}", run.stderr);
    }
    let run = rig.cli(&["migrate", "--plan", "/nowhere/plan.json"]).await;
    assert_eq!(run.code, 2, "{}", run.stderr);
    rig.assert_target_empty().await;
    rig.finish().await;
}

#[tokio::test]
async fn a_plan_as_sql_is_what_postgres_takes() {
    let rig = Rig::of_sql(SCHEMA).await;
    let run = rig.cli(&["plan"]).await;
    run.expect(0);
    let statements = run.report()["statements"].as_array().expect("statements").clone();
    let target = rig.target().await;
    for statement in &statements {
        let sql = statement.as_str().expect("a statement");
        target.batch_execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }
    assert!(statements.len() >= 5, "{statements:?}");
    rig.finish().await;
}

async fn written(rig: &Rig) -> PathBuf {
    let file = rig.directory.path().join("plan.json");
    rig.cli(&["plan", "--write", &file.display().to_string()]).await.expect(0);
    file
}

fn read(file: &PathBuf) -> Plan {
    let text = fs::read_to_string(file).expect("a written plan");
    serde_json::from_str(&text).expect("a plan")
}

fn write(file: &PathBuf, plan: &Plan) {
    fs::write(file, serde_json::to_string_pretty(plan).expect("JSON")).expect("writable");
}
