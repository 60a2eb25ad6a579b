//! The order of a stop: health is told first, while everything else goes on; then streams end in a
//! way that makes their readers come back; the port is open until operations have stopped.

use std::time::{Duration, Instant};

use switchback_proto::v1::{
    BackupRequest, WatchDatabaseRequest, WatchOperationRequest,
    database_service_client::DatabaseServiceClient,
    operation_service_client::OperationServiceClient,
};
use switchback_tests::{DEADLINE, fixtures::damage, rig::Rig, server::signal};
use tokio::{task::JoinHandle, time::timeout};
use tokio_stream::StreamExt;
use tonic::{Code, Status, transport::Channel};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use tonic_types::StatusExt;

use crate::standstill::{ROWS, hold, lock, somebody_waits};

const NAMES: [&str; 5] = [
    "",
    "switchback.v1.DatabaseService",
    "switchback.v1.OperationService",
    "database/default",
    "rollback/default",
];

/// When a name was NOT_SERVING, and when its stream had ended.
type Told = JoinHandle<(Instant, Instant)>;

/// Watches a name from now on.
async fn watch_health(channel: Channel, name: &str) -> Told {
    let request = HealthCheckRequest { service: name.into() };
    let answered = HealthClient::new(channel).watch(request).await;
    let mut statuses = answered.expect("a watch").into_inner();
    tokio::spawn(async move {
        let not_serving = i32::from(ServingStatus::NotServing);
        while statuses.next().await.expect("a status").expect("a status").status != not_serving {}
        let told = Instant::now();
        while let Some(Ok(_)) = statuses.next().await {}
        (told, Instant::now())
    })
}

fn assert_stopping(status: &Status) {
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    let info = status.get_details_error_info().expect("rich error");
    assert_eq!(info.reason, "SERVER_STOPPING");
    assert!(!info.metadata["hint"].is_empty());
}

fn the_database() -> WatchDatabaseRequest {
    WatchDatabaseRequest { database: "default".into() }
}

/// Reads a stream to its error; when that came.
macro_rules! cut_off {
    ($stream:expr) => {{
        let mut stream = $stream;
        tokio::spawn(async move {
            loop {
                match stream.next().await.expect("it ends with an error") {
                    Ok(_) => {}
                    Err(status) => return (Instant::now(), status),
                }
            }
        })
    }};
}

#[tokio::test]
async fn health_is_told_before_anything_ends() {
    let mut rig = Rig::of(|connection| damage::big(connection, ROWS)).await;
    let mut run = rig.start(&["migrate", "--skip-backup"]);
    let (lock, operation_id) = hold(&rig, &mut run).await;
    rig.server.await_health("database/default", ServingStatus::Serving).await;
    // On one connection what is told arrives in its order.
    let channel = rig.server.channel();
    let mut health = Vec::new();
    for name in NAMES {
        health.push(watch_health(channel.clone(), name).await);
    }
    let request = WatchOperationRequest { operation_id, from_sequence: 1 };
    let events = OperationServiceClient::new(channel.clone()).watch_operation(request).await;
    let events = cut_off!(events.expect("a watch").into_inner());
    let states = DatabaseServiceClient::new(channel).watch_database(the_database()).await;
    let states = cut_off!(states.expect("a watch").into_inner());

    let began = Instant::now();
    signal(rig.server.pid(), "TERM");
    let (ended, status) = timeout(DEADLINE, states).await.expect("it ends").expect("a time");
    assert_stopping(&status);
    let (stopped, status) = timeout(DEADLINE, events).await.expect("it ends").expect("a time");
    assert_stopping(&status);
    for (name, told) in NAMES.iter().zip(health) {
        let (told, closed) = timeout(DEADLINE, told).await.expect("it ends").expect("a time");
        assert!(told < ended, "{name:?} was told {:?} too late", told.duration_since(ended));
        assert!(told < stopped && told < closed, "{name:?}");
    }
    assert_eq!(rig.server.ended().await.code(), Some(0));
    assert!(began.elapsed() < Duration::from_secs(10), "it took {:?}", began.elapsed());
    drop(lock);
    rig.server.launch().await;
    // The command line has come back by itself.
    run.finish().await.expect(0);
    rig.finish().await;
}

#[tokio::test]
async fn whoever_asks_during_a_stop_is_told_of_it() {
    let mut rig = Rig::of(|connection| damage::big(connection, 1000)).await;
    rig.server.kill9().await;
    rig.server.set("SWITCHBACK_SHUTDOWN_GRACE", "60");
    rig.server.launch().await;
    rig.cli(&["migrate"]).await.expect(0);
    // A switch that a writer holds up may use the whole grace: the stop lasts as long as this one.
    let writer = lock(&rig, "big", "ROW EXCLUSIVE").await;
    let mut run = rig.start(&["rollback", "--deadline", "60s"]);
    let event = run.find(|event| event["phase"] == "rolling_back").await;
    let operation_id = event["operation_id"].as_str().expect("an id").to_owned();
    somebody_waits(&rig).await;
    let mut databases = rig.server.databases();
    let states = databases.watch_database(the_database()).await;
    let states = cut_off!(states.expect("a watch").into_inner());

    signal(rig.server.pid(), "TERM");
    // A new connection: the port is open.
    rig.server.await_health("", ServingStatus::NotServing).await;
    let backup = BackupRequest { database: "default".into(), request_id: String::new() };
    let refused = databases.backup(backup).await.map(drop);
    assert_stopping(&refused.expect_err("nothing new begins"));
    let (_, status) = timeout(DEADLINE, states).await.expect("it ends").expect("a time");
    assert_stopping(&status);
    let refused = databases.watch_database(the_database()).await.map(drop);
    assert_stopping(&refused.expect_err("a stream that would end at once"));
    // What goes on is followed until it has stopped.
    let request = WatchOperationRequest { operation_id, from_sequence: 1 };
    let events = rig.server.operations().watch_operation(request).await;
    let first = events.expect("a watch").into_inner().next().await.expect("an event");
    assert_eq!(first.expect("an event").event.expect("an event").sequence, 1);

    writer.batch_execute("COMMIT").await.expect("the writer ends");
    assert_eq!(rig.server.ended().await.code(), Some(0));
    rig.server.launch().await;
    run.finish().await.expect(0);
    rig.finish().await;
}
