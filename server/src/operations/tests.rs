use std::{future::Future, pin::Pin, sync::Arc};

use futures_util::{StreamExt, TryStreamExt};
use switchback_proto::{
    v1::{
        AbortRequest, CutoverRequest, LagEvent, MigrateRequest, OperationEvent, OperationKind,
        OperationState, Phase, PlanReport, PlanRequest, ProgressEvent,
    },
    words::Word,
};
use tokio_util::sync::CancellationToken;

use super::{Driver, Event, Operations, Outcome, Report, Request, Run};
use crate::{
    db::control::ControlStore,
    error::{Error, Reason},
    shutdown::Stop,
};

const PLACES: usize = 8;
const ROUNDS: usize = 20;
const BUSY: usize = 500;

/// Tells some progress, then does as the database's name says.
struct Script;

impl Driver for Script {
    fn run(&self, run: Run) -> Pin<Box<dyn Future<Output = Option<Outcome>> + Send + '_>> {
        Box::pin(async move {
            run.log.phase(Phase::Planning);
            run.log.lag(LagEvent { lag_changes: 1, lag_ms: 2 });
            for rows in 1..=3 {
                let table = format!("t{rows}");
                run.log.progress(ProgressEvent {
                    table,
                    rows,
                    rows_total: 10,
                    bytes: rows,
                    ..ProgressEvent::default()
                });
            }
            match run.database.as_str() {
                "defect" => panic!("a defect"),
                "waits" => {
                    tokio::select! {
                        () = run.cancel.cancelled() => {}
                        () = run.shutdown.cancelled() => return None,
                    }
                    Some(Outcome {
                        report: None,
                        error: Some(Error::new(Reason::Cancelled, "stopped")),
                    })
                }
                _ => {
                    Some(Outcome { report: Some(Report::Plan(PlanReport::default())), error: None })
                }
            }
        })
    }
}

struct Fixture {
    operations: Operations,
    shutdown: CancellationToken,
    directory: tempfile::TempDir,
}

async fn fixture() -> Fixture {
    let directory = tempfile::tempdir().unwrap();
    let (operations, shutdown) = open(&directory).await;
    Fixture { operations, shutdown, directory }
}

async fn open(directory: &tempfile::TempDir) -> (Operations, CancellationToken) {
    let store = ControlStore::open(directory.path()).await.unwrap();
    let stop = Stop::default();
    let shutdown = stop.work.clone();
    (Operations::new(store, Arc::new(Script), stop, PLACES), shutdown)
}

fn plan(database: &str) -> Request {
    Request::Plan(PlanRequest { database: database.into(), ..PlanRequest::default() })
}

fn migrate(database: &str, request_id: &str) -> Request {
    Request::Migrate(Box::new(MigrateRequest {
        database: database.into(),
        request_id: request_id.into(),
        ..MigrateRequest::default()
    }))
}

fn cutover(database: &str, dry_run: bool) -> Request {
    let database = database.into();
    Request::Cutover(CutoverRequest { database, dry_run, ..CutoverRequest::default() })
}

fn abort(database: &str) -> Request {
    Request::Abort(AbortRequest { database: database.into(), ..AbortRequest::default() })
}

async fn events(operations: &Operations, id: &str, from: u64) -> Vec<OperationEvent> {
    operations.watch(id, from).await.unwrap().try_collect().await.unwrap()
}

fn state(events: &[OperationEvent]) -> OperationState {
    match events.last().and_then(|last| last.event.as_ref()) {
        Some(Event::Result(result)) => result.state(),
        other => panic!("no result: {other:?}"),
    }
}

#[tokio::test]
async fn a_watcher_sees_every_event_in_order_and_then_the_result() {
    let Fixture { operations, shutdown: _, directory: _directory } = fixture().await;
    let id = operations.start(plan("ends")).await.unwrap();
    let seen = events(&operations, &id, 1).await;
    assert!(matches!(seen[0].event, Some(Event::Started(_))));
    assert!(seen.windows(2).all(|pair| pair[0].sequence < pair[1].sequence));
    assert_eq!(state(&seen), OperationState::Succeeded);

    let result = seen.last().unwrap().sequence;
    let again = events(&operations, &id, result).await;
    assert_eq!(again.len(), 1);
    // Whoever asks for later events than there are gets the result, too.
    assert_eq!(events(&operations, &id, result + 1).await, again);
    let operation = operations.get(&id).await.unwrap();
    assert_eq!(operation.state(), OperationState::Succeeded);
    assert_eq!(operation.last_sequence, result);
}

#[tokio::test]
async fn progress_and_lag_stay_under_their_numbers_when_the_operation_ends() {
    let Fixture { operations, shutdown: _, directory: _directory } = fixture().await;
    let id = operations.start(plan("ends")).await.unwrap();
    events(&operations, &id, 1).await;
    let kept = events(&operations, &id, 1).await;
    let samples =
        kept.iter().filter(|e| matches!(e.event, Some(Event::Progress(_) | Event::Lag(_))));
    assert_eq!(samples.count(), 4);
    let numbers: Vec<u64> = kept.iter().map(|event| event.sequence).collect();
    assert_eq!(numbers, [1, 2, 3, 4, 5, 6, 7]);
}

#[tokio::test]
async fn one_changing_operation_a_database() {
    let Fixture { operations, shutdown: _, directory: _directory } = fixture().await;
    let id = operations.start(migrate("waits", "")).await.unwrap();
    let refused = operations.start(migrate("waits", "")).await.unwrap_err();
    assert_eq!(refused.reason(), Reason::OperationRunning);
    assert_eq!(refused.operation_id(), Some(id.as_str()));
    operations.start(migrate("other", "")).await.unwrap();
    operations.start(plan("waits")).await.unwrap();

    operations.cancel(&id).await.unwrap();
    assert_eq!(state(&events(&operations, &id, 1).await), OperationState::Cancelled);
    operations.start(migrate("waits", "")).await.unwrap();
}

/// The registry forgets an operation a moment after its end can be read, and a busy one later still.
#[tokio::test]
async fn whoever_reads_of_an_end_may_begin_the_next_operation() {
    let Fixture { operations, shutdown: _, directory: _directory } = fixture().await;
    let mut busy = tokio::task::JoinSet::new();
    for _ in 0..BUSY {
        busy.spawn(async {
            loop {
                std::thread::yield_now();
                tokio::task::yield_now().await;
            }
        });
    }
    for _ in 0..ROUNDS {
        let id = operations.start(migrate("ends", "")).await.unwrap();
        while operations.get(&id).await.unwrap().state() == OperationState::Running {}
        let refused = operations.cancel(&id).await.unwrap_err();
        assert_eq!(refused.reason(), Reason::OperationEnded);
    }
}

#[tokio::test]
async fn a_cutover_and_an_abort_change_and_a_dry_run_does_not() {
    let Fixture { operations, shutdown: _, directory } = fixture().await;
    let id = operations.start(cutover("waits", false)).await.unwrap();
    for other in [abort("waits"), cutover("waits", false), migrate("waits", "")] {
        let refused = operations.start(other).await.unwrap_err();
        assert_eq!(refused.reason(), Reason::OperationRunning);
        assert_eq!(refused.operation_id(), Some(id.as_str()));
    }
    operations.start(abort("other")).await.unwrap();
    operations.start(cutover("waits", true)).await.unwrap();
    // What a database is shown with is the operation that changes it.
    let store = ControlStore::open(directory.path()).await.unwrap();
    let newest = store.newest("waits").await.unwrap().unwrap();
    assert_eq!(newest.operation_id, id);
}

#[tokio::test]
async fn a_cutover_and_an_abort_outlive_the_server() {
    let Fixture { operations, shutdown, directory } = fixture().await;
    let request = CutoverRequest {
        database: "waits".into(),
        request_id: "r1".into(),
        deadline_ms: 1234,
        dry_run: true,
    };
    let cut = operations.start(Request::Cutover(request.clone())).await.unwrap();
    let undo = operations.start(abort("waits")).await.unwrap();
    shutdown.cancel();
    operations.drained().await;

    let store = ControlStore::open(directory.path()).await.unwrap();
    let stored = store.unfinished().await.unwrap();
    let kept: CutoverRequest = serde_json::from_str(&stored[0].request).unwrap();
    assert_eq!(kept, request);
    let (operations, _shutdown) = open(&directory).await;
    operations.resume().await.unwrap();
    for (id, kind) in [(cut, OperationKind::Cutover), (undo, OperationKind::Abort)] {
        assert_eq!(operations.get(&id).await.unwrap().kind(), kind);
        operations.cancel(&id).await.unwrap();
        assert_eq!(state(&events(&operations, &id, 1).await), OperationState::Cancelled);
    }
}

#[tokio::test]
async fn a_request_id_attaches_to_the_operation_it_started() {
    let Fixture { operations, shutdown: _, directory: _directory } = fixture().await;
    let id = operations.start(migrate("waits", "r1")).await.unwrap();
    assert_eq!(operations.start(migrate("waits", "r1")).await.unwrap(), id);
    let mut other = PlanRequest { database: "waits".into(), ..PlanRequest::default() };
    other.request_id = "r1".into();
    let refused = operations.start(Request::Plan(other)).await.unwrap_err();
    assert_eq!(refused.reason(), Reason::InvalidRequest);
}

#[tokio::test]
async fn a_defect_ends_the_operation_and_not_the_server() {
    let Fixture { operations, shutdown: _, directory: _directory } = fixture().await;
    let id = operations.start(plan("defect")).await.unwrap();
    assert_eq!(state(&events(&operations, &id, 1).await), OperationState::Failed);
    operations.start(plan("ends")).await.unwrap();
}

#[tokio::test]
async fn an_operation_goes_on_after_a_restart_with_rising_numbers() {
    let Fixture { operations, shutdown, directory } = fixture().await;
    let id = operations.start(migrate("waits", "")).await.unwrap();
    let before: Vec<_> =
        operations.watch(&id, 1).await.unwrap().take(2).try_collect().await.unwrap();
    shutdown.cancel();
    operations.drained().await;

    let (operations, _shutdown) = open(&directory).await;
    operations.resume().await.unwrap();
    operations.cancel(&id).await.unwrap();
    let after = events(&operations, &id, 1).await;
    assert_eq!(after[..1], before[..1]);
    let started = after.iter().filter(|event| matches!(event.event, Some(Event::Started(_))));
    assert_eq!(started.count(), 1);
    assert_eq!(state(&after), OperationState::Cancelled);
}

#[tokio::test]
async fn a_cancel_outlives_the_server_that_took_it() {
    let Fixture { operations, shutdown, directory } = fixture().await;
    let id = operations.start(migrate("waits", "")).await.unwrap();
    shutdown.cancel();
    operations.drained().await;
    ControlStore::open(directory.path()).await.unwrap().request_cancel(&id).await.unwrap();

    let (operations, _shutdown) = open(&directory).await;
    operations.resume().await.unwrap();
    assert_eq!(state(&events(&operations, &id, 1).await), OperationState::Cancelled);
}

#[tokio::test]
async fn nothing_new_begins_once_a_stop_is_announced() {
    let Fixture { operations, shutdown: _, directory: _directory } = fixture().await;
    operations.stop().announced.cancel();
    let refused = operations.start(plan("ends")).await.unwrap_err();
    assert_eq!(refused.reason(), Reason::ServerStopping);
    assert!(operations.list("", "", 5).await.unwrap().is_empty());
}

/// What another server has left does not wait where applications may be fenced, and what it has left
/// is known although it waits.
#[tokio::test]
async fn what_another_server_began_waits_only_while_applications_write() {
    let directory = tempfile::tempdir().unwrap();
    let store = ControlStore::open(directory.path()).await.unwrap();
    let operations = Operations::new(store.clone(), Arc::new(Script), Stop::default(), 1);
    operations.start(migrate("waits", "")).await.unwrap();
    let left = |phase: Phase| (phase, format!("left in {}", phase.word()));
    operations.adopt("copying", migrate("a", ""), left(Phase::Copying)).await.unwrap();
    operations.adopt("switching", migrate("b", ""), left(Phase::Following)).await.unwrap();
    let seen = events(&operations, "switching", 1).await;
    assert_eq!(state(&seen), OperationState::Succeeded);
    assert_eq!(operations.get("copying").await.unwrap().queued_behind, 1);
    let journals: Vec<String> =
        store.unfinished().await.unwrap().into_iter().map(|stored| stored.journal).collect();
    assert!(journals.contains(&"left in copying".to_owned()), "{journals:?}");
    // Its driver undoes what was left.
    operations.cancel("copying").await.unwrap();
    let seen = events(&operations, "copying", 1).await;
    assert!(seen.iter().any(|event| matches!(event.event, Some(Event::Phase(_)))), "{seen:?}");
}

#[tokio::test]
async fn one_that_never_got_its_turn_is_cancelled_without_being_run() {
    let directory = tempfile::tempdir().unwrap();
    let store = ControlStore::open(directory.path()).await.unwrap();
    let operations = Operations::new(store, Arc::new(Script), Stop::default(), 1);
    let first = operations.start(migrate("waits", "")).await.unwrap();
    let second = operations.start(migrate("other", "")).await.unwrap();
    assert_eq!(operations.get(&second).await.unwrap().queued_behind, 1);
    assert_eq!(operations.get(&first).await.unwrap().queued_behind, 0);
    operations.cancel(&second).await.unwrap();
    let seen = events(&operations, &second, 1).await;
    assert_eq!(state(&seen), OperationState::Cancelled);
    let began = seen.iter().any(|event| matches!(event.event, Some(Event::Phase(_))));
    assert!(!began, "{seen:?}");
    // Its place is free: the next one is right behind the first.
    let third = operations.start(migrate("third", "")).await.unwrap();
    while operations.get(&third).await.unwrap().queued_behind != 1 {
        tokio::task::yield_now().await;
    }
    operations.cancel(&first).await.unwrap();
    assert_eq!(state(&events(&operations, &third, 1).await), OperationState::Succeeded);
}
