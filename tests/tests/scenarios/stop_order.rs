//! The order of a stop: health is told first, while everything else goes on; then streams end in a
//! way that makes their readers come back; the port is open until operations have stopped.

use std::time::{Duration, Instant};

use switchback_proto::v1::{BackupRequest, WatchDatabaseRequest, WatchOperationRequest};
use switchback_tests::{
    DEADLINE,
    fixtures::damage,
    rig::Rig,
    server::{Server, signal},
};
use tokio::{task::JoinHandle, time::timeout};
use tokio_stream::StreamExt;
use tonic::{Code, Status};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use tonic_types::StatusExt;

use crate::standstill::{ROWS, hold};

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
async fn watch_health(server: &Server, name: &str) -> Told {
    let request = HealthCheckRequest { service: name.into() };
    let answered = HealthClient::new(server.channel()).watch(request).await;
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
    let (lock, operation) = hold(&rig, &mut run).await;
    rig.server.await_health("database/default", ServingStatus::Serving).await;
    let mut health = Vec::new();
    for name in NAMES {
        health.push(watch_health(&rig.server, name).await);
    }
    let request = WatchOperationRequest { operation_id: operation, from_sequence: 1 };
    let mut operations = rig.server.operations();
    let events = operations.watch_operation(request).await.expect("a watch").into_inner();
    let events = cut_off!(events);
    let mut databases = rig.server.databases();
    let request = WatchDatabaseRequest { database: "default".into() };
    let states = databases.watch_database(request.clone()).await.expect("a watch").into_inner();
    let states = cut_off!(states);

    let began = Instant::now();
    signal(rig.server.pid(), "TERM");
    // A new connection: the port is open, and whoever asks is told.
    rig.server.await_health("", ServingStatus::NotServing).await;
    assert!(!events.is_finished() && !states.is_finished(), "something ended before");
    let backup = BackupRequest { database: "default".into(), request_id: String::new() };
    let refused = rig.server.databases().backup(backup).await.map(drop);
    assert_stopping(&refused.expect_err("nothing new begins"));

    let (ended, status) = timeout(DEADLINE, states).await.expect("it ends").expect("a time");
    assert_stopping(&status);
    let again = databases.watch_database(request).await.map(drop);
    assert_stopping(&again.expect_err("a stream that would end at once"));
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
