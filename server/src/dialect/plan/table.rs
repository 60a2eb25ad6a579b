//! Tables and their columns.

use switchback_proto::v1::{CheckPlan, ColumnPlan, Disposition, Finding, Severity, TablePlan};

use super::{
    super::{
        codec::{BoolForm, Codec},
        default,
        expr::{Field, Kind, Purity, Relation, Scope, Typed, condition, value},
        facts::{ColumnFacts, TableFacts},
        ident::{NameKind, Names, quote},
        schema::{Column, RowAddress, Table},
        typemap::{self, ColumnDecision},
    },
    Builder, MOST_COLUMNS, Place, WIDEST_ROW, finding,
};

/// Ids left below which a warning is due.
const FEW_IDS: i64 = 1_000_000;

/// A table on its way into the plan.
pub(super) struct Draft<'a> {
    pub table: &'a Table,
    pub facts: &'a TableFacts,
    pub plan: TablePlan,
    /// The columns as expressions name them.
    pub fields: Vec<Field>,
    /// Names of the table's constraints.
    pub constraints: Names,
    /// Rows may be kept in `switchback.rejects` instead of the table.
    pub rejects: bool,
}

impl Draft<'_> {
    /// What an expression of the table can name.
    pub(super) fn scope(&self, purity: Purity) -> Scope<'static> {
        let relation = Relation { name: self.table.name.clone(), fields: self.fields.clone() };
        Scope::new(vec![relation], purity)
    }

    /// Names in the target of columns given by number.
    pub(super) fn targets(&self, columns: &[usize]) -> Vec<String> {
        columns.iter().map(|column| self.plan.columns[*column].target.clone()).collect()
    }
}

/// A column's place in the plan.
struct Slot<'a> {
    /// Number of the column.
    index: usize,
    /// Name in the target.
    target: &'a str,
    facts: &'a ColumnFacts,
}

/// Facts about a table without rows.
static NO_FACTS: TableFacts =
    TableFacts { rows: 0, rowids: None, columns: Vec::new(), widest_row: 0 };

impl<'a> Builder<'a> {
    pub(super) fn draft_tables(&mut self) {
        let schema = self.inputs.schema;
        if schema.tables.is_empty() {
            self.warn(
                finding::NO_TABLES,
                Place::default(),
                "the file has no tables",
                "check that this is the file meant; an application may not have written to it yet",
            );
        }
        for (number, table) in schema.tables.iter().enumerate() {
            let facts = self.inputs.facts.get(number).unwrap_or(&NO_FACTS);
            let draft = self.draft(number, table, facts);
            self.drafts.push(draft);
        }
    }

    fn draft(&mut self, number: usize, table: &'a Table, facts: &'a TableFacts) -> Draft<'a> {
        self.check_size(table, facts);
        for what in &table.unread {
            self.warn(
                finding::STATEMENT_NOT_READ,
                Place::table(&table.name),
                format!("not carried: {what}"),
                "compare the table's statement in the source with the plan, and add what is missing",
            );
        }
        let sources: Vec<&str> = table.columns.iter().map(|column| column.name.as_str()).collect();
        let case = self.inputs.options.identifier_case();
        let targets = Names::default().assign(&sources, NameKind::Column, case);
        let mut draft = Draft {
            table,
            facts,
            plan: TablePlan {
                source: table.name.clone(),
                target: self.table_names[number].clone(),
                rows: facts.rows,
                ..TablePlan::default()
            },
            fields: Vec::new(),
            constraints: Names::default(),
            rejects: false,
        };
        for (index, target) in targets.iter().enumerate() {
            let place = Place::column(&table.name, sources[index]);
            self.report_rename(place, sources[index], target);
            let column_facts = facts.columns.get(index).cloned().unwrap_or_default();
            let decision =
                typemap::decide(table, index, &column_facts, &self.inputs.options.choices);
            draft.rejects |= rejects(&decision.findings, &self.inputs.options.choices);
            self.findings.extend(decision.findings.iter().cloned());
            let slot = Slot { index, target, facts: &column_facts };
            let column = self.column(table, slot, &decision);
            draft.fields.push(field(&table.columns[index], &column, decision.codec));
            draft.plan.columns.push(column);
        }
        self.generated_columns(&mut draft);
        draft
    }

    fn check_size(&mut self, table: &Table, facts: &TableFacts) {
        let place = Place::table(&table.name);
        if table.columns.len() > MOST_COLUMNS {
            self.block(
                finding::TOO_MANY_COLUMNS,
                place,
                format!("{} columns, and PostgreSQL takes {MOST_COLUMNS}", table.columns.len()),
                "split the table in the source, or take it out of the plan",
            );
        }
        if facts.widest_row > WIDEST_ROW {
            self.block(
                finding::ROW_TOO_WIDE,
                place,
                format!(
                    "the widest row needs {} bytes in its page even with every long value moved \
                     out, and PostgreSQL has {WIDEST_ROW}",
                    facts.widest_row
                ),
                "split the table in the source, or take it out of the plan",
            );
        }
    }

    fn column(&mut self, table: &Table, slot: Slot<'_>, decision: &ColumnDecision) -> ColumnPlan {
        let Slot { index, target, facts } = slot;
        let column = &table.columns[index];
        let place = Place::column(&table.name, &column.name);
        let is_alias = table.row_address == RowAddress::Alias(index);
        let identity = is_alias && decision.pg_type == "bigint";
        if identity {
            self.check_ids(table, index, facts);
        }
        let mut not_null = column.not_null || is_alias;
        if not_null && facts.nulls > 0 {
            not_null = false;
            let message = format!("declared NOT NULL, and {} rows hold NULL", facts.nulls);
            let hint = "the column takes NULLs in PostgreSQL; correct the rows to keep NOT NULL";
            let warning = finding::finding(
                Severity::Warning,
                finding::NOT_NULL_VIOLATED,
                place,
                message,
                hint,
            );
            self.findings.push(Finding { count: facts.nulls, ..warning });
        }
        self.report_collation(table, column, decision.codec);
        ColumnPlan {
            source: column.name.clone(),
            target: target.to_owned(),
            declared: column.declared.clone(),
            r#type: decision.pg_type.clone(),
            codec: decision.codec.to_string(),
            not_null,
            default: if identity { String::new() } else { self.default(table, column, decision) },
            generated: String::new(),
            identity,
            reason: decision.reason.clone(),
            ..ColumnPlan::default()
        }
    }

    fn check_ids(&mut self, table: &Table, index: usize, facts: &ColumnFacts) {
        let largest = facts.integer_range.map(|(_, largest)| largest).max(table.sequence);
        let left = i64::MAX - largest.unwrap_or_default().max(0);
        if left < FEW_IDS {
            self.warn(
                finding::IDENTITY_EXHAUSTED,
                Place::column(&table.name, &table.columns[index].name),
                format!("{left} ids are left above the largest one"),
                "SQLite looks for a free smaller id then and PostgreSQL does not; give new rows \
                 smaller ids",
            );
        }
    }

    fn report_collation(&mut self, table: &Table, column: &Column, codec: Codec) {
        let is_text = matches!(Kind::of(codec), Kind::Text | Kind::Coded(Codec::Escaped));
        let place = Place::column(&table.name, &column.name);
        match column.collation.as_str() {
            "BINARY" => {}
            _ if !is_text => {}
            "NOCASE" => self.note(
                finding::NOCASE_COLUMN,
                place,
                "compared without regard to ASCII case in SQLite; its indexes are made on \
                 lower(…)",
                "compare lower(column) in queries; a comparison of the column itself takes case \
                 into account",
            ),
            "RTRIM" => self.note(
                finding::COLLATION_NOT_CARRIED,
                place,
                "compared without regard to spaces at the end in SQLite; its indexes are made on \
                 rtrim(…)",
                "compare rtrim(column, ' ') in queries",
            ),
            other => self.note(
                finding::COLLATION_NOT_CARRIED,
                place,
                format!("the collation {other} does not exist in PostgreSQL"),
                "the values are the same; comparisons and sorting follow PostgreSQL's collation",
            ),
        }
    }

    fn default(&mut self, table: &Table, column: &Column, decision: &ColumnDecision) -> String {
        let Some(text) = &column.default else { return String::new() };
        let target = default::Target {
            affinity: column.affinity,
            codec: decision.codec,
            pg_type: &decision.pg_type,
        };
        match default::translate(text, target) {
            Ok(sql) => {
                if default::is_reinterpreted(text, target) {
                    self.note(
                        finding::DEFAULT_NOT_TRANSLATED,
                        Place::column(&table.name, &column.name),
                        "the DEFAULT is taken for the boolean that it means; SQLite itself stores \
                         it in another form than the values have",
                        "correct the declaration in the source, or the default in the plan",
                    );
                }
                sql.unwrap_or_default()
            }
            Err(reason) => {
                self.warn(
                    finding::DEFAULT_NOT_TRANSLATED,
                    Place::column(&table.name, &column.name),
                    format!("the DEFAULT is not carried: {reason}"),
                    "write the default in the plan if the application relies on it",
                );
                String::new()
            }
        }
    }

    fn generated_columns(&mut self, draft: &mut Draft<'a>) {
        for (index, column) in draft.table.columns.iter().enumerate() {
            if column.generated.is_some() {
                draft.fields[index].generated = true;
            }
        }
        let scope = draft.scope(Purity::Immutable);
        for (index, column) in draft.table.columns.iter().enumerate() {
            let Some(text) = &column.generated else { continue };
            let codec = draft.plan.columns[index].codec.parse::<Codec>();
            let overflows = draft
                .facts
                .columns
                .get(index)
                .is_some_and(|facts| facts.infinities > 0 || typemap::is_mixed(column, facts));
            let translated = match codec {
                // What does not fit becomes a REAL or an infinity in SQLite, and an error here.
                Ok(_) if overflows => {
                    Err("its values have several storage classes, or some are infinite".to_owned())
                }
                Ok(codec) => value(text, &scope).and_then(|typed| generated(&typed, codec)),
                Err(error) => Err(error.to_string()),
            };
            match translated {
                Ok(sql) => draft.plan.columns[index].generated = sql,
                Err(reason) => {
                    draft.fields[index].generated = false;
                    self.warn(
                        finding::GENERATED_NOT_TRANSLATED,
                        Place::column(&draft.table.name, &column.name),
                        format!("it becomes an ordinary column with its values: {reason}"),
                        "let the application or a trigger fill it for new rows",
                    );
                }
            }
        }
    }

    /// CHECKs, whose names must not be those of keys.
    pub(super) fn checks(&mut self, number: usize) {
        let draft = &self.drafts[number];
        let table = draft.table;
        let scope = draft.scope(Purity::Stable);
        for check in &table.checks {
            match condition(&check.expression, &scope) {
                Ok(expression) => {
                    let wanted = check
                        .name
                        .clone()
                        .unwrap_or_else(|| format!("{}_check", self.table_names[number]));
                    let draft = &mut self.drafts[number];
                    let name = draft.constraints.reserve(&wanted);
                    let check = CheckPlan { name, expression, ..CheckPlan::default() };
                    draft.plan.checks.push(check);
                }
                Err(reason) => self.warn(
                    finding::CHECK_NOT_TRANSLATED,
                    Place::table(&table.name),
                    match &check.name {
                        Some(name) => format!("the CHECK {name:?} is not carried: {reason}"),
                        None => format!("a CHECK is not carried: {reason}"),
                    },
                    "write the check in the plan if the application relies on it",
                ),
            }
        }
    }
}

/// Whether a choice sends rows with these findings to the rejects.
fn rejects(findings: &[Finding], choices: &[switchback_proto::v1::Choice]) -> bool {
    findings.iter().filter(|finding| !finding.choices.is_empty()).any(|finding| {
        choices
            .iter()
            .rev()
            .find(|choice| choice.code == finding.code)
            .is_some_and(|choice| choice.disposition() == Disposition::Reject)
    })
}

fn field(column: &Column, plan: &ColumnPlan, codec: Codec) -> Field {
    Field {
        name: column.name.clone(),
        sql: quote(&plan.target),
        kind: Kind::of(codec),
        pg_type: plan.r#type.clone(),
        affinity: Some(column.affinity),
        collation: column.collation.clone(),
        generated: false,
    }
}

/// The expression of a generated column, if it gives what the codec takes.
fn generated(typed: &Typed, codec: Codec) -> Result<String, String> {
    match (typed.kind, codec) {
        (Kind::Integer, Codec::Integer)
        | (Kind::Real, Codec::Real)
        | (Kind::Text, Codec::Text | Codec::Varchar(_))
        | (Kind::Blob, Codec::Blob)
        | (Kind::Bool, Codec::Bool(BoolForm::ZeroOne)) => Ok(typed.sql.clone()),
        (Kind::Bool, Codec::Integer) => Ok(format!("{}::int", typed.sql)),
        // REAL affinity makes a double of the integer.
        (Kind::Integer | Kind::Number, Codec::Real) => {
            Ok(format!("{}::double precision", typed.sql))
        }
        (kind, codec) => Err(format!(
            "its expression gives {}, and the column has the codec {codec}",
            kind.word()
        )),
    }
}
