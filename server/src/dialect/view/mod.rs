//! Views in PostgreSQL's words: every name resolved and quoted, every expression translated.

mod from;
mod order;
mod query;
mod select;

pub(crate) use self::query::{QuerySql, translate_query};
use super::{
    codec::Codec,
    expr::{Field, Kind, Relation, Translated},
    schema::View,
    sqlite::parse_query,
    sqlite_ddl,
};

/// Tables, views and common table expressions that a query can name.
#[derive(Debug, Clone, Default)]
pub(crate) struct Catalog {
    /// The latest first wins, as an inner WITH hides what is around it.
    entries: Vec<Entry>,
}

#[derive(Debug, Clone)]
struct Entry {
    /// Name in PostgreSQL, with its schema, quoted.
    sql: String,
    relation: Relation,
}

impl Catalog {
    /// Adds what can be named; the SQL of each field is its quoted name.
    pub(crate) fn add(&mut self, sql: String, relation: Relation) {
        self.entries.push(Entry { sql, relation });
    }

    fn find(&self, name: &str) -> Option<&Entry> {
        self.entries.iter().rev().find(|entry| entry.relation.name.eq_ignore_ascii_case(name))
    }
}

/// Translates the SELECT of a view.
pub(crate) fn translate(view: &View, catalog: &Catalog) -> Translated<QuerySql> {
    if view.columns.is_empty() {
        return Err("SQLite itself cannot resolve it".into());
    }
    let query = parse_query(&sqlite_ddl::read_view(&view.sql)?)?;
    let mut translated = translate_query(&query, catalog, None)?;
    if translated.fields.len() != view.columns.len() {
        return Err(format!(
            "it has {} columns and SQLite says {}",
            translated.fields.len(),
            view.columns.len()
        ));
    }
    for (field, name) in translated.fields.iter_mut().zip(&view.columns) {
        field.name.clone_from(name);
    }
    Ok(translated)
}

/// Whether PostgreSQL takes the same values of the column for equal as SQLite does.
fn has_equality(field: &Field) -> bool {
    match field.kind {
        Kind::Text => field.collation == "BINARY",
        // 5 and 5.0 are equal, and `i:5` and `r:5.0` are not.
        Kind::Coded(Codec::Tagged) => false,
        _ => true,
    }
}

#[cfg(test)]
mod tests;
