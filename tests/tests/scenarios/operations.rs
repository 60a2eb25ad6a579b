//! Operations outlive the stream that started them: attach again, conflict, Ctrl-C.

use switchback_proto::v1::{
    GetOperationRequest, OperationState, WatchOperationRequest, operation_event::Event,
};
use switchback_tests::{fixtures::damage, rig::Rig};
use tokio_stream::StreamExt;

use crate::standstill::{ROWS, hold};

#[tokio::test]
async fn a_request_id_attaches_to_the_operation_it_started() {
    let rig = Rig::of(|connection| damage::big(connection, ROWS)).await;
    let mut first = rig.start(&["migrate", "--request-id", "once"]);
    let (lock, _) = hold(&rig, &mut first).await;
    let second = rig.start(&["migrate", "--request-id", "once"]);
    drop(lock);
    let (first, second) = (first.finish().await, second.finish().await);
    first.expect(0);
    second.expect(0);
    assert_eq!(first.operation(), second.operation());
    // And long after its end.
    let third = rig.cli(&["migrate", "--request-id", "once"]).await;
    third.expect(0);
    assert_eq!(third.operation(), first.operation());
    assert_eq!(third.report(), first.report());
    rig.finish().await;
}

#[tokio::test]
async fn a_second_changing_operation_is_told_which_one_is_in_its_way() {
    let rig = Rig::of(|connection| damage::big(connection, ROWS)).await;
    let mut first = rig.start(&["migrate"]);
    let (lock, _) = hold(&rig, &mut first).await;
    let second = rig.cli(&["migrate"]).await;
    second.refused(5, "OPERATION_RUNNING");
    drop(lock);
    let first = first.finish().await;
    first.expect(0);
    let said = format!("{}{}", second.stdout, second.stderr);
    assert!(said.contains(first.operation()), "the id is not named: {said}");
    rig.finish().await;
}

#[tokio::test]
async fn events_are_read_again_from_a_number_on() {
    let rig = Rig::of(damage::kinds).await;
    let run = rig.cli(&["migrate"]).await;
    run.expect(0);
    let sequences: Vec<u64> = run.events.iter().filter_map(|e| e["sequence"].as_u64()).collect();
    assert_eq!(sequences.len(), run.events.len());
    assert_eq!(sequences[0], 1);
    assert!(sequences.is_sorted_by(|a, b| a < b), "{sequences:?}");
    assert_eq!(run.events[0]["event"], "started");

    let last = *sequences.last().expect("events");
    let from = last / 2;
    let mut operations = rig.server.operations();
    let request =
        WatchOperationRequest { operation_id: run.operation().into(), from_sequence: from };
    let mut events = operations.watch_operation(request).await.expect("a stream").into_inner();
    let mut seen = Vec::new();
    let mut ended = false;
    while let Some(event) = events.next().await {
        let event = event.expect("an event").event.expect("an event");
        seen.push(event.sequence);
        ended = matches!(event.event, Some(Event::Result(_)));
    }
    assert!(seen[0] >= from && seen.is_sorted_by(|a, b| a < b), "{from}: {seen:?}");
    assert!(ended);
    assert_eq!(seen.last(), Some(&last));

    let request = GetOperationRequest { operation_id: run.operation().into() };
    let operation = operations.get_operation(request).await.expect("it is known").into_inner();
    let operation = operation.operation.expect("it is there");
    assert_eq!(operation.state(), OperationState::Succeeded);
    assert_eq!(operation.last_sequence, last);
    assert!(operation.ended_at.is_some());
    rig.finish().await;
}

#[tokio::test]
async fn operations_outlive_the_server() {
    let mut rig = Rig::of(damage::kinds).await;
    let migrated = rig.cli(&["migrate"]).await;
    migrated.expect(0);
    assert!(rig.server.terminate().await.success());
    rig.server.launch().await;
    rig.cli(&["operations", "show", migrated.operation()]).await.expect(0);
    let again = rig.cli(&["operations", "watch", migrated.operation()]).await;
    again.expect(0);
    assert_eq!(again.report(), migrated.report());
    let list = rig.cli(&["operations", "list"]).await;
    list.expect(0);
    assert!(list.stdout.contains(migrated.operation()), "{}", list.stdout);
    rig.cli(&["validate"]).await.expect(0);
    rig.finish().await;
}

#[tokio::test]
async fn an_interrupt_leaves_the_operation_running_and_says_how_to_attach() {
    let rig = Rig::of(|connection| damage::big(connection, ROWS)).await;
    let mut run = rig.start(&["migrate"]);
    let (lock, _) = hold(&rig, &mut run).await;
    run.interrupt();
    let run = run.finish().await;
    run.expect(130);
    let attach = format!("operations watch {}", run.operation());
    assert!(run.stderr.contains(&attach), "{}", run.stderr);
    drop(lock);
    let watch = rig.cli(&["operations", "watch", run.operation()]).await;
    watch.expect(0);
    assert_eq!(watch.result()["state"], "succeeded");
    rig.finish().await;
}

#[tokio::test]
async fn two_servers_on_one_pair_do_not_both_migrate() {
    let rig = Rig::of(|connection| damage::big(connection, ROWS)).await;
    let other = switchback_tests::server::Server::start(&rig.source, &rig.database.url).await;
    let mut first = rig.start(&["migrate"]);
    let (lock, _) = hold(&rig, &mut first).await;
    let second = switchback_tests::cli::run(&other.endpoint(), &["migrate"]).await;
    second.expect(5);
    assert_eq!(second.reason(), "LEASE_HELD", "{}", second.stdout);
    drop(lock);
    first.finish().await.expect(0);
    rig.cli(&["validate"]).await.expect(0);
    rig.finish().await;
}
