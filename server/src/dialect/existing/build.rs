//! The plan, from the pairs and from what the census has found.

use std::collections::HashSet;

use switchback_proto::v1::{
    ColumnPlan, ExistingSchema, Finding, ForeignKeyPlan, IndexPlan, OuterForeignKey, Plan,
    PlanOptions, Severity, TablePlan, TriggerPlan,
};

use super::{
    columns::{self, Subject},
    definitions::{check, foreign_key, keys, named_by, targets},
    draft::{Draft, DraftTable, EXAMPLES},
    facts::TableFit,
    keys::Collision,
    stricter,
    target::{TargetSchema, TargetTable},
};
use crate::dialect::{
    capture::{CaptureKey, capture_key, keyed},
    finding::{self, Place, finding},
    ident::quote,
    plan::{OrphanCount, PlanInputs, VERSION, guards, weighed},
    schema::{SourceSchema, Table},
};

/// What was found in both databases, table by table of the draft.
#[derive(Debug, Clone, Default)]
pub struct Found {
    /// What the census saw: of each table the columns of its pairs, then those that are skipped.
    pub fits: Vec<TableFit>,
    /// Tables of the target that hold rows.
    pub filled: HashSet<String>,
    /// Tables of the source that hold rows, among those that the target has none for.
    pub stranded: HashSet<usize>,
    /// Rows that keys of the target would refuse.
    pub collisions: Vec<Collision>,
    /// Orphans, by numbers of the table in the source and of the key in the target's table.
    pub orphans: Vec<OrphanCount>,
}

/// Makes the plan. Of the inputs it reads all but `facts` and `orphans`.
pub fn build(inputs: PlanInputs<'_>, target: &TargetSchema, draft: &Draft, found: &Found) -> Plan {
    let mut builder = Builder { inputs, target, draft, found, findings: draft.findings.clone() };
    builder.unmatched();
    let tables = (0..draft.tables.len()).map(|number| builder.table(number)).collect();
    let foreign_keys = builder.outer_keys();
    builder.collisions();
    builder.left_behind();
    Plan {
        version: VERSION,
        database: inputs.database.to_owned(),
        target_schema: target.name.clone(),
        source_fingerprint: inputs.schema.fingerprint.clone(),
        source_bytes: inputs.schema.bytes,
        tables,
        views: Vec::new(),
        findings: weighed(builder.findings),
        choices: inputs.options.choices.clone(),
        guards: guards(inputs.options).into(),
        existing: Some(ExistingSchema { empty_target: inputs.options.empty_target, foreign_keys }),
    }
}

struct Builder<'a> {
    inputs: PlanInputs<'a>,
    target: &'a TargetSchema,
    draft: &'a Draft,
    found: &'a Found,
    findings: Vec<Finding>,
}

impl<'a> Builder<'a> {
    fn schema(&self) -> &'a SourceSchema {
        self.inputs.schema
    }

    fn options(&self) -> &'a PlanOptions {
        self.inputs.options
    }

    fn say(&mut self, found: Finding) {
        self.findings.push(found);
    }

    fn unmatched(&mut self) {
        for number in &self.draft.unmatched {
            let name = &self.schema().tables[*number].name;
            let severity = match self.found.stranded.contains(number) {
                true => Severity::Blocker,
                false => Severity::Note,
            };
            let hint = format!(
                "let the application's own migrations make it in PostgreSQL, or name it with \
                 --rename {name}=NAME, or leave it out with --exclude {name}"
            );
            let message = match severity {
                Severity::Blocker => "the target has no table for its rows",
                _ => "the target has no table for it; it has no rows",
            };
            self.say(finding(
                severity,
                finding::TABLE_ONLY_IN_SOURCE,
                Place::table(name),
                message,
                hint,
            ));
        }
    }

    fn table(&mut self, number: usize) -> TablePlan {
        let (draft, fit) = (&self.draft.tables[number], &self.found.fits[number]);
        let source = &self.schema().tables[draft.source];
        let target = &self.target.tables[draft.target];
        let key = named_by(source, draft, target);
        self.filled(source, target);
        self.behaviour(source, target);
        self.findings.extend(stricter::keys(source, draft, target, &key));
        let columns = self.columns(draft, fit, &key);
        self.skipped(draft, fit);
        let defaulted = self.defaulted(source, draft, target);
        let mut plan = TablePlan {
            source: source.name.clone(),
            target: target.name.clone(),
            rows: fit.rows,
            columns,
            foreign_keys: self.foreign_keys(draft, target),
            checks: target.checks.iter().map(check).collect(),
            settings: target.settings.clone(),
            triggers: target
                .triggers
                .iter()
                .map(|found| TriggerPlan {
                    name: found.name.clone(),
                    enabled: found.enabled.clone(),
                })
                .collect(),
            defaulted,
            skipped: skipped(source, draft, fit),
            ..TablePlan::default()
        };
        keys(&mut plan, source, draft, (self.target, target));
        self.own_key(&mut plan, source, draft, target);
        plan
    }

    fn filled(&mut self, source: &Table, target: &TargetTable) {
        if !self.found.filled.contains(&target.name) {
            return;
        }
        let place = Place::table(&source.name);
        if self.options().empty_target {
            let message = format!("{:?} in the target holds rows, which are deleted", target.name);
            let hint = "back them up first if they are not of the application's own migrations";
            self.say(finding(Severity::Warning, finding::TARGET_EMPTIED, place, message, hint));
        } else {
            let message = format!("{:?} in the target holds rows already", target.name);
            let hint = "have them deleted with --empty-target, or use an empty database";
            self.say(finding(Severity::Blocker, finding::TARGET_NOT_EMPTY, place, message, hint));
        }
    }

    /// What the target does by itself, and is kept from doing until the switch.
    fn behaviour(&mut self, source: &Table, target: &TargetTable) {
        let place = Place::table(&source.name);
        let names = |names: Vec<&str>| names.join(", ");
        if !target.triggers.is_empty() {
            let of = names(target.triggers.iter().map(|one| one.name.as_str()).collect());
            let message = format!("triggers of the target are off until the switch: {of}");
            let hint = "what they would have done to copied rows has to be in the source already";
            self.say(finding(Severity::Note, finding::TRIGGERS_OFF, place, message, hint));
        }
        let checks: Vec<&str> = target.checks.iter().map(|one| one.name.as_str()).collect();
        if !checks.is_empty() {
            let message = format!("checked when the rows are there: {}", names(checks));
            let hint = "a row that breaks one of them stops the migration before the switch";
            self.say(finding(Severity::Note, finding::CHECKED_LATER, place, message, hint));
        }
    }

    fn columns(&mut self, draft: &DraftTable, fit: &TableFit, key: &[usize]) -> Vec<ColumnPlan> {
        let source = &self.schema().tables[draft.source];
        let target = &self.target.tables[draft.target];
        let mut plans = Vec::new();
        for (pair, fit) in draft.pairs.iter().zip(&fit.columns) {
            let (plan, findings) = columns::plan(&Subject {
                table: &source.name,
                column: &source.columns[pair.source],
                target: &target.columns[pair.target],
                pair,
                fit,
                is_key: key.contains(&pair.source),
            });
            plans.extend(plan);
            self.findings.extend(findings);
        }
        plans
    }

    fn skipped(&mut self, draft: &DraftTable, fit: &TableFit) {
        let source = &self.schema().tables[draft.source];
        for (number, fit) in draft.skipped.iter().zip(&fit.columns[draft.pairs.len()..]) {
            let column = &source.columns[*number];
            let place = Place::column(&source.name, &column.name);
            let hint = format!(
                "let the application's own migrations add it, name it with --rename \
                 {table}.{column}=NAME, or leave it out with --exclude {table}.{column}",
                table = source.name,
                column = column.name
            );
            let (severity, message) = if draft.excluded.contains(number) {
                (Severity::Warning, "left out as asked for: its values stay in the source")
            } else if fit.values > 0 {
                (Severity::Blocker, "the target has no column for its values")
            } else {
                (Severity::Note, "the target has no column for it; it has no values")
            };
            self.say(finding(severity, finding::COLUMN_ONLY_IN_SOURCE, place, message, hint));
            if column.not_null && column.default.is_none() && column.generated.is_none() {
                let message = "takes no NULL and has no default: rows that are new on PostgreSQL \
                               cannot come back without it";
                let hint = "finalize instead of going back, or give it a default in the source";
                self.say(finding(Severity::Warning, finding::NO_WAY_BACK, place, message, hint));
            }
        }
    }

    fn defaulted(
        &mut self,
        source: &Table,
        draft: &DraftTable,
        target: &TargetTable,
    ) -> Vec<String> {
        let mut names = Vec::new();
        for number in &draft.defaulted {
            let column = &target.columns[*number];
            names.push(column.name.clone());
            let place = Place::table(&source.name);
            let fills = column.default.is_some() || column.identity || column.generated.is_some();
            if column.not_null && !fills {
                let message = format!(
                    "the target's column {:?} takes no NULL, has no default, and no column of the \
                     source goes to it",
                    column.name
                );
                let hint = "rename a column of the source to it, or write an expression for it \
                            into the plan";
                self.say(finding(
                    Severity::Blocker,
                    finding::COLUMN_WITHOUT_VALUE,
                    place,
                    message,
                    hint,
                ));
            } else if column.generated.is_none() {
                let message = format!(
                    "no column of the source goes to {:?}: it gets its default, and what is \
                     written to it does not come back",
                    column.name
                );
                let hint = "rename a column of the source to it if there is one";
                self.say(finding(
                    Severity::Note,
                    finding::COLUMN_ONLY_IN_TARGET,
                    place,
                    message,
                    hint,
                ));
            }
        }
        names
    }

    fn foreign_keys(&mut self, draft: &DraftTable, target: &TargetTable) -> Vec<ForeignKeyPlan> {
        let mut plans = Vec::new();
        for (number, key) in target.foreign_keys.iter().enumerate() {
            let orphans = self
                .found
                .orphans
                .iter()
                .find(|known| known.table == draft.source && known.foreign_key == number);
            let validate = key.validated && orphans.is_none();
            if let Some(orphans) = orphans {
                let place = Place::table(&self.schema().tables[draft.source].name);
                let message = format!(
                    "{} rows have no parent for the target's foreign key {}: it will hold for \
                     new rows only (NOT VALID)",
                    orphans.count, key.name
                );
                let hint = "correct the rows in the source; it is validated then";
                let found = finding(Severity::Warning, finding::ORPHANS, place, message, hint);
                let (count, examples) = (orphans.count, orphans.examples.clone());
                self.findings.push(Finding { count, examples, ..found });
            }
            plans.push(foreign_key(key, validate, &self.target.name));
        }
        plans
    }

    /// An index of ours where the target has none that names rows as the source's change log does.
    fn own_key(
        &mut self,
        plan: &mut TablePlan,
        source: &Table,
        draft: &DraftTable,
        target: &TargetTable,
    ) {
        let CaptureKey::Columns(columns) = capture_key(&keyed(source, plan)) else { return };
        let Some(names) = targets(draft, target, &columns) else {
            let message = "a column that names rows in the source has no place in the target: any \
                           change carries the whole table over again";
            let hint = "give the target the column, or expect that it takes long";
            let place = Place::table(&source.name);
            self.say(finding(Severity::Warning, finding::KEY_NOT_CARRIED, place, message, hint));
            return;
        };
        if target.is_unique(&names) {
            return;
        }
        let message = format!(
            "the target has no unique key on ({}), which names rows in the source: a unique index \
             of Switchback's own stands for it until finalize",
            names.join(", ")
        );
        let hint = "nothing is to be done";
        let place = Place::table(&source.name);
        self.say(finding(Severity::Note, finding::KEY_NOT_INDEXED, place, message, hint));
        let hash = blake3::hash(target.name.as_bytes()).to_hex();
        plan.indexes.push(IndexPlan {
            target: format!("switchback_{}_key", &hash[..16]),
            unique: true,
            terms: names.iter().map(|name| quote(name)).collect(),
            ours: true,
            ..IndexPlan::default()
        });
    }

    /// Foreign keys of other tables to those of the plan.
    fn outer_keys(&mut self) -> Vec<OuterForeignKey> {
        let planned = |name: &str| {
            self.draft.tables.iter().any(|pair| self.target.tables[pair.target].name == name)
        };
        let mut outer = Vec::new();
        for table in self.target.tables.iter().filter(|table| !planned(&table.name)) {
            let keys = table
                .foreign_keys
                .iter()
                .filter(|key| key.parent_schema == self.target.name && planned(&key.parent));
            outer.extend(keys.map(|key| OuterForeignKey {
                table: table.name.clone(),
                key: Some(foreign_key(key, key.validated, &self.target.name)),
            }));
        }
        outer
    }

    fn collisions(&mut self) {
        for collision in &self.found.collisions {
            let table = &self.schema().tables[collision.unique.table];
            let column = match collision.unique.columns[..] {
                [only] => table.columns[only].name.as_str(),
                _ => "",
            };
            let message = format!(
                "{} values occur in several rows, and the target's {} takes each once",
                collision.count, collision.unique.name
            );
            let hint = "correct the rows in the source, or leave them to the application";
            let place = Place::column(&table.name, column);
            let found = finding(Severity::Blocker, finding::UNIQUE_COLLISION, place, message, hint);
            let (count, examples) = (collision.count, collision.examples.clone());
            self.findings.push(Finding { count, examples, ..found });
        }
    }

    /// What SQLite has beside tables, and PostgreSQL gets from the application alone.
    fn left_behind(&mut self) {
        let mut names: Vec<String> = Vec::new();
        names.extend(self.schema().virtual_tables.iter().map(|table| table.name.clone()));
        if names.is_empty() {
            return;
        }
        let message = "virtual tables and their shadow tables are not carried";
        let hint = "the application has to build what stands for them in PostgreSQL";
        let code = finding::VIRTUAL_TABLE_NOT_CARRIED;
        let found = finding(Severity::Warning, code, Place::database(), message, hint);
        let count = u64::try_from(names.len()).unwrap_or(u64::MAX);
        names.truncate(EXAMPLES);
        self.findings.push(Finding { count, examples: names, ..found });
    }
}

/// Columns that stay behind because the caller says so, or have nothing to lose.
fn skipped(source: &Table, draft: &DraftTable, fit: &TableFit) -> Vec<String> {
    let columns = draft.skipped.iter().zip(&fit.columns[draft.pairs.len()..]);
    let columns = columns.filter(|(at, fit)| draft.excluded.contains(at) || fit.values == 0);
    columns.map(|(at, _)| source.columns[*at].name.clone()).collect()
}
