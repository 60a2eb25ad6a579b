//! The log: events of `tracing` on standard error, as text or as JSON.

use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

use crate::config::LogFormat;

/// Starts logging. A broken filter falls back to `info` and says so.
pub fn start(filter: &str, format: LogFormat) {
    let (parsed, problem) = match EnvFilter::try_new(filter) {
        Ok(parsed) => (parsed, None),
        Err(error) => (EnvFilter::new("info"), Some(error)),
    };
    let registry = tracing_subscriber::registry().with(parsed);
    let layer = fmt::layer().with_writer(std::io::stderr).with_target(false);
    match format {
        LogFormat::Text => registry.with(layer).init(),
        LogFormat::Json => {
            registry.with(layer.json().flatten_event(true).with_span_list(false)).init()
        }
    }
    if let Some(error) = problem {
        tracing::warn!(%error, "SWITCHBACK_LOG is no filter, using info");
    }
}
