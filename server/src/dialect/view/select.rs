//! One SELECT.

use sqlparser::ast::{
    Distinct, Expr, GroupByExpr, OrderBy, Select, SelectItem, SelectItemQualifiedWildcardKind,
    Value,
};

use super::{
    super::{
        expr::{Field, Kind, Purity, Relation, Scope, Translated, Translator, Typed},
        ident::quote,
    },
    Catalog, QuerySql,
    from::from,
    has_equality, order,
};

/// Translates a SELECT with the ORDER BY behind it.
pub(super) fn select(
    select: &Select,
    order_by: Option<&OrderBy>,
    catalog: &Catalog,
    outer: Option<&Scope<'_>>,
) -> Translated<QuerySql> {
    let distinct = match &select.distinct {
        None | Some(Distinct::All) => false,
        Some(Distinct::Distinct) => true,
        Some(Distinct::On(_)) => return Err("DISTINCT ON".into()),
    };
    if !select.named_window.is_empty() || select.qualify.is_some() || select.top.is_some() {
        return Err("a SELECT with windows".into());
    }
    let (from_sql, relations) = from(&select.from, catalog, outer)?;
    let mut scope = Scope {
        outer,
        catalog: Some(catalog),
        aggregates: true,
        ..Scope::new(relations, Purity::Stable)
    };
    let items = projection(&select.projection, &scope)?;
    let fields: Vec<Field> = items.iter().map(|(name, typed)| field(name, typed)).collect();
    if distinct && !fields.iter().all(has_equality) {
        return Err("DISTINCT of values that PostgreSQL compares in another way".into());
    }
    scope.aliases = items.clone();
    let list: Vec<String> =
        items.iter().map(|(name, typed)| format!("{} AS {}", typed.sql, quote(name))).collect();
    let mut sql =
        format!("SELECT {}{}{from_sql}", if distinct { "DISTINCT " } else { "" }, list.join(", "));
    let groups = groups(&select.group_by, &scope, &items)?;
    if let Some(condition) = &select.selection {
        scope.aggregates = false;
        let translator = Translator::new(&scope);
        sql += &format!(" WHERE {}", translator.truth(&translator.expr(condition)?)?);
        scope.aggregates = true;
    }
    if !groups.is_empty() {
        sql += &format!(" GROUP BY {}", groups.join(", "));
    }
    if let Some(condition) = &select.having {
        let translator = Translator::new(&scope);
        sql += &format!(" HAVING {}", translator.truth(&translator.expr(condition)?)?);
    }
    if let Some(clause) = order_by {
        sql += &order::by_expression(clause, &scope, distinct)?;
    }
    let one_row = groups.is_empty() && !distinct && has_aggregate(&select.projection, &scope);
    Ok(QuerySql { sql, fields, one_row })
}

fn field(name: &str, typed: &Typed) -> Field {
    Field {
        name: name.to_owned(),
        sql: quote(name),
        kind: typed.kind,
        pg_type: typed.pg_type.clone(),
        affinity: typed.affinity,
        collation: typed.collation.clone().unwrap_or_else(|| "BINARY".into()),
        generated: false,
    }
}

fn projection(items: &[SelectItem], scope: &Scope<'_>) -> Translated<Vec<(String, Typed)>> {
    let mut out = Vec::new();
    for item in items {
        match item {
            SelectItem::UnnamedExpr(expr) => {
                let name = match expr {
                    Expr::Identifier(name) => name.value.clone(),
                    Expr::CompoundIdentifier(names) => {
                        names.last().map_or_else(String::new, |name| name.value.clone())
                    }
                    _ => format!("column_{}", out.len() + 1),
                };
                out.push((name, result(expr, scope)?));
            }
            SelectItem::ExprWithAlias { expr, alias } => {
                out.push((alias.value.clone(), result(expr, scope)?));
            }
            SelectItem::Wildcard(_) => {
                out.extend(scope.relations.iter().flat_map(columns));
            }
            SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), _) => {
                let name = name.0.last().and_then(|part| part.as_ident()).map(|name| &name.value);
                let relation = scope
                    .relations
                    .iter()
                    .find(|relation| {
                        name.is_some_and(|name| relation.name.eq_ignore_ascii_case(name))
                    })
                    .ok_or("a wildcard of a table that is not there")?;
                out.extend(columns(relation));
            }
            other => return Err(format!("no translation of {other}")),
        }
    }
    // A name that PostgreSQL would cut must not come out of it.
    if out.iter().any(|(name, _)| name.len() > 63 || name.is_empty()) {
        return Err("a column whose name PostgreSQL cannot have".into());
    }
    Ok(out)
}

fn columns(relation: &Relation) -> impl Iterator<Item = (String, Typed)> {
    relation.fields.iter().map(|field| (field.name.clone(), field.typed()))
}

/// A comparison in the result is 0 or 1 in SQLite; a boolean column stays what it is.
fn result(expr: &Expr, scope: &Scope<'_>) -> Translated<Typed> {
    let typed = Translator::new(scope).expr(expr)?;
    Ok(match typed.kind {
        Kind::Bool if typed.affinity.is_none() => {
            Typed { kind: Kind::Integer, sql: format!("{}::int", typed.sql), ..typed }
        }
        _ => typed,
    })
}

fn groups(
    clause: &GroupByExpr,
    scope: &Scope<'_>,
    items: &[(String, Typed)],
) -> Translated<Vec<String>> {
    let GroupByExpr::Expressions(expressions, modifiers) = clause else {
        return Err("GROUP BY ALL".into());
    };
    if !modifiers.is_empty() {
        return Err("GROUP BY with modifiers".into());
    }
    expressions
        .iter()
        .map(|expr| {
            let typed = match position(expr) {
                Some(position) => items
                    .get(position - 1)
                    .map(|(_, typed)| typed.clone())
                    .ok_or("GROUP BY a column that is not there")?,
                None => Translator::new(scope).expr(expr)?,
            };
            if !has_equality(&field("", &typed)) {
                return Err("GROUP BY values that PostgreSQL compares in another way".into());
            }
            Ok(typed.sql)
        })
        .collect()
}

/// The number of a result column, from 1.
pub(super) fn position(expr: &Expr) -> Option<usize> {
    let Expr::Value(value) = expr else { return None };
    let Value::Number(digits, _) = &value.value else { return None };
    digits.parse().ok().filter(|position| *position > 0)
}

fn has_aggregate(items: &[SelectItem], scope: &Scope<'_>) -> bool {
    let plain = Scope {
        outer: scope.outer,
        catalog: scope.catalog,
        aliases: Vec::new(),
        ..Scope::new(scope.relations.clone(), Purity::Stable)
    };
    // What can be translated with aggregates and not without them has one.
    projection(items, &plain).is_err()
}
