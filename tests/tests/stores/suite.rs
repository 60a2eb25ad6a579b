//! What every store does in the same way.

use std::time::{Duration, SystemTime};

use switchback_server::{error::Result, object_store::Listing};
use tokio::task::JoinSet;

use crate::{Kind, Store};

/// Makes a test of each check for each kind of store.
macro_rules! conform {
    ($($kind:ident $module:ident: $($check:ident)*;)*) => {
        $(mod $module {
            $(#[tokio::test]
            async fn $check() {
                let Some((store, _kept)) = super::Kind::$kind.open().await else { return };
                super::$check(&store).await;
            })*
        })*
    };
}

conform! {
    Directory directory: an_object_is_kept a_name_has_one_object long_objects_are_kept
        lists_are_in_the_order_of_bytes long_lists_have_pages names_stay_below_the_place
        writers_of_one_name_leave_one_whole_object nothing_is_left_to_clean;
    Moto moto: an_object_is_kept a_name_has_one_object long_objects_are_kept
        lists_are_in_the_order_of_bytes long_lists_have_pages names_stay_below_the_place
        writers_of_one_name_leave_one_whole_object nothing_is_left_to_clean;
    Garage garage: an_object_is_kept a_name_has_one_object long_objects_are_kept
        lists_are_in_the_order_of_bytes long_lists_have_pages names_stay_below_the_place
        writers_of_one_name_leave_one_whole_object nothing_is_left_to_clean;
}

/// Bytes that no part of repeats at the length of a part.
pub(crate) fn content(bytes: usize, seed: usize) -> Vec<u8> {
    (0..bytes).map(|at| ((at + seed) % 251).to_le_bytes()[0]).collect()
}

/// A store's clock and ours may be a little apart.
const APART: Duration = Duration::from_secs(5);

async fn put(store: &Store, key: &str, content: &[u8]) {
    store.put(key.into(), content.to_vec().into()).await.expect("it is written");
}

async fn get(store: &Store, key: &str) -> Option<Vec<u8>> {
    store.get(key.into()).await.expect("it is read").map(|content| content.to_vec())
}

async fn list(store: &Store, prefix: &str, after: &str) -> Vec<String> {
    let Listing { objects, more } =
        store.list(prefix.into(), after.into()).await.expect("it is listed");
    assert!(!more);
    objects.into_iter().map(|object| object.key).collect()
}

async fn an_object_is_kept(store: &Store) {
    let before = SystemTime::now() - APART;
    for (key, content) in [("a/b.c/D-1_2", &b"content"[..]), ("empty", b""), ("zero", b"\0\r\n")] {
        assert_eq!(get(store, key).await, None);
        assert_eq!(store.head(key.into()).await.expect("asked"), None);
        put(store, key, content).await;
        assert_eq!(get(store, key).await.as_deref(), Some(content));
        let info = store.head(key.into()).await.expect("asked").expect("it is there");
        assert_eq!((info.key.as_str(), info.bytes), (key, content.len() as u64));
        assert!(before < info.modified && info.modified < SystemTime::now() + APART);
        let listed = store.list(key.into(), String::new()).await.expect("listed").objects;
        assert_eq!(listed.len(), 1);
        assert_eq!((&listed[0].key, listed[0].bytes), (&info.key, info.bytes));
        let difference = match listed[0].modified.duration_since(info.modified) {
            Ok(later) => later,
            Err(earlier) => earlier.duration(),
        };
        // A HEAD tells whole seconds.
        assert!(difference < Duration::from_secs(1), "{difference:?}");
    }
    // What stands before a slash is no object.
    assert_eq!(get(store, "a/b.c").await, None);
    assert_eq!(store.head("a".into()).await.expect("asked"), None);
    assert_eq!(get(store, "empty/below").await, None);
}

async fn a_name_has_one_object(store: &Store) {
    for content in [&b"first and long"[..], b"second", b""] {
        put(store, "one/name", content).await;
        assert_eq!(get(store, "one/name").await.as_deref(), Some(content));
    }
    put(store, "another", b"stays").await;
    let keys = vec!["one/name".to_owned(), "never/was".to_owned()];
    for _ in 0..2 {
        store.delete(keys.clone()).await.expect("deleted");
        assert_eq!(get(store, "one/name").await, None);
    }
    store.delete(vec!["never/was".into()]).await.expect("deleted");
    store.delete(Vec::new()).await.expect("nothing to delete");
    assert_eq!(list(store, "", "").await, ["another"]);
    put(store, "one/name", b"again").await;
    assert_eq!(list(store, "", "").await, ["another", "one/name"]);
}

async fn long_objects_are_kept(store: &Store) {
    // A part and a byte less and more, and the length of a part that is not the last.
    let part = 8 << 20;
    for bytes in [part - 1, part, part + 1, (20 << 20) + 17] {
        let content = content(bytes, bytes);
        put(store, "long", &content).await;
        let info = store.head("long".into()).await.expect("asked").expect("it is there");
        assert_eq!(info.bytes, bytes as u64);
        assert!(get(store, "long").await.is_some_and(|got| got == content), "{bytes} bytes");
    }
}

async fn lists_are_in_the_order_of_bytes(store: &Store) {
    let keys = ["A", "a-b/1", "a.b/1", "a/0", "a/1", "a/b/c", "a0/1", "ab", "b"];
    for key in keys.iter().rev() {
        put(store, key, b"x").await;
    }
    assert_eq!(list(store, "", "").await, keys);
    assert_eq!(list(store, "a", "").await, keys[1..8]);
    assert_eq!(list(store, "a/", "").await, ["a/0", "a/1", "a/b/c"]);
    assert_eq!(list(store, "a/b", "").await, ["a/b/c"]);
    assert_eq!(list(store, "a/", "a/0").await, ["a/1", "a/b/c"]);
    assert_eq!(list(store, "a/", "a/1").await, ["a/b/c"]);
    assert_eq!(list(store, "", "a/b/c").await, ["a0/1", "ab", "b"]);
    // What one goes on behind need not be there.
    assert_eq!(list(store, "a", "a/05").await, ["a/1", "a/b/c", "a0/1", "ab"]);
    assert_eq!(list(store, "a", "b").await, [""; 0]);
    assert_eq!(list(store, "c", "").await, [""; 0]);
}

async fn long_lists_have_pages(store: &Store) {
    const OBJECTS: usize = 1_050;
    let keys: Vec<String> = (0..OBJECTS).map(|n| format!("many/{:02}/{n:04}", n % 7)).collect();
    let mut writing = JoinSet::new();
    for key in keys.clone() {
        let store = store.clone();
        if writing.len() == 16 {
            writing.join_next().await;
        }
        writing.spawn(async move { put(&store, &key, key.as_bytes()).await });
    }
    writing.join_all().await;

    let (mut found, mut after, mut pages) = (Vec::new(), String::new(), 0);
    loop {
        let page = store.list("many/".into(), after).await.expect("listed");
        assert!(!page.objects.is_empty());
        pages += 1;
        after = page.objects.last().expect("not empty").key.clone();
        found.extend(page.objects.into_iter().map(|object| object.key));
        if !page.more {
            break;
        }
    }
    let mut sorted = keys.clone();
    sorted.sort_unstable();
    assert_eq!((found, pages), (sorted, 2));

    store.delete(keys).await.expect("deleted");
    assert_eq!(list(store, "", "").await, [""; 0]);
}

async fn names_stay_below_the_place(store: &Store) {
    let long = "x".repeat(300);
    for key in [
        "",
        "/",
        "/etc/x",
        "a/",
        "a//b",
        ".",
        "..",
        "../out",
        "a/../../out",
        "a/./b",
        "a b",
        "ä",
        "a\\b",
        "a\0b",
        "a%2e",
        ".tmp/x",
        &long,
    ] {
        let key = key.to_owned();
        assert!(store.put(key.clone(), vec![1].into()).await.is_err(), "put {key:?}");
        assert!(store.get(key.clone()).await.is_err(), "get {key:?}");
        assert!(store.head(key.clone()).await.is_err(), "head {key:?}");
        assert!(store.delete(vec!["sound".into(), key.clone()]).await.is_err(), "delete {key:?}");
    }
    assert_eq!(list(store, "", "").await, [""; 0]);
}

async fn writers_of_one_name_leave_one_whole_object(store: &Store) {
    for round in 0..5 {
        let mut writing = JoinSet::new();
        for writer in 0..8 {
            let store = store.clone();
            let content = content(10_000 + writer * 1_000, writer + round);
            writing.spawn(async move {
                put(&store, "both/same", &content).await;
                // Others may delete what is beside it, and with it the directory.
                put(&store, &format!("both/{writer}"), b"x").await;
                store.delete(vec![format!("both/{writer}")]).await
            });
        }
        let deleted: Result<Vec<()>> = writing.join_all().await.into_iter().collect();
        deleted.expect("deleted");
        let got = get(store, "both/same").await.expect("it is there");
        let whole = (0..8).any(|writer| got == content(10_000 + writer * 1_000, writer + round));
        assert!(whole, "{} bytes of nobody", got.len());
        store.delete(vec!["both/same".into()]).await.expect("deleted");
    }
}

async fn nothing_is_left_to_clean(store: &Store) {
    let later = SystemTime::now() + Duration::from_secs(3600);
    assert_eq!(store.clean(later).await.expect("cleaned"), 0);
    put(store, "kept", &content(9 << 20, 0)).await;
    assert_eq!(store.clean(later).await.expect("cleaned"), 0);
    assert!(get(store, "kept").await.is_some());
}
