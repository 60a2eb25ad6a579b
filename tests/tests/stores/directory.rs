//! What goes wrong with a directory.

use std::{
    fs,
    os::unix::fs::symlink,
    path::Path,
    time::{Duration, SystemTime},
};

use switchback_server::{
    error::Reason,
    object_store::{self, S3Options, StoreUrl},
};
use switchback_tests::{rig, small_disk::SmallDisk};
use tempfile::TempDir;

use crate::Store;

/// A store that somebody has named, and its directory.
pub(crate) fn store() -> (TempDir, Store) {
    let directory = rig::directory();
    let store = at(directory.path(), false);
    (directory, store)
}

fn at(path: &Path, create: bool) -> Store {
    let url = StoreUrl::Directory { path: path.into(), create };
    object_store::open(&url, &S3Options::default())
}

fn later() -> SystemTime {
    SystemTime::now() + Duration::from_secs(3600)
}

async fn keys(store: &Store) -> Vec<String> {
    let page = store.list(String::new(), String::new()).await.expect("listed");
    page.objects.into_iter().map(|object| object.key).collect()
}

#[tokio::test]
async fn the_default_directory_is_made_and_a_named_one_must_be_there() {
    let directory = rig::directory();
    let place = directory.path().join("not/there");
    let named = at(&place, false);
    let refused = [
        named.put("k".into(), vec![1].into()).await.err(),
        named.get("k".into()).await.err(),
        named.head("k".into()).await.err(),
        named.list(String::new(), String::new()).await.err(),
        named.delete(vec!["k".into()]).await.err(),
        named.clean(later()).await.err(),
    ];
    for error in refused {
        let error = error.expect("it is refused");
        assert_eq!(error.reason(), Reason::StoreRefused, "{error}");
        assert!(error.hint_text().contains("SWITCHBACK_STORE"));
    }
    assert!(!place.exists());

    let default = at(&place, true);
    assert_eq!(default.get("k".into()).await.expect("asked"), None);
    assert_eq!(keys(&default).await, [""; 0]);
    assert_eq!(default.clean(later()).await.expect("cleaned"), 0);
    default.delete(vec!["k".into()]).await.expect("deleted");
    assert!(!place.exists());
    default.put("k".into(), vec![1].into()).await.expect("written");
    assert_eq!(keys(&named).await, ["k"]);
}

#[tokio::test]
async fn a_full_disk_keeps_what_it_has_and_nothing_of_what_it_refuses() {
    let Some(disk) = SmallDisk::mount(1, None) else { return };
    let store = at(&disk.path, false);
    store.put("old".into(), vec![1; 1000].into()).await.expect("written");
    let error = store.put("old".into(), vec![2; 2 << 20].into()).await.expect_err("no space");
    assert_eq!(error.reason(), Reason::StoreFull, "{error}");
    let left = fs::read_dir(disk.path.join(".tmp")).expect("a directory").count();
    assert_eq!(left, 0);
    assert_eq!(store.get("old".into()).await.expect("read").as_deref(), Some(&[1; 1000][..]));
    disk.grow(4);
    store.put("old".into(), vec![2; 2 << 20].into()).await.expect("written");

    disk.freeze();
    let error = store.put("new".into(), vec![1].into()).await.expect_err("read-only");
    assert_eq!(error.reason(), Reason::StoreRefused, "{error}");
    let error = store.delete(vec!["old".into()]).await.expect_err("read-only");
    assert_eq!(error.reason(), Reason::StoreRefused, "{error}");
    assert_eq!(keys(&store).await, ["old"]);
}

#[tokio::test]
async fn nothing_is_reached_through_a_link() {
    let (directory, store) = store();
    let outside = rig::directory();
    fs::write(outside.path().join("secret"), "secret").expect("written");
    symlink(outside.path(), directory.path().join("linked")).expect("a link");
    let refused = [
        store.get("linked/secret".into()).await.err(),
        store.put("linked/new".into(), vec![1].into()).await.err(),
        store.delete(vec!["linked/secret".into()]).await.err(),
        store.list("linked/".into(), String::new()).await.err(),
        store.list(String::new(), String::new()).await.err(),
    ];
    for error in refused {
        assert_eq!(error.expect("it is refused").reason(), Reason::StoreRefused);
    }
    assert_eq!(fs::read_dir(outside.path()).expect("a directory").count(), 1);
}

#[tokio::test]
async fn what_is_not_ours_is_passed_over() {
    let (directory, store) = store();
    store.put("ours".into(), vec![1].into()).await.expect("written");
    fs::write(directory.path().join("not ours"), "x").expect("written");
    fs::create_dir(directory.path().join("lost+found")).expect("made");
    fs::create_dir(directory.path().join("empty")).expect("made");
    assert_eq!(keys(&store).await, ["ours"]);
}

#[tokio::test]
async fn directories_of_deleted_objects_go_and_others_stay() {
    let (directory, store) = store();
    for key in ["a/b/c/1", "a/2", "d/e/3"] {
        store.put(key.into(), vec![1].into()).await.expect("written");
    }
    store.delete(vec!["a/b/c/1".into(), "d/e/3".into()]).await.expect("deleted");
    assert!(!directory.path().join("a/b").exists());
    assert!(!directory.path().join("d").exists());
    assert!(directory.path().join("a/2").exists());
}

#[tokio::test]
async fn what_a_killed_server_left_is_cleaned_when_it_is_old() {
    let (directory, store) = store();
    store.put("kept".into(), vec![1].into()).await.expect("written");
    fs::write(directory.path().join(".tmp/put-abc"), "half").expect("written");
    let earlier = SystemTime::now() - Duration::from_secs(3600);
    assert_eq!(store.clean(earlier).await.expect("cleaned"), 0);
    assert!(directory.path().join(".tmp/put-abc").exists());
    assert_eq!(store.clean(later()).await.expect("cleaned"), 1);
    assert!(!directory.path().join(".tmp/put-abc").exists());
    assert_eq!(keys(&store).await, ["kept"]);
}
