//! The way back: the write pause of every rollback and cutover beside four writer processes, how
//! far SQLite is behind while PostgreSQL is written to, and what reverse capture costs there.
//!
//! `SWITCHBACK_BENCH_ROWS` (1,000,000; about 240 MB) and `SWITCHBACK_BENCH_SWITCHES` (10 rounds of
//! a rollback and a cutover) set the sizes, `SWITCHBACK_BENCH_SECONDS` (8) for how long each rate
//! and each kind of transaction is written, `SWITCHBACK_BENCH_TURNS` (3) how often each kind is.
//! The median of the turns counts. The result is printed and written to
//! `target/bench/back.json`, after each part what there is of it.

mod capture;
mod lag;
mod pair;
mod rounds;
mod work;

use std::fs;

use serde_json::json;
use switchback_tests::{
    bench::{self, setting},
    cluster::{Cluster, Profile},
};

#[tokio::main]
async fn main() {
    let rows = setting("SWITCHBACK_BENCH_ROWS", 1_000_000);
    let switches = setting("SWITCHBACK_BENCH_SWITCHES", 10);
    let directory = tempfile::tempdir().expect("a directory");
    let cluster = Cluster::start(Profile::Durable).expect("a private PostgreSQL");
    let large = directory.path().join("large.db");
    pair::source(&large, rows);
    let small = directory.path().join("small.db");
    pair::source(&small, 1_000);
    let bytes = fs::metadata(&large).map_or(0, |metadata| metadata.len());
    let mut result = json!({ "rows": rows, "bytes": bytes });
    result["rounds"] = rounds::rounds(&cluster, &large, switches).await;
    bench::keep("back.json", &result);
    result["reverse_lag"] = lag::lags(&cluster, &large).await;
    bench::keep("back.json", &result);
    result["capture"] = capture::capture(&cluster, &small).await;
    bench::keep("back.json", &result);
    println!("{result:#}");
}
