//! Programs that follow the active engine: `env` and `exec`.

use serde_json::Value;
use switchback_tests::{
    cli::{self, Running},
    cluster,
    rig::Rig,
};

const SOURCE: &str =
    "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT); INSERT INTO t VALUES (1, 'x')";
/// Says where it is, as a line of JSON.
const SAY: &str = r#"echo "{\"engine\":\"$SWITCHBACK_ACTIVE_ENGINE\",\"epoch\":$SWITCHBACK_EPOCH,\"url\":\"$DATABASE_URL\"}""#;

/// The variables of an application's machine.
fn variables(rig: &Rig) -> Vec<(&'static str, String)> {
    let path = std::env::var("PATH").unwrap_or_default();
    vec![
        ("PATH", path),
        ("SWITCHBACK_SQLITE", rig.source.display().to_string()),
        ("SWITCHBACK_POSTGRES", rig.database.url.clone()),
    ]
}

fn start(rig: &Rig, arguments: &[&str]) -> Running {
    let variables = variables(rig);
    let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    cli::start_with(&rig.server.endpoint(), arguments, &variables)
}

/// Starts a shell script under `exec` with these flags.
fn exec(rig: &Rig, flags: &[&str], script: &str) -> Running {
    let program = ["--", "sh", "-c", script];
    start(rig, &[&["exec"], flags, &program].concat())
}

/// Fails unless the next line tells of this engine.
async fn on_engine(run: &mut Running, rig: &Rig, engine: &str) {
    let line = run.find(|line| line["url"].is_string()).await;
    assert_eq!(line["engine"], engine);
    assert_eq!(line["url"], url(rig, engine));
    assert_eq!(line["epoch"].as_u64() > Some(0), engine == "postgres", "{line}");
}

fn url(rig: &Rig, engine: &str) -> Value {
    let source = rig.source.canonicalize().expect("a path");
    match engine {
        "sqlite" => format!("sqlite://{}", source.display()).into(),
        _ => rig.database.url.as_str().into(),
    }
}

#[tokio::test]
async fn a_program_is_started_again_on_the_new_engine() {
    let mut rig = Rig::of_sql(SOURCE).await;
    // Leaves no process behind: one would keep the pipe open.
    let script =
        format!("sleep 100 & waited=$!; trap 'kill $waited; exit 0' TERM; {SAY}; wait $waited");
    let mut run = exec(&rig, &[], &script);
    on_engine(&mut run, &rig, "sqlite").await;
    // An outage of the server is none of the program.
    rig.server.kill9().await;
    rig.server.launch().await;
    rig.cli(&["migrate"]).await.expect(0);
    on_engine(&mut run, &rig, "postgres").await;
    run.signal("TERM");
    let run = run.finish().await;
    run.expect(0);
    assert_eq!(run.events.iter().filter(|line| line["url"].is_string()).count(), 2);
    assert!(!run.stderr.contains(cluster::PASSWORD), "{}", run.stderr);
    rig.finish().await;
}

#[tokio::test]
async fn a_program_that_does_not_stop_is_killed() {
    let rig = Rig::of_sql(SOURCE).await;
    let script = format!(
        "trap '' TERM; {SAY}; [ $SWITCHBACK_ACTIVE_ENGINE = postgres ] && exit 9; exec sleep 100"
    );
    let mut run = exec(&rig, &["--grace", "1"], &script);
    on_engine(&mut run, &rig, "sqlite").await;
    rig.cli(&["migrate"]).await.expect(0);
    on_engine(&mut run, &rig, "postgres").await;
    run.finish().await.expect(9);
    rig.finish().await;
}

#[tokio::test]
async fn a_program_may_follow_by_itself() {
    let rig = Rig::of_sql(SOURCE).await;
    let binary = switchback_tests::binaries::switchback();
    let ask = format!("'{}' --output json env", binary.display());
    let script = format!(
        "sleep 100 & waited=$!; trap 'kill $waited; {ask}; exit 0' HUP; {SAY}; wait $waited"
    );
    let mut run = exec(&rig, &["--signal", "HUP"], &script);
    on_engine(&mut run, &rig, "sqlite").await;
    rig.cli(&["migrate"]).await.expect(0);
    let told = run.find(|line| line["database_url"].is_string()).await;
    assert_eq!(
        (&told["engine"], &told["database_url"]),
        (&"postgres".into(), &url(&rig, "postgres"))
    );
    run.finish().await.expect(0);
    rig.finish().await;
}

#[tokio::test]
async fn a_program_that_the_switch_ends_is_started_again() {
    let rig = Rig::of_sql(SOURCE).await;
    // It ends with an error at the switch, as one does whose write the fence refused.
    let script = format!(
        "[ $SWITCHBACK_ACTIVE_ENGINE = postgres ] && {{ {SAY}; exit 4; }}
        sleep 100 & waited=$!; trap 'kill $waited; exit 3' USR1; {SAY}; wait $waited"
    );
    let mut run = exec(&rig, &["--signal", "USR1"], &script);
    on_engine(&mut run, &rig, "sqlite").await;
    rig.cli(&["migrate"]).await.expect(0);
    on_engine(&mut run, &rig, "postgres").await;
    run.finish().await.expect(4);
    rig.finish().await;
}

#[tokio::test]
async fn codes_and_signals_are_the_programs() {
    let mut rig = Rig::of_sql(SOURCE).await;
    exec(&rig, &[], "exit 0").finish().await.expect(0);
    exec(&rig, &[], "exit 7").finish().await.expect(7);
    exec(&rig, &[], "kill -KILL $$").finish().await.expect(137);
    start(&rig, &["exec", "--", "/nowhere/program"]).finish().await.expect(127);
    start(&rig, &["exec", "--", "/"]).finish().await.expect(126);
    for (name, code) in [("TERM", 143), ("INT", 130), ("HUP", 129), ("USR1", 138)] {
        let mut run = exec(&rig, &[], &format!("{SAY}; exec sleep 100"));
        on_engine(&mut run, &rig, "sqlite").await;
        run.signal(name);
        run.finish().await.expect(code);
    }
    // Nobody to ask: the code is passed on, and nothing is started without an answer.
    let mut run =
        exec(&rig, &[], &format!("trap 'exit 5' USR2; {SAY}; while :; do sleep 0.01; done"));
    on_engine(&mut run, &rig, "sqlite").await;
    rig.server.kill9().await;
    run.signal("USR2");
    run.finish().await.expect(5);
    let run = exec(&rig, &[], SAY).finish().await;
    run.refused(4, "SERVER_UNREACHABLE");
    assert!(!run.stdout.contains("\"url\""), "{}", run.stdout);
    rig.server.launch().await;
    rig.finish().await;
}

#[tokio::test]
async fn env_tells_the_active_engine() {
    let rig = Rig::of_sql(SOURCE).await;
    let run = start(&rig, &["env"]).finish().await;
    run.expect(0);
    let told = &run.events[0];
    assert_eq!((&told["engine"], &told["database_url"]), (&"sqlite".into(), &url(&rig, "sqlite")));
    let run = start(&rig, &["env", "--sqlite-url", "file:{path}", "--output", "table"]);
    let stdout = run.finish().await.stdout;
    assert!(stdout.starts_with("DATABASE_URL=file:/"), "{stdout}");

    // Only the active engine's variable is needed, and no message tells the other's.
    let run = start(&rig, &["env", "--sqlite", ""]).finish().await;
    run.refused(2, "MISSING_URL");
    assert!(!format!("{}{}", run.stdout, run.stderr).contains(cluster::PASSWORD));
    let run = start(&rig, &["exec", "--postgres", "", "--", "sh", "-c", SAY]).finish().await;
    run.refused(2, "MISSING_URL");
    assert!(!run.stdout.contains("\"url\""), "{}", run.stdout);
    for command in ["env", "exec"] {
        let help = start(&rig, &[command, "--help"]).finish().await;
        help.expect(0);
        assert!(!help.stdout.contains(cluster::PASSWORD), "{}", help.stdout);
    }

    rig.cli(&["migrate"]).await.expect(0);
    let run = start(&rig, &["env"]).finish().await;
    run.expect(0);
    let told = &run.events[0];
    assert_eq!(
        (&told["engine"], &told["database_url"]),
        (&"postgres".into(), &url(&rig, "postgres"))
    );
    start(&rig, &["env", "--postgres", ""]).finish().await.refused(2, "MISSING_URL");
    rig.finish().await;
}
