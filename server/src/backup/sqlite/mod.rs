//! The pages of a SQLite file, read beside writers, and a file made of them again.

mod pages;
mod read;
mod restore;

pub(crate) use read::read;
pub(crate) use restore::{publish, refuse_present, restore};
