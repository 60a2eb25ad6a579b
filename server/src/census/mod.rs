//! The full scan of the source that a plan rests on.

pub mod orphans;
pub mod scan;
pub mod schema;
