//! A disk fills up while PostgreSQL follows: it waits for space, and nothing is lost.

use std::{fs, io::Write};

use rusqlite::Connection;
use switchback_tests::{
    cluster::{Cluster, Database, OWNER, Profile},
    rig::{Rig, directory},
    server::Server,
    small_disk::SmallDisk,
};

use crate::followed::{assert_in_sync, await_status, finding, follow, number_in_target};

const MEGABYTES: u32 = 8;

/// Twice as much as the disk holds, and it cannot be compressed.
const FLOOD: &str =
    "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1600)
    INSERT INTO t (a) SELECT randomblob(10000) FROM n";

async fn rig(database: Database, settings: &[(&str, &str)]) -> Rig {
    let place = directory();
    let source = place.path().join("source.db");
    let connection = Connection::open(&source).expect("a file");
    connection.execute_batch("CREATE TABLE t (id INTEGER PRIMARY KEY, a BLOB)").expect("a table");
    drop(connection);
    let server = Server::start_with(&source, &database.url, settings).await;
    Rig { server, database, source, directory: place }
}

/// It says what it lacks, goes on following, and SQLite is open.
async fn assert_waits(rig: &Rig, words: &str) {
    rig.source().execute_batch(FLOOD).expect("SQLite is open");
    let waiting = await_status(rig, |status| finding(status, "following_waits").is_some()).await;
    assert_eq!(waiting["phase"], "following", "{waiting}");
    assert!(waiting["lag_changes"].as_u64() >= Some(1600), "{waiting}");
    let waits = finding(&waiting, "following_waits").expect("a finding");
    assert!(waits["message"].to_string().contains(words), "{waits}");
    assert!(waits["hint"].to_string().contains("space"), "{waits}");
    rig.source().execute_batch("INSERT INTO t (a) VALUES (x'00')").expect("SQLite is open");
}

async fn assert_goes_on(rig: &Rig) {
    await_status(rig, |status| status["lag_changes"] == 0).await;
    assert_in_sync(rig).await;
    rig.cli(&["cutover"]).await.expect(0);
    assert_eq!(number_in_target(rig, "SELECT count(*) FROM t").await, 1601);
}

#[tokio::test]
async fn a_full_disk_of_postgres_is_waited_for() {
    // Its own: a tablespace that goes too early takes the cluster with it.
    let cluster = Cluster::start(Profile::Fast).expect("a cluster");
    let Some(small) = SmallDisk::mount(MEGABYTES, cluster.programs().user()) else { return };
    let database = cluster.database().await;
    let admin = cluster.admin("postgres").await;
    let name = format!("full_{}", database.name);
    let place = small.path.display();
    for step in [
        format!("CREATE TABLESPACE {name} OWNER {OWNER} LOCATION '{place}'"),
        format!(
            "ALTER ROLE {OWNER} IN DATABASE {} SET default_tablespace = '{name}'",
            database.name
        ),
    ] {
        admin.batch_execute(&step).await.expect("a tablespace");
    }
    let rig = rig(database, &[]).await;
    follow(&rig, &[]).await;
    assert_waits(&rig, "53100").await;
    small.grow(20 * MEGABYTES);
    assert_goes_on(&rig).await;
    rig.finish().await;
    admin.batch_execute(&format!("DROP TABLESPACE {name}")).await.expect("it is empty");
}

#[tokio::test]
async fn a_full_state_directory_is_waited_for() {
    let Some(small) = SmallDisk::mount(MEGABYTES, None) else { return };
    let state = small.path.join("state").display().to_string();
    let database = Cluster::shared().database().await;
    let rig = rig(database, &[("SWITCHBACK_STATE_DIR", &state)]).await;
    follow(&rig, &[]).await;
    let filler = small.path.join("filler");
    let mut file = fs::File::create(&filler).expect("a file");
    while file.write_all(&[7; 4096]).is_ok() {}
    assert_waits(&rig, "cannot be kept").await;
    drop(file);
    fs::remove_file(&filler).expect("space");
    small.grow(20 * MEGABYTES);
    assert_goes_on(&rig).await;
    rig.finish().await;
}
