//! A plan that was made before, and perhaps changed by hand, against what is in both databases.

use switchback_proto::v1::{ColumnPlan, Plan, TablePlan};

use super::{
    columns::wire,
    draft::{Draft, DraftTable, Pair},
    target::{TargetSchema, TargetTable},
};
use crate::dialect::schema::{SourceSchema, Table};

/// The pairs that a plan has decided on. What does not fit any more is told, all at once.
pub fn reviewed(
    plan: &Plan,
    schema: &SourceSchema,
    target: &TargetSchema,
) -> Result<Draft, Vec<String>> {
    let mut review = Review { problems: Vec::new() };
    let mut draft = Draft::default();
    for planned in &plan.tables {
        let source = schema.tables.iter().position(|table| table.name == planned.source);
        let found = target.tables.iter().position(|table| table.name == planned.target);
        match (source, found) {
            (Some(source), Some(found)) => {
                let tables = (&schema.tables[source], &target.tables[found]);
                let drafted = review.table(planned, tables);
                draft.tables.push(DraftTable { source, target: found, ..drafted });
            }
            (None, _) => review.say(planned, "the source has no such table"),
            (_, None) => {
                review.say(planned, &format!("the target has no table {:?}", planned.target));
            }
        }
    }
    if review.problems.is_empty() { Ok(draft) } else { Err(review.problems) }
}

/// What is a fact of the target and no choice is as its catalog says, whatever the plan has: a
/// person who adds a column need not know it, and no other statement gets in.
pub fn adopt(plan: &mut Plan, target: &TargetSchema) {
    for planned in &mut plan.tables {
        let Some(table) = target.tables.iter().find(|table| table.name == planned.target) else {
            continue;
        };
        planned.settings.clone_from(&table.settings);
        for column in &mut planned.columns {
            let Some(actual) = table.column(&column.target) else { continue };
            column.not_null = actual.not_null;
            column.identity = actual.identity;
            column.sequence = actual.sequence.clone().unwrap_or_default();
        }
    }
}

struct Review {
    problems: Vec<String>,
}

impl Review {
    fn say(&mut self, table: &TablePlan, what: &str) {
        self.problems.push(format!("table {:?}: {what}", table.source));
    }

    fn table(
        &mut self,
        planned: &TablePlan,
        (source, target): (&Table, &TargetTable),
    ) -> DraftTable {
        let mut draft = DraftTable::default();
        let mut filled = Vec::new();
        for column in &planned.columns {
            let Some(theirs) = target.columns.iter().position(|c| c.name == column.target) else {
                self.say(planned, &format!("the target has no column {:?}", column.target));
                continue;
            };
            filled.push(theirs);
            let actual = &target.columns[theirs];
            let is_same = column.r#type == actual.r#type.name
                && column.wire == wire(&actual.r#type)
                && column.generated == actual.generated.as_deref().unwrap_or_default();
            if !is_same {
                let now = &actual.r#type.name;
                self.say(
                    planned,
                    &format!(
                        "the target's column {:?} is not as planned: it is {now} now",
                        column.target
                    ),
                );
            }
            let Some(codec) = self.source(planned, column) else { continue };
            let Some(ours) = source.columns.iter().position(|c| c.name == column.source) else {
                self.say(planned, &format!("the source has no column {:?}", column.source));
                continue;
            };
            draft.pairs.push(Pair { source: ours, target: theirs, candidates: vec![codec] });
        }
        for name in &planned.skipped {
            match source.columns.iter().position(|column| column.name == *name) {
                Some(at) => draft.skipped.push(at),
                None => self.say(planned, &format!("the source has no column {name:?} to skip")),
            }
        }
        draft.excluded.clone_from(&draft.skipped);
        draft.defaulted = (0..target.columns.len()).filter(|at| !filled.contains(at)).collect();
        draft
    }

    /// The codec of a column that has a source; a wrong one is told where plans are checked.
    fn source(
        &mut self,
        planned: &TablePlan,
        column: &ColumnPlan,
    ) -> Option<crate::dialect::codec::Codec> {
        match (column.source.as_str(), column.expression.as_str()) {
            ("", "") => {
                self.say(planned, &format!("{:?} has no source and no expression", column.target));
                None
            }
            ("", _) => None,
            _ => column.codec.parse().ok(),
        }
    }
}
