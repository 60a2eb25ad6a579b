//! A query with its WITH, its set operations, its ORDER BY and LIMIT.

use sqlparser::ast::{Cte, Distinct, Query, SetExpr, SetOperator, SetQuantifier, With};

use super::{
    super::{
        expr::{Field, Kind, Relation, Scope, Translated},
        ident::quote,
    },
    Catalog, has_equality, order,
    select::select,
};

/// A translated query.
#[derive(Debug)]
pub(crate) struct QuerySql {
    pub sql: String,
    /// Its columns; the SQL of each is its quoted name.
    pub fields: Vec<Field>,
    /// It gives one row, whatever the tables hold.
    pub one_row: bool,
}

/// Translates a query; `outer` is the scope of the query around it.
pub(crate) fn translate_query(
    query: &Query,
    catalog: &Catalog,
    outer: Option<&Scope<'_>>,
) -> Translated<QuerySql> {
    let plain = query.fetch.is_none()
        && query.locks.is_empty()
        && query.for_clause.is_none()
        && query.settings.is_none()
        && query.format_clause.is_none()
        && query.pipe_operators.is_empty();
    if !plain {
        return Err("it has clauses that SQLite does not know".into());
    }
    let mut inner = catalog.clone();
    let with = match &query.with {
        Some(with) => common_tables(with, &mut inner, outer)?,
        None => String::new(),
    };
    let mut translated = match query.body.as_ref() {
        SetExpr::Select(body) => select(body, query.order_by.as_ref(), &inner, outer)?,
        body => {
            let mut translated = set_expression(body, &inner, outer)?;
            if let Some(clause) = &query.order_by {
                translated.sql += &order::by_name(clause, &translated.fields)?;
            }
            translated
        }
    };
    if let Some(limit) = &query.limit_clause {
        if query.order_by.is_some() && is_sorted_by_columns(&query.body) {
            let text = |field: &Field| matches!(field.kind, Kind::Text | Kind::Coded(_));
            if translated.fields.iter().any(text) {
                return Err("a LIMIT behind text that is sorted by PostgreSQL's collation".into());
            }
        }
        translated.sql += &order::limit(limit)?;
    }
    translated.sql = with + &translated.sql;
    Ok(translated)
}

/// PostgreSQL sorts these results by their columns as they are, not by another expression.
fn is_sorted_by_columns(body: &SetExpr) -> bool {
    match body {
        SetExpr::Select(select) => matches!(select.distinct, Some(Distinct::Distinct)),
        _ => true,
    }
}

fn common_tables(
    with: &With,
    catalog: &mut Catalog,
    outer: Option<&Scope<'_>>,
) -> Translated<String> {
    if with.recursive && with.cte_tables.iter().any(is_recursive) {
        return Err("a recursive WITH".into());
    }
    let mut tables = Vec::new();
    for table in &with.cte_tables {
        let mut translated = translate_query(&table.query, catalog, outer)?;
        rename(&mut translated, table)?;
        let name = quote(&table.alias.name.value);
        let columns: Vec<&str> = translated.fields.iter().map(|field| field.sql.as_str()).collect();
        tables.push(format!("{name}({}) AS ({})", columns.join(", "), translated.sql));
        let relation = Relation { name: table.alias.name.value.clone(), fields: translated.fields };
        catalog.add(name, relation);
    }
    Ok(format!("WITH {} ", tables.join(", ")))
}

fn is_recursive(table: &Cte) -> bool {
    // Its text names itself, at least somewhere: enough to leave it alone.
    let name = table.alias.name.value.to_ascii_lowercase();
    table.query.to_string().to_ascii_lowercase().contains(&name)
}

/// Gives the columns of a common table expression the names in its parentheses.
fn rename(translated: &mut QuerySql, table: &Cte) -> Translated<()> {
    let names = &table.alias.columns;
    if !names.is_empty() && names.len() != translated.fields.len() {
        return Err(format!("{} has another number of columns", table.alias.name.value));
    }
    for (field, name) in translated.fields.iter_mut().zip(names) {
        field.name.clone_from(&name.name.value);
        field.sql = quote(&name.name.value);
    }
    Ok(())
}

fn set_expression(
    body: &SetExpr,
    catalog: &Catalog,
    outer: Option<&Scope<'_>>,
) -> Translated<QuerySql> {
    match body {
        SetExpr::Select(body) => select(body, None, catalog, outer),
        SetExpr::Query(query) => translate_query(query, catalog, outer),
        SetExpr::SetOperation { left, op, set_quantifier, right } => {
            // SQLite goes from left to right; the parser binds INTERSECT tighter.
            if matches!(right.as_ref(), SetExpr::SetOperation { .. }) {
                return Err("INTERSECT after another set operation".into());
            }
            let all = match set_quantifier {
                SetQuantifier::All => true,
                SetQuantifier::None | SetQuantifier::Distinct => false,
                _ => return Err("a set operation BY NAME".into()),
            };
            let word = match op {
                SetOperator::Union if all => "UNION ALL",
                SetOperator::Union => "UNION",
                SetOperator::Except => "EXCEPT",
                SetOperator::Intersect => "INTERSECT",
                SetOperator::Minus => return Err("MINUS".into()),
            };
            let left = set_expression(left, catalog, outer)?;
            let right = set_expression(right, catalog, outer)?;
            let fields = united(left.fields, &right.fields, all)?;
            let sql = format!("({}) {word} ({})", left.sql, right.sql);
            Ok(QuerySql { sql, fields, one_row: false })
        }
        _ => Err("a query that is no SELECT".into()),
    }
}

fn united(left: Vec<Field>, right: &[Field], all: bool) -> Translated<Vec<Field>> {
    if left.len() != right.len() {
        return Err("a set operation of different numbers of columns".into());
    }
    left.into_iter()
        .zip(right)
        .map(|(left, right)| {
            let comparable = all || (has_equality(&left) && has_equality(right));
            if !comparable {
                return Err(
                    "a set operation of values that PostgreSQL compares in another way".into()
                );
            }
            match (left.kind, right.kind) {
                (a, b) if a == b => Ok(left),
                (_, Kind::Null) => Ok(left),
                (Kind::Null, _) => Ok(Field { kind: right.kind, ..left }),
                (a, b) => Err(format!("a set operation of {} and {}", a.word(), b.word())),
            }
        })
        .collect()
}
