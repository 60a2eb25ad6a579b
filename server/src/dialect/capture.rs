//! The SQL that change capture and the fence put into a SQLite file.
//!
//! The log holds keys, not images: whoever applies it reads the current row of each key, so that
//! logging a key too often is harmless and logging one too rarely loses a write. Trigger text has
//! built-in functions only and keeps to the syntax of SQLite 3.8, since any version may open the
//! file.
//!
//! Not seen: rows that an application's BEFORE trigger changes under the statement that fired it
//! (SQLite calls the result undefined: manual, "CREATE TRIGGER", section 3), and what is written
//! by `sqlite3_blob_write` or with triggers disabled, which fire nothing.

mod row;

use switchback_proto::v1::{Plan, TablePlan};

use self::row::Row;
use super::{
    ident::literal,
    schema::{Index, IndexKey, IndexTerm, RowAddress, SourceSchema, Table},
    sqlite::quote,
};

/// What the names of all that is ours in a SQLite file begin with.
pub const PREFIX: &str = "_switchback";

/// The change log.
pub const LOG: &str = "_switchback_log";

/// Stands for a table whose own name would hide the NEW and OLD of a trigger.
const STAND_IN: &str = "_switchback_row";

/// The column of a table in PostgreSQL that holds the rowid, where nothing else names a row.
pub const ROWID_COLUMN: &str = "_switchback_rowid";

/// The table as capture sees it: a primary key that the plan keeps has no NULLs, and none of an
/// existing table has some whose columns take none.
///
/// SQLite lets a key that is not declared NOT NULL hold some. Where one turns up later, the row has
/// no place in the target, and whoever applies the log says so.
pub fn keyed(table: &Table, plan: &TablePlan) -> Table {
    let mut table = table.clone();
    let takes_none = |column: &&usize| {
        let name = &table.columns[**column].name;
        let planned = plan.columns.iter().find(|planned| planned.source == *name);
        planned
            .is_some_and(|planned| planned.not_null || plan.primary_key.contains(&planned.target))
    };
    if table.primary_key.iter().filter(takes_none).count() == table.primary_key.len() {
        for column in table.primary_key.clone() {
            table.columns[column].not_null = true;
        }
    }
    table
}

/// Whether the target has to carry the rowid of the table.
pub fn carries_rowid(table: &Table, plan: &TablePlan) -> bool {
    matches!(capture_key(&keyed(table, plan)), CaptureKey::Rowid(_))
}

/// The schema as capture sees it.
pub fn keyed_schema(schema: &SourceSchema, plan: &Plan) -> SourceSchema {
    let keyed_by_plan = |table: &Table| {
        let planned = plan.tables.iter().find(|planned| planned.source == table.name);
        planned.map_or_else(|| table.clone(), |planned| keyed(table, planned))
    };
    SourceSchema { tables: schema.tables.iter().map(keyed_by_plan).collect(), ..schema.clone() }
}

/// Whether a name is one of ours; SQLite's names have no case.
pub fn is_ours(name: &str) -> bool {
    match (name.get(..PREFIX.len()), name.as_bytes().get(PREFIX.len())) {
        (Some(start), next) => {
            start.eq_ignore_ascii_case(PREFIX) && matches!(next, None | Some(b'_'))
        }
        (None, _) => false,
    }
}

/// What the log names a row by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CaptureKey {
    /// The columns with these numbers.
    Columns(Vec<usize>),
    /// The rowid under this name.
    Rowid(String),
    /// Nothing names a row: an entry has no key and means that the table is to be copied again.
    Whole,
}

impl CaptureKey {
    /// Number of key columns in the log.
    pub fn width(&self) -> usize {
        match self {
            Self::Columns(columns) => columns.len(),
            Self::Rowid(_) => 1,
            Self::Whole => 0,
        }
    }
}

/// The key of a table's entries in the log.
pub fn capture_key(table: &Table) -> CaptureKey {
    // The NULLs of a primary key are not unique, and only a rowid table may hold any.
    let names_a_row = !table.primary_key.is_empty()
        && table.primary_key.iter().all(|column| table.columns[*column].not_null);
    match &table.row_address {
        RowAddress::Alias(column) if !conflicts_on_the_next_rowid(table, *column) => {
            CaptureKey::Columns(vec![*column])
        }
        RowAddress::PrimaryKey => CaptureKey::Columns(table.primary_key.clone()),
        RowAddress::Rowid(_) | RowAddress::None if names_a_row => {
            CaptureKey::Columns(table.primary_key.clone())
        }
        RowAddress::Rowid(name) => CaptureKey::Rowid(name.clone()),
        RowAddress::Alias(_) | RowAddress::None => CaptureKey::Whole,
    }
}

/// Whether a unique index computes something from the rowid.
///
/// A BEFORE INSERT trigger doesn't know the rowid that SQLite is about to choose, so it can't
/// know which row that one will conflict with.
fn conflicts_on_the_next_rowid(table: &Table, alias: usize) -> bool {
    let name = table.columns[alias].name.to_lowercase();
    let mentions = |text: &str| text.to_lowercase().contains(&name);
    let computes = |term: &IndexTerm| match &term.key {
        IndexKey::Expression(text) => mentions(text),
        // What it is generated from may itself be generated.
        IndexKey::Column(column) => {
            table.columns[*column].generated.is_some()
                && table
                    .columns
                    .iter()
                    .filter_map(|column| column.generated.as_deref())
                    .any(mentions)
        }
    };
    table.indexes.iter().any(|index| index.unique && index.terms.iter().any(computes))
}

/// Number of key columns that the log of these tables needs; its anchor needs one.
pub fn log_width(tables: &[Table]) -> usize {
    tables.iter().map(|table| capture_key(table).width()).max().unwrap_or_default().max(1)
}

/// The statement that creates the log.
///
/// No affinity, so that keys are kept as they are. No UNIQUE: an outer OR IGNORE would drop the
/// entry, an outer OR ABORT would fail the application's statement.
pub fn create_log(width: usize) -> String {
    format!("CREATE TABLE {}(seq INTEGER PRIMARY KEY, tab INTEGER{})", quote(LOG), keys(width))
}

fn keys(width: usize) -> String {
    (1..=width).map(|number| format!(", k{number}")).collect()
}

/// Names and statements of the triggers that log what changes in a table; `number` stands for the
/// table in the log.
///
/// SQLite runs the trigger that was created last first, so these are to be created after the
/// application's: one of its AFTER triggers may end the statement by `RAISE(IGNORE)` or
/// `RAISE(FAIL)`, which keep the row and skip the triggers that are left.
pub fn capture_triggers(number: usize, table: &Table) -> Vec<(String, String)> {
    let capture = Capture::new(number, table);
    let conflicts = capture.conflicts();
    vec![
        trigger(number, table, ["ai", "AFTER INSERT"], &capture.entry("NEW")),
        trigger(number, table, ["au", "AFTER UPDATE"], &capture.update()),
        trigger(number, table, ["ad", "AFTER DELETE"], &capture.entry("OLD")),
        trigger(number, table, ["bi", "BEFORE INSERT"], &conflicts),
        trigger(number, table, ["bu", "BEFORE UPDATE"], &conflicts),
    ]
    .into_iter()
    .filter(|(_, sql)| !sql.is_empty())
    .collect()
}

/// Names and statements of the triggers that refuse every write to a table.
pub fn fence_triggers(number: usize, table: &Table, message: &str) -> Vec<(String, String)> {
    // ABORT would leave the application's transaction open, and with it SQLite's write lock, in
    // which nothing could be carried back. Nothing can have been written in it before.
    let body = format!("SELECT RAISE(ROLLBACK, {});", literal(message));
    vec![
        trigger(number, table, ["fi", "BEFORE INSERT"], &body),
        trigger(number, table, ["fu", "BEFORE UPDATE"], &body),
        trigger(number, table, ["fd", "BEFORE DELETE"], &body),
    ]
}

/// A trigger with a body, or an empty statement for an empty body, which SQLite doesn't allow.
fn trigger(number: usize, table: &Table, kind: [&str; 2], body: &str) -> (String, String) {
    let [suffix, event] = kind;
    let name = format!("{PREFIX}_{number}_{suffix}");
    if body.is_empty() {
        return (name, String::new());
    }
    let sql = format!(
        "CREATE TRIGGER {} {event} ON {} FOR EACH ROW BEGIN {body} END",
        quote(&name),
        quote(&table.name)
    );
    (name, sql)
}

/// The parts of one table's triggers.
struct Capture<'a> {
    number: usize,
    table: &'a Table,
    key: CaptureKey,
    /// What the table is called beside NEW and OLD, quoted.
    alias: String,
}

impl<'a> Capture<'a> {
    fn new(number: usize, table: &'a Table) -> Self {
        let hides = ["new", "old"].iter().any(|name| table.name.eq_ignore_ascii_case(name));
        let alias = quote(if hides { STAND_IN } else { &table.name });
        Self { number, table, key: capture_key(table), alias }
    }

    /// `INSERT INTO` the log, up to where the values begin.
    fn insert(&self) -> String {
        format!("INSERT INTO {}(tab{})", quote(LOG), keys(self.key.width()))
    }

    /// Number of the table and key of a row: NEW, OLD or the table itself.
    fn values(&self, row: &str) -> String {
        let mut values = self.number.to_string();
        match &self.key {
            CaptureKey::Columns(columns) => {
                for column in columns {
                    values += &format!(", {row}.{}", quote(&self.table.columns[*column].name));
                }
            }
            CaptureKey::Rowid(name) => values += &format!(", {row}.{name}"),
            CaptureKey::Whole => {}
        }
        values
    }

    fn entry(&self, row: &str) -> String {
        format!("{} VALUES ({});", self.insert(), self.values(row))
    }

    fn update(&self) -> String {
        let old = self.entry("OLD");
        let rowid = match (&self.key, &self.table.row_address) {
            (CaptureKey::Whole, _) => return old,
            (CaptureKey::Rowid(name), _) => name.clone(),
            (_, RowAddress::Alias(column)) => quote(&self.table.columns[*column].name),
            // `IS NOT` would miss 'A' → 'a' under NOCASE and 1 → 1.0.
            _ => return format!("{old} {}", self.entry("NEW")),
        };
        let (insert, new) = (self.insert(), self.values("NEW"));
        format!("{old} {insert} SELECT {new} WHERE NEW.{rowid} IS NOT OLD.{rowid};")
    }

    /// Logs the rows that REPLACE deletes without firing a trigger.
    fn conflicts(&self) -> String {
        if self.key == CaptureKey::Whole {
            return String::new();
        }
        let unique = self.table.indexes.iter().filter(|index| index.unique);
        let statements: Vec<String> = unique.flat_map(|index| self.conflict(index)).collect();
        statements.join(" ")
    }

    fn conflict(&self, index: &Index) -> Vec<String> {
        // REPLACE turns the NULL of a NOT NULL column into its default.
        let replaced: Vec<String> = self
            .table
            .columns
            .iter()
            .filter(|column| row::is_replaceable(column))
            .map(|column| format!("NEW.{} IS NULL", quote(&column.name)))
            .collect();
        let mut statements = vec![self.conflict_with(index, &Row::given(), None)];
        if !replaced.is_empty() {
            let condition = format!("({})", replaced.join(" OR "));
            statements.push(self.conflict_with(index, &Row::with_defaults(), Some(condition)));
        }
        statements
    }

    fn conflict_with(&self, index: &Index, row: &Row, condition: Option<String>) -> String {
        let mut terms: Vec<String> = condition.into_iter().collect();
        for term in &index.terms {
            let (old, new) = match &term.key {
                IndexKey::Column(column) => {
                    let name = &self.table.columns[*column].name;
                    (
                        format!("{}.{}", self.alias, quote(name)),
                        row.column(self.table, *column, &self.alias),
                    )
                }
                // It could not be read: the other terms find more rows than conflict.
                IndexKey::Expression(text) if text.is_empty() => continue,
                IndexKey::Expression(text) => {
                    (format!("({text})"), row.evaluate(self.table, text, &self.alias))
                }
            };
            terms.push(format!("{old} = {new} COLLATE {}", quote(&term.collation)));
        }
        // Only rows in the index conflict. Without this, SQLite can't use a partial index and
        // would scan the table at every write. Whether NEW is going to be in it doesn't matter.
        let predicate = index.predicate.iter().filter(|text| !text.is_empty());
        terms.extend(predicate.map(|text| format!("({text})")));
        let condition = if terms.is_empty() { "1".to_owned() } else { terms.join(" AND ") };
        format!(
            "{} SELECT {} FROM {} AS {} WHERE {condition};",
            self.insert(),
            self.values(&self.alias),
            quote(&self.table.name),
            self.alias
        )
    }
}

#[cfg(test)]
mod tests;
