use futures_util::future::join_all;

use super::*;
use crate::{backup::index, error::Error};

fn unreachable() -> Error {
    Error::new(Reason::StoreUnreachable, "the store does not answer").hint("wait")
}

#[tokio::test]
async fn what_is_stored_comes_back_and_is_stored_once() {
    let (store, repository) = plain();
    let mut data = contents(0..20);
    let counts = back_up(&repository, 1, &data).await;
    assert_eq!(restored(&repository, 1).await.unwrap(), data);
    // With the index chunk.
    assert_eq!((counts.chunks, store.names("chunks/").len()), (21, 21));
    store.written("");
    let counts = back_up(&repository, 2, &data).await;
    assert_eq!((counts.bytes_uploaded, counts.bytes_deduplicated), (0, counts.bytes_read));
    assert!(store.written("chunks/").is_empty());
    data[7] = b"changed".into();
    let counts = back_up(&repository, 3, &data).await;
    assert_eq!(store.written("chunks/").len(), 2);
    assert!(counts.bytes_uploaded > 0 && counts.bytes_deduplicated > 0);
    assert_eq!(restored(&repository, 3).await.unwrap(), data);
    assert!(store.names("running/").is_empty());
}

#[tokio::test]
async fn a_content_that_comes_twice_at_once_is_stored_once() {
    let (store, repository) = plain();
    let writer = Arc::new(begin(&repository, 1).await.unwrap());
    let seen = Arc::clone(&writer);
    store.before(Op::Put, "chunks/", move || async move {
        while seen.counts().chunks < 5 {
            tokio::task::yield_now().await;
        }
        Ok(())
    });
    let puts = join_all((0..5).map(|_| writer.put(b"the same".into()))).await;
    let chunks: Vec<ChunkRef> = puts.into_iter().map(Result::unwrap).collect();
    assert!(chunks.iter().all(|chunk| *chunk == chunks[0]));
    assert_eq!(store.written("chunks/").len(), 1);
    assert_eq!(writer.counts().bytes_deduplicated, 4 * 8);
}

#[tokio::test]
async fn the_first_failure_ends_it_for_all() {
    let (store, repository) = plain();
    let writer = Arc::new(begin(&repository, 1).await.unwrap());
    let seen = Arc::clone(&writer);
    store.before(Op::Put, "chunks/", move || async move {
        while seen.counts().chunks < 5 {
            tokio::task::yield_now().await;
        }
        Err(unreachable())
    });
    for put in join_all((0..5).map(|_| writer.put(b"the same".into()))).await {
        assert_eq!(failure(put), (Reason::StoreUnreachable, "the store does not answer".into()));
    }
    let reason = |result| failure(result).0;
    assert_eq!(reason(writer.put(b"another".into()).await), Reason::StoreUnreachable);
    let nothing = manifest(&day(1), &[], Vec::new());
    assert_eq!(failure(writer.finish(&nothing).await).0, Reason::StoreUnreachable);
    assert!(store.names("chunks/").is_empty() && store.names("backups/").is_empty());
}

#[tokio::test]
async fn a_put_that_was_given_up_is_taken_over() {
    let (store, repository) = plain();
    let writer = begin(&repository, 1).await.unwrap();
    let (began, begun) = tokio::sync::oneshot::channel();
    store.before(Op::Put, "chunks/", move || async move {
        began.send(()).unwrap();
        std::future::pending().await
    });
    let mut second = Box::pin(async {
        begun.await.unwrap();
        writer.put(b"the same".into()).await.unwrap()
    });
    let both_wait = async {
        while writer.counts().chunks < 2 {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        _ = writer.put(b"the same".into()) => panic!("it hangs"),
        _ = &mut second => panic!("it waits for the first one"),
        () = both_wait => {}
    }
    assert_eq!(within(second).await.id, writer.id(b"the same"));
    assert_eq!(store.names("chunks/").len(), 1);
}

#[tokio::test]
async fn what_an_interrupted_backup_has_stored_is_not_stored_again() {
    for is_stale in [false, true] {
        let (store, repository) = plain();
        back_up(&repository, 1, &contents(0..3)).await;
        let interrupted = begin(&repository, 2).await.unwrap();
        let manifest = fill(&interrupted, 2, &contents(0..9)).await.unwrap();
        drop(interrupted);
        if is_stale {
            store.pass(LONG);
        }
        store.written("");
        let counts = back_up(&repository, 3, &contents(0..9)).await;
        assert_eq!((counts.chunks, counts.bytes_uploaded), (10, 0));
        assert!(store.written("chunks/").is_empty());
        assert_eq!(restored(&repository, 3).await.unwrap(), contents(0..9));
        let left = if is_stale { 0 } else { 1 };
        assert_eq!(store.names("running/").len(), left);
        assert_ne!(manifest.backup_id, day(3));
    }
}

#[tokio::test]
async fn the_first_backup_finds_what_one_before_it_has_left_without_a_mark() {
    let (store, repository) = plain();
    let writer = begin(&repository, 1).await.unwrap();
    fill(&writer, 1, &contents(0..4)).await.unwrap();
    writer.abandon().await;
    assert!(store.names("running/").is_empty() && store.names("backups/").is_empty());
    assert_eq!(back_up(&repository, 2, &contents(0..4)).await.bytes_uploaded, 0);
}

#[tokio::test]
async fn a_damaged_manifest_is_passed_over_for_an_older_one() {
    let (store, repository) = plain();
    back_up(&repository, 1, &contents(0..4)).await;
    back_up(&repository, 2, &contents(0..4)).await;
    store.change(&crate::backup::names::manifest(APP, &day(2)), Vec::clear);
    assert_eq!(back_up(&repository, 3, &contents(0..4)).await.bytes_uploaded, 0);
}

#[tokio::test]
async fn a_cancelled_backup_stores_nothing_more() {
    let (store, repository) = plain();
    let cancel = CancellationToken::new();
    let writer = repository.begin(APP, &day(1), &cancel).await.unwrap();
    let manifest = fill(&writer, 1, &contents(0..2)).await.unwrap();
    cancel.cancel();
    assert_eq!(failure(writer.put(b"more".into()).await).0, Reason::Cancelled);
    assert_eq!(failure(writer.finish(&manifest).await).0, Reason::Cancelled);
    assert!(store.names("backups/").is_empty());
}

#[tokio::test]
async fn a_manifest_of_another_backup_is_a_defect() {
    let (_, repository) = plain();
    let writer = begin(&repository, 1).await.unwrap();
    let other = manifest(&day(2), &[], Vec::new());
    assert_eq!(failure(writer.finish(&other).await).0, Reason::Internal);
    let too_much = vec![0; crate::backup::chunk::LARGEST + 1];
    assert_eq!(failure(writer.put(too_much).await).0, Reason::Internal);
}

#[tokio::test]
async fn a_long_list_has_several_index_chunks() {
    let (_, repository) = plain();
    let writer = begin(&repository, 1).await.unwrap();
    let chunk = writer.put(b"content".into()).await.unwrap();
    for (count, sizes) in [
        (0, &[][..]),
        (1, &[1]),
        (index::ENTRIES, &[index::ENTRIES]),
        (2 * index::ENTRIES + 5, &[index::ENTRIES, index::ENTRIES, 5]),
    ] {
        let mut list = IndexWriter::new(&writer);
        for _ in 0..count {
            list.push(chunk).await.unwrap();
        }
        let list = list.finish().await.unwrap();
        let batches: Vec<_> = read_index(&repository, &list).try_collect().await.unwrap();
        assert_eq!(batches.iter().map(Vec::len).collect::<Vec<_>>(), sizes);
        assert!(batches.iter().flatten().all(|read| *read == chunk));
    }
    for wrong in [&b"SWBI\x01\0\0\0rest"[..], b"SWBI\x02\0\0\0", b""] {
        let chunk = writer.put(wrong.into()).await.unwrap();
        let read = index::read_one(&repository, chunk).await;
        let expected = format!("chunk {} is not an index of chunks", chunk.id);
        assert_eq!(failure(read), (Reason::BackupDamaged, expected));
    }
}
