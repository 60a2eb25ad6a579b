//! What orchestrators and other services see: health, reflection, the configuration's checks.

use switchback_proto::v1::{
    AbortRequest, CutoverRequest, FinalizeRequest, PlanOptions, PlanRequest, RollbackRequest,
};
use switchback_tests::{
    cluster::PASSWORD,
    content::content,
    fixtures::{damage, files},
    rig::{Rig, directory},
    server::Server,
};
use tokio_stream::StreamExt;
use tonic::Code;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_types::StatusExt;

async fn rig() -> Rig {
    Rig::of(damage::kinds).await
}

#[tokio::test]
async fn health_has_every_name() {
    let rig = rig().await;
    for name in
        ["", "switchback.v1.DatabaseService", "switchback.v1.OperationService", "database/default"]
    {
        rig.server.await_health(name, ServingStatus::Serving).await;
    }
    assert_eq!(rig.server.health("database/other").await, None);
    rig.cli(&["health"]).await.expect(0);
    rig.finish().await;
}

#[tokio::test]
async fn health_waits_for_the_source() {
    let place = directory();
    let source = place.path().join("source.db");
    let rig = Rig::on(place, source).await;
    rig.server.await_health("database/default", ServingStatus::NotServing).await;
    rig.cli(&["health"]).await.expect(4);
    rig.cli(&["health", "--service", ""]).await.expect(0);
    let both = ["health", "--service", "", "--service", "database/default"];
    rig.cli(&both).await.expect(4);
    drop(files::sound(&rig.source));
    rig.server.await_health("database/default", ServingStatus::Serving).await;
    rig.finish().await;
}

/// In both versions of reflection: grpcurl asks for the older one.
#[tokio::test]
async fn reflection_lists_the_services() {
    let rig = rig().await;
    let lists = [services_v1(&rig).await, services_v1alpha(&rig).await];
    for names in lists {
        for name in [
            "switchback.v1.DatabaseService",
            "switchback.v1.OperationService",
            "grpc.health.v1.Health",
        ] {
            assert!(names.iter().any(|known| known == name), "{name} is not in {names:?}");
        }
    }
    rig.finish().await;
}

macro_rules! services {
    ($function:ident, $version:ident) => {
        async fn $function(rig: &Rig) -> Vec<String> {
            use tonic_reflection::pb::$version::{
                ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
                server_reflection_request::MessageRequest,
                server_reflection_response::MessageResponse,
            };
            let request = ServerReflectionRequest {
                host: String::new(),
                message_request: Some(MessageRequest::ListServices(String::new())),
            };
            let mut client = ServerReflectionClient::new(rig.server.channel());
            let answers = client.server_reflection_info(tokio_stream::iter([request])).await;
            let answer = answers.expect("reflection").into_inner().next().await;
            match answer.expect("an answer").expect("an answer").message_response {
                Some(MessageResponse::ListServicesResponse(list)) => {
                    list.service.into_iter().map(|service| service.name).collect()
                }
                other => panic!("no list of services: {other:?}"),
            }
        }
    };
}

services!(services_v1, v1);
services!(services_v1alpha, v1alpha);

#[tokio::test]
async fn options_that_mean_nothing_together_are_refused() {
    let rig = rig().await;
    let mut databases = rig.server.databases();
    for options in [
        PlanOptions { empty_target: true, ..Default::default() },
        PlanOptions { time_zone: "UTC".to_owned(), ..Default::default() },
        PlanOptions { target_schema: "pg_temp".to_owned(), ..Default::default() },
    ] {
        let request = PlanRequest { options: Some(options), ..Default::default() };
        let status = databases.plan(request).await.map(drop).expect_err("refused");
        assert_eq!(status.code(), Code::InvalidArgument);
        let info = status.get_details_error_info().expect("rich error");
        assert_eq!((info.reason.as_str(), info.domain.as_str()), ("INVALID_REQUEST", "switchback"));
    }
    rig.finish().await;
}

/// Before there is an operation: nothing of it is left in the list.
#[tokio::test]
async fn a_cutover_and_an_abort_are_checked_first() {
    let rig = rig().await;
    let mut databases = rig.server.databases();
    let database = "default".to_owned();
    let late = CutoverRequest { database, deadline_ms: 600_001, ..Default::default() };
    let other = AbortRequest { database: "other".to_owned(), ..Default::default() };
    let back = RollbackRequest {
        database: "default".to_owned(),
        deadline_ms: 600_001,
        ..Default::default()
    };
    let ended =
        FinalizeRequest { database: "default".to_owned(), keep_source: 99, ..Default::default() };
    for (status, code, reason) in [
        (databases.rollback(back).await.map(drop), Code::InvalidArgument, "INVALID_REQUEST"),
        (databases.finalize(ended).await.map(drop), Code::InvalidArgument, "INVALID_REQUEST"),
        (databases.cutover(late).await.map(drop), Code::InvalidArgument, "INVALID_REQUEST"),
        (databases.abort(other).await.map(drop), Code::NotFound, "UNKNOWN_DATABASE"),
    ] {
        let status = status.expect_err("refused");
        assert_eq!(status.code(), code);
        assert_eq!(status.get_details_error_info().expect("rich error").reason, reason);
    }
    assert!(rig.cli(&["operations", "list"]).await.events.is_empty());
    rig.finish().await;
}

#[tokio::test]
async fn the_effective_configuration_hides_secrets() {
    let url = format!("postgres://owner:{PASSWORD}@127.0.0.1:5432/shop");
    let ended = Server::run("/data/app.db".as_ref(), &url, &["--check-config"]).await;
    assert_eq!(ended.code, 0, "{}", ended.output);
    assert!(
        ended.output.contains("/data/app.db") && ended.output.contains("shop"),
        "{}",
        ended.output
    );
    assert!(!ended.output.contains(PASSWORD), "the password is told");
}

#[tokio::test]
async fn a_wrong_configuration_stops_the_start() {
    let url = format!("postgres://owner:{PASSWORD}@127.0.0.1:5432/shop");
    for (name, value) in [
        ("SWITCHBACK_LISTEN", "0.0.0.0:50051"),
        ("SWITCHBACK_LISTEN", "here"),
        ("SWITCHBACK_ENGINE", "oracle"),
        ("SWITCHBACK_LOG_FORMAT", "xml"),
        ("SWITCHBACK_SQLITE", ""),
        ("SWITCHBACK_CONFIG", "/nowhere/switchback.toml"),
    ] {
        let ended = Server::run_with("/data/app.db".as_ref(), &url, &[(name, value)]).await;
        assert_eq!(ended.code, 64, "{name}={value}: {}", ended.output);
        let named = ended.output.contains(name) || ended.output.contains(value);
        assert!(named, "{name} is not named: {}", ended.output);
        assert!(!ended.output.contains(PASSWORD), "the password is told");
    }
}

#[tokio::test]
async fn a_terminated_server_drains_and_ends_well() {
    let mut rig = rig().await;
    rig.cli(&["migrate"]).await.expect(0);
    assert_eq!(rig.server.terminate().await.code(), Some(0));
    assert!(rig.server.logs().contains("operation_id"), "{}", rig.server.logs());
    rig.finish().await;
}

/// The target takes connections and never answers: an operation waits for it until the drain ends.
#[tokio::test]
async fn a_second_signal_ends_the_server_at_once() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("postgres://owner@{}/d", silent.local_addr().expect("its address"));
    let place = directory();
    let source = place.path().join("source.db");
    drop(files::sound(&source));
    let mut server = Server::start(&source, &url).await;
    let mut run = switchback_tests::cli::start(&server.endpoint(), &["migrate", "--skip-backup"]);
    run.find(|event| event["event"] == "started").await;
    assert_eq!(server.terminate_at_once().await.code(), Some(143));
    server.launch().await;
    assert_eq!(server.terminate().await.code(), Some(0));
}

#[tokio::test]
async fn several_databases_of_one_server() {
    let first = rig().await;
    let place = directory();
    let source = place.path().join("second.db");
    drop(files::sound(&source));
    let second = Rig::on(place, source).await;
    let config = first.directory.path().join("switchback.toml");
    let text = format!(
        "[databases.one]\nsqlite = {:?}\npostgres = {:?}\n[databases.two]\nsqlite = {:?}\npostgres = {:?}\n",
        first.source, first.database.url, second.source, second.database.url
    );
    std::fs::write(&config, text).expect("written");
    let server = Server::start_configured(&config).await;
    let before = content(&second.source);
    for name in ["one", "two"] {
        let run =
            switchback_tests::cli::run(&server.endpoint(), &["--database", name, "migrate"]).await;
        run.expect(0);
        server.await_health(&format!("database/{name}"), ServingStatus::Serving).await;
    }
    assert_eq!(content(&second.source), before);
    first.finish().await;
    second.finish().await;
}
