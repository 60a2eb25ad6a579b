//! A schema that the application has made in PostgreSQL itself: its types decide.

pub mod types;
