//! One node after the other.

use sqlparser::ast::{CaseWhen, CastKind, DataType, Expr, Ident, Query, Value};

use super::{
    super::{codec::EXACT_INTEGERS, ident::literal, schema::Affinity, view},
    Kind, Scope, Translated, Typed,
    scope::Literal,
};

/// Writes the nodes of an expression for PostgreSQL.
pub(crate) struct Translator<'a> {
    pub(super) scope: &'a Scope<'a>,
}

impl<'a> Translator<'a> {
    pub(crate) fn new(scope: &'a Scope<'a>) -> Self {
        Self { scope }
    }

    pub(crate) fn expr(&self, expr: &Expr) -> Translated<Typed> {
        match expr {
            Expr::Nested(inner) => self.expr(inner),
            Expr::Value(value) => self.literal(&value.value),
            Expr::Identifier(name) => self.column(None, name),
            Expr::CompoundIdentifier(names) => match names.as_slice() {
                // `main.t.c`
                [_, table, column] | [table, column] => self.column(Some(table), column),
                _ => Err("a name has too many parts".into()),
            },
            Expr::BinaryOp { left, op, right } => self.binary(left, op, right),
            Expr::UnaryOp { op, expr } => self.unary(*op, expr),
            Expr::IsNull(inner) => self.is_null(inner, "IS NULL"),
            Expr::IsNotNull(inner) => self.is_null(inner, "IS NOT NULL"),
            Expr::IsTrue(inner) => self.is_truth(inner, "IS TRUE"),
            Expr::IsNotTrue(inner) => self.is_truth(inner, "IS NOT TRUE"),
            Expr::IsFalse(inner) => self.is_truth(inner, "IS FALSE"),
            Expr::IsNotFalse(inner) => self.is_truth(inner, "IS NOT FALSE"),
            Expr::IsNotDistinctFrom(left, right) => {
                self.comparison(left, "IS NOT DISTINCT FROM", right)
            }
            Expr::IsDistinctFrom(left, right) => self.comparison(left, "IS DISTINCT FROM", right),
            Expr::Between { expr, negated, low, high } => self.between(expr, *negated, low, high),
            Expr::InList { expr, list, negated } => self.in_list(expr, list, *negated),
            Expr::InSubquery { expr, subquery, negated } => {
                self.in_subquery(expr, subquery, *negated)
            }
            Expr::Like { negated, any: false, expr, pattern, escape_char } => {
                self.like(expr, pattern, escape_char.as_deref(), *negated)
            }
            Expr::Collate { expr, collation } => self.collate(expr, &collation.to_string()),
            Expr::Cast { kind: CastKind::Cast, expr, data_type, format: None } => {
                self.cast(&self.expr(expr)?, data_type)
            }
            Expr::Case { operand, conditions, else_result, .. } => {
                self.case(operand.as_deref(), conditions, else_result.as_deref())
            }
            Expr::Exists { subquery, negated } => self.exists(subquery, *negated),
            Expr::Subquery(query) => self.scalar_subquery(query),
            Expr::Function(_) | Expr::Substring { .. } | Expr::Trim { .. } => self.call(expr),
            other => Err(format!("no translation of {}", shortened(&other.to_string()))),
        }
    }

    fn literal(&self, value: &Value) -> Translated<Typed> {
        match value {
            Value::Null => Ok(Typed::new(Kind::Null, "NULL")),
            Value::Boolean(value) => Ok(Typed::integer_literal(i64::from(*value))),
            Value::Number(digits, _) => number(digits),
            Value::SingleQuotedString(text) | Value::DoubleQuotedString(text) => {
                Ok(Typed::text_literal(text))
            }
            Value::HexStringLiteral(digits) => {
                let sql = format!("{}::bytea", literal(&format!("\\x{digits}")));
                Ok(Typed::new(Kind::Blob, sql))
            }
            other => {
                Err(format!("no translation of the literal {}", shortened(&other.to_string())))
            }
        }
    }

    fn column(&self, table: Option<&Ident>, column: &Ident) -> Translated<Typed> {
        if let Some(typed) =
            self.scope.resolve(table.map(|name| name.value.as_str()), &column.value)?
        {
            return Ok(typed);
        }
        match (table, column.quote_style) {
            // SQLite takes a name in double quotes that names nothing for a string (SQLite
            // manual, "Quirks", section 8).
            (None, Some('"')) => Ok(Typed::text_literal(&column.value)),
            (None, None) if column.value.eq_ignore_ascii_case("true") => {
                Ok(Typed::integer_literal(1))
            }
            (None, None) if column.value.eq_ignore_ascii_case("false") => {
                Ok(Typed::integer_literal(0))
            }
            _ => Err(format!("there is no column {:?}", column.value)),
        }
    }

    fn is_null(&self, inner: &Expr, test: &str) -> Translated<Typed> {
        let inner = self.expr(inner)?;
        Ok(Typed::new(Kind::Bool, format!("({} {test})", inner.sql)))
    }

    fn is_truth(&self, inner: &Expr, test: &str) -> Translated<Typed> {
        let inner = self.truth(&self.expr(inner)?)?;
        Ok(Typed::new(Kind::Bool, format!("({inner} {test})")))
    }

    fn collate(&self, inner: &Expr, collation: &str) -> Translated<Typed> {
        let collation = collation.trim_matches(['"', '`', '[', ']']).to_ascii_uppercase();
        Ok(Typed { collation: Some(collation), explicit: true, ..self.expr(inner)? })
    }

    fn cast(&self, inner: &Typed, data_type: &DataType) -> Translated<Typed> {
        let affinity = Affinity::of(&data_type.to_string(), false);
        let typed = match (affinity, inner.kind) {
            (_, Kind::Null) => inner.clone(),
            (Affinity::Text, _) => Typed::new(Kind::Text, self.text(inner)?),
            (Affinity::Integer, Kind::Integer | Kind::Bool) => {
                Typed::new(Kind::Integer, self.number(inner)?)
            }
            (Affinity::Integer, Kind::Real | Kind::Number) => {
                // SQLite stops at the ends of its range, where PostgreSQL fails.
                let real = self.double(inner)?;
                let sql = format!(
                    "(CASE WHEN {real} >= 9223372036854775808 THEN 9223372036854775807 \
                     WHEN {real} < -9223372036854775808 THEN '-9223372036854775808'::bigint \
                     ELSE trunc({real})::bigint END)"
                );
                Typed::new(Kind::Integer, sql)
            }
            (Affinity::Real, kind) if kind.is_numeric() => {
                Typed::new(Kind::Real, self.double(inner)?)
            }
            (Affinity::Numeric, kind) if kind.is_numeric() => Typed::new(kind, inner.sql.clone()),
            (Affinity::Blob, Kind::Blob) => inner.clone(),
            _ => return Err(format!("no exact CAST of {} AS {data_type}", inner.kind.word())),
        };
        Ok(Typed { affinity: Some(affinity), literal: None, ..typed })
    }

    fn case(
        &self,
        operand: Option<&Expr>,
        conditions: &[CaseWhen],
        otherwise: Option<&Expr>,
    ) -> Translated<Typed> {
        let tests = conditions
            .iter()
            .map(|when| match operand {
                Some(operand) => Ok(self.comparison(operand, "=", &when.condition)?.sql),
                None => self.truth(&self.expr(&when.condition)?),
            })
            .collect::<Translated<Vec<String>>>()?;
        let mut results = conditions
            .iter()
            .map(|when| self.expr(&when.result))
            .collect::<Translated<Vec<Typed>>>()?;
        results.push(match otherwise {
            Some(otherwise) => self.expr(otherwise)?,
            None => Typed::new(Kind::Null, "NULL"),
        });
        let (shape, results) = self.unify(&results)?;
        let arms: String = tests
            .iter()
            .zip(&results)
            .map(|(test, result)| format!(" WHEN {test} THEN {result}"))
            .collect();
        let last = results.last().map_or("NULL", String::as_str);
        Ok(Typed { sql: format!("(CASE{arms} ELSE {last} END)"), ..shape })
    }

    fn exists(&self, query: &Query, negated: bool) -> Translated<Typed> {
        let query = self.subquery(query)?;
        let not = if negated { "NOT " } else { "" };
        Ok(Typed::new(Kind::Bool, format!("({not}EXISTS ({}))", query.sql)))
    }

    fn scalar_subquery(&self, query: &Query) -> Translated<Typed> {
        let translated = self.subquery(query)?;
        let [field] = &translated.fields[..] else {
            return Err("a subquery in an expression has more than one column".into());
        };
        // SQLite takes the first row where there are several; PostgreSQL fails.
        let sql = if translated.one_row || query.limit_clause.is_some() {
            format!("({})", translated.sql)
        } else {
            format!("({} LIMIT 1)", translated.sql)
        };
        Ok(Typed { sql, literal: None, ..field.typed() })
    }

    fn in_subquery(&self, expr: &Expr, query: &Query, negated: bool) -> Translated<Typed> {
        let translated = self.subquery(query)?;
        let [field] = &translated.fields[..] else {
            return Err("a subquery after IN has more than one column".into());
        };
        let left = self.expr(expr)?;
        let column = Typed { sql: String::new(), ..field.typed() };
        let (left_sql, right_sql) = self.operands(&left, &column, false)?;
        if !right_sql.is_empty() {
            return Err("a subquery after IN gives another type than what stands before it".into());
        }
        let not = if negated { "NOT " } else { "" };
        Ok(Typed::new(Kind::Bool, format!("({left_sql} {not}IN ({}))", translated.sql)))
    }

    fn subquery(&self, query: &Query) -> Translated<view::QuerySql> {
        let catalog = self.scope.catalog.ok_or("a subquery cannot stand here in PostgreSQL")?;
        view::translate_query(query, catalog, Some(self.scope))
    }

    /// The expression as a condition: SQLite takes every number but zero for true.
    pub(crate) fn truth(&self, typed: &Typed) -> Translated<String> {
        match (&typed.literal, typed.kind) {
            (Some(Literal::Integer(value)), _) => Ok((*value != 0).to_string()),
            (_, Kind::Null) => Ok("NULL::boolean".into()),
            (_, Kind::Bool) => Ok(typed.sql.clone()),
            (_, Kind::Integer | Kind::Real | Kind::Number) => Ok(format!("({} <> 0)", typed.sql)),
            (_, kind) => Err(format!("{} stands where a condition is wanted", kind.word())),
        }
    }

    /// The expression as a number; a comparison is 0 or 1 in SQLite.
    pub(super) fn number(&self, typed: &Typed) -> Translated<String> {
        match typed.kind {
            Kind::Bool => Ok(format!("{}::int", typed.sql)),
            Kind::Integer | Kind::Real | Kind::Number | Kind::Null => Ok(typed.sql.clone()),
            kind => Err(format!("{} stands where a number is wanted", kind.word())),
        }
    }

    pub(super) fn double(&self, typed: &Typed) -> Translated<String> {
        match typed.kind {
            Kind::Real => Ok(typed.sql.clone()),
            _ => Ok(format!("{}::double precision", self.number(typed)?)),
        }
    }

    /// The expression as text, spelt as SQLite spells it.
    pub(super) fn text(&self, typed: &Typed) -> Translated<String> {
        match typed.kind {
            Kind::Text => Ok(typed.sql.clone()),
            Kind::Null => Ok("NULL::text".into()),
            Kind::Integer => Ok(format!("{}::text", typed.sql)),
            Kind::Bool => Ok(format!("{}::int::text", typed.sql)),
            Kind::Coded(codec) => self.coded_text(&typed.sql, codec),
            kind => Err(format!("{} has another spelling as text in PostgreSQL", kind.word())),
        }
    }

    /// One type for all of them, as the results of a CASE need it.
    pub(super) fn unify(&self, all: &[Typed]) -> Translated<(Typed, Vec<String>)> {
        let mut kinds = all.iter().filter(|typed| typed.kind != Kind::Null);
        let Some(first) = kinds.next() else {
            let null = Typed::new(Kind::Null, "NULL");
            return Ok((null, vec!["NULL".into(); all.len()]));
        };
        let shape =
            |kind| Typed { pg_type: first.pg_type.clone(), ..Typed::new(kind, String::new()) };
        if kinds.clone().all(|typed| typed.kind == first.kind) {
            let sql = all.iter().map(|typed| typed.sql.clone()).collect();
            return Ok((shape(first.kind), sql));
        }
        if all.iter().all(|typed| typed.kind.is_numeric() || typed.kind == Kind::Null) {
            let whole = kinds.all(|typed| matches!(typed.kind, Kind::Integer | Kind::Bool))
                && matches!(first.kind, Kind::Integer | Kind::Bool);
            if !whole && all.iter().any(is_wide) {
                return Err("integers among reals: a double does not hold them all".into());
            }
            let sql = all
                .iter()
                .map(|typed| if whole { self.number(typed) } else { self.double(typed) })
                .collect::<Translated<Vec<String>>>()?;
            let kind = if whole { Kind::Integer } else { Kind::Number };
            return Ok((Typed::new(kind, String::new()), sql));
        }
        let sql = all.iter().map(|typed| self.text(typed)).collect::<Translated<Vec<String>>>();
        match sql {
            Ok(sql)
                if all.iter().all(|typed| !matches!(typed.kind, Kind::Integer | Kind::Bool)) =>
            {
                Ok((Typed::new(Kind::Text, String::new()), sql))
            }
            _ => Err("its values are of different classes".into()),
        }
    }
}

/// An integer that a double may not hold.
fn is_wide(typed: &Typed) -> bool {
    let exact = -EXACT_INTEGERS..=EXACT_INTEGERS;
    typed.kind == Kind::Integer
        && !matches!(typed.literal, Some(Literal::Integer(value)) if exact.contains(&value))
}

fn number(digits: &str) -> Translated<Typed> {
    let digits = digits.replace('_', "");
    if let Ok(value) = digits.parse::<i64>() {
        return Ok(Typed::integer_literal(value));
    }
    let value: f64 = digits.parse().map_err(|_| format!("{digits} is no number"))?;
    Ok(Typed::real_literal(value))
}

/// The beginning of a text, for a message.
pub(super) fn shortened(text: &str) -> String {
    match text.char_indices().nth(40) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
