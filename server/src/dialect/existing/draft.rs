//! Which table and column of the source goes where, before any value is looked at.

use std::collections::HashSet;

use switchback_proto::v1::{Finding, PlanOptions, Rename, Severity};

use super::{
    matching::{How, Matched, assign},
    target::{TargetSchema, TargetTable},
    types,
};
use crate::dialect::{
    codec::Codec,
    finding::{self, Place, finding},
    schema::{SourceSchema, Table},
    selection,
};

/// Names that a finding lists.
pub(super) const EXAMPLES: usize = 20;

/// The pairs of a plan.
#[derive(Debug, Clone, Default)]
pub struct Draft {
    /// In the order of the source.
    pub tables: Vec<DraftTable>,
    /// Numbers of tables of the source that the target has none for.
    pub unmatched: Vec<usize>,
    /// What was found so far.
    pub findings: Vec<Finding>,
}

/// A table of the source and the one of the target that takes its rows.
#[derive(Debug, Clone, Default)]
pub struct DraftTable {
    /// Number in the source's schema.
    pub source: usize,
    /// Number in the target's schema.
    pub target: usize,
    /// Columns that have a place, in the order of the source.
    pub pairs: Vec<Pair>,
    /// Numbers of the source's columns that have none.
    pub skipped: Vec<usize>,
    /// Those of them that the caller wants left out.
    pub excluded: Vec<usize>,
    /// Numbers of the target's columns that nothing goes to.
    pub defaulted: Vec<usize>,
}

/// A column of the source and the one of the target.
#[derive(Debug, Clone)]
pub struct Pair {
    /// Number in the source's table.
    pub source: usize,
    /// Number in the target's table.
    pub target: usize,
    /// Codecs that could fill it, the best first.
    pub candidates: Vec<Codec>,
}

/// Matches the two schemas by names. `bookkeeping` says which tables a tool for schema migrations
/// keeps for itself, and whose it is.
pub fn draft(
    schema: &SourceSchema,
    target: &TargetSchema,
    options: &PlanOptions,
    bookkeeping: &dyn Fn(&Table) -> Option<&'static str>,
) -> Draft {
    let mut draft = Draft::default();
    draft.check_options(schema, target, options);
    let mut sources = Vec::new();
    for (number, table) in schema.tables.iter().enumerate() {
        if let Some(tool) = bookkeeping(table) {
            draft.say(finding(
                Severity::Note,
                finding::BOOKKEEPING_TABLE,
                Place::table(&table.name),
                format!("{tool} keeps it for itself: its versions are compared, not copied"),
                "nothing is to be done",
            ));
        } else if selection::is_wanted(&table.name, options) {
            sources.push(number);
        } else {
            draft.findings.push(selection::left_out(&table.name));
        }
    }
    let names: Vec<&str> = sources.iter().map(|at| schema.tables[*at].name.as_str()).collect();
    let renamed: Vec<Option<&str>> =
        names.iter().map(|name| renamed(&options.renames, name, "")).collect();
    let targets: Vec<&str> = target.tables.iter().map(|table| table.name.as_str()).collect();
    let found = assign(&names, &renamed, &targets);
    for (source, found) in sources.into_iter().zip(found) {
        let table = &schema.tables[source];
        match found {
            None => draft.unmatched.push(source),
            Some(found) => draft.table((source, table), found, target, options),
        }
    }
    draft.only_in_target(schema, target, bookkeeping);
    draft
}

fn renamed<'a>(renames: &'a [Rename], table: &str, column: &str) -> Option<&'a str> {
    let found = renames.iter().find(|rename| rename.table == table && rename.column == column);
    found.map(|rename| rename.target.as_str())
}

impl Draft {
    fn say(&mut self, found: Finding) {
        self.findings.push(found);
    }

    /// An option that names nothing is a mistake, not a wish that came true.
    fn check_options(
        &mut self,
        schema: &SourceSchema,
        target: &TargetSchema,
        options: &PlanOptions,
    ) {
        let hint = "names are those of the source, as `sqlite3 FILE .schema` shows them";
        for rename in &options.renames {
            let table = schema.tables.iter().find(|table| table.name == rename.table);
            let known = table.is_some_and(|table| {
                rename.column.is_empty()
                    || table.columns.iter().any(|column| column.name == rename.column)
            });
            let place = Place::column(&rename.table, &rename.column);
            if !known {
                let message = "is to be renamed, and the source has no such name";
                self.say(finding(Severity::Blocker, finding::UNKNOWN_NAME, place, message, hint));
            } else if rename.column.is_empty()
                && !target.tables.iter().any(|table| table.name == rename.target)
            {
                let message = format!("there is no table {:?} in the target", rename.target);
                self.say(finding(
                    Severity::Blocker,
                    finding::UNKNOWN_NAME,
                    place,
                    message,
                    "name a table of the target schema",
                ));
            }
        }
        self.findings.extend(selection::unknown(schema, options));
    }

    fn table(
        &mut self,
        (number, source): (usize, &Table),
        found: Matched,
        target: &TargetSchema,
        options: &PlanOptions,
    ) {
        let table = &target.tables[found.target];
        let place = Place::table(&source.name);
        if found.how == How::Loosely {
            let message = format!("goes to {:?}, whose name is alike", table.name);
            let hint = "name another one with --rename if that is wrong";
            self.say(finding(Severity::Note, finding::MATCHED_BY_LIKENESS, place, message, hint));
        }
        for reason in &table.unfit {
            self.say(finding(
                Severity::Blocker,
                finding::TARGET_UNFIT,
                place,
                format!("{:?} in the target {reason}", table.name),
                "give it another shape for the migration, or leave it out with --exclude",
            ));
        }
        let names: Vec<&str> = source.columns.iter().map(|column| column.name.as_str()).collect();
        let excluded: Vec<usize> = (0..names.len())
            .filter(|at| selection::is_excluded(source, names[*at], options))
            .collect();
        let kept: Vec<usize> = (0..names.len()).filter(|at| !excluded.contains(at)).collect();
        let kept_names: Vec<&str> = kept.iter().map(|at| names[*at]).collect();
        let asked: Vec<Option<&str>> =
            kept_names.iter().map(|name| renamed(&options.renames, &source.name, name)).collect();
        let targets: Vec<&str> = table.columns.iter().map(|column| column.name.as_str()).collect();
        let matched = assign(&kept_names, &asked, &targets);
        let zone = Some(options.time_zone.as_str()).filter(|zone| !zone.is_empty());
        let mut drafted =
            DraftTable { source: number, target: found.target, ..DraftTable::default() };
        for (at, found) in kept.iter().zip(matched) {
            let Some(found) = found else { continue };
            let pair = self.pair((source, *at), (table, found), zone);
            drafted.pairs.push(pair);
        }
        let paired: HashSet<usize> = drafted.pairs.iter().map(|pair| pair.source).collect();
        let filled: HashSet<usize> = drafted.pairs.iter().map(|pair| pair.target).collect();
        drafted.skipped = (0..names.len()).filter(|at| !paired.contains(at)).collect();
        drafted.excluded = excluded;
        drafted.defaulted = (0..targets.len()).filter(|at| !filled.contains(at)).collect();
        self.tables.push(drafted);
    }

    /// A column that has a place.
    fn pair(
        &mut self,
        (source, number): (&Table, usize),
        (table, found): (&TargetTable, Matched),
        zone: Option<&str>,
    ) -> Pair {
        let (column, theirs) = (&source.columns[number], &table.columns[found.target]);
        let place = Place::column(&source.name, &column.name);
        if found.how == How::Loosely {
            let message = format!("goes to {:?}, whose name is alike", theirs.name);
            let hint = "name another one with --rename if that is wrong";
            let note = finding(Severity::Note, finding::MATCHED_BY_LIKENESS, place, message, hint);
            self.say(note);
        }
        let candidates = types::candidates(&theirs.r#type, column.affinity, zone);
        if candidates.is_empty() {
            let message = format!("nothing of SQLite becomes a {}", theirs.r#type.name);
            let hint = "leave the column out with --exclude TABLE.COLUMN, or give it another type";
            let code = finding::TYPE_NOT_SUPPORTED;
            self.say(finding(Severity::Blocker, code, place, message, hint));
        }
        Pair { source: number, target: found.target, candidates }
    }

    fn only_in_target(
        &mut self,
        schema: &SourceSchema,
        target: &TargetSchema,
        bookkeeping: &dyn Fn(&Table) -> Option<&'static str>,
    ) {
        let own: HashSet<String> = schema
            .tables
            .iter()
            .filter(|table| bookkeeping(table).is_some())
            .map(|table| table.name.to_lowercase())
            .collect();
        let others = target.tables.iter().enumerate().filter(|(number, table)| {
            !self.tables.iter().any(|pair| pair.target == *number)
                && !own.contains(&table.name.to_lowercase())
        });
        let names: Vec<String> = others.map(|(_, table)| table.name.clone()).collect();
        if names.is_empty() {
            return;
        }
        let message = "the target has tables that nothing goes to: they stay as they are";
        let hint = "nothing is to be done if the application fills them by itself";
        let count = u64::try_from(names.len()).unwrap_or(u64::MAX);
        let note =
            finding(Severity::Note, finding::ONLY_IN_TARGET, Place::database(), message, hint);
        let examples = names.into_iter().take(EXAMPLES).collect();
        self.findings.push(Finding { count, examples, ..note });
    }
}
