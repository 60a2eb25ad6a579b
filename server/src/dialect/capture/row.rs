//! The row that is about to be written, as a BEFORE trigger can compute it.

use sqlparser::tokenizer::Token;

use crate::dialect::{
    ident::literal,
    schema::{Column, Table},
    sqlite::{self, quote},
};

/// Whether REPLACE turns a NULL in this column into its default.
pub(super) fn is_replaceable(column: &Column) -> bool {
    column.not_null && column.default.is_some() && column.generated.is_none()
}

/// The row that is about to be written.
pub(super) struct Row {
    /// Its NULLs are already replaced by defaults.
    defaults: bool,
}

impl Row {
    /// As the statement gives it.
    pub(super) fn given() -> Self {
        Self { defaults: false }
    }

    /// With its NULLs replaced by defaults.
    ///
    /// Kept apart, since `coalesce` takes affinity and collation from what it returns.
    pub(super) fn with_defaults() -> Self {
        Self { defaults: true }
    }

    fn value(&self, column: &Column) -> String {
        let new = format!("NEW.{}", quote(&column.name));
        match &column.default {
            Some(default) if self.defaults && is_replaceable(column) => {
                format!("coalesce({new}, {})", default_value(default))
            }
            _ => new,
        }
    }

    /// A column; `alias` is what the table is called in the statement, quoted.
    pub(super) fn column(&self, table: &Table, number: usize, alias: &str) -> String {
        let column = &table.columns[number];
        match &column.generated {
            Some(text) if self.defaults && !text.is_empty() => self.evaluate(table, text, alias),
            _ => self.value(column),
        }
    }

    /// An expression over the row, in which columns may have the table's name before theirs.
    pub(super) fn evaluate(&self, table: &Table, text: &str, alias: &str) -> String {
        let columns = &table.columns;
        let list = |value: &dyn Fn(&Column) -> String| -> String {
            let values: Vec<String> = columns
                .iter()
                .map(|column| format!("{} AS {}", value(column), quote(&column.name)))
                .collect();
            values.join(", ")
        };
        let mut row = format!("(SELECT {}) AS {}", list(&|column| self.value(column)), alias);
        // A generated column may rest on another one: each pass gets one more of them right.
        let passes = columns.iter().filter(|column| column.generated.is_some()).count();
        for _ in 0..if self.defaults { passes } else { 0 } {
            let generate = |column: &Column| match column.generated.as_deref() {
                Some(text) if !text.is_empty() => format!("({text})"),
                _ => quote(&column.name),
            };
            row = format!("(SELECT {} FROM {row}) AS {}", list(&generate), alias);
        }
        format!("(SELECT ({text}) FROM {row})")
    }
}

/// A DEFAULT as an expression; a bare or quoted name there is a string (SQLite's grammar), and
/// would be a column in a trigger.
pub(super) fn default_value(text: &str) -> String {
    let tokens = sqlite::tokens(text).unwrap_or_default();
    if let [lexeme] = &tokens[..]
        && let Token::Word(word) = &lexeme.token
    {
        let constants =
            ["null", "true", "false", "current_time", "current_date", "current_timestamp"];
        let is_constant = word.quote_style.is_none()
            && constants.iter().any(|constant| word.value.eq_ignore_ascii_case(constant));
        if !is_constant {
            return literal(&word.value);
        }
    }
    format!("({text})")
}
