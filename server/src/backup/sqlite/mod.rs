//! The pages of a SQLite file, read beside writers, and a file made of them again.

mod pages;
mod read;
mod restore;
#[cfg(test)]
mod tests;

pub(crate) use read::{PagesRead, read};
pub(crate) use restore::{publish, refuse_present, restore};
