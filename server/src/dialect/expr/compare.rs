//! Comparisons: SQLite converts by affinity (SQLite manual, "Datatypes In SQLite", section 4.2)
//! and compares text by the collation of an operand, PostgreSQL does neither.

use sqlparser::ast::Expr;

use super::{
    super::{
        codec::{BoolForm, Clock, Codec, EXACT_INTEGERS, Separator, UuidForm},
        ident::literal,
        schema::Affinity,
        value::Value,
    },
    Kind, Translated, Translator, Typed,
    scope::Literal,
};

impl Translator<'_> {
    /// A comparison by `=`, `<>`, `<`, `<=`, `>`, `>=`, `IS [NOT] DISTINCT FROM`.
    pub(super) fn comparison(&self, left: &Expr, op: &str, right: &Expr) -> Translated<Typed> {
        self.compare(&self.expr(left)?, op, &self.expr(right)?)
    }

    fn compare(&self, left: &Typed, op: &str, right: &Typed) -> Translated<Typed> {
        let ordered = op.starts_with(['<', '>']) && op != "<>";
        let (left, right) = self.operands(left, right, ordered)?;
        Ok(Typed::new(Kind::Bool, format!("({left} {op} {right})")))
    }

    /// Both operands in a form in which PostgreSQL compares them as SQLite does.
    pub(super) fn operands(
        &self,
        left: &Typed,
        right: &Typed,
        ordered: bool,
    ) -> Translated<(String, String)> {
        if becomes_number(left, right) || becomes_number(right, left) {
            return Err(
                "it compares a numeric column that holds no numbers with text, which SQLite \
                        takes for a number where it reads as one"
                    .into(),
            );
        }
        let plain = || Ok((left.sql.clone(), right.sql.clone()));
        if turns_into_number(left, right, ordered) || turns_into_number(right, left, ordered) {
            return Err("SQLite may take the text for a number here, beside a column whose \
                        declared type is not a text type"
                .into());
        }
        match (left.kind, right.kind) {
            (Kind::Null, _) | (_, Kind::Null) | (Kind::Blob, Kind::Blob) => plain(),
            // Equality of two booleans is no matter of numbers.
            (Kind::Bool, Kind::Bool) if !ordered => plain(),
            (Kind::Integer, _) if is_beyond_integers(right) => Err(inexact()),
            (_, Kind::Integer) if is_beyond_integers(left) => Err(inexact()),
            (a, b) if a.is_numeric() && b.is_numeric() => {
                Ok((self.number(left)?, self.number(right)?))
            }
            (Kind::Text, Kind::Text) => collated(left, right, ordered),
            (Kind::Coded(a), Kind::Coded(b)) if a == b && is_comparable(a, ordered) => plain(),
            _ => {
                if let Some(sql) = adapt(left, right, ordered) {
                    return match left.kind {
                        Kind::Text => collated(left, &Typed::new(Kind::Text, sql), ordered),
                        _ => Ok((left.sql.clone(), sql)),
                    };
                }
                if let Some(sql) = adapt(right, left, ordered) {
                    return match right.kind {
                        Kind::Text => collated(&Typed::new(Kind::Text, sql), right, ordered),
                        _ => Ok((sql, right.sql.clone())),
                    };
                }
                self.as_texts(left, right, ordered)
            }
        }
    }

    /// The last resort: a coded column beside text, both as text.
    fn as_texts(&self, left: &Typed, right: &Typed, ordered: bool) -> Translated<(String, String)> {
        let text = |typed: &Typed| match typed.kind {
            Kind::Text => Ok(typed.clone()),
            Kind::Coded(codec) => {
                let sql = self.coded_text(&typed.sql, codec)?;
                Ok(Typed { sql, kind: Kind::Text, ..typed.clone() })
            }
            kind => Err(format!("it compares {} with {}", left.kind.word(), kind.word())),
        };
        match (text(left), text(right)) {
            (Ok(left), Ok(right)) => collated(&left, &right, ordered),
            _ => Err(format!("it compares {} with {}", left.kind.word(), right.kind.word())),
        }
    }

    /// A coded column as the text that SQLite has.
    pub(super) fn coded_text(&self, sql: &str, codec: Codec) -> Translated<String> {
        match codec {
            Codec::Uuid(UuidForm::Lower) | Codec::Json => Ok(format!("{sql}::text")),
            Codec::Uuid(UuidForm::Upper) => Ok(format!("upper({sql}::text)")),
            Codec::Uuid(UuidForm::Hex) => Ok(format!("replace({sql}::text, '-', '')")),
            Codec::Bool(form) if form != BoolForm::ZeroOne => {
                let spelt = |byte: u8| match codec.decode(Some(&[byte])) {
                    Ok(super::super::value::OwnedValue::Text(text)) => {
                        Ok(literal(&String::from_utf8_lossy(&text)))
                    }
                    _ => Err("a boolean has no spelling".to_owned()),
                };
                Ok(format!(
                    "(CASE WHEN {sql} THEN {} WHEN NOT {sql} THEN {} END)",
                    spelt(1)?,
                    spelt(0)?
                ))
            }
            Codec::Date | Codec::Midnight => {
                self.stable()?;
                Ok(format!("to_char({sql}, 'YYYY-MM-DD')"))
            }
            Codec::Timestamp(Separator::Space, Clock::Fixed(digits @ (0 | 3 | 6))) => {
                self.stable()?;
                let form = |fraction| format!("to_char({sql}, 'YYYY-MM-DD HH24:MI:SS{fraction}')");
                let (unit, own) = match digits {
                    3 => ("milliseconds", ".MS"),
                    6 => return Ok(form(".US")),
                    _ => ("second", ""),
                };
                // What needs more digits has six.
                Ok(format!(
                    "(CASE WHEN date_trunc('{unit}', {sql}) = {sql} THEN {} ELSE {} END)",
                    form(own),
                    form(".US")
                ))
            }
            other => Err(format!("a column with the codec {other} has no simple form as text")),
        }
    }

    pub(super) fn between(
        &self,
        expr: &Expr,
        negated: bool,
        low: &Expr,
        high: &Expr,
    ) -> Translated<Typed> {
        let low = self.comparison(expr, ">=", low)?.sql;
        let high = self.comparison(expr, "<=", high)?.sql;
        let both = format!("({low} AND {high})");
        Ok(Typed::new(Kind::Bool, if negated { format!("(NOT {both})") } else { both }))
    }

    pub(super) fn in_list(&self, expr: &Expr, list: &[Expr], negated: bool) -> Translated<Typed> {
        let left = self.expr(expr)?;
        if list.is_empty() {
            return Ok(Typed::new(Kind::Bool, negated.to_string()));
        }
        let pairs = list
            .iter()
            .map(|item| {
                // What stands in the list has neither affinity nor collation.
                let item = Typed { affinity: None, collation: None, ..self.expr(item)? };
                self.operands(&left, &item, false)
            })
            .collect::<Translated<Vec<(String, String)>>>()?;
        let not = if negated { "NOT " } else { "" };
        let same = pairs.iter().all(|(sql, _)| *sql == pairs[0].0);
        let sql = if same {
            let items: Vec<&str> = pairs.iter().map(|(_, item)| item.as_str()).collect();
            format!("({} {not}IN ({}))", pairs[0].0, items.join(", "))
        } else {
            let tests: Vec<String> =
                pairs.iter().map(|(left, item)| format!("{left} = {item}")).collect();
            format!("({not}({}))", tests.join(" OR "))
        };
        Ok(Typed::new(Kind::Bool, sql))
    }
}

/// A real literal that several integers become when PostgreSQL compares them as doubles.
fn is_beyond_integers(typed: &Typed) -> bool {
    #[expect(clippy::cast_precision_loss, reason = "a power of two")]
    let limit = EXACT_INTEGERS as f64;
    matches!(typed.literal, Some(Literal::Real(value)) if value.abs() >= limit && value.is_finite())
}

fn inexact() -> String {
    "PostgreSQL compares an integer with so large a real inexactly".into()
}

/// Whether the text may become a number because the column beside it has numeric affinity: a
/// number is less than every text, whatever the two look like (SQLite manual, "Datatypes In
/// SQLite", 4.2). Text that is kept in such a column is none that looks like a number, so that
/// equality comes out the same.
fn turns_into_number(column: &Typed, text: &Typed, ordered: bool) -> bool {
    let textual = |kind| matches!(kind, Kind::Text | Kind::Coded(_));
    let numeric = |typed: &Typed| typed.affinity.is_some_and(Affinity::is_numeric);
    if !textual(column.kind) || !textual(text.kind) || !numeric(column) || numeric(text) {
        return false;
    }
    match (&text.literal, text.kind) {
        (Some(Literal::Text(text)), _) => looks_numeric(text),
        (
            _,
            Kind::Coded(
                Codec::Date
                | Codec::Time(_)
                | Codec::Timestamp(..)
                | Codec::TimestampTz(..)
                | Codec::Midnight,
            ),
        ) => false,
        // A date or a time of day is no number; `strftime('%Y')` is one.
        _ => {
            let parts = ["\"-\"MM\"-\"DD", "HH24\":\"MI"];
            let moment = text.sql.starts_with("to_char(")
                && parts.iter().any(|part| text.sql.contains(part));
            ordered && !moment
        }
    }
}

/// Whether SQLite takes the whole text for a number; if in doubt it does.
fn looks_numeric(text: &str) -> bool {
    let text = text.trim_matches([' ', '\t', '\n', '\x0b', '\x0c', '\r']);
    !text.is_empty() && text.contains(|c: char| c.is_ascii_digit()) && text.parse::<f64>().is_ok()
}

/// Whether PostgreSQL compares two values of this codec as SQLite compares what they stand for.
fn is_comparable(codec: Codec, ordered: bool) -> bool {
    match codec {
        Codec::Date | Codec::Midnight | Codec::Epoch(_) | Codec::Uuid(_) => true,
        // Text of one form is in the order of time, whether or not it ends in a fraction.
        Codec::Time(_) | Codec::Timestamp(..) => true,
        // `00Z` comes after `00.5Z` as text.
        Codec::TimestampTz(..) | Codec::Bool(_) | Codec::Escaped => !ordered,
        // Tagged, 5 and 5.0 are two texts.
        _ => false,
    }
}

/// A literal in the form that the column beside it needs; none where it has no such form.
fn adapt(column: &Typed, other: &Typed, ordered: bool) -> Option<String> {
    let affinity = column.affinity?;
    let value = match other.literal.as_ref()? {
        Literal::Integer(value) => Value::Integer(*value),
        Literal::Real(value) => Value::Real(*value),
        Literal::Text(text) => Value::Text(text.as_bytes()),
    };
    match (column.kind, value) {
        (Kind::Coded(codec), value) if is_comparable(codec, ordered) => {
            let mut field = Vec::new();
            codec.encode(value, &mut field).ok()?;
            constant(codec, &column.pg_type, value, &field)
        }
        (Kind::Text, Value::Integer(value)) if affinity == Affinity::Text => {
            Some(literal(&value.to_string()))
        }
        (kind, Value::Text(text)) if kind.is_numeric() && affinity.is_numeric() => {
            let text = std::str::from_utf8(text).ok()?;
            let value: i64 = text.parse().ok()?;
            (value.to_string() == text && kind != Kind::Bool)
                .then(|| Typed::integer_literal(value).sql)
        }
        _ => None,
    }
}

/// A value that the codec takes, as a literal of PostgreSQL; `field` is what it encodes to.
pub(crate) fn constant(
    codec: Codec,
    pg_type: &str,
    value: Value<'_>,
    field: &[u8],
) -> Option<String> {
    let field = field.get(4..)?;
    match (codec, value) {
        (Codec::Bool(_), _) => Some((field == [1]).to_string()),
        (Codec::Tagged | Codec::Escaped, _) => Some(literal(std::str::from_utf8(field).ok()?)),
        (Codec::Uuid(UuidForm::Blob), Value::Blob(bytes)) => {
            let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            Some(format!("{}::uuid", literal(&digits)))
        }
        (Codec::Epoch(_), _) => None,
        (_, Value::Text(text)) => {
            Some(format!("{}::{pg_type}", literal(std::str::from_utf8(text).ok()?)))
        }
        _ => None,
    }
}

/// Whether SQLite might make a number of the text beside a column with numeric affinity whose
/// values are no numbers: a date declared as such, for example.
fn becomes_number(column: &Typed, other: &Typed) -> bool {
    let numeric = |typed: &Typed| typed.affinity.is_some_and(Affinity::is_numeric);
    if !numeric(column) || numeric(other) || column.kind.is_numeric() {
        return false;
    }
    match other.kind {
        Kind::Text => !other.wordy,
        Kind::Coded(codec) => !matches!(
            codec,
            Codec::Date
                | Codec::Midnight
                | Codec::Time(_)
                | Codec::Timestamp(..)
                | Codec::TimestampTz(..)
                | Codec::Uuid(UuidForm::Lower | UuidForm::Upper)
        ),
        _ => false,
    }
}

fn collated(left: &Typed, right: &Typed, ordered: bool) -> Translated<(String, String)> {
    let ruling = match (left.explicit, right.explicit, &left.collation) {
        (true, ..) | (false, false, Some(_)) => left,
        _ => right,
    };
    let collation = ruling.collation.as_deref().unwrap_or("BINARY");
    let both = |form: &dyn Fn(&str) -> String| Ok((form(&left.sql), form(&right.sql)));
    match collation {
        "BINARY" if ordered => both(&|sql| format!("{sql} COLLATE \"C\"")),
        "BINARY" => both(&str::to_owned),
        "NOCASE" => both(&|sql| format!("lower({sql} COLLATE \"C\")")),
        "RTRIM" if ordered => both(&|sql| format!("rtrim({sql}, ' ') COLLATE \"C\"")),
        "RTRIM" => both(&|sql| format!("rtrim({sql}, ' ')")),
        other => Err(format!("the collation {other} is not known")),
    }
}
