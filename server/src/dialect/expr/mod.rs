//! SQLite's expressions in PostgreSQL's words.
//!
//! An expression is parsed, and each node is written anew with the storage class of its value in
//! mind; text is never replaced in text. What would not give the same result for every value is
//! refused with the reason: a guess that is wrong for one row is worse than none.

mod aggregate;
mod compare;
mod function;
mod moment;
mod operator;
mod pattern;
mod scope;
mod translate;

pub(crate) use self::{
    compare::constant,
    scope::{Field, Kind, Purity, Relation, Scope, Typed, real},
    translate::Translator,
};
use super::sqlite::parse_expression;

/// Result with the reason why an expression cannot be translated.
pub(crate) type Translated<T> = Result<T, String>;

/// Translates a condition: a CHECK, a predicate of an index.
pub(crate) fn condition(text: &str, scope: &Scope<'_>) -> Translated<String> {
    let expr = parse_expression(text)?;
    let translator = Translator::new(scope);
    translator.truth(&translator.expr(&expr)?)
}

/// Translates an expression that gives a value.
pub(crate) fn value(text: &str, scope: &Scope<'_>) -> Translated<Typed> {
    Translator::new(scope).expr(&parse_expression(text)?)
}

#[cfg(test)]
mod tests;
