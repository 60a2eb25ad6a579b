//! The full scan of the source that a plan rests on.

pub mod check;
pub mod fit;
pub mod orphans;
pub mod scan;
pub mod schema;
