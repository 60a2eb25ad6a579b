use super::*;
use crate::backup::names;

/// A backup whose only content is changed by `change`; what reading it says, and the chunk's id.
async fn read_after(change: impl FnOnce(&Memory, &str)) -> (Reason, String, String) {
    let (store, repository) = plain();
    back_up(&repository, 1, &contents(0..2)).await;
    let manifest = repository.manifest(APP, &day(1)).await.unwrap();
    let chunk = chunks(&repository, &manifest).await.unwrap()[0];
    let key = repository.keys.first().id();
    change(&store, &names::chunk(key, chunk.id));
    let (reason, message) = failure(restored(&repository, 1).await);
    (reason, message, chunk.id.to_string())
}

#[tokio::test]
async fn what_is_wrong_with_a_chunk_is_named() {
    let truncate = |store: &Memory, name: &str| store.change(name, |bytes| bytes.truncate(99));
    let flip = |store: &Memory, name: &str| store.change(name, |bytes| bytes[70] ^= 1);
    let swap = |store: &Memory, name: &str| {
        let all = store.names("chunks/");
        let other = store.read(all.iter().find(|other| *other != name).unwrap());
        store.change(name, |bytes| *bytes = other);
    };
    for (result, what) in [
        (read_after(|store, name| store.lose(name)).await, "missing"),
        (read_after(truncate).await, "truncated"),
        (read_after(flip).await, "damaged"),
        (read_after(swap).await, "damaged"),
    ] {
        let (reason, message, id) = result;
        assert_eq!(reason, Reason::BackupDamaged);
        assert_eq!(message, format!("chunk {id} is {what}"));
    }
}

/// As somebody can make it who writes to the store and needs no key.
#[tokio::test]
async fn a_sealed_chunk_with_another_content_is_noticed() {
    let (store, repository) = plain();
    back_up(&repository, 1, &contents(0..1)).await;
    let manifest = repository.manifest(APP, &day(1)).await.unwrap();
    let chunk = chunks(&repository, &manifest).await.unwrap()[0];
    let (kind, key) = (crate::backup::seal::Kind::Chunk, repository.keys.first());
    let other = vec![0; chunk.length as usize];
    let forged = crate::backup::seal::seal(kind, &chunk.id.to_string(), &other, key).unwrap();
    store.change(&names::chunk(key.id(), chunk.id), |bytes| *bytes = forged);
    let (reason, message) = failure(restored(&repository, 1).await);
    assert_eq!(reason, Reason::BackupDamaged);
    assert_eq!(message, format!("chunk {} is not what its name says", chunk.id));
    let shorter = ChunkRef { length: chunk.length - 1, ..chunk };
    assert_eq!(failure(repository.get(shorter).await).0, Reason::BackupDamaged);
}

#[tokio::test]
async fn what_is_wrong_with_a_manifest_is_named_and_hides_no_other() {
    let (store, repository) = plain();
    for number in 1..=6 {
        back_up(&repository, number, &contents(0..2)).await;
    }
    let name = |number| names::manifest(APP, &day(number));
    store.change(&name(1), |bytes| bytes.truncate(60));
    store.change(&name(2), |bytes| bytes[60] ^= 1);
    let other = store.read(&name(6));
    store.change(&name(3), |bytes| *bytes = other);
    store.change(&name(4), |bytes| bytes[4] = 2);
    store.lose(&name(5));
    for (number, reason, what) in [
        (1, Reason::BackupDamaged, "truncated"),
        (2, Reason::BackupDamaged, "damaged"),
        (3, Reason::BackupDamaged, "damaged"),
        (4, Reason::StoreNewer, "format 2"),
        (5, Reason::UnknownBackup, "no backup"),
    ] {
        let (found, message) = failure(repository.manifest(APP, &day(number)).await);
        assert!(found == reason && message.contains(what), "{message}");
        assert!(message.contains(&day(number)), "{message}");
    }
    let listed = repository.list(APP, "", 99).await.unwrap();
    let ids: Vec<&str> = listed.iter().map(|listed| listed.backup_id.as_str()).collect();
    assert_eq!(ids, [day(6), day(4), day(3), day(2), day(1)]);
    let whole = listed.iter().filter(|listed| listed.summary.is_ok()).count();
    assert_eq!(whole, 1);
}

#[tokio::test]
async fn backups_of_one_database_are_listed_newest_first() {
    let (store, repository) = plain();
    for number in [2, 1, 3] {
        back_up(&repository, number, &contents(0..2)).await;
    }
    store.put(names::manifest("app2", &day(9)), "of another".into()).await.unwrap();
    store.put("backups/app/readme/manifest".into(), "no backup".into()).await.unwrap();
    let ids = async |after: &str, limit| -> Vec<String> {
        let listed = repository.list(APP, after, limit).await.unwrap();
        listed.into_iter().map(|listed| listed.backup_id).collect()
    };
    assert_eq!(ids("", 99).await, [day(3), day(2), day(1)]);
    assert_eq!(ids("", 2).await, [day(3), day(2)]);
    assert_eq!(ids(&day(2), 99).await, [day(1)]);
    assert!(repository.list("..", "", 9).await.unwrap().is_empty());
    let summary = repository.list(APP, "", 1).await.unwrap().remove(0).summary.unwrap();
    assert_eq!((summary.epoch, summary.chunks, summary.key.to_string()), (3, 2, "plain".into()));
    // Names of a request do not lead elsewhere.
    for (database, id) in [("..", day(1)), (APP, "../app/x".into()), ("a/b", day(1))] {
        let (reason, _) = failure(repository.manifest(database, &id).await);
        assert_eq!(reason, Reason::UnknownBackup);
    }
}

#[tokio::test]
async fn a_store_of_a_newer_version_is_refused() {
    let (store, repository) = plain();
    repository.open().await.unwrap();
    assert_eq!(store.read(names::STORE), br#"{"format":1}"#);
    store.change(names::STORE, |bytes| *bytes = br#"{"format": 1, "more": 2}"#.into());
    repository.open().await.unwrap();
    store.change(names::STORE, |bytes| *bytes = br#"{"format": 2}"#.into());
    let (reason, message) = failure(repository.open().await);
    assert!(reason == Reason::StoreNewer && message.contains("format 2"), "{message}");
    store.change(names::STORE, Vec::clear);
    assert_eq!(failure(repository.open().await).0, Reason::BackupDamaged);
}

#[tokio::test]
async fn a_key_is_rotated_and_the_old_one_is_needed_for_what_it_has_made() {
    let store = Arc::<Memory>::default();
    let data = contents(0..5);
    let first = repository(&store, keys(&["01"]));
    back_up(&first, 1, &data).await;
    let both = repository(&store, keys(&["02", "01"]));
    assert_eq!(restored(&both, 1).await.unwrap(), data);
    let counts = back_up(&both, 2, &data).await;
    assert_eq!((counts.chunks, counts.bytes_deduplicated), (6, 0));
    assert_eq!(back_up(&both, 3, &data).await.bytes_uploaded, 0);
    for number in 1..=3 {
        assert_eq!(restored(&both, number).await.unwrap(), data);
    }
    let second = repository(&store, keys(&["02"]));
    assert_eq!(restored(&second, 2).await.unwrap(), data);
    let (reason, message) = failure(restored(&second, 1).await);
    assert_eq!(reason, Reason::BackupKey);
    assert!(message.contains(&keys(&["01"]).first().id().to_string()), "{message}");
    // No name and no object has the content or its plain hash.
    let hash = blake3::hash(&data[0]).to_hex();
    assert!(store.names("").iter().all(|name| !name.contains(hash.as_str())));
    let objects = store.names("chunks/");
    assert!(
        objects.iter().all(|name| !store.read(name).windows(9).any(|part| part == b"content 0"))
    );
}
