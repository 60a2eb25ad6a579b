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
