use std::sync::Mutex;

use super::*;
use crate::{
    backup::{
        names,
        verify::{Progress, Verification},
    },
    error::Error,
};

async fn verify(repository: &Repository, number: u32) -> Result<Verification> {
    repository.verify(APP, &day(number), &CancellationToken::new(), &|_| {}).await
}

#[tokio::test]
async fn a_whole_backup_is_read_once_and_recorded() {
    let (store, repository) = plain();
    let mut data = contents(0..30);
    data.extend(contents(0..30));
    back_up(&repository, 1, &data).await;
    assert!(repository.list(APP, "", 1).await.unwrap()[0].verified.is_none());
    let told = Mutex::new(Vec::new());
    let progress = |progress: Progress| told.lock().unwrap().push(progress);
    let cancel = CancellationToken::new();
    let found = repository.verify(APP, &day(1), &cancel, &progress).await.unwrap();
    assert!(found.problems.is_empty() && found.verified.is_whole());
    assert_eq!(found.verified.chunks, 31);
    let told = told.into_inner().unwrap();
    assert!(told.is_sorted_by_key(|progress| progress.chunks));
    let last = told.last().unwrap();
    let bytes_total: usize = data.iter().map(Vec::len).sum();
    assert_eq!((last.chunks, last.bytes_total), (31, bytes_total as u64));
    let listed = repository.list(APP, "", 1).await.unwrap().remove(0);
    assert_eq!(listed.verified, Some(found.verified));
    let record = store.read(&names::verified(APP, &day(1)));
    assert!(!String::from_utf8(record).unwrap().contains("damaged"));
}

#[tokio::test]
async fn what_is_damaged_is_named_and_the_next_backup_mends_it() {
    let (store, repository) = plain();
    let data = contents(0..40);
    back_up(&repository, 1, &data).await;
    let manifest = repository.manifest(APP, &day(1)).await.unwrap();
    let list = chunks(&repository, &manifest).await.unwrap();
    let name = |number: usize| names::chunk(repository.keys.first().id(), list[number].id);
    for number in 0..10 {
        store.lose(&name(number));
        store.change(&name(10 + number), |bytes| bytes[60] ^= 1);
        store.change(&name(20 + number), |bytes| bytes.truncate(70));
    }
    let found = verify(&repository, 1).await.unwrap();
    assert_eq!((found.verified.chunks, found.verified.damaged_chunks), (41, 30));
    assert_eq!(found.problems.len(), 20);
    for problem in &found.problems {
        assert_eq!(problem.reason(), Reason::BackupDamaged);
        let names_one = |chunk: &ChunkRef| problem.to_string().contains(&chunk.id.to_string());
        assert!(list[..30].iter().any(names_one), "{problem}");
    }
    store.written("");
    back_up(&repository, 2, &data).await;
    assert_eq!(store.written("chunks/").len(), 30);
    for number in [1, 2] {
        assert_eq!(restored(&repository, number).await.unwrap(), data);
    }
    // What was stored since then is counted on, though the record still stands.
    assert_eq!(back_up(&repository, 3, &data).await.bytes_uploaded, 0);
    assert!(verify(&repository, 1).await.unwrap().verified.is_whole());
}

#[tokio::test]
async fn of_a_damaged_index_the_rest_is_read() {
    let (store, repository) = plain();
    let writer = begin(&repository, 1).await.unwrap();
    let mut index = fill(&writer, 1, &contents(0..5)).await.unwrap().sqlite.unwrap().index;
    let rest = fill(&writer, 1, &contents(5..8)).await.unwrap().sqlite.unwrap().index;
    let damaged = names::chunk(repository.keys.first().id(), index[0].id);
    index.extend(rest);
    // Two tables that are alike share their list.
    index.push(index[0]);
    writer.finish(&manifest(&day(1), &contents(0..8), index.clone())).await.unwrap();
    store.change(&damaged, |bytes| bytes[60] ^= 1);
    let found = verify(&repository, 1).await.unwrap();
    assert_eq!((found.verified.chunks, found.problems.len()), (2 + 3, 1));
    assert!(found.problems[0].to_string().contains(&index[0].id.to_string()));
}

#[tokio::test]
async fn what_keeps_it_from_reading_is_no_damage() {
    let (store, repository) = plain();
    back_up(&repository, 1, &contents(0..5)).await;
    store.before(Op::Get, "chunks/", || async {
        Err(Error::new(Reason::StoreUnreachable, "the store does not answer"))
    });
    assert_eq!(failure(verify(&repository, 1).await).0, Reason::StoreUnreachable);
    let cancel = CancellationToken::new();
    let stop = |_| cancel.cancel();
    let found = repository.verify(APP, &day(1), &cancel, &stop).await;
    assert_eq!(failure(found).0, Reason::Cancelled);
    let (beside, other) = (repository.clone(), repository.clone());
    store.before(Op::Get, "chunks/", move || async move { beside.forget(APP, &day(1)).await });
    assert_eq!(failure(verify(&other, 1).await).0, Reason::UnknownBackup);
    assert!(store.names("backups/").is_empty());
    assert_eq!(failure(verify(&repository, 2).await).0, Reason::UnknownBackup);
}
