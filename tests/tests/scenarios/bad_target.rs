//! Targets that are not there, not ours, not empty or not large enough.

use std::path::Path;

use switchback_tests::{
    cluster::{self, Cluster, GUEST, OWNER, PASSWORD, Profile},
    content::content,
    fixtures::{damage, files},
    rig::{Rig, directory},
    server::Server,
    small_disk::SmallDisk,
};
use tonic_health::pb::health_check_response::ServingStatus;

use crate::round;

const SCHEMA: &str =
    "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT); INSERT INTO t VALUES (1, 'x');";

/// A sound source and a server for it with this URL.
async fn rig(url: impl FnOnce(&switchback_tests::cluster::Database) -> String) -> Rig {
    let directory = directory();
    let source = directory.path().join("source.db");
    drop(files::sound(&source));
    let database = Cluster::shared().database().await;
    let server = Server::start(&source, &url(&database)).await;
    Rig { server, database, source, directory }
}

async fn refused(rig: &Rig, code: i32, reason: &str) {
    let before = rig.source_hash();
    let run = rig.cli(&["migrate"]).await;
    run.refused(code, reason);
    let said = format!("{}{}", run.stdout, run.stderr);
    assert!(!said.contains(PASSWORD), "the password is told");
    assert_eq!(rig.source_hash(), before);
}

#[tokio::test]
async fn a_malformed_url_stops_the_start() {
    let source = Path::new("/tmp/none.db");
    let secret = format!("postgres://owner:{PASSWORD}@host:port/db");
    for url in ["", "mysql://u@h/d", "postgres://[", &secret] {
        let ended = Server::run(source, url, &[]).await;
        assert_eq!(ended.code, 64, "{url:?}: {}", ended.output);
        assert!(ended.output.contains("SWITCHBACK_POSTGRES"), "{}", ended.output);
        assert!(!ended.output.contains(PASSWORD), "the password is told");
    }
}

#[tokio::test]
async fn nobody_answers() {
    let port = cluster::free_port().expect("a port");
    let url = format!("postgres://{OWNER}:{PASSWORD}@127.0.0.1:{port}/db");
    let rig = rig(|_| url).await;
    refused(&rig, 4, "TARGET_UNREACHABLE").await;
    rig.finish().await;
}

#[tokio::test]
async fn a_wrong_password() {
    let rig = rig(|database| database.url.replace(PASSWORD, "wrong")).await;
    refused(&rig, 4, "TARGET_AUTHENTICATION").await;
    rig.assert_target_empty().await;
    rig.finish().await;
}

#[tokio::test]
async fn a_missing_database() {
    let url = Cluster::shared().url(OWNER, PASSWORD, "there_is_none");
    let rig = rig(|_| url).await;
    refused(&rig, 4, "TARGET_MISSING").await;
    rig.finish().await;
}

#[tokio::test]
async fn no_rights() {
    let rig = rig(|database| Cluster::shared().url(GUEST, PASSWORD, &database.name)).await;
    refused(&rig, 5, "TARGET_PERMISSION").await;
    rig.assert_target_empty().await;
    rig.finish().await;
}

#[tokio::test]
async fn a_database_that_is_not_utf8() {
    let rig = rig(|database| database.url.clone()).await;
    let name = format!("{}_latin", rig.database.name);
    let sql = format!(
        "CREATE DATABASE {name} OWNER {OWNER} ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0"
    );
    Cluster::shared().admin("postgres").await.batch_execute(&sql).await.expect("a database");
    let database = Cluster::shared().named(&name);
    let server = Server::start(&rig.source, &database.url).await;
    let latin = Rig { server, database, source: rig.source.clone(), directory: directory() };
    refused(&latin, 5, "TARGET_UNSUPPORTED").await;
    latin.assert_target_empty().await;
    latin.finish().await;
    rig.finish().await;
}

#[tokio::test]
async fn a_target_that_is_not_empty_is_left_as_it_is() {
    let rig = Rig::of_sql(SCHEMA).await;
    let made = "CREATE TABLE theirs (a int); INSERT INTO theirs VALUES (7); CREATE SCHEMA other;";
    rig.target().await.batch_execute(made).await.expect("made");
    refused(&rig, 5, "TARGET_NOT_EMPTY").await;
    let sql = "SELECT a FROM theirs";
    let kept: i32 = rig.target().await.query_one(sql, &[]).await.expect("kept").get(0);
    assert_eq!(kept, 7);
    let left = switchback_tests::checker::objects(&rig.target().await).await;
    assert_eq!(left, ["relation public.theirs", "schema other"]);
    rig.finish().await;
}

#[tokio::test]
async fn a_second_migration_is_refused_and_harms_nothing() {
    let rig = Rig::of_sql(SCHEMA).await;
    let plan = round::arrives(&rig, &[]).await;
    let run = rig.cli(&["migrate"]).await;
    run.expect(5);
    assert!(["ALREADY_MIGRATED", "TARGET_NOT_EMPTY"].contains(&run.reason()), "{}", run.stdout);
    rig.assert_faithful(&plan).await;
    rig.cli(&["validate"]).await.expect(0);
    rig.finish().await;
}

#[tokio::test]
async fn nothing_to_validate_yet() {
    let rig = Rig::of_sql(SCHEMA).await;
    rig.cli(&["validate"]).await.refused(5, "NOT_MIGRATED");
    rig.finish().await;
}

/// On a file system of its own that is too small. Only root may make one.
#[tokio::test]
async fn a_full_disk() {
    let user = Cluster::shared().programs().user();
    let Some(small) = SmallDisk::mount(6, user) else { return };
    // Of its own, as it goes before the disk does.
    let cluster = Cluster::start(Profile::Fast).expect("a cluster");
    let place = directory();
    let source = place.path().join("source.db");
    damage::big(&rusqlite::Connection::open(&source).expect("a file"), 200_000);
    let database = cluster.database().await;
    let server = Server::start(&source, &database.url).await;
    let mut rig = Rig { server, database, source, directory: place };
    let before = content(&rig.source);
    let target = rig.target().await;
    let name = format!("small_{}", rig.database.name);
    let steps = [
        format!("CREATE TABLESPACE {name} OWNER {OWNER} LOCATION '{}'", small.path.display()),
        format!(
            "ALTER ROLE {OWNER} IN DATABASE {} SET default_tablespace = '{name}'",
            rig.database.name
        ),
    ];
    for step in &steps {
        target.batch_execute(step).await.expect("a tablespace");
    }
    // Sessions that are open keep what they had.
    rig.server.terminate().await;
    rig.server.launch().await;
    rig.cli(&["migrate"]).await.refused(1, "TARGET_FULL");
    assert_eq!(content(&rig.source), before);
    let reset = format!("ALTER ROLE {OWNER} IN DATABASE {} RESET ALL", rig.database.name);
    target.batch_execute(&reset).await.expect("reset");
    drop(target);
    // With room enough it goes; what could not be removed on the full disk is removed first.
    rig.server.terminate().await;
    rig.server.launch().await;
    rig.cli(&["migrate"]).await.expect(0);
    rig.finish().await;
    drop(cluster);
}

/// PostgreSQL that was stopped while nothing ran is reported as down, and as up again.
#[tokio::test]
async fn health_and_status_follow_the_target() {
    let cluster = Cluster::start(Profile::Fast).expect("a cluster");
    let directory = directory();
    let source = directory.path().join("source.db");
    drop(files::sound(&source));
    let database = cluster.database().await;
    let server = Server::start(&source, &database.url).await;
    let rig = Rig { server, database, source, directory };
    let status = rig.cli(&["status"]).await;
    assert_eq!(status.events[0]["engines"]["postgres"]["state"], "up", "{}", status.stdout);
    assert_eq!(status.events[0]["active_engine"], "sqlite");
    assert_eq!(status.events[0]["phase"], "idle");
    cluster.stop();
    let status = rig.cli(&["status"]).await;
    assert_eq!(status.events[0]["engines"]["postgres"]["state"], "down", "{}", status.stdout);
    assert_eq!(status.events[0]["engines"]["sqlite"]["state"], "up");
    cluster.start_again();
    let status = rig.cli(&["status"]).await;
    assert_eq!(status.events[0]["engines"]["postgres"]["state"], "up", "{}", status.stdout);
    rig.cli(&["migrate"]).await.expect(0);
    // PostgreSQL is the active engine now: without it the database does not serve.
    rig.server.await_health("database/default", ServingStatus::Serving).await;
    cluster.stop();
    rig.server.await_health("database/default", ServingStatus::NotServing).await;
    assert_eq!(rig.server.health("").await, Some(ServingStatus::Serving));
    cluster.start_again();
    rig.server.await_health("database/default", ServingStatus::Serving).await;
}
