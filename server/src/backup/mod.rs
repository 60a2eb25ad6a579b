//! Backups of the active engine, and their restoration: docs/backup-format.md says what is stored.

mod begin;
pub(crate) mod chunk;
mod create;
mod finish;
pub(crate) mod id;
pub(crate) mod index;
pub(crate) mod key;
mod known;
pub(crate) mod manifest;
mod marks;
pub(crate) mod names;
pub(crate) mod postgres;
pub(crate) mod repository;
mod restore;
pub(crate) mod retention;
mod schedule;
mod seal;
mod service;
mod sqlite;
pub(crate) mod sweep;
#[cfg(test)]
mod tests;
pub(crate) mod verify;
pub(crate) mod writer;

pub(crate) use create::Creation;
use create::name_of;
pub(crate) use id::new_id;
pub(crate) use repository::Repository;
pub use schedule::Schedule;
pub use service::Backups;
use service::finding_of;
