//! A program that was not written for Switchback goes along under `switchback exec`.

use std::{collections::HashSet, env, process::Command};

use serde_json::Value;
use switchback_tests::{
    cli::{self, Running},
    programs::Programs,
    rig::Rig,
};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/programs/counter.py");
const SCHEMA: &str =
    "CREATE TABLE numbers (n INTEGER PRIMARY KEY AUTOINCREMENT, note TEXT NOT NULL)";
/// Numbers on each engine.
const EACH: usize = 20;

fn start(rig: &Rig) -> Running {
    let python = Command::new("python3").arg("--version").output();
    assert!(
        python.is_ok_and(|output| output.status.success()),
        "python3 does not run: install it, as `.ci/prerequisites` does"
    );
    // The program calls psql, which may be where PostgreSQL's server programs are.
    let psql = Programs::find().expect("PostgreSQL's programs").path("psql");
    let more = psql.parent().map(|directory| directory.display().to_string()).unwrap_or_default();
    let path = format!("{}:{more}", env::var("PATH").unwrap_or_default());
    let source = rig.source.display().to_string();
    let variables = [
        ("PATH", path.as_str()),
        ("SWITCHBACK_SQLITE", &source),
        ("SWITCHBACK_POSTGRES", &rig.database.url),
    ];
    let arguments = ["exec", "--", "python3", SCRIPT];
    cli::start_with(&rig.server.endpoint(), &arguments, &variables)
}

async fn counted_on(run: &mut Running, engine: &str) {
    for _ in 0..EACH {
        run.find(|line| line["engine"] == engine).await;
    }
}

fn numbers(lines: &[Value]) -> Vec<i64> {
    lines.iter().filter_map(|line| line["n"].as_i64()).collect()
}

#[tokio::test]
async fn a_program_in_python_loses_no_number() {
    let rig = Rig::of_sql(SCHEMA).await;
    let mut run = start(&rig);
    counted_on(&mut run, "sqlite").await;
    rig.cli(&["migrate"]).await.expect(0);
    counted_on(&mut run, "postgres").await;
    run.signal("TERM");
    let run = run.finish().await;
    run.expect(143);

    let acknowledged = numbers(&run.events);
    let unique: HashSet<i64> = acknowledged.iter().copied().collect();
    assert_eq!(unique.len(), acknowledged.len(), "a number was given twice");
    let rows = rig.target().await.query("SELECT n FROM numbers", &[]).await.expect("the numbers");
    let stored: HashSet<i64> = rows.iter().map(|row| row.get(0)).collect();
    let lost: Vec<&i64> = unique.difference(&stored).collect();
    assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
    // It was stopped twice, each time perhaps before it could say what it had.
    assert!(stored.len() <= unique.len() + 2, "{} rows, {} said", stored.len(), unique.len());
    rig.finish().await;
}
