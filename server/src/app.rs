//! The composition root: the only place that names concrete adapters.

use std::{fs, path::Path, sync::Arc, time::Duration};

use switchback_proto::{
    FILE_DESCRIPTOR_SET,
    v1::{
        database_service_server::DatabaseServiceServer,
        operation_service_server::OperationServiceServer,
    },
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::{codec::CompressionEncoding, transport::Server};
use tower_layer::layer_fn;

use crate::{
    access::{Tokens, others_may_read},
    backup::{Backups, Repository},
    config::Config,
    db::{DatabaseSet, control::ControlStore, target::Holder},
    error::{Error, Reason, Result},
    listener::{connections, tls::Tls},
    migration::Migrations,
    object_store,
    operations::Operations,
    rpc::{Databases, Gate, MAX_MESSAGE_BYTES, OperationRpc, Watchers, watch_engines},
    shutdown,
    telemetry::metrics::Metrics,
};

/// Open streams do not hold up a stop for longer than this.
const DRAIN: Duration = Duration::from_secs(10);

/// A caller that is gone without a word is noticed after about this long.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// Streams of one connection: a proxy may carry the calls of many on one.
const MOST_STREAMS: u32 = 1024;

/// Calls of one connection that have no answer yet; the next ones wait.
const MOST_CALLS: usize = 128;

/// Bytes of a call's headers: a token, a deadline and a trace's id are a few hundred.
const MOST_HEADERS: u32 = 16 * 1024;

/// Ids of operations and of pages are all that a message of the operation service has.
const MOST_OF_OPERATION: usize = 64 * 1024;

/// Runs the service until it is asked to stop.
pub fn run(config: Config) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| {
        Error::new(Reason::Internal, "cannot start the runtime").caused_by(error)
    })?;
    let served = runtime.block_on(serve(config));
    // Blocking readers see their channel closed; one that hangs in a read is left behind.
    runtime.shutdown_timeout(Duration::from_secs(2));
    served
}

async fn serve(config: Config) -> Result<()> {
    let _lock = lock_state(&config.state_dir)?;
    let door = Door::open(&config)?;
    if config.backup_keys.is_exposed() {
        let hint = "chmod 600 the file that SWITCHBACK_BACKUP_KEY names";
        tracing::warn!(hint, "users other than its owner may read the file of backup keys");
    }
    let store = ControlStore::open(&config.state_dir).await?;
    let holder = Holder {
        id: store.server_id().await?,
        // For people: where the server is that another one waits for.
        name: format!("{} ({})", host_name(), config.listen),
        lease: config.lease,
    };
    let set = Arc::new(DatabaseSet::new(&config, store.clone(), &holder)?);
    set.check_expectations().await?;

    let stop = CancellationToken::new();
    let repository =
        Repository::new(object_store::open(&config.store, &config.s3), config.backup_keys.clone());
    let restores = config.restore_dir.clone();
    let backups = Backups::new(Arc::clone(&set), store.clone(), repository, restores);
    let migrations = Migrations::new(Arc::clone(&set), store.clone(), backups.clone());
    let driver = Arc::new(migrations.clone());
    let operations = Operations::new(store, driver, stop.clone());
    let listener = TcpListener::bind(config.listen).await.map_err(|error| {
        Error::new(Reason::InvalidRequest, format!("cannot listen on {}: {error}", config.listen))
            .hint("another server may be running there: set SWITCHBACK_LISTEN to another address")
    })?;
    let address = listener.local_addr().unwrap_or(config.listen);
    let metrics = config.otlp.as_ref().map(|otlp| Metrics::start(otlp, &holder.id, &set));
    let metrics = metrics.transpose()?;
    operations.resume().await?;
    tracing::info!(%address, version = env!("CARGO_PKG_VERSION"), "ready");

    let signalled = {
        let stop = stop.clone();
        async move {
            let signal = shutdown::requested().await;
            tracing::info!(signal, "stopping");
            stop.cancel();
        }
    };
    tokio::spawn(signalled);
    let followed = {
        let (set, stop) = (Arc::clone(&set), stop.clone());
        async move { set.follow_decisions(&stop).await }
    };
    tokio::spawn(followed);
    migrations.keep(&operations, &stop);
    backups.keep(&operations, &stop);
    let watchers = Watchers::default();
    let services = Services {
        databases: Databases::new(Arc::clone(&set), operations.clone(), backups, watchers.clone()),
        operations: OperationRpc::new(operations.clone(), watchers),
    };
    let served = serve_grpc(listener, door, Arc::clone(&set), services, stop).await;
    if tokio::time::timeout(DRAIN, operations.drained()).await.is_err() {
        tracing::warn!("an operation did not stop in time; it goes on at the next start");
    }
    if let Some(metrics) = metrics {
        metrics.stop().await;
    }
    set.close().await;
    tracing::info!("stopped");
    served
}

fn host_name() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    if name.is_empty() { "unknown host".into() } else { name.to_owned() }
}

/// What a caller has to pass.
struct Door {
    tls: Option<Arc<Tls>>,
    tokens: Option<Arc<Tokens>>,
    reflection: bool,
}

impl Door {
    fn open(config: &Config) -> Result<Self> {
        let broken = |problem| {
            Error::new(Reason::InvalidRequest, problem)
                .hint("see `switchbackd --check-config`, and correct the file")
        };
        let tls = config.tls.as_ref().map(Tls::open).transpose().map_err(broken)?;
        let tokens = config.tokens.as_deref().map(Tokens::open).transpose().map_err(broken)?;
        if let Some(files) = &config.tls
            && others_may_read(&files.key).unwrap_or_default()
        {
            let hint = "chmod 600 the file that SWITCHBACK_TLS_KEY names";
            tracing::warn!(hint, "users other than its owner may read the TLS key");
        }
        if config.insecure && !config.listen.ip().is_loopback() {
            let (encrypted, tokens) = (tls.is_some(), tokens.is_some());
            let hint = "set SWITCHBACK_TLS_CERT, _TLS_KEY and SWITCHBACK_TOKENS instead of \
                        SWITCHBACK_INSECURE";
            tracing::warn!(encrypted, tokens, hint, "other machines are let in insecurely");
        }
        Ok(Self {
            tls: tls.map(Arc::new),
            tokens: tokens.map(Arc::new),
            reflection: config.reflection,
        })
    }
}

struct Services {
    databases: Databases,
    operations: OperationRpc,
}

async fn serve_grpc(
    listener: TcpListener,
    door: Door,
    set: Arc<DatabaseSet>,
    services: Services,
    stop: CancellationToken,
) -> Result<()> {
    let (reporter, health) = tonic_health::server::health_reporter();
    tokio::spawn(watch_engines(reporter, set, stop.clone()));
    let databases = DatabaseServiceServer::new(services.databases)
        .max_decoding_message_size(MAX_MESSAGE_BYTES)
        .max_encoding_message_size(MAX_MESSAGE_BYTES)
        .accept_compressed(CompressionEncoding::Gzip)
        .send_compressed(CompressionEncoding::Gzip);
    let operations = OperationServiceServer::new(services.operations)
        .max_decoding_message_size(MOST_OF_OPERATION)
        .max_encoding_message_size(MAX_MESSAGE_BYTES)
        .accept_compressed(CompressionEncoding::Gzip)
        .send_compressed(CompressionEncoding::Gzip);
    // Both versions of reflection: grpcurl speaks the older one.
    let (reflection, older_reflection) = if door.reflection {
        let newer = reflected().build_v1().map_err(broken_descriptors)?;
        let older = reflected().build_v1alpha().map_err(broken_descriptors)?;
        let gzip = CompressionEncoding::Gzip;
        (Some(newer.accept_compressed(gzip)), Some(older.accept_compressed(gzip)))
    } else {
        (None, None)
    };
    let tokens = door.tokens;
    let router = Server::builder()
        .http2_keepalive_interval(Some(KEEPALIVE))
        .http2_keepalive_timeout(Some(KEEPALIVE))
        .http2_max_header_list_size(MOST_HEADERS)
        .max_concurrent_streams(MOST_STREAMS)
        .concurrency_limit_per_connection(MOST_CALLS)
        .layer(layer_fn(move |services| Gate::new(services, tokens.clone())))
        .add_service(health.accept_compressed(CompressionEncoding::Gzip))
        .add_optional_service(reflection)
        .add_optional_service(older_reflection)
        .add_service(databases)
        .add_service(operations);
    let incoming = connections(listener, door.tls, stop.clone());
    let stopping = stop.clone();
    let serving = router.serve_with_incoming_shutdown(incoming, stop.cancelled_owned());
    let failed = |error: tonic::transport::Error| {
        Error::new(Reason::Internal, "the gRPC server failed").caused_by(error)
    };
    tokio::select! {
        served = serving => served.map_err(failed),
        () = async { stopping.cancelled().await; tokio::time::sleep(DRAIN).await } => Ok(()),
    }
}

/// What reflection tells: this interface, health, and the details of errors.
fn reflected() -> tonic_reflection::server::Builder<'static> {
    tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
}

fn broken_descriptors(error: tonic_reflection::server::Error) -> Error {
    Error::new(Reason::Internal, "the interface's descriptors are broken").caused_by(error)
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
