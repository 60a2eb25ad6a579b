//! What a migration will do: the schema in PostgreSQL, and everything worth knowing about it.
//! Every object of the file is in the plan or named in a finding.

mod check;
mod foreign_key;
mod index;
mod key;
mod objects;
mod table;

use switchback_proto::v1::{Finding, GuardMode, Plan, PlanOptions, Severity, TablePlan};

pub use self::check::{check_plan, left_out};
use self::{
    foreign_key::{ParentKey, parent_keys},
    table::Draft,
};
use super::{
    capture,
    facts::TableFacts,
    finding::{self, Place, finding},
    ident::{NameKind, Names},
    schema::{IndexOrigin, SourceSchema},
};

/// Version of the plan's format.
pub const VERSION: u32 = 1;

/// Columns that a table of PostgreSQL can have.
const MOST_COLUMNS: usize = 1600;

/// Bytes that a row of PostgreSQL can have in its page of 8 KiB.
const WIDEST_ROW: u64 = 8160;

/// Orphans of one foreign key.
#[derive(Debug, Clone, PartialEq)]
pub struct OrphanCount {
    /// Number of the child table in the schema.
    pub table: usize,
    /// Number of the foreign key in its table.
    pub foreign_key: usize,
    /// Rows without a parent.
    pub count: u64,
    /// Keys of the first few: `id=7`.
    pub examples: Vec<String>,
}

/// What a plan is made from.
#[derive(Debug, Clone, Copy)]
pub struct PlanInputs<'a> {
    /// Name of the database.
    pub database: &'a str,
    /// Schema in PostgreSQL that the tables go to.
    pub target_schema: &'a str,
    /// The source's schema.
    pub schema: &'a SourceSchema,
    /// What the census found, one entry a table of the schema.
    pub facts: &'a [TableFacts],
    /// Orphans of the foreign keys that have some.
    pub orphans: &'a [OrphanCount],
    /// What the caller wants.
    pub options: &'a PlanOptions,
}

/// Makes the plan.
pub fn build(inputs: PlanInputs<'_>) -> Plan {
    let mut builder = Builder::new(inputs);
    builder.draft_tables();
    builder.add_keys();
    builder.add_foreign_keys();
    let views = builder.views();
    builder.report_objects();
    let Builder { drafts, findings, .. } = builder;
    Plan {
        version: VERSION,
        database: inputs.database.to_owned(),
        target_schema: inputs.target_schema.to_owned(),
        source_fingerprint: inputs.schema.fingerprint.clone(),
        source_bytes: inputs.schema.bytes,
        tables: drafts.into_iter().map(Draft::finish).collect(),
        views,
        findings: weighed(findings),
        choices: inputs.options.choices.clone(),
        guards: guards(inputs.options).into(),
        existing: None,
    }
}

/// The mode by its name, so that a plan in a file says it.
pub(super) fn guards(options: &PlanOptions) -> GuardMode {
    match options.guards() {
        GuardMode::Unspecified => GuardMode::Strict,
        mode => mode,
    }
}

/// The heaviest first; among equals in the order of the schema.
pub(super) fn weighed(mut findings: Vec<Finding>) -> Vec<Finding> {
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    findings
}

impl Draft<'_> {
    fn finish(self) -> TablePlan {
        let carries_rowid = capture::carries_rowid(self.table, &self.plan);
        TablePlan { carries_rowid, ..self.plan }
    }
}

struct Builder<'a> {
    inputs: PlanInputs<'a>,
    findings: Vec<Finding>,
    /// Names of relations in the target schema.
    names: Names,
    table_names: Vec<String>,
    view_names: Vec<String>,
    /// Names of created indexes, table by table.
    index_names: Vec<Vec<String>>,
    drafts: Vec<Draft<'a>>,
    parent_keys: Vec<ParentKey>,
}

impl<'a> Builder<'a> {
    fn new(inputs: PlanInputs<'a>) -> Self {
        let mut builder = Self {
            inputs,
            findings: Vec::new(),
            names: Names::default(),
            table_names: Vec::new(),
            view_names: Vec::new(),
            index_names: Vec::new(),
            drafts: Vec::new(),
            parent_keys: parent_keys(inputs.schema),
        };
        builder.name_relations();
        builder
    }

    /// Tables, views and indexes have one namespace in SQLite as well, so that only a change of
    /// a name can make two of them clash.
    fn name_relations(&mut self) {
        let schema = self.inputs.schema;
        let case = self.inputs.options.identifier_case();
        let mut sources: Vec<(&str, &str)> = Vec::new();
        sources
            .extend(schema.tables.iter().map(|table| (table.name.as_str(), table.name.as_str())));
        sources.extend(schema.views.iter().map(|view| (view.name.as_str(), view.name.as_str())));
        for table in &schema.tables {
            let created = table.indexes.iter().filter(|index| index.origin == IndexOrigin::Created);
            sources.extend(created.map(|index| (table.name.as_str(), index.name.as_str())));
        }
        let plain: Vec<&str> = sources.iter().map(|(_, name)| *name).collect();
        let mut targets = self.names.assign(&plain, NameKind::Relation, case);
        for ((table, source), target) in sources.iter().zip(&targets) {
            self.report_rename(Place::table(table), source, target);
        }
        let mut indexes = targets.split_off(schema.tables.len() + schema.views.len());
        self.view_names = targets.split_off(schema.tables.len());
        self.table_names = targets;
        for table in schema.tables.iter().rev() {
            let created =
                table.indexes.iter().filter(|index| index.origin == IndexOrigin::Created).count();
            self.index_names.push(indexes.split_off(indexes.len() - created));
        }
        self.index_names.reverse();
    }

    /// A note for a name that is not what the source and the options say.
    fn report_rename(&mut self, place: Place<'_>, source: &str, target: &str) {
        let lower = self.inputs.options.identifier_case()
            == switchback_proto::v1::IdentifierCase::Lower
            && source.to_ascii_lowercase() == target;
        if source == target || lower {
            return;
        }
        let message = format!("{source:?} is called {target:?} in PostgreSQL");
        self.note(finding::RENAMED, place, message, "choose another name in the plan if you like");
    }

    fn note(
        &mut self,
        code: &'static str,
        place: Place<'_>,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.findings.push(finding(Severity::Note, code, place, message, hint));
    }

    fn warn(
        &mut self,
        code: &'static str,
        place: Place<'_>,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.findings.push(finding(Severity::Warning, code, place, message, hint));
    }

    fn block(
        &mut self,
        code: &'static str,
        place: Place<'_>,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.findings.push(finding(Severity::Blocker, code, place, message, hint));
    }
}
