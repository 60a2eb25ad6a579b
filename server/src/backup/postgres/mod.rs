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

use super::manifest::StoredTable;

/// Condition on `pg_namespace n` for schemas that a backup holds. `switchback` belongs to a
/// migration and not to the data.
const SCHEMAS: &str =
    "n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'switchback')";

/// Condition on `pg_class c` for what no extension has made: `CREATE EXTENSION` makes that anew.
const NO_EXTENSION: &str = "NOT EXISTS (SELECT FROM pg_depend e \
    WHERE e.classid = 'pg_class'::regclass AND e.objid = c.oid AND e.deptype = 'e')";

/// What is done with a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Its rows are backed up.
    Read,
    /// Its rows are restored.
    Load,
    /// What was restored is read again and compared.
    Check,
}

/// How far a step of a table is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Progress<'a> {
    pub(crate) step: Step,
    pub(crate) schema: &'a str,
    pub(crate) table: &'a str,
    /// Rows and bytes of this table so far.
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
    pub(crate) done: bool,
}

/// Called after each piece of work.
pub(crate) type OnProgress<'a> = &'a (dyn Fn(Progress<'_>) + Send + Sync);

/// Tells of one step.
#[derive(Clone, Copy)]
struct Watch<'a> {
    step: Step,
    progress: OnProgress<'a>,
}

impl Watch<'_> {
    fn tell(&self, table: &StoredTable, rows: u64, bytes: u64, done: bool) {
        let (schema, table, step) = (&table.schema, &table.name, self.step);
        (self.progress)(Progress { step, schema, table, rows, bytes, done });
    }
}
