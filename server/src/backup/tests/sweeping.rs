use super::*;
use crate::backup::{marks::STALE, names, sweep::Swept};

#[tokio::test]
async fn what_no_backup_needs_is_deleted_when_it_is_old() {
    let (store, repository) = plain();
    back_up(&repository, 1, &contents(0..6)).await;
    let needed = store.names("chunks/");
    back_up(&repository, 2, &contents(3..12)).await;
    let other = repository.begin("other", &day(1), &CancellationToken::new()).await.unwrap();
    let shared = fill(&other, 1, &contents(6..7)).await.unwrap();
    let of_other = crate::backup::manifest::Manifest { database: "other".into(), ..shared };
    other.finish(&of_other).await.unwrap();
    let all = store.names("chunks/");
    store.put("chunks/plain/readme".into(), "nobody's".into()).await.unwrap();
    store.put("running/left".into(), "".into()).await.unwrap();
    store.put("sweeping/left".into(), "".into()).await.unwrap();
    store.put(names::verified(APP, &day(7)), "".into()).await.unwrap();
    let deleted = repository.delete(APP, &day(2), &CancellationToken::new()).await.unwrap();
    // The mark may be of somebody who lives.
    assert_eq!(failure(deleted.swept).0, Reason::StoreBusy);
    assert_eq!(repository.list(APP, "", 9).await.unwrap().len(), 1);
    store.lose("running/left");
    let young = sweep(&repository).await.unwrap();
    assert_eq!((young.chunks, store.names("chunks/").len()), (0, all.len() + 1));
    store.put("running/left".into(), "".into()).await.unwrap();
    store.pass(LONG);
    let swept = sweep(&repository).await.unwrap();
    // Of `3..12`: `7..12` and the index. `6` is the other database's too.
    assert_eq!((swept.chunks, swept.leftovers), (6, 2 + 2));
    let left: Vec<String> = store.names("chunks/");
    assert!(needed.iter().all(|name| left.contains(name)));
    assert!(left.contains(&"chunks/plain/readme".into()));
    assert_eq!(restored(&repository, 1).await.unwrap(), contents(0..6));
    let (running, sweeping) = (store.names("running/"), store.names("sweeping/"));
    assert!(running.is_empty() && sweeping.is_empty(), "{running:?} {sweeping:?}");
    assert!(store.names("backups/app/20261107").is_empty());
    let age = store.now().duration_since(store.cleaned().unwrap()).unwrap();
    assert!(age >= STALE && age < STALE * 2, "{age:?}");
    assert_eq!(sweep(&repository).await.unwrap(), Swept { leftovers: 2, ..Swept::default() });
}

#[tokio::test]
async fn what_cannot_be_read_stops_a_sweep_until_it_is_deleted() {
    for (part, is_key) in [("manifest", false), ("index", false), ("manifest", true)] {
        let store = Arc::<Memory>::default();
        let writer = repository(&store, keys(&["01"]));
        back_up(&writer, 1, &contents(0..4)).await;
        back_up(&writer, 2, &contents(2..9)).await;
        let manifest = writer.manifest(APP, &day(1)).await.unwrap();
        writer.forget(APP, &day(2)).await.unwrap();
        store.pass(LONG);
        let chunks = store.names("chunks/");
        let index = manifest.sqlite.unwrap().index[0];
        let server = match (part, is_key) {
            (_, true) => repository(&store, keys(&["02"])),
            ("index", _) => {
                let name = names::chunk(writer.keys.first().id(), index.id);
                store.change(&name, |bytes| bytes[60] ^= 1);
                writer
            }
            _ => {
                store.change(&names::manifest(APP, &day(1)), |bytes| bytes.truncate(50));
                writer
            }
        };
        let error = sweep(&server).await.unwrap_err();
        let reason = if is_key { Reason::BackupKey } else { Reason::BackupDamaged };
        assert_eq!(error.reason(), reason, "{part}");
        let needs = if part == "index" { index.id.to_string() } else { day(1) };
        assert!(error.to_string().contains(&needs), "{error}");
        assert!(is_key || error.hint_text().contains(&day(1)), "{}", error.hint_text());
        assert_eq!(store.names("chunks/"), chunks);
        assert!(store.names("sweeping/").is_empty());
        let deleted = server.delete(APP, &day(1), &CancellationToken::new()).await.unwrap();
        assert_eq!(deleted.swept.unwrap().chunks, chunks.len() as u64);
        assert!(store.names("chunks/").is_empty());
    }
}

#[tokio::test]
async fn a_backup_is_deleted_once_and_its_manifest_first() {
    let (store, repository) = plain();
    back_up(&repository, 1, &contents(0..4)).await;
    let cancel = CancellationToken::new();
    repository.verify(APP, &day(1), &cancel, &|_| {}).await.unwrap();
    let seen = Arc::clone(&store);
    store.before(Op::Delete, "backups/app/20261101T174200Z-3fa29c/verified", move || async move {
        assert!(seen.names("backups/").iter().all(|name| name.ends_with("/verified")));
        Ok(())
    });
    assert_eq!(repository.delete(APP, &day(1), &cancel).await.unwrap().swept.unwrap().chunks, 0);
    assert!(store.names("backups/").is_empty());
    for id in [&day(1), "..", "x"] {
        let (reason, _) = failure(repository.delete(APP, id, &cancel).await);
        assert_eq!(reason, Reason::UnknownBackup);
    }
    cancel.cancel();
    assert_eq!(failure(repository.sweep(&cancel).await).0, Reason::Cancelled);
    assert!(store.names("sweeping/").is_empty());
}
