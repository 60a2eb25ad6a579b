//! What Switchback puts into the source file: change capture, whose triggers write down the key of
//! every row that changes, and the fence.

pub mod fence;
pub mod log;
