//! Connections to both engines.

pub mod postgres;
pub mod source;
pub mod target;
mod tls;
