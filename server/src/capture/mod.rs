//! Change capture: triggers of ours in the source file write down the key of every row that
//! changes, and what waits in that log is applied to the target.

pub mod log;
