//! Operations: long-running requests that outlive their streams and the server's process.

mod events;
mod registry;
mod request;
#[cfg(test)]
mod tests;
mod watch;

pub use events::{Event, EventLog};
pub use registry::{Driver, Operations, Outcome, Report, Run};
pub use request::Request;
