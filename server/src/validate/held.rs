//! The second pass: the rows of the buckets that differ, one by one.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use switchback_proto::v1::{DifferenceKind, RowDifference};

use super::{
    buckets::{Bucket, Layout},
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
}

/// Compares the buckets of both sides. `names` is how many differences are wanted by name.
pub(super) fn suspects(source: &[Bucket], target: &[Bucket], names: u64) -> Suspects {
    let mut found = Suspects::default();
    let mut held = MOST_HELD;
    let mut named = 0;
    for (number, (ours, theirs)) in source.iter().zip(target).enumerate() {
        if ours == theirs {
            continue;
        }
        let rows = ours.count.max(theirs.count);
        let one_sided = ours.count == 0 || theirs.count == 0;
        // A bucket that only one side has is counted already; it is looked at for the names.
        if one_sided && named >= names {
            found.missing += ours.count;
            found.extra += theirs.count;
            continue;
        }
        if held + rows > MOST_HELD {
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

/// A row that may differ.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Identity {
    /// Key of the table; empty for one without.
    key: Box<[u8]>,
    digest: u128,
    reject: bool,
}

/// Equal rows.
#[derive(Debug, Clone)]
struct Held {
    count: u64,
    /// Digest of each column.
    columns: Box<[u32]>,
    /// How a report names them, where the key does not.
    name: Option<Box<str>>,
}

/// How a report names a row by the bytes of its key's fields.
pub(super) type NameOf<'a> = &'a (dyn Fn(&[u8]) -> String + Send + Sync);

/// The rows of one side in some buckets.
pub(super) struct Holder {
    layout: Layout,
    buckets: Arc<HashSet<usize>>,
    key: Vec<u8>,
    rows: HashMap<Identity, Held>,
    /// There were more than can be held.
    overflow: bool,
}

impl Holder {
    pub(super) fn new(layout: Layout, buckets: Arc<HashSet<usize>>) -> Self {
        Self { layout, buckets, key: Vec::new(), rows: HashMap::new(), overflow: false }
    }
}

impl TupleSink for Holder {
    fn take(&mut self, tuple: Tuple<'_>, name: &dyn Fn() -> Option<String>) {
        let digest = self.layout.keys.digest(tuple);
        if !self.buckets.contains(&self.layout.place(tuple, digest, &mut self.key)) {
            return;
        }
        let reject = matches!(tuple, Tuple::Reject { .. });
        let identity = Identity { key: self.key.as_slice().into(), digest, reject };
        if let Some(held) = self.rows.get_mut(&identity) {
            held.count += 1;
            return;
        }
        // Only a bucket larger than all that may be held gets here.
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

/// What differs.
#[derive(Debug, Default)]
pub(super) struct Differences {
    pub(super) missing: u64,
    pub(super) extra: u64,
    pub(super) different: u64,
    pub(super) at_least: bool,
    pub(super) rows: Vec<RowDifference>,
}

/// What a report on differences needs.
pub(super) struct Names<'a> {
    /// Names of the columns in the source.
    pub(super) columns: &'a [&'a str],
    /// Names rows by their key.
    pub(super) name_of: NameOf<'a>,
    /// How many rows are named.
    pub(super) limit: usize,
}

/// Whether a row is a reject, and its key.
type Key = (bool, Box<[u8]>);

/// Rows in key order.
type Sorted = Vec<(Key, Held)>;

impl Differences {
    /// Matches the rows of both sides: equal ones cancel, those with one key differ, and the
    /// others are missing or extra.
    pub(super) fn add(&mut self, source: Holder, target: Holder, names: &Names<'_>) {
        self.at_least |= source.overflow || target.overflow;
        let keyless = source.layout.key.is_empty();
        let (ours, mut theirs) = cancel(source.rows, target.rows);
        // A stack with the smallest key on top, so that both sides are merged in key order.
        theirs.reverse();
        for (key, mut held) in ours {
            while let Some((other, extra)) = theirs.pop_if(|(other, _)| *other < key) {
                self.extra(&other, &extra, names);
            }
            // Without a key nothing tells which row became which.
            if key.0 || !keyless {
                self.pair(&key, &mut held, &mut theirs, names);
            }
            self.missing += held.count;
            self.name(DifferenceKind::Missing, &key, &held, names);
        }
        for (key, extra) in theirs.into_iter().rev() {
            self.extra(&key, &extra, names);
        }
    }

    fn extra(&mut self, key: &Key, held: &Held, names: &Names<'_>) {
        self.extra += held.count;
        self.name(DifferenceKind::Extra, key, held, names);
    }

    /// Rows of one key on both sides.
    fn pair(&mut self, key: &Key, ours: &mut Held, theirs: &mut Sorted, names: &Names<'_>) {
        while ours.count > 0
            && let Some((same, mut other)) = theirs.pop_if(|(other, _)| other == key)
        {
            let both = ours.count.min(other.count);
            self.different += both;
            if self.name(DifferenceKind::Different, key, ours, names)
                && let Some(named) = self.rows.last_mut()
            {
                named.count = both;
                named.columns = differing(&ours.columns, &other.columns, names.columns);
            }
            ours.count -= both;
            other.count -= both;
            if other.count > 0 {
                theirs.push((same, other));
            }
        }
    }

    /// Names a row if there is room; whether there was.
    fn name(&mut self, kind: DifferenceKind, key: &Key, held: &Held, names: &Names<'_>) -> bool {
        if held.count == 0 || self.rows.len() >= names.limit {
            return false;
        }
        let key = match (&held.name, key) {
            (Some(name), _) => name.to_string(),
            (None, (true, name)) => String::from_utf8_lossy(name).into_owned(),
            (None, (false, key)) => (names.name_of)(key),
        };
        let (kind, count) = (kind.into(), held.count);
        self.rows.push(RowDifference { kind, key, columns: Vec::new(), count });
        true
    }
}

/// What is left of both sides when equal rows have cancelled each other, in key order.
fn cancel(
    mut source: HashMap<Identity, Held>,
    mut target: HashMap<Identity, Held>,
) -> (Sorted, Sorted) {
    source.retain(|identity, ours| {
        if let Some(theirs) = target.get_mut(identity) {
            let equal = ours.count.min(theirs.count);
            ours.count -= equal;
            theirs.count -= equal;
        }
        ours.count > 0
    });
    target.retain(|_, theirs| theirs.count > 0);
    (sorted(source), sorted(target))
}

fn sorted(rows: HashMap<Identity, Held>) -> Sorted {
    let rows = rows.into_iter().map(|(identity, held)| ((identity.reject, identity.key), held));
    let mut rows: Vec<_> = rows.collect();
    rows.sort_by(|(a, left), (b, right)| (a, &left.name).cmp(&(b, &right.name)));
    rows
}

fn differing(ours: &[u32], theirs: &[u32], names: &[&str]) -> Vec<String> {
    let pairs = ours.iter().zip(theirs).zip(names);
    pairs.filter(|((a, b), _)| a != b).map(|(_, name)| (*name).to_owned()).collect()
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
        let found = suspects(&source, &target, 100);
        assert_eq!(found.passes, [HashSet::from([1, 2, 3, 4])]);
        assert_eq!((found.missing, found.extra, found.at_least), (0, 0, false));
        // One-sided buckets are counted already; without names there is no need to read them.
        let found = suspects(&source, &target, 0);
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
        let found = suspects(&source, &target, 10);
        assert_eq!(found.passes.len(), MOST_PASSES);
        assert!(found.passes.iter().all(|pass| pass.len() == 2));
        assert_eq!((found.missing, found.extra, found.different), (10, 5, 2));
        assert!(found.at_least);
        // One bucket may be larger than all that may be held: it has a pass of its own.
        let found = suspects(&[bucket(1, MOST_HELD * 3)], &[bucket(1, 1)], 10);
        assert_eq!(found.passes.len(), 1);
    }
}
