//! The second pass: the rows of the buckets that differ, one by one.

use std::collections::{HashMap, HashSet};

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
    /// How a report names them.
    name: String,
    /// Digest of each column.
    columns: Box<[u32]>,
}

/// How a report names a row of the target by the bytes of its key's fields.
pub(super) type NameOf<'a> = &'a (dyn Fn(Tuple<'_>) -> String + Send + Sync);

/// The rows of one side in some buckets.
pub(super) struct Holder<'a> {
    layout: Layout,
    buckets: &'a HashSet<usize>,
    name_of: NameOf<'a>,
    key: Vec<u8>,
    rows: HashMap<Identity, Held>,
    /// There were more than can be held.
    overflow: bool,
}

impl<'a> Holder<'a> {
    pub(super) fn new(layout: Layout, buckets: &'a HashSet<usize>, name_of: NameOf<'a>) -> Self {
        Self { layout, buckets, name_of, key: Vec::new(), rows: HashMap::new(), overflow: false }
    }
}

impl TupleSink for Holder<'_> {
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
        let columns = match tuple {
            Tuple::Row { bytes, ends } => {
                let field = |column| self.layout.keys.field(&bytes[field(ends, column)]);
                (0..ends.len()).map(field).collect()
            }
            Tuple::Reject { .. } => Box::default(),
        };
        let mut shown = (self.name_of)(tuple);
        if self.layout.key.is_empty()
            && let Some(name) = name()
            && !reject
        {
            shown = format!("{name}, {shown}");
        }
        self.rows.insert(identity, Held { count: 1, name: shown, columns });
    }
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

/// Matches the rows of both sides: equal ones cancel, those with one key differ, and the others
/// are missing or extra. `columns` are the names of the columns, `limit` how many rows are named.
pub(super) fn compare(
    source: Holder<'_>,
    mut target: Holder<'_>,
    columns: &[&str],
    limit: usize,
    found: &mut Differences,
) {
    found.at_least |= source.overflow || target.overflow;
    // What is left of each key, on both sides.
    let mut left: HashMap<(bool, Box<[u8]>), Vec<Held>> = HashMap::new();
    let mut missing = Vec::new();
    let mut pairs = Vec::new();
    for (identity, mut ours) in source.rows {
        if let Some(theirs) = target.rows.get_mut(&identity) {
            let equal = ours.count.min(theirs.count);
            ours.count -= equal;
            theirs.count -= equal;
        }
        if ours.count > 0 {
            pairs.push((identity, ours));
        }
    }
    for (identity, theirs) in target.rows {
        if theirs.count > 0 {
            left.entry((identity.reject, identity.key)).or_default().push(theirs);
        }
    }
    let keyless = source.layout.key.is_empty();
    for (identity, mut ours) in pairs {
        let same_key = left.get_mut(&(identity.reject, identity.key));
        // Without a key nothing tells which row became which.
        if let Some(same_key) = same_key.filter(|_| !keyless || identity.reject) {
            while let Some(mut theirs) = same_key.pop() {
                let both = ours.count.min(theirs.count);
                ours.count -= both;
                theirs.count -= both;
                found.different += both;
                found.name(limit, DifferenceKind::Different, &ours.name, both, &|| {
                    differing(&ours.columns, &theirs.columns, columns)
                });
                if theirs.count > 0 {
                    same_key.push(theirs);
                }
                if ours.count == 0 {
                    break;
                }
            }
        }
        if ours.count > 0 {
            missing.push(ours);
        }
    }
    for ours in missing {
        found.missing += ours.count;
        found.name(limit, DifferenceKind::Missing, &ours.name, ours.count, &Vec::new);
    }
    for theirs in left.into_values().flatten() {
        found.extra += theirs.count;
        found.name(limit, DifferenceKind::Extra, &theirs.name, theirs.count, &Vec::new);
    }
}

impl Differences {
    fn name(
        &mut self,
        limit: usize,
        kind: DifferenceKind,
        key: &str,
        count: u64,
        columns: &dyn Fn() -> Vec<String>,
    ) {
        if self.rows.len() < limit {
            let (kind, key, columns) = (kind.into(), key.to_owned(), columns());
            self.rows.push(RowDifference { kind, key, columns, count });
        }
    }
}

fn differing(ours: &[u32], theirs: &[u32], names: &[&str]) -> Vec<String> {
    let pairs = ours.iter().zip(theirs).zip(names);
    pairs.filter(|((a, b), _)| a != b).map(|(_, name)| (*name).to_owned()).collect()
}
