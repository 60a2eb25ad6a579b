//! Private PostgreSQL clusters that vanish with the process that started them.

use std::{
    fs, io,
    net::TcpListener,
    os::unix::{
        fs::{PermissionsExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
};

use tokio_postgres::{Client, Config, NoTls};

use crate::programs::Programs;

/// The cluster's superuser; enters through the unix socket without a password.
const ADMIN: &str = "admin";
/// An ordinary role that owns the databases; enters over TCP with [`PASSWORD`].
pub const OWNER: &str = "owner";
/// A role that may connect and nothing else.
pub const GUEST: &str = "guest";
/// Password of [`OWNER`] and [`GUEST`]: the text that no log and no message may hold.
pub const PASSWORD: &str = "kT7-open-sesame-p0";

/// Waits for the end of its standard input, which is the end of the process that started it, then
/// stops the cluster and removes its files. Statics are not dropped in Rust, and a killed test
/// drops nothing, so this is the one way in which a cluster goes.
const WATCHDOG: &str = r#"
trap '' INT TERM HUP
cat >/dev/null
pid=$(head -n 1 "$1/data/postmaster.pid" 2>/dev/null)
if [ -n "$pid" ]; then
    kill -QUIT "$pid" 2>/dev/null
    while kill -0 "$pid" 2>/dev/null; do sleep 0.05; done
fi
rm -rf "$1"
"#;

/// What the cluster's settings are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// Tests: nothing is forced to the disk.
    Fast,
    /// Benchmarks: PostgreSQL's defaults, with a WAL as large as an operator would allow.
    Durable,
}

/// A running PostgreSQL of its own.
#[derive(Debug)]
pub struct Cluster {
    directory: PathBuf,
    programs: Programs,
    port: u16,
    watchdog: Child,
}

/// A database in a cluster.
#[derive(Debug, Clone)]
pub struct Database {
    /// Its name.
    pub name: String,
    /// URL for [`OWNER`], over TCP with the password.
    pub url: String,
    socket: PathBuf,
    port: u16,
}

impl Cluster {
    /// The cluster that all tests of this process share.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Cluster> = OnceLock::new();
        SHARED.get_or_init(|| Self::start(Profile::Fast).expect("a private PostgreSQL cluster"))
    }

    /// Makes and starts a cluster.
    pub fn start(profile: Profile) -> Result<Self, String> {
        let programs = Programs::find()?;
        let directory = tempfile::Builder::new()
            .prefix("switchback-pg-")
            .tempdir()
            .map_err(|error| format!("no directory for a PostgreSQL cluster: {error}"))?
            .keep();
        if let Some(user) = programs.user() {
            chown(&directory, Some(user.uid), Some(user.gid)).map_err(|error| error.to_string())?;
        }
        let watchdog = watch(&directory).map_err(|error| format!("no watchdog: {error}"))?;
        let mut cluster = Self { directory, programs, port: 0, watchdog };
        cluster.create(profile)?;
        cluster.listen()?;
        cluster.create_roles()?;
        Ok(cluster)
    }

    /// Starts it again after a stop, on the same port.
    pub fn start_again(&self) {
        self.control(&["start", "--wait", "--log", &self.text("log")]).expect("PostgreSQL starts");
    }

    /// Stops it in good order.
    pub fn stop(&self) {
        self.control(&["stop", "--wait", "--mode", "fast"]).expect("PostgreSQL stops");
    }

    /// Stops it as a crash would.
    pub fn stop_immediate(&self) {
        self.control(&["stop", "--wait", "--mode", "immediate"]).expect("PostgreSQL stops");
    }

    /// Port on loopback.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Directory of the unix socket.
    pub fn socket(&self) -> &Path {
        &self.directory
    }

    /// The programs that it was made with.
    pub fn programs(&self) -> &Programs {
        &self.programs
    }

    /// Makes an empty UTF-8 database that [`OWNER`] owns.
    pub async fn database(&self) -> Database {
        static COUNT: AtomicU32 = AtomicU32::new(1);
        let name = format!("t_{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let sql =
            format!("CREATE DATABASE {name} OWNER {OWNER} ENCODING 'UTF8' TEMPLATE template0");
        self.admin("postgres").await.batch_execute(&sql).await.expect("a database is made");
        self.named(&name)
    }

    /// Describes a database of this cluster, whether it exists or not.
    pub fn named(&self, name: &str) -> Database {
        Database {
            name: name.into(),
            url: self.url(OWNER, PASSWORD, name),
            socket: self.directory.clone(),
            port: self.port,
        }
    }

    /// URL for any user of this cluster.
    pub fn url(&self, user: &str, password: &str, database: &str) -> String {
        format!("postgres://{user}:{password}@127.0.0.1:{}/{database}", self.port)
    }

    /// A superuser's connection to a database.
    pub async fn admin(&self, database: &str) -> Client {
        self.named(database).admin().await
    }

    fn create(&self, profile: Profile) -> Result<(), String> {
        let mut initdb = self.programs.command("initdb");
        initdb
            .args(["--auth-local=trust", "--auth-host=scram-sha-256", "--encoding=UTF8"])
            .args(["--no-locale", "--no-sync", "--username", ADMIN, "--pgdata"])
            .arg(self.data());
        run(&mut initdb)?;
        let settings = match profile {
            Profile::Fast => "fsync = off\nsynchronous_commit = off\nfull_page_writes = off\n",
            Profile::Durable => "max_wal_size = '4GB'\nshared_buffers = '512MB'\n",
        };
        let path = self.data().join("postgresql.auto.conf");
        let common = format!(
            "listen_addresses = '127.0.0.1'\nunix_socket_directories = '{}'\n\
             max_connections = 200\nlog_statement = 'none'\n",
            self.directory.display()
        );
        fs::write(path, format!("{common}{settings}")).map_err(|error| error.to_string())
    }

    /// Starts it on a free port; another process may take the port first, so it tries again.
    fn listen(&mut self) -> Result<(), String> {
        let mut last = String::new();
        for _ in 0..5 {
            self.port = free_port().map_err(|error| format!("no free port: {error}"))?;
            let options = format!("-p {}", self.port);
            let log = self.text("log");
            match self.control(&["start", "--wait", "--log", &log, "--options", &options]) {
                Ok(()) => return self.keep_port(),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Writes the port down, so that a later start uses it again.
    fn keep_port(&self) -> Result<(), String> {
        let path = self.data().join("postgresql.auto.conf");
        let settings = fs::read_to_string(&path).map_err(|error| error.to_string())?;
        fs::write(&path, format!("{settings}port = {}\n", self.port))
            .map_err(|error| error.to_string())
    }

    fn create_roles(&self) -> Result<(), String> {
        let mut psql = Command::new(self.programs.path("psql"));
        psql.args([
            "--no-psqlrc",
            "--quiet",
            "--username",
            ADMIN,
            "--dbname",
            "postgres",
            "--host",
        ])
        .arg(&self.directory)
        .args(["--port", &self.port.to_string(), "--command"])
        .arg(format!(
            "CREATE ROLE {OWNER} LOGIN PASSWORD '{PASSWORD}'; \
                 CREATE ROLE {GUEST} LOGIN PASSWORD '{PASSWORD}'"
        ));
        run(&mut psql)
    }

    fn control(&self, arguments: &[&str]) -> Result<(), String> {
        let mut command = self.programs.command("pg_ctl");
        command.arg("--silent").arg("--pgdata").arg(self.data()).args(arguments);
        run(&mut command).map_err(|error| {
            let log = fs::read_to_string(self.directory.join("log")).unwrap_or_default();
            format!("{error}\n{log}")
        })
    }

    fn data(&self) -> PathBuf {
        self.directory.join("data")
    }

    fn text(&self, name: &str) -> String {
        self.directory.join(name).display().to_string()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.watchdog.stdin.take());
        let _ = self.watchdog.wait();
    }
}

impl Database {
    /// A superuser's connection.
    pub async fn admin(&self) -> Client {
        let mut config = Config::new();
        config.host_path(&self.socket).port(self.port).user(ADMIN).dbname(&self.name);
        let (client, connection) = config.connect(NoTls).await.expect("PostgreSQL answers");
        tokio::spawn(connection);
        client
    }

    /// A connection of [`OWNER`], as an application has one.
    pub async fn owner(&self) -> Client {
        let (client, connection) =
            tokio_postgres::connect(&self.url, NoTls).await.expect("PostgreSQL answers");
        tokio::spawn(connection);
        client
    }

    /// Drops it, whoever is connected.
    pub async fn remove(&self) {
        let other = Self { name: "postgres".into(), ..self.clone() };
        let sql = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        other.admin().await.batch_execute(&sql).await.expect("a database is dropped");
    }
}

/// A port on loopback that nothing listens on.
pub fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

fn watch(directory: &Path) -> io::Result<Child> {
    // Readable for the cluster's user, who may be another one.
    fs::set_permissions(directory, fs::Permissions::from_mode(0o755))?;
    Command::new("sh")
        .args(["-c", WATCHDOG, "watchdog"])
        .arg(directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        // A Ctrl-C on the terminal must not reach it before its work is done.
        .process_group(0)
        .spawn()
}

/// Runs a command to its end. Its output goes to a file-less sink: a daemon that inherits a pipe
/// would keep it open.
fn run(command: &mut Command) -> Result<(), String> {
    let errors = tempfile::NamedTempFile::new().map_err(|error| error.to_string())?;
    let status = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(errors.reopen().map_err(|error| error.to_string())?)
        .status()
        .map_err(|error| format!("{}: {error}", command.get_program().display()))?;
    if status.success() {
        return Ok(());
    }
    let said = fs::read_to_string(errors.path()).unwrap_or_default();
    Err(format!("{} ended with {status}: {}", command.get_program().display(), said.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_cluster_survives_a_crash_and_leaves_nothing() {
        let cluster = Cluster::start(Profile::Fast).expect("starts");
        let database = cluster.database().await;
        database.admin().await.batch_execute("CREATE TABLE t (a int)").await.expect("a table");
        cluster.stop_immediate();
        cluster.start_again();
        let (owner, connection) =
            tokio_postgres::connect(&database.url, NoTls).await.expect("owner");
        tokio::spawn(connection);
        owner.batch_execute("CREATE TABLE mine (a int)").await.expect("the owner may create");
        let directory = cluster.directory.clone();
        drop(cluster);
        assert!(!directory.exists());
    }
}
