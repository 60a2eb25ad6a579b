//! What Switchback puts into the engines while it migrates.

pub mod fence;
