//! What every migration must do, whatever the source: arrive whole, or leave no trace.

use std::{collections::HashSet, future::Future, path::Path};

use serde_json::Value;
use switchback_proto::v1::Plan;
use switchback_tests::{
    content::{content, schema},
    fixtures::files,
    rig::Rig,
};
use tokio::task::LocalSet;

/// Tables whose switch takes seconds, and more than its deadline on a machine that is busy.
const MANY: usize = 500;

/// Runs a round for each item and fails in the end with all that failed, by name.
pub(crate) async fn each<T, F>(items: impl IntoIterator<Item = (String, T)>, round: impl Fn(T) -> F)
where
    F: Future<Output = ()> + 'static,
{
    let mut failed = Vec::new();
    for (name, item) in items {
        let local = LocalSet::new();
        // A panic ends its own task and no other.
        let task = local.spawn_local(round(item));
        if local.run_until(task).await.is_err() {
            eprintln!("--- the above is {name}");
            failed.push(name);
        }
    }
    assert!(failed.is_empty(), "{} failed: {failed:#?}", failed.len());
}

/// Plans and migrates; every row arrives, an independent reader says so too, and the source holds
/// what it held.
pub(crate) async fn arrives(rig: &Rig, choices: &[&str]) -> Plan {
    let before = content(&rig.source);
    let plan = planned(rig, choices).await;
    let many = plan.tables.len() > MANY;
    let mode: &[&str] = if many { &["migrate", "--manual-cutover"] } else { &["migrate"] };
    let run = rig.cli(&[mode, choices].concat()).await;
    run.expect(0);
    assert_eq!(run.result()["state"], "succeeded");
    assert_reported_whole(run.report(), &plan);
    if many {
        rig.cli(&["cutover", "--deadline", "60s"]).await.expect(0);
    }
    rig.assert_faithful(&plan).await;
    assert_carried_or_named(rig, &plan);
    rig.cli(&["validate"]).await.expect(0);
    assert_eq!(content(&rig.source), before, "the source was changed");
    assert!(!files::beside(&rig.source, "-journal").exists(), "a journal was left");
    plan
}

/// The plan, which must have no blockers.
pub(crate) async fn planned(rig: &Rig, choices: &[&str]) -> Plan {
    let run = rig.cli(&[&["plan"], choices].concat()).await;
    run.expect(0);
    rig.assert_target_empty().await;
    run.plan()
}

/// The plan is blocked by these codes; `migrate` refuses and leaves no trace.
pub(crate) async fn blocked(rig: &Rig, codes: &[&str]) {
    let before = rig.source_hash();
    let plan = rig.cli(&["plan"]).await;
    plan.expect(5);
    let run = rig.cli(&["migrate"]).await;
    run.refused(5, "PLAN_BLOCKED");
    for (code, run) in codes.iter().flat_map(|code| [(code, &plan), (code, &run)]) {
        let found = run.found(code);
        let blockers: Vec<_> = found.iter().filter(|f| f["severity"] == "blocker").collect();
        assert!(!blockers.is_empty(), "no blocker {code}: {}", run.stdout);
        for finding in blockers {
            assert_names_its_place(finding);
        }
    }
    assert_left_alone(rig, &before).await;
}

/// Nothing in the target and nothing changed at the source.
pub(crate) async fn assert_left_alone(rig: &Rig, before: &str) {
    rig.assert_target_empty().await;
    assert_untouched(rig, before);
}

/// Nothing in the target, and the source as it was: a migration that had begun is undone.
pub(crate) async fn assert_undone(rig: &Rig, before: &str) {
    rig.assert_target_empty().await;
    assert_eq!(content(&rig.source), before, "the source was changed");
    let left = schema(&rig.source).into_iter().filter(|object| object.contains("_switchback"));
    assert_eq!(left.collect::<Vec<_>>(), Vec::<String>::new(), "left behind in the source");
}

/// The source file has the same bytes, and no journal was left beside it. (A file in WAL mode has
/// its log while someone has it open.)
fn assert_untouched(rig: &Rig, before: &str) {
    assert_eq!(rig.source_hash(), before, "the source file was changed");
    assert!(!files::beside(&rig.source, "-journal").exists(), "a journal was left");
}

fn assert_names_its_place(finding: &Value) {
    let table = finding["table"].as_str().unwrap_or_default();
    assert!(!table.is_empty(), "a blocker names no table: {finding}");
    assert!(finding["hint"].as_str().is_some_and(|hint| !hint.is_empty()), "no hint: {finding}");
    if finding["choices"].as_array().is_some_and(|choices| !choices.is_empty()) {
        assert!(finding["column"].is_string(), "a blocker names no column: {finding}");
        let examples = finding["examples"].as_array().map_or(0, Vec::len);
        assert!(examples > 0 && finding["count"].as_u64() > Some(0), "no rows: {finding}");
    }
}

/// The migration's report has every table of the plan, each with all its rows and validated.
fn assert_reported_whole(report: &Value, plan: &Plan) {
    assert_eq!(report["validation"]["matches"], true, "{report}");
    let tables = report["tables"].as_array().expect("a report has tables");
    assert_eq!(tables.len(), plan.tables.len());
    for (table, planned) in tables.iter().zip(&plan.tables) {
        assert_eq!(table["validated"], true, "{table}");
        let rows = table["rows"].as_u64().zip(table["rejected"].as_u64());
        let rows = rows.map(|(rows, rejected)| rows + rejected);
        assert_eq!(rows, Some(planned.rows), "{table}");
    }
}

/// Every object of the file is in the plan, or a finding names it.
fn assert_carried_or_named(rig: &Rig, plan: &Plan) {
    let mut known: HashSet<&str> = plan.tables.iter().map(|table| table.source.as_str()).collect();
    known.extend(plan.views.iter().map(|view| view.source.as_str()));
    known.extend(plan.tables.iter().flat_map(|t| &t.indexes).map(|index| index.source.as_str()));
    let said: Vec<String> = plan
        .findings
        .iter()
        .map(|f| format!("{} {} {} {:?}", f.table, f.column, f.message, f.examples))
        .collect();
    for (kind, name) in objects(&rig.source) {
        let named = said.iter().any(|said| said.contains(&name));
        assert!(known.contains(name.as_str()) || named, "{kind} {name:?} was dropped in silence");
    }
}

/// Tables, views, triggers and indexes with a name, as SQLite lists them.
fn objects(source: &Path) -> Vec<(String, String)> {
    let source = rusqlite::Connection::open(source).expect("the source opens");
    let sql = "SELECT type, name FROM sqlite_schema WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\'
                AND name NOT LIKE '\\_switchback%' ESCAPE '\\'
                AND name NOT IN (SELECT name FROM pragma_table_list WHERE type = 'shadow')
                AND coalesce(tbl_name, '') NOT IN (SELECT name FROM pragma_table_list WHERE type = 'shadow')";
    let mut statement = source.prepare(sql).expect("the schema is read");
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
    rows.expect("the schema is read").map(|row| row.expect("a row")).collect()
}
