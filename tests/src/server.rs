//! The real `switchbackd` as a child process.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::{Duration, Instant},
};

use switchback_proto::v1::{
    database_service_client::DatabaseServiceClient,
    operation_service_client::OperationServiceClient,
};
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tonic::transport::{Channel, ClientTlsConfig, Endpoint};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use crate::{DEADLINE, binaries, cluster};

/// Between two looks at a server that is starting.
const POLL: Duration = Duration::from_millis(10);

/// A running server; killed when it is dropped.
#[derive(Debug)]
pub struct Server {
    child: Option<Child>,
    directory: TempDir,
    settings: Vec<(String, String)>,
    port: u16,
    secret: String,
    tls: Option<ClientTlsConfig>,
}

/// What a server that ended by itself left.
#[derive(Debug)]
pub struct Ended {
    /// Exit code; −1 after a signal.
    pub code: i32,
    /// Everything that it wrote.
    pub output: String,
}

impl Server {
    /// Starts a server for one database named `default` and waits until it serves.
    pub async fn start(source: &Path, url: &str) -> Self {
        Self::start_with(source, url, &[]).await
    }

    /// The same with more settings.
    pub async fn start_with(source: &Path, url: &str, more: &[(&str, &str)]) -> Self {
        let mut server = Self::prepare(source, url, more);
        server.launch().await;
        server
    }

    /// The same with TLS, spoken to by a client with these certificates.
    pub async fn start_tls(
        source: &Path,
        url: &str,
        more: &[(&str, &str)],
        tls: ClientTlsConfig,
    ) -> Self {
        let mut server = Self::prepare(source, url, more);
        server.tls = Some(tls);
        server.launch().await;
        server
    }

    /// Starts a server with a configuration file instead.
    pub async fn start_configured(file: &Path) -> Self {
        let mut server = Self::prepare(file, "", &[]);
        server.settings.retain(|(name, _)| {
            !["SWITCHBACK_SQLITE", "SWITCHBACK_POSTGRES"].contains(&name.as_str())
        });
        server.set("SWITCHBACK_CONFIG", &file.display().to_string());
        server.launch().await;
        server
    }

    /// Runs `switchbackd` to its end with these arguments.
    pub async fn run(source: &Path, url: &str, arguments: &[&str]) -> Ended {
        Self::prepare(source, url, &[]).end(arguments).await
    }

    /// Runs `switchbackd` to its end with some settings changed.
    pub async fn run_with(source: &Path, url: &str, settings: &[(&str, &str)]) -> Ended {
        Self::prepare_with(source, url, settings).end(&[]).await
    }

    /// Has `switchbackd` check its configuration with some settings changed.
    pub async fn check_config(source: &Path, url: &str, settings: &[(&str, &str)]) -> Ended {
        Self::prepare_with(source, url, settings).end(&["--check-config"]).await
    }

    fn prepare_with(source: &Path, url: &str, settings: &[(&str, &str)]) -> Self {
        let mut server = Self::prepare(source, url, &[]);
        for (name, value) in settings {
            server.set(name, value);
        }
        server
    }

    async fn end(mut self, arguments: &[&str]) -> Ended {
        let mut child = self.spawn(arguments).expect("switchbackd starts");
        let status = tokio::time::timeout(DEADLINE, child.wait()).await;
        let status = status.expect("switchbackd ends").expect("its status is known");
        let output = self.logs();
        // The caller says what must not be in the output.
        self.secret.clear();
        Ended { code: status.code().unwrap_or(-1), output }
    }

    fn prepare(source: &Path, url: &str, more: &[(&str, &str)]) -> Self {
        let directory = tempfile::Builder::new().prefix("switchback-d-").tempdir();
        let directory = directory.expect("a directory for the server");
        let port = cluster::free_port().expect("a free port");
        let state = directory.path().join("state").display().to_string();
        let mut settings = vec![
            ("SWITCHBACK_SQLITE".to_owned(), source.display().to_string()),
            ("SWITCHBACK_POSTGRES".to_owned(), url.to_owned()),
            ("SWITCHBACK_LISTEN".to_owned(), format!("127.0.0.1:{port}")),
            ("SWITCHBACK_STATE_DIR".to_owned(), state),
            ("SWITCHBACK_LOG".to_owned(), "info".to_owned()),
        ];
        settings.extend(more.iter().map(|(name, value)| ((*name).into(), (*value).into())));
        let secret = cluster::PASSWORD.into();
        Self { child: None, directory, settings, port, secret, tls: None }
    }

    /// Where it listens.
    pub fn endpoint(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://127.0.0.1:{}", self.port)
    }

    /// The port that it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its state directory.
    pub fn state(&self) -> PathBuf {
        self.directory.path().join("state")
    }

    /// Process id.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().and_then(Child::id).expect("the server runs")
    }

    /// Everything that it has written.
    pub fn logs(&self) -> String {
        fs::read(self.log_file())
            .map(|log| String::from_utf8_lossy(&log).into())
            .unwrap_or_default()
    }

    /// A connection to it.
    pub fn channel(&self) -> Channel {
        self.channel_with(self.tls.clone())
    }

    /// A connection of a client with other certificates.
    pub fn channel_with(&self, tls: Option<ClientTlsConfig>) -> Channel {
        let endpoint = Endpoint::from_shared(self.endpoint()).expect("an endpoint");
        match tls {
            Some(tls) => endpoint.tls_config(tls).expect("certificates").connect_lazy(),
            None => endpoint.connect_lazy(),
        }
    }

    /// The main service.
    pub fn databases(&self) -> DatabaseServiceClient<Channel> {
        DatabaseServiceClient::new(self.channel()).max_decoding_message_size(usize::MAX)
    }

    /// The operations.
    pub fn operations(&self) -> OperationServiceClient<Channel> {
        OperationServiceClient::new(self.channel()).max_decoding_message_size(usize::MAX)
    }

    /// What the health service says of a name; `None` where it does not know the name.
    pub async fn health(&self, service: &str) -> Option<ServingStatus> {
        health(self.channel(), service).await
    }

    /// Waits until a name is in a state, or has not been for too long.
    pub async fn await_health(&self, service: &str, wanted: ServingStatus) {
        let channel = self.channel();
        let started = Instant::now();
        while health(channel.clone(), service).await != Some(wanted) {
            assert!(started.elapsed() < DEADLINE, "{service:?} never was {wanted:?}");
            tokio::time::sleep(POLL).await;
        }
    }

    /// SIGKILL: nothing of the server runs afterwards.
    pub async fn kill9(&mut self) {
        let mut child = self.child.take().expect("the server runs");
        child.kill().await.expect("the server is killed");
    }

    /// Whether it was started and has not been waited for.
    pub fn is_started(&self) -> bool {
        self.child.is_some()
    }

    /// Waits until it has ended by itself.
    pub async fn ended(&mut self) -> ExitStatus {
        let mut child = self.child.take().expect("the server runs");
        let status = tokio::time::timeout(DEADLINE, child.wait()).await;
        status.expect("the server ends").expect("its status is known")
    }

    /// SIGTERM, and waits for the end.
    pub async fn terminate(&mut self) -> ExitStatus {
        let mut child = self.child.take().expect("the server runs");
        signal(child.id().expect("the server runs"), "TERM");
        let status = tokio::time::timeout(DEADLINE, child.wait()).await;
        status.expect("the server drains").expect("its status is known")
    }

    /// SIGTERM, and another one as soon as the first was taken; waits for the end.
    pub async fn terminate_at_once(&mut self) -> ExitStatus {
        let mut child = self.child.take().expect("the server runs");
        let id = child.id().expect("the server runs");
        signal(id, "TERM");
        let started = Instant::now();
        while !self.logs().contains("\"stopping\"") {
            assert!(started.elapsed() < DEADLINE, "the signal was never taken");
            tokio::time::sleep(POLL).await;
        }
        signal(id, "TERM");
        let status = tokio::time::timeout(DEADLINE, child.wait()).await;
        status.expect("the server ends").expect("its status is known")
    }

    /// Starts it again with the same settings and waits until it serves.
    pub async fn launch(&mut self) {
        for _ in 0..5 {
            let child = self.spawn(&[]).expect("switchbackd starts");
            self.child = Some(child);
            if self.serves().await {
                return;
            }
            // Someone else may have taken the port since it was looked for.
            assert!(self.logs().contains("in use"), "switchbackd ended:\n{}", self.logs());
            self.move_port();
        }
        panic!("switchbackd found no port:\n{}", self.logs());
    }

    /// Starts it again with the same settings and waits until it has ended by itself.
    pub async fn launch_to_end(&mut self) -> ExitStatus {
        self.child = Some(self.spawn(&[]).expect("switchbackd starts"));
        self.ended().await
    }

    /// Changes a setting for the next start.
    pub fn set(&mut self, name: &str, value: &str) {
        self.settings.retain(|(known, _)| known != name);
        self.settings.push((name.into(), value.into()));
    }

    /// Fails where a secret stands in the log or in what the server keeps.
    pub fn assert_no_secrets(&self) {
        if self.secret.is_empty() {
            return;
        }
        assert!(!self.logs().contains(&self.secret), "the log holds the password");
        for entry in fs::read_dir(self.state()).into_iter().flatten().flatten() {
            let bytes = fs::read(entry.path()).unwrap_or_default();
            let found = bytes.windows(self.secret.len()).any(|w| w == self.secret.as_bytes());
            assert!(!found, "{} holds the password", entry.path().display());
        }
    }

    fn spawn(&self, arguments: &[&str]) -> io::Result<Child> {
        let log = OpenOptions::new().create(true).append(true).open(self.log_file())?;
        let mut command = Command::new(binaries::switchbackd());
        command
            .args(arguments)
            .env_clear()
            .envs(std::env::vars().filter(|(name, _)| name == "PATH" || name == "TMPDIR"))
            .envs(self.settings.iter().map(|(name, value)| (name, value)))
            .current_dir(self.directory.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true);
        command.spawn()
    }

    /// Waits for the first answer; false where the process ended before.
    async fn serves(&mut self) -> bool {
        let channel = self.channel();
        let started = Instant::now();
        while health(channel.clone(), "").await != Some(ServingStatus::Serving) {
            let child = self.child.as_mut().expect("it was started");
            if child.try_wait().expect("its status is known").is_some() {
                return false;
            }
            assert!(started.elapsed() < DEADLINE, "switchbackd never served:\n{}", self.logs());
            tokio::time::sleep(POLL).await;
        }
        true
    }

    fn move_port(&mut self) {
        self.port = cluster::free_port().expect("a free port");
        let listen = format!("127.0.0.1:{}", self.port);
        self.set("SWITCHBACK_LISTEN", &listen);
    }

    fn log_file(&self) -> PathBuf {
        self.directory.path().join("log")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let _ = writeln!(io::stderr(), "--- log of switchbackd\n{}---", self.logs());
        } else {
            self.assert_no_secrets();
        }
    }
}

/// Sends a signal to a process of ours.
pub fn signal(pid: u32, name: &str) {
    let status =
        std::process::Command::new("kill").args([&format!("-{name}"), &pid.to_string()]).status();
    assert!(status.is_ok_and(|status| status.success()), "no signal reached {pid}");
}

async fn health(channel: Channel, service: &str) -> Option<ServingStatus> {
    let request = HealthCheckRequest { service: service.into() };
    let answer = HealthClient::new(channel).check(request).await.ok()?;
    ServingStatus::try_from(answer.into_inner().status).ok()
}
