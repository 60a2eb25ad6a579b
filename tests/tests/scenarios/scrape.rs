//! Prometheus scrapes a server while it migrates; what it gets is read strictly.

use std::collections::{BTreeMap, BTreeSet};

use switchback_tests::{
    DEADLINE,
    cluster::{self, Cluster},
    rig::{Rig, directory},
    server::Server,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::writing::{ROWS, make};

const LISTEN: &str = "SWITCHBACK_METRICS_LISTEN";

/// One scrape: the samples by name with labels, and the kinds by name.
#[derive(Debug, Default)]
struct Scraped {
    samples: BTreeMap<String, f64>,
    kinds: BTreeMap<String, String>,
}

/// Sends a request and reads the answer to its end: its head and its body.
async fn asked(address: &str, request: &str) -> (String, String) {
    let answer = async {
        let mut stream = TcpStream::connect(address).await.expect("it listens");
        stream.write_all(request.as_bytes()).await.expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("it answers");
        answer
    };
    let answer = timeout(DEADLINE, answer).await.expect("an answer in time");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    (head.to_ascii_lowercase(), body.to_owned())
}

async fn scraped(address: &str) -> Scraped {
    let (head, body) = asked(address, "GET /metrics HTTP/1.1\r\nHost: it\r\n\r\n").await;
    assert!(head.starts_with("http/1.1 200"), "{head}");
    assert!(head.contains("content-type: text/plain; version=0.0.4"), "{head}");
    read(&body)
}

/// Reads the text format, and fails at anything that Prometheus would not take.
fn read(text: &str) -> Scraped {
    let mut scraped = Scraped::default();
    let mut family = String::new();
    let mut helped = BTreeSet::new();
    assert!(text.ends_with('\n'), "the last line has no end");
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let name = help.split(' ').next().expect("a name");
            assert!(helped.insert(name.to_owned()), "two times: {line}");
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').expect("a name and a kind");
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            family = name.to_owned();
            assert!(scraped.kinds.insert(name.into(), kind.into()).is_none(), "two times: {line}");
        } else {
            let (of, value) = line.rsplit_once(' ').expect("a name and a value");
            let name = of.split('{').next().expect("a name");
            assert!(is_name(name) && belongs(name, &family), "{line} after {family}");
            labels(&of[name.len()..]);
            let value = if value == "+Inf" { f64::INFINITY } else { value.parse().expect(line) };
            assert!(scraped.samples.insert(of.into(), value).is_none(), "two times: {line}");
        }
    }
    scraped
}

fn belongs(name: &str, family: &str) -> bool {
    let parts = ["", "_bucket", "_sum", "_count"];
    name.strip_prefix(family).is_some_and(|rest| parts.contains(&rest))
}

fn is_name(name: &str) -> bool {
    let is_letter = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    !name.is_empty() && name.chars().all(is_letter) && !name.starts_with(|c: char| c.is_numeric())
}

/// `{name="value",name="value"}` or nothing.
fn labels(text: &str) {
    if text.is_empty() {
        return;
    }
    let inner = text.strip_prefix('{').and_then(|rest| rest.strip_suffix("\"}"));
    for pair in inner.unwrap_or_else(|| panic!("{text}")).split("\",") {
        let (name, value) = pair.split_once("=\"").unwrap_or_else(|| panic!("{text}"));
        assert!(is_name(name) && !value.contains(['"', '\n']), "{text}");
    }
}

impl Scraped {
    fn value(&self, sample: &str) -> Option<f64> {
        self.samples.get(sample).copied()
    }

    /// The sum of a counter's samples.
    fn sum(&self, name: &str) -> f64 {
        let start = format!("{name}{{");
        self.samples.iter().filter(|(of, _)| of.starts_with(&start)).map(|(_, value)| value).sum()
    }
}

#[tokio::test]
async fn a_migration_is_seen_by_prometheus() {
    let address = format!("127.0.0.1:{}", cluster::free_port().expect("a port"));
    let place = directory();
    let source = place.path().join("source.db");
    make(&rusqlite::Connection::open(&source).expect("a file"), "wal", ROWS);
    let database = Cluster::shared().database().await;
    let settings = [(LISTEN, address.as_str()), ("OTEL_SERVICE_NAME", "mover")];
    let server = Server::start_with(&source, &database.url, &settings).await;
    let rig = Rig { server, database, source, directory: place };

    let mut migrate = rig.start(&["migrate"]);
    migrate.find(|event| event["event"] == "phase" && event["phase"] == "indexing").await;
    let during = scraped(&address).await;
    assert!(during.sum("switchback_copied_rows_total") >= f64::from(ROWS), "{during:#?}");
    assert_eq!(during.value(r#"switchback_pool_size{database="default"}"#), Some(8.0));
    assert!(during.sum("switchback_pool_connections") >= 1.0, "{during:#?}");
    assert_eq!(during.sum("switchback_operations_total"), 0.0);
    migrate.finish().await.expect(0);

    let after = scraped(&address).await;
    let active = r#"switchback_active_engine{database="default",engine="postgres"}"#;
    assert_eq!(after.value(active), Some(1.0), "{after:#?}");
    assert_eq!(after.value(r#"switchback_epoch{database="default"}"#), Some(1.0));
    let pauses = r#"switchback_write_pause_seconds_count{database="default",direction="forward"}"#;
    assert_eq!(after.value(pauses), Some(1.0), "{after:#?}");
    assert_eq!(after.kinds["switchback_write_pause_seconds"], "histogram");
    assert_eq!(after.kinds["switchback_copied_bytes_total"], "counter");
    assert_eq!(after.sum("switchback_operations_total"), 1.0, "{after:#?}");
    assert!(after.samples.keys().any(|of| of.contains(r#"service_name="mover""#)), "{after:#?}");
    rig.finish().await;
}

#[tokio::test]
async fn nothing_else_is_served_and_who_says_nothing_holds_nobody_up() {
    let address = format!("127.0.0.1:{}", cluster::free_port().expect("a port"));
    let mut rig = Rig::of(|connection| make(connection, "wal", 1)).await;
    rig.server.terminate().await;
    rig.server.set(LISTEN, &address);
    rig.server.launch().await;
    let silent = TcpStream::connect(&address).await.expect("it listens");
    for (request, status) in [
        ("GET / HTTP/1.1", "404"),
        ("GET /metrics/../x HTTP/1.1", "404"),
        ("POST /metrics HTTP/1.1", "405"),
        ("GET /metrics HTTP/1.1", "200"),
    ] {
        let (head, _) = asked(&address, &format!("{request}\r\nHost: it\r\n\r\n")).await;
        assert!(head.starts_with(&format!("http/1.1 {status}")), "{request}: {head}");
    }
    // More than a request may have.
    let long = format!("GET /metrics HTTP/1.1\r\nx: {}\r\n\r\n", "x".repeat(20_000));
    let (head, _) = asked(&address, &long).await;
    assert!(head.starts_with("http/1.1 431"), "{head}");
    drop(silent);
    rig.finish().await;
}

#[tokio::test]
async fn other_machines_are_let_in_only_where_somebody_answers_for_it() {
    let (source, url) = ("/data/app.db".as_ref(), "postgres://u:p@127.0.0.1:5432/shop");
    for (address, code) in [("127.0.0.1:9464", 0), ("0.0.0.0:9464", 64), ("metrics", 64)] {
        let ended = Server::check_config(source, url, &[(LISTEN, address)]).await;
        assert_eq!(ended.code, code, "{address}: {}", ended.output);
        let told = if code == 0 { "metrics_listen = \"127.0.0.1:9464\"" } else { LISTEN };
        assert!(ended.output.contains(told), "{address}: {}", ended.output);
    }
    let open = [(LISTEN, "0.0.0.0:9464"), ("SWITCHBACK_INSECURE", "1")];
    assert_eq!(Server::check_config(source, url, &open).await.code, 0);
}
