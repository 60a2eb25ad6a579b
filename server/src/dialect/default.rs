//! DEFAULT values in PostgreSQL's words.

use sqlparser::ast::{Expr, FunctionArg, FunctionArgExpr, FunctionArguments, UnaryOperator};

use super::{
    codec::{BoolForm, Codec, stored_as_integer},
    expr::{Kind, Purity, Scope, Translated, Translator, Typed, constant, real},
    ident::literal,
    schema::Affinity,
    sqlite::parse_expression,
    value::OwnedValue,
};

/// What a default is for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Target<'a> {
    pub affinity: Affinity,
    pub codec: Codec,
    pub pg_type: &'a str,
}

/// Texts that a boolean default is spelt with, whatever the values are spelt with.
const TRUE: [&str; 4] = ["t", "true", "y", "yes"];
const FALSE: [&str; 4] = ["f", "false", "n", "no"];

/// The default as an expression of PostgreSQL; none for NULL.
pub(crate) fn translate(text: &str, target: Target<'_>) -> Translated<Option<String>> {
    let expr = parse_expression(text)?;
    if let Some(value) = constant_value(&expr) {
        return match stored(value, target.affinity) {
            OwnedValue::Null => Ok(None),
            value => of_value(&value, target).map(Some),
        };
    }
    let scope = Scope::new(Vec::new(), Purity::Volatile);
    let translator = Translator::new(&scope);
    if target.affinity.is_numeric() && is_epoch(&expr) {
        // Text of digits becomes a number in such a column.
        return of_typed(&translator.expr(&unixepoch()?)?, target).map(Some);
    }
    of_typed(&translator.expr(&expr)?, target).map(Some)
}

/// Whether a boolean default is translated by what it means: SQLite stores a value that is not of
/// the form of the others, such as `'t'` among 0 and 1.
pub(crate) fn is_reinterpreted(text: &str, target: Target<'_>) -> bool {
    let value = parse_expression(text).ok().and_then(|expr| constant_value(&expr));
    matches!(target.codec, Codec::Bool(_))
        && value.is_some_and(|value| {
            let stored = stored(value, target.affinity);
            target.codec.encode(stored.as_value(), &mut Vec::new()).is_err()
        })
}

/// The value of a literal; a bare word is a string where a default is wanted.
fn constant_value(expr: &Expr) -> Option<OwnedValue> {
    use sqlparser::ast::Value;
    match expr {
        Expr::Nested(inner) => constant_value(inner),
        Expr::Value(value) => match &value.value {
            Value::Null => Some(OwnedValue::Null),
            Value::Boolean(value) => Some(OwnedValue::Integer(i64::from(*value))),
            Value::Number(digits, _) => number(&digits.replace('_', "")),
            Value::SingleQuotedString(text) | Value::DoubleQuotedString(text) => {
                Some(OwnedValue::Text(text.clone().into_bytes()))
            }
            Value::HexStringLiteral(digits) => bytes(digits).map(OwnedValue::Blob),
            _ => None,
        },
        Expr::UnaryOp { op: UnaryOperator::Plus, expr } => constant_value(expr),
        Expr::UnaryOp { op: UnaryOperator::Minus, expr } => match expr.as_ref() {
            Expr::Value(value) => match &value.value {
                Value::Number(digits, _) => number(&format!("-{}", digits.replace('_', ""))),
                _ => None,
            },
            _ => None,
        },
        Expr::Identifier(name) => {
            let word = &name.value;
            let is = |text: &str| name.quote_style.is_none() && word.eq_ignore_ascii_case(text);
            Some(match () {
                () if is("true") => OwnedValue::Integer(1),
                () if is("false") => OwnedValue::Integer(0),
                () => OwnedValue::Text(word.clone().into_bytes()),
            })
        }
        _ => None,
    }
}

fn number(digits: &str) -> Option<OwnedValue> {
    match digits.parse() {
        Ok(value) => Some(OwnedValue::Integer(value)),
        Err(_) => digits.parse().ok().map(OwnedValue::Real),
    }
}

fn bytes(digits: &str) -> Option<Vec<u8>> {
    if !digits.is_ascii() || !digits.len().is_multiple_of(2) {
        return None;
    }
    (0..digits.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).ok())
        .collect()
}

/// The value as the column's affinity stores it (SQLite manual, "Datatypes In SQLite", 3).
fn stored(value: OwnedValue, affinity: Affinity) -> OwnedValue {
    match (affinity, value) {
        (Affinity::Text, OwnedValue::Integer(value)) => {
            OwnedValue::Text(value.to_string().into_bytes())
        }
        (affinity, OwnedValue::Text(text)) if affinity.is_numeric() => {
            let parsed = std::str::from_utf8(&text).ok().map(str::trim).filter(|text| {
                text.bytes()
                    .all(|b| b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.' | b'e' | b'E'))
            });
            match parsed.and_then(number) {
                Some(value) => stored(value, affinity),
                None => OwnedValue::Text(text),
            }
        }
        #[expect(clippy::cast_precision_loss, reason = "as SQLite stores it")]
        (Affinity::Real, OwnedValue::Integer(value)) => OwnedValue::Real(value as f64),
        // It is kept as an integer in the file, which has one zero only.
        (Affinity::Real, OwnedValue::Real(0.0)) => OwnedValue::Real(0.0),
        (Affinity::Integer | Affinity::Numeric, OwnedValue::Real(value)) => {
            stored_as_integer(value).map_or(OwnedValue::Real(value), OwnedValue::Integer)
        }
        (_, value) => value,
    }
}

fn of_value(value: &OwnedValue, target: Target<'_>) -> Translated<String> {
    if matches!(target.codec, Codec::Bool(_))
        && let OwnedValue::Text(text) = value
    {
        let text = String::from_utf8_lossy(text).to_ascii_lowercase();
        if TRUE.contains(&text.as_str()) || FALSE.contains(&text.as_str()) {
            return Ok(TRUE.contains(&text.as_str()).to_string());
        }
    }
    if let (Codec::Bool(_), OwnedValue::Integer(value @ (0 | 1))) = (target.codec, value) {
        return Ok((*value == 1).to_string());
    }
    let mut field = Vec::new();
    target
        .codec
        .encode(value.as_value(), &mut field)
        .map_err(|_| format!("its value does not fit the type {}", target.pg_type))?;
    match (target.codec, value) {
        (Codec::Text | Codec::Varchar(_), OwnedValue::Text(text)) => {
            Ok(literal(&String::from_utf8_lossy(text)))
        }
        (Codec::Integer | Codec::Number | Codec::Numeric(_), OwnedValue::Integer(value)) => {
            Ok(Typed::integer_literal(*value).sql)
        }
        (Codec::Real | Codec::Number, OwnedValue::Real(value)) => Ok(real(*value)),
        (Codec::Numeric(_), OwnedValue::Real(value)) => Ok(format!("'{value}'::numeric")),
        (Codec::Blob, OwnedValue::Blob(bytes)) => {
            let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            Ok(format!("'\\x{digits}'::bytea"))
        }
        (codec, value) => constant(codec, target.pg_type, value.as_value(), &field)
            .ok_or_else(|| format!("its value has no literal of the type {}", target.pg_type)),
    }
}

fn of_typed(typed: &Typed, target: Target<'_>) -> Translated<String> {
    let sql = &typed.sql;
    match (typed.kind, target.codec) {
        (Kind::Null, _)
        | (Kind::Text, Codec::Text | Codec::Varchar(_))
        | (Kind::Integer, Codec::Integer)
        | (Kind::Real, Codec::Real | Codec::Number)
        | (Kind::Blob, Codec::Blob)
        | (Kind::Bool, Codec::Bool(BoolForm::ZeroOne)) => Ok(sql.clone()),
        (Kind::Bool, Codec::Integer) => Ok(format!("{sql}::int")),
        (Kind::Integer, Codec::Number | Codec::Numeric(_)) => Ok(sql.clone()),
        // The moment that is meant, in the column's own form.
        (
            Kind::Text,
            Codec::Timestamp(..)
            | Codec::Epoch(_)
            | Codec::TimestampTz(..)
            | Codec::Midnight
            | Codec::Time(_)
            | Codec::Date,
        ) => of_moment(sql, target),
        (Kind::Text, Codec::Uuid(_)) => Ok(format!("({sql})::uuid")),
        (Kind::Integer, Codec::Epoch(super::codec::EpochUnit::Seconds)) => {
            Ok(format!("to_timestamp({sql})"))
        }
        (kind, _) => Err(format!("it gives {}, and the type is {}", kind.word(), target.pg_type)),
    }
}

/// `to_char(…)` gives text that PostgreSQL reads back; what it has not (a date of a time) fails.
fn of_moment(sql: &str, target: Target<'_>) -> Translated<String> {
    let has = |part: &str| sql.contains(part);
    let (date, time) = (has("YYYY\"-\"MM\"-\"DD"), has("HH24\":\"MI"));
    let fits = match target.codec {
        Codec::Date | Codec::Midnight => date && !time,
        Codec::Time(_) => time && !date,
        _ => date && time,
    };
    match (fits, target.codec) {
        (false, _) => Err(format!("its form is not that of the type {}", target.pg_type)),
        (true, Codec::TimestampTz(..) | Codec::Epoch(_)) => {
            Ok(format!("(({sql})::timestamp AT TIME ZONE 'UTC')"))
        }
        (true, _) => Ok(format!("({sql})::{}", target.pg_type)),
    }
}

/// `strftime('%s', 'now')`
fn is_epoch(expr: &Expr) -> bool {
    match expr {
        Expr::Nested(inner) => is_epoch(inner),
        Expr::Cast { expr, data_type, .. } => {
            Affinity::of(&data_type.to_string(), false) == Affinity::Integer && is_epoch(expr)
        }
        Expr::Function(function) if function.name.to_string().eq_ignore_ascii_case("strftime") => {
            let FunctionArguments::List(list) = &function.args else { return false };
            let texts: Vec<String> = list
                .args
                .iter()
                .filter_map(|argument| match argument {
                    FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => constant_value(expr),
                    _ => None,
                })
                .filter_map(|value| match value {
                    OwnedValue::Text(text) => String::from_utf8(text).ok(),
                    _ => None,
                })
                .collect();
            texts.len() == list.args.len()
                && texts.first().is_some_and(|format| format == "%s")
                && texts.get(1).is_none_or(|moment| moment.eq_ignore_ascii_case("now"))
                && texts.len() <= 2
        }
        _ => false,
    }
}

fn unixepoch() -> Translated<Expr> {
    parse_expression("unixepoch()")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(
        text: &str,
        affinity: Affinity,
        codec: &str,
        pg_type: &str,
    ) -> Translated<Option<String>> {
        translate(text, Target { affinity, codec: codec.parse().unwrap(), pg_type })
    }

    #[test]
    fn literals_become_values_of_the_columns_type() {
        let cases = [
            ("0", Affinity::Numeric, "bool:01", "boolean", "false"),
            ("'t'", Affinity::Numeric, "bool:t-f", "boolean", "true"),
            ("TRUE", Affinity::Numeric, "bool:01", "boolean", "true"),
            ("'0'", Affinity::Numeric, "bool:01", "boolean", "false"),
            ("'0.0'", Affinity::Numeric, "numeric:5:2", "numeric(5,2)", "0"),
            ("1.5", Affinity::Numeric, "numeric:5:2", "numeric(5,2)", "'1.5'::numeric"),
            ("'42'", Affinity::Integer, "integer", "bigint", "42"),
            ("-1", Affinity::Integer, "integer", "bigint", "(-1)"),
            ("0", Affinity::Real, "real", "double precision", "0.0::double precision"),
            ("-0.0", Affinity::Real, "real", "double precision", "0.0::double precision"),
            ("-0.0", Affinity::Blob, "real", "double precision", "'-0.0'::double precision"),
            ("5", Affinity::Text, "text", "text", "'5'"),
            ("\"isbn\"", Affinity::Text, "text", "text", "'isbn'"),
            ("word", Affinity::Text, "text", "text", "'word'"),
            ("'it''s'", Affinity::Text, "varchar:9", "varchar(9)", "'it''s'"),
            ("x'00ff'", Affinity::Blob, "blob", "bytea", "'\\x00ff'::bytea"),
            ("'2000-01-01'", Affinity::Numeric, "date", "date", "'2000-01-01'::date"),
            ("'{}'", Affinity::Text, "json", "json", "'{}'::json"),
            ("5", Affinity::Blob, "tagged", "text", "'i:5'"),
        ];
        for (text, affinity, codec, pg_type, expected) in cases {
            let found = of(text, affinity, codec, pg_type);
            assert_eq!(found, Ok(Some(expected.to_owned())), "{text} as {codec}");
        }
        assert_eq!(of("NULL", Affinity::Text, "text", "text"), Ok(None));
    }

    #[test]
    fn booleans_of_another_form_are_told() {
        let told = |text, codec: &str| {
            let codec = codec.parse().unwrap();
            is_reinterpreted(text, Target { affinity: Affinity::Numeric, codec, pg_type: "" })
        };
        assert!(told("'t'", "bool:01"));
        assert!(told("1", "bool:t-f"));
        assert!(told("\"0\"", "bool:t-f"));
        assert!(!told("'1'", "bool:01"));
        assert!(!told("true", "bool:01"));
        assert!(!told("'f'", "bool:t-f"));
        assert!(!told("NULL", "bool:t-f"));
        assert!(!told("'x'", "text"));
    }

    #[test]
    fn moments_take_the_columns_form() {
        let at = |text: &str, codec: &str, pg_type: &str| {
            of(text, Affinity::Numeric, codec, pg_type).unwrap().unwrap()
        };
        assert!(
            at("CURRENT_TIMESTAMP", "timestamp:space:0", "timestamp").ends_with(")::timestamp")
        );
        assert!(at("date('now')", "date", "date").ends_with(")::date"));
        assert!(at("(strftime('%s','now'))", "integer", "bigint").ends_with("::bigint"));
        assert!(at("(unixepoch())", "integer", "bigint").starts_with("floor("));
        let text = of("current_timestamp", Affinity::Text, "text", "text").unwrap().unwrap();
        assert!(text.starts_with("to_char("), "{text}");
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        assert!(of("'abc'", Affinity::Integer, "integer", "bigint").is_err());
        assert!(of("CURRENT_TIMESTAMP", Affinity::Numeric, "date", "date").is_err());
        assert!(of("datetime('now','localtime')", Affinity::Text, "text", "text").is_err());
        assert!(of("'too long'", Affinity::Text, "varchar:3", "varchar(3)").is_err());
        assert!(of("my_function()", Affinity::Text, "text", "text").is_err());
    }
}
