//! Metrics go to a collector while a pair is migrated; a collector that is away changes nothing.

use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::{
    collector::metrics::v1::{
        ExportMetricsServiceRequest, ExportMetricsServiceResponse,
        metrics_service_server::{MetricsService, MetricsServiceServer},
    },
    common::v1::{KeyValue, any_value::Value},
    metrics::v1::{metric::Data, number_data_point},
};
use switchback_tests::{
    DEADLINE,
    cluster::{self, Cluster, PASSWORD, Profile},
    rig::{Rig, directory},
    server::Server,
    workload::{Launch, Load, Writers},
};
use tokio::{
    net::TcpListener,
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    time::timeout,
};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status, transport};

use crate::{
    round,
    writing::{ROWS, WRITERS, follow, following, make, on_postgres, staying},
};

const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const INTERVAL: &str = "OTEL_METRIC_EXPORT_INTERVAL";
/// Far below what would make a test fast or slow.
const OFTEN: (&str, &str) = (INTERVAL, "50");
const HEADER: &str = "hush";

/// A value of a metric, with `database` and the like.
#[derive(Debug, Clone)]
struct Point {
    metric: String,
    attributes: Vec<(String, String)>,
    value: f64,
}

/// What one export brought.
#[derive(Debug, Clone)]
struct Export {
    resource: Vec<(String, String)>,
    header: String,
    points: Vec<Point>,
}

impl Export {
    /// The value of a metric of the database `default`; `with` is the other attribute's value.
    fn value(&self, metric: &str, with: &str) -> Option<f64> {
        let is_it = |point: &&Point| {
            let has = |value: &str| point.attributes.iter().any(|(_, known)| known == value);
            point.metric == format!("switchback.{metric}")
                && has("default")
                && (with.is_empty() || has(with))
        };
        self.points.iter().find(is_it).map(|point| point.value)
    }
}

struct Collector {
    exports: UnboundedSender<Export>,
}

#[tonic::async_trait]
impl MetricsService for Collector {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        let header = request.metadata().get("x-key").and_then(|value| value.to_str().ok());
        let header = header.unwrap_or_default().to_owned();
        for of_resource in request.into_inner().resource_metrics {
            let resource = texts(&of_resource.resource.unwrap_or_default().attributes);
            let metrics = of_resource.scope_metrics.into_iter().flat_map(|scope| scope.metrics);
            let points = metrics.flat_map(|metric| points(&metric.name, metric.data)).collect();
            // The test may have ended.
            let _ = self.exports.send(Export { resource, header: header.clone(), points });
        }
        Ok(Response::new(ExportMetricsServiceResponse::default()))
    }
}

fn points(metric: &str, data: Option<Data>) -> Vec<Point> {
    let point = |attributes: &[KeyValue], value: f64| Point {
        metric: metric.to_owned(),
        attributes: texts(attributes),
        value,
    };
    match data {
        Some(Data::Gauge(gauge)) => {
            let points = gauge.data_points.iter();
            points.map(|given| point(&given.attributes, number(given.value))).collect()
        }
        // One switch: the sum is its pause.
        Some(Data::Histogram(histogram)) => {
            let points = histogram.data_points.iter().inspect(|given| assert_eq!(given.count, 1));
            points.map(|given| point(&given.attributes, given.sum())).collect()
        }
        Some(Data::Sum(sum)) => {
            let points = sum.data_points.iter();
            points.map(|given| point(&given.attributes, number(given.value))).collect()
        }
        other => panic!("{metric} is {other:?}"),
    }
}

fn number(value: Option<number_data_point::Value>) -> f64 {
    match value.expect("a value") {
        number_data_point::Value::AsDouble(value) => value,
        number_data_point::Value::AsInt(value) => {
            f64::from(i32::try_from(value).expect("a small number"))
        }
    }
}

fn texts(attributes: &[KeyValue]) -> Vec<(String, String)> {
    let text = |attribute: &KeyValue| match attribute.value.clone()?.value? {
        Value::StringValue(text) => Some((attribute.key.clone(), text)),
        _ => None,
    };
    attributes.iter().filter_map(text).collect()
}

/// What the collector got, in order.
struct Received {
    endpoint: String,
    exports: UnboundedReceiver<Export>,
}

impl Received {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
        let (sender, exports) = unbounded_channel();
        let service = MetricsServiceServer::new(Collector { exports: sender })
            .accept_compressed(tonic::codec::CompressionEncoding::Gzip);
        let server = transport::Server::builder().add_service(service);
        tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
        Self { endpoint, exports }
    }

    /// The first export to come that a condition holds for.
    async fn find(&mut self, wanted: impl Fn(&Export) -> bool) -> Export {
        let mut last = None;
        let found = async {
            while let Some(export) = self.exports.recv().await {
                if wanted(&export) {
                    return Some(export);
                }
                last = Some(export);
            }
            None
        };
        let found = timeout(DEADLINE, found).await.ok().flatten();
        found.unwrap_or_else(|| panic!("it never came; the last one was {last:#?}"))
    }

    /// Passes over what has come; the last of it.
    fn skip(&mut self) -> Option<Export> {
        let come = std::iter::from_fn(|| self.exports.try_recv().ok());
        come.last()
    }
}

/// A pair in a cluster of its own.
async fn rig(cluster: &Cluster, settings: &[(&str, &str)]) -> Rig {
    let place = directory();
    let source = place.path().join("source.db");
    make(&rusqlite::Connection::open(&source).expect("a file"), "wal", ROWS);
    let database = cluster.database().await;
    let server = Server::start_with(&source, &database.url, settings).await;
    Rig { server, database, source, directory: place }
}

/// PostgreSQL is away for a while: the lag is seen to grow, and to go.
async fn assert_lag_comes_and_goes(
    cluster: &Cluster,
    received: &mut Received,
    writers: &mut Writers,
) {
    // Only what has been followed since the migration ended is seen while PostgreSQL is away.
    received.skip();
    received.find(|export| export.value("lag_changes", "forward") > Some(0.0)).await;

    cluster.stop_immediate();
    received.skip();
    writers.until_ok(5).await;
    let behind = received.find(|export| export.value("lag_changes", "forward") > Some(10.0)).await;
    let older = |export: &Export| {
        export.value("lag_seconds", "forward") > behind.value("lag_seconds", "forward")
    };
    received.find(older).await;
    assert_eq!(behind.value("engine_up", "sqlite"), Some(1.0));
    cluster.start_again();
    // Each is looked at by itself, and writers go on.
    let in_sync = |export: &Export| {
        export.value("lag_changes", "forward") == Some(0.0)
            && export.value("lag_seconds", "forward") == Some(0.0)
    };
    received.find(in_sync).await;
}

#[tokio::test]
async fn the_lag_the_switch_and_its_pause_reach_a_collector() {
    let cluster = Cluster::start(Profile::Fast).expect("a cluster");
    let mut received = Received::start().await;
    let endpoint = received.endpoint.clone();
    let settings = [
        (ENDPOINT, endpoint.as_str()),
        OFTEN,
        ("OTEL_EXPORTER_OTLP_HEADERS", &format!("x-key={HEADER}")),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
        ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test"),
    ];
    let mut rig = rig(&cluster, &settings).await;
    let first = received.find(|export| export.value("engine_up", "sqlite") == Some(1.0)).await;
    assert_eq!(first.value("active_engine", "sqlite"), Some(1.0));
    assert_eq!(first.value("active_engine", "postgres"), Some(0.0));
    assert_eq!(
        (first.value("lag_changes", "forward"), first.value("epoch", "")),
        (Some(0.0), Some(0.0))
    );
    assert_eq!(first.header, HEADER);
    for (key, value) in [("service.name", "switchbackd"), ("deployment.environment.name", "test")] {
        assert!(first.resource.contains(&(key.into(), value.into())), "{:?}", first.resource);
    }

    let load = Load { rate: 20, ..staying() };
    let mut writers = Writers::start(WRITERS, load, Launch::on_file(&rig.source));
    writers.until_ok(3).await;
    let plan = round::planned(&rig, &[]).await;
    following(&rig).await.finish().await.expect(0);

    assert_lag_comes_and_goes(&cluster, &mut received, &mut writers).await;

    let cutover = rig.cli(&["cutover"]).await;
    cutover.expect(0);
    let told = cutover.report()["write_pause_ms"].as_f64().expect("a pause");
    let up = |export: &Export| export.value("engine_up", "postgres") == Some(1.0);
    received.find(up).await;
    follow(&rig, &mut writers, &plan).await;
    writers.stop().await;
    on_postgres(&rig, &writers).await;
    received.find(|export| export.value("lag_changes", "reverse") == Some(0.0)).await;

    assert_eq!(rig.server.terminate().await.code(), Some(0));
    let last = received.skip().expect("an export");
    let pause = last.value("write_pause_seconds", "forward").expect("a pause");
    assert!((pause - told / 1000.0).abs() < 1e-6, "{pause} s, {told} ms");
    assert_eq!(last.value("active_engine", "sqlite"), Some(0.0));
    assert_eq!(last.value("active_engine", "postgres"), Some(1.0));
    assert!(last.value("lag_changes", "reverse").is_some(), "{last:?}");
    assert_eq!(last.value("epoch", ""), Some(1.0));
    assert!(!rig.server.logs().contains(HEADER), "the header is told");
}

/// The interval is an hour: only the end of the server sends anything.
#[tokio::test]
async fn the_last_values_are_sent_at_the_end() {
    let mut received = Received::start().await;
    let database = Cluster::shared().database().await;
    let place = directory();
    let source = place.path().join("source.db");
    make(&rusqlite::Connection::open(&source).expect("a file"), "wal", 1);
    let endpoint = received.endpoint.clone();
    let settings = [("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", &*endpoint), (INTERVAL, "3600000")];
    let mut server = Server::start_with(&source, &database.url, &settings).await;
    assert_eq!(server.terminate().await.code(), Some(0));
    let last = received.skip().expect("an export");
    assert_eq!(last.value("active_engine", "sqlite"), Some(1.0), "{last:#?}");
    database.remove().await;
}

#[tokio::test]
async fn a_collector_that_is_away_or_silent_delays_nothing() {
    // It takes connections and never says a word.
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let silent = format!("http://{}", silent.local_addr().expect("an address"));
    let away = format!("http://127.0.0.1:{}", cluster::free_port().expect("a port"));
    for (endpoint, warning) in
        [(&away, "metrics cannot be sent"), (&silent, "did not take the last metrics in time")]
    {
        let mut rig = Rig::of(|connection| make(connection, "wal", ROWS)).await;
        rig.server.terminate().await;
        rig.server.set(ENDPOINT, endpoint);
        rig.server.set(INTERVAL, OFTEN.1);
        rig.server.set("OTEL_EXPORTER_OTLP_TIMEOUT", "3600000");
        rig.server.launch().await;
        rig.cli(&["migrate"]).await.expect(0);
        let began = Instant::now();
        assert_eq!(rig.server.terminate().await.code(), Some(0));
        assert!(began.elapsed() < Duration::from_secs(20), "it took {:?}", began.elapsed());
        let logs = rig.server.logs();
        assert_eq!(logs.matches(warning).count(), 1, "{logs}");
        assert!(!logs.contains("panicked"), "{logs}");
        rig.finish().await;
    }
}

#[tokio::test]
async fn a_wrong_variable_stops_the_start_and_no_header_is_told() {
    let url = format!("postgres://owner:{PASSWORD}@127.0.0.1:5432/shop");
    let headers = ("OTEL_EXPORTER_OTLP_HEADERS", "x-key=hush");
    let right = [(ENDPOINT, "http://u:hush@collector:4317"), headers];
    let ended = Server::check_config("/data/app.db".as_ref(), &url, &right).await;
    assert_eq!(ended.code, 0, "{}", ended.output);
    assert!(ended.output.contains("x-key=***"), "{}", ended.output);
    assert!(ended.output.contains("http://collector:4317"), "{}", ended.output);
    assert!(!ended.output.contains(HEADER), "{}", ended.output);
    for wrong in [
        (ENDPOINT, "collector hush"),
        ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://"),
        (INTERVAL, "soon"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
    ] {
        let settings = [right[0], headers, wrong];
        let source = "/data/app.db".as_ref();
        for ended in [
            Server::check_config(source, &url, &settings).await,
            Server::run_with(source, &url, &settings).await,
        ] {
            assert_eq!(ended.code, 64, "{wrong:?}: {}", ended.output);
            assert!(ended.output.contains(wrong.0), "{wrong:?}: {}", ended.output);
            assert!(!ended.output.contains(HEADER), "{}", ended.output);
        }
    }
}
