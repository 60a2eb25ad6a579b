//! Text as `json`, which PostgreSQL keeps to the byte (`jsonb` does not).

use serde::de::IgnoredAny;

use super::{super::value::Value, Refusal, number::stored_as_integer, text::check_text};

pub(super) fn check(bytes: &[u8]) -> Result<&str, Refusal> {
    let text = check_text(bytes)?;
    match serde_json::from_str::<IgnoredAny>(text) {
        Ok(_) => Ok(text),
        Err(_) => Err(Refusal::Form),
    }
}

pub(super) fn encode_numeric(value: Value<'_>, out: &mut Vec<u8>) -> Result<(), Refusal> {
    match value {
        Value::Integer(value) => out.extend_from_slice(value.to_string().as_bytes()),
        Value::Real(value) if value.is_finite() && stored_as_integer(value).is_none() => {
            out.extend_from_slice(format!("{value:?}").as_bytes());
        }
        Value::Real(_) => return Err(Refusal::Form),
        Value::Text(bytes) => {
            // SQLite would have stored a number; decoding would give one.
            if is_number(check(bytes)?) {
                return Err(Refusal::Form);
            }
            out.extend_from_slice(bytes);
        }
        Value::Null | Value::Blob(_) => return Err(Refusal::Class),
    }
    Ok(())
}

pub(super) fn decode_numeric<'a>(
    field: &'a [u8],
    scratch: &mut Vec<u8>,
) -> Result<Value<'a>, Refusal> {
    let text = check(field)?;
    if !is_number(text) {
        return Ok(Value::Text(field));
    }
    let value = match text.parse() {
        Ok(integer) => Value::Integer(integer),
        Err(_) => Value::Real(text.parse().map_err(|_| Refusal::Form)?),
    };
    encode_numeric(value, scratch)?;
    if scratch == field { Ok(value) } else { Err(Refusal::Form) }
}

/// Of valid JSON.
fn is_number(text: &str) -> bool {
    text.trim_start().starts_with(|first: char| first == '-' || first.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_valid_json_passes() {
        for text in ["{}", " [1, 2]\n", r#""\u0000""#, "null", "1e400", "-0"] {
            assert!(check(text.as_bytes()).is_ok(), "{text}");
        }
        for text in ["", "{a:1}", "NaN", "01", "1.", "'a'", "\u{feff}{}", "{} x", "\"\t\""] {
            assert_eq!(check(text.as_bytes()), Err(Refusal::Form), "{text}");
        }
        assert_eq!(check(b"\"\xff\""), Err(Refusal::InvalidUtf8));
    }

    /// No guard in PostgreSQL could count levels, so that none may be too deep to come back.
    #[test]
    fn depth_has_no_limit_here() {
        let text = "[".repeat(100_000) + &"]".repeat(100_000);
        assert!(check(text.as_bytes()).is_ok());
    }

    #[test]
    fn a_number_in_a_json_column_keeps_its_class() {
        let decoded = |text: &'static str| decode_numeric(text.as_bytes(), &mut Vec::new());
        assert_eq!(decoded("5"), Ok(Value::Integer(5)));
        assert_eq!(decoded("1.5"), Ok(Value::Real(1.5)));
        assert_eq!(decoded("\"5\""), Ok(Value::Text(b"\"5\"")));
        assert_eq!(decoded(" 5"), Err(Refusal::Form));
        assert_eq!(decoded("5.0"), Err(Refusal::Form));
        assert_eq!(decoded("-0"), Err(Refusal::Form));
    }
}
