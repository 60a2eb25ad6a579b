//! What is carried of a table: the planned columns, and the rowid where nothing else names a row.

use switchback_proto::v1::TablePlan;

use super::{encode, reader::SourceRow, tagged};
use crate::{
    dialect::{
        capture::{CaptureKey, ROWID_COLUMN, capture_key},
        codec::Codec,
        ident::{qualified, quote},
        schema::Table,
        value::OwnedValue,
    },
    error::Result,
};

/// A column as it is carried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Column {
    /// Name in the source.
    pub(crate) source: String,
    /// Name in the target.
    pub(crate) target: String,
    /// Type in the target.
    pub(crate) r#type: String,
    /// How its values get there.
    pub(crate) codec: Codec,
    /// It is ours, not the plan's.
    pub(crate) ours: bool,
}

/// The columns that are carried; the table is as capture sees it.
pub(crate) fn carried(plan: &TablePlan, table: &Table) -> Result<Vec<Column>> {
    let planned = plan.columns.iter().filter(|column| column.generated.is_empty());
    let mut columns = planned
        .map(|column| {
            Ok(Column {
                source: column.source.clone(),
                target: column.target.clone(),
                r#type: column.r#type.clone(),
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
            codec: Codec::Integer,
            ours: true,
        });
    }
    Ok(columns)
}

/// Numbers and names of the columns that a reject keeps.
pub(crate) fn planned(columns: &[Column]) -> Vec<(usize, &str)> {
    let numbered = columns.iter().enumerate().filter(|(_, column)| !column.ours);
    numbered.map(|(number, column)| (number, column.source.as_str())).collect()
}

/// Names of the columns, for a reader.
pub(crate) fn names(columns: &[Column]) -> Vec<Option<&str>> {
    columns.iter().map(|column| Some(column.source.as_str())).collect()
}

/// Numbers of the carried columns that name a row in the change log; `None` where nothing does.
pub(crate) fn key(columns: &[Column], table: &Table) -> Option<Vec<usize>> {
    let number = |name: &str| columns.iter().position(|column| column.source == name);
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
