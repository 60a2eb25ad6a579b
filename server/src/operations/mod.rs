//! Operations: long-running requests that outlive their streams and the server's process.

mod events;
mod registry;
mod watch;

pub use events::{Event, EventLog};
pub use registry::{Driver, Operations, Outcome, Report, Request, Run};
