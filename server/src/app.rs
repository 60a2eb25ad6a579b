//! The composition root: the only place that names concrete adapters.

use std::{fs, net::SocketAddr, path::Path, sync::Arc, time::Duration};

use tokio::{
    net::TcpListener,
    time::{Instant, timeout_at},
};
use tokio_util::sync::CancellationToken;

use crate::{
    backup::{Backups, Repository},
    config::Config,
    db::{DatabaseSet, control::ControlStore, target::Holder},
    diagnose::Doctor,
    error::{Error, Reason, Result},
    migration::Migrations,
    object_store,
    operations::Operations,
    rpc::{self, Databases, Door, HealthBoard, OperationRpc, Services, Watchers},
    shutdown::{AT_ONCE, Signals, Stop},
    stopping::serve_and_stop,
    telemetry::{
        metrics::{Metrics, Takers},
        scrape::Scrape,
        traces::Traces,
    },
};

/// What the threads that block have at least, and at most, at the end.
const SHORTEST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(2);

/// Runs the service until it is asked to stop.
pub fn run(config: Config, traces: Traces) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| {
        Error::new(Reason::Internal, "cannot start the runtime").caused_by(error)
    })?;
    let mut deadline = None;
    let served = runtime.block_on(serve(config, traces, &mut deadline));
    // Blocking readers see their channel closed; one that hangs in a read is left behind.
    let left = deadline.map_or(Duration::ZERO, |end: Instant| end.duration_since(Instant::now()));
    runtime.shutdown_timeout(left.clamp(SHORTEST, LONGEST));
    served
}

async fn serve(config: Config, traces: Traces, end: &mut Option<Instant>) -> Result<()> {
    let _lock = lock_state(&config.state_dir)?;
    let door = Door::open(&config)?;
    warn_of_keys(&config);
    let store = ControlStore::open(&config.state_dir).await?;
    let holder = Holder {
        id: store.server_id().await?,
        // For people: where the server is that another one waits for.
        name: format!("{} ({})", host_name(), config.listen),
        lease: config.lease,
    };
    let set = Arc::new(DatabaseSet::new(&config, store.clone(), &holder)?);
    set.check_expectations().await?;

    let stop = Stop::default();
    let objects = object_store::open(&config.store, &config.s3);
    let doctor = Doctor::new(&config, Arc::clone(&set), Arc::clone(&objects));
    let repository = Repository::new(objects, config.backup_keys.clone());
    let restores = config.restore_dir.clone();
    let backups = Backups::new(Arc::clone(&set), store.clone(), repository, restores);
    let migrations = Migrations::new(Arc::clone(&set), store.clone(), backups.clone());
    let driver = Arc::new(migrations.clone());
    let operations = Operations::new(store, driver, stop.clone(), config.max_operations);
    let listener = bind(config.listen).await?;
    let address = listener.local_addr().unwrap_or(config.listen);
    let metrics = measure(&config, &holder.id, &set, &stop.port).await?;
    traces.send(&holder.id)?;
    // Before anything works: from here on a signal does not just end the process.
    tokio::spawn(signalled(Signals::install(), stop.announced.clone()));
    operations.resume().await?;
    tracing::info!(%address, version = env!("CARGO_PKG_VERSION"), "ready");

    let followed = {
        let (set, work) = (Arc::clone(&set), stop.work.clone());
        async move { set.follow_decisions(&work).await }
    };
    tokio::spawn(followed);
    migrations.keep(&operations, &stop);
    backups.keep(&operations, &stop.work);
    let services = services(&set, &operations, backups, doctor);
    let health = tokio::spawn(services.health.clone().keep(stop.announced.clone()));
    let serving = rpc::serve(listener, door, services, stop.port.clone());
    let within = (&stop, config.shutdown_grace);
    let (served, deadlines) = serve_and_stop(serving, health, &operations, within).await;
    let closed = async {
        send_last(metrics, traces).await;
        set.close().await;
    };
    if timeout_at(deadlines.end, closed).await.is_err() {
        tracing::warn!("the last metrics or a connection took too long");
    }
    *end = Some(deadlines.end);
    tracing::info!("stopped");
    served
}

async fn bind(address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| {
        Error::new(Reason::InvalidRequest, format!("cannot listen on {address}: {error}"))
            .hint("another server may be running there: set SWITCHBACK_LISTEN to another address")
    })
}

/// The first signal stops the server, the second one does not wait for it.
async fn signalled(mut signals: Signals, stop: CancellationToken) {
    let signal = signals.next().await;
    tracing::info!(signal, "stopping");
    stop.cancel();
    let signal = signals.next().await;
    tracing::warn!(signal, "ended at once; operations go on at the next start");
    std::process::exit(AT_ONCE);
}

fn services(
    set: &Arc<DatabaseSet>,
    operations: &Operations,
    backups: Backups,
    doctor: Doctor,
) -> Services {
    let watchers = Watchers::default();
    let health = HealthBoard::new(Arc::clone(set));
    let (set, shared) = (Arc::clone(set), watchers.clone());
    let databases = Databases::new(set, operations.clone(), backups, shared, doctor);
    Services { health, databases, operations: OperationRpc::new(operations.clone(), watchers) }
}

/// Begins to measure, where somebody takes it, and to serve those who scrape.
async fn measure(
    config: &Config,
    server_id: &str,
    set: &Arc<DatabaseSet>,
    stop: &CancellationToken,
) -> Result<Option<Metrics>> {
    let scrape = match config.metrics_listen {
        Some(address) => Some(Scrape::bind(address).await?),
        None => None,
    };
    let takers = Takers {
        service_name: config.service_name.as_deref(),
        otlp: config.otlp.as_ref(),
        scraped: scrape.as_ref().map(Scrape::reader),
    };
    let metrics = Metrics::start(takers, server_id, set)?;
    if let Some(scrape) = scrape {
        tokio::spawn(scrape.serve(stop.clone()));
    }
    Ok(metrics)
}

/// Sends the last metrics and spans, both within the same time.
async fn send_last(metrics: Option<Metrics>, traces: Traces) {
    let measured = async {
        if let Some(metrics) = metrics {
            metrics.stop().await;
        }
    };
    tokio::join!(measured, traces.stop());
}

fn warn_of_keys(config: &Config) {
    if config.backup_keys.is_exposed() {
        let hint = "chmod 600 the file that SWITCHBACK_BACKUP_KEY names";
        tracing::warn!(hint, "users other than its owner may read the file of backup keys");
    }
}

fn host_name() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    if name.is_empty() { "unknown host".into() } else { name.to_owned() }
}

/// Makes the state directory and takes its lock: one server a state directory.
fn lock_state(directory: &Path) -> Result<fs::File> {
    let unusable = |error: std::io::Error| {
        Error::new(
            Reason::StateUnusable,
            format!("cannot use the state directory {}: {error}", directory.display()),
        )
        .hint("set SWITCHBACK_STATE_DIR to a directory that the server may write to")
    };
    fs::create_dir_all(directory).map_err(unusable)?;
    let path = directory.join("lock");
    let file = fs::OpenOptions::new().create(true).write(true).truncate(false).open(path);
    let file = file.map_err(unusable)?;
    file.try_lock().map_err(|_| {
        Error::new(
            Reason::StateUnusable,
            format!("another server uses the state directory {}", directory.display()),
        )
        .hint("stop it, or give this one its own SWITCHBACK_STATE_DIR")
    })?;
    Ok(file)
}
