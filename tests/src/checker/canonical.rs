//! A source's value as the text that stands for it under a type of the target.

use rusqlite::types::ValueRef;

use super::reading::plain;

/// What NULL is written as on both sides; no value is written so.
pub(super) const NULL: &str = "\u{1e}NULL";

/// Integers up to here are exact as a double.
const EXACT: i64 = 1 << 53;

/// The text that a value must read as in a column of this type; `None` where the type cannot hold
/// it, so that the row must not be there.
pub fn canonical(value: ValueRef<'_>, pg_type: &str, codec: &str) -> Option<String> {
    if value == ValueRef::Null {
        return Some(NULL.into());
    }
    match codec.split(':').next() {
        Some("tagged") => return Some(tagged(value)),
        Some("escaped") => return escaped(value),
        _ => {}
    }
    let plain = plain(pg_type);
    match plain.split('(').next().unwrap_or_default() {
        "bigint" => match value {
            ValueRef::Integer(value) => Some(value.to_string()),
            _ => None,
        },
        "double precision" => double(value),
        "text" | "character varying" | "json" => text(value),
        "bytea" => match value {
            ValueRef::Blob(bytes) => Some(hex(bytes)),
            _ => None,
        },
        "boolean" => truth(value),
        "uuid" => uuid(value),
        "numeric" => numeric(value),
        "date" => text(value),
        "time without time zone" => text(value).map(|text| fraction(&text)),
        "timestamp without time zone" => text(value).map(|text| moment(&text)),
        "timestamp with time zone" => instant(value, codec),
        other => panic!("the checker does not know the type {other:?}"),
    }
}

fn double(value: ValueRef<'_>) -> Option<String> {
    match value {
        ValueRef::Real(value) => Some(bits(value)),
        // A column of mixed numbers: the affinity gives the integer back.
        #[allow(clippy::cast_precision_loss)]
        ValueRef::Integer(value) if value.abs() <= EXACT => Some(bits(value as f64)),
        _ => None,
    }
}

fn text(value: ValueRef<'_>) -> Option<String> {
    match value {
        ValueRef::Text(bytes) => {
            let text = std::str::from_utf8(bytes).ok()?;
            (!text.contains('\0')).then(|| text.to_owned())
        }
        _ => None,
    }
}

fn truth(value: ValueRef<'_>) -> Option<String> {
    let word = match value {
        ValueRef::Integer(0) => "false".to_owned(),
        ValueRef::Integer(1) => "true".to_owned(),
        _ => text(value)?.to_ascii_lowercase(),
    };
    match word.as_str() {
        "true" | "t" | "yes" | "y" | "on" | "1" => Some("true".into()),
        "false" | "f" | "no" | "n" | "off" | "0" => Some("false".into()),
        _ => None,
    }
}

fn uuid(value: ValueRef<'_>) -> Option<String> {
    let digits = match value {
        ValueRef::Blob(bytes) => hex(bytes),
        _ => text(value)?.replace(['-', '{', '}'], "").to_ascii_lowercase(),
    };
    (digits.len() == 32 && digits.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(digits)
}

/// The shortest decimal that reads back as the very number.
fn numeric(value: ValueRef<'_>) -> Option<String> {
    match value {
        ValueRef::Integer(value) => Some(value.to_string()),
        ValueRef::Real(value) if value.is_finite() => Some(format!("{value}")),
        _ => None,
    }
}

/// `2024-01-02T03:04:05.5` as `2024-01-02 03:04:05.500000`; a day alone is its midnight.
fn moment(text: &str) -> String {
    let text = text.replacen('T', " ", 1);
    match text.split_once(' ') {
        Some((day, time)) => format!("{day} {}", fraction(time)),
        None => format!("{text} 00:00:00.000000"),
    }
}

/// A time of day with seconds and six digits behind them.
fn fraction(time: &str) -> String {
    let seconds = if time.matches(':').count() == 1 { ":00" } else { "" };
    match time.split_once('.') {
        Some((whole, digits)) => format!("{whole}.{digits:0<6}"),
        None => format!("{time}{seconds}.000000"),
    }
}

/// Microseconds since 1970 for integers, the moment in UTC for text.
fn instant(value: ValueRef<'_>, codec: &str) -> Option<String> {
    if let ValueRef::Integer(value) = value {
        let unit = codec.rsplit([':', '-']).next().unwrap_or_default();
        let factor = match unit {
            "ms" => 1_000,
            "us" => 1,
            _ => 1_000_000,
        };
        return Some((i128::from(value) * factor).to_string());
    }
    let text = text(value)?;
    let zone = ["Z", "+00:00", "+0000", "+00"].into_iter().find(|zone| text.ends_with(zone))?;
    Some(moment(&text[..text.len() - zone.len()]))
}

/// The same for a value that was stored with a letter for its class.
fn tagged(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Null => NULL.into(),
        ValueRef::Integer(value) => format!("i {value}"),
        ValueRef::Real(value) => format!("r {}", bits(value)),
        ValueRef::Text(bytes) => format!("t {}", hex(bytes)),
        ValueRef::Blob(bytes) => format!("b {}", hex(bytes)),
    }
}

fn escaped(value: ValueRef<'_>) -> Option<String> {
    match value {
        ValueRef::Text(bytes) => Some(hex(bytes)),
        _ => None,
    }
}

/// A double by its bits, as PostgreSQL's `float8send` gives them.
pub(super) fn bits(value: f64) -> String {
    format!("{:016x}", value.to_bits())
}

/// Bytes in hexadecimal, as PostgreSQL's `encode` gives them.
pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_text(text: &str, pg_type: &str, codec: &str) -> Option<String> {
        canonical(ValueRef::Text(text.as_bytes()), pg_type, codec)
    }

    #[test]
    fn values_that_a_type_cannot_hold_have_no_form() {
        assert_eq!(of_text("5", "bigint", "integer"), None);
        assert_eq!(of_text("a\0b", "text", "text"), None);
        assert_eq!(canonical(ValueRef::Text(b"\xff"), "text", "text"), None);
        assert_eq!(canonical(ValueRef::Integer(2), "boolean", "bool:01"), None);
        assert_eq!(canonical(ValueRef::Real(f64::INFINITY), "numeric", "numeric"), None);
    }

    #[test]
    fn moments_have_one_form() {
        let wanted = Some("2024-02-29 03:04:05.120000".to_owned());
        let timestamp = "timestamp without time zone";
        assert_eq!(of_text("2024-02-29T03:04:05.12", timestamp, "timestamp:t:2"), wanted);
        let zoned = "timestamp with time zone";
        assert_eq!(of_text("2024-02-29 03:04:05.12+00:00", zoned, "timestamptz"), wanted);
        assert_eq!(
            of_text("2024-02-29 03:04", timestamp, "x"),
            Some("2024-02-29 03:04:00.000000".into())
        );
        assert_eq!(of_text("2024-02-29", "date", "date"), Some("2024-02-29".into()));
        let epoch = canonical(ValueRef::Integer(-1500), zoned, "timestamptz:epoch-ms");
        assert_eq!(epoch, Some("-1500000".into()));
    }

    #[test]
    fn doubles_are_compared_by_bits() {
        assert_ne!(
            canonical(ValueRef::Real(0.0), "double precision", "real"),
            canonical(ValueRef::Real(-0.0), "double precision", "real")
        );
        assert_eq!(canonical(ValueRef::Integer(i64::MAX), "double precision", "number"), None);
    }
}
