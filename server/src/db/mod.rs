//! Connections to both engines, and the control database.

pub mod control;
pub(crate) mod field_array;
pub mod lag;
pub mod postgres;
mod set;
mod shown;
pub mod source;
mod sqlite;
mod sqlstate;
pub mod standing;
pub mod target;
mod tls;
pub(crate) mod versions;
mod way_back;

pub use set::{Database, DatabaseSet, Known, PoolNow};
