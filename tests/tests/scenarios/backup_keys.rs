//! Backups that are encrypted: who has no key reads nothing, and a key may be replaced.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
};

use switchback_tests::{content::content, rig::Rig};

use crate::{
    backup::{backup, id, listed, restored},
    backup_damage::{files, store},
    backup_faults::{names_in, rig_with},
};

const FIRST: &str = "8f3a1c5be2d7094665b0fe2291ac37d840fb16c97a2e5d3381b4ce0f6d29a7e5";
const SECOND: &str = "27d6b85ef01c493aa9e4127fd3580c6b1e94fa7720cd8351f6b3a04e9d5c2871";
const VARIABLE: &str = "SWITCHBACK_BACKUP_KEY";

/// Among bytes that cannot be compressed it stands as it is.
const MARKER: &str = "mK4-this-is-known-9x";

fn sql() -> String {
    format!(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a BLOB);
         WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)
         INSERT INTO t SELECT i, randomblob(200) || CAST('{MARKER}' AS BLOB) FROM n WHERE i < 4000;
         INSERT INTO t VALUES (9000, '{MARKER}')"
    )
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

/// How many objects of the store a text can be read in.
fn readable(rig: &Rig, text: &str) -> usize {
    let objects = files(&store(rig));
    assert!(objects.len() > 3, "{objects:?}");
    objects.iter().filter(|object| holds(&fs::read(object).expect("an object"), text)).count()
}

async fn with_keys(rig: &mut Rig, keys: &str) {
    rig.server.kill9().await;
    rig.server.set(VARIABLE, keys);
    rig.server.launch().await;
}

/// States of all backups, newest first.
async fn states(rig: &Rig) -> Vec<String> {
    let all = listed(rig).await;
    all.iter().map(|listed| listed["state"].as_str().expect("a state").to_owned()).collect()
}

async fn assert_locked(rig: &Rig, backup: &str) {
    rig.cli(&["restore", backup, "--as", "locked"]).await.refused(5, "BACKUP_KEY");
    rig.cli(&["restore", backup, "--overwrite"]).await.refused(5, "BACKUP_KEY");
    rig.cli(&["backups", "verify", backup]).await.refused(5, "BACKUP_KEY");
    assert!(!names_in(&rig.server.state().join("restores")).contains(&"locked.db".to_owned()));
}

fn assert_no_key_in_logs(rig: &Rig) {
    for key in [FIRST, SECOND] {
        assert!(!rig.server.logs().contains(key), "the log holds a key");
        for file in files(&rig.server.state()) {
            assert!(!holds(&fs::read(&file).unwrap_or_default(), key), "{}", file.display());
        }
    }
}

#[tokio::test]
async fn nothing_can_be_read_without_the_key() {
    let plain = rig_with(&sql(), &[]).await;
    backup(&plain).await;
    assert!(readable(&plain, MARKER) > 0, "the marker would be seen");
    plain.finish().await;

    let mut rig = rig_with(&sql(), &[(VARIABLE, FIRST)]).await;
    let stored = id(&backup(&rig).await);
    assert_eq!(readable(&rig, MARKER), 0);
    assert_eq!(readable(&rig, "SQLite format 3"), 0);
    assert_eq!(readable(&rig, "page_size"), 0);
    assert_eq!(listed(&rig).await[0]["encrypted"], true);
    let file = restored(&rig, &stored, "copy").await;
    assert_eq!(content(&file), content(&rig.source));
    for other in [SECOND, ""] {
        with_keys(&mut rig, other).await;
        assert_eq!(states(&rig).await, ["locked"]);
        assert_locked(&rig, &stored).await;
    }
    with_keys(&mut rig, FIRST).await;
    rig.cli(&["backups", "verify", &stored]).await.expect(0);
    assert_no_key_in_logs(&rig);
    rig.finish().await;
}

#[tokio::test]
async fn a_key_is_replaced() {
    let mut rig = rig_with(&sql(), &[(VARIABLE, FIRST)]).await;
    let older = id(&backup(&rig).await);
    let then = content(&rig.source);
    rig.source().execute_batch("INSERT INTO t VALUES (9001, 'later')").expect("a row");
    let file = rig.directory.path().join("keys");
    fs::write(&file, format!("# the newest first\n\n{SECOND}\n{FIRST}\n")).expect("written");
    fs::set_permissions(&file, Permissions::from_mode(0o600)).expect("only its owner reads it");
    with_keys(&mut rig, &file.display().to_string()).await;
    let report = backup(&rig).await;
    let newer = id(&report);
    let (read, sent) = (&report["bytes_read"], &report["bytes_uploaded"]);
    assert!(sent.as_u64() > read.as_u64().map(|read| read / 2), "all of it again: {report}");
    assert_eq!(states(&rig).await, ["complete", "complete"]);
    assert_eq!(content(&restored(&rig, &older, "older").await), then);
    assert_eq!(content(&restored(&rig, &newer, "newer").await), content(&rig.source));

    with_keys(&mut rig, SECOND).await;
    assert_eq!(states(&rig).await, ["complete", "locked"]);
    rig.cli(&["backups", "verify", &newer]).await.expect(0);
    assert_locked(&rig, &older).await;

    with_keys(&mut rig, FIRST).await;
    assert_eq!(states(&rig).await, ["locked", "complete"]);
    assert_locked(&rig, &newer).await;
    // The newest one that can be restored, and it says so.
    let run = rig.cli(&["restore", "latest", "--as", "latest"]).await;
    run.expect(0);
    assert!(run.stderr.contains(&older), "{}", run.stderr);
    let file = run.report()["path"].as_str().expect("a path");
    assert_eq!(content(file.as_ref()), then);
    assert_no_key_in_logs(&rig);
    rig.finish().await;
}

/// Anybody who can write to the store could put it there.
#[tokio::test]
async fn what_is_not_encrypted_is_refused_where_there_is_a_key() {
    let mut rig = rig_with(&sql(), &[]).await;
    let stored = id(&backup(&rig).await);
    with_keys(&mut rig, FIRST).await;
    assert_eq!(states(&rig).await, ["locked"]);
    assert_locked(&rig, &stored).await;
    with_keys(&mut rig, &format!("{FIRST},plain")).await;
    assert_eq!(states(&rig).await, ["complete"]);
    assert_eq!(content(&restored(&rig, &stored, "copy").await), content(&rig.source));
    let newer = id(&backup(&rig).await);
    with_keys(&mut rig, "").await;
    assert_eq!(states(&rig).await, ["locked", "complete"]);
    assert_locked(&rig, &newer).await;
    rig.finish().await;
}
