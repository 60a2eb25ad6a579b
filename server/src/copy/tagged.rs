//! Whole rows and keys as text, from which they can be made again exactly.

use serde_json::{Map, Value as Json};

use crate::dialect::value::{OwnedValue, Value};

/// A value with its class: "i:5", "r:1.5", "t:hello", "b:ff"; text that PostgreSQL cannot hold
/// is "x:" and hexadecimal; NULL is JSON's.
fn tag(value: Value<'_>) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Integer(value) => Json::String(format!("i:{value}")),
        Value::Real(value) => Json::String(format!("r:{value:?}")),
        Value::Blob(bytes) => Json::String(format!("b:{}", hex(bytes))),
        Value::Text(bytes) => Json::String(match std::str::from_utf8(bytes) {
            Ok(text) if !bytes.contains(&0) => format!("t:{text}"),
            _ => format!("x:{}", hex(bytes)),
        }),
    }
}

fn untag(json: &Json) -> Option<OwnedValue> {
    let text = match json {
        Json::Null => return Some(OwnedValue::Null),
        Json::String(text) => text,
        _ => return None,
    };
    let (class, rest) = text.split_once(':')?;
    Some(match class {
        "i" => OwnedValue::Integer(rest.parse().ok()?),
        "r" => OwnedValue::Real(rest.parse().ok()?),
        "t" => OwnedValue::Text(rest.as_bytes().to_vec()),
        "x" => OwnedValue::Text(unhex(rest)?),
        "b" => OwnedValue::Blob(unhex(rest)?),
        _ => return None,
    })
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|d| u8::try_from(d).ok());
    if !text.len().is_multiple_of(2) {
        return None;
    }
    text.as_bytes()
        .chunks_exact(2)
        .map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?))
        .collect()
}

/// A row as a JSON object of column name and tagged value.
pub(crate) fn write_row<'a>(columns: impl Iterator<Item = (&'a str, Value<'a>)>) -> String {
    let object: Map<String, Json> =
        columns.map(|(name, value)| (name.to_owned(), tag(value))).collect();
    Json::Object(object).to_string()
}

/// A key as bytes.
pub(crate) fn write_key(key: &[OwnedValue]) -> Vec<u8> {
    Json::Array(key.iter().map(|value| tag(value.as_value())).collect()).to_string().into_bytes()
}

/// The key that the bytes were made of; `None` where they are something else.
pub(crate) fn read_key(bytes: &[u8]) -> Option<Vec<OwnedValue>> {
    let values: Vec<Json> = serde_json::from_slice(bytes).ok()?;
    values.iter().map(untag).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_go_there_and_back() {
        let key = vec![
            OwnedValue::Null,
            OwnedValue::Integer(i64::MIN),
            OwnedValue::Real(-0.0),
            OwnedValue::Real(f64::INFINITY),
            OwnedValue::Real(5e-324),
            OwnedValue::Text("é\"\\\u{1}x:".into()),
            OwnedValue::Text(vec![0xff, 0, b'a']),
            OwnedValue::Blob(vec![]),
            OwnedValue::Blob(vec![0, 0x7f, 0xff]),
        ];
        let read = read_key(&write_key(&key)).unwrap();
        assert_eq!(read, key);
        assert!(matches!(read[2], OwnedValue::Real(zero) if zero.is_sign_negative()));
        for damaged in [&b"[\"i:x\"]"[..], b"{}", b"[5]", b"[\"b:0\"]", b"", b"[\"b:+1\"]"] {
            assert_eq!(read_key(damaged), None);
        }
    }

    #[test]
    fn rows_keep_their_column_names() {
        let columns = [("b", Value::Integer(1)), ("a", Value::Text(b"x\0"))];
        let row = write_row(columns.into_iter());
        let read: Json = serde_json::from_str(&row).unwrap();
        assert_eq!(read["b"], "i:1");
        assert_eq!(read["a"], "x:7800");
    }
}
