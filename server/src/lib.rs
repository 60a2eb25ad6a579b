//! Switchback: moves a SQLite database to PostgreSQL and proves that every value arrived.
//!
//! The folders are the architecture: `dialect` and `migration::phase` decide and touch nothing,
//! the others act.

pub mod access;
pub mod app;
mod apply;
pub mod backup;
pub mod capture;
pub mod census;
pub mod clock;
pub mod config;
pub mod copy;
pub mod db;
mod diagnose;
pub mod dialect;
pub mod error;
mod failpoint;
pub mod listener;
pub mod migration;
pub mod object_store;
pub mod operations;
pub mod rpc;
pub mod shutdown;
mod stopping;
mod task;
pub mod telemetry;
pub mod validate;
