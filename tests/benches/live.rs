//! A live source under four writer processes: the write pause at the switch, what capture costs a
//! writer, and the rate of changes that is followed.
//!
//! `SWITCHBACK_BENCH_ROWS` (4,000,000; about 1 GB) and `SWITCHBACK_BENCH_SWITCHES` (10) set the
//! sizes. The result is printed and written to `target/bench/live.json`.

#![expect(clippy::disallowed_methods, reason = "a load has a rate, and a size is sampled")]

use std::{
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use rusqlite::Connection;
use serde_json::{Value, json};
use switchback_tests::{
    bench::{self, Spread, WRITERS},
    cli,
    cluster::{Cluster, Profile},
    server::Server,
    workload::{Launch, Load, Writers, oracle},
};

/// How long each rate is written.
const PERIOD: Duration = Duration::from_secs(8);

/// Rows a second that are tried.
const RATES: [u64; 5] = [1_000, 5_000, 10_000, 20_000, 40_000];

#[tokio::main]
async fn main() {
    let rows = bench::setting("SWITCHBACK_BENCH_ROWS", 4_000_000);
    let switches = bench::setting("SWITCHBACK_BENCH_SWITCHES", 10);
    let directory = tempfile::tempdir().expect("a directory");
    let cluster = Cluster::start(Profile::Durable).expect("a private PostgreSQL");
    let large = directory.path().join("large.db");
    bench::source(&large, rows);
    let result = json!({
        "rows": rows,
        "bytes": fs::metadata(&large).map_or(0, |metadata| metadata.len()),
        "switches": pauses(&cluster, &large, switches).await,
        "capture": capture(&cluster, directory.path()).await,
        "rates": rates(&cluster, &large).await,
    });
    println!("{result:#}");
    bench::keep("live.json", &result);
}

/// Whole migrations beside four writers; the pause of each.
async fn pauses(cluster: &Cluster, large: &Path, switches: u64) -> Value {
    let mut pauses = Vec::new();
    let (mut log, mut seconds, mut lost, mut acknowledged) = (0, Vec::new(), 0, 0);
    for switch in 0..switches {
        let directory = tempfile::tempdir().expect("a directory");
        let source = directory.path().join("source.db");
        fs::copy(large, &source).expect("a copy");
        let database = cluster.database().await;
        let server = Server::start(&source, &database.url).await;
        let load = Load { stay: true, ..bench::load(switch) };
        let mut writers = Writers::start(WRITERS, load, Launch::on_file(&source));
        writers.until_ok(50).await;
        let watching = LogWatch::start(&source);
        let began = Instant::now();
        let run = cli::run(&server.endpoint(), &["migrate"]).await;
        run.expect(0);
        seconds.push(began.elapsed().as_secs_f64());
        log = log.max(watching.stop());
        let pause = run.report()["cutover"]["write_pause_ms"].as_f64().expect("a pause");
        eprintln!("switch {switch}: {pause:.1} ms");
        pauses.push(pause);
        writers.stop().await;
        // The writers stay on SQLite, which refuses them: PostgreSQL holds what they were told.
        let target = database.owner().await;
        for side in [oracle::Side::Sqlite(&source), oracle::Side::Postgres(&target)] {
            let verdict = oracle::check(writers.journals(), side).await;
            acknowledged += verdict.report.ok;
            lost += verdict.violations.len();
        }
        drop(target);
        drop(server);
        database.remove().await;
    }
    let pause = Spread::of(pauses);
    json!({
        "count": pause.count, "pause_p50_ms": pause.p50, "pause_p99_ms": pause.p99,
        "pause_max_ms": pause.max, "acknowledged": acknowledged / 2, "violations": lost,
        "largest_wal_bytes": log, "migrate_s": seconds,
    })
}

/// The largest size of the write-ahead log.
struct LogWatch {
    stop: Arc<AtomicBool>,
    thread: thread::JoinHandle<u64>,
}

impl LogWatch {
    fn start(source: &Path) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (ended, log) = (Arc::clone(&stop), source.with_extension("db-wal"));
        let thread = thread::spawn(move || {
            let mut largest = 0;
            while !ended.load(Ordering::Relaxed) {
                largest = largest.max(fs::metadata(&log).map_or(0, |metadata| metadata.len()));
                thread::sleep(Duration::from_millis(20));
            }
            largest
        });
        Self { stop, thread }
    }

    fn stop(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("the watch ends")
    }
}

/// What a writer without rest reaches, without and with capture.
async fn capture(cluster: &Cluster, scratch: &Path) -> Value {
    let source = scratch.join("capture.db");
    bench::source(&source, 1_000);
    let speeds = |from: u64| {
        let one = write(&source, from, 1, u64::MAX);
        let hundred = write(&source, from + 100_000_000, 100, u64::MAX);
        [one, hundred].map(|rows| rows as f64 / PERIOD.as_secs_f64())
    };
    let without = speeds(1_000);
    let database = cluster.database().await;
    let server = Server::start(&source, &database.url).await;
    cli::run(&server.endpoint(), &["migrate", "--manual-cutover"]).await.expect(0);
    let followed = speeds(400_000_000);
    drop(server);
    // Nobody follows any more: what the triggers alone cost.
    let captured = speeds(800_000_000);
    database.remove().await;
    let line = |[one, hundred]: [f64; 2]| json!({ "one_row_tx_per_s": one, "hundred_row_tx_per_s": hundred / 100.0 });
    json!({ "without": line(without), "triggers": line(captured), "followed": line(followed) })
}

/// Inserts rows for a while, `size` in a transaction and at most `rate` a second; how many.
fn write(source: &Path, from: u64, size: u64, rate: u64) -> u64 {
    let connection = Connection::open(source).expect("the source opens");
    connection.busy_timeout(Duration::from_secs(5)).expect("a time-out");
    connection.execute_batch("PRAGMA synchronous = NORMAL").expect("a setting");
    let mut insert = connection
        .prepare("INSERT INTO changing (id, name, n) VALUES (?1, 'name ' || ?1, ?1 % 7)")
        .expect("a statement");
    let began = Instant::now();
    let mut rows = 0;
    while began.elapsed() < PERIOD {
        if rows as f64 > began.elapsed().as_secs_f64() * rate as f64 {
            thread::sleep(Duration::from_millis(1));
            continue;
        }
        connection.execute_batch("BEGIN IMMEDIATE").expect("the write lock");
        for _ in 0..size {
            insert.execute([i64::try_from(from + rows).expect("an id")]).expect("a row");
            rows += 1;
        }
        connection.execute_batch("COMMIT").expect("committed");
    }
    rows
}

/// Rates of changes beside which the lag stays small, and how long it takes to fall to zero.
async fn rates(cluster: &Cluster, large: &Path) -> Value {
    let directory = tempfile::tempdir().expect("a directory");
    let source = directory.path().join("source.db");
    fs::copy(large, &source).expect("a copy");
    let database = cluster.database().await;
    let server = Server::start(&source, &database.url).await;
    cli::run(&server.endpoint(), &["migrate", "--manual-cutover"]).await.expect(0);
    let (mut found, mut next) = (Vec::new(), 10_000_000_000);
    for rate in RATES {
        let file = source.clone();
        let writer = tokio::task::spawn_blocking(move || write(&file, next, 10, rate));
        let (largest, rows) = bench::largest_lag(&server, writer).await;
        let ended = Instant::now();
        while bench::lag(&server).await > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        next += rows;
        found.push(json!({
            "asked_rows_per_s": rate, "rows_per_s": rows as f64 / PERIOD.as_secs_f64(),
            "largest_lag_changes": largest, "to_zero_s": ended.elapsed().as_secs_f64(),
        }));
        eprintln!("{}", found[found.len() - 1]);
    }
    json!(found)
}
