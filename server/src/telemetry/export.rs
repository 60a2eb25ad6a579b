//! The way to the collector: nobody waits for it, and the log is not flooded while it is away.

use std::{
    fmt,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    thread,
    time::{Duration, Instant},
};

use opentelemetry::KeyValue;
use opentelemetry_otlp::{
    MetricExporter, RetryPolicy, SpanExporter, WithExportConfig, WithTonicConfig,
    tonic_types::transport::ClientTlsConfig,
};
use opentelemetry_sdk::{
    Resource,
    error::{OTelSdkError, OTelSdkResult},
    metrics::{Temporality, data::ResourceMetrics, exporter::PushMetricExporter},
    resource::{EnvResourceDetector, TelemetryResourceDetector},
    trace::{SpanData, SpanExporter as ExportSpans},
};
use tokio::{sync::oneshot, time::timeout};
use tokio_util::sync::CancellationToken;

use crate::config::Otlp;

/// How long a stop waits for the collector to take the last of it: a network's round trips, and
/// less than an orchestrator's patience.
const FLUSH: Duration = Duration::from_secs(2);

/// Between two warnings.
const QUIET: Duration = Duration::from_secs(60);

/// Sends, and says in the log where that fails: the SDK's own log is compiled out, because it says
/// so at every export.
struct Way {
    /// What is sent, for the log.
    what: &'static str,
    /// The server ends: nothing may wait on its runtime any more.
    over: CancellationToken,
    told: Mutex<Told>,
}

impl Way {
    fn new(what: &'static str, over: CancellationToken) -> Self {
        Self { what, over, told: Mutex::default() }
    }

    async fn send(&self, export: impl Future<Output = OTelSdkResult>) -> OTelSdkResult {
        let sent = tokio::select! {
            // In this order: a timer of a runtime that has ended must not be looked at.
            biased;
            () = self.over.cancelled() => return Err(OTelSdkError::AlreadyShutdown),
            sent = export => sent,
        };
        let what = self.what;
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        match (told.next(Instant::now(), sent.is_ok()), &sent) {
            (Some(Say::Fails), Err(error)) => {
                tracing::warn!(%error, "{what} cannot be sent to the collector");
            }
            (Some(Say::Works), _) => tracing::info!("{what} are sent to the collector again"),
            _ => {}
        }
        sent
    }
}

/// Sends metrics.
pub(super) struct Metrics {
    inner: MetricExporter,
    way: Way,
}

impl Metrics {
    pub(super) fn new(inner: MetricExporter, over: CancellationToken) -> Self {
        Self { inner, way: Way::new("metrics", over) }
    }
}

impl PushMetricExporter for Metrics {
    async fn export(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
        self.way.send(self.inner.export(metrics)).await
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn temporality(&self) -> Temporality {
        self.inner.temporality()
    }
}

/// Sends spans, once it is known to where. They are recorded from the start of the process, and
/// the connection needs the runtime.
pub(super) struct Spans {
    inner: Arc<OnceLock<SpanExporter>>,
    way: Way,
}

impl fmt::Debug for Spans {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spans")
            .field("is_open", &self.inner.get().is_some())
            .finish_non_exhaustive()
    }
}

impl Spans {
    pub(super) fn new(inner: Arc<OnceLock<SpanExporter>>, over: CancellationToken) -> Self {
        Self { inner, way: Way::new("spans", over) }
    }
}

impl ExportSpans for Spans {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let Some(inner) = self.inner.get() else { return Err(OTelSdkError::AlreadyShutdown) };
        self.way.send(inner.export(batch)).await
    }
}

/// An exporter's builder that goes to the collector.
pub(super) fn towards<B: WithExportConfig + WithTonicConfig>(builder: B, otlp: &Otlp) -> B {
    let builder = builder
        .with_endpoint(otlp.endpoint.expose())
        .with_timeout(otlp.timeout)
        // A stop need not wait for more tries, and the next metrics are newer.
        .with_retry_policy(RetryPolicy::disabled());
    if !otlp.is_encrypted() {
        return builder;
    }
    builder.with_tls_config(ClientTlsConfig::new().with_native_roots().timeout(otlp.timeout))
}

/// Who sends. Servers on one pair tell the same names apart by their instance.
pub(super) fn resource(service_name: Option<&str>, server_id: &str) -> Resource {
    let ours = [
        KeyValue::new("service.name", "switchbackd"),
        KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
        KeyValue::new("service.instance.id", server_id.to_owned()),
    ];
    let resource = Resource::builder_empty()
        .with_attributes(ours)
        .with_detector(Box::new(TelemetryResourceDetector))
        .with_detector(Box::new(EnvResourceDetector::new()));
    match service_name {
        Some(name) => resource.with_service_name(name.to_owned()).build(),
        None => resource.build(),
    }
}

/// Does what waits for the collector on a thread of its own, as the runtime would wait for one of
/// its blocking threads; not for longer than [`FLUSH`].
pub(super) async fn flush(what: &'static str, shutdown: impl FnOnce() + Send + 'static) {
    let (done, flushed) = oneshot::channel();
    thread::spawn(move || {
        shutdown();
        let _ = done.send(());
    });
    if timeout(FLUSH, flushed).await.is_err() {
        tracing::warn!("the collector did not take the last {what} in time");
    }
}

/// What was said last.
#[derive(Debug, Default)]
struct Told {
    warned: Option<Instant>,
    /// A warning stands that nothing has taken back.
    stands: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum Say {
    Fails,
    Works,
}

impl Told {
    /// What is to be said after an export. Each warning is taken back once at most, so both are
    /// bounded.
    fn next(&mut self, now: Instant, sent: bool) -> Option<Say> {
        if sent {
            return std::mem::take(&mut self.stands).then_some(Say::Works);
        }
        let is_due = self.warned.is_none_or(|at| now.duration_since(at) >= QUIET);
        is_due.then(|| {
            *self = Self { warned: Some(now), stands: true };
            Say::Fails
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_told_once_a_minute_and_taken_back_once() {
        let zero = Instant::now();
        let mut told = Told::default();
        let mut said = |seconds, sent| told.next(zero + Duration::from_secs(seconds), sent);
        assert_eq!(said(0, true), None);
        assert_eq!(said(1, false), Some(Say::Fails));
        assert_eq!(said(2, false), None);
        assert_eq!(said(3, true), Some(Say::Works));
        // One that comes and goes.
        assert_eq!(said(4, false), None);
        assert_eq!(said(5, true), None);
        assert_eq!(said(60, false), None);
        assert_eq!(said(61, false), Some(Say::Fails));
        assert_eq!(said(62, true), Some(Say::Works));
        assert_eq!(said(63, true), None);
    }
}
