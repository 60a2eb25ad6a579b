//! Rows out of the chunks of a table, one after the other.

use crate::{
    backup::manifest::RowFormat,
    error::{Error, Reason, Result},
};

/// Cuts content into rows. A chunk may end in the middle of one.
pub(super) struct Rows {
    format: RowFormat,
    buffer: Vec<u8>,
}

impl Rows {
    pub(super) fn new(format: RowFormat) -> Self {
        Self { format, buffer: Vec::new() }
    }

    /// Takes a chunk, and hands every row that is complete to `row`, field by field.
    pub(super) fn take(
        &mut self,
        chunk: &[u8],
        mut row: impl FnMut(&[Option<Vec<u8>>]) -> Result<()>,
    ) -> Result<()> {
        self.buffer.extend_from_slice(chunk);
        let mut at = 0;
        let mut fields = Vec::new();
        while let Some(length) = self.row_at(at, &mut fields)? {
            row(&fields)?;
            at += length;
        }
        self.buffer.drain(..at);
        Ok(())
    }

    /// Refuses content that ends in the middle of a row.
    pub(super) fn end(&self) -> Result<()> {
        if self.buffer.is_empty() { Ok(()) } else { Err(broken()) }
    }

    fn row_at(&self, at: usize, fields: &mut Vec<Option<Vec<u8>>>) -> Result<Option<usize>> {
        fields.clear();
        let rest = &self.buffer[at..];
        match self.format {
            RowFormat::Binary => binary(rest, fields),
            RowFormat::Text => Ok(line(rest, fields)),
        }
    }
}

/// A row as COPY's binary form has it (PostgreSQL manual, COPY, "Tuples").
fn binary(rest: &[u8], fields: &mut Vec<Option<Vec<u8>>>) -> Result<Option<usize>> {
    let Some(count) = rest.first_chunk::<2>() else { return Ok(None) };
    let count = i16::from_be_bytes(*count);
    let mut at = 2;
    for _ in 0..count {
        let Some(length) = rest.get(at..).and_then(|rest| rest.first_chunk::<4>()) else {
            return Ok(None);
        };
        at += 4;
        let length = i32::from_be_bytes(*length);
        if length == -1 {
            fields.push(None);
            continue;
        }
        let length = usize::try_from(length).map_err(|_| broken())?;
        let Some(field) = rest.get(at..at + length) else { return Ok(None) };
        fields.push(Some(field.to_vec()));
        at += length;
    }
    if count < 0 { Err(broken()) } else { Ok(Some(at)) }
}

/// A line of COPY's text form (PostgreSQL manual, COPY, "Text Format").
fn line(rest: &[u8], fields: &mut Vec<Option<Vec<u8>>>) -> Option<usize> {
    let end = rest.iter().position(|byte| *byte == b'\n')?;
    fields.extend(rest[..end].split(|byte| *byte == b'\t').map(unescaped));
    Some(end + 1)
}

fn unescaped(field: &[u8]) -> Option<Vec<u8>> {
    if field == b"\\N" {
        return None;
    }
    let mut text = Vec::with_capacity(field.len());
    let mut bytes = field.iter();
    while let Some(byte) = bytes.next() {
        text.push(match (byte, byte == &b'\\') {
            (byte, false) => *byte,
            _ => match bytes.next() {
                Some(b'b') => 8,
                Some(b'f') => 12,
                Some(b'n') => b'\n',
                Some(b'r') => b'\r',
                Some(b't') => b'\t',
                Some(b'v') => 11,
                Some(other) => *other,
                None => b'\\',
            },
        });
    }
    Some(text)
}

fn broken() -> Error {
    Error::new(Reason::BackupDamaged, "rows of a table are not whole")
        .hint("`switchback backups verify` says whether the backup is damaged")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(format: RowFormat, content: &[u8], cut: usize) -> Vec<Vec<Option<Vec<u8>>>> {
        let mut rows = Rows::new(format);
        let mut found = Vec::new();
        for chunk in content.chunks(cut) {
            rows.take(chunk, |fields| {
                found.push(fields.to_vec());
                Ok(())
            })
            .unwrap();
        }
        rows.end().unwrap();
        found
    }

    #[test]
    fn rows_may_be_cut_anywhere() {
        let some = |bytes: &[u8]| Some(bytes.to_vec());
        let binary = b"\0\x02\0\0\0\x01a\xff\xff\xff\xff\0\x02\0\0\0\0\0\0\0\x02bc";
        let text = b"a\\tb\\\\\t\\N\n\tx\\n\n";
        for cut in [1, 2, 3, 7, 100] {
            let expected = [vec![some(b"a"), None], vec![some(b""), some(b"bc")]];
            assert_eq!(all(RowFormat::Binary, binary, cut), expected);
            let expected = [vec![some(b"a\tb\\"), None], vec![some(b""), some(b"x\n")]];
            assert_eq!(all(RowFormat::Text, text, cut), expected);
        }
        let mut half = Rows::new(RowFormat::Binary);
        half.take(&binary[..5], |_| Ok(())).unwrap();
        assert!(half.end().is_err());
    }
}
