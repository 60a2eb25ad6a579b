//! Connections to both engines.

pub mod source;
