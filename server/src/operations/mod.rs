//! Operations: long-running requests that outlive their streams and the server's process.

mod ending;
mod events;
mod places;
mod registry;
mod request;
#[cfg(test)]
mod tests;
mod turn;
mod watch;

pub use ending::{Outcome, Report, is_last};
pub use events::{Event, EventLog};
pub use registry::{Driver, Operations, Run};
pub use request::Request;
