//! A live application and its oracle: writers that know nothing of Switchback, journals of what
//! the engines acknowledged to them, and a judge of whether an engine holds exactly that.
//!
//! Every writer owns its keys, so its journal alone says which of its rows there must be: the
//! oracle can be asked at every switch, not only at the end.

pub mod cell;
pub mod choose;
pub mod engine;
pub mod journal;
pub mod model;
pub mod op;
pub mod oracle;
pub mod postgres;
pub mod report;
pub mod run;
pub mod schema;
pub mod sqlite;
pub mod statement;
pub mod writers;

pub use report::Report;
pub use schema::{Start, schema, schema_in_postgres};
pub use writers::{Launch, Load, Writers};
