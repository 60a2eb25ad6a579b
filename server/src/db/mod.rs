//! Connections to both engines, and the control database.

pub mod control;
pub mod postgres;
mod set;
pub mod source;
mod sqlite;
mod sqlstate;
pub mod target;
mod tls;

pub use set::{Database, DatabaseSet};
