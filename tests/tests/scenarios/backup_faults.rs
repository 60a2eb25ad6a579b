//! Backups in a store that is slow, cuts, lies or goes away, and on disks that are full.

use std::{fs, path::Path};

use rusqlite::Connection;
use switchback_tests::{
    cluster::{Cluster, Profile},
    content::content,
    faults::{Fault, FaultProxy},
    rig::{Rig, directory},
    server::Server,
    small_disk::SmallDisk,
    store::{Place, S3Server},
};

use crate::{
    backup::{LARGE, assert_sound, backup, id, listed, restored},
    databases::{SMALL, owners_make_databases, restored_beside, texts},
};

/// What happens to requests that write: how, to which, and how often.
const WRITING: [((&str, &str), Fault, u32); 10] = [
    (("PUT", "/chunks/"), Fault::Answer(500, "InternalError"), 3),
    (("PUT", "/chunks/"), Fault::Answer(503, "SlowDown"), 3),
    (("PUT", "/chunks/"), Fault::Reset, 3),
    (("PUT", "/chunks/"), Fault::CutRequest(100_000), 2),
    (("PUT", "/chunks/"), Fault::ShortenRequest(100_000), 1),
    (("PUT", "/chunks/"), Fault::LoseAnswer, 2),
    (("PUT", "/chunks/"), Fault::Skewed, 1),
    (("PUT", "/manifest"), Fault::LoseAnswer, 1),
    (("PUT", "/running/"), Fault::Answer(503, "SlowDown"), 1),
    (("HEAD", ""), Fault::Reset, 2),
];

const READING: [((&str, &str), Fault, u32); 7] = [
    (("GET", "/chunks/"), Fault::Answer(500, "InternalError"), 3),
    (("GET", "/chunks/"), Fault::Answer(503, "SlowDown"), 3),
    (("GET", "/chunks/"), Fault::Reset, 3),
    (("GET", "/chunks/"), Fault::CutAnswer(100_000), 2),
    (("GET", "/chunks/"), Fault::Skewed, 1),
    (("GET", "/manifest"), Fault::CutAnswer(100), 1),
    (("GET", "/manifest"), Fault::Answer(503, "SlowDown"), 1),
];

/// Twice as much as a small disk holds, and it cannot be compressed.
const FLOOD: &str = "CREATE TABLE t (id INTEGER PRIMARY KEY, a BLOB);
    WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1600)
    INSERT INTO t (a) SELECT randomblob(10000) FROM n";

const MEGABYTES: u32 = 8;

/// A pair whose server has more settings.
pub(crate) async fn rig_with(sql: &str, settings: &[(&str, &str)]) -> Rig {
    let place = directory();
    let source = place.path().join("source.db");
    Connection::open(&source).and_then(|file| file.execute_batch(sql)).expect("a file");
    let database = Cluster::shared().database().await;
    let server = Server::start_with(&source, &database.url, settings).await;
    Rig { server, database, source, directory: place }
}

async fn rig_at(sql: &str, place: &Place) -> Rig {
    let settings = place.settings();
    let settings: Vec<(&str, &str)> =
        settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    rig_with(sql, &settings).await
}

/// Names in a directory; none where there is no such directory.
pub(crate) fn names_in(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

#[tokio::test]
async fn whatever_happens_to_writes_a_backup_is_whole() {
    let place = S3Server::shared().await.place().await;
    let proxy = FaultProxy::start(&place.endpoint).await;
    let rig = rig_at(LARGE, &place.behind(proxy.endpoint())).await;
    backup(&rig).await;
    for (round, (only, fault, times)) in WRITING.into_iter().enumerate() {
        let (from, to) = (round * 6000, (round + 1) * 6000);
        let change =
            format!("UPDATE large SET payload = randomblob(400) WHERE id > {from} AND id <= {to}");
        rig.source().execute_batch(&change).expect("changes");
        let hits = proxy.hits();
        proxy.fail_next_of(only, fault, times);
        backup(&rig).await;
        assert_eq!(proxy.hits() - hits, times, "{only:?} {fault:?}");
    }
    // It shares what all the others have stored.
    rig.cli(&["backups", "verify", "latest"]).await.expect(0);
    let file = restored(&rig, "latest", "copy").await;
    assert_eq!(content(&file), content(&rig.source));
    assert_eq!(listed(&rig).await.len(), WRITING.len() + 1);
    rig.finish().await;
}

#[tokio::test]
async fn whatever_happens_to_reads_what_is_restored_is_right() {
    let place = S3Server::shared().await.place().await;
    let proxy = FaultProxy::start(&place.endpoint).await;
    let rig = rig_at(LARGE, &place.behind(proxy.endpoint())).await;
    let stored = id(&backup(&rig).await);
    let expected = content(&rig.source);
    for (round, (only, fault, times)) in READING.into_iter().enumerate() {
        let hits = proxy.hits();
        proxy.fail_next_of(only, fault, times);
        let file = restored(&rig, &stored, &format!("round-{round}")).await;
        assert_eq!(proxy.hits() - hits, times, "{only:?} {fault:?}");
        assert_eq!(content(&file), expected, "{only:?} {fault:?}");
        fs::remove_file(file).expect("removed");
    }
    // A bit that is another one is no fault of a connection: it is noticed, or read again.
    for only in [("GET", "/chunks/"), ("GET", "/manifest")] {
        proxy.fail_next_of(only, Fault::FlipBit, 1);
        let run = rig.cli(&["restore", &stored, "--as", "flipped"]).await;
        let directory = rig.server.state().join("restores");
        if run.code == 0 {
            assert_eq!(content(&directory.join("flipped.db")), expected);
            fs::remove_file(directory.join("flipped.db")).expect("removed");
        } else {
            run.refused(5, "BACKUP_DAMAGED");
        }
        assert_eq!(names_in(&directory), [""; 0]);
        proxy.heal();
    }
    rig.cli(&["backups", "verify", &stored]).await.expect(0);
    rig.finish().await;
}

#[tokio::test]
async fn a_store_that_goes_away_leaves_nothing_in_the_list() {
    let place = S3Server::shared().await.place().await;
    let proxy = FaultProxy::start(&place.endpoint).await;
    let mut rig = rig_at(LARGE, &place.behind(proxy.endpoint())).await;
    let first = id(&backup(&rig).await);
    let change = "UPDATE large SET payload = randomblob(400)";
    rig.source().execute_batch(change).expect("changes");
    let backup = rig.start(&["backup"]);
    proxy.fail_next_of(("PUT", "/chunks/"), Fault::Reset, u32::MAX);
    backup.finish().await.refused(4, "STORE_UNREACHABLE");
    proxy.heal();
    let all = listed(&rig).await;
    assert_eq!((all.len(), all[0]["backup_id"].as_str()), (1, Some(first.as_str())));

    // Nobody listens there at all.
    rig.server.kill9().await;
    let nowhere = switchback_tests::cluster::free_port().expect("a free port");
    rig.server.set("AWS_ENDPOINT_URL", &format!("http://127.0.0.1:{nowhere}"));
    rig.server.launch().await;
    rig.cli(&["backup"]).await.refused(4, "STORE_UNREACHABLE");

    rig.server.kill9().await;
    rig.server.set("AWS_ENDPOINT_URL", &place.endpoint);
    rig.server.set("SWITCHBACK_STORE", "s3://no-such-bucket/prefix");
    rig.server.launch().await;
    rig.cli(&["backup"]).await.refused(5, "STORE_REFUSED");
    rig.cli(&["restore", &first, "--as", "copy"]).await.refused(5, "STORE_REFUSED");
    assert_eq!(names_in(&rig.server.state().join("restores")), [""; 0]);

    rig.server.kill9().await;
    rig.server.set("SWITCHBACK_STORE", &place.url);
    rig.server.launch().await;
    rig.cli(&["backup"]).await.expect(0);
    assert_eq!(listed(&rig).await.len(), 2);
    rig.cli(&["backups", "verify", "latest"]).await.expect(0);
    rig.cli(&["backups", "verify", &first]).await.expect(0);
    rig.finish().await;
}

#[tokio::test]
async fn a_full_store_is_told_and_lists_nothing() {
    let Some(small) = SmallDisk::mount(MEGABYTES, None) else { return };
    let store = format!("file://{}", small.path.display());
    let rig = rig_with(FLOOD, &[("SWITCHBACK_STORE", &store)]).await;
    rig.cli(&["backup"]).await.refused(1, "STORE_FULL");
    assert_eq!(listed(&rig).await.len(), 0);
    assert_eq!(names_in(&small.path.join(".tmp")), [""; 0]);
    small.grow(10 * MEGABYTES);
    let report = backup(&rig).await;
    assert_eq!(names_in(&small.path.join("running")), [""; 0]);
    rig.cli(&["backups", "verify", &id(&report)]).await.expect(0);
    let file = restored(&rig, &id(&report), "copy").await;
    assert_eq!(content(&file), content(&rig.source));
    assert_eq!(listed(&rig).await.len(), 1);
    rig.finish().await;
}

#[tokio::test]
async fn a_full_directory_for_restored_files_is_told_and_nothing_is_left() {
    let Some(small) = SmallDisk::mount(MEGABYTES, None) else { return };
    let directory = small.path.display().to_string();
    let rig = rig_with(FLOOD, &[("SWITCHBACK_RESTORE_DIR", &directory)]).await;
    let of_sqlite = id(&backup(&rig).await);
    rig.cli(&["migrate", "--skip-backup"]).await.expect(0);
    let of_postgres = id(&backup(&rig).await);
    for arguments in [
        &["restore", &of_sqlite, "--as", "copy"][..],
        &["restore", &of_postgres, "--as", "copy", "--into", "sqlite"],
    ] {
        let run = rig.cli(arguments).await;
        run.expect(1);
        assert!(!run.hint().is_empty(), "{}", run.stdout);
        assert!(run.message().contains("full") || run.message().contains("space"), "{run:?}");
        assert_eq!(names_in(&small.path), [""; 0]);
    }
    small.grow(10 * MEGABYTES);
    let file = restored(&rig, &of_sqlite, "copy").await;
    assert_sound(&file);
    let restore = ["restore", &of_postgres, "--as", "rows", "--into", "sqlite"];
    let run = rig.cli(&restore).await;
    run.expect(0);
    assert_eq!(run.report()["rows"], 1600, "{}", run.stdout);
    rig.finish().await;
}

#[tokio::test]
async fn a_crash_of_postgres_in_a_backup_lists_nothing_that_is_broken() {
    let cluster = Cluster::start(Profile::Fast).expect("a cluster");
    let place = directory();
    let source = place.path().join("source.db");
    Connection::open(&source).and_then(|file| file.execute_batch(LARGE)).expect("a file");
    let database = cluster.database().await;
    let server = Server::start(&source, &database.url).await;
    let rig = Rig { server, database, source, directory: place };
    rig.cli(&["migrate", "--skip-backup"]).await.expect(0);
    let mut run = rig.start(&["backup"]);
    run.find(|event| event["event"] == "progress").await;
    cluster.stop_immediate();
    cluster.start_again();
    let run = run.finish().await;
    let ended_well = usize::from(run.code == 0);
    if run.code != 0 {
        run.refused(4, "TARGET_UNREACHABLE");
    }
    assert_eq!(listed(&rig).await.len(), ended_well);
    assert_eq!(names_in(&rig.server.state().join("backups/running")), [""; 0]);
    let report = backup(&rig).await;
    rig.cli(&["backups", "verify", &id(&report)]).await.expect(0);
    assert_eq!(listed(&rig).await.len(), 1 + ended_well);
}

/// The other engine, through the same store, which is not always there either.
#[tokio::test]
async fn postgres_is_stored_in_a_bucket_and_restored_from_it() {
    owners_make_databases().await;
    let place = S3Server::shared().await.place().await;
    let proxy = FaultProxy::start(&place.endpoint).await;
    let rig = rig_at(SMALL, &place.behind(proxy.endpoint())).await;
    rig.cli(&["migrate", "--skip-backup"]).await.expect(0);
    proxy.fail_next_of(("PUT", "/chunks/"), Fault::Answer(503, "SlowDown"), 2);
    let stored = id(&backup(&rig).await);
    proxy.fail_next_of(("GET", "/chunks/"), Fault::CutAnswer(20), 2);
    let copy = restored_beside(&rig, &stored, "copy").await;
    let sql = "SELECT name || total FROM users JOIN orders ON user_id = users.id";
    assert_eq!(texts(&copy.admin().await, sql, &[]).await, ["a0.5"]);
    copy.remove().await;
    rig.finish().await;
}
