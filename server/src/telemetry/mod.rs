//! What the server tells about itself: its log, metrics by OTLP and for Prometheus, and traces.

mod export;
pub mod log;
pub mod metrics;
mod names;
mod prometheus;
pub mod scrape;
pub(crate) mod spans;
pub mod traces;
