//! Backups of the active engine, and their restoration: docs/backup-format.md says what is stored.

mod begin;
pub(crate) mod chunk;
mod finish;
pub(crate) mod id;
pub(crate) mod index;
pub(crate) mod key;
mod known;
pub(crate) mod manifest;
mod marks;
mod names;
pub(crate) mod repository;
pub(crate) mod retention;
mod seal;
pub(crate) mod sweep;
#[cfg(test)]
mod tests;
pub(crate) mod verify;
pub(crate) mod writer;
