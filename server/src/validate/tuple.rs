//! Rows as bytes, from either side, and PostgreSQL's binary COPY output cut into them.

use std::ops::Range;

use crate::{
    copy::encode::HEADER,
    error::{Error, Reason, Result},
};

/// Length of the header's fixed part; a 32-bit length of its extension is the end of it.
const HEADER_BYTES: usize = HEADER.len();

/// A row as one of both sides gives it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Tuple<'a> {
    /// A row of the table: a 16-bit number of fields and the fields, each with its 32-bit
    /// length, as binary COPY has them. `ends` holds the end of each field in `bytes`.
    Row { bytes: &'a [u8], ends: &'a [usize] },
    /// A row that the target cannot hold: how it is named, and all of it as `row_data`.
    Reject { key: &'a str, data: &'a str },
}

/// Takes the rows of one side.
pub(super) trait TupleSink: Send {
    /// Takes a row. `name` gives how the source names it, where the source is asked.
    fn take(&mut self, tuple: Tuple<'_>, name: &dyn Fn() -> Option<String>);
}

/// Field number `index`, its length in front.
pub(super) fn field(ends: &[usize], index: usize) -> Range<usize> {
    let start = if index == 0 { 2 } else { ends[index - 1] };
    start..ends[index]
}

/// Cuts binary COPY output into tuples, wherever its messages end.
#[derive(Debug, Default)]
pub(super) struct Cutter {
    /// What came of a tuple that is not complete.
    rest: Vec<u8>,
    ends: Vec<usize>,
    header_seen: bool,
    trailer_seen: bool,
}

impl Cutter {
    /// Takes a piece and gives each tuple that is complete.
    pub(super) fn feed(
        &mut self,
        piece: &[u8],
        mut each: impl FnMut(&[u8], &[usize]),
    ) -> Result<()> {
        if self.rest.is_empty() {
            let used = self.cut(piece, &mut each)?;
            self.rest.extend_from_slice(&piece[used..]);
        } else {
            let mut whole = std::mem::take(&mut self.rest);
            whole.extend_from_slice(piece);
            let used = self.cut(&whole, &mut each)?;
            whole.drain(..used);
            self.rest = whole;
        }
        Ok(())
    }

    /// Checks that nothing is left over.
    pub(super) fn finish(&self) -> Result<()> {
        if self.trailer_seen && self.rest.is_empty() { Ok(()) } else { Err(malformed()) }
    }

    /// Cuts off what is complete; how many bytes that was.
    fn cut(&mut self, bytes: &[u8], each: &mut impl FnMut(&[u8], &[usize])) -> Result<usize> {
        let mut at = 0;
        if !self.header_seen {
            let Some(length) = number(bytes, HEADER_BYTES - 4) else { return Ok(0) };
            let length = usize::try_from(length).map_err(|_| malformed())?;
            if bytes.len() < HEADER_BYTES + length {
                return Ok(0);
            }
            if bytes[..11] != HEADER[..11] {
                return Err(malformed());
            }
            self.header_seen = true;
            at = HEADER_BYTES + length;
        }
        while let Some(count) = bytes.get(at..at + 2) {
            if self.trailer_seen {
                return Err(malformed());
            }
            let count = i16::from_be_bytes([count[0], count[1]]);
            let Ok(count) = usize::try_from(count) else {
                self.trailer_seen = true;
                at += 2;
                continue;
            };
            let Some(length) = self.tuple(&bytes[at..], count)? else { break };
            each(&bytes[at..at + length], &self.ends);
            at += length;
        }
        Ok(at)
    }

    /// Length of the tuple in front of `bytes`; `None` where it is not complete.
    fn tuple(&mut self, bytes: &[u8], fields: usize) -> Result<Option<usize>> {
        self.ends.clear();
        let mut at = 2;
        for _ in 0..fields {
            let Some(length) = number(bytes, at) else { return Ok(None) };
            at += 4;
            if length != -1 {
                at += usize::try_from(length).map_err(|_| malformed())?;
            }
            if at > bytes.len() {
                return Ok(None);
            }
            self.ends.push(at);
        }
        Ok(Some(at))
    }
}

fn number(bytes: &[u8], at: usize) -> Option<i32> {
    let bytes = bytes.get(at..at + 4)?;
    Some(i32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
}

fn malformed() -> Error {
    Error::new(Reason::TargetFailed, "PostgreSQL's COPY output is not in its binary format")
        .hint("check that the server is PostgreSQL itself")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<u8> {
        let mut bytes = HEADER.to_vec();
        bytes.extend_from_slice(&[0, 2, 0, 0, 0, 1, b'a', 0xff, 0xff, 0xff, 0xff]);
        bytes.extend_from_slice(&[0, 2, 0, 0, 0, 0, 0, 0, 0, 2, b'b', b'c']);
        bytes.extend_from_slice(&[0xff, 0xff]);
        bytes
    }

    #[test]
    fn tuples_are_cut_wherever_messages_end() {
        for size in 1..40 {
            let mut cutter = Cutter::default();
            let mut found = Vec::new();
            for piece in sample().chunks(size) {
                cutter
                    .feed(piece, |bytes, ends| {
                        found
                            .push((bytes[field(ends, 0)].to_vec(), bytes[field(ends, 1)].to_vec()));
                    })
                    .unwrap();
            }
            cutter.finish().unwrap();
            assert_eq!(found.len(), 2, "pieces of {size}");
            assert_eq!(found[0], (vec![0, 0, 0, 1, b'a'], vec![255; 4]));
            assert_eq!(found[1], (vec![0; 4], vec![0, 0, 0, 2, b'b', b'c']));
        }
    }

    #[test]
    fn damaged_output_is_refused() {
        let mut cutter = Cutter::default();
        let whole = sample();
        cutter.feed(&whole[..whole.len() - 2], |_, _| ()).unwrap();
        assert!(cutter.finish().is_err(), "no trailer");
        let mut damaged = whole.clone();
        damaged[21..25].copy_from_slice(&[0xff, 0xff, 0xff, 0xf0]);
        assert!(Cutter::default().feed(&damaged, |_, _| ()).is_err(), "negative length");
        let mut damaged = whole;
        damaged[0] = b'Q';
        assert!(Cutter::default().feed(&damaged, |_, _| ()).is_err(), "signature");
    }
}
