//! The gRPC server: its services behind the gate, and its limits.

use std::{sync::Arc, time::Duration};

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

use super::{Databases, HealthBoard, MAX_MESSAGE_BYTES, OperationRpc, gate::Gate};
use crate::{
    access::{Tokens, others_may_read},
    config::Config,
    error::{Error, Reason, Result},
    listener::{connections, tls::Tls},
};

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

/// What a caller has to pass.
#[derive(Debug)]
pub struct Door {
    tls: Option<Arc<Tls>>,
    tokens: Option<Arc<Tokens>>,
    reflection: bool,
}

impl Door {
    /// Reads the certificates and the tokens of a configuration, and warns where they leave much
    /// open.
    pub fn open(config: &Config) -> Result<Self> {
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

/// What is served, besides reflection.
#[derive(Debug)]
pub struct Services {
    /// `grpc.health.v1`
    pub health: HealthBoard,
    /// `DatabaseService`
    pub databases: Databases,
    /// `OperationService`
    pub operations: OperationRpc,
}

/// Serves until the port is to be closed, and then for as long as open streams need. Whoever waits
/// for that says how long.
pub async fn serve(
    listener: TcpListener,
    door: Door,
    services: Services,
    stop: CancellationToken,
) -> Result<()> {
    let health = services.health.service(stop.clone());
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
    let served = router.serve_with_incoming_shutdown(incoming, stop.cancelled_owned()).await;
    served.map_err(|error| Error::new(Reason::Internal, "the gRPC server failed").caused_by(error))
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
