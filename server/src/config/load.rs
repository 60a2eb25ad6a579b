//! Reads the configuration and names every problem at once.

#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, fmt, net::SocketAddr, path::PathBuf, time::Duration};

use switchback_proto::v1::Engine;
use tracing_subscriber::EnvFilter;

use super::{
    Config, DatabaseConfig, LogFormat, Secret,
    file::{Database, File, Wrong},
    otlp::Signal,
};
use crate::backup::{Schedule, key::Keys};

/// Eight connections carry two copying tables, validation, and questions about the state, and
/// leave most of PostgreSQL's default of 100 to the applications.
const POOL_SIZE: u32 = 8;

/// On the usual small server one PostgreSQL backend is the bottleneck; a second one hides the
/// commits of the first.
const COPY_WORKERS: u32 = 2;

/// Seconds: several renewals, and longer than a switch holds the record.
const LEASE: u32 = 15;

const DEFAULT_LISTEN: &str = "127.0.0.1:50051";
const DEFAULT_STATE_DIR: &str = "./switchback-state";

/// One thing that is wrong with the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    setting: String,
    message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.setting, self.message)
    }
}

/// Reads a configuration from the environment's variables and, below them, a TOML document.
///
/// `terminal` decides the default form of the log.
pub fn load(
    env: &BTreeMap<String, String>,
    file: Option<&str>,
    terminal: bool,
) -> Result<Config, Vec<Problem>> {
    let mut loader = Loader { env, problems: Vec::new() };
    let file = file.map_or_else(File::default, |text| loader.parse(text));
    let state_dir = loader
        .get("SWITCHBACK_STATE_DIR")
        .map(PathBuf::from)
        .or_else(|| file.state_dir.clone())
        .unwrap_or_else(|| DEFAULT_STATE_DIR.into());
    let config = Config {
        listen: loader.listen(&file),
        insecure: loader.insecure(&file),
        tls: loader.tls(&file),
        tokens: loader.tokens(&file),
        reflection: loader.reflection(&file),
        audit_log: loader.audit_log(&file),
        store: loader.store(&file, &state_dir),
        restore_dir: loader
            .get("SWITCHBACK_RESTORE_DIR")
            .map(PathBuf::from)
            .or_else(|| file.restore_dir.clone())
            .unwrap_or_else(|| state_dir.join("restores")),
        s3: loader.s3(&file),
        state_dir,
        log: loader.log(&file),
        log_format: loader.log_format(&file, terminal),
        lease: loader.lease(&file),
        shutdown_grace: loader.shutdown_grace(&file),
        max_operations: loader.max_operations(&file),
        otlp: loader.otlp(Signal::Metrics),
        traces: loader.otlp(Signal::Traces),
        service_name: loader.get("OTEL_SERVICE_NAME").map(str::to_owned),
        metrics_listen: loader.metrics_listen(&file),
        backup_keys: loader.backup_keys(&file),
        databases: loader.databases(file.databases),
    };
    if loader.problems.is_empty() { Ok(config) } else { Err(loader.problems) }
}

pub(super) struct Loader<'a> {
    env: &'a BTreeMap<String, String>,
    problems: Vec<Problem>,
}

impl<'a> Loader<'a> {
    /// A variable that is set to something.
    pub(super) fn get(&self, name: &str) -> Option<&'a str> {
        self.env.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    pub(super) fn problem(&mut self, setting: &str, message: impl Into<String>) {
        let problem = Problem { setting: setting.into(), message: message.into() };
        // What is for metrics and for spans is looked at for each.
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }

    fn parse(&mut self, text: &str) -> File {
        let (file, wrong) = File::read(text);
        for Wrong { line, message } in wrong {
            self.problem("configuration file", format!("line {line}: {message}"));
        }
        file
    }

    fn listen(&mut self, file: &File) -> SocketAddr {
        let text = self.get("SWITCHBACK_LISTEN").or(file.listen.as_deref());
        let text = text.unwrap_or(DEFAULT_LISTEN);
        let Ok(address) = text.parse::<SocketAddr>() else {
            self.problem(
                "SWITCHBACK_LISTEN",
                format!("{text:?} is no address and port such as {DEFAULT_LISTEN}"),
            );
            return SocketAddr::from(([127, 0, 0, 1], 50051));
        };
        self.exposure(address, file);
        address
    }

    /// Where metrics are scraped; in plaintext and by anybody, so that other machines are let in
    /// only where somebody answers for it.
    fn metrics_listen(&mut self, file: &File) -> Option<SocketAddr> {
        let text = self.get("SWITCHBACK_METRICS_LISTEN").or(file.metrics_listen.as_deref());
        let text = text.filter(|text| !text.is_empty())?;
        let setting = "SWITCHBACK_METRICS_LISTEN";
        let Ok(address) = text.parse::<SocketAddr>() else {
            let message = format!("{text:?} is no address and port such as 127.0.0.1:9464");
            self.problem(setting, message);
            return None;
        };
        if !address.ip().is_loopback() && !self.insecure(file) {
            let message = format!(
                "{address} is not a loopback address, and metrics are served unencrypted and \
                 without a token: listen on 127.0.0.1, or set SWITCHBACK_INSECURE=1 where the \
                 network is trusted"
            );
            self.problem(setting, message);
        }
        Some(address)
    }

    fn log(&mut self, file: &File) -> String {
        let filter = self.get("SWITCHBACK_LOG").or(file.log.as_deref()).unwrap_or("info");
        if let Err(error) = EnvFilter::try_new(filter) {
            self.problem("SWITCHBACK_LOG", format!("{filter:?} is no filter: {error}"));
        }
        filter.to_owned()
    }

    fn log_format(&mut self, file: &File, terminal: bool) -> LogFormat {
        match self.get("SWITCHBACK_LOG_FORMAT").or(file.log_format.as_deref()) {
            None if terminal => LogFormat::Text,
            None => LogFormat::Json,
            Some("text") => LogFormat::Text,
            Some("json") => LogFormat::Json,
            Some(other) => {
                self.problem(
                    "SWITCHBACK_LOG_FORMAT",
                    format!("{other:?} is neither text nor json"),
                );
                LogFormat::Text
            }
        }
    }

    fn lease(&mut self, file: &File) -> Duration {
        let seconds = self.number("SWITCHBACK_LEASE").or(file.lease).unwrap_or(LEASE);
        Duration::from_secs(self.at_least("lease", seconds, 1).into())
    }

    fn backup_keys(&mut self, file: &File) -> Keys {
        // The file names a path only: a configuration is shown and copied around.
        let keys = match (self.get("SWITCHBACK_BACKUP_KEY"), &file.backup_key) {
            (Some(text), _) => Keys::parse(text),
            (None, Some(path)) => Keys::parse_file(path),
            (None, None) => Ok(Keys::default()),
        };
        keys.unwrap_or_else(|problem| {
            self.problem("SWITCHBACK_BACKUP_KEY", problem);
            Keys::default()
        })
    }

    fn databases(
        &mut self,
        mut from_file: BTreeMap<String, Database>,
    ) -> BTreeMap<String, DatabaseConfig> {
        let sqlite = self.get("SWITCHBACK_SQLITE");
        let postgres = self.get("SWITCHBACK_POSTGRES");
        let engine = self.get("SWITCHBACK_ENGINE");
        if sqlite.is_some() || postgres.is_some() || from_file.is_empty() {
            let name = self.get("SWITCHBACK_DATABASE").unwrap_or("default");
            let entry = from_file.entry(name.to_owned()).or_default();
            entry.sqlite = sqlite.map(PathBuf::from).or_else(|| entry.sqlite.take());
            entry.postgres = postgres.map(str::to_owned).or_else(|| entry.postgres.take());
        }
        let pool_size = self.number("SWITCHBACK_POOL_SIZE");
        let copy_workers = self.number("SWITCHBACK_COPY_WORKERS");
        let validate_every = self.number("SWITCHBACK_VALIDATE_EVERY");
        let backup_schedule = self.get("SWITCHBACK_BACKUP_SCHEDULE");
        for entry in from_file.values_mut() {
            entry.engine = engine.map(str::to_owned).or_else(|| entry.engine.take());
            entry.pool_size = pool_size.or(entry.pool_size);
            entry.copy_workers = copy_workers.or(entry.copy_workers);
            entry.validate_every = validate_every.or(entry.validate_every);
            entry.backup_schedule =
                backup_schedule.map(str::to_owned).or_else(|| entry.backup_schedule.take());
        }
        let databases = from_file.into_iter();
        databases
            .filter_map(|(name, entry)| Some((name.clone(), self.database(name, entry)?)))
            .collect()
    }

    fn database(&mut self, name: String, entry: Database) -> Option<DatabaseConfig> {
        let is_name = name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
        // It is a part of the names of backups: a store is no place to climb about in.
        if !is_name || matches!(name.as_str(), "" | "." | "..") {
            self.problem(
                "SWITCHBACK_DATABASE",
                format!(
                    "{name:?}: a name has ASCII letters, digits, '-', '_' and '.', and more than dots"
                ),
            );
        }
        let sqlite = entry.sqlite.filter(|path| !path.as_os_str().is_empty());
        if sqlite.is_none() {
            self.problem(
                "SWITCHBACK_SQLITE",
                format!("no SQLite file for the database {name:?}: set it to the file's path"),
            );
        }
        let postgres = entry.postgres.filter(|url| !url.is_empty());
        match &postgres {
            None => self.problem(
                "SWITCHBACK_POSTGRES",
                format!(
                    "no PostgreSQL URL for the database {name:?}: \
                     set it to postgres://user:password@host:5432/database"
                ),
            ),
            Some(url) => {
                if let Err(error) = crate::db::postgres::check_url(url) {
                    self.problem("SWITCHBACK_POSTGRES", error.message());
                }
            }
        }
        let engine = self.engine(entry.engine.as_deref());
        let schedule = entry.backup_schedule.filter(|text| !text.is_empty());
        let schedule = schedule.and_then(|text| match Schedule::parse(&text) {
            Ok(schedule) => Some(schedule),
            Err(why) => {
                self.problem("SWITCHBACK_BACKUP_SCHEDULE", why);
                None
            }
        });
        let pool_size = self.at_least("pool_size", entry.pool_size.unwrap_or(POOL_SIZE), 4);
        let copy_workers =
            self.at_least("copy_workers", entry.copy_workers.unwrap_or(COPY_WORKERS), 1);
        Some(DatabaseConfig {
            name,
            sqlite: sqlite?,
            postgres: Secret::new(postgres?),
            engine,
            pool_size,
            copy_workers: copy_workers.min(pool_size - 2),
            // 0 says so too.
            validate_every: entry
                .validate_every
                .filter(|seconds| *seconds > 0)
                .map(|seconds| Duration::from_secs(seconds.into())),
            backup_schedule: schedule,
        })
    }

    fn engine(&mut self, word: Option<&str>) -> Option<Engine> {
        match word {
            None | Some("auto") => None,
            Some("sqlite") => Some(Engine::Sqlite),
            Some("postgres") => Some(Engine::Postgres),
            Some(other) => {
                let message = format!("{other:?} is none of auto, sqlite and postgres");
                self.problem("SWITCHBACK_ENGINE", message);
                None
            }
        }
    }

    pub(super) fn number(&mut self, name: &str) -> Option<u32> {
        let text = self.get(name)?;
        let number = text.parse().ok();
        if number.is_none() {
            self.problem(name, format!("{text:?} is no number"));
        }
        number
    }

    fn at_least(&mut self, setting: &str, value: u32, least: u32) -> u32 {
        if value < least {
            self.problem(setting, format!("{value} is too few: at least {least}"));
        }
        value.max(least)
    }
}
