//! A migration as its caller's tracing sees it: the call, the operation, its phases and their
//! chunks; and the same ids in the log.

use std::collections::HashMap;

use opentelemetry_proto::tonic::{
    collector::trace::v1::{
        ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_server::{TraceService, TraceServiceServer},
    },
    common::v1::any_value::Value,
    trace::v1::{Span, span::SpanKind, status::StatusCode},
};
use serde_json::Value as Json;
use switchback_tests::{
    DEADLINE,
    cli::{Run, Running, start_with},
    cluster::{self, Cluster},
    rig::{Rig, directory},
    server::Server,
};
use tokio::{
    net::TcpListener,
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    time::timeout,
};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status, transport};

use crate::writing::{ROWS, make};

const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
const OFTEN: (&str, &str) = ("OTEL_BSP_SCHEDULE_DELAY", "50");

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

struct Collector(UnboundedSender<Span>);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        for of_resource in request.into_inner().resource_spans {
            let about = of_resource.resource.unwrap_or_default().attributes;
            let named = about.iter().any(|attribute| attribute.key == "service.instance.id");
            assert!(named, "{about:?}");
            for span in of_resource.scope_spans.into_iter().flat_map(|scope| scope.spans) {
                // The test may have ended.
                let _ = self.0.send(span);
            }
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

/// Starts a collector: its endpoint, and what it gets.
async fn collector() -> (String, UnboundedReceiver<Span>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
    let (sender, spans) = unbounded_channel();
    let server =
        transport::Server::builder().add_service(TraceServiceServer::new(Collector(sender)));
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
    (endpoint, spans)
}

/// A small pair whose server has these settings.
async fn rig(settings: &[(&str, &str)]) -> Rig {
    let place = directory();
    let source = place.path().join("source.db");
    make(&rusqlite::Connection::open(&source).expect("a file"), "wal", ROWS);
    let database = Cluster::shared().database().await;
    let server = Server::start_with(&source, &database.url, settings).await;
    Rig { server, database, source, directory: place }
}

async fn migrate(rig: &Rig, flags: &str) -> Run {
    start(rig, flags).finish().await
}

fn start(rig: &Rig, flags: &str) -> Running {
    let parent = format!("00-{TRACE}-{PARENT}-{flags}");
    let variables = [("TRACEPARENT", parent.as_str()), ("TRACESTATE", "vendor=1")];
    start_with(&rig.server.endpoint(), &["migrate"], &variables)
}

/// The first span of a name to come.
async fn find(spans: &mut UnboundedReceiver<Span>, name: &str) -> Span {
    let found = async {
        while let Some(span) = spans.recv().await {
            if span.name == name {
                return span;
            }
        }
        panic!("the collector has ended");
    };
    timeout(DEADLINE, found).await.unwrap_or_else(|_| panic!("{name} never came"))
}

/// Spans until the server has sent its last one.
async fn last(rig: &mut Rig, spans: &mut UnboundedReceiver<Span>) -> Vec<Span> {
    assert_eq!(rig.server.terminate().await.code(), Some(0));
    std::iter::from_fn(|| spans.try_recv().ok()).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn attribute(span: &Span, key: &str) -> String {
    let found = span.attributes.iter().find(|attribute| attribute.key == key);
    match found.and_then(|attribute| attribute.value.clone()?.value) {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        other => panic!("{key} of {} is {other:?}", span.name),
    }
}

#[tokio::test]
async fn a_migration_is_a_part_of_its_callers_trace() {
    let (endpoint, mut spans) = collector().await;
    let settings = [(ENDPOINT, endpoint.as_str()), OFTEN, ("SWITCHBACK_LOG_FORMAT", "json")];
    let mut rig = rig(&settings).await;
    let run = migrate(&rig, "01").await;
    run.expect(0);
    // It comes while the server runs.
    let first = timeout(DEADLINE, spans.recv()).await.expect("a span in time").expect("a span");
    let mut all = last(&mut rig, &mut spans).await;
    all.push(first);

    let called = "switchback.v1.DatabaseService/Migrate";
    let call = all.iter().find(|span| span.name == called).expect("the call");
    assert_eq!((hex(&call.trace_id).as_str(), hex(&call.parent_span_id).as_str()), (TRACE, PARENT));
    assert_eq!((call.kind(), call.trace_state.as_str()), (SpanKind::Server, "vendor=1"));
    assert_eq!(attribute(call, "rpc.method"), "Migrate");
    assert_eq!(attribute(call, "rpc.grpc.status_code"), "0");
    let operation = all.iter().find(|span| span.name == "operation migrate").expect("one");
    assert_eq!(operation.parent_span_id, call.span_id);
    assert_eq!(attribute(operation, "operation_id"), run.operation());
    assert_eq!(attribute(operation, "state"), "succeeded");

    let of = |parent: &Span| {
        all.iter().filter(|span| span.parent_span_id == parent.span_id).collect::<Vec<_>>()
    };
    let phases: HashMap<String, &Span> =
        of(operation).into_iter().map(|span| (span.name.clone(), span)).collect();
    for phase in ["planning", "installing", "copying", "indexing", "validating", "cutting_over"] {
        assert!(phases.contains_key(&format!("phase {phase}")), "{phase}: {:?}", phases.keys());
    }
    let chunks = of(phases["phase copying"]);
    let chunks: Vec<_> = chunks.iter().filter(|span| span.name == "copy chunk").collect();
    let rows: u64 =
        chunks.iter().map(|chunk| attribute(chunk, "rows").parse::<u64>().expect("rows")).sum();
    assert!(rows >= u64::from(ROWS), "{rows} rows in {} chunks", chunks.len());
    let starts = |span: &Span| span.start_time_unix_nano;
    let copying = phases["phase copying"];
    assert!(chunks.iter().all(|chunk| starts(chunk) >= starts(copying)
        && chunk.end_time_unix_nano <= copying.end_time_unix_nano));
    let failed = |span: &&Span| {
        span.status.as_ref().is_some_and(|status| status.code() == StatusCode::Error)
    };
    assert_eq!(all.iter().find(failed), None);

    // Whatever is told about the operation is told with its trace.
    let logs = rig.server.logs();
    let lines: Vec<Json> =
        logs.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let done = lines.iter().find(|line| line["message"] == "operation succeeded").expect("a line");
    assert_eq!(done["trace_id"], TRACE, "{done}");
    assert_eq!(done["span_id"].as_str(), Some(hex(&operation.span_id).as_str()), "{done}");
    assert_eq!(done["span"]["operation_id"], run.operation(), "{done}");
    let phase = lines.iter().find(|line| line["phase"] == "copying").expect("a line");
    assert_eq!(phase["trace_id"], TRACE, "{phase}");
    assert!(lines.iter().any(|line| line["message"] == "ready" && line["trace_id"].is_null()));
    rig.finish().await;
}

#[tokio::test]
async fn a_call_ends_before_its_operation_and_another_one_links_to_it() {
    let (endpoint, mut spans) = collector().await;
    let mut rig = rig(&[(ENDPOINT, endpoint.as_str()), OFTEN]).await;
    // The migration waits for the lock.
    let lock = rig.source();
    lock.execute_batch("BEGIN IMMEDIATE").expect("the lock");
    let mut migrate = start(&rig, "01");
    let mut id = String::new();
    migrate
        .find(|event| {
            id = event["operation_id"].as_str().unwrap_or(&id).to_owned();
            event["event"] == "phase" && event["phase"] == "installing"
        })
        .await;
    drop(migrate);
    let call = find(&mut spans, "switchback.v1.DatabaseService/Migrate").await;
    let mut watching = rig.start(&["operations", "watch", &id]);
    watching.next().await.expect("an event");
    lock.execute_batch("COMMIT").expect("it is given back");
    watching.finish().await.expect(0);

    let all = last(&mut rig, &mut spans).await;
    let operation = all.iter().find(|span| span.name == "operation migrate").expect("one");
    assert_eq!(operation.parent_span_id, call.span_id);
    let watch = "switchback.v1.OperationService/WatchOperation";
    let watch = all.iter().find(|span| span.name == watch).expect("a call");
    let linked: Vec<_> = watch.links.iter().map(|link| link.span_id.clone()).collect();
    assert_eq!(linked, std::slice::from_ref(&operation.span_id));
    rig.finish().await;
}

#[tokio::test]
async fn what_the_caller_does_not_sample_is_not_sent_and_has_its_ids_in_the_log() {
    let (endpoint, mut spans) = collector().await;
    let settings = [(ENDPOINT, endpoint.as_str()), OFTEN, ("SWITCHBACK_LOG_FORMAT", "json")];
    let mut rig = rig(&settings).await;
    migrate(&rig, "00").await.expect(0);
    let all = last(&mut rig, &mut spans).await;
    assert_eq!(all.iter().find(|span| hex(&span.trace_id) == TRACE), None);
    assert!(rig.server.logs().contains(&format!(r#""trace_id":"{TRACE}""#)));
    rig.finish().await;
}

#[tokio::test]
async fn an_operation_that_fails_says_why() {
    let (endpoint, mut spans) = collector().await;
    let mut rig = rig(&[(ENDPOINT, endpoint.as_str()), OFTEN]).await;
    let run = rig.cli(&["cutover"]).await;
    assert!(!run.reason().is_empty(), "{run:?}");
    let all = last(&mut rig, &mut spans).await;
    let operation = all.iter().find(|span| span.name == "operation cutover").expect("one");
    assert_eq!(attribute(operation, "error.type"), run.reason());
    assert_eq!(operation.status.as_ref().map(|status| status.code()), Some(StatusCode::Error));
    rig.finish().await;
}

#[tokio::test]
async fn a_collector_that_is_away_delays_no_migration() {
    let away = format!("http://127.0.0.1:{}", cluster::free_port().expect("a port"));
    let mut rig = rig(&[(ENDPOINT, away.as_str()), OFTEN]).await;
    migrate(&rig, "01").await.expect(0);
    assert_eq!(rig.server.terminate().await.code(), Some(0));
    let logs = rig.server.logs();
    assert_eq!(logs.matches("spans cannot be sent").count(), 1, "{logs}");
    rig.finish().await;
}
