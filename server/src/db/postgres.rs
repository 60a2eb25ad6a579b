//! Connections to PostgreSQL: one pool a database, and what its errors mean.

mod program;

use std::{path::Path, str::FromStr, sync::Arc, time::Duration};

use bb8::{ManageConnection, Pool, RunError};
use bb8_postgres::PostgresConnectionManager;
use tokio::{sync::watch, time::timeout};
use tokio_postgres::{
    Client, Config,
    config::{Host, SslMode},
};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::sqlstate::unreachable_server;
pub use super::sqlstate::{explain, failed};
use super::tls::{self, Verify};
use crate::error::{Error, Reason, Result};

/// Where libpq and Debian's server look for the socket of a local server.
const SOCKET_DIRECTORY: &str = "/var/run/postgresql";

/// A state that takes longer to ask for than this is as good as down.
const PROBE: Duration = Duration::from_secs(3);

/// How many connections, and how long to wait for one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolSettings {
    /// Most connections at a time.
    pub max_connections: u32,
    /// Bound on making a connection: name look-up, TCP, TLS, authentication and session set-up.
    pub connect_timeout: Duration,
    /// Bound on waiting for a connection, a new or a used one.
    pub checkout_timeout: Duration,
    /// Bound on waiting for a lock that someone else holds.
    pub lock_timeout: Duration,
    /// `application_name`, by which another server ends the sessions of one that is gone.
    pub name: String,
}

impl Default for PoolSettings {
    fn default() -> Self {
        Self {
            // Two tables are copied side by side, four indexes built at a time; the rest is for
            // health and for short queries. PostgreSQL's own default is 100 for all clients.
            max_connections: 8,
            // Three attempts of TCP's first retransmissions (1 + 2 + 4 s) fit in.
            connect_timeout: Duration::from_secs(10),
            // Longer than a connect, so that a failed one is reported as such.
            checkout_timeout: Duration::from_secs(30),
            // The objects are ours: whoever holds a lock on them is an autovacuum, which gives
            // way after PostgreSQL's deadlock_timeout of 1 s, or a person.
            lock_timeout: Duration::from_secs(10),
            name: "switchback".into(),
        }
    }
}

/// A PostgreSQL database.
#[derive(Debug, Clone)]
pub struct Postgres {
    pool: Pool<Connector>,
    failures: watch::Receiver<Option<Arc<Error>>>,
    config: Arc<Config>,
    settings: PoolSettings,
    verify: Verify,
    tls: MakeRustls,
}

/// A connection of the pool, given back when it is dropped.
pub type PooledConnection = bb8::PooledConnection<'static, Connector>;

impl Postgres {
    /// Names a database; nothing is connected yet. It must be called within a tokio runtime.
    ///
    /// The URL is one of libpq's, in either form. A malformed one is
    /// [`Reason::InvalidRequest`] and is not repeated in the message: it may hold a password.
    pub fn new(url: &str, settings: PoolSettings) -> Result<Self> {
        let (config, verify) = parse(url, &settings)?;
        Self::with_config(config, verify, settings)
    }

    /// Another database of the same server, with the same user.
    pub(crate) fn beside(&self, database: &str, max_connections: u32) -> Result<Self> {
        let mut config = (*self.config).clone();
        config.dbname(database);
        let settings = PoolSettings { max_connections, ..self.settings.clone() };
        Self::with_config(config, self.verify.clone(), settings)
    }

    /// The same database through connections of its own, which nobody else ever gets.
    pub(crate) fn apart(&self, max_connections: u32) -> Result<Self> {
        let settings = PoolSettings { max_connections, ..self.settings.clone() };
        Self::with_config((*self.config).clone(), self.verify.clone(), settings)
    }

    fn with_config(config: Config, verify: Verify, settings: PoolSettings) -> Result<Self> {
        let tls = MakeRustls(tls::connector(&verify)?);
        let (report, failures) = watch::channel(None);
        let connector = Connector {
            inner: PostgresConnectionManager::new(config.clone(), tls.0.clone()),
            settings: settings.clone(),
            report,
        };
        let pool = Pool::builder()
            .max_size(settings.max_connections)
            .connection_timeout(settings.checkout_timeout)
            // Whoever asks for a connection decides whether to try again.
            .retry_connection(false)
            .build_unchecked(connector);
        Ok(Self { pool, failures, config: Arc::new(config), settings, verify, tls })
    }

    /// A connection, checked to be alive and set up for Switchback.
    pub async fn get(&self) -> Result<PooledConnection> {
        let mut failures = self.failures.clone();
        failures.mark_unchanged();
        tokio::select! {
            biased;
            taken = self.pool.get_owned() => taken.map_err(|error| match error {
                RunError::User(error) => error,
                RunError::TimedOut => self.exhausted(),
            }),
            // bb8 tells a waiter nothing of a failed connect; this does.
            Ok(()) = failures.changed() => {
                let failed = failures.borrow_and_update().clone();
                Err(failed.as_deref().map_or_else(|| self.exhausted(), again))
            }
        }
    }

    /// Asks the server to stop what a connection is doing, such as a COPY whose rest is no
    /// longer wanted.
    pub async fn cancel(&self, connection: &Client) {
        let token = connection.cancel_token();
        let asked = token.cancel_query(self.tls.0.clone());
        // Without success the connection only takes longer to become free.
        if let Ok(Err(error)) = timeout(Duration::from_secs(5), asked).await {
            tracing::debug!(error = %explain(&error), "cancel request failed");
        }
    }

    /// Version of the server, for questions about its state.
    pub async fn version(&self) -> Result<String> {
        let asked = async {
            let client = self.get().await?;
            let row = client.query_one("SHOW server_version", &[]).await.map_err(failed)?;
            let version: String = row.get(0);
            // "15.13 (Debian 15.13-0+deb12u1)": the rest is the packager's.
            Ok(version.split(' ').next().unwrap_or_default().to_owned())
        };
        timeout(PROBE, asked)
            .await
            .unwrap_or_else(|_| Err(unreachable_server("PostgreSQL does not answer".into())))
    }

    /// The user, host, port and database, without the password.
    pub fn display(&self) -> String {
        describe(&self.config)
    }

    /// Connections open and idle.
    pub fn pool_state(&self) -> bb8::State {
        self.pool.state()
    }

    fn exhausted(&self) -> Error {
        let state = self.pool.state();
        Error::new(
            Reason::TargetUnreachable,
            format!("no connection to PostgreSQL became free ({} in use)", state.connections),
        )
        .hint("other operations hold all connections; wait for them, or allow more")
    }
}

/// Makes connections for the pool.
#[derive(Debug)]
pub struct Connector {
    inner: PostgresConnectionManager<MakeRustlsConnect>,
    settings: PoolSettings,
    report: watch::Sender<Option<Arc<Error>>>,
}

impl Connector {
    async fn establish(&self) -> Result<Client> {
        let attempt = async {
            let client = self.inner.connect().await.map_err(|error| explain(&error))?;
            let set_up = session(&self.settings);
            client.batch_execute(&set_up).await.map_err(|error| explain(&error))?;
            // Lets the server notice in the middle of a long statement that a client was killed,
            // and let go of its locks. Before PostgreSQL 14, and on some systems, it cannot.
            let notice = "SET client_connection_check_interval = '2s'";
            if let Err(error) = client.batch_execute(notice).await
                && error.as_db_error().is_none()
            {
                return Err(explain(&error));
            }
            Ok(client)
        };
        timeout(self.settings.connect_timeout, attempt).await.unwrap_or_else(|_| {
            let seconds = self.settings.connect_timeout.as_secs();
            Err(unreachable_server(format!("PostgreSQL did not answer within {seconds} s")))
        })
    }
}

impl ManageConnection for Connector {
    type Connection = Client;
    type Error = Error;

    async fn connect(&self) -> Result<Client> {
        let result = self.establish().await;
        if let Err(error) = &result {
            self.report.send_replace(Some(Arc::new(again(error))));
        }
        result
    }

    async fn is_valid(&self, connection: &mut Client) -> Result<()> {
        self.inner.is_valid(connection).await.map_err(|error| explain(&error))
    }

    fn has_broken(&self, connection: &mut Client) -> bool {
        self.inner.has_broken(connection)
    }
}

/// What every session is set to; the settings of a role or a database may be anything. What is
/// acknowledged has to outlive a crash: a switch goes by it.
fn session(settings: &PoolSettings) -> String {
    format!(
        "SET application_name = '{}'; SET client_min_messages = warning; \
         SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0; \
         SET lock_timeout = {}; SET search_path = pg_catalog; SET extra_float_digits = 1; \
         SET DateStyle = 'ISO, YMD'; SET IntervalStyle = 'postgres'; SET TimeZone = 'UTC'; \
         SET standard_conforming_strings = on; SET bytea_output = 'hex'; \
         SET default_transaction_isolation = 'read committed'; SET row_security = off; \
         SET switchback.session = 'on'; \
         SELECT set_config('synchronous_commit', 'on', false) \
           WHERE current_setting('synchronous_commit') IN ('off', 'local');",
        settings.name.replace('\'', ""),
        settings.lock_timeout.as_millis()
    )
}

/// A connector that can be shown in debug output.
#[derive(Clone)]
struct MakeRustls(MakeRustlsConnect);

impl std::fmt::Debug for MakeRustls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MakeRustls")
    }
}

fn parse(url: &str, settings: &PoolSettings) -> Result<(Config, Verify)> {
    let (url, verify) = take_verification(url);
    let mut config = Config::from_str(&url).map_err(|_| {
        Error::new(Reason::InvalidRequest, "the PostgreSQL URL is malformed").hint(
            "it looks like postgres://user:password@host:5432/database?sslmode=require; \
             special characters in the password are written as %XX",
        )
    })?;
    if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
        if Path::new(SOCKET_DIRECTORY).is_dir() {
            config.host_path(SOCKET_DIRECTORY);
        } else {
            config.host("localhost");
        }
    }
    if config.get_password().is_none() {
        // A server that wants one then refuses with its SQLSTATE, rather than the client.
        config.password("");
    }
    if config.get_hosts().iter().all(|host| matches!(host, Host::Unix(_)))
        && config.get_hostaddrs().is_empty()
    {
        // As in libpq: a socket file needs no encryption.
        config.ssl_mode(SslMode::Disable);
    }
    config.connect_timeout(settings.connect_timeout);
    // A peer that vanished is noticed within a minute and not after the system's two hours.
    config.keepalives(true).keepalives_idle(Duration::from_secs(30));
    config.keepalives_interval(Duration::from_secs(10)).keepalives_retries(3);
    config.tcp_user_timeout(Duration::from_secs(60));
    Ok((config, verify))
}

/// Takes out what `tokio_postgres` does not know: the verifying values of `sslmode`, and
/// `sslrootcert`.
fn take_verification(url: &str) -> (String, Verify) {
    let is_url = url.starts_with("postgres://") || url.starts_with("postgresql://");
    let (head, parameters, separator) = match (is_url, url.split_once('?')) {
        (true, Some((head, query))) => (format!("{head}?"), query, '&'),
        (true, None) => return (url.to_owned(), Verify::Nothing),
        (false, _) => (String::new(), url, ' '),
    };
    let mut verify = Verify::Nothing;
    let mut kept = Vec::new();
    for parameter in parameters.split(separator) {
        match parameter.split_once('=') {
            Some(("sslmode", "verify-ca" | "verify-full")) => {
                if verify == Verify::Nothing {
                    verify = Verify::Certificate(None);
                }
                kept.push("sslmode=require");
            }
            Some(("sslmode", "allow")) => kept.push("sslmode=prefer"),
            Some(("sslrootcert", "system")) => verify = Verify::Certificate(None),
            Some(("sslrootcert", file)) => verify = Verify::Certificate(Some(file.to_owned())),
            _ => kept.push(parameter),
        }
    }
    (head + &kept.join(&separator.to_string()), verify)
}

/// Refuses a malformed URL without repeating it.
pub fn check_url(url: &str) -> Result<()> {
    parse(url, &PoolSettings::default()).map(drop)
}

/// A URL as it may be shown: user, host, port and database, and nothing else.
pub fn masked(url: &str) -> String {
    parse(url, &PoolSettings::default())
        .map_or_else(|_| "(malformed)".into(), |(config, _)| describe(&config))
}

fn describe(config: &Config) -> String {
    let host = match config.get_hosts().first() {
        Some(Host::Tcp(name)) => name.clone(),
        Some(Host::Unix(path)) => path.display().to_string(),
        None => config.get_hostaddrs().first().map(ToString::to_string).unwrap_or_default(),
    };
    let user = config.get_user().map(|user| format!("{user}@")).unwrap_or_default();
    let port = config.get_ports().first().copied().unwrap_or(5432);
    let database = config.get_dbname().or(config.get_user()).unwrap_or_default();
    format!("postgres://{user}{host}:{port}/{database}")
}

fn again(error: &Error) -> Error {
    Error::new(error.reason(), error.message()).hint(error.hint_text())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shown_url_has_no_password() {
        assert_eq!(
            masked("postgres://joe:s3cret@db.example:5433/shop?sslmode=require"),
            "postgres://joe@db.example:5433/shop"
        );
        assert_eq!(
            masked("host=db.example user=joe password=s3cret dbname=shop"),
            "postgres://joe@db.example:5432/shop"
        );
        assert_eq!(masked("postgres://joe:s3cret@db:port/shop"), "(malformed)");
    }

    #[tokio::test]
    async fn a_malformed_url_is_refused_without_its_password() {
        let error = Postgres::new("postgres://joe:s3cret@db:port/", PoolSettings::default())
            .expect_err("the port is no number");
        assert_eq!(error.reason(), Reason::InvalidRequest);
        assert!(!format!("{error:?}").contains("s3cret"));
    }

    #[test]
    fn verification_follows_libpq() {
        let certificate = |file: Option<&str>| Verify::Certificate(file.map(str::to_owned));
        for (url, expected, verify) in [
            ("postgres://h/d", "postgres://h/d", Verify::Nothing),
            ("postgres://h/d?sslmode=require", "postgres://h/d?sslmode=require", Verify::Nothing),
            (
                "postgres://h/d?sslmode=verify-full&sslrootcert=/c.pem",
                "postgres://h/d?sslmode=require",
                certificate(Some("/c.pem")),
            ),
            ("host=h sslmode=verify-ca", "host=h sslmode=require", certificate(None)),
        ] {
            assert_eq!(take_verification(url), (expected.to_owned(), verify), "{url}");
        }
    }

    #[tokio::test]
    async fn a_server_that_is_down_is_reported_at_once() {
        let settings = PoolSettings::default();
        let postgres = Postgres::new("postgres://u@127.0.0.1:1/d", settings).unwrap();
        for _ in 0..2 {
            let started = std::time::Instant::now();
            let error = postgres.get().await.expect_err("nothing listens on port 1");
            assert_eq!(error.reason(), Reason::TargetUnreachable);
            assert!(error.is_retryable());
            assert!(started.elapsed() < Duration::from_secs(5));
        }
    }
}
