//! Sequences that give no value again that the source has.

use switchback_proto::v1::{ColumnPlan, Plan, TablePlan};

use super::{full_name, literal, quote};
use crate::dialect::capture::ROWID_COLUMN;

/// Statements that set every sequence so that its next value is above all there are: those in the
/// table, what SQLite `remembered` by table for AUTOINCREMENT, and those of rejected rows, which can
/// come back under their own ids. An identity that the plan has made gives at least 1; a sequence of
/// the application is only ever set forward, and one that counts down is left alone. Where there is
/// no value above, the next insert fails, as it does in SQLite.
pub fn set_sequences(plan: &Plan, remembered: &[(String, i64)]) -> String {
    let mut sql = String::new();
    for table in &plan.tables {
        let known = remembered.iter().find(|(name, _)| *name == table.source);
        let known = known.map_or(0, |(_, value)| *value);
        if table.carries_rowid {
            let full = full_name(plan, table);
            sql += &format!(
                "SELECT setval(pg_get_serial_sequence({full_text}, {name})::regclass, \
                   greatest(above, 1), above >= 1) \
                 FROM (SELECT max({column}) AS above FROM {full}) AS known; ",
                full_text = literal(&full),
                name = literal(ROWID_COLUMN),
                column = quote(ROWID_COLUMN),
            );
        }
        for column in table.columns.iter().filter(|column| gives_values(column)) {
            let known = if is_remembered(plan, table, column) { known } else { 0 };
            let above = above(plan, table, column, known);
            sql += &if column.sequence.is_empty() {
                own(plan, table, column, &above)
            } else {
                forward(&column.sequence, &above)
            };
        }
    }
    sql
}

/// Whether a sequence gives the column's values.
pub fn gives_values(column: &ColumnPlan) -> bool {
    column.identity || !column.sequence.is_empty()
}

/// Whether the values that SQLite has given for a table are of this column.
pub fn is_remembered(plan: &Plan, table: &TablePlan, column: &ColumnPlan) -> bool {
    plan.existing.is_none() || table.primary_key == [column.target.as_str()]
}

/// The highest value that there is.
fn above(plan: &Plan, table: &TablePlan, column: &ColumnPlan, known: i64) -> String {
    let rejected = if column.source.is_empty() {
        "NULL".to_owned()
    } else {
        let value = format!("row_data ->> {}", literal(&column.source));
        format!(
            "(SELECT max(substr({value}, 3)::bigint) FROM switchback.rejects \
                    WHERE database = {} AND tab = {} AND {value} LIKE 'i:%')",
            literal(&plan.database),
            literal(&table.source),
        )
    };
    format!(
        "(SELECT greatest({known}, (SELECT max({})::bigint FROM {}), {rejected}) AS above) AS known",
        quote(&column.target),
        full_name(plan, table),
    )
}

fn own(plan: &Plan, table: &TablePlan, column: &ColumnPlan, above: &str) -> String {
    format!(
        "SELECT setval(pg_get_serial_sequence({}, {})::regclass, greatest(above, 1), above >= 1) \
         FROM {above}; ",
        literal(&full_name(plan, table)),
        literal(&column.target),
    )
}

/// The application may count in steps of its own: the value stays one of them.
fn forward(sequence: &str, above: &str) -> String {
    format!(
        "SELECT setval(s.seqrelid::regclass, least(s.seqmax, s.seqstart \
             + ceil((known.above::numeric - s.seqstart) / s.seqincrement) * s.seqincrement)::bigint) \
         FROM {above}, pg_sequence AS s, {sequence} AS now \
         WHERE s.seqrelid = {}::regclass AND s.seqincrement > 0 \
           AND known.above >= greatest(s.seqmin, now.last_value); ",
        literal(sequence),
    )
}
