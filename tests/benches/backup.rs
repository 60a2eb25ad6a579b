//! Backups and restorations of both engines against their peers in the same run: `sqlite3 .backup`
//! and `zstd`; `pg_dump -Fc`, `pg_dump -Fd -j2` and `zstd`, `pg_restore -j2`.
//!
//! `SWITCHBACK_BENCH_ROWS` (4,000,000; about 1 GB) sets the size. The store is a directory, or what
//! `SWITCHBACK_BENCH_STORE` and the `AWS_*` variables name. The result is printed and written to
//! `target/bench/backup.json`.

use std::{
    env, fs,
    path::Path,
    process::{Command, Stdio},
    time::Instant,
};

use rusqlite::Connection;
use serde_json::{Value, json};
use switchback_tests::{
    bench::{keep, setting, settle, source},
    cli,
    cluster::{Cluster, Database, Profile},
    server::Server,
};

#[tokio::main]
async fn main() {
    let rows = setting("SWITCHBACK_BENCH_ROWS", 4_000_000);
    let directory = tempfile::tempdir().expect("a directory");
    let place = directory.path();
    let file = place.join("source.db");
    source(&file, rows);
    let cluster = Cluster::start(Profile::Durable).expect("a private PostgreSQL");
    let mut database = cluster.database().await;
    let role = "ALTER ROLE owner CREATEDB";
    database.admin().await.batch_execute(role).await.expect("the role may make databases");
    let variables: Vec<(String, String)> = settings(place);
    let more: Vec<(&str, &str)> =
        variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let server = Server::start_with(&file, &database.url, &more).await;
    let bytes = fs::metadata(&file).map_or(0, |metadata| metadata.len());
    let mut result = json!({ "rows": rows, "bytes": bytes });

    result["sqlite"] = sqlite(&server, &file, rows).await;
    result["sqlite_peer"] = sqlite_peer(&file, place);
    keep("backup.json", &result);
    timed(&server, &["migrate", "--skip-backup"]).await;
    settle(&database).await;
    result["postgres"] = postgres(&server, &database, rows).await;
    keep("backup.json", &result);
    result["postgres_peers"] = postgres_peers(&cluster, &mut database, place).await;
    result["peak_rss_mb"] = json!(peak(&server));
    keep("backup.json", &result);
    println!("{result:#}");
}

/// A directory, unless the environment says where else.
fn settings(place: &Path) -> Vec<(String, String)> {
    fs::create_dir_all(place.join("store")).expect("a directory for the store");
    let directory = format!("file://{}", place.join("store").display());
    let store = env::var("SWITCHBACK_BENCH_STORE").unwrap_or(directory);
    let aws = env::vars().filter(|(name, _)| name.starts_with("AWS_"));
    [("SWITCHBACK_STORE".to_owned(), store)].into_iter().chain(aws).collect()
}

async fn sqlite(server: &Server, file: &Path, rows: u64) -> Value {
    let connection = Connection::open(file).expect("the source opens");
    let changed = |share: u64| {
        // Every so many rows: the worst there is for pages.
        let sql = format!("UPDATE large SET amount = amount + 1 WHERE id % {} = 0", 100 / share);
        connection.execute_batch(&sql).expect("changes");
        checkpoint(&connection);
    };
    let recent = |share: u64| {
        let sql = format!(
            "UPDATE large SET amount = amount + 1 WHERE id > {}",
            rows - rows * share / 100
        );
        connection.execute_batch(&sql).expect("changes");
        checkpoint(&connection);
    };
    let first = backup(server).await;
    let rss = peak(server);
    let second = backup(server).await;
    recent(1);
    let recent_1 = backup(server).await;
    recent(10);
    let recent_10 = backup(server).await;
    changed(1);
    let scattered_1 = backup(server).await;
    changed(10);
    let scattered_10 = backup(server).await;
    let verify = timed(server, &["backups", "verify", "latest"]).await.0;
    let restore = timed(server, &["restore", "latest", "--as", "copy"]).await.0;
    json!({
        "first": first, "unchanged": second, "recent_1_percent": recent_1,
        "recent_10_percent": recent_10, "scattered_1_percent": scattered_1,
        "scattered_10_percent": scattered_10, "verify_s": verify, "restore_s": restore,
        "peak_rss_mb_after_first": rss, "peak_rss_mb": peak(server),
    })
}

fn checkpoint(connection: &Connection) {
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).expect("a checkpoint");
}

/// Two programs of everybody's.
fn sqlite_peer(file: &Path, place: &Path) -> Value {
    let copy = place.join("peer.db");
    let packed = place.join("peer.db.zst");
    let backup = run("sqlite3", &[path(file), &format!(".backup {}", copy.display())]);
    let pack = run("zstd", &["-q", "-3", "-T2", "-f", path(&copy), "-o", path(&packed)]);
    let bytes = fs::metadata(&packed).map_or(0, |metadata| metadata.len());
    let _ = fs::remove_file(&copy);
    let restore = run("zstd", &["-q", "-d", "-f", path(&packed), "-o", path(&copy)]);
    let _ = fs::remove_file(&copy);
    json!({ "backup_s": backup + pack, "restore_s": restore, "bytes": bytes })
}

async fn postgres(server: &Server, database: &Database, rows: u64) -> Value {
    let admin = database.admin().await;
    let changed = async |condition: String| {
        let sql = format!("UPDATE large SET amount = amount + 1 WHERE {condition}");
        admin.batch_execute(&sql).await.expect("changes");
        settle(database).await;
    };
    let first = backup(server).await;
    let second = backup(server).await;
    changed(format!("id > {}", rows - rows / 100)).await;
    let recent_1 = backup(server).await;
    changed(format!("id > {}", rows - rows / 10)).await;
    let recent_10 = backup(server).await;
    changed("id % 100 = 0".into()).await;
    let scattered_1 = backup(server).await;
    let verify = timed(server, &["backups", "verify", "latest"]).await.0;
    let restore = timed(server, &["restore", "latest", "--as", "copy"]).await.0;
    json!({
        "first": first, "unchanged": second, "recent_1_percent": recent_1,
        "recent_10_percent": recent_10, "scattered_1_percent": scattered_1,
        "verify_s": verify, "restore_s": restore,
    })
}

async fn postgres_peers(cluster: &Cluster, database: &mut Database, place: &Path) -> Value {
    let program = |name: &str| cluster.programs().path(name).display().to_string();
    let socket = cluster.socket().display().to_string();
    let port = cluster.port().to_string();
    let at = ["--host", &socket, "--port", &port, "--username", "admin"];
    let custom = place.join("peer.dump");
    let folder = place.join("peer.dir");
    let tar = place.join("peer.dir.tar.zst");
    let dump = |arguments: &[&str]| {
        let name = database.name.as_str();
        run(&program("pg_dump"), &[&at[..], arguments, &["--dbname", name]].concat())
    };
    let fc = dump(&["-Fc", "--file", path(&custom)]);
    let fd = dump(&["-Fd", "-j2", "-Z0", "--file", path(&folder)]);
    let pack =
        shell(&format!("tar -C {} -cf - . | zstd -q -3 -T2 -f -o {}", path(&folder), path(&tar)));
    let bytes = |file: &Path| fs::metadata(file).map_or(0, |metadata| metadata.len());
    let copy = cluster.database().await;
    let restored = ["-j2", "--no-owner", "--dbname", &copy.name, path(&folder)];
    let restore = run(&program("pg_restore"), &[&at[..], &restored].concat());
    copy.remove().await;
    json!({
        "pg_dump_custom_s": fc, "pg_dump_custom_bytes": bytes(&custom),
        "pg_dump_directory_zstd_s": fd + pack, "pg_dump_directory_zstd_bytes": bytes(&tar),
        "pg_restore_directory_j2_s": restore,
    })
}

/// Seconds and bytes of one backup.
async fn backup(server: &Server) -> Value {
    let (seconds, report) = timed(server, &["backup"]).await;
    eprintln!("backup: {seconds:.2} s");
    json!({
        "s": seconds, "read": report["bytes_read"], "uploaded": report["bytes_uploaded"],
        "held_ms": report["held_ms"],
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

/// Seconds of a program, which must succeed.
fn run(program: &str, arguments: &[&str]) -> f64 {
    let started = Instant::now();
    let status = Command::new(program).args(arguments).stdout(Stdio::null()).status();
    let status = status.unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(status.success(), "{program} {arguments:?}: {status}");
    started.elapsed().as_secs_f64()
}

fn shell(command: &str) -> f64 {
    run("sh", &["-c", command])
}

fn path(path: &Path) -> &str {
    path.to_str().expect("a path of text")
}

/// Largest resident set of the server so far, in megabytes.
fn peak(server: &Server) -> f64 {
    let status = fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap_or_default();
    let kib = line.split_whitespace().nth(1).and_then(|text| text.parse::<f64>().ok());
    kib.unwrap_or(f64::NAN) / 1024.0
}
