//! The gRPC interface: thin adapters over operations and databases.

mod call;
mod check;
mod database_service;
mod gate;
mod health;
mod operation_service;
mod roles;
mod serve;
mod status;
mod stopping;
mod traced;
mod watchers;

pub use database_service::Databases;
pub use health::{DATABASE_SERVICE, HealthBoard, OPERATION_SERVICE};
pub use operation_service::OperationRpc;
pub use serve::{Door, Services, serve};
pub use status::status_of;
pub use watchers::Watchers;

/// A plan of a thousand wide tables is a few megabytes; nothing that a caller sends is larger.
pub const MAX_MESSAGE_BYTES: usize = 64 * 1024 * 1024;
