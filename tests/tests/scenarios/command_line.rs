//! The command line: usage, output, exit codes.

use std::process::{Command, Output};

use switchback_tests::{binaries, cli, cluster, fixtures::files, rig::Rig};

use crate::round;

fn plain(endpoint: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(binaries::switchback());
    command.args(["--endpoint", endpoint]).args(arguments).env_clear();
    command.output().expect("switchback runs")
}

#[tokio::test]
async fn nobody_serves() {
    let port = cluster::free_port().expect("a port");
    let endpoint = format!("http://127.0.0.1:{port}");
    for command in [
        &["plan"][..],
        &["migrate"],
        &["cutover"],
        &["abort"],
        &["validate"],
        &["status"],
        &["operations", "list"],
    ] {
        let run = cli::run(&endpoint, command).await;
        assert_eq!(run.code, 4, "{command:?}: {}", run.stderr);
        assert!(run.stderr.contains("error:") && run.stderr.contains("hint:"), "{}", run.stderr);
    }
    assert_eq!(cli::run(&endpoint, &["health"]).await.code, 4);
    assert_eq!(cli::run("http://[", &["status"]).await.code, 2);
}

#[tokio::test]
async fn wrong_usage() {
    for arguments in [
        &["frobnicate"][..],
        &["plan", "--on", "mixed_types"],
        &["plan", "--on", "mixed_types=perhaps"],
        &["validate", "--level", "some"],
        &["migrate", "--allow-rejects", "-1"],
        &["cutover", "--deadline", "5"],
        &["cutover", "--deadline", "1h"],
        &["operations", "show"],
    ] {
        let run = cli::run("http://127.0.0.1:1", arguments).await;
        assert_eq!(run.code, 2, "{arguments:?}: {}", run.stderr);
    }
}

#[tokio::test]
async fn names_that_do_not_exist() {
    let rig =
        Rig::of(|connection| connection.execute_batch("CREATE TABLE t (a)").expect("made")).await;
    let run = rig.cli(&["--database", "other", "plan"]).await;
    assert_eq!((run.code, run.reason()), (2, "UNKNOWN_DATABASE"), "{}", run.stderr);
    let run = rig.cli(&["operations", "watch", "none"]).await;
    assert_eq!((run.code, run.reason()), (2, "UNKNOWN_OPERATION"), "{}", run.stderr);
    rig.cli(&["migrate"]).await.expect(0);
    let run = rig.cli(&["validate", "--table", "u"]).await;
    assert_eq!((run.code, run.reason()), (2, "UNKNOWN_TABLE"), "{}", run.stderr);
    rig.finish().await;
}

#[tokio::test]
async fn every_event_is_a_json_object_as_documented() {
    let rig = Rig::of(|connection| {
        drop(files::sound(std::path::Path::new(":memory:")));
        connection
            .execute_batch(
                "CREATE TABLE t (id INTEGER PRIMARY KEY, d DATE); INSERT INTO t VALUES (1, 'x')",
            )
            .expect("made");
    })
    .await;
    let run = rig.cli(&["migrate"]).await;
    run.expect(0);
    let phases: Vec<&str> = run.events.iter().filter_map(|event| event["phase"].as_str()).collect();
    let work = ["planning", "installing", "copying", "indexing", "validating", "following"];
    assert_eq!(phases, [&work[..], &["cutting_over", "reversible"]].concat());
    for event in &run.events {
        assert!(event["operation_id"].is_string() && event["sequence"].is_u64(), "{event}");
        let time = event["time"].as_str().expect("a time");
        assert!(time.ends_with('Z') && time.contains('T'), "{time}");
        match event["event"].as_str() {
            Some("progress") => {
                assert!(event["rows"].is_u64() && event["bytes"].is_u64(), "{event}")
            }
            Some("finding") => {
                for field in ["code", "severity", "table", "column", "hint"] {
                    assert!(event[field].is_string(), "{field} in {event}");
                }
                assert!(event["examples"].is_array() && event["count"].is_u64(), "{event}");
            }
            Some("lag") => {
                assert!(event["lag_changes"].is_u64() && event["lag_ms"].is_u64(), "{event}")
            }
            Some("started") => assert_eq!(event["database"], "default"),
            Some("phase" | "result") => {}
            other => panic!("{other:?} is no event"),
        }
    }
    let report = run.report();
    assert_eq!(report["tables"][0]["rows"], 1);
    assert_eq!(report["tables"][0]["rejected"], 0);
    assert_eq!(report["tables"][0]["validated"], true);
    rig.finish().await;
}

#[tokio::test]
async fn output_for_people() {
    let rig = Rig::of(|connection| {
        connection.execute_batch(
            "CREATE TABLE shelf (id INTEGER PRIMARY KEY, label VARCHAR(9)); INSERT INTO shelf VALUES (1, 'a')",
        ).expect("made");
    })
    .await;
    let endpoint = rig.server.endpoint();
    for (arguments, words) in [
        (&["plan"][..], &["shelf", "label", "bigint"][..]),
        (&["plan", "--sql"], &["CREATE TABLE", "\"shelf\""]),
        (&["migrate"], &["shelf"]),
        (&["validate"], &["shelf"]),
        (&["status"], &["sqlite"]),
        (&["operations", "list"], &["migrate"]),
        (&["health"], &["serving"]),
        (&["completions", "bash"], &["switchback"]),
    ] {
        let output = plain(&endpoint, arguments);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {output:?}");
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).to_lowercase();
        for word in words {
            assert!(said.contains(&word.to_lowercase()), "{arguments:?}: no {word:?} in {said}");
        }
    }
    rig.finish().await;
}

#[tokio::test]
async fn lower_case_names_by_request() {
    let rig = Rig::of_sql(
        "CREATE TABLE \"UserNames\" (\"Id\" INTEGER PRIMARY KEY, \"FullName\" TEXT);
         CREATE INDEX \"ByName\" ON \"UserNames\" (\"FullName\");
         INSERT INTO \"UserNames\" VALUES (1, 'Ann');",
    )
    .await;
    round::arrives(&rig, &["--identifiers", "lower"]).await;
    let sql = "SELECT fullname FROM usernames WHERE id = 1";
    let name: String = rig.target().await.query_one(sql, &[]).await.expect("a row").get(0);
    assert_eq!(name, "Ann");
    rig.finish().await;
}
