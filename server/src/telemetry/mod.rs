//! What the server tells about itself: its log, and metrics by OTLP.

mod export;
pub mod log;
pub mod metrics;
mod names;
