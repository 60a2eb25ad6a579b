//! JSON, token by token, as strictly as PostgreSQL reads it for `jsonb` (RFC 8259).

use super::{Refusal, text::check_text};

pub(super) struct JsonReader<'a> {
    rest: &'a [u8],
}

impl<'a> JsonReader<'a> {
    pub(super) fn new(text: &'a [u8]) -> Result<Self, Refusal> {
        check_text(text)?;
        Ok(Self { rest: text })
    }

    /// The next byte that is no white space, which stays.
    pub(super) fn peek(&mut self) -> Option<u8> {
        let space = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
        let start = self.rest.iter().position(|byte| !space(byte)).unwrap_or(self.rest.len());
        self.rest = &self.rest[start..];
        self.rest.first().copied()
    }

    /// The same, taken.
    pub(super) fn next(&mut self) -> Result<u8, Refusal> {
        let byte = self.peek().ok_or(Refusal::Form)?;
        self.rest = &self.rest[1..];
        Ok(byte)
    }

    pub(super) fn expect(&mut self, byte: u8) -> Result<(), Refusal> {
        if self.next()? == byte { Ok(()) } else { Err(Refusal::Form) }
    }

    /// That nothing follows.
    pub(super) fn end(&mut self) -> Result<(), Refusal> {
        if self.peek().is_none() { Ok(()) } else { Err(Refusal::Form) }
    }

    /// `true`, `false` or `null`.
    pub(super) fn literal(&mut self) -> Result<&'a [u8], Refusal> {
        self.peek();
        let literals: [&[u8]; 3] = [b"true", b"false", b"null"];
        let found = literals.into_iter().find(|literal| self.rest.starts_with(literal));
        let (literal, rest) = self.rest.split_at(found.ok_or(Refusal::Form)?.len());
        self.rest = rest;
        Ok(literal)
    }

    /// A number as it is written.
    pub(super) fn number(&mut self) -> Result<&'a [u8], Refusal> {
        self.peek();
        let text = self.rest;
        let mut at = usize::from(text.starts_with(b"-"));
        let digits = |from: usize| text[from..].iter().take_while(|b| b.is_ascii_digit()).count();
        let whole = digits(at);
        if whole == 0 || (whole > 1 && text[at] == b'0') {
            return Err(Refusal::Form);
        }
        at += whole;
        if text.get(at) == Some(&b'.') {
            let fraction = digits(at + 1);
            if fraction == 0 {
                return Err(Refusal::Form);
            }
            at += 1 + fraction;
        }
        if matches!(text.get(at), Some(b'e' | b'E')) {
            at += 1 + usize::from(matches!(text.get(at + 1), Some(b'+' | b'-')));
            let exponent = digits(at);
            if exponent == 0 {
                return Err(Refusal::Form);
            }
            at += exponent;
        }
        let (number, rest) = text.split_at(at);
        self.rest = rest;
        Ok(number)
    }

    /// Appends what a string means. NUL and half a surrogate pair are refused, as PostgreSQL
    /// refuses them.
    pub(super) fn string(&mut self, out: &mut Vec<u8>) -> Result<(), Refusal> {
        self.expect(b'"')?;
        loop {
            let plain = |byte: &u8| !matches!(byte, b'"' | b'\\' | 0..=0x1f);
            let run = self.rest.iter().take_while(|byte| plain(byte)).count();
            let (text, rest) = self.rest.split_at(run);
            out.extend_from_slice(text);
            match rest {
                [b'"', rest @ ..] => {
                    self.rest = rest;
                    return Ok(());
                }
                [b'\\', rest @ ..] => {
                    self.rest = rest;
                    self.escape(out)?;
                }
                _ => return Err(Refusal::Form),
            }
        }
    }

    fn escape(&mut self, out: &mut Vec<u8>) -> Result<(), Refusal> {
        let (&byte, rest) = self.rest.split_first().ok_or(Refusal::Form)?;
        self.rest = rest;
        out.push(match byte {
            b'"' | b'\\' | b'/' => byte,
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => {
                let character = self.character()?;
                out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                return Ok(());
            }
            _ => return Err(Refusal::Form),
        });
        Ok(())
    }

    fn character(&mut self) -> Result<char, Refusal> {
        let first = self.unit()?;
        if first == 0 {
            return Err(Refusal::NulInText);
        }
        if !(0xd800..0xdc00).contains(&first) {
            // The second half of a pair is no character.
            return char::from_u32(first).ok_or(Refusal::Form);
        }
        self.rest = self.rest.strip_prefix(b"\\u").ok_or(Refusal::Form)?;
        let second = self.unit()?;
        if !(0xdc00..0xe000).contains(&second) {
            return Err(Refusal::Form);
        }
        let code = 0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00);
        char::from_u32(code).ok_or(Refusal::Form)
    }

    fn unit(&mut self) -> Result<u32, Refusal> {
        let (digits, rest) = self.rest.split_first_chunk::<4>().ok_or(Refusal::Form)?;
        self.rest = rest;
        digits.iter().try_fold(0, |sum, digit| {
            let digit = char::from(*digit).to_digit(16).ok_or(Refusal::Form)?;
            Ok(sum * 16 + digit)
        })
    }
}

/// Appends a string as PostgreSQL's `escape_json` writes it.
pub(super) fn write_string(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for &byte in text {
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            8 => out.extend_from_slice(b"\\b"),
            12 => out.extend_from_slice(b"\\f"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0..=0x1f => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}
