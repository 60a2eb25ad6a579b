//! Configuration: the environment first, a TOML file for several databases.

mod access;
mod effective;
mod file;
mod load;
mod otlp;
mod store;
mod work;

use std::{collections::BTreeMap, fmt, net::SocketAddr, path::PathBuf, time::Duration};

pub use load::{Problem, load};
pub use otlp::Otlp;
use switchback_proto::v1::Engine;

use crate::{
    backup::{Schedule, key::Keys},
    listener::tls::TlsFiles,
    object_store::{S3Options, StoreUrl},
};

/// The effective configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// Address of the gRPC server.
    pub listen: SocketAddr,
    /// Plaintext, and calls without a token, are allowed on addresses other than loopback.
    pub insecure: bool,
    /// Certificates; `None` for plaintext.
    pub tls: Option<TlsFiles>,
    /// File of hashed tokens; `None` where nobody is asked for one.
    pub tokens: Option<PathBuf>,
    /// Whether reflection is served.
    pub reflection: bool,
    /// File of the audit log; `None` where it is a part of the log.
    pub audit_log: Option<PathBuf>,
    /// Where the control database and scratch files are.
    pub state_dir: PathBuf,
    /// Where backups are kept.
    pub store: StoreUrl,
    /// Where SQLite files are made of them.
    pub restore_dir: PathBuf,
    /// How a store in a bucket is spoken to, besides the `AWS_*` variables.
    pub s3: S3Options,
    /// Filter of the log: `info`, `switchback_server=debug,info`.
    pub log: String,
    /// Form of the log.
    pub log_format: LogFormat,
    /// How long a server that coordinates a migration may be silent before another one takes over.
    pub lease: Duration,
    /// How long a stop may take, from the signal to the end of the process.
    pub shutdown_grace: Duration,
    /// How many long operations work side by side; the others wait.
    pub max_operations: usize,
    /// Where metrics go; `None` where they are not sent.
    pub otlp: Option<Otlp>,
    /// Where spans go; `None` where they are not sent.
    pub traces: Option<Otlp>,
    /// What the server is called in metrics and traces, where that is set.
    pub service_name: Option<String>,
    /// Address where metrics are scraped; `None` where they are not.
    pub metrics_listen: Option<SocketAddr>,
    /// Keys that encrypt and decrypt backups.
    pub(crate) backup_keys: Keys,
    /// Databases by name; at least one.
    pub databases: BTreeMap<String, DatabaseConfig>,
}

/// One configured pair of a SQLite file and a PostgreSQL database.
#[derive(Debug, Clone)]
pub struct DatabaseConfig {
    /// Name that requests use.
    pub name: String,
    /// The SQLite file.
    pub sqlite: PathBuf,
    /// The PostgreSQL URL.
    pub postgres: Secret,
    /// The engine that this deployment expects; `None` follows the record.
    pub engine: Option<Engine>,
    /// Most connections to PostgreSQL.
    pub pool_size: u32,
    /// Tables copied side by side.
    pub copy_workers: u32,
    /// How often a pair that is kept in sync is compared; `None` for only when somebody asks.
    pub validate_every: Option<Duration>,
    /// When backups are made by themselves; `None` for only when somebody asks.
    pub backup_schedule: Option<Schedule>,
}

/// Form of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
}

/// A string that is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret.
    pub fn new(secret: impl Into<String>) -> Self {
        Self(secret.into())
    }

    /// The secret itself, for the one place that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// The configuration of one database, with these variables and this file.
#[cfg(test)]
fn loaded(pairs: &[(&str, &str)], file: &str) -> Result<Config, String> {
    let pair = [("SWITCHBACK_SQLITE", "a.db"), ("SWITCHBACK_POSTGRES", "postgres://h/d")];
    let all = pair.iter().chain(pairs);
    let env: BTreeMap<String, String> =
        all.map(|(name, value)| ((*name).into(), (*value).into())).collect();
    load(&env, Some(file), true).map_err(|problems| format!("{problems:?}"))
}
