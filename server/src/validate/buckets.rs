//! The first pass: sums of row digests in buckets by key. Equal sums mean equal rows, in
//! whatever order both sides give them (docs/adr/0003-validation-by-digest.md).

use std::{
    hash::{BuildHasher, RandomState},
    sync::Arc,
};

use super::{
    sieve::Sieve,
    tuple::{Tuple, TupleSink, field},
};

/// Rows a bucket should hold, so that few rows have to be looked at again for one difference.
const ROWS_A_BUCKET: u64 = 16;

/// Most buckets of one side: 8 MiB.
const MOST_BUCKETS: u64 = 1 << 18;

/// The keys of the digests, random in each run, so that no data can be made to collide.
#[derive(Clone)]
pub(super) struct Keys {
    rows: [u8; 32],
    buckets: RandomState,
}

impl Keys {
    pub(super) fn random() -> Self {
        let buckets = RandomState::new();
        // A RandomState is what the standard library has of random bytes; hashing under several
        // of them gives a whole key.
        let mut rows = [0; 32];
        for part in rows.chunks_exact_mut(8) {
            part.copy_from_slice(&RandomState::new().hash_one(uuid::Uuid::now_v7()).to_le_bytes());
        }
        Self { rows, buckets }
    }

    /// The same digests of rows in other buckets, so that rows that shared one part.
    pub(super) fn spread_anew(&self) -> Self {
        Self { rows: self.rows, buckets: RandomState::new() }
    }

    /// 128-bit digest of a row. Rejected rows and rows of the table cannot be taken for each
    /// other: no row has so many fields that it begins with 255.
    pub(super) fn digest(&self, tuple: Tuple<'_>) -> u128 {
        let hash = match tuple {
            Tuple::Row { bytes, .. } => blake3::keyed_hash(&self.rows, bytes),
            Tuple::Reject { data, .. } => {
                let mut hasher = blake3::Hasher::new_keyed(&self.rows);
                hasher.update(&[255]).update(data.as_bytes());
                hasher.finalize()
            }
        };
        let mut half = [0; 16];
        half.copy_from_slice(&hash.as_bytes()[..16]);
        u128::from_le_bytes(half)
    }

    /// 32-bit digest of a field.
    pub(super) fn field(&self, bytes: &[u8]) -> u32 {
        let hash = self.buckets.hash_one(bytes).to_le_bytes();
        u32::from_le_bytes([hash[0], hash[1], hash[2], hash[3]])
    }
}

/// Which bucket a row belongs to.
#[derive(Clone)]
pub(super) struct Layout {
    pub(super) keys: Keys,
    /// Numbers of the key's columns; empty for a table without a key.
    pub(super) key: Vec<usize>,
    /// Number of buckets less one: a mask.
    mask: usize,
}

impl Layout {
    /// Buckets for a table of about so many rows.
    pub(super) fn new(keys: Keys, key: Vec<usize>, rows: u64) -> Self {
        let buckets = (rows / ROWS_A_BUCKET).clamp(64, MOST_BUCKETS).next_power_of_two();
        Self { keys, key, mask: usize::try_from(buckets).unwrap_or(64) - 1 }
    }

    pub(super) fn buckets(&self) -> usize {
        self.mask + 1
    }

    /// The bytes of a row's key; empty for a row of a table without a key.
    pub(super) fn key_of(&self, tuple: Tuple<'_>, key: &mut Vec<u8>) {
        key.clear();
        match tuple {
            Tuple::Row { bytes, ends } => {
                for column in &self.key {
                    key.extend_from_slice(&bytes[field(ends, *column)]);
                }
            }
            Tuple::Reject { key: name, .. } => key.extend_from_slice(name.as_bytes()),
        }
    }

    /// The bucket of a row. What has no key is told apart by its digest.
    pub(super) fn bucket(&self, key: &[u8], digest: u128) -> usize {
        let hasher = &self.keys.buckets;
        self.masked(if key.is_empty() { hasher.hash_one(digest) } else { hasher.hash_one(key) })
    }

    fn masked(&self, hash: u64) -> usize {
        usize::try_from(hash & self.mask as u64).unwrap_or(0)
    }
}

/// Rows of a bucket.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Bucket {
    /// Sum of the digests, modulo 2^128.
    pub(super) sum: u128,
    /// Number of rows.
    pub(super) count: u64,
}

/// One side of a table.
pub(super) struct Buckets {
    layout: Layout,
    /// What earlier passes have proven is only counted.
    sieve: Arc<Sieve>,
    key: Vec<u8>,
    pub(super) buckets: Vec<Bucket>,
    /// Rows of the table.
    pub(super) rows: u64,
    /// Rows that are rejects.
    pub(super) rejects: u64,
}

impl Buckets {
    pub(super) fn new(layout: Layout, sieve: Arc<Sieve>) -> Self {
        let buckets = vec![Bucket::default(); layout.buckets()];
        Self { layout, sieve, key: Vec::new(), buckets, rows: 0, rejects: 0 }
    }
}

impl TupleSink for Buckets {
    fn take(&mut self, tuple: Tuple<'_>, _name: &dyn Fn() -> Option<String>) {
        match tuple {
            Tuple::Row { .. } => self.rows += 1,
            Tuple::Reject { .. } => self.rejects += 1,
        }
        let Some(digest) = self.sieve.open_digest(&self.layout, tuple, &mut self.key) else {
            return;
        };
        let bucket = self.layout.bucket(&self.key, digest);
        let bucket = &mut self.buckets[bucket];
        bucket.sum = bucket.sum.wrapping_add(digest);
        bucket.count += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(layout: &Layout, rows: &[&[u8]]) -> Vec<Bucket> {
        let mut side = Buckets::new(layout.clone(), Arc::default());
        for row in rows {
            side.take(Tuple::Row { bytes: row, ends: &[row.len()] }, &|| None);
        }
        side.buckets
    }

    #[test]
    fn order_does_not_matter_and_everything_else_does() {
        for key in [vec![], vec![0]] {
            let layout = Layout::new(Keys::random(), key, 100);
            let whole = fill(&layout, &[b"\0\x01a", b"\0\x01b", b"\0\x01b"]);
            assert_eq!(whole, fill(&layout, &[b"\0\x01b", b"\0\x01a", b"\0\x01b"]));
            assert_ne!(whole, fill(&layout, &[b"\0\x01b", b"\0\x01a"]));
            assert_ne!(whole, fill(&layout, &[b"\0\x01a", b"\0\x01a", b"\0\x01b"]));
            assert_ne!(whole, fill(&layout, &[b"\0\x01a", b"\0\x01b", b"\0\x01c"]));
        }
    }

    #[test]
    fn a_reject_is_no_row() {
        let keys = Keys::random();
        let row = Tuple::Row { bytes: b"{}", ends: &[2] };
        assert_ne!(keys.digest(row), keys.digest(Tuple::Reject { key: "id=1", data: "{}" }));
        assert_ne!(keys.digest(row), Keys::random().digest(row), "keys differ from run to run");
    }
}
