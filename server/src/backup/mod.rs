//! Backups of the active engine, and their restoration: docs/backup-format.md says what is stored.

pub(crate) mod chunk;
pub(crate) mod index;
pub(crate) mod manifest;
pub(crate) mod postgres;
