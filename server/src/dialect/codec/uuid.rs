//! Text or 16 bytes as `uuid`.

use super::{super::value::Value, Refusal};

/// How a UUID is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UuidForm {
    /// Lower case with hyphens.
    Lower,
    /// Upper case with hyphens.
    Upper,
    /// 32 lower-case digits.
    Hex,
    /// BLOB of 16 bytes.
    Blob,
}

/// Numbers of the bytes that a hyphen stands before.
const GROUPS: [usize; 4] = [4, 6, 8, 10];

impl UuidForm {
    /// Every form, the commonest first.
    pub const ALL: [Self; 4] = [Self::Lower, Self::Upper, Self::Hex, Self::Blob];

    pub(super) fn parse(self, value: Value<'_>) -> Result<[u8; 16], Refusal> {
        match (self, value) {
            (Self::Blob, Value::Blob(bytes)) => bytes.try_into().map_err(|_| Refusal::Form),
            (Self::Lower | Self::Upper | Self::Hex, Value::Text(text)) => self.parse_text(text),
            _ => Err(Refusal::Class),
        }
    }

    fn parse_text(self, text: &[u8]) -> Result<[u8; 16], Refusal> {
        if text.len() != if self == Self::Hex { 32 } else { 36 } {
            return Err(Refusal::Form);
        }
        let mut uuid = [0; 16];
        let mut at = 0;
        for (number, byte) in uuid.iter_mut().enumerate() {
            if self != Self::Hex && GROUPS.contains(&number) {
                if text[at] != b'-' {
                    return Err(Refusal::Form);
                }
                at += 1;
            }
            *byte = self.digit(text[at])? << 4 | self.digit(text[at + 1])?;
            at += 2;
        }
        Ok(uuid)
    }

    fn digit(self, character: u8) -> Result<u8, Refusal> {
        match character {
            b'0'..=b'9' => Ok(character - b'0'),
            b'a'..=b'f' if self != Self::Upper => Ok(character - b'a' + 10),
            b'A'..=b'F' if self == Self::Upper => Ok(character - b'A' + 10),
            _ => Err(Refusal::Form),
        }
    }

    pub(super) fn render<'a>(self, uuid: [u8; 16], out: &'a mut Vec<u8>) -> Value<'a> {
        if self == Self::Blob {
            out.extend_from_slice(&uuid);
            return Value::Blob(out);
        }
        let digits = if self == Self::Upper { b"0123456789ABCDEF" } else { b"0123456789abcdef" };
        for (number, byte) in uuid.into_iter().enumerate() {
            if self != Self::Hex && GROUPS.contains(&number) {
                out.push(b'-');
            }
            out.push(digits[usize::from(byte >> 4)]);
            out.push(digits[usize::from(byte & 15)]);
        }
        Value::Text(out)
    }
}

/// Any form that PostgreSQL's `uuid_in` reads with its hyphens at their places or without any:
/// with braces around it or not, in any case; or 16 bytes.
pub(super) fn parse_any(value: Value<'_>) -> Result<[u8; 16], Refusal> {
    match value {
        Value::Blob(_) => UuidForm::Blob.parse(value),
        Value::Text(text) => {
            let inside = text.strip_prefix(b"{").and_then(|text| text.strip_suffix(b"}"));
            let text = inside.unwrap_or(text).to_ascii_lowercase();
            let form = if text.len() == 32 { UuidForm::Hex } else { UuidForm::Lower };
            form.parse(Value::Text(&text))
        }
        _ => Err(Refusal::Class),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_form_is_one_uuid() {
        let bytes: [u8; 16] = std::array::from_fn(|at| u8::try_from(at * 17).unwrap());
        let texts = [
            "00112233-4455-6677-8899-aabbccddeeff",
            "{00112233-4455-6677-8899-AABBCCDDEEFF}",
            "00112233445566778899AaBbCcDdEeFf",
        ];
        for text in texts {
            assert_eq!(parse_any(Value::Text(text.as_bytes())), Ok(bytes), "{text}");
        }
        assert_eq!(parse_any(Value::Blob(&bytes)), Ok(bytes));
        for text in ["{00112233445566778899aabbccddeeff", "0011-2233445566778899aabbccddeeff", ""] {
            assert_eq!(parse_any(Value::Text(text.as_bytes())), Err(Refusal::Form), "{text}");
        }
        assert_eq!(parse_any(Value::Integer(1)), Err(Refusal::Class));
    }
}
