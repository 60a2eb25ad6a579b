//! `switchback doctor`: what is sound is ok, what is not is named with what to do.

use serde_json::Value;
use switchback_tests::{
    cli::{self, Run},
    cluster,
    rig::{Rig, directory},
    server::Server,
};

const SCHEMA: &str = "PRAGMA journal_mode = WAL; CREATE TABLE t (id INTEGER PRIMARY KEY)";

fn checks<'a>(run: &'a Run, name: &str) -> Vec<&'a Value> {
    run.events.iter().filter(|check| check["check"] == name).collect()
}

fn state<'a>(run: &'a Run, name: &str) -> &'a str {
    let found = checks(run, name);
    assert_eq!(found.len(), 1, "{name}: {}", run.stdout);
    found[0]["state"].as_str().expect("a state")
}

#[tokio::test]
async fn a_sound_server_is_found_sound_and_nothing_of_the_tests_stays() {
    let store = directory();
    let rig = Rig::of_sql(SCHEMA).await;
    let url = format!("file://{}", store.path().display());
    let server =
        Server::start_with(&rig.source, &rig.database.url, &[("SWITCHBACK_STORE", &url)]).await;
    let before = rig.source_hash();
    let run = cli::run(&server.endpoint(), &["doctor"]).await;
    run.expect(0);
    for name in [
        "endpoint",
        "versions",
        "clock",
        "server",
        "state_dir",
        "restore_dir",
        "store",
        "store_clock",
        "sqlite",
        "journal_mode",
        "sqlite_dir",
        "postgres",
        "postgres_rights",
        "pg_dump",
    ] {
        assert_eq!(state(&run, name), "ok", "{name}: {}", run.stdout);
    }
    assert!(!run.stdout.contains(cluster::PASSWORD));
    assert_eq!(rig.source_hash(), before);
    // Where the store puts what is being written stays, and is empty.
    let left = std::fs::read_dir(store.path()).expect("the store").flatten();
    let left: Vec<_> = left.map(|entry| entry.file_name()).collect();
    assert!(left.iter().all(|name| name == ".tmp"), "{left:?}");
    let unfinished = std::fs::read_dir(store.path().join(".tmp"));
    assert_eq!(unfinished.map_or(0, Iterator::count), 0);
    rig.assert_target_empty().await;
    drop(server);
    rig.finish().await;
}

#[tokio::test]
async fn everything_that_is_wrong_is_named_at_once_with_what_to_do() {
    let gone = directory().path().join("gone");
    let rig = Rig::of_sql("CREATE TABLE t (id INTEGER PRIMARY KEY)").await;
    let url = format!("file://{}", gone.display());
    let nowhere = "postgres://owner@127.0.0.1:1/nothing";
    let server = Server::start_with(&rig.source, nowhere, &[("SWITCHBACK_STORE", &url)]).await;
    std::fs::remove_file(&rig.source).expect("the source goes");
    let run = cli::run(&server.endpoint(), &["doctor"]).await;
    run.expect(5);
    for name in ["store", "sqlite", "postgres"] {
        assert_eq!(state(&run, name), "failed", "{}", run.stdout);
        assert!(checks(&run, name)[0]["hint"].as_str().is_some_and(|hint| !hint.is_empty()));
    }
    assert_eq!(state(&run, "state_dir"), "ok", "{}", run.stdout);
    let unknown = cli::run(&server.endpoint(), &["--database", "other", "doctor"]).await;
    unknown.refused(2, "UNKNOWN_DATABASE");
    drop(server);
    rig.finish().await;
}

#[tokio::test]
async fn a_user_who_may_create_nothing_and_a_file_without_a_log_are_told() {
    let rig = Rig::of_sql("CREATE TABLE t (id INTEGER PRIMARY KEY)").await;
    let sql = format!(
        "ALTER DATABASE {name} OWNER TO postgres; REVOKE ALL ON DATABASE {name} FROM PUBLIC; \
         GRANT CONNECT ON DATABASE {name} TO PUBLIC",
        name = rig.database.name
    );
    let admin = rig.target().await;
    let superuser: String =
        admin.query_one("SELECT current_user::text", &[]).await.expect("asked").get(0);
    admin.batch_execute(&sql.replace("postgres", &superuser)).await.expect("taken away");
    let run = rig.cli(&["doctor"]).await;
    run.expect(5);
    assert_eq!(state(&run, "postgres"), "ok", "{}", run.stdout);
    assert_eq!(state(&run, "postgres_rights"), "failed", "{}", run.stdout);
    assert_eq!(state(&run, "journal_mode"), "warning", "{}", run.stdout);
    rig.finish().await;
}
