//! Backups of PostgreSQL: the schema by `pg_dump`, the rows by COPY, both of one snapshot.

mod catalog;
pub(crate) mod create;
mod ddl;
mod dump;
pub(crate) mod programs;
mod read;
pub(crate) mod restore;
mod rows;
mod snapshot;
#[cfg(test)]
mod tests;

/// Condition on `pg_namespace n` for schemas that a backup holds. `switchback` belongs to a
/// migration and not to the data.
const SCHEMAS: &str =
    "n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'switchback')";

/// How far reading or loading is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Progress<'a> {
    pub(crate) schema: &'a str,
    pub(crate) table: &'a str,
    /// Rows and bytes of this table so far.
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
    pub(crate) done: bool,
}

/// Called after each piece of work.
pub(crate) type OnProgress<'a> = &'a (dyn Fn(Progress<'_>) + Send + Sync);
