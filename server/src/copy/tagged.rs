//! Whole rows and keys as text, from which they can be made again exactly.

use serde_json::{Map, Value as Json};

use crate::dialect::{
    codec::{Codec, Refusal},
    value::{OwnedValue, Value},
};

/// A value as [`Codec::Tagged`] writes it; NULL is JSON's.
fn tag(value: Value<'_>) -> Result<Json, Refusal> {
    if value == Value::Null {
        return Ok(Json::Null);
    }
    let mut field = Vec::new();
    Codec::Tagged.encode(value, &mut field)?;
    // Behind the length.
    let text = String::from_utf8(field.split_off(4)).map_err(|_| Refusal::InvalidUtf8)?;
    Ok(Json::String(text))
}

fn untag(json: &Json) -> Option<OwnedValue> {
    match json {
        Json::Null => Some(OwnedValue::Null),
        Json::String(text) => Codec::Tagged.decode(Some(text.as_bytes())).ok(),
        _ => None,
    }
}

/// A row as a JSON object of column name and tagged value. Only what is too long for any field
/// of PostgreSQL is refused.
pub(crate) fn write_row<'a>(
    columns: impl Iterator<Item = (&'a str, Value<'a>)>,
) -> Result<String, Refusal> {
    let tagged = columns.map(|(name, value)| Ok((name.to_owned(), tag(value)?)));
    Ok(Json::Object(tagged.collect::<Result<Map<_, _>, _>>()?).to_string())
}

/// A key as bytes.
pub(crate) fn write_key(key: &[OwnedValue]) -> Result<Vec<u8>, Refusal> {
    let tagged = key.iter().map(|value| tag(value.as_value()));
    Ok(Json::Array(tagged.collect::<Result<_, _>>()?).to_string().into_bytes())
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
        let read = read_key(&write_key(&key).unwrap()).unwrap();
        assert_eq!(read, key);
        assert!(matches!(read[2], OwnedValue::Real(zero) if zero.is_sign_negative()));
        for damaged in [&b"[\"i:x\"]"[..], b"{}", b"[5]", b"[\"b:0\"]", b"", b"[\"b:+1\"]"] {
            assert_eq!(read_key(damaged), None);
        }
    }

    #[test]
    fn rows_keep_their_column_names() {
        let columns = [("b", Value::Integer(1)), ("a", Value::Text(b"x\0"))];
        let row = write_row(columns.into_iter()).unwrap();
        let read: Json = serde_json::from_str(&row).unwrap();
        assert_eq!(read["b"], "i:1");
        assert_eq!(read["a"], "x:7800");
    }
}
