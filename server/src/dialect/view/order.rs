//! ORDER BY and LIMIT.

use sqlparser::ast::{
    Expr, LimitClause, OrderBy, OrderByExpr, OrderByKind, OrderBySort, UnaryOperator, Value,
};

use super::{
    super::{
        codec::Codec,
        expr::{Field, Kind, Scope, Translated, Translator, Typed},
    },
    select::position,
};

fn terms(clause: &OrderBy) -> Translated<&[OrderByExpr]> {
    match &clause.kind {
        OrderByKind::Expressions(terms) if clause.interpolate.is_none() => Ok(terms),
        _ => Err("ORDER BY ALL".into()),
    }
}

/// Direction of a term. NULL is the smallest value in SQLite and the largest in PostgreSQL.
fn direction(term: &OrderByExpr) -> Translated<&'static str> {
    let descending = match &term.options.sort {
        None | Some(OrderBySort::Asc) => false,
        Some(OrderBySort::Desc) => true,
        Some(OrderBySort::Using(_)) => return Err("ORDER BY USING".into()),
    };
    Ok(match (descending, term.options.nulls_first.unwrap_or(!descending)) {
        (false, true) => " ASC NULLS FIRST",
        (false, false) => " ASC NULLS LAST",
        (true, true) => " DESC NULLS FIRST",
        (true, false) => " DESC NULLS LAST",
    })
}

/// ORDER BY behind a set operation: columns of its result only.
pub(super) fn by_name(clause: &OrderBy, fields: &[Field]) -> Translated<String> {
    let terms = terms(clause)?
        .iter()
        .map(|term| {
            let named =
                |name: &str| fields.iter().position(|field| field.name.eq_ignore_ascii_case(name));
            let number = match &term.expr {
                Expr::Identifier(name) => named(&name.value).map(|index| index + 1),
                expr => position(expr),
            };
            let number = number.ok_or("ORDER BY an expression behind a set operation")?;
            Ok(format!("{number}{}", direction(term)?))
        })
        .collect::<Translated<Vec<String>>>()?;
    Ok(format!(" ORDER BY {}", terms.join(", ")))
}

/// ORDER BY of one SELECT: by column numbers, by names of its result, by expressions.
pub(super) fn by_expression(
    clause: &OrderBy,
    scope: &Scope<'_>,
    distinct: bool,
) -> Translated<String> {
    let terms = terms(clause)?
        .iter()
        .map(|term| {
            let named = match &term.expr {
                Expr::Identifier(name) => scope
                    .aliases
                    .iter()
                    .position(|(alias, _)| alias.eq_ignore_ascii_case(&name.value)),
                expr => position(expr).map(|number| number - 1),
            };
            let direction = direction(term)?;
            if let (Some(index), true) = (named, distinct) {
                // PostgreSQL sorts what is DISTINCT by what it has selected.
                return Ok(format!("{}{direction}", index + 1));
            }
            let typed = match named {
                Some(index) => {
                    scope.aliases.get(index).ok_or("ORDER BY a column that is not there")?.1.clone()
                }
                None => Translator::new(scope).expr(&term.expr)?,
            };
            Ok(format!("{}{direction}", sorted(&typed, distinct)?))
        })
        .collect::<Translated<Vec<String>>>()?;
    Ok(format!(" ORDER BY {}", terms.join(", ")))
}

fn sorted(typed: &Typed, distinct: bool) -> Translated<String> {
    if let Kind::Coded(Codec::Tagged | Codec::Escaped) = typed.kind {
        return Err("ORDER BY values that are encoded".into());
    }
    if typed.kind != Kind::Text || distinct {
        return Ok(match typed.literal {
            // A bare number would name a column.
            Some(_) => format!("({})::text", typed.sql),
            None => typed.sql.clone(),
        });
    }
    match typed.collation.as_deref().unwrap_or("BINARY") {
        "BINARY" => Ok(format!("{} COLLATE \"C\"", typed.sql)),
        "NOCASE" => Ok(format!("lower({} COLLATE \"C\")", typed.sql)),
        "RTRIM" => Ok(format!("rtrim({}, ' ') COLLATE \"C\"", typed.sql)),
        other => Err(format!("the collation {other} is not known")),
    }
}

/// LIMIT and OFFSET by literals; a negative LIMIT is none in SQLite.
pub(super) fn limit(clause: &LimitClause) -> Translated<String> {
    let (limit, offset) = match clause {
        LimitClause::LimitOffset { limit, offset, limit_by } if limit_by.is_empty() => {
            (limit.as_ref(), offset.as_ref().map(|offset| &offset.value))
        }
        LimitClause::OffsetCommaLimit { offset, limit } => (Some(limit), Some(offset)),
        LimitClause::LimitOffset { .. } => return Err("LIMIT BY".into()),
    };
    let mut sql = String::new();
    if let Some(count) = limit.map(number).transpose()?.filter(|count| *count >= 0) {
        sql += &format!(" LIMIT {count}");
    }
    if let Some(count) = offset.map(number).transpose()?.filter(|count| *count > 0) {
        sql += &format!(" OFFSET {count}");
    }
    Ok(sql)
}

fn number(expr: &Expr) -> Translated<i64> {
    let refused = || "LIMIT by an expression".to_owned();
    match expr {
        Expr::Value(value) => match &value.value {
            Value::Number(digits, _) => digits.parse().map_err(|_| refused()),
            _ => Err(refused()),
        },
        Expr::UnaryOp { op: UnaryOperator::Minus, expr } => number(expr).map(|count| -count),
        _ => Err(refused()),
    }
}
