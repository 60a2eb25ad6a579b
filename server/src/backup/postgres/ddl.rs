//! Tables as statements, from what the manifest says of them: where there is no dump, or only
//! some tables are wanted.

use std::{collections::BTreeSet, fmt::Write as _};

use crate::{
    backup::manifest::{
        PostgresContent, SequenceOwner, StoredColumn, StoredSequence, StoredTable, TableName,
    },
    dialect::ident::{literal, qualified, quote},
};

/// What of a backup is to be restored.
#[derive(Debug, Clone)]
pub(super) struct Selection<'a> {
    pub(super) tables: Vec<&'a StoredTable>,
    pub(super) sequences: Vec<&'a StoredSequence>,
}

impl<'a> Selection<'a> {
    /// Everything, or the named tables with the sequences that they use; or the first name that
    /// the backup does not hold.
    pub(super) fn new<'n>(
        content: &'a PostgresContent,
        names: Option<&'n [TableName]>,
    ) -> Result<Self, &'n TableName> {
        let Some(names) = names else {
            let tables = content.tables.iter().collect();
            return Ok(Self { tables, sequences: content.sequences.iter().collect() });
        };
        let find = |name: &'n TableName| {
            content.tables.iter().find(|table| table.table_name() == *name).ok_or(name)
        };
        let wanted: BTreeSet<&TableName> = names.iter().collect();
        let tables: Vec<&StoredTable> = wanted.into_iter().map(find).collect::<Result<_, _>>()?;
        let used = |sequence: &&StoredSequence| {
            let owned = sequence.owner.as_ref().is_some_and(|owner| holds(&tables, &owner.table));
            // One too many does no harm, one too few does.
            let mentioned = |column: &StoredColumn| column.default.contains(&sequence.name);
            owned || tables.iter().any(|table| table.columns.iter().any(mentioned))
        };
        let sequences = content.sequences.iter().filter(used).collect();
        Ok(Self { tables, sequences })
    }

    pub(super) fn holds(&self, name: &TableName) -> bool {
        holds(&self.tables, name)
    }

    /// Schemas, sequences and tables, without keys.
    pub(super) fn before_rows(&self) -> Vec<String> {
        let schemas: BTreeSet<&str> = self
            .tables
            .iter()
            .map(|table| table.schema.as_str())
            .chain(self.sequences.iter().map(|sequence| sequence.schema.as_str()))
            .collect();
        let schemas = schemas.into_iter();
        let mut all: Vec<String> = schemas
            .map(|schema| format!("CREATE SCHEMA IF NOT EXISTS {}", quote(schema)))
            .collect();
        let free = self.sequences.iter().filter(|sequence| !self.makes_identity(sequence));
        all.extend(free.map(|sequence| {
            let name = qualified(&sequence.schema, &sequence.name);
            format!("CREATE SEQUENCE {name} AS {} {}", sequence.data_type, options(sequence))
        }));
        all.extend(self.tables.iter().map(|table| self.create_table(table)));
        all
    }

    /// Partitions and children to their parents, before those get constraints, which go down to
    /// them then; and sequences to their columns.
    pub(super) fn bindings(&self) -> Vec<String> {
        let mut all = Vec::new();
        for table in &self.tables {
            let name = qualified(&table.schema, &table.name);
            for parent in table.parents.iter().filter(|parent| self.holds(parent)) {
                let parent = qualified(&parent.schema, &parent.name);
                all.push(if table.bound.is_empty() {
                    format!("ALTER TABLE {name} INHERIT {parent}")
                } else {
                    format!("ALTER TABLE {parent} ATTACH PARTITION {name} {}", table.bound)
                });
            }
        }
        for sequence in self.sequences.iter().filter(|sequence| !self.makes_identity(sequence)) {
            let owner = sequence.owner.as_ref().filter(|owner| self.holds(&owner.table));
            let Some(SequenceOwner { table, column, .. }) = owner else { continue };
            let name = qualified(&sequence.schema, &sequence.name);
            let table = qualified(&table.schema, &table.name);
            all.push(format!("ALTER SEQUENCE {name} OWNED BY {table}.{}", quote(column)));
        }
        all
    }

    /// Keys, checks and indexes of every table.
    pub(super) fn keys(&self) -> Vec<&'a str> {
        let constraints = |table: &'a StoredTable| {
            table.constraints.iter().filter(|sql| !is_foreign_key(table, sql))
        };
        let mut all: Vec<&str> =
            self.tables.iter().flat_map(|table| constraints(table)).map(String::as_str).collect();
        all.extend(self.tables.iter().flat_map(|table| &table.indexes).map(String::as_str));
        all
    }

    /// Foreign keys, with their tables.
    pub(super) fn foreign_keys(&self) -> Vec<(&'a StoredTable, &'a str)> {
        let of = |table: &'a StoredTable| {
            let foreign = table.constraints.iter().filter(|sql| is_foreign_key(table, sql));
            foreign.map(move |sql| (table, sql.as_str()))
        };
        self.tables.iter().flat_map(|table| of(table)).collect()
    }

    /// Puts the sequences where they were.
    pub(super) fn positions(&self) -> Vec<String> {
        let set = |sequence: &&StoredSequence| {
            let name = literal(&qualified(&sequence.schema, &sequence.name));
            let (last, called) = (sequence.last_value, sequence.is_called);
            format!("SELECT setval({name}::regclass, {last}, {called})")
        };
        self.sequences.iter().map(set).collect()
    }

    fn create_table(&self, table: &StoredTable) -> String {
        let columns: Vec<String> =
            table.columns.iter().map(|column| self.column(table, column)).collect();
        let name = qualified(&table.schema, &table.name);
        let mut sql = format!("CREATE TABLE {name} ({})", columns.join(", "));
        if !table.partition_by.is_empty() {
            let _ = write!(sql, " PARTITION BY {}", table.partition_by);
        }
        sql
    }

    fn column(&self, table: &StoredTable, column: &StoredColumn) -> String {
        let mut sql = format!("{} {}", quote(&column.name), column.r#type);
        if column.not_null {
            sql.push_str(" NOT NULL");
        }
        if !column.generated.is_empty() {
            let _ = write!(sql, " GENERATED ALWAYS AS ({}) STORED", column.generated);
        } else if !column.default.is_empty() {
            let _ = write!(sql, " DEFAULT {}", column.default);
        } else if let Some(sequence) = self.identity(table, column) {
            let when = if column.identity == "a" { "ALWAYS" } else { "BY DEFAULT" };
            let name = qualified(&sequence.schema, &sequence.name);
            let options = options(sequence);
            let _ = write!(sql, " GENERATED {when} AS IDENTITY (SEQUENCE NAME {name} {options})");
        }
        sql
    }

    /// The sequence of an identity column; a partition has that of its parent.
    fn identity(&self, table: &StoredTable, column: &StoredColumn) -> Option<&'a StoredSequence> {
        if column.identity.is_empty() {
            return None;
        }
        let name = table.table_name();
        self.sequences.iter().copied().find(|sequence| {
            sequence.owner.as_ref().is_some_and(|owner| {
                owner.identity && owner.table == name && owner.column == column.name
            })
        })
    }

    fn makes_identity(&self, sequence: &StoredSequence) -> bool {
        let owner = sequence.owner.as_ref();
        owner.is_some_and(|owner| owner.identity && self.holds(&owner.table))
    }
}

fn holds(tables: &[&StoredTable], name: &TableName) -> bool {
    tables.iter().any(|table| table.schema == name.schema && table.name == name.name)
}

fn options(sequence: &StoredSequence) -> String {
    let cycle = if sequence.cycle { "CYCLE" } else { "NO CYCLE" };
    format!(
        "START WITH {} INCREMENT BY {} MINVALUE {} MAXVALUE {} {cycle}",
        sequence.start, sequence.increment, sequence.minimum, sequence.maximum
    )
}

/// Whether a constraint that the catalog part wrote is a foreign key: behind its name comes what
/// it is.
fn is_foreign_key(table: &StoredTable, constraint: &str) -> bool {
    let name = qualified(&table.schema, &table.name);
    let rest = constraint.strip_prefix(&format!("ALTER TABLE {name} ADD CONSTRAINT \""));
    let Some(mut rest) = rest else { return false };
    while let Some((_, behind)) = rest.split_once('"') {
        match behind.strip_prefix('"') {
            Some(doubled) => rest = doubled,
            None => return behind.starts_with(" FOREIGN KEY "),
        }
    }
    false
}

#[cfg(test)]
mod tests;
