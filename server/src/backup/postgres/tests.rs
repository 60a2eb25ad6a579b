//! Backups of a real PostgreSQL, and what is restored from them.

#[path = "../../../tests/cluster/mod.rs"]
mod cluster;

mod chunks;
mod nasty;
mod refused;
mod restoring;
mod selection;
mod support;
mod writers;
