//! How PostgreSQL's own programs are told where to connect: by their environment, which nobody
//! else can read, and not by their arguments, which everybody can.

use std::{
    ffi::{OsStr, OsString},
    os::unix::ffi::OsStrExt,
    path::Path,
};

use tokio_postgres::config::{Host, SslMode};

use super::{Postgres, Verify};

/// Where systems keep the root certificates that they trust. libpq knows of them from version 16
/// on only.
const ROOTS: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

impl Postgres {
    /// What libpq needs to connect as this does (PostgreSQL manual, "Environment Variables").
    pub(crate) fn environment(&self) -> Vec<(&'static str, OsString)> {
        let config = &self.config;
        let mut all: Vec<(&'static str, OsString)> = Vec::new();
        let mut set = |name: &'static str, value: &OsStr| all.push((name, value.to_owned()));
        let hosts: Vec<&OsStr> = config.get_hosts().iter().map(host).collect();
        if !hosts.is_empty() {
            set("PGHOST", &hosts.join(OsStr::new(",")));
        }
        let addresses: Vec<String> =
            config.get_hostaddrs().iter().map(ToString::to_string).collect();
        if !addresses.is_empty() {
            set("PGHOSTADDR", OsStr::new(&addresses.join(",")));
        }
        let ports: Vec<String> = config.get_ports().iter().map(ToString::to_string).collect();
        if !ports.is_empty() {
            set("PGPORT", OsStr::new(&ports.join(",")));
        }
        if let Some(user) = config.get_user() {
            set("PGUSER", OsStr::new(user));
        }
        if let Some(database) = config.get_dbname() {
            set("PGDATABASE", OsStr::new(database));
        }
        if let Some(password) = config.get_password().filter(|password| !password.is_empty()) {
            set("PGPASSWORD", OsStr::from_bytes(password));
        }
        if let Some(options) = config.get_options() {
            set("PGOPTIONS", OsStr::new(options));
        }
        set("PGAPPNAME", OsStr::new(&self.program_name()));
        let seconds = self.settings.connect_timeout.as_secs().max(2);
        set("PGCONNECT_TIMEOUT", OsStr::new(&seconds.to_string()));
        for (name, value) in encryption(config.get_ssl_mode(), &self.verify) {
            set(name, OsStr::new(&value));
        }
        all
    }

    /// `application_name` of the programs' sessions, which may outlive a program that was killed.
    pub(crate) fn program_name(&self) -> String {
        format!("{} program", self.settings.name)
    }

    /// The password, for whoever has to keep it out of a text.
    pub(crate) fn secret(&self) -> Option<String> {
        let password = self.config.get_password().filter(|password| !password.is_empty())?;
        Some(String::from_utf8_lossy(password).into_owned())
    }
}

fn host(host: &Host) -> &OsStr {
    match host {
        Host::Tcp(name) => OsStr::new(name),
        Host::Unix(path) => path.as_os_str(),
    }
}

/// `sslmode` and `sslrootcert` as libpq spells them.
fn encryption(mode: SslMode, verify: &Verify) -> Vec<(&'static str, String)> {
    match (mode, verify) {
        (SslMode::Disable, _) => vec![("PGSSLMODE", "disable".into())],
        (_, Verify::Certificate(file)) => {
            let roots = ROOTS.into_iter().find(|path| Path::new(path).is_file());
            let roots = file.clone().unwrap_or_else(|| roots.unwrap_or("system").into());
            vec![("PGSSLMODE", "verify-full".into()), ("PGSSLROOTCERT", roots)]
        }
        (SslMode::Require, Verify::Nothing) => vec![("PGSSLMODE", "require".into())],
        (_, Verify::Nothing) => vec![("PGSSLMODE", "prefer".into())],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::postgres::PoolSettings;

    fn environment(url: &str) -> Vec<(&'static str, String)> {
        let postgres = Postgres::new(url, PoolSettings::default()).unwrap();
        let all = postgres.environment();
        all.into_iter().map(|(name, value)| (name, value.into_string().unwrap())).collect()
    }

    fn value(all: &[(&'static str, String)], name: &str) -> Option<String> {
        all.iter().find(|(found, _)| *found == name).map(|(_, value)| value.clone())
    }

    #[tokio::test]
    async fn libpq_connects_as_the_driver_does() {
        let all =
            environment("postgres://joe:s3%20cret@db.example,other:5433/a%3Db?sslmode=require");
        assert_eq!(value(&all, "PGHOST").as_deref(), Some("db.example,other"));
        assert_eq!(value(&all, "PGUSER").as_deref(), Some("joe"));
        assert_eq!(value(&all, "PGPASSWORD").as_deref(), Some("s3 cret"));
        assert_eq!(value(&all, "PGDATABASE").as_deref(), Some("a=b"));
        assert_eq!(value(&all, "PGSSLMODE").as_deref(), Some("require"));
        let all = environment("host=/run/pg user=joe port=5444");
        assert_eq!(value(&all, "PGHOST").as_deref(), Some("/run/pg"));
        assert_eq!(value(&all, "PGPORT").as_deref(), Some("5444"));
        assert_eq!(value(&all, "PGPASSWORD"), None);
        assert_eq!(value(&all, "PGSSLMODE").as_deref(), Some("disable"));
    }

    #[test]
    fn certificates_are_verified_where_the_driver_verifies_them() {
        let file = Verify::Certificate(Some("/c.pem".into()));
        assert_eq!(
            encryption(SslMode::Require, &file),
            [("PGSSLMODE", "verify-full".into()), ("PGSSLROOTCERT", "/c.pem".into())]
        );
        assert_eq!(
            encryption(SslMode::Prefer, &Verify::Nothing),
            [("PGSSLMODE", "prefer".to_owned())]
        );
    }
}
