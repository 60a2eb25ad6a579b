//! Rows, both ways of looking at them: copied into a real PostgreSQL, and compared with it.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "../cluster/mod.rs"]
mod cluster;
mod copy;
mod live_drain;
mod live_validation;
mod support;
mod validate;
