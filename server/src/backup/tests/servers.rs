//! Servers that share a store and meet at every bad moment.

use tokio::{sync::oneshot, task::JoinHandle};

use super::*;

/// Begins a backup in the background; it has looked for sweeps when this returns.
async fn begin_beside(store: &Arc<Memory>, repository: &Repository) -> JoinHandle<Result<Writer>> {
    let (looked, has_looked) = oneshot::channel();
    store.before(Op::List, "sweeping/", move || async move {
        looked.send(()).unwrap();
        Ok(())
    });
    let repository = repository.clone();
    let begun = tokio::spawn(async move { begin(&repository, 2).await });
    within(has_looked).await.unwrap();
    begun
}

/// A store with a backup and with chunks that nobody needs, old enough to go.
async fn with_unneeded() -> (Arc<Memory>, Repository, usize) {
    let (store, repository) = plain();
    back_up(&repository, 1, &contents(0..3)).await;
    let needed = store.names("chunks/").len();
    let writer = begin(&repository, 9).await.unwrap();
    fill(&writer, 9, &contents(3..9)).await.unwrap();
    writer.abandon().await;
    store.pass(LONG);
    (store, repository, needed)
}

#[tokio::test]
async fn a_sweep_that_comes_while_a_backup_begins_gives_way() {
    let (store, repository, _) = with_unneeded().await;
    let chunks = store.names("chunks/");
    let beside = repository.clone();
    store.before(Op::List, "sweeping/", move || async move {
        assert_eq!(failure(sweep(&beside).await).0, Reason::StoreBusy);
        Ok(())
    });
    let writer = begin(&repository, 2).await.unwrap();
    assert_eq!(failure(sweep(&repository).await).0, Reason::StoreBusy);
    assert_eq!(store.names("chunks/"), chunks);
    assert!(store.names("sweeping/").is_empty());
    writer.abandon().await;
    assert!(sweep(&repository).await.unwrap().chunks > 0);
}

#[tokio::test]
async fn a_backup_that_begins_before_the_sweep_has_looked_goes_first() {
    let (store, repository, _) = with_unneeded().await;
    let chunks = store.names("chunks/");
    let (begun, has_begun) = oneshot::channel();
    let (beside, other) = (Arc::clone(&store), repository.clone());
    store.before(Op::List, "running/", move || async move {
        begun.send(begin_beside(&beside, &other).await).unwrap();
        Ok(())
    });
    assert_eq!(failure(sweep(&repository).await).0, Reason::StoreBusy);
    assert_eq!(store.names("chunks/"), chunks);
    within(within(has_begun).await.unwrap()).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_backup_that_begins_after_that_waits_and_does_not_count_on_what_goes() {
    let (store, repository, needed) = with_unneeded().await;
    let (begun, has_begun) = oneshot::channel();
    let (beside, other) = (Arc::clone(&store), repository.clone());
    store.before(Op::List, "backups/", move || async move {
        begun.send(begin_beside(&beside, &other).await).unwrap();
        Ok(())
    });
    // It would find the chunks by a listing, as the mark says that a backup was interrupted.
    let other = format!("running/{}", day(8));
    store.put(other, br#"{"database": "app"}"#[..].into()).await.unwrap();
    store.pass(LONG);
    assert!(sweep(&repository).await.unwrap().chunks > 0);
    assert_eq!(store.names("chunks/").len(), needed);
    let writer = within(within(has_begun).await.unwrap()).await.unwrap().unwrap();
    assert!(store.names("sweeping/").is_empty());
    let manifest = fill(&writer, 2, &contents(0..9)).await.unwrap();
    writer.finish(&manifest).await.unwrap();
    assert_eq!(restored(&repository, 2).await.unwrap(), contents(0..9));
}

#[tokio::test]
async fn a_backup_waits_no_longer_than_it_is_told() {
    let (store, mut repository) = plain();
    store.put("sweeping/x".into(), "".into()).await.unwrap();
    let cancel = CancellationToken::new();
    let stop = cancel.clone();
    store.before(Op::List, "sweeping/", move || async move {
        stop.cancel();
        Ok(())
    });
    let begun = repository.begin(APP, &day(1), &cancel).await;
    assert_eq!(failure(begun).0, Reason::Cancelled);
    repository.pace.patience = Duration::ZERO;
    assert_eq!(failure(begin(&repository, 1).await).0, Reason::StoreBusy);
    assert!(store.names("running/").is_empty());
    // Whoever has left this mark has stopped.
    store.pass(LONG);
    begin(&repository, 1).await.unwrap();
    assert!(store.names("sweeping/").is_empty());
}

/// What other servers do while one stands still for a long time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meanwhile {
    Nothing,
    /// The mark goes, and every chunk that no manifest names.
    Sweep,
    /// The mark goes, and somebody who needs the same chunks has kept them.
    SweepBesideBackup,
}

async fn stand_still(store: &Memory, repository: &Repository, meanwhile: Meanwhile) {
    store.pass(LONG);
    if meanwhile == Meanwhile::SweepBesideBackup {
        back_up(repository, 5, &contents(0..4)).await;
    }
    if meanwhile != Meanwhile::Nothing {
        sweep(repository).await.unwrap();
    }
}

#[tokio::test]
async fn a_backup_that_stood_still_is_whole_or_none() {
    // Before which request it stands still: the first one of the end, the manifest, or the look
    // at its mark right after.
    for moment in ["mark", "manifest", "after"] {
        for meanwhile in [Meanwhile::Nothing, Meanwhile::Sweep, Meanwhile::SweepBesideBackup] {
            let (store, repository) = plain();
            let writer = begin(&repository, 2).await.unwrap();
            let manifest = fill(&writer, 2, &contents(0..4)).await.unwrap();
            let (beside, other) = (Arc::clone(&store), repository.clone());
            let pause = move || async move {
                stand_still(&beside, &other, meanwhile).await;
                Ok(())
            };
            let running = format!("running/{}", day(2));
            match moment {
                "mark" => store.before(Op::Head, &running, pause),
                "manifest" => store.before(Op::Put, "backups/app/20261102", pause),
                _ => {
                    let later = Arc::clone(&store);
                    store.before(Op::Put, "backups/app/20261102", move || async move {
                        later.before(Op::Head, &running, pause);
                        Ok(())
                    });
                }
            }
            store.written("");
            let finished = writer.finish(&manifest).await;
            let what = format!("{moment} {meanwhile:?} {finished:?}");
            // Once the manifest is there, a sweep keeps what it names.
            if meanwhile == Meanwhile::Sweep && moment != "after" {
                assert_eq!(finished.unwrap_err().reason(), Reason::StoreBusy, "{what}");
                assert!(repository.list(APP, "", 9).await.unwrap().is_empty(), "{what}");
                // It is taken back only where it could not be known before.
                let written = store.written("backups/app/20261102").len();
                assert_eq!(written, usize::from(moment == "manifest"), "{what}");
                back_up(&repository, 3, &contents(0..4)).await;
                assert_eq!(restored(&repository, 3).await.unwrap(), contents(0..4));
            } else {
                assert!(finished.is_ok(), "{what}");
                assert_eq!(restored(&repository, 2).await.unwrap(), contents(0..4), "{what}");
            }
        }
    }
}

#[tokio::test]
async fn a_mark_that_is_renewed_keeps_sweeps_away_and_one_that_was_removed_is_missed() {
    for is_removed in [false, true] {
        let (store, repository) = plain();
        let writer = begin(&repository, 2).await.unwrap();
        let manifest = fill(&writer, 2, &contents(0..4)).await.unwrap();
        for _ in 0..4 {
            store.pass(LONG / 2);
            assert!(writer.mark.renew().await.unwrap().is_held);
        }
        if is_removed {
            store.lose(&format!("running/{}", day(2)));
            assert_eq!(sweep(&repository).await.unwrap().chunks, 5);
            assert_eq!(failure(writer.finish(&manifest).await).0, Reason::StoreBusy);
            assert!(store.names("backups/").is_empty());
        } else {
            assert_eq!(failure(sweep(&repository).await).0, Reason::StoreBusy);
            writer.finish(&manifest).await.unwrap();
            assert_eq!(restored(&repository, 2).await.unwrap(), contents(0..4));
        }
    }
}

#[tokio::test]
async fn a_backup_that_wakes_up_beside_a_sweep_waits_for_its_end() {
    let (store, repository) = plain();
    let writer = begin(&repository, 2).await.unwrap();
    let manifest = fill(&writer, 2, &contents(0..4)).await.unwrap();
    store.pass(LONG);
    let (finished, has_finished) = oneshot::channel();
    let beside = Arc::clone(&store);
    store.before(Op::List, "chunks/", move || async move {
        let (looked, has_looked) = oneshot::channel();
        beside.before(Op::List, "sweeping/", move || async move {
            looked.send(()).unwrap();
            Ok(())
        });
        let end = tokio::spawn(async move { writer.finish(&manifest).await });
        within(has_looked).await.unwrap();
        finished.send(end).unwrap();
        Ok(())
    });
    assert_eq!(sweep(&repository).await.unwrap().chunks, 5);
    let end = within(within(has_finished).await.unwrap()).await.unwrap();
    assert_eq!(failure(end).0, Reason::StoreBusy);
    assert!(store.names("backups/").is_empty());
}

#[tokio::test]
async fn a_sweep_that_stood_still_deletes_nothing_more() {
    // A backup that has begun meanwhile counts on what it finds.
    for is_taken_for_dead in [true, false] {
        let (store, repository) = plain();
        let writer = begin(&repository, 1).await.unwrap();
        fill(&writer, 1, &contents(0..9)).await.unwrap();
        writer.abandon().await;
        store.pass(LONG);
        let (beside, other) = (Arc::clone(&store), repository.clone());
        store.before(Op::List, "chunks/", move || async move {
            beside.pass(LONG);
            if is_taken_for_dead {
                assert_eq!(back_up(&other, 2, &contents(0..9)).await.bytes_uploaded, 0);
            }
            Ok(())
        });
        let chunks = store.names("chunks/");
        assert_eq!(failure(sweep(&repository).await).0, Reason::StoreBusy);
        assert_eq!(store.names("chunks/"), chunks);
        if is_taken_for_dead {
            assert_eq!(restored(&repository, 2).await.unwrap(), contents(0..9));
        }
    }
}

#[tokio::test]
async fn a_backup_of_another_database_keeps_sweeps_away_too() {
    let (_, repository, _) = with_unneeded().await;
    let cancel = CancellationToken::new();
    let other = repository.begin("other", &day(4), &cancel).await.unwrap();
    assert_eq!(failure(sweep(&repository).await).0, Reason::StoreBusy);
    // And no backup of this one believes that it was interrupted.
    let counts = back_up(&repository, 5, &contents(0..9)).await;
    assert!(counts.bytes_uploaded > 0);
    other.abandon().await;
}
