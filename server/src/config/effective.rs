//! The effective configuration as people read it, secrets masked.

use std::fmt;

use switchback_proto::words::Word;

use super::{Config, LogFormat, Otlp};
use crate::{backup::Schedule, db::postgres::masked, object_store::Encryption};

impl fmt::Display for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "listen = {:?}", self.listen.to_string())?;
        writeln!(f, "insecure = {}", self.insecure)?;
        self.access(f)?;
        writeln!(f, "state_dir = {:?}", self.state_dir)?;
        writeln!(f, "store = {:?}", self.store.shown())?;
        writeln!(f, "restore_dir = {:?}", self.restore_dir)?;
        writeln!(f, "s3_path_style = {}", self.s3.path_style)?;
        match &self.s3.encryption {
            None => {}
            Some(Encryption::Aes256) => writeln!(f, "s3_sse = {:?}", Encryption::AES256)?,
            Some(Encryption::Kms(key)) => {
                writeln!(f, "s3_sse = {:?}", Encryption::KMS)?;
                if let Some(key) = key {
                    writeln!(f, "s3_sse_kms_key_id = {key:?}")?;
                }
            }
        }
        writeln!(f, "log = {:?}", self.log)?;
        let format = match self.log_format {
            LogFormat::Text => "text",
            LogFormat::Json => "json",
        };
        writeln!(f, "log_format = {format:?}")?;
        writeln!(f, "lease = {}", self.lease.as_secs())?;
        writeln!(f, "shutdown_grace = {}", self.shutdown_grace.as_secs())?;
        writeln!(f, "max_operations = {}", self.max_operations)?;
        if let Some(address) = self.metrics_listen {
            writeln!(f, "metrics_listen = {:?}", address.to_string())?;
        }
        sent(f, "metrics", self.otlp.as_ref())?;
        sent(f, "traces", self.traces.as_ref())?;
        let keys: Vec<String> = self.backup_keys.iter().map(|key| key.id().to_string()).collect();
        // A comment: the setting has keys or a path, and these are what names the keys.
        writeln!(f, "\n# backup_keys = {keys:?}")?;
        for database in self.databases.values() {
            writeln!(f, "\n[databases.{:?}]", database.name)?;
            writeln!(f, "sqlite = {:?}", database.sqlite)?;
            writeln!(f, "postgres = {:?}", masked(database.postgres.expose()))?;
            let engine = database.engine.map_or_else(|| "auto".into(), Word::word);
            writeln!(f, "engine = {engine:?}")?;
            writeln!(f, "pool_size = {}", database.pool_size)?;
            writeln!(f, "copy_workers = {}", database.copy_workers)?;
            let every = database.validate_every.map_or(0, |every| every.as_secs());
            writeln!(f, "validate_every = {every}")?;
            let schedule = database.backup_schedule.as_ref().map_or("", Schedule::text);
            writeln!(f, "backup_schedule = {schedule:?}")?;
        }
        Ok(())
    }
}

impl Config {
    fn access(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(files) = &self.tls {
            writeln!(f, "tls_cert = {:?}", files.certificate)?;
            writeln!(f, "tls_key = {:?}", files.key)?;
            if let Some(roots) = &files.client_ca {
                writeln!(f, "tls_client_ca = {roots:?}")?;
            }
        }
        if let Some(path) = &self.tokens {
            writeln!(f, "tokens = {path:?}")?;
        }
        writeln!(f, "reflection = {}", self.reflection)?;
        if let Some(path) = &self.audit_log {
            writeln!(f, "audit_log = {path:?}")?;
        }
        Ok(())
    }
}

/// Comments: these settings are variables only.
fn sent(f: &mut fmt::Formatter<'_>, what: &str, otlp: Option<&Otlp>) -> fmt::Result {
    let Some(otlp) = otlp else { return Ok(()) };
    writeln!(f, "\n# {what}, by OTEL_* variables")?;
    writeln!(f, "# endpoint = {:?}", otlp.shown())?;
    writeln!(f, "# interval_ms = {}", otlp.interval.as_millis())?;
    let headers: Vec<String> = otlp.headers.iter().map(|name| format!("{name}=***")).collect();
    writeln!(f, "# headers = {:?}", headers.join(","))
}
