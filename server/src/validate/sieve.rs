//! Which rows are not proven yet. Each pass leaves the buckets that differed open, and the next one
//! looks at the rows in them only; its buckets are laid out anew, and finer for what is left, so
//! that rows that shared a bucket part.

use super::{
    buckets::{Bucket, Layout},
    tuple::Tuple,
};

/// What the passes so far have left open.
#[derive(Clone, Default)]
pub(super) struct Sieve {
    levels: Vec<Level>,
}

/// What one pass has left open.
#[derive(Clone)]
struct Level {
    layout: Layout,
    /// For each bucket: not proven.
    open: Vec<bool>,
}

impl Sieve {
    /// Leaves open what was open and is in one of these buckets.
    pub(super) fn push(&mut self, layout: Layout, buckets: impl IntoIterator<Item = usize>) {
        let mut open = vec![false; layout.buckets()];
        for bucket in buckets {
            open[bucket] = true;
        }
        self.levels.push(Level { layout, open });
    }

    /// Whether no pass has proven what has this key, or for a table without one, this digest.
    pub(super) fn is_open(&self, key: &[u8], digest: u128) -> bool {
        self.levels.iter().all(|level| level.open[level.layout.bucket(key, digest)])
    }

    /// The digest of a row that is open, and its key's bytes.
    pub(super) fn open_digest(
        &self,
        layout: &Layout,
        tuple: Tuple<'_>,
        key: &mut Vec<u8>,
    ) -> Option<u128> {
        layout.key_of(tuple, key);
        // A row that its key shows to be proven is not worth a digest.
        let digest = || layout.keys.digest(tuple);
        if key.is_empty() {
            let digest = digest();
            return self.is_open(key, digest).then_some(digest);
        }
        self.is_open(key, 0).then(digest)
    }
}

/// Buckets that differ, and the rows in each on the side that has more.
pub(super) fn unequal(source: &[Bucket], target: &[Bucket]) -> Vec<(usize, u64)> {
    let pairs = source.iter().zip(target).enumerate().filter(|(_, (ours, theirs))| ours != theirs);
    pairs.map(|(number, (ours, theirs))| (number, ours.count.max(theirs.count))).collect()
}

/// Passes that sift the rows of a table before what is left is held row by row. With 200,000 of a
/// hundred million rows changed during each, four or five leave no more than can be held.
const MOST_SIFTED: usize = 8;

/// Rows that a pass has left open.
#[derive(Debug, Clone, Copy)]
pub(super) struct Open {
    pub(super) rows: u64,
    /// Those in buckets in which rows were written to meanwhile.
    pub(super) changed: u64,
    /// Rows that were open before.
    pub(super) before: u64,
}

/// Whether another pass that only sums is worth it.
pub(super) fn worth_sifting(open: Open, passes: usize, most_held: u64) -> bool {
    // Differences stay, however often they are summed, unless they share buckets with what does
    // not; what was written to meanwhile goes away.
    let shrinks = open.rows <= open.before - open.before / 4;
    let settles = open.changed > open.rows / 2;
    open.rows > most_held && (shrinks || settles) && passes < MOST_SIFTED
}

#[cfg(test)]
mod tests {
    use super::{super::buckets::Keys, *};

    #[test]
    fn a_row_is_open_until_one_pass_proves_it() {
        let layout = Layout::new(Keys::random(), vec![0], 10_000);
        let mut sieve = Sieve::default();
        assert!(sieve.is_open(b"a", 0));
        let of_a = layout.bucket(b"a", 0);
        sieve.push(layout.clone(), [of_a]);
        assert!(sieve.is_open(b"a", 0));
        let apart = (0_u32..).map(u32::to_be_bytes);
        let other = apart.into_iter().find(|key| layout.bucket(key, 0) != of_a);
        assert!(!sieve.is_open(&other.unwrap(), 0));
        sieve.push(Layout::new(Keys::random(), vec![0], 100), []);
        assert!(!sieve.is_open(b"a", 0));
    }

    #[test]
    fn a_new_layout_parts_what_shared_a_bucket() {
        let keys = Keys::random();
        let shared = |layout: &Layout| {
            let first = layout.bucket(&0_u32.to_be_bytes(), 0);
            (1..100_000_u32).filter(|n| layout.bucket(&n.to_be_bytes(), 0) == first).count()
        };
        let first = Layout::new(keys.clone(), vec![0], 1_000);
        let mut sieve = Sieve::default();
        sieve.push(first.clone(), [first.bucket(&0_u32.to_be_bytes(), 0)]);
        let before = (1..100_000_u32).filter(|n| sieve.is_open(&n.to_be_bytes(), 0)).count();
        assert_eq!(before, shared(&first));
        let second = Layout::new(keys.spread_anew(), vec![0], 1_000);
        sieve.push(second.clone(), [second.bucket(&0_u32.to_be_bytes(), 0)]);
        let after = (1..100_000_u32).filter(|n| sieve.is_open(&n.to_be_bytes(), 0)).count();
        assert!(after * 8 < before, "{before} then {after}");
    }

    #[test]
    fn sifting_goes_on_while_it_helps() {
        let open = |rows, changed| Open { rows, changed, before: 100_000 };
        assert!(worth_sifting(open(40_000, 0), 1, 30_000));
        assert!(!worth_sifting(open(30_000, 0), 1, 30_000), "can be held");
        assert!(!worth_sifting(open(90_000, 0), 1, 30_000), "differences do not go away");
        assert!(worth_sifting(open(90_000, 80_000), 1, 30_000), "rows that were written do");
        assert!(!worth_sifting(open(40_000, 0), MOST_SIFTED, 30_000));
        let of = |sum, count| Bucket { sum, count };
        let differ = unequal(&[of(1, 1), of(2, 5), of(3, 2)], &[of(1, 1), of(4, 2), of(3, 7)]);
        assert_eq!(differ, [(1, 5), (2, 7)]);
    }
}
