//! TLS: certificates that are wrong, missing, or have expired, and new ones without a restart.

use std::path::{Path, PathBuf};

use switchback_proto::v1::{
    GetDatabaseRequest, WatchDatabaseRequest, database_service_client::DatabaseServiceClient,
};
use switchback_tests::{
    certificates::{Authority, Pair, put},
    cli::{self, Run},
    rig::directory,
    server::Server,
};
use tempfile::TempDir;
use tokio_stream::StreamExt;
use tonic::transport::ClientTlsConfig;

use crate::security::NOWHERE;

/// A server with TLS, and the files that it reads.
struct Place {
    directory: TempDir,
    server: Server,
}

impl Place {
    async fn start(certificate: &Pair, clients: Option<&Authority>, tls: ClientTlsConfig) -> Self {
        let directory = directory();
        let [certificate, key] = certificate.put(directory.path(), "server");
        let roots = directory.path().join("clients.pem");
        if let Some(authority) = clients {
            put(&roots, &authority.root());
        }
        let [certificate, key, roots] =
            [certificate, key, roots].map(|path| path.display().to_string());
        let mut settings = vec![
            ("SWITCHBACK_TLS_CERT", certificate.as_str()),
            ("SWITCHBACK_TLS_KEY", key.as_str()),
        ];
        settings.extend(clients.map(|_| ("SWITCHBACK_TLS_CLIENT_CA", roots.as_str())));
        let source = directory.path().join("source.db");
        let server = Server::start_tls(&source, NOWHERE, &settings, tls).await;
        Self { directory, server }
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    /// `switchback status` of somebody who trusts an authority.
    async fn status(&self, trusted: &Authority, more: &[&str]) -> Run {
        let roots = self.path().join("trusted.pem");
        put(&roots, &trusted.root());
        let roots = roots.display().to_string();
        cli::run(&self.server.endpoint(), &[&["status", "--ca", &roots], more].concat()).await
    }

    /// Whether a new connection of somebody who trusts an authority is served.
    async fn serves(&self, tls: ClientTlsConfig) -> bool {
        let mut client = DatabaseServiceClient::new(self.server.channel_with(Some(tls)));
        client.get_database(default_database()).await.is_ok()
    }
}

fn default_database() -> GetDatabaseRequest {
    GetDatabaseRequest { database: "default".into() }
}

#[tokio::test]
async fn a_client_speaks_to_whom_it_trusts_only() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let place = Place::start(&ours.server(), None, ours.trusted()).await;
    place.status(&ours, &[]).await.expect(0);
    let run = place.status(&theirs, &[]).await;
    assert_eq!((run.code, run.reason()), (4, "SERVER_UNREACHABLE"), "{}", run.stderr);
    assert!(run.message().contains("certificate"), "{}", run.message());
    // Without encryption nobody answers.
    let plain = format!("http://127.0.0.1:{}", place.server.port());
    cli::run(&plain, &["status"]).await.expect(4);
    // And certificates are for https.
    let roots = place.path().join("trusted.pem").display().to_string();
    cli::run(&plain, &["status", "--ca", &roots]).await.refused(2, "INVALID_ENDPOINT");
    let run = cli::run(&place.server.endpoint(), &["status", "--ca", "/nowhere.pem"]).await;
    run.refused(2, "INVALID_FILE");
}

#[tokio::test]
async fn a_certificate_that_has_expired_is_refused_and_told() {
    let ours = Authority::new("ours");
    let place = Place::start(&ours.server(), None, ours.trusted()).await;
    ours.expired_server().put(place.path(), "server");
    let run = place.status(&ours, &[]).await;
    assert_eq!(run.code, 4, "{}", run.stderr);
    assert!(run.message().to_lowercase().contains("expired"), "{}", run.message());
    let logs = place.server.logs();
    assert!(logs.contains("the certificate has expired"), "{logs}");
    ours.server().put(place.path(), "server");
    place.status(&ours, &[]).await.expect(0);
}

#[tokio::test]
async fn a_client_without_a_certificate_of_ours_is_refused() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let known = ours.trusted().identity(ours.client("deploy").identity());
    let place = Place::start(&ours.server(), Some(&ours), known).await;
    let files = |pair: &Pair, name: &str| -> Vec<String> {
        let [certificate, key]: [PathBuf; 2] = pair.put(place.path(), name);
        ["--cert", &certificate.display().to_string(), "--key", &key.display().to_string()]
            .map(str::to_owned)
            .to_vec()
    };
    let stranger = files(&theirs.client("deploy"), "stranger");
    let friend = files(&ours.client("deploy"), "friend");
    for (more, code) in [(&Vec::new(), 4), (&stranger, 4), (&friend, 0)] {
        let more: Vec<&str> = more.iter().map(String::as_str).collect();
        let run = place.status(&ours, &more).await;
        assert_eq!(run.code, code, "{more:?}: {}", run.stderr);
    }
    // Without tokens the audit log has the certificate's subject.
    let more: Vec<&str> = friend.iter().map(String::as_str).chain(["--database", "x"]).collect();
    let roots = place.path().join("trusted.pem").display().to_string();
    let arguments = [&["backup", "--ca", &roots], &more[..]].concat();
    cli::run(&place.server.endpoint(), &arguments).await.expect(2);
    let logs = place.server.logs();
    let line = logs.lines().find(|line| line.contains("\"outcome\":\"refused\""));
    assert!(line.is_some_and(|line| line.contains("CN=deploy")), "{logs}");
    // Half a pair is wrong usage.
    let half: Vec<&str> = more[..2].to_vec();
    place.status(&ours, &half).await.expect(2);
}

/// An old stream goes on, a new connection gets the new certificate, and a broken file or half a
/// pair changes nothing.
#[tokio::test]
async fn certificates_are_read_again_without_a_restart() {
    let (first, second) = (Authority::new("first"), Authority::new("second"));
    let place = Place::start(&first.server(), None, first.trusted()).await;
    let mut old = DatabaseServiceClient::new(place.server.channel());
    let request = WatchDatabaseRequest { database: "default".into() };
    let mut stream = old.watch_database(request).await.expect("a stream").into_inner();
    stream.next().await.expect("a state").expect("a state");

    put(&place.path().join("server.pem"), "no certificate");
    assert!(place.serves(first.trusted()).await);
    let next = second.server();
    put(&place.path().join("server.pem"), &next.certificate);
    assert!(place.serves(first.trusted()).await, "a certificate without its key was taken");
    next.put(place.path(), "server");
    assert!(place.serves(second.trusted()).await);
    assert!(!place.serves(first.trusted()).await);
    assert!(place.server.logs().contains("goes on"), "{}", place.server.logs());

    // What changes is told on the connection that was there before.
    assert!(old.get_database(default_database()).await.is_ok());
    let source = rusqlite::Connection::open(place.path().join("source.db")).expect("a file");
    source.execute_batch("CREATE TABLE t (a)").expect("a table");
    stream.next().await.expect("a state").expect("the old stream goes on");
}

/// Who is let in may be changed as well.
#[tokio::test]
async fn the_clients_authority_is_read_again() {
    let (first, second) = (Authority::new("first"), Authority::new("second"));
    let with = |authority: &Authority| first.trusted().identity(authority.client("c").identity());
    let place = Place::start(&first.server(), Some(&first), with(&first)).await;
    assert!(place.serves(with(&first)).await);
    assert!(!place.serves(with(&second)).await);
    put(&place.path().join("clients.pem"), &second.root());
    assert!(place.serves(with(&second)).await);
    assert!(!place.serves(with(&first)).await);
}

#[tokio::test]
async fn files_that_do_not_go_together_stop_the_start() {
    let directory = directory();
    let authority = Authority::new("ours");
    let [certificate, _] = authority.server().put(directory.path(), "one");
    let [_, key] = authority.server().put(directory.path(), "two");
    let [certificate, key] = [certificate, key].map(|path| path.display().to_string());
    for (certificate, key) in [(&certificate, &key), (&key, &key), (&certificate, &certificate)] {
        let settings =
            [("SWITCHBACK_TLS_CERT", certificate.as_str()), ("SWITCHBACK_TLS_KEY", key.as_str())];
        let ended = Server::check_config("/data/app.db".as_ref(), NOWHERE, &settings).await;
        assert_eq!(ended.code, 64, "{}", ended.output);
        assert!(ended.output.contains("SWITCHBACK_TLS_CERT"), "{}", ended.output);
        assert!(!ended.output.contains("BEGIN"), "{}", ended.output);
    }
}
