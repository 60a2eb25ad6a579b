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

/// Different rows held of one side at a time: some 15 MiB with a key and ten columns.
pub(super) const MOST_HELD: u64 = 60_000;

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
        named += ours.count.abs_diff(theirs.count).max(1);
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

/// Key of a row, and whether it is a reject.
type Key = (bool, Box<[u8]>);

impl Differences {
    /// Matches the rows of both sides: equal ones cancel, those with one key differ, and the
    /// others are missing or extra.
    pub(super) fn add(&mut self, source: Holder, target: Holder, names: &Names<'_>) {
        self.at_least |= source.overflow || target.overflow;
        let keyless = source.layout.key.is_empty();
        let (ours, theirs) = cancel(source.rows, target.rows);
        let mut by_key: HashMap<Key, Vec<Held>> = HashMap::new();
        for (key, held) in theirs {
            by_key.entry(key).or_default().push(held);
        }
        for (key, mut held) in ours {
            // Without a key nothing tells which row became which.
            let same = by_key.get_mut(&key).filter(|_| key.0 || !keyless);
            if let Some(same) = same {
                self.pair(&key, &mut held, same, names);
            }
            self.missing += held.count;
            self.name(DifferenceKind::Missing, &key, &held, held.count, names);
        }
        let mut extra: Vec<(Key, Vec<Held>)> = by_key.into_iter().collect();
        extra.sort_by(|(a, _), (b, _)| a.cmp(b));
        for (key, rows) in extra {
            for held in rows {
                self.extra += held.count;
                self.name(DifferenceKind::Extra, &key, &held, held.count, names);
            }
        }
    }

    /// Rows of one key on both sides.
    fn pair(&mut self, key: &Key, ours: &mut Held, theirs: &mut Vec<Held>, names: &Names<'_>) {
        while ours.count > 0
            && let Some(mut other) = theirs.pop()
        {
            let both = ours.count.min(other.count);
            self.different += both;
            self.name(DifferenceKind::Different, key, ours, both, names);
            if let Some(named) = self.rows.last_mut()
                && named.kind == i32::from(DifferenceKind::Different)
                && named.columns.is_empty()
            {
                named.columns = differing(&ours.columns, &other.columns, names.columns);
            }
            ours.count -= both;
            other.count -= both;
            if other.count > 0 {
                theirs.push(other);
            }
        }
    }

    fn name(
        &mut self,
        kind: DifferenceKind,
        key: &Key,
        held: &Held,
        count: u64,
        names: &Names<'_>,
    ) {
        if count == 0 || self.rows.len() >= names.limit {
            return;
        }
        let key = match (&held.name, key) {
            (Some(name), _) => name.to_string(),
            (None, (true, name)) => String::from_utf8_lossy(name).into_owned(),
            (None, (false, key)) => (names.name_of)(key),
        };
        self.rows.push(RowDifference { kind: kind.into(), key, columns: Vec::new(), count });
    }
}

/// What is left of both sides when equal rows have cancelled each other, by key.
fn cancel(
    source: HashMap<Identity, Held>,
    mut target: HashMap<Identity, Held>,
) -> (Vec<(Key, Held)>, Vec<(Key, Held)>) {
    let mut left = Vec::new();
    for (identity, mut ours) in source {
        if let Some(theirs) = target.get_mut(&identity) {
            let equal = ours.count.min(theirs.count);
            ours.count -= equal;
            theirs.count -= equal;
        }
        if ours.count > 0 {
            left.push(((identity.reject, identity.key), ours));
        }
    }
    left.sort_by(|(a, _), (b, _)| a.cmp(b));
    let theirs = target.into_iter().filter(|(_, held)| held.count > 0);
    (left, theirs.map(|(identity, held)| ((identity.reject, identity.key), held)).collect())
}

fn differing(ours: &[u32], theirs: &[u32], names: &[&str]) -> Vec<String> {
    let pairs = ours.iter().zip(theirs).zip(names);
    pairs.filter(|((a, b), _)| a != b).map(|(_, name)| (*name).to_owned()).collect()
}
