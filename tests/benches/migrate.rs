//! Whole runs against peers: `pgloader`, and the ceiling that PostgreSQL itself sets — `psql
//! \copy … (format binary)` of bytes made beforehand into a table without an index, then its key.
//!
//! `SWITCHBACK_BENCH_ROWS` (2,000,000) and `SWITCHBACK_BENCH_TABLES` (200) set the sizes. The result
//! is printed and written to `target/bench/migrate.json`.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    time::Instant,
};

use rusqlite::Connection;
use serde_json::{Value, json};
use switchback_tests::{
    bench::{keep, setting, settle},
    cli,
    cluster::{Cluster, Database, Profile},
    server::Server,
};

/// How often the start is measured.
const STARTS: usize = 7;

#[tokio::main]
async fn main() {
    let rows = setting("SWITCHBACK_BENCH_ROWS", 2_000_000);
    let tables = setting("SWITCHBACK_BENCH_TABLES", 200);
    let directory = tempfile::tempdir().expect("a directory");
    let cluster = Cluster::start(Profile::Durable).expect("a private PostgreSQL");

    let large = directory.path().join("large.db");
    build_large(&large, rows);
    // A file that was migrated is fenced.
    let copy = directory.path().join("copy.db");
    fs::copy(&large, &copy).expect("a copy");
    let existing = into_existing(&cluster, &copy).await;
    let _ = fs::remove_file(copy);
    let large = measure("one table", &cluster, &large, directory.path(), true).await;

    let small = directory.path().join("small.db");
    build_small(&small, tables);
    let small = measure("small tables", &cluster, &small, directory.path(), false).await;

    let ready = start_to_ready(&cluster, directory.path()).await;
    let result = json!({
        "rows": rows, "tables": tables, "large": large, "existing": existing, "small": small,
        "ready_ms": ready,
    });
    print(&result);
    keep("migrate.json", &result);
}

/// Eight columns, about 180 bytes a row.
fn build_large(path: &Path, rows: u64) {
    eprintln!("building {rows} rows");
    let sql = format!(
        "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;
         CREATE TABLE events (id INTEGER PRIMARY KEY, user_id INTEGER NOT NULL, amount REAL, name TEXT,
                              email TEXT, created_at DATETIME, note TEXT, payload BLOB);
         BEGIN;
         WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows})
         INSERT INTO events
         SELECT i, i * 7919 % 1000003, i * 0.013, 'user number ' || i, 'user' || i || '@example.org',
                datetime(1500000000 + i, 'unixepoch'), 'note ' || hex(randomblob(20)), randomblob(32)
           FROM n;
         COMMIT;"
    );
    Connection::open(path).and_then(|c| c.execute_batch(&sql)).expect("the source is made");
}

fn build_small(path: &Path, tables: u64) {
    let connection = Connection::open(path).expect("a SQLite file");
    connection.execute_batch("BEGIN").expect("a transaction");
    for number in 0..tables {
        let sql = format!(
            "CREATE TABLE t{number} (id INTEGER PRIMARY KEY, name TEXT, value REAL, made DATETIME);
             CREATE INDEX i{number} ON t{number} (name);
             WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100)
             INSERT INTO t{number} SELECT i, 'name ' || i, i / 7.0, datetime(1500000000 + i, 'unixepoch') FROM n;"
        );
        connection.execute_batch(&sql).expect("a table");
    }
    connection.execute_batch("COMMIT").expect("committed");
}

async fn measure(
    name: &str,
    cluster: &Cluster,
    source: &Path,
    scratch: &Path,
    ceiling: bool,
) -> Value {
    eprintln!("{name}: switchback");
    let database = cluster.database().await;
    let mut result = switchback(source, &database, &[]).await;
    if ceiling {
        eprintln!("{name}: psql");
        result["ceiling"] = psql(cluster, &database, scratch).await;
    }
    database.remove().await;
    eprintln!("{name}: pgloader");
    result["pgloader_s"] = pgloader(cluster, source).await;
    result
}

/// The large table into one that an application has made, with types that every value is converted
/// for.
async fn into_existing(cluster: &Cluster, source: &Path) -> Value {
    eprintln!("one table that is there: switchback");
    let database = cluster.database().await;
    let made = "CREATE TABLE events (id bigint PRIMARY KEY, user_id bigint NOT NULL,
                  amount numeric, name varchar(40), email varchar(60) NOT NULL,
                  created_at timestamptz, note text, payload bytea)";
    database.owner().await.batch_execute(made).await.expect("a table");
    let result = switchback(source, &database, &["--schema", "existing"]).await;
    database.remove().await;
    result
}

/// A plan, a migration and a validation, with these arguments for the first two.
async fn switchback(source: &Path, database: &Database, arguments: &[&str]) -> Value {
    let server = Server::start(source, &database.url).await;
    let plan = timed(&server, &[&["plan"], arguments].concat()).await;
    settle(database).await;
    let migrate = timed(&server, &[&["migrate"], arguments].concat()).await;
    let after_migrate = peak(&server);
    settle(database).await;
    let validate = timed(&server, &["validate"]).await;
    let seconds = &migrate.1["seconds"];
    json!({
        "bytes": fs::metadata(source).map_or(0, |metadata| metadata.len()),
        "rows": migrate.1["rows"],
        "plan_s": plan.0,
        "migrate_s": migrate.0,
        "copy_s": seconds["copying"],
        "index_s": seconds["indexing"],
        "copy_with_index_s": number(&seconds["copying"]) + number(&seconds["indexing"]),
        "validate_s": validate.0,
        "peak_rss_mb": { "after_migrate": after_migrate, "after_validate": peak(&server) },
    })
}

/// Wall time of a command, and its report.
async fn timed(server: &Server, arguments: &[&str]) -> (f64, Value) {
    let started = Instant::now();
    let run = cli::run(&server.endpoint(), arguments).await;
    let seconds = started.elapsed().as_secs_f64();
    run.expect(0);
    (seconds, run.report().clone())
}

/// The ceiling: the bytes of the migrated table, from a file into a bare table, then the key.
async fn psql(cluster: &Cluster, migrated: &Database, scratch: &Path) -> Value {
    let file = scratch.join("events.copy");
    let export = format!("\\copy events to '{}' (format binary)", file.display());
    shell(cluster, &migrated.name, &export);
    let columns = "SELECT string_agg(quote_ident(column_name) || ' ' || data_type, ', ' ORDER BY ordinal_position)
                     FROM information_schema.columns WHERE table_name = 'events'";
    let columns: String =
        migrated.admin().await.query_one(columns, &[]).await.expect("columns").get(0);
    let bare = cluster.database().await;
    let made = format!("CREATE TABLE events ({columns})");
    bare.admin().await.batch_execute(&made).await.expect("a table");
    settle(&bare).await;
    let import = format!("\\copy events from '{}' (format binary)", file.display());
    let copy = shell(cluster, &bare.name, &import);
    let index = shell(cluster, &bare.name, "ALTER TABLE events ADD PRIMARY KEY (id)");
    bare.remove().await;
    let _ = fs::remove_file(file);
    json!({ "copy_s": copy, "index_s": index, "copy_with_index_s": copy + index })
}

/// Seconds that psql takes for one command.
fn shell(cluster: &Cluster, database: &str, command: &str) -> f64 {
    let started = Instant::now();
    let status = Command::new(cluster.programs().path("psql"))
        .args([
            "--no-psqlrc",
            "--quiet",
            "--set",
            "ON_ERROR_STOP=1",
            "--username",
            "admin",
            "--dbname",
            database,
        ])
        .arg("--host")
        .arg(cluster.socket())
        .args(["--port", &cluster.port().to_string(), "--command", command])
        .status()
        .expect("psql runs");
    assert!(status.success(), "psql: {command}");
    started.elapsed().as_secs_f64()
}

/// Seconds, or null where pgloader is not installed or fails.
async fn pgloader(cluster: &Cluster, source: &Path) -> Value {
    let database = cluster.database().await;
    settle(&database).await;
    let started = Instant::now();
    let status = Command::new("pgloader")
        .arg(format!("sqlite://{}", source.display()))
        .arg(database.url.replacen("postgres://", "postgresql://", 1))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    let seconds = started.elapsed().as_secs_f64();
    database.remove().await;
    match status {
        Ok(status) if status.success() => json!(seconds),
        Ok(status) => {
            eprintln!("note: pgloader ended with {status}");
            Value::Null
        }
        Err(error) => {
            eprintln!("note: no pgloader: {error}");
            Value::Null
        }
    }
}

/// Largest resident set of the server so far, in megabytes.
fn peak(server: &Server) -> f64 {
    let status = fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap_or_default();
    let kib: f64 =
        line.split_whitespace().nth(1).and_then(|text| text.parse().ok()).unwrap_or(f64::NAN);
    kib / 1024.0
}

/// Median of the milliseconds from the start of the process to its first healthy answer.
async fn start_to_ready(cluster: &Cluster, scratch: &Path) -> f64 {
    let source = scratch.join("tiny.db");
    build_small(&source, 1);
    let database = cluster.database().await;
    let mut times = Vec::new();
    for _ in 0..STARTS {
        let started = Instant::now();
        let server = Server::start(&source, &database.url).await;
        times.push(started.elapsed().as_secs_f64() * 1000.0);
        drop(server);
    }
    times.sort_by(f64::total_cmp);
    times[STARTS / 2]
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or(f64::NAN)
}

fn print(result: &Value) {
    for name in ["large", "existing", "small"] {
        let part = &result[name];
        let rows = number(&part["rows"]);
        println!("\n{name}: {rows} rows, {:.0} MB", number(&part["bytes"]) / 1e6);
        println!("{:32} {:>9} {:>12}", "", "seconds", "rows/s");
        let line = |what: &str, value: &Value| {
            if value.is_null() {
                return;
            }
            let seconds = number(value);
            println!("{what:32} {seconds:>9.2} {:>12.0}", rows / seconds);
        };
        line("plan", &part["plan_s"]);
        line("copy", &part["copy_s"]);
        line("copy with index", &part["copy_with_index_s"]);
        line("migrate, whole", &part["migrate_s"]);
        line("validate, exact", &part["validate_s"]);
        line("psql copy", &part["ceiling"]["copy_s"]);
        line("psql copy, then key", &part["ceiling"]["copy_with_index_s"]);
        line("pgloader", &part["pgloader_s"]);
        let copy = number(&part["copy_with_index_s"]);
        let ratio = |what: &str, ratio: f64| {
            if ratio.is_finite() {
                println!("{what:32} {ratio:>9.2}");
            }
        };
        ratio("copy with index / ceiling", copy / number(&part["ceiling"]["copy_with_index_s"]));
        ratio("pgloader / copy with index", number(&part["pgloader_s"]) / copy);
        println!(
            "peak memory of the server, MB    {:>9.1}",
            number(&part["peak_rss_mb"]["after_validate"])
        );
    }
    let [large, existing] = ["large", "existing"].map(|part| number(&result[part]["migrate_s"]));
    println!("\nexisting / large, whole           {:>9.2}", existing / large);
    println!("start to ready, ms               {:>9.1}", number(&result["ready_ms"]));
}
