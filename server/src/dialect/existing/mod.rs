//! Into tables that the application has made in PostgreSQL: which table and column is which, and
//! how each value gets there.

mod build;
mod columns;
mod definitions;
mod draft;
pub mod facts;
mod keys;
mod matching;
mod review;
mod stricter;
pub mod target;
pub mod types;

pub use self::{
    build::{Found, build},
    draft::{Draft, DraftTable, Pair, draft},
    keys::{Collision, Unique, foreign_keys, uniques},
    review::{adopt, reviewed},
};

#[cfg(test)]
mod tests;
