//! Who calls and what they may do: roles, hashed tokens, and the audit log.

pub mod audit;
mod caller;
mod reload;
mod role;
pub mod token;
mod tokens;

pub use caller::{Caller, Peer};
pub(crate) use reload::{Reload, others_may_read, others_may_write};
pub use role::Role;
pub use tokens::Tokens;
