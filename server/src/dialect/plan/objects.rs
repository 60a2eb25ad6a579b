//! Views, and what is not carried: triggers, virtual tables.

use switchback_proto::v1::{Finding, Severity, ViewPlan};

use super::{
    super::{
        expr::{Field, Relation},
        ident::{NameKind, Names, qualified, quote},
        schema::{View, VirtualTable},
        view::{self, Catalog},
    },
    Builder, Place, finding,
};

impl Builder<'_> {
    /// The views that can be translated, each after those that it reads.
    pub(super) fn views(&mut self) -> Vec<ViewPlan> {
        let schema = self.inputs.schema;
        let mut catalog = Catalog::default();
        for draft in &self.drafts {
            let relation =
                Relation { name: draft.table.name.clone(), fields: draft.fields.clone() };
            catalog.add(qualified(self.inputs.target_schema, &draft.plan.target), relation);
        }
        let mut waiting: Vec<(usize, &View)> = schema.views.iter().enumerate().collect();
        let mut plans = Vec::new();
        loop {
            let before = waiting.len();
            let mut refused = Vec::new();
            for (number, view) in waiting {
                match view::translate(view, &catalog) {
                    Ok(translated) => {
                        let plan = self.view(number, view, translated.sql, &translated.fields);
                        catalog.add(
                            qualified(self.inputs.target_schema, &plan.target),
                            relation(view, &plan, translated.fields),
                        );
                        plans.push(plan);
                    }
                    Err(reason) => refused.push((number, view, reason)),
                }
            }
            if refused.is_empty() || refused.len() == before {
                refused.iter().for_each(|(_, view, reason)| self.refuse(view, reason));
                return plans;
            }
            waiting = refused.into_iter().map(|(number, view, _)| (number, view)).collect();
        }
    }

    fn view(&mut self, number: usize, view: &View, query: String, fields: &[Field]) -> ViewPlan {
        let sources: Vec<&str> = fields.iter().map(|field| field.name.as_str()).collect();
        let case = self.inputs.options.identifier_case();
        let columns = Names::default().assign(&sources, NameKind::Column, case);
        for (source, target) in sources.iter().zip(&columns) {
            self.report_rename(Place::column(&view.name, source), source, target);
        }
        let target = self.view_names[number].clone();
        ViewPlan { source: view.name.clone(), target, columns, query }
    }

    fn refuse(&mut self, view: &View, reason: &str) {
        self.warn(
            finding::VIEW_NOT_TRANSLATED,
            Place::table(&view.name),
            format!("the view is left out: {reason}"),
            "write the view for PostgreSQL, in the plan or after the migration",
        );
    }

    pub(super) fn report_objects(&mut self) {
        let schema = self.inputs.schema;
        for trigger in &schema.triggers {
            self.warn(
                finding::TRIGGER_NOT_CARRIED,
                Place::table(&trigger.table),
                format!("the trigger {:?} is left out", trigger.name),
                "write it as a trigger function of PostgreSQL if the application relies on it; \
                 what it did to the rows so far is in the rows",
            );
        }
        for table in &schema.virtual_tables {
            let warning = finding::finding(
                Severity::Warning,
                finding::VIRTUAL_TABLE_NOT_CARRIED,
                Place::table(&table.name),
                virtual_message(table),
                virtual_hint(table),
            );
            self.findings.push(Finding { count: 1, ..warning });
        }
    }
}

/// The view as another view may name it.
fn relation(view: &View, plan: &ViewPlan, fields: Vec<Field>) -> Relation {
    let fields = fields
        .into_iter()
        .zip(&plan.columns)
        .map(|(field, column)| Field { sql: quote(column), ..field })
        .collect();
    Relation { name: view.name.clone(), fields }
}

fn virtual_message(table: &VirtualTable) -> String {
    let mut message = format!("the virtual table (module {}) is left out", table.module);
    if !table.shadows.is_empty() {
        message += &format!(", with the tables that hold its data: {}", table.shadows.join(", "));
    }
    message
}

/// Full-text tables keep their text themselves, unless they are told where it is.
fn virtual_hint(table: &VirtualTable) -> String {
    let module = table.module.to_ascii_lowercase();
    let arguments = table.arguments.to_ascii_lowercase();
    let elsewhere = arguments.split(',').any(|argument| {
        argument.trim_matches([' ', '(', ')', '\n', '\t']).starts_with("content")
            && argument.contains('=')
    });
    match (module.as_str(), elsewhere) {
        ("fts3" | "fts4" | "fts5", true) => {
            "its text is in an ordinary table, which is carried; make a text search index of \
             PostgreSQL (tsvector, GIN) on that one"
        }
        ("fts3" | "fts4" | "fts5", false) => {
            "its text lives only there: copy it into an ordinary table in the source first (CREATE \
             TABLE … AS SELECT), then plan again"
        }
        ("rtree" | "geopoly", _) => {
            "its coordinates live only there: copy them into an ordinary table in the source first \
             (CREATE TABLE … AS SELECT), then plan again; PostGIS or GiST indexes serve such queries"
        }
        ("vec0", _) => {
            "its vectors live only there: copy them into an ordinary table in the source first, \
             then plan again; pgvector serves such queries"
        }
        _ => {
            "if its rows are not kept elsewhere, copy them into an ordinary table in the source \
             first (CREATE TABLE … AS SELECT), then plan again"
        }
    }
    .into()
}
