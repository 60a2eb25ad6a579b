//! One connection, encrypted or not.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    sync::OwnedSemaphorePermit,
    time::{Sleep, sleep},
};
use tokio_rustls::server::TlsStream;
use tonic::transport::server::Connected;

use crate::access::Peer;

/// Length of what a client of HTTP/2 begins with (RFC 9113, 3.4).
const PREFACE: usize = 24;

/// Bytes of a connection.
#[derive(Debug)]
pub(super) enum Io {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// A connection that holds one of the listener's places.
#[derive(Debug)]
pub struct Connection {
    io: Io,
    peer: Peer,
    /// Until the preface has come: afterwards HTTP/2 finds out itself whether somebody is there.
    waiting: Option<Waiting>,
    _place: OwnedSemaphorePermit,
}

#[derive(Debug)]
struct Waiting {
    missing: usize,
    end: Pin<Box<Sleep>>,
}

impl Connection {
    /// A connection whose client has `patience` to begin.
    pub(super) fn new(io: Io, peer: Peer, patience: Duration, place: OwnedSemaphorePermit) -> Self {
        let waiting = Waiting { missing: PREFACE, end: Box::pin(sleep(patience)) };
        Self { io, peer, waiting: Some(waiting), _place: place }
    }

    fn read(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.io {
            Io::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Io::Tls(stream) => Pin::new(stream.as_mut()).poll_read(context, buffer),
        }
    }
}

impl Connected for Connection {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer.clone()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let read = this.read(context, buffer);
        let Some(waiting) = &mut this.waiting else { return read };
        match read {
            Poll::Ready(read) => {
                let come = buffer.filled().len() - before;
                waiting.missing = waiting.missing.saturating_sub(come);
                if waiting.missing == 0 {
                    this.waiting = None;
                }
                Poll::Ready(read)
            }
            Poll::Pending => {
                ready!(waiting.end.as_mut().poll(context));
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().io {
            Io::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Io::Tls(stream) => Pin::new(stream.as_mut()).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().io {
            Io::Plain(stream) => Pin::new(stream).poll_flush(context),
            Io::Tls(stream) => Pin::new(stream.as_mut()).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().io {
            Io::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Io::Tls(stream) => Pin::new(stream.as_mut()).poll_shutdown(context),
        }
    }
}
