//! Limits: messages that are too large, clients that are too slow, and a thousand streams.

use std::{io::Read, net::TcpStream, time::Duration};

use switchback_proto::v1::{
    GetDatabaseRequest, GetDatabaseResponse, GetOperationRequest, WatchDatabaseRequest,
    WatchOperationRequest, database_service_client::DatabaseServiceClient, operation_event::Event,
    operation_service_client::OperationServiceClient,
};
use switchback_tests::{
    DEADLINE,
    fixtures::damage,
    rig::{Rig, directory},
    server::Server,
};
use tokio::{task::JoinSet, time::timeout};
use tokio_stream::StreamExt;
use tonic::{
    Code, Request,
    client::Grpc,
    codec::CompressionEncoding,
    transport::{Channel, Endpoint},
};
use tonic_prost::ProstCodec;
use tonic_types::StatusExt;

use crate::{
    security::NOWHERE,
    standstill::{ROWS, hold},
};

async fn server() -> (tempfile::TempDir, Server) {
    let directory = directory();
    let server = Server::start(&directory.path().join("source.db"), NOWHERE).await;
    (directory, server)
}

async fn assert_serves(server: &Server) {
    let request = GetDatabaseRequest { database: "default".into() };
    let answer = timeout(DEADLINE, server.databases().get_database(request)).await;
    answer.expect("an answer").expect("the state");
}

#[tokio::test]
async fn a_message_that_is_too_large_is_refused() {
    let (_directory, server) = server().await;
    let channel = server.channel();
    let large = |bytes| "x".repeat(bytes);
    let mut databases = DatabaseServiceClient::new(channel.clone());
    let request = GetDatabaseRequest { database: large(65 << 20) };
    let status = databases.get_database(request).await.expect_err("refused");
    assert_eq!(status.code(), Code::OutOfRange, "{status}");
    assert!(status.message().contains("too large"), "{status}");
    // Some kilobytes on the wire.
    let mut packed = databases.clone().send_compressed(CompressionEncoding::Gzip);
    let request = GetDatabaseRequest { database: large(65 << 20) };
    let status = packed.get_database(request).await.expect_err("refused");
    assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
    let mut operations = OperationServiceClient::new(channel);
    let request = GetOperationRequest { operation_id: large(100_000) };
    let status = operations.get_operation(request).await.expect_err("refused");
    assert_eq!(status.code(), Code::OutOfRange, "{status}");
    let mut request = Request::new(GetDatabaseRequest { database: "default".into() });
    request.metadata_mut().insert("x-large", large(40_000).parse().expect("a header"));
    assert!(databases.get_database(request).await.is_err());
    assert_serves(&server).await;
}

/// A call whose message never comes is given up, and told so.
#[tokio::test]
async fn a_call_without_its_message_is_given_up() {
    let (_directory, server) = server().await;
    let mut grpc = Grpc::new(server.channel());
    grpc.ready().await.expect("a connection");
    let path = "/switchback.v1.DatabaseService/GetDatabase".parse().expect("a path");
    let never = Request::new(tokio_stream::pending::<GetDatabaseRequest>());
    let codec = ProstCodec::<GetDatabaseRequest, GetDatabaseResponse>::default();
    let status = grpc.client_streaming(never, path, codec).await.expect_err("it is given up");
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status}");
    let info = status.get_details_error_info().expect("rich error");
    assert_eq!(info.reason, "CALL_LATE");
}

/// Connections that say nothing hold up nobody, and are closed.
#[tokio::test]
async fn a_client_that_says_nothing_is_let_go() {
    let (_directory, server) = server().await;
    let address = ("127.0.0.1", server.port());
    let mut silent: Vec<TcpStream> =
        (0..100).map(|_| TcpStream::connect(address).expect("a connection")).collect();
    assert_serves(&server).await;
    // Not even half of what HTTP/2 begins with helps.
    std::io::Write::write_all(&mut silent[0], b"PRI * HTTP/2").expect("sent");
    let ended = tokio::task::spawn_blocking(move || {
        for stream in &mut silent {
            stream.set_read_timeout(Some(DEADLINE)).expect("a deadline");
            let mut said = Vec::new();
            // An end or a reset, but no deadline that passed.
            if let Err(error) = stream.read_to_end(&mut said) {
                let kind = error.kind();
                assert_eq!(
                    kind,
                    std::io::ErrorKind::ConnectionReset,
                    "the server holds on: {error}"
                );
            }
        }
    });
    ended.await.expect("all of them are closed");
    assert_serves(&server).await;
}

/// More connections than there are places: those in place are served, and places come free.
#[tokio::test]
async fn places_for_connections_come_free() {
    let (_directory, server) = server().await;
    let mut databases = server.databases();
    let request = || GetDatabaseRequest { database: "default".into() };
    databases.get_database(request()).await.expect("a connection");
    let address = ("127.0.0.1", server.port());
    let silent: Vec<TcpStream> =
        (0..600).map(|_| TcpStream::connect(address).expect("a connection")).collect();
    databases.get_database(request()).await.expect("who is in is served");
    drop(silent);
    assert_serves(&server).await;
}

/// Streams whose reader takes nothing hold up neither the operation nor others.
#[tokio::test]
async fn a_client_that_reads_nothing_holds_up_nobody() {
    let rig = Rig::of(|connection| damage::big(connection, ROWS)).await;
    let endpoint = Endpoint::from_shared(rig.server.endpoint()).expect("an endpoint");
    // One byte of an answer fits.
    let slow = endpoint.initial_stream_window_size(1).connect_lazy();
    let mut run = rig.start(&["migrate", "--skip-backup"]);
    let (lock, operation) = hold(&rig, &mut run).await;
    let (mut unread, mut states) = (Vec::new(), Vec::new());
    for _ in 0..200 {
        let watch = WatchDatabaseRequest { database: "default".into() };
        let watched = DatabaseServiceClient::new(slow.clone()).watch_database(watch).await;
        states.push(watched.expect("a stream"));
        let watch = WatchOperationRequest { operation_id: operation.clone(), from_sequence: 0 };
        let watched = OperationServiceClient::new(slow.clone()).watch_operation(watch).await;
        unread.push(watched.expect("a stream"));
    }
    drop(lock);
    run.finish().await.expect(0);
    assert_serves(&rig.server).await;
    drop((unread, states));
    rig.finish().await;
}

#[tokio::test]
async fn a_thousand_watchers_of_one_operation_see_its_end() {
    let rig = Rig::of(|connection| damage::big(connection, ROWS)).await;
    let mut run = rig.start(&["migrate", "--skip-backup"]);
    let (lock, operation) = hold(&rig, &mut run).await;
    let mut watchers = JoinSet::new();
    // On one connection, as a proxy would.
    let channel = rig.server.channel();
    for _ in 0..1000 {
        let request = WatchOperationRequest { operation_id: operation.clone(), from_sequence: 0 };
        let mut client = OperationServiceClient::new(channel.clone());
        let mut stream = client.watch_operation(request).await.expect("a stream").into_inner();
        watchers.spawn(async move {
            let mut last = None;
            while let Some(answer) = stream.next().await {
                last = answer.expect("an event").event.and_then(|event| event.event);
            }
            matches!(last, Some(Event::Result(_)))
        });
    }
    drop(lock);
    run.finish().await.expect(0);
    for ended in timeout(DEADLINE, watchers.join_all()).await.expect("all of them end") {
        assert!(ended, "a stream ended without the result");
    }
    rig.finish().await;
}

/// A watched database is asked for every second; so there is a limit, and it is told.
#[tokio::test]
async fn more_streams_than_there_are_places_are_refused() {
    let (_directory, server) = server().await;
    let channels: Vec<Channel> = (0..3).map(|_| server.channel()).collect();
    let mut open = Vec::new();
    let refused = loop {
        let channel = channels[open.len() % channels.len()].clone();
        let request = WatchDatabaseRequest { database: "default".into() };
        let mut client = DatabaseServiceClient::new(channel);
        match client.watch_database(request).await {
            Ok(stream) => open.push(stream),
            Err(status) => break status,
        }
        assert!(open.len() < 10_000, "there is no limit");
    };
    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused}");
    assert_eq!(open.len(), 256);
    drop(open);
    // A place comes free when the server has seen that its stream has ended.
    let freed = async {
        loop {
            let request = WatchDatabaseRequest { database: "default".into() };
            if server.databases().watch_database(request).await.is_ok() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(DEADLINE, freed).await.expect("a place comes free");
}
