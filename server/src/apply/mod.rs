//! Catch-up: what the source's change log names is carried over as one batch.
//!
//! A batch is read from one snapshot of the source: the keys that changed, then the current row of
//! each. In the target, in one transaction, all these keys are deleted and the current rows are
//! inserted, so that a batch can be applied again and its order inside does not matter.

mod batch;
pub(crate) mod reverse;
mod spool;
mod tables;
mod write;

pub(crate) use batch::{Batch, Extent, read};
pub(crate) use tables::{FollowedTable, followed};
pub(crate) use write::write;
