//! The main job, to watch: a private PostgreSQL, a sample SQLite database, the server, and the
//! command line that an operator would type. Everything is removed at the end.

use std::{path::Path, process::Stdio, time::Instant};

use rusqlite::Connection;
use switchback_tests::{
    binaries,
    cluster::{Cluster, Profile},
    fixtures::sample,
    server::Server,
};
use tokio_postgres::{Client, SimpleQueryMessage, SimpleQueryRow};

/// Orders in the sample; as many lines of orders come with them.
const ORDERS: u32 = 100_000;

#[tokio::main]
async fn main() {
    say("a private PostgreSQL, and a SQLite database of a small shop");
    let cluster = Cluster::start(Profile::Fast).expect("a private PostgreSQL");
    let directory = tempfile::tempdir().expect("a directory");
    let source = directory.path().join("shop.db");
    sample::shop(&Connection::open(&source).expect("a SQLite file"), ORDERS).expect("a sample");
    show_source(&source);

    say("the service, with two settings: SWITCHBACK_SQLITE and SWITCHBACK_POSTGRES");
    let database = cluster.database().await;
    let started = Instant::now();
    let mut server = Server::start(&source, &database.url).await;
    println!("ready after {} ms", started.elapsed().as_millis());

    run(&server, "what will happen?", &["plan"]).await;
    run(&server, "do it", &["migrate"]).await;
    run(&server, "is every value there?", &["validate"]).await;
    run(&server, "where do we stand?", &["status"]).await;

    let target = database.admin().await;
    say("a look into PostgreSQL");
    for sql in QUERIES {
        query(&target, sql).await;
    }

    say("a row is changed there, and it is in SQLite after the way back");
    query(&target, "UPDATE users SET name = 'Mallory' WHERE id = 4711").await;
    run(&server, "back to SQLite", &["rollback"]).await;
    let sqlite = rusqlite::Connection::open(&source).expect("the source opens");
    let sql = "SELECT name FROM users WHERE id = 4711";
    let name: String = sqlite.query_row(sql, [], |row| row.get(0)).expect("the row");
    println!("{name}");
    run(&server, "and forward again, without a new copy", &["cutover"]).await;
    run(&server, "is every value there?", &["validate"]).await;

    server.terminate().await;
    say("done; everything that was made here is removed again");
}

const QUERIES: [&str; 5] = [
    "SELECT column_name, data_type, is_nullable, is_identity, left(column_default, 40) AS \"default\"
       FROM information_schema.columns
      WHERE table_schema = 'public' AND table_name = 'users' ORDER BY ordinal_position",
    "SELECT id, public_id, email, active, settings ->> 'theme' AS theme, created_at FROM users ORDER BY id LIMIT 3",
    "SELECT conrelid::regclass AS \"table\", conname AS \"constraint\", pg_get_constraintdef(oid) AS definition
       FROM pg_constraint WHERE connamespace = 'public'::regnamespace ORDER BY 1, contype DESC, 2",
    "SELECT count(*) AS open_orders, sum(total) AS worth FROM open_orders",
    "INSERT INTO orders (user_id, total, placed_at) VALUES (1, 9.95, now()) RETURNING id AS next_order, state",
];

fn say(text: &str) {
    println!("\n\x1b[1m── {text}\x1b[0m");
}

fn show_source(source: &Path) {
    let bytes = std::fs::metadata(source).map_or(0, |metadata| metadata.len());
    let connection = Connection::open(source).expect("the sample opens");
    for table in ["users", "products", "orders", "order_lines"] {
        let sql = format!("SELECT count(*) FROM {table}");
        let rows: i64 = connection.query_row(&sql, [], |row| row.get(0)).expect("a count");
        println!("{table:12} {rows:>8} rows");
    }
    println!("{:12} {:>8} KiB", "file", bytes / 1024);
}

async fn run(server: &Server, why: &str, arguments: &[&str]) {
    say(why);
    expect(server, arguments, 0).await;
}

/// Runs the command line in view and stops the demonstration where its exit code is another one.
async fn expect(server: &Server, arguments: &[&str], code: i32) {
    println!("$ switchback {}", arguments.join(" "));
    let status = tokio::process::Command::new(binaries::switchback())
        .args(arguments)
        .env("SWITCHBACK_ENDPOINT", server.endpoint())
        .stdin(Stdio::null())
        .status()
        .await
        .expect("switchback runs");
    println!("(exit code {})", status.code().unwrap_or(-1));
    assert_eq!(status.code(), Some(code), "switchback {}", arguments.join(" "));
}

/// Shows the result of a statement as psql does.
async fn query(target: &Client, sql: &str) {
    let line: Vec<&str> = sql.split_whitespace().collect();
    println!("=> {}", line.join(" "));
    let messages = target.simple_query(sql).await.expect("PostgreSQL answers");
    let rows: Vec<&SimpleQueryRow> = messages
        .iter()
        .filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(row),
            _ => None,
        })
        .collect();
    let Some(first) = rows.first() else { return };
    let mut table: Vec<Vec<String>> =
        vec![first.columns().iter().map(|column| column.name().to_owned()).collect()];
    let cells = |row: &&SimpleQueryRow| {
        (0..row.len()).map(|i| row.get(i).unwrap_or("").to_owned()).collect()
    };
    table.extend(rows.iter().map(cells));
    let width =
        |index: usize| table.iter().map(|row| row[index].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..first.len()).map(width).collect();
    for row in &table {
        let cells: Vec<String> =
            row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        println!("   {}", cells.join("  ").trim_end());
    }
}
