//! Text as PostgreSQL can hold it, and reversible ways to write what it cannot.

use super::{super::value::Value, Refusal, number::looks_numeric};

/// Whether PostgreSQL's `text` can hold the bytes: UTF-8 (PostgreSQL and Rust draw the line at
/// the same place: no surrogates, no overlong forms) and no NUL.
#[inline]
pub fn check_text(bytes: &[u8]) -> Result<&str, Refusal> {
    let text = std::str::from_utf8(bytes).map_err(|_| Refusal::InvalidUtf8)?;
    if bytes.contains(&0) { Err(Refusal::NulInText) } else { Ok(text) }
}

pub(super) fn check_length(bytes: &[u8], limit: u32) -> Result<(), Refusal> {
    let text = check_text(bytes)?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    if bytes.len() > limit && text.chars().count() > limit { Err(Refusal::Form) } else { Ok(()) }
}

/// Appends the text as `char(n)` has it: with spaces up to so many characters. Spaces of its own at
/// the end would be lost among them, and are refused.
pub(super) fn pad(bytes: &[u8], length: u32, out: &mut Vec<u8>) -> Result<(), Refusal> {
    check_length(bytes, length)?;
    let characters = check_text(bytes)?.chars().count();
    let length = usize::try_from(length).map_err(|_| Refusal::Form)?;
    if bytes.last() == Some(&b' ') {
        return Err(Refusal::Form);
    }
    out.extend_from_slice(bytes);
    out.resize(out.len() + length.saturating_sub(characters), b' ');
    Ok(())
}

/// The text without the spaces.
pub(super) fn unpad(field: &[u8], length: u32) -> Result<&[u8], Refusal> {
    let padded = check_text(field)?;
    let length = usize::try_from(length).map_err(|_| Refusal::Form)?;
    if padded.chars().count() != length {
        return Err(Refusal::Form);
    }
    Ok(padded.trim_end_matches(' ').as_bytes())
}

/// Appends a number as text, and text as it is unless SQLite would have made a number of it.
pub(super) fn write_number_text(
    value: Value<'_>,
    limit: Option<u32>,
    out: &mut Vec<u8>,
) -> Result<(), Refusal> {
    let start = out.len();
    match value {
        Value::Integer(value) => out.extend_from_slice(value.to_string().as_bytes()),
        // The shortest digits that give the same double again.
        Value::Real(value) if value.is_finite() => {
            out.extend_from_slice(format!("{value:?}").as_bytes());
        }
        Value::Real(_) => return Err(Refusal::Form),
        Value::Text(bytes) => {
            check_text(bytes)?;
            if looks_numeric(bytes) {
                return Err(Refusal::Form);
            }
            out.extend_from_slice(bytes);
        }
        Value::Null | Value::Blob(_) => return Err(Refusal::Class),
    }
    limit.map_or(Ok(()), |limit| check_length(&out[start..], limit))
}

/// The value that the text was; of a number only the one way of writing it counts.
pub(super) fn read_number_text(field: &[u8], limit: Option<u32>) -> Result<Value<'_>, Refusal> {
    let text = check_text(field)?;
    limit.map_or(Ok(()), |limit| check_length(field, limit))?;
    if !looks_numeric(field) {
        return Ok(Value::Text(field));
    }
    let value = match text.parse() {
        Ok(integer) => Value::Integer(integer),
        Err(_) => Value::Real(text.parse().map_err(|_| Refusal::Form)?),
    };
    let mut again = Vec::with_capacity(field.len());
    write_number_text(value, None, &mut again)?;
    if again == field { Ok(value) } else { Err(Refusal::Form) }
}

pub(super) fn escape(bytes: &[u8], out: &mut Vec<u8>) {
    for chunk in bytes.utf8_chunks() {
        for byte in chunk.valid().bytes() {
            match byte {
                b'\\' => out.extend_from_slice(b"\\\\"),
                0 => out.extend_from_slice(b"\\0"),
                _ => out.push(byte),
            }
        }
        for byte in chunk.invalid() {
            out.extend_from_slice(b"\\x");
            hex(&[*byte], out);
        }
    }
}

pub(super) fn unescape(field: &[u8], out: &mut Vec<u8>) -> Result<(), Refusal> {
    check_text(field)?;
    let mut rest = field.iter();
    while let Some(&byte) = rest.next() {
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        match rest.next() {
            Some(b'\\') => out.push(b'\\'),
            Some(b'0') => out.push(0),
            Some(b'x') => {
                let high = rest.next().copied().and_then(digit).ok_or(Refusal::Form)?;
                let low = rest.next().copied().and_then(digit).ok_or(Refusal::Form)?;
                out.push(high << 4 | low);
            }
            _ => return Err(Refusal::Form),
        }
    }
    // `\x41` would read as well as `A`: only the one way of writing it counts.
    let mut again = Vec::with_capacity(field.len());
    escape(out, &mut again);
    if again == field { Ok(()) } else { Err(Refusal::Form) }
}

pub(super) fn tag(value: Value<'_>, out: &mut Vec<u8>) -> Result<(), Refusal> {
    match value {
        Value::Null => return Err(Refusal::Class),
        Value::Integer(value) => out.extend_from_slice(format!("i:{value}").as_bytes()),
        Value::Real(value) if value.is_nan() => return Err(Refusal::Form),
        // The shortest digits that give the same double again.
        Value::Real(value) => out.extend_from_slice(format!("r:{value:?}").as_bytes()),
        Value::Text(bytes) if check_text(bytes).is_ok() => {
            out.extend_from_slice(b"t:");
            out.extend_from_slice(bytes);
        }
        Value::Text(bytes) => {
            out.extend_from_slice(b"x:");
            hex(bytes, out);
        }
        Value::Blob(bytes) => {
            out.extend_from_slice(b"b:");
            hex(bytes, out);
        }
    }
    Ok(())
}

pub(super) fn untag<'a>(field: &'a [u8], out: &'a mut Vec<u8>) -> Result<Value<'a>, Refusal> {
    let text = check_text(field)?;
    let (class, rest) = text.split_at_checked(2).ok_or(Refusal::Form)?;
    let value = match class {
        "i:" => Value::Integer(rest.parse().map_err(|_| Refusal::Form)?),
        "r:" => Value::Real(rest.parse().map_err(|_| Refusal::Form)?),
        "t:" => return Ok(Value::Text(rest.as_bytes())),
        "x:" => {
            unhex(rest.as_bytes(), out)?;
            if check_text(out).is_ok() {
                return Err(Refusal::Form);
            }
            return Ok(Value::Text(out));
        }
        "b:" => {
            unhex(rest.as_bytes(), out)?;
            return Ok(Value::Blob(out));
        }
        _ => return Err(Refusal::Form),
    };
    // `+5`, `05` and `1e0` parse, and are not what `tag` writes.
    let mut again = Vec::with_capacity(field.len());
    tag(value, &mut again)?;
    if again == field { Ok(value) } else { Err(Refusal::Form) }
}

fn hex(bytes: &[u8], out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.extend(
        bytes
            .iter()
            .flat_map(|byte| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]),
    );
}

fn unhex(text: &[u8], out: &mut Vec<u8>) -> Result<(), Refusal> {
    let (pairs, []) = text.as_chunks::<2>() else { return Err(Refusal::Form) };
    for [high, low] in pairs {
        let byte = digit(*high).zip(digit(*low)).ok_or(Refusal::Form)?;
        out.push(byte.0 << 4 | byte.1);
    }
    Ok(())
}

fn digit(character: u8) -> Option<u8> {
    match character {
        b'0'..=b'9' => Some(character - b'0'),
        b'a'..=b'f' => Some(character - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn escaped(bytes: &[u8]) -> String {
        let mut out = Vec::new();
        escape(bytes, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn escapes_what_postgresql_cannot_hold() {
        assert_eq!(escaped(b"a\\b\0c\xffd"), "a\\\\b\\0c\\xffd");
        assert_eq!(escaped("é".as_bytes()), "é");
        let mut out = Vec::new();
        assert_eq!(unescape(b"\\x41", &mut out), Err(Refusal::Form));
        out.clear();
        assert_eq!(unescape(b"end\\", &mut out), Err(Refusal::Form));
    }

    #[test]
    fn escaped_bytes_that_join_to_a_character_are_refused() {
        // \xc3\xa9 would read as é, which is written as é.
        assert_eq!(unescape(b"\\xc3\\xa9", &mut Vec::new()), Err(Refusal::Form));
    }

    #[test]
    fn tags_every_class() {
        let tagged = |value| {
            let mut out = Vec::new();
            tag(value, &mut out).unwrap();
            String::from_utf8(out).unwrap()
        };
        assert_eq!(tagged(Value::Integer(5)), "i:5");
        assert_eq!(tagged(Value::Real(1.5)), "r:1.5");
        assert_eq!(tagged(Value::Real(-0.0)), "r:-0.0");
        assert_eq!(tagged(Value::Text(b"hello")), "t:hello");
        assert_eq!(tagged(Value::Text(b"\0")), "x:00");
        assert_eq!(tagged(Value::Blob(b"hel")), "b:68656c");
        assert_eq!(untag(b"i:+5", &mut Vec::new()), Err(Refusal::Form));
        assert_eq!(untag(b"x:41", &mut Vec::new()), Err(Refusal::Form));
        assert_eq!(untag("é".as_bytes(), &mut Vec::new()), Err(Refusal::Form));
    }

    #[test]
    fn padding_counts_characters_too() {
        let mut out = Vec::new();
        assert_eq!(pad("é".as_bytes(), 3, &mut out), Ok(()));
        assert_eq!(out, "é  ".as_bytes());
        assert_eq!(unpad(&out, 3), Ok("é".as_bytes()));
        assert_eq!(unpad(&out, 4), Err(Refusal::Form));
        assert_eq!(pad(b"a ", 3, &mut out), Err(Refusal::Form));
        assert_eq!(pad(b"abcd", 3, &mut out), Err(Refusal::Form));
    }

    #[test]
    fn length_counts_characters() {
        assert_eq!(check_length("ééé".as_bytes(), 3), Ok(()));
        assert_eq!(check_length("éééé".as_bytes(), 3), Err(Refusal::Form));
    }
}
