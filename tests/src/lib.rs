//! The test harness: private PostgreSQL clusters, the real binaries, real and nasty SQLite files,
//! a checker of fidelity that shares no code with the server, and a live workload with its oracle.

pub mod application;
pub mod bench;
pub mod binaries;
pub mod browser;
pub mod certificates;
pub mod checker;
pub mod cli;
pub mod cluster;
pub mod content;
pub mod corpus;
pub mod dumps;
pub mod faults;
pub mod fixtures;
mod installed;
pub mod node;
pub mod programs;
pub mod python;
pub mod rig;
pub mod server;
pub mod small_disk;
pub mod store;
pub mod texts;
pub mod tokens;
pub mod workload;

/// Longest wait for anything that a scenario waits for; a loaded machine with two cores needs a
/// fraction of it, a hang is cut off.
pub const DEADLINE: std::time::Duration = std::time::Duration::from_secs(120);
