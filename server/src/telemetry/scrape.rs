//! The listener that Prometheus scrapes: `GET /metrics`, in plaintext, of whoever reaches it.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Weak},
    time::Duration,
};

use hyper::{
    Method, Request, Response, StatusCode, body::Incoming, header, server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use opentelemetry_sdk::{
    error::OTelSdkResult,
    metrics::{
        InstrumentKind, ManualReader, Pipeline, Temporality, data::ResourceMetrics,
        reader::MetricReader,
    },
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::prometheus;
use crate::error::{Error, Reason, Result};

/// Scrapes at once: a few servers of Prometheus, and a person.
const MOST: usize = 16;

/// For a whole connection, which carries one scrape: Prometheus waits for 10 seconds.
const PATIENCE: Duration = Duration::from_secs(10);

/// Bytes of a request: it is its headers.
const LARGEST: usize = 16 * 1024;

/// Before the next try where the system gives no connection: it may have no files left.
const PAUSE: Duration = Duration::from_millis(100);

/// What a scrape collects through; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Reader(Arc<ManualReader>);

impl From<ManualReader> for Reader {
    fn from(reader: ManualReader) -> Self {
        Self(Arc::new(reader))
    }
}

impl MetricReader for Reader {
    fn register_pipeline(&self, pipeline: Weak<Pipeline>) {
        self.0.register_pipeline(pipeline);
    }

    fn collect(&self, metrics: &mut ResourceMetrics) -> OTelSdkResult {
        self.0.collect(metrics)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.0.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.0.shutdown_with_timeout(timeout)
    }

    fn temporality(&self, kind: InstrumentKind) -> Temporality {
        self.0.temporality(kind)
    }
}

/// A listener that is bound, before there is anything to scrape.
#[derive(Debug)]
pub struct Scrape {
    listener: TcpListener,
    reader: Reader,
}

impl Scrape {
    /// Binds the address.
    pub async fn bind(address: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind(address).await.map_err(|error| {
            let message = format!("cannot listen on {address} for metrics: {error}");
            Error::new(Reason::InvalidRequest, message).hint(
                "another server may be running there: set SWITCHBACK_METRICS_LISTEN to another \
                 address",
            )
        })?;
        tracing::info!(%address, "metrics can be scraped");
        Ok(Self { listener, reader: Reader::default() })
    }

    /// What the metrics are collected through.
    pub fn reader(&self) -> Reader {
        self.reader.clone()
    }

    /// Serves until `stop`.
    pub async fn serve(self, stop: CancellationToken) {
        let Self { listener, reader } = self;
        let places = Arc::new(Semaphore::new(MOST));
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            let Ok((stream, _)) = accepted else {
                sleep(PAUSE).await;
                continue;
            };
            // Whoever finds no place tries again: the connection is closed.
            let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
            let reader = reader.clone();
            tokio::spawn(async move {
                // Who is gone, or too slow, is no news.
                let _ = timeout(PATIENCE, answer(stream, reader)).await;
                drop(place);
            });
        }
    }
}

async fn answer(stream: TcpStream, reader: Reader) -> hyper::Result<()> {
    let scraped = service_fn(move |request: Request<Incoming>| {
        let response = response(&request, &reader);
        async move { Ok::<_, Infallible>(response) }
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .max_buf_size(LARGEST)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), scraped)
        .await
}

fn response(request: &Request<Incoming>, reader: &Reader) -> Response<String> {
    let (status, kind, body) = match (request.uri().path(), request.method()) {
        ("/metrics", &Method::GET | &Method::HEAD) => {
            let mut metrics = ResourceMetrics::default();
            match reader.collect(&mut metrics) {
                Ok(()) => (StatusCode::OK, prometheus::CONTENT_TYPE, prometheus::text(&metrics)),
                Err(_) => plain(StatusCode::SERVICE_UNAVAILABLE, "the server stops\n"),
            }
        }
        ("/metrics", _) => plain(StatusCode::METHOD_NOT_ALLOWED, "only GET\n"),
        _ => plain(StatusCode::NOT_FOUND, "metrics are at /metrics\n"),
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let kind = header::HeaderValue::from_static(kind);
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

fn plain(status: StatusCode, text: &str) -> (StatusCode, &'static str, String) {
    (status, "text/plain; charset=utf-8", text.to_owned())
}
