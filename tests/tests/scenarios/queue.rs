//! More long operations than the server runs at once: they wait in the order in which they came,
//! and what applications wait for does not.

use std::{fmt::Write, path::PathBuf};

use serde_json::Value;
use switchback_tests::{
    cli::{self, Run, Running},
    cluster::{Cluster, Database},
    fixtures::damage,
    rig::directory,
    server::Server,
};
use tempfile::TempDir;
use tokio_postgres::Client;

use crate::standstill::{ROWS, in_the_middle};

/// The first one is large enough to be held up in its copy.
const NAMES: [&str; 3] = ["first", "second", "third"];

/// A server of three databases that runs one long operation at once.
struct Narrow {
    server: Server,
    targets: Vec<Database>,
    _directory: TempDir,
}

impl Narrow {
    async fn start() -> Self {
        let place = directory();
        let mut text = "max_operations = 1\n".to_owned();
        let mut targets = Vec::new();
        for (name, rows) in NAMES.iter().zip([ROWS, 1_000, 1_000]) {
            let source: PathBuf = place.path().join(format!("{name}.db"));
            damage::big(&rusqlite::Connection::open(&source).expect("a file"), rows);
            let target = Cluster::shared().database().await;
            let entry = format!("sqlite = {source:?}\npostgres = {:?}", target.url);
            writeln!(text, "[databases.{name}]\n{entry}").expect("written");
            targets.push(target);
        }
        let config = place.path().join("switchback.toml");
        std::fs::write(&config, text).expect("written");
        let server = Server::start_configured(&config).await;
        Self { server, targets, _directory: place }
    }

    fn begin(&self, name: &str, arguments: &[&str]) -> Running {
        cli::start(&self.server.endpoint(), &[&["--database", name], arguments].concat())
    }

    async fn run(&self, name: &str, arguments: &[&str]) -> Run {
        self.begin(name, arguments).finish().await
    }

    /// Starts the first database's migration, whose copy stands still.
    async fn hold(&self) -> (Running, Client) {
        let mut run = self.begin("first", &["migrate", "--skip-backup"]);
        in_the_middle(&mut run).await;
        let client = self.targets[0].admin().await;
        let sql = "BEGIN; LOCK TABLE big IN ACCESS EXCLUSIVE MODE";
        client.batch_execute(sql).await.expect("a lock");
        (run, client)
    }

    /// Starts an operation that has to wait, and checks what it says of that.
    async fn queued(&self, name: &str, arguments: &[&str], behind: u64) -> (Running, String) {
        let mut run = self.begin(name, arguments);
        let event = run.find(|event| event["event"] == "waiting").await;
        assert_eq!(
            (&event["engine"], &event["queued_behind"]),
            (&"unspecified".into(), &behind.into())
        );
        let message = event["message"].as_str().expect("a message");
        assert!(message.contains("SWITCHBACK_MAX_OPERATIONS"), "{message}");
        (run, event["operation_id"].as_str().expect("an id").to_owned())
    }

    async fn shown(&self, operation: &str) -> Value {
        let run = cli::run(&self.server.endpoint(), &["operations", "show", operation]).await;
        run.expect(0);
        run.events[0].clone()
    }

    async fn finish(self) {
        drop(self.server);
        for target in self.targets {
            target.remove().await;
        }
    }
}

/// A time as it stands in an event, such that texts sort as times do.
fn time(event: &Value, field: &str) -> String {
    event[field].as_str().expect("a time").trim_end_matches('Z').to_owned()
}

fn begins(run: &Run) -> &Value {
    run.events.iter().find(|event| event["event"] == "phase").expect("it has begun")
}

#[tokio::test]
async fn what_is_too_much_waits_its_turn_and_can_be_cancelled() {
    let narrow = Narrow::start().await;
    let (first, lock) = narrow.hold().await;
    let (second, id) = narrow.queued("second", &["migrate", "--skip-backup"], 1).await;
    let (third, cancelled) = narrow.queued("third", &["backup"], 2).await;
    let (fourth, last) = narrow.queued("third", &["backup"], 3).await;
    let shown = narrow.shown(&last).await;
    assert_eq!((&shown["state"], &shown["queued_behind"]), (&"running".into(), &3.into()));

    narrow.run("third", &["operations", "cancel", &cancelled]).await.expect(0);
    let third = third.finish().await;
    third.expect(1);
    assert_eq!(third.reason(), "CANCELLED");
    assert_eq!(narrow.shown(&last).await["queued_behind"], 2);
    let listed = narrow.run("second", &["operations", "list"]).await;
    assert_eq!(listed.events[0]["queued_behind"], 1, "{}", listed.stdout);

    drop(lock);
    let (first, second, fourth) = tokio::join!(first.finish(), second.finish(), fourth.finish());
    for run in [&first, &second, &fourth] {
        run.expect(0);
    }
    assert!(time(begins(&second), "time") >= time(first.result(), "time"), "{}", second.stdout);
    let told: Vec<_> = fourth.events.iter().map(|event| &event["queued_behind"]).collect();
    assert!(told.contains(&&3.into()) && told.contains(&&1.into()), "{}", fourth.stdout);
    for id in [&id, &last] {
        assert_eq!(narrow.shown(id).await["queued_behind"], 0);
    }
    narrow.finish().await;
}

#[tokio::test]
async fn what_switches_passes_by_those_that_wait() {
    let narrow = Narrow::start().await;
    narrow.run("third", &["migrate", "--skip-backup", "--manual-cutover"]).await.expect(0);
    let (first, lock) = narrow.hold().await;
    let (second, _) = narrow.queued("second", &["migrate", "--skip-backup"], 1).await;
    for command in ["plan", "cutover", "rollback", "abort"] {
        narrow.run("third", &[command]).await.expect(0);
    }
    drop(lock);
    first.finish().await.expect(0);
    second.finish().await.expect(0);
    narrow.finish().await;
}

#[tokio::test]
async fn those_that_wait_line_up_again_after_a_restart() {
    let mut narrow = Narrow::start().await;
    let (first, lock) = narrow.hold().await;
    let (second, id) = narrow.queued("second", &["migrate", "--skip-backup"], 1).await;
    assert_eq!(narrow.server.terminate().await.code(), Some(0));
    narrow.server.launch().await;
    assert_eq!(narrow.shown(&id).await["queued_behind"], 1);
    drop(lock);
    let (first, second) = tokio::join!(first.finish(), second.finish());
    first.expect(0);
    second.expect(0);
    assert!(time(begins(&second), "time") >= time(first.result(), "time"), "{}", second.stdout);
    narrow.finish().await;
}

/// `fleet migrate` asks for more side by side than the server runs.
#[tokio::test]
async fn a_fleet_waits_too() {
    let narrow = Narrow::start().await;
    let arguments = ["fleet", "migrate", "--skip-backup", "--parallel", "3"];
    let run = cli::run(&narrow.server.endpoint(), &arguments).await;
    run.expect(0);
    let waited = run.events.iter().filter(|event| event["event"] == "waiting").count();
    assert!(waited > 0, "{}", run.stdout);
    assert_eq!(run.events.last().expect("a summary")["migrated"], 3);
    narrow.finish().await;
}
