//! `switchback fleet migrate`: all databases of a server, what is done is not done again, and one
//! that fails holds up no other.

use std::fmt::Write;

use serde_json::Value;
use switchback_tests::{
    cli::{self, Run},
    cluster::{Cluster, Database},
    rig::directory,
    server::Server,
};

const SCHEMA: &str = "CREATE TABLE t (id INTEGER PRIMARY KEY); INSERT INTO t VALUES (1), (2)";

fn of<'a>(run: &'a Run, database: &str, event: &str) -> Vec<&'a Value> {
    let wanted = |line: &&Value| line["database"] == database && line["event"] == event;
    run.events.iter().filter(wanted).collect()
}

fn summary(run: &Run) -> [u64; 3] {
    let last = run.events.last().expect("a summary");
    assert_eq!(last["event"], "summary", "{}", run.stdout);
    ["migrated", "skipped", "failed"].map(|field| last[field].as_u64().expect("a number"))
}

async fn targets() -> [Database; 3] {
    let cluster = Cluster::shared();
    [cluster.database().await, cluster.database().await, cluster.database().await]
}

#[tokio::test]
async fn what_fails_holds_up_no_other_and_what_is_done_is_not_done_again() {
    let place = directory();
    let targets = targets().await;
    let mut text = String::new();
    for (name, target) in ["shop_a", "shop_b", "other"].iter().zip(&targets) {
        let source = place.path().join(format!("{name}.db"));
        let made = rusqlite::Connection::open(&source).and_then(|file| file.execute_batch(SCHEMA));
        made.expect("a source");
        let entry = format!("[databases.{name}]\nsqlite = {source:?}\npostgres = {:?}", target.url);
        writeln!(text, "{entry}").expect("written");
    }
    let config = place.path().join("switchback.toml");
    std::fs::write(&config, text).expect("written");
    let in_the_way = "CREATE TABLE theirs (a int)";
    targets[1].admin().await.batch_execute(in_the_way).await.expect("made");
    let server = Server::start_configured(&config).await;
    let fleet = async |arguments: &[&str]| {
        let arguments = [&["fleet", "migrate", "--skip-backup"], arguments].concat();
        cli::run(&server.endpoint(), &arguments).await
    };

    let run = fleet(&["--match", "shop_*"]).await;
    run.expect(1);
    assert_eq!(summary(&run), [1, 0, 1], "{}", run.stdout);
    assert_eq!(of(&run, "shop_a", "started").len(), 1, "{}", run.stdout);
    assert_eq!(of(&run, "shop_a", "result")[0]["state"], "succeeded", "{}", run.stdout);
    assert_eq!(of(&run, "shop_b", "result")[0]["error"]["reason"], "TARGET_NOT_EMPTY");
    assert!(of(&run, "other", "started").is_empty(), "{}", run.stdout);

    targets[1].admin().await.batch_execute("DROP TABLE theirs").await.expect("dropped");
    let run = fleet(&["--parallel", "1", "--manual-cutover"]).await;
    run.expect(0);
    assert_eq!(summary(&run), [2, 1, 0], "{}", run.stdout);
    assert_eq!(of(&run, "shop_a", "skipped").len(), 1, "{}", run.stdout);
    let again = fleet(&[]).await;
    again.expect(0);
    assert_eq!(summary(&again), [0, 3, 0], "{}", again.stdout);
    assert_eq!(fleet(&["--match", "none*"]).await.expect(2).reason(), "UNKNOWN_DATABASE");
    drop(server);
    for target in targets {
        target.remove().await;
    }
}
