//! What is carried of a table: the planned columns, and the rowid where nothing else names a row.

use switchback_proto::v1::{ColumnPlan, TablePlan};

use super::{
    encode,
    reader::{SourceRow, Term},
    tagged,
};
use crate::{
    dialect::{
        capture::{CaptureKey, ROWID_COLUMN, capture_key},
        codec::Codec,
        ident::{qualified, quote},
        schema::Table,
        value::OwnedValue,
        wire,
    },
    error::Result,
};

/// A column as it is carried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Column {
    /// Name in the source; empty where an expression gives the values.
    pub(crate) source: String,
    /// Name in the target.
    pub(crate) target: String,
    /// Type in the target.
    pub(crate) r#type: String,
    /// The built-in type in whose form values are sent; empty where that is the type itself.
    pub(crate) wire: String,
    /// SQL expression of SQLite over the row; empty where the source has the column.
    pub(crate) expression: String,
    /// How its values get there.
    pub(crate) codec: Codec,
    /// It is ours, not the plan's.
    pub(crate) ours: bool,
}

impl Column {
    /// What gives its values.
    pub(crate) fn term(&self) -> Term<'_> {
        Term::of(&self.source, &self.expression)
    }

    /// What it is called in reports.
    pub(crate) fn shown(&self) -> &str {
        if self.source.is_empty() { &self.target } else { &self.source }
    }

    /// The built-in type of its values.
    pub(crate) fn built_in(&self) -> &str {
        wire::built_in(&self.r#type, &self.wire)
    }

    /// Its value in a row of the target, as one of that type.
    pub(crate) fn value(&self, row: &str) -> String {
        wire::cast(&format!("{row}.{}", quote(&self.target)), &self.wire)
    }
}

/// The columns that are carried; the table is as capture sees it.
pub(crate) fn carried(plan: &TablePlan, table: &Table) -> Result<Vec<Column>> {
    let planned = plan.columns.iter().filter(|column| column.generated.is_empty());
    columns(plan, planned, table)
}

/// The columns that are carried back: not what SQLite computes or has no column for, and what
/// PostgreSQL computes where SQLite stores it.
pub(crate) fn returned(plan: &TablePlan, table: &Table) -> Result<Vec<Column>> {
    let stored = |column: &&ColumnPlan| {
        let found = table.columns.iter().find(|known| known.name == column.source);
        column.expression.is_empty() && found.is_some_and(|column| column.generated.is_none())
    };
    columns(plan, plan.columns.iter().filter(stored), table)
}

fn columns<'a>(
    plan: &TablePlan,
    planned: impl Iterator<Item = &'a ColumnPlan>,
    table: &Table,
) -> Result<Vec<Column>> {
    let mut columns = planned
        .map(|column| {
            Ok(Column {
                source: column.source.clone(),
                target: column.target.clone(),
                r#type: column.r#type.clone(),
                wire: column.wire.clone(),
                expression: column.expression.clone(),
                codec: encode::codec(plan, &column.codec)?,
                ours: false,
            })
        })
        .collect::<Result<Vec<_>>>()?;
    if let (true, CaptureKey::Rowid(name)) = (plan.carries_rowid, capture_key(table)) {
        columns.push(Column {
            source: name,
            target: ROWID_COLUMN.into(),
            r#type: "bigint".into(),
            wire: String::new(),
            expression: String::new(),
            codec: Codec::Integer,
            ours: true,
        });
    }
    Ok(columns)
}

/// Numbers and names of the columns that a reject keeps.
pub(crate) fn planned(columns: &[Column]) -> Vec<(usize, &str)> {
    let kept = |column: &Column| !column.ours && column.expression.is_empty();
    let numbered = columns.iter().enumerate().filter(|(_, column)| kept(column));
    numbered.map(|(number, column)| (number, column.source.as_str())).collect()
}

/// What a reader reads.
pub(crate) fn terms(columns: &[Column]) -> Vec<Term<'_>> {
    columns.iter().map(Column::term).collect()
}

/// Numbers of the carried columns that name a row in the change log; `None` where nothing does.
pub(crate) fn key(columns: &[Column], table: &Table) -> Option<Vec<usize>> {
    let number = |name: &str| {
        let found = |column: &Column| column.expression.is_empty() && column.source == name;
        columns.iter().position(found)
    };
    match capture_key(table) {
        CaptureKey::Columns(key) => {
            key.into_iter().map(|column| number(&table.columns[column].name)).collect()
        }
        CaptureKey::Rowid(_) => {
            columns.iter().position(|column| column.ours).map(|rowid| vec![rowid])
        }
        CaptureKey::Whole => None,
    }
}

/// The key of a row as the change log has it.
pub(crate) fn exact_key(
    key: &Option<Vec<usize>>,
    row: SourceRow<'_, '_>,
) -> rusqlite::Result<Option<Vec<u8>>> {
    let Some(key) = key else { return Ok(None) };
    let values = key.iter().map(|column| Ok(OwnedValue::from(row.value(*column)?)));
    let values = values.collect::<rusqlite::Result<Vec<_>>>()?;
    // Only what no field of PostgreSQL could hold is refused.
    Ok(tagged::write_key(&values).ok())
}

/// `COPY … FROM STDIN` for these columns.
pub(crate) fn copy_in(schema: &str, plan: &TablePlan, columns: &[Column]) -> String {
    let columns: Vec<String> = columns.iter().map(|column| quote(&column.target)).collect();
    format!(
        "COPY {} ({}) FROM STDIN (FORMAT binary)",
        qualified(schema, &plan.target),
        columns.join(", ")
    )
}
