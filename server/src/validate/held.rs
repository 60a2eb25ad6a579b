//! The second pass: the rows of the buckets that differ, one by one.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use super::{
    buckets::{Bucket, Layout},
    sieve::Sieve,
    tuple::{Tuple, TupleSink, field},
};

/// Different rows held of one side at a time: some 8 MiB with a key and ten columns.
pub(super) const MOST_HELD: u64 = 30_000;

/// Passes over a table; what is not settled then is reported as a lower bound.
const MOST_PASSES: usize = 8;

/// What the first pass says, and which buckets to look at again.
#[derive(Debug, Default)]
pub(super) struct Suspects {
    /// Buckets by pass.
    pub(super) passes: Vec<HashSet<usize>>,
    /// Rows in buckets that one side does not have and that are not looked at again.
    pub(super) missing: u64,
    /// The same for the other side.
    pub(super) extra: u64,
    /// At least so many rows differ in the buckets that are left out.
    pub(super) different: u64,
    /// Buckets were left out.
    pub(super) at_least: bool,
    /// Rows in buckets that are left out and cannot be judged, since some of them changed.
    pub(super) unjudged: u64,
}

/// Compares the buckets of both sides. `names` is how many differences are wanted by name;
/// `changed` says in which buckets rows were written to since the target stands still.
pub(super) fn suspects(
    source: &[Bucket],
    target: &[Bucket],
    names: u64,
    changed: impl Fn(usize) -> bool,
) -> Suspects {
    let mut found = Suspects::default();
    let mut held = MOST_HELD;
    let mut named = 0;
    for (number, (ours, theirs)) in source.iter().zip(target).enumerate() {
        if ours == theirs {
            continue;
        }
        let rows = ours.count.max(theirs.count);
        let judged = !changed(number);
        let one_sided = judged && (ours.count == 0 || theirs.count == 0);
        // A bucket that only one side has is counted already; it is looked at for the names.
        if one_sided && named >= names {
            found.missing += ours.count;
            found.extra += theirs.count;
            continue;
        }
        if held + rows > MOST_HELD {
            if found.passes.len() == MOST_PASSES && !judged {
                found.at_least = true;
                found.unjudged += rows;
                continue;
            }
            if found.passes.len() == MOST_PASSES {
                found.at_least |= !one_sided;
                found.missing += ours.count.saturating_sub(theirs.count);
                found.extra += theirs.count.saturating_sub(ours.count);
                found.different += u64::from(ours.count == theirs.count);
                continue;
            }
            found.passes.push(HashSet::new());
            held = 0;
        }
        held += rows;
        // Equal rows are one name, however many they are.
        named += 1;
        if let Some(pass) = found.passes.last_mut() {
            pass.insert(number);
        }
    }
    found
}

/// Which rows are to be held.
pub(super) enum Wanted {
    /// Those that are open.
    Open(Sieve),
    /// Those with these keys.
    Keys {
        /// Keys of rows.
        rows: HashSet<Box<[u8]>>,
        /// How rejects are named.
        rejects: HashSet<Box<[u8]>>,
    },
}

impl Wanted {
    /// The digest of a row that is wanted, and its key's bytes.
    fn digest(&self, layout: &Layout, tuple: Tuple<'_>, key: &mut Vec<u8>) -> Option<u128> {
        match self {
            Self::Open(sieve) => sieve.open_digest(layout, tuple, key),
            Self::Keys { rows, rejects } => {
                layout.key_of(tuple, key);
                let keys = if matches!(tuple, Tuple::Reject { .. }) { rejects } else { rows };
                keys.contains(key.as_slice()).then(|| layout.keys.digest(tuple))
            }
        }
    }
}

/// A row that may differ.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Identity {
    /// Key of the table; empty for one without.
    pub(super) key: Box<[u8]>,
    pub(super) digest: u128,
    pub(super) reject: bool,
}

/// Equal rows.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub(super) count: u64,
    /// Digest of each column.
    pub(super) columns: Box<[u32]>,
    /// How a report names them, where the key does not.
    pub(super) name: Option<Box<str>>,
}

/// The rows of one side that are wanted.
pub(super) struct Holder {
    pub(super) layout: Layout,
    wanted: Arc<Wanted>,
    key: Vec<u8>,
    pub(super) rows: HashMap<Identity, Held>,
    /// There were more than can be held.
    pub(super) overflow: bool,
}

impl Holder {
    pub(super) fn new(layout: Layout, wanted: Arc<Wanted>) -> Self {
        Self { layout, wanted, key: Vec::new(), rows: HashMap::new(), overflow: false }
    }
}

impl TupleSink for Holder {
    fn take(&mut self, tuple: Tuple<'_>, name: &dyn Fn() -> Option<String>) {
        let Some(digest) = self.wanted.digest(&self.layout, tuple, &mut self.key) else { return };
        let reject = matches!(tuple, Tuple::Reject { .. });
        let identity = Identity { key: self.key.as_slice().into(), digest, reject };
        if let Some(held) = self.rows.get_mut(&identity) {
            held.count += 1;
            return;
        }
        // Only a bucket larger than all that may be held gets here, or rows that were written since.
        if self.rows.len() as u64 >= 2 * MOST_HELD {
            self.overflow = true;
            return;
        }
        let held = match tuple {
            Tuple::Row { bytes, ends } => {
                let digest = |column| self.layout.keys.field(&bytes[field(ends, column)]);
                let columns = (0..ends.len()).map(digest).collect();
                let name = self.layout.key.is_empty().then(|| keyless_name(bytes, name()).into());
                Held { count: 1, columns, name }
            }
            Tuple::Reject { .. } => Held { count: 1, columns: Box::default(), name: None },
        };
        self.rows.insert(identity, held);
    }
}

/// A row without a key: where the source has it, and a digest that is the same in every run.
fn keyless_name(bytes: &[u8], name: Option<String>) -> String {
    let place = name.map(|name| format!("{name}, ")).unwrap_or_default();
    format!("{place}digest={}", &blake3::hash(bytes).to_hex()[..16])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket(sum: u128, count: u64) -> Bucket {
        Bucket { sum, count }
    }

    #[test]
    fn only_buckets_that_differ_are_looked_at_again() {
        let source = [bucket(1, 1), bucket(2, 1), bucket(0, 0), bucket(5, 3), bucket(7, 2)];
        let target = [bucket(1, 1), bucket(3, 1), bucket(4, 2), bucket(0, 0), bucket(7, 3)];
        let found = suspects(&source, &target, 100, |_| false);
        assert_eq!(found.passes, [HashSet::from([1, 2, 3, 4])]);
        assert_eq!((found.missing, found.extra, found.at_least), (0, 0, false));
        // One-sided buckets are counted already; without names there is no need to read them.
        let found = suspects(&source, &target, 0, |_| false);
        assert_eq!(found.passes, [HashSet::from([1, 4])]);
        assert_eq!((found.missing, found.extra, found.at_least), (3, 2, false));
    }

    #[test]
    fn passes_are_bounded_and_the_rest_is_a_lower_bound() {
        let each = MOST_HELD / 2;
        let source = vec![bucket(1, each); 20];
        let mut target = vec![bucket(2, each); 20];
        target[18].count = each - 10;
        target[19].count = each + 5;
        let found = suspects(&source, &target, 10, |_| false);
        assert_eq!(found.passes.len(), MOST_PASSES);
        assert!(found.passes.iter().all(|pass| pass.len() == 2));
        assert_eq!((found.missing, found.extra, found.different), (10, 5, 2));
        assert!(found.at_least);
        // One bucket may be larger than all that may be held: it has a pass of its own.
        let found = suspects(&[bucket(1, MOST_HELD * 3)], &[bucket(1, 1)], 10, |_| false);
        assert_eq!(found.passes.len(), 1);
    }

    #[test]
    fn what_changed_is_looked_at_or_not_judged() {
        let source = [bucket(1, 4), bucket(2, 1)];
        let target = [bucket(0, 0), bucket(3, 1)];
        let found = suspects(&source, &target, 0, |bucket| bucket == 0);
        assert_eq!(found.passes, [HashSet::from([0, 1])], "missing rows may only be new");
        assert_eq!((found.missing, found.unjudged), (0, 0));
        let each = MOST_HELD;
        let (source, target) = (vec![bucket(1, each); 10], vec![bucket(2, each - 1); 10]);
        let found = suspects(&source, &target, 10, |bucket| bucket == 9);
        assert_eq!((found.missing, found.unjudged, found.at_least), (1, each, true));
    }
}
