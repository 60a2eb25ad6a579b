//! Backups of the active engine, and their restoration: docs/backup-format.md says what is stored.

pub(crate) mod chunk;
mod create;
pub(crate) mod manifest;
mod restore;
mod schedule;
mod service;
mod sqlite;

pub(crate) use create::Creation;
pub use schedule::Schedule;
pub use service::Backups;
use service::finding_of;
