//! What COPY sends, cut into chunks at whole rows, with the rows counted and their hashes summed.

use crate::{
    backup::{
        chunk::{CHUNK, LARGEST},
        manifest::RowFormat,
    },
    copy::encode::HEADER,
    error::{Error, Reason, Result},
};

/// A chunk is cut at the first row that ends behind so many bytes. A range of blocks holds less
/// than that as a rule, so that it is one chunk and a changed row changes no other one.
const CUT: usize = 2 * CHUNK;

/// Sum of hashes, modulo 2^256: the same whatever order the rows come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Digest([u64; 4]);

impl Digest {
    /// Adds another one.
    pub(super) fn add(&mut self, other: Self) {
        let mut carry = false;
        for (limb, more) in self.0.iter_mut().zip(other.0) {
            let (sum, first) = limb.overflowing_add(more);
            let (sum, second) = sum.overflowing_add(u64::from(carry));
            *limb = sum;
            carry = first || second;
        }
    }

    /// 64 hex digits, the lowest byte first.
    pub(super) fn to_hex(self) -> String {
        let mut bytes = [0; 32];
        for (to, limb) in bytes.chunks_exact_mut(8).zip(self.0) {
            to.copy_from_slice(&limb.to_le_bytes());
        }
        blake3::Hash::from_bytes(bytes).to_hex().to_string()
    }

    fn of(hash: &blake3::Hash) -> Self {
        let mut limbs = [0; 4];
        for (limb, bytes) in limbs.iter_mut().zip(hash.as_bytes().chunks_exact(8)) {
            let mut word = [0; 8];
            word.copy_from_slice(bytes);
            *limb = u64::from_le_bytes(word);
        }
        Self(limbs)
    }
}

/// What rows amount to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Tally {
    pub(super) rows: u64,
    pub(super) bytes: u64,
    pub(super) digest: Digest,
}

impl Tally {
    /// Adds other rows.
    pub(super) fn add(&mut self, other: &Self) {
        self.rows += other.rows;
        self.bytes += other.bytes;
        self.digest.add(other.digest);
    }
}

/// Where in COPY's binary output the next byte is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    Header,
    /// The number of fields.
    Count,
    /// The length of a field, of so many that are left.
    Length(u16),
    /// In a field: bytes left of it, fields left behind it.
    Field(usize, u16),
    Trailer,
}

/// Cuts the output of one COPY.
pub(super) struct Cutter {
    format: RowFormat,
    at: At,
    /// What came of a number or of the header.
    part: Vec<u8>,
    chunk: Vec<u8>,
    /// Where in the chunk the row begins that is not complete.
    row: usize,
    /// Up to where the row's bytes in the chunk are hashed.
    hashed: usize,
    /// Earlier chunks hold the beginning of the row.
    in_row: bool,
    hasher: blake3::Hasher,
    tally: Tally,
}

impl Cutter {
    pub(super) fn new(format: RowFormat) -> Self {
        Self {
            format,
            at: if format == RowFormat::Binary { At::Header } else { At::Count },
            part: Vec::with_capacity(HEADER.len()),
            chunk: Vec::new(),
            row: 0,
            hashed: 0,
            in_row: false,
            hasher: blake3::Hasher::new(),
            tally: Tally::default(),
        }
    }

    /// Takes bytes off the front of a piece, until it is empty or a chunk is complete.
    pub(super) fn feed(&mut self, piece: &mut &[u8]) -> Result<Option<Vec<u8>>> {
        while !piece.is_empty() {
            if self.row == self.chunk.len() && self.row >= CUT {
                return Ok(Some(self.whole()));
            }
            let chunk = match self.format {
                RowFormat::Binary => self.binary(piece)?,
                RowFormat::Text => self.text(piece),
            };
            if chunk.is_some() {
                return Ok(chunk);
            }
        }
        Ok(None)
    }

    /// The last chunk, unless it is empty, and what all of them amount to.
    pub(super) fn finish(mut self) -> Result<(Option<Vec<u8>>, Tally)> {
        let complete = match self.format {
            RowFormat::Binary => self.at == At::Trailer,
            RowFormat::Text => self.row == self.chunk.len() && !self.in_row,
        };
        if !complete {
            return Err(malformed());
        }
        let last = (!self.chunk.is_empty()).then(|| self.whole());
        Ok((last, self.tally))
    }

    fn binary(&mut self, piece: &mut &[u8]) -> Result<Option<Vec<u8>>> {
        match self.at {
            At::Header => {
                if self.gather(piece, HEADER.len()) {
                    // Flags and extensions: there are none without OIDs.
                    if self.part != HEADER {
                        return Err(malformed());
                    }
                    self.part.clear();
                    self.at = At::Count;
                }
                Ok(None)
            }
            At::Count => {
                if !self.gather(piece, 2) {
                    return Ok(None);
                }
                let count = i16::from_be_bytes([self.part[0], self.part[1]]);
                if count == -1 {
                    self.at = At::Trailer;
                    return Ok(None);
                }
                let count = u16::try_from(count).map_err(|_| malformed())?;
                let full = self.put_part();
                self.next(count);
                Ok(full)
            }
            At::Length(left) => {
                if !self.gather(piece, 4) {
                    return Ok(None);
                }
                let number = [self.part[0], self.part[1], self.part[2], self.part[3]];
                let length = i32::from_be_bytes(number);
                let full = self.put_part();
                if length <= 0 {
                    if length < -1 {
                        return Err(malformed());
                    }
                    self.next(left - 1);
                    return Ok(full);
                }
                let length = usize::try_from(length).map_err(|_| malformed())?;
                self.at = At::Field(length, left - 1);
                Ok(full)
            }
            At::Field(length, left) => {
                if let Some(full) = self.make_room(1) {
                    return Ok(Some(full));
                }
                let taken = length.min(piece.len()).min(LARGEST - self.chunk.len());
                self.put(piece, taken);
                if taken < length {
                    self.at = At::Field(length - taken, left);
                } else {
                    self.next(left);
                }
                Ok(None)
            }
            At::Trailer => Err(malformed()),
        }
    }

    /// What comes behind a field, or behind the number of fields.
    fn next(&mut self, left: u16) {
        if left > 0 {
            self.at = At::Length(left);
        } else {
            self.at = At::Count;
            self.end_row();
        }
    }

    fn text(&mut self, piece: &mut &[u8]) -> Option<Vec<u8>> {
        if let Some(full) = self.make_room(1) {
            return Some(full);
        }
        // A newline in a value is sent as a backslash and an `n`.
        let end = piece.iter().position(|byte| *byte == b'\n');
        let room = LARGEST - self.chunk.len();
        let taken = end.unwrap_or(piece.len()).min(room);
        self.put(piece, taken);
        if end != Some(taken) || taken == room {
            return None;
        }
        self.hash();
        self.put(piece, 1);
        self.hashed = self.chunk.len();
        self.end_row();
        None
    }

    /// Collects bytes of a number, which may come in several pieces; whether they are complete.
    fn gather(&mut self, piece: &mut &[u8], wanted: usize) -> bool {
        let taken = (wanted - self.part.len()).min(piece.len());
        self.part.extend_from_slice(&piece[..taken]);
        *piece = &piece[taken..];
        self.part.len() == wanted
    }

    fn put_part(&mut self) -> Option<Vec<u8>> {
        let full = self.make_room(self.part.len());
        self.chunk.extend_from_slice(&self.part);
        self.tally.bytes += self.part.len() as u64;
        self.part.clear();
        full
    }

    fn put(&mut self, piece: &mut &[u8], taken: usize) {
        self.chunk.extend_from_slice(&piece[..taken]);
        self.tally.bytes += taken as u64;
        *piece = &piece[taken..];
    }

    /// A chunk that has to go before more bytes fit in: the rows before this one, or what there
    /// is of a row that is too large for one chunk.
    fn make_room(&mut self, bytes: usize) -> Option<Vec<u8>> {
        if self.chunk.len() + bytes <= LARGEST {
            return None;
        }
        self.hash();
        if self.row == 0 {
            self.in_row = true;
            return Some(self.whole());
        }
        let rest = self.chunk.split_off(self.row);
        self.row = 0;
        self.hashed = rest.len();
        Some(std::mem::replace(&mut self.chunk, rest))
    }

    fn hash(&mut self) {
        self.hasher.update(&self.chunk[self.hashed..]);
        self.hashed = self.chunk.len();
    }

    fn end_row(&mut self) {
        self.hash();
        self.tally.digest.add(Digest::of(&self.hasher.finalize()));
        self.tally.rows += 1;
        self.hasher.reset();
        self.in_row = false;
        self.row = self.chunk.len();
    }

    fn whole(&mut self) -> Vec<u8> {
        (self.row, self.hashed) = (0, 0);
        std::mem::take(&mut self.chunk)
    }
}

fn malformed() -> Error {
    Error::new(Reason::TargetFailed, "PostgreSQL's COPY output is not in the form it has to have")
        .hint("check that the server is PostgreSQL itself")
}

#[cfg(test)]
mod tests;
