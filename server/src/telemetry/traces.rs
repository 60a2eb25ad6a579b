//! Traces by OTLP: spans of `tracing` that belong to this server, joined to those of its callers.
//!
//! Every span gets its ids, also where nothing is sent: the log tells them.

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use opentelemetry::{
    Context, SpanId, TraceId,
    propagation::{Extractor, TextMapPropagator},
    trace::{TraceContextExt, TracerProvider},
};
use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::{
    propagation::TraceContextPropagator,
    trace::{SdkTracerProvider, SpanExporter as _},
};
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::codegen::http::HeaderMap;
use tracing::Metadata;
use tracing_subscriber::{Layer, Registry, filter::filter_fn};

use super::{
    export::{Spans, flush, resource, towards},
    names::{self, SCOPE},
};
use crate::{
    config::{Config, Otlp},
    error::{Error, Reason, Result},
};

/// Spans that are being recorded.
pub struct Traces {
    provider: SdkTracerProvider,
    /// Empty until it is known to where they go.
    exporter: Arc<OnceLock<SpanExporter>>,
    /// Where they are to go; `None` where they are not sent.
    otlp: Option<Otlp>,
    service_name: Option<String>,
    _over: DropGuard,
}

impl fmt::Debug for Traces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Traces").field("otlp", &self.otlp).finish_non_exhaustive()
    }
}

impl Traces {
    /// Begins to record. The SDK reads `OTEL_TRACES_SAMPLER` and `OTEL_BSP_*` itself.
    pub(super) fn new(config: &Config) -> Self {
        let over = CancellationToken::new();
        let exporter = Arc::default();
        let mut provider = SdkTracerProvider::builder();
        if config.traces.is_some() {
            provider =
                provider.with_batch_exporter(Spans::new(Arc::clone(&exporter), over.clone()));
        }
        Self {
            provider: provider.build(),
            exporter,
            otlp: config.traces.clone(),
            service_name: config.service_name.clone(),
            _over: over.drop_guard(),
        }
    }

    /// The layer that makes spans of those of `tracing`. Events are not a part of them: the log
    /// has those.
    pub(super) fn layer(&self) -> impl Layer<Registry> + Send + Sync + use<> {
        tracing_opentelemetry::layer()
            .with_location(false)
            .with_threads(false)
            .with_tracked_inactivity(false)
            .with_target(false)
            .with_tracer(self.provider.tracer(SCOPE))
            .with_filter(filter_fn(is_ours))
    }

    /// Begins to send, where that is configured. Must be called on the runtime, which carries the
    /// connection.
    pub fn send(&self, server_id: &str) -> Result<()> {
        let Some(otlp) = &self.otlp else { return Ok(()) };
        let exporter = towards(SpanExporter::builder().with_tonic(), otlp).build();
        let mut exporter = exporter.map_err(|error| {
            Error::new(Reason::InvalidRequest, format!("spans cannot be sent: {error}"))
                .hint("see the OTEL_EXPORTER_OTLP_* variables; without an endpoint nothing is sent")
        })?;
        exporter.set_resource(&resource(self.service_name.as_deref(), server_id));
        // It is called once.
        let _ = self.exporter.set(exporter);
        tracing::info!(collector = otlp.shown(), interval = ?otlp.interval, "spans are sent");
        Ok(())
    }

    /// Sends the last spans, unless the collector takes too long.
    pub async fn stop(self) {
        if self.otlp.is_some() {
            let provider = self.provider.clone();
            // The exporter has told what failed.
            flush("spans", move || drop(provider.shutdown())).await;
        }
    }
}

/// Spans of the server's own: libraries have some too, the exporter's connection among them.
fn is_ours(metadata: &Metadata<'_>) -> bool {
    let target = metadata.target();
    metadata.is_span() && (target == names::TRACE || target.starts_with("switchback_server"))
}

/// The ids of the span that the thread is in, as W3C writes them.
pub(super) fn current() -> Option<(TraceId, SpanId)> {
    let context = Context::current();
    let span = context.span();
    let span = span.span_context();
    span.is_valid().then(|| (span.trace_id(), span.span_id()))
}

/// What the headers `traceparent` and `tracestate` of a call say; where they say nothing sound, a
/// context without a span.
pub(super) fn caller(headers: &HeaderMap) -> Context {
    TraceContextPropagator::new().extract_with_context(&Context::new(), &Headers(headers))
}

struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).and_then(|value| value.to_str().ok())
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(|key| key.as_str()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_is_joined_where_its_header_is_sound() {
        let joined = |traceparent: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("traceparent", traceparent.parse().unwrap());
            let context = caller(&headers);
            let span = context.span().span_context().clone();
            span.is_valid().then(|| (span.trace_id().to_string(), span.is_sampled()))
        };
        let trace = "0af7651916cd43dd8448eb211c80319c";
        let sound = |flags| joined(&format!("00-{trace}-b7ad6b7169203331-{flags}"));
        assert_eq!(sound("01"), Some((trace.to_owned(), true)));
        assert_eq!(sound("00"), Some((trace.to_owned(), false)));
        for wrong in [
            "",
            "nonsense",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
        ] {
            assert_eq!(joined(wrong), None, "{wrong}");
        }
    }
}
