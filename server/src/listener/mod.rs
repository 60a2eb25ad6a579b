//! The listener: connections, their TLS, and how many there may be.

mod connection;
pub mod tls;

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    time::timeout,
};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;

pub use connection::Connection;

use self::{connection::Io, tls::Tls};
use crate::access::Peer;

/// Connections at once. A client needs one; the usual limit of open files is 1024, and databases
/// and stores need some.
const MOST: usize = 512;

/// A handshake is three packets; whoever takes longer holds a place for nothing.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Before the next try where the system gives no connection: it may have no files left.
const PAUSE: Duration = Duration::from_millis(100);

/// Connections that have shaken hands, until `stop`. Each handshake is on its own, so that a slow
/// one holds up nobody.
pub fn connections(
    listener: TcpListener,
    tls: Option<Arc<Tls>>,
    stop: CancellationToken,
) -> ReceiverStream<io::Result<Connection>> {
    let (ready, receiver) = mpsc::channel(16);
    let places = Arc::new(Semaphore::new(MOST));
    tokio::spawn(async move {
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            let (stream, address) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            };
            let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
                tracing::warn!(peer = %address, most = MOST, "too many connections");
                continue;
            };
            let (ready, tls) = (ready.clone(), tls.clone());
            tokio::spawn(async move {
                if let Some(connection) = shake_hands(stream, address, tls, place).await {
                    // It can only fail when the server has stopped.
                    let _ = ready.send(Ok(connection)).await;
                }
            });
        }
    });
    ReceiverStream::new(receiver)
}

async fn shake_hands(
    stream: TcpStream,
    address: SocketAddr,
    tls: Option<Arc<Tls>>,
    place: OwnedSemaphorePermit,
) -> Option<Connection> {
    // Small messages are answers that somebody waits for.
    let _ = stream.set_nodelay(true);
    let (io, certificate) = match tls {
        None => (Io::Plain(stream), None),
        Some(tls) => match timeout(HANDSHAKE, tls.accept(stream)).await {
            Ok(Ok(stream)) => {
                let certificate = tls::subject(&stream);
                (Io::Tls(Box::new(stream)), certificate)
            }
            Ok(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
                // Checks of ports come and go.
                tracing::debug!(peer = %address, "gone before the end of the TLS handshake");
                return None;
            }
            Ok(Err(error)) => {
                tracing::info!(peer = %address, %error, "no TLS with a client");
                return None;
            }
            Err(_) => {
                tracing::debug!(peer = %address, "the TLS handshake took too long");
                return None;
            }
        },
    };
    Some(Connection::new(io, Peer { address, certificate }, HANDSHAKE, place))
}
