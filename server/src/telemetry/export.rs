//! The way to the collector: nobody waits for it, and the log is not flooded while it is away.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use opentelemetry_otlp::MetricExporter;
use opentelemetry_sdk::{
    error::{OTelSdkError, OTelSdkResult},
    metrics::{Temporality, data::ResourceMetrics, exporter::PushMetricExporter},
};
use tokio_util::sync::CancellationToken;

/// Between two warnings.
const QUIET: Duration = Duration::from_secs(60);

/// Sends metrics, and says in the log where that fails: the SDK's own log is compiled out, because
/// it says so at every export.
pub(super) struct Exporter {
    inner: MetricExporter,
    /// The server ends: nothing may wait on its runtime any more.
    over: CancellationToken,
    told: Mutex<Told>,
}

impl Exporter {
    pub(super) fn new(inner: MetricExporter, over: CancellationToken) -> Self {
        Self { inner, over, told: Mutex::default() }
    }
}

impl PushMetricExporter for Exporter {
    async fn export(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
        let sent = tokio::select! {
            // In this order: a timer of a runtime that has ended must not be looked at.
            biased;
            () = self.over.cancelled() => return Err(OTelSdkError::AlreadyShutdown),
            sent = self.inner.export(metrics) => sent,
        };
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        match (told.next(Instant::now(), sent.is_ok()), &sent) {
            (Some(Say::Fails), Err(error)) => {
                tracing::warn!(%error, "metrics cannot be sent to the collector");
            }
            (Some(Say::Works), _) => tracing::info!("metrics are sent to the collector again"),
            _ => {}
        }
        sent
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
