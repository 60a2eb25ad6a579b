//! The way back: what PostgreSQL's change log names is carried over as one batch.
//!
//! As in the other direction all keys are deleted and the current rows inserted, in one transaction
//! of SQLite. What was read leaves PostgreSQL's log in the transaction that read it, which commits
//! after SQLite's: a batch may come twice and is never lost.

mod kept;
mod one_way;
mod read;
mod refused;
mod skipped;
mod write;

use std::sync::Arc;

use switchback_proto::v1::{GuardMode, Plan};

use self::{
    one_way::OneWay,
    skipped::{Parts, Skipped},
};
use super::tables::{FollowedTable, Unnested};
use crate::{
    copy::{
        columns::{self, Column as Carried},
        reader::{changed, exactly},
    },
    dialect::{
        codec::sent_as,
        guard::{Guard, Storage, guard},
        ident,
        reverse::{Captured, KeyColumn},
        schema::{Affinity, Column, SourceSchema, Table},
        sqlite::quote,
    },
    error::{Error, Reason, Result},
};

pub(crate) use kept::{KeptOf, forget, keep};
pub(crate) use read::{Taken, take};
pub(crate) use refused::{LeftRow, Refused, left_row, log_left};
pub(crate) use write::write;

/// A table whose changes are carried back.
pub(crate) struct ReversedTable {
    /// With the columns that are carried back.
    pub(crate) followed: FollowedTable,
    /// How SQLite stores the carried columns.
    storages: Vec<Storage>,
    /// Reads the rows of keys that are given as one array a column, from PostgreSQL.
    select: String,
    select_all: String,
    /// SQLite's statements.
    delete: String,
    delete_all: String,
    insert: String,
    /// Where SQLite has columns that the target has not.
    skipped: Option<Skipped>,
    /// Where something is carried to the target and not back.
    one_way: Option<OneWay>,
    /// The key of a row `t` as PostgreSQL's change log has it. Only with lenient guards, and where
    /// something names a row: the rows that SQLite cannot hold are kept aside by it.
    kept_by: Option<String>,
}

/// The tables of a plan, followed in the other direction.
pub(crate) fn reversed(
    plan: &Plan,
    schema: &SourceSchema,
    followed: Vec<FollowedTable>,
) -> Result<Arc<Vec<ReversedTable>>> {
    let tables = followed.into_iter().map(|followed| {
        let table = schema.tables.iter().find(|table| table.name == followed.plan.source);
        let table = table.ok_or_else(changed)?;
        let forward = followed.columns.clone();
        let followed = carried_back(followed, table)?;
        if let Some(name) = unknown_collation(table) {
            return Err(uncollated(&table.name, name));
        }
        let storage = |carried: &Carried| {
            let rowid = Column { affinity: Affinity::Integer, ..Column::default() };
            let found = table.columns.iter().find(|column| column.name == carried.source);
            let column = found.filter(|_| !carried.ours).unwrap_or(&rowid);
            Storage::of(table, column, schema.encoding)
        };
        let storages = followed.columns.iter().map(storage).collect();
        let carried: Vec<String> =
            followed.columns.iter().map(|column| quote(&column.source)).collect();
        let key: Vec<&str> = followed
            .key
            .iter()
            .flatten()
            .map(|number| followed.columns[*number].source.as_str())
            .collect();
        let name = quote(&table.name);
        let marks: Vec<String> = (1..=carried.len()).map(|number| format!("?{number}")).collect();
        let unnested = Unnested::new(&plan.target_schema, &followed.plan, &followed.columns);
        let skipped = skipped(&followed, table)?;
        let goes_back =
            |column: &Carried| followed.columns.iter().any(|known| known.target == column.target);
        let one_way = (!forward.iter().all(goes_back))
            .then(|| OneWay::new(followed.number, &table.name, &key));
        let lenient = plan.guards() == GuardMode::Lenient;
        Ok(ReversedTable {
            // Values that only SQLite has would go with the row.
            kept_by: kept_by(&followed).filter(|_| lenient && followed.plan.skipped.is_empty()),
            select: unnested.select(followed.key.as_deref().unwrap_or_default()),
            select_all: unnested.select_all(),
            delete: format!("DELETE FROM main.{name} AS s WHERE {}", exactly(&key)),
            delete_all: format!("DELETE FROM main.{name}"),
            // Whatever the constraints of the table say, nothing is skipped or replaced.
            insert: format!(
                "INSERT OR ABORT INTO main.{name} ({}) VALUES ({})",
                carried.join(", "),
                marks.join(", ")
            ),
            storages,
            skipped,
            one_way,
            followed,
        })
    });
    tables.collect::<Result<Vec<_>>>().map(Arc::new)
}

/// The table with the columns that go back.
fn carried_back(followed: FollowedTable, table: &Table) -> Result<FollowedTable> {
    let columns = columns::returned(&followed.plan, table)?;
    let place = |number: &usize| {
        let key = &followed.columns[*number].target;
        columns.iter().position(|column| column.target == *key)
    };
    let key = followed.key.as_ref().and_then(|key| key.iter().map(place).collect());
    Ok(FollowedTable { columns, key, ..followed })
}

/// What keeps the values of columns that are not carried; `None` where all are.
fn skipped(followed: &FollowedTable, table: &Table) -> Result<Option<Skipped>> {
    let is_carried = |name: &str| followed.columns.iter().any(|c| !c.ours && c.source == name);
    let stored = table.columns.iter().filter(|column| column.generated.is_none());
    let skipped: Vec<&str> =
        stored.map(|column| column.name.as_str()).filter(|name| !is_carried(name)).collect();
    if skipped.is_empty() {
        return Ok(None);
    }
    let Some(key) = &followed.key else {
        let message = format!(
            "the table {} has columns that PostgreSQL lacks, and nothing names its rows",
            table.name
        );
        return Err(Error::new(Reason::ReturnRefused, message).hint(
            "what is written on PostgreSQL cannot be carried back to SQLite: finalize when ready",
        ));
    };
    let carried: Vec<&str> = followed.columns.iter().map(|column| column.source.as_str()).collect();
    let parts = Parts { table: &table.name, carried: &carried, key, skipped: &skipped };
    Ok(Some(Skipped::new(parts)))
}

impl ReversedTable {
    /// What reverse capture has to know of the table.
    pub(crate) fn captured<'a>(
        &'a self,
        plan: &'a Plan,
        key: &'a [KeyColumn<'a>],
        guards: &'a [(&'a str, Guard)],
    ) -> Captured<'a> {
        Captured {
            database: &plan.database,
            schema: &plan.target_schema,
            table: &self.followed.plan.target,
            number: self.followed.number,
            key,
            guards,
        }
    }

    /// What its columns may hold: anything where rows are kept aside.
    pub(crate) fn guards(&self) -> Vec<(&str, Guard)> {
        if self.kept_by.is_some() {
            return Vec::new();
        }
        let columns = self.followed.columns.iter().zip(&self.storages);
        let guards = columns.filter_map(|(column, storage)| {
            let guard = guard(&column.codec, column.built_in(), *storage, &column.value("NEW"))?;
            Some((column.target.as_str(), guard))
        });
        guards.collect()
    }

    /// The columns that name a row.
    pub(crate) fn key(&self) -> Vec<KeyColumn<'_>> {
        let columns = self.followed.key.iter().flatten();
        let columns = columns.map(|number| &self.followed.columns[*number]);
        columns
            .map(|column| KeyColumn {
                name: &column.target,
                r#type: &column.r#type,
                wire: &column.wire,
            })
            .collect()
    }

    /// The condition over a row `t` of PostgreSQL that it is not kept aside; `None` where none is.
    pub(crate) fn not_kept(&self, database: &str) -> Option<String> {
        let key = self.kept_by.as_ref()?;
        Some(format!(
            "NOT EXISTS (SELECT FROM switchback.kept_aside AS k WHERE k.database = {} \
               AND k.tab = {} AND NOT k.left_behind AND k.key = {key})",
            ident::literal(database),
            self.followed.number
        ))
    }
}

fn kept_by(table: &FollowedTable) -> Option<String> {
    let fields = table.key.as_ref()?.iter().map(|number| {
        let column = &table.columns[*number];
        sent_as(column.built_in(), &column.value("t"))
    });
    Some(format!("ARRAY[{}]", fields.collect::<Option<Vec<_>>>()?.join(", ")))
}

/// A collation that only the application brings, by which an index of the table is sorted.
pub(crate) fn unknown_collation(table: &Table) -> Option<&str> {
    let of_columns = table.columns.iter().map(|column| column.collation.as_str());
    let terms = table.indexes.iter().flat_map(|index| &index.terms);
    let mut collations = of_columns.chain(terms.map(|term| term.collation.as_str()));
    collations.find(|name| !matches!(*name, "" | "BINARY" | "NOCASE" | "RTRIM"))
}

/// Rows could be inserted, and would stand at the wrong place of the index.
fn uncollated(table: &str, collation: &str) -> Error {
    Error::new(
        Reason::ReturnRefused,
        format!("the table {table} is sorted by {collation}, a collation of the application"),
    )
    .hint("what is written on PostgreSQL cannot be carried back to SQLite: finalize when ready")
}
