//! What the service costs: binaries, an idle server, calls with and without TLS and a token, and a
//! thousand watchers of one operation.
//!
//! `SWITCHBACK_BENCH_SECONDS` (10) is how long each is looked at, `SWITCHBACK_BENCH_WATCHERS` (1000)
//! how many watch. The result is printed and written to `target/bench/service.json`. The plaintext
//! server is what TLS and tokens are compared with, in the same run.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use switchback_proto::v1::{
    GetDatabaseRequest, ListOperationsRequest, WatchOperationRequest,
    database_service_client::DatabaseServiceClient, operation_event::Event,
    operation_service_client::OperationServiceClient,
};
use switchback_tests::{
    bench::{self, Spread, keep, setting},
    binaries,
    certificates::{Authority, put},
    cli,
    cluster::{Cluster, Database, Profile},
    server::Server,
    tokens::{Bearer, Token},
};
use tokio::task::JoinSet;
use tokio_stream::StreamExt;
use tonic::{service::interceptor::InterceptedService, transport::Channel};

/// Callers side by side, four on a connection.
const CALLERS: usize = 16;

/// Rows whose migration lasts long enough to be watched.
const ROWS: u64 = 400_000;

type Guarded = InterceptedService<Channel, Bearer>;

/// A server, and who may call it.
struct Place {
    server: Server,
    token: String,
}

impl Place {
    fn channel(&self) -> Guarded {
        Bearer::of(&self.token, self.server.channel())
    }
}

#[tokio::main]
async fn main() {
    let seconds = Duration::from_secs(setting("SWITCHBACK_BENCH_SECONDS", 10));
    let directory = tempfile::tempdir().expect("a directory");
    let cluster = Cluster::start(Profile::Durable).expect("a private PostgreSQL");
    let database = cluster.database().await;
    let source = directory.path().join("source.db");
    bench::source(&source, ROWS);

    let place = plain(&source, &database).await;
    let idle = idle(&place.server, seconds).await;
    let plain_calls = calls(&place, seconds).await;
    drop(place);
    let place = guarded(directory.path(), &source, &database).await;
    let guarded_calls = calls(&place, seconds).await;
    drop(place);
    let place = plain(&source, &database).await;
    let watched = watched(&place, setting("SWITCHBACK_BENCH_WATCHERS", 1000)).await;
    drop(place);
    database.remove().await;

    let result = json!({
        "switchbackd_mb": megabytes(&binaries::switchbackd()),
        "switchback_mb": megabytes(&binaries::switchback()),
        "idle": idle, "plain": plain_calls, "tls_and_token": guarded_calls, "watched": watched,
    });
    print(&result);
    keep("service.json", &result);
}

async fn plain(source: &Path, database: &Database) -> Place {
    let server = Server::start(source, &database.url).await;
    Place { server, token: "none".into() }
}

async fn guarded(directory: &Path, source: &Path, database: &Database) -> Place {
    let authority = Authority::new("bench");
    let token = Token::make("viewer", &[]);
    let file = directory.join("tokens");
    put(&file, &token.line);
    let [certificate, key] = authority.server().put(directory, "server");
    let [file, certificate, key] = [file, certificate, key].map(|path| path.display().to_string());
    let settings = [
        ("SWITCHBACK_TOKENS", file.as_str()),
        ("SWITCHBACK_TLS_CERT", certificate.as_str()),
        ("SWITCHBACK_TLS_KEY", key.as_str()),
    ];
    let trusted = authority.trusted();
    let server = Server::start_tls(source, &database.url, &settings, trusted).await;
    Place { server, token: token.token }
}

/// Memory and processor of a server that nobody asks for anything.
async fn idle(server: &Server, seconds: Duration) -> Value {
    // What the start has left to do.
    tokio::time::sleep(seconds / 4).await;
    let before = processor_seconds(server);
    tokio::time::sleep(seconds).await;
    let used = processor_seconds(server) - before;
    json!({ "rss_mb": resident(server), "cpu_percent": 100.0 * used / seconds.as_secs_f64() })
}

/// Calls a second of many callers: one that asks the control database, and one that asks both
/// engines as well.
async fn calls(place: &Place, seconds: Duration) -> Value {
    let listed = load(place, seconds, async |channel| {
        let request = ListOperationsRequest { page_size: 1, ..ListOperationsRequest::default() };
        OperationServiceClient::new(channel).list_operations(request).await.map(drop)
    });
    let listed = listed.await;
    let asked = load(place, seconds, async |channel| {
        let request = GetDatabaseRequest { database: "default".into() };
        DatabaseServiceClient::new(channel).get_database(request).await.map(drop)
    });
    json!({ "list_operations": listed, "get_database": asked.await })
}

async fn load<C>(place: &Place, seconds: Duration, call: C) -> Value
where
    C: AsyncFn(Guarded) -> Result<(), tonic::Status> + Clone + 'static,
{
    let channels: Vec<Guarded> = (0..CALLERS / 4).map(|_| place.channel()).collect();
    let began = Instant::now();
    let callers = (0..CALLERS).map(|number| {
        let (channel, call) = (channels[number % channels.len()].clone(), call.clone());
        async move {
            let mut times = Vec::new();
            while began.elapsed() < seconds {
                let asked = Instant::now();
                call(channel.clone()).await.expect("an answer");
                times.push(asked.elapsed().as_secs_f64() * 1000.0);
            }
            times
        }
    });
    let times: Vec<f64> = futures_util::future::join_all(callers).await.concat();
    let rate = times.len() as f64 / began.elapsed().as_secs_f64();
    let spread = Spread::of(times);
    json!({ "calls_s": rate, "p50_ms": spread.p50, "p99_ms": spread.p99, "max_ms": spread.max })
}

/// Many watchers of one migration: what they cost, and when the last one knows its end.
async fn watched(place: &Place, watchers: u64) -> Value {
    let mut run = cli::start(&place.server.endpoint(), &["migrate", "--skip-backup"]);
    let started = run.find(|event| event["event"] == "started").await;
    let operation = started["operation_id"].as_str().expect("an id").to_owned();
    let before = resident(&place.server);
    let mut streams = JoinSet::new();
    let channel = place.channel();
    for _ in 0..watchers {
        let request = WatchOperationRequest { operation_id: operation.clone(), from_sequence: 0 };
        let mut client = OperationServiceClient::new(channel.clone());
        streams.spawn(async move {
            let mut stream = client.watch_operation(request).await.expect("a stream").into_inner();
            let mut events = 0_u64;
            while let Some(answer) = stream.next().await {
                events += 1;
                let event = answer.expect("an event").event.and_then(|event| event.event);
                if matches!(event, Some(Event::Result(_))) {
                    return (Instant::now(), events);
                }
            }
            panic!("a stream ended without the result");
        });
    }
    let ended = streams.join_all().await;
    run.finish().await.expect(0);
    let first = ended.iter().map(|(at, _)| *at).min().expect("watchers");
    let last = ended.iter().map(|(at, _)| *at).max().expect("watchers");
    json!({
        "watchers": watchers,
        "events": ended.iter().map(|(_, events)| events).sum::<u64>(),
        "first_to_last_ms": (last - first).as_secs_f64() * 1000.0,
        "rss_mb": { "before": before, "peak": of_status(&place.server, "VmHWM:") },
    })
}

fn megabytes(path: &Path) -> f64 {
    fs::metadata(path).map_or(f64::NAN, |metadata| metadata.len() as f64 / 1e6)
}

fn resident(server: &Server) -> f64 {
    of_status(server, "VmRSS:")
}

/// A size out of the kernel's record of the process, in MiB.
fn of_status(server: &Server, name: &str) -> f64 {
    let status = fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap_or_default();
    let kib = line.split_whitespace().nth(1).and_then(|text| text.parse::<f64>().ok());
    kib.map_or(f64::NAN, |kib| kib / 1024.0)
}

/// Processor time so far; the kernel counts hundredths.
fn processor_seconds(server: &Server) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{}/stat", server.pid())).unwrap_or_default();
    // The name may hold spaces; behind it the times are the 12th and 13th field.
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}

fn print(result: &Value) {
    let number = |value: &Value| value.as_f64().unwrap_or(f64::NAN);
    println!(
        "binaries, MB: switchbackd {:.1}, switchback {:.1}",
        number(&result["switchbackd_mb"]),
        number(&result["switchback_mb"])
    );
    println!(
        "idle: {:.1} MiB resident, {:.2} % of a core",
        number(&result["idle"]["rss_mb"]),
        number(&result["idle"]["cpu_percent"])
    );
    println!("\n{:34} {:>9} {:>9} {:>9}", "calls of 16 callers", "calls/s", "p50 ms", "p99 ms");
    for server in ["plain", "tls_and_token"] {
        for call in ["list_operations", "get_database"] {
            let found = &result[server][call];
            println!(
                "{:34} {:>9.0} {:>9.2} {:>9.2}",
                format!("{server}, {call}"),
                number(&found["calls_s"]),
                number(&found["p50_ms"]),
                number(&found["p99_ms"])
            );
        }
    }
    for call in ["list_operations", "get_database"] {
        let [plain, guarded] =
            ["plain", "tls_and_token"].map(|s| number(&result[s][call]["calls_s"]));
        println!("{:34} {:>9.2}", format!("TLS and token / plain, {call}"), guarded / plain);
    }
    let watched = &result["watched"];
    println!(
        "\n{} watchers, {} events: {:.0} ms from the first that knows the end to the last; \
              {:.1} MiB before, {:.1} MiB at most",
        watched["watchers"],
        watched["events"],
        number(&watched["first_to_last_ms"]),
        number(&watched["rss_mb"]["before"]),
        number(&watched["rss_mb"]["peak"])
    );
}
