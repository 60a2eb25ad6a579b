//! A store whose objects are not what they were: it is told, and nothing wrong is restored.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;
use switchback_tests::{content::content, rig::Rig};

use crate::{
    backup::{LARGE, backup, id, listed, restored},
    backup_faults::names_in,
};

/// What somebody has done to an object.
#[derive(Debug, Clone, Copy)]
enum Damage {
    Flip,
    Truncate,
    Extend,
    Delete,
    /// Another object of its kind is under its name.
    Swap,
}

const ALL: [Damage; 5] =
    [Damage::Flip, Damage::Truncate, Damage::Extend, Damage::Delete, Damage::Swap];

impl Damage {
    fn happen(self, object: &Path, other: &Path) {
        let mut bytes = fs::read(object).expect("an object");
        let middle = bytes.len() / 2;
        match self {
            Self::Flip => bytes[middle] ^= 1,
            Self::Truncate => bytes.truncate(middle),
            Self::Extend => bytes.push(0),
            Self::Swap => bytes = fs::read(other).expect("an object"),
            Self::Delete => return fs::remove_file(object).expect("removed"),
        }
        fs::write(object, bytes).expect("written");
    }
}

/// Every file below a directory, by name.
pub(crate) fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

pub(crate) fn store(rig: &Rig) -> PathBuf {
    rig.server.state().join("backups")
}

fn manifest(rig: &Rig, backup: &str) -> PathBuf {
    store(rig).join("backups/default").join(backup).join("manifest")
}

fn name(path: &Path) -> String {
    path.file_name().expect("a name").to_string_lossy().into_owned()
}

/// Nothing is restored, neither to a new place nor in place.
async fn assert_refused(rig: &Rig, backup: &str, reason: (i32, &str), why: &str) {
    let before = rig.source_hash();
    for arguments in [&["--as", "copy"][..], &["--overwrite"]] {
        let run = rig.cli(&[&["restore", backup], arguments].concat()).await;
        assert_eq!((run.code, run.reason()), reason, "{why}: {}", run.stderr);
    }
    assert_eq!(names_in(&rig.server.state().join("restores")), [""; 0], "{why}");
    assert_eq!(names_in(rig.directory.path()), ["source.db"], "{why}");
    assert_eq!(rig.source_hash(), before, "{why}");
}

/// What the list says of a backup; null where it has none.
async fn in_list(rig: &Rig, backup: &str) -> Value {
    let all = listed(rig).await;
    all.into_iter().find(|listed| listed["backup_id"] == backup).unwrap_or_default()
}

#[tokio::test]
async fn a_damaged_chunk_is_named_and_stored_again() {
    let rig = Rig::of_sql(LARGE).await;
    let stored = id(&backup(&rig).await);
    let chunks = files(&store(&rig).join("chunks"));
    for (number, damage) in ALL.into_iter().enumerate() {
        let (object, other) = (&chunks[number * 2], &chunks[number * 2 + 1]);
        let (whole, id) = (fs::read(object).expect("an object"), name(object));
        damage.happen(object, other);
        let verified = rig.cli(&["backups", "verify", &stored]).await;
        verified.refused(5, "BACKUP_DAMAGED");
        let problems = verified.report()["problems"].as_array().expect("problems");
        assert_eq!(problems.len(), 1, "{damage:?}: {problems:?}");
        assert!(problems[0].to_string().contains(&id), "{damage:?}: {problems:?}");
        assert!(in_list(&rig, &stored).await["verified_at"].is_null(), "{damage:?}");
        assert_refused(&rig, &stored, (5, "BACKUP_DAMAGED"), &format!("{damage:?}")).await;
        if let Damage::Extend = damage {
            fs::write(object, whole).expect("written");
        } else {
            // The next backup stores again what is known to be damaged.
            let again = backup(&rig).await;
            assert!(again["bytes_uploaded"].as_u64() > Some(0), "{damage:?}: {again}");
            let again = again["backup_id"].as_str().expect("an id");
            rig.cli(&["backups", "verify", again]).await.expect(0);
        }
        rig.cli(&["backups", "verify", &stored]).await.expect(0);
    }
    let file = restored(&rig, &stored, "copy").await;
    assert_eq!(content(&file), content(&rig.source));
    rig.finish().await;
}

#[tokio::test]
async fn damage_is_noticed_before_anybody_verifies() {
    let rig = Rig::of_sql(LARGE).await;
    let stored = id(&backup(&rig).await);
    let chunks = files(&store(&rig).join("chunks"));
    for (number, damage) in ALL.into_iter().enumerate() {
        let (object, other) = (&chunks[number * 2], &chunks[number * 2 + 1]);
        let whole = fs::read(object).expect("an object");
        damage.happen(object, other);
        assert_refused(&rig, &stored, (5, "BACKUP_DAMAGED"), &format!("{damage:?}")).await;
        fs::write(object, whole).expect("written");
    }
    rig.cli(&["backups", "verify", &stored]).await.expect(0);
    rig.finish().await;
}

#[tokio::test]
async fn a_damaged_manifest_is_listed_as_such_and_passed_over() {
    let rig = Rig::of_sql("CREATE TABLE t (a); INSERT INTO t VALUES (1)").await;
    let older = id(&backup(&rig).await);
    rig.source().execute_batch("INSERT INTO t VALUES (2)").expect("a row");
    let newer = id(&backup(&rig).await);
    let (object, other) = (manifest(&rig, &newer), manifest(&rig, &older));
    let whole = fs::read(&object).expect("a manifest");
    for damage in ALL {
        damage.happen(&object, &other);
        let why = format!("{damage:?}");
        if let Damage::Delete = damage {
            // It is none any more.
            assert!(in_list(&rig, &newer).await.is_null());
            assert_refused(&rig, &newer, (2, "UNKNOWN_BACKUP"), &why).await;
        } else {
            assert_eq!(in_list(&rig, &newer).await["state"], "damaged", "{why}");
            rig.cli(&["backups", "verify", &newer]).await.refused(5, "BACKUP_DAMAGED");
            assert_refused(&rig, &newer, (5, "BACKUP_DAMAGED"), &why).await;
        }
        assert_eq!(in_list(&rig, &older).await["state"], "complete", "{why}");
        let run = rig.cli(&["restore", "latest", "--as", "latest"]).await;
        run.expect(0);
        assert!(run.stderr.contains(&older), "{}", run.stderr);
        fs::remove_file(run.report()["path"].as_str().expect("a path")).expect("removed");
        fs::write(&object, &whole)
            .or_else(|_| {
                fs::create_dir_all(object.parent().expect("a directory"))?;
                fs::write(&object, &whole)
            })
            .expect("written");
    }
    // One that cannot be read can be deleted, and the other one stays.
    Damage::Flip.happen(&object, &other);
    rig.cli(&["backups", "delete", &newer, "--yes"]).await.expect(0);
    assert_eq!(listed(&rig).await.len(), 1);
    rig.cli(&["backups", "verify", &older]).await.expect(0);
    rig.finish().await;
}
