//! Real S3-compatible servers that vanish with the process that started them.

use std::{
    env, fs, io,
    net::{Ipv4Addr, SocketAddr},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::OnceCell,
};

use crate::{DEADLINE, cluster::free_port, rig::directory};

/// Id of the key that every server accepts: Garage wants this form.
pub const KEY_ID: &str = "GK31c2f218a2e44f485b94239e";
/// Its secret: no log and no message may hold it.
pub const SECRET: &str = "b892c0665f0ada8a4755dae98baa3b133590e11dae3bcc1f9d769d67f16c3835";

/// Between two looks at a server that is starting.
const POLL: Duration = Duration::from_millis(20);

/// The bucket that Garage is started with; only its own protocol makes others.
const GARAGE_BUCKET: &str = "default-bucket";

/// Waits for the end of its standard input, which is the end of the process that started it, then
/// kills the server and removes its files. Where nobody asks how the server ended, it seems to be
/// there for ever.
const WATCHDOG: &str = r#"
trap '' INT TERM HUP
cat >/dev/null
kill -KILL "$2" 2>/dev/null
for turn in 1 2 3 4 5 6 7 8 9 10; do
    kill -0 "$2" 2>/dev/null || break
    sleep 0.05
done
rm -rf "$1"
"#;

/// Which server it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// From PyPI: there everywhere, and polite.
    Moto,
    /// One that people run.
    Garage,
}

/// A running S3-compatible server.
#[derive(Debug)]
pub struct S3Server {
    kind: Kind,
    port: u16,
    directory: PathBuf,
    server: Child,
    watchdog: Option<Child>,
}

/// A place for one store.
#[derive(Debug, Clone)]
pub struct Place {
    /// `s3://bucket/prefix`.
    pub url: String,
    /// URL of the server.
    pub endpoint: String,
}

impl S3Server {
    /// The moto that all tests of this process share.
    pub async fn shared() -> &'static Self {
        static SHARED: OnceCell<S3Server> = OnceCell::const_new();
        SHARED.get_or_init(|| async { Self::own().await }).await
    }

    /// The Garage that they share: `SWITCHBACK_GARAGE`, or from `PATH`. `None`, and a note, where
    /// there is none.
    pub async fn garage() -> Option<&'static Self> {
        static SHARED: OnceCell<Option<S3Server>> = OnceCell::const_new();
        let start = || async {
            if garage().is_none() {
                eprintln!("note: no garage was found (SWITCHBACK_GARAGE): it is skipped");
                return None;
            }
            Some(Self::start(Kind::Garage).await.expect("garage starts"))
        };
        SHARED.get_or_init(start).await.as_ref()
    }

    /// A moto of one's own, to be killed.
    pub async fn own() -> Self {
        Self::start(Kind::Moto).await.expect("moto starts (.ci/prerequisites test installs it)")
    }

    /// URL of the server.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// A place that nobody else uses: a bucket with a prefix where buckets can be made.
    pub async fn place(&self) -> Place {
        static COUNT: AtomicU32 = AtomicU32::new(1);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let url = match self.kind {
            Kind::Garage => format!("s3://{GARAGE_BUCKET}/prefix-{number}"),
            Kind::Moto => {
                let bucket = format!("bucket-{number}");
                self.make_bucket(&bucket).await.expect("a bucket is made");
                format!("s3://{bucket}/prefix")
            }
        };
        Place { url, endpoint: self.endpoint() }
    }

    async fn start(kind: Kind) -> Result<Self, String> {
        let mut last = String::new();
        // Another process may take the port first.
        for _ in 0..5 {
            let port = free_port().map_err(|error| format!("no free port: {error}"))?;
            match Self::start_on(kind, port).await {
                Ok(server) => return Ok(server),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    async fn start_on(kind: Kind, port: u16) -> Result<Self, String> {
        let directory = directory().keep();
        let log = fs::File::create(directory.join("log")).map_err(|error| error.to_string())?;
        let again = log.try_clone().map_err(|error| error.to_string())?;
        let mut command = match kind {
            Kind::Moto => moto(port),
            Kind::Garage => garage_in(&directory, port)?,
        };
        command.current_dir(&directory).stdin(Stdio::null()).stdout(log).stderr(again);
        // A Ctrl-C on the terminal is for the watchdog to answer.
        let server = command.process_group(0).spawn();
        let server = server.map_err(|error| format!("{kind:?} does not start: {error}"))?;
        let mut this = Self { kind, port, directory, server, watchdog: None };
        this.watchdog = Some(this.watch().map_err(|error| format!("no watchdog: {error}"))?);
        this.answers().await?;
        Ok(this)
    }

    /// Waits until it listens; what it said where it ended before.
    async fn answers(&mut self) -> Result<(), String> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        let started = Instant::now();
        while TcpStream::connect(address).await.is_err() {
            let ended = self.server.try_wait().map_err(|error| error.to_string())?;
            if ended.is_some() || started.elapsed() > DEADLINE {
                let log = fs::read_to_string(self.directory.join("log")).unwrap_or_default();
                return Err(format!("{:?} does not serve\n{log}", self.kind));
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }

    fn watch(&self) -> io::Result<Child> {
        Command::new("sh")
            .args(["-c", WATCHDOG, "watchdog"])
            .arg(&self.directory)
            .arg(self.server.id().to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
    }

    /// Moto asks for no signature.
    async fn make_bucket(&self, bucket: &str) -> io::Result<()> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).await?;
        let request = format!(
            "PUT /{bucket} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nContent-Length: 0\r\n\
             Connection: close\r\n\r\n",
            self.port
        );
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        let made = answer.split(' ').nth(1) == Some("200");
        if made { Ok(()) } else { Err(io::Error::other(answer)) }
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
        if let Some(mut watchdog) = self.watchdog.take() {
            drop(watchdog.stdin.take());
            let _ = watchdog.wait();
        }
    }
}

impl Place {
    /// The same place behind another address.
    #[must_use]
    pub fn behind(&self, endpoint: String) -> Self {
        Self { endpoint, ..self.clone() }
    }

    /// What a server that uses the place is started with.
    pub fn settings(&self) -> Vec<(&'static str, String)> {
        vec![
            ("SWITCHBACK_STORE", self.url.clone()),
            ("AWS_ENDPOINT_URL", self.endpoint.clone()),
            ("AWS_ACCESS_KEY_ID", KEY_ID.into()),
            ("AWS_SECRET_ACCESS_KEY", SECRET.into()),
            ("AWS_REGION", "us-east-1".into()),
        ]
    }
}

/// Where `.ci/prerequisites test` installs moto; one that Python finds otherwise will do as well.
fn moto(port: u16) -> Command {
    let installed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.cache/moto");
    let mut command = Command::new("python3");
    command
        .args(["-m", "moto.server", "--host", "127.0.0.1", "--port", &port.to_string()])
        .env("PYTHONPATH", installed);
    command
}

fn garage() -> Option<PathBuf> {
    if let Some(named) = env::var_os("SWITCHBACK_GARAGE") {
        return Some(named.into());
    }
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).map(|directory| directory.join("garage")).find(|file| file.is_file())
}

fn garage_in(directory: &Path, port: u16) -> Result<Command, String> {
    let rpc = free_port().map_err(|error| format!("no free port: {error}"))?;
    let config = format!(
        "metadata_dir = '{0}/meta'\ndata_dir = '{0}/data'\ndb_engine = 'sqlite'\n\
         replication_factor = 1\nrpc_bind_addr = '127.0.0.1:{rpc}'\n\
         rpc_public_addr = '127.0.0.1:{rpc}'\nrpc_secret = '{SECRET}'\n\
         [s3_api]\ns3_region = 'us-east-1'\napi_bind_addr = '127.0.0.1:{port}'\n\
         root_domain = '.s3.invalid'\n",
        directory.display()
    );
    let file = directory.join("garage.toml");
    fs::write(&file, config).map_err(|error| error.to_string())?;
    let mut command = Command::new(garage().ok_or("there is no garage")?);
    command
        .arg("-c")
        .arg(file)
        .args(["server", "--single-node", "--default-bucket", "--default-access-key"])
        .env("GARAGE_DEFAULT_BUCKET", GARAGE_BUCKET)
        .env("GARAGE_DEFAULT_ACCESS_KEY", KEY_ID)
        .env("GARAGE_DEFAULT_SECRET_KEY", SECRET);
    Ok(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_server_leaves_nothing() {
        let server = S3Server::own().await;
        let place = server.place().await;
        assert!(place.url.starts_with("s3://bucket-"));
        let (directory, address) = (server.directory.clone(), (Ipv4Addr::LOCALHOST, server.port));
        assert!(directory.exists() && TcpStream::connect(address).await.is_ok());
        drop(server);
        assert!(!directory.exists() && TcpStream::connect(address).await.is_err());
    }
}
