//! What differs: the held rows of both sides against each other.

use std::collections::HashMap;

use switchback_proto::v1::{DifferenceKind, RowDifference};

use super::held::{Held, Holder, Identity, Suspects};

/// How a report names a row by the bytes of its key's fields.
pub(super) type NameOf<'a> = &'a (dyn Fn(&[u8]) -> String + Send + Sync);

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
pub(super) type Key = (bool, Box<[u8]>);

/// Rows in key order.
type Sorted = Vec<(Key, Held)>;

/// What is left of both sides when equal rows have cancelled each other.
pub(super) struct Left {
    ours: Sorted,
    theirs: Sorted,
    keyless: bool,
    /// There were more rows than can be held, and these are not all.
    pub(super) overflow: bool,
}

impl Left {
    pub(super) fn of(source: Holder, target: Holder) -> Self {
        let overflow = source.overflow || target.overflow;
        let keyless = source.layout.key.is_empty();
        let (ours, theirs) = cancel(source.rows, target.rows);
        Self { ours, theirs, keyless, overflow }
    }

    /// Nothing is left.
    pub(super) fn is_empty(&self) -> bool {
        self.ours.is_empty() && self.theirs.is_empty()
    }

    /// The keys of what differs, some of them twice.
    pub(super) fn keys(&self) -> impl Iterator<Item = &Key> {
        self.ours.iter().chain(&self.theirs).map(|(key, _)| key)
    }

    /// Takes out the rows with keys of which this holds.
    pub(super) fn set_aside(&mut self, holds: impl Fn(&Key) -> bool) {
        self.ours.retain(|(key, _)| !holds(key));
        self.theirs.retain(|(key, _)| !holds(key));
    }
}

impl Differences {
    /// What the sums alone say.
    pub(super) fn counted(suspects: &Suspects) -> Self {
        Self {
            missing: suspects.missing,
            extra: suspects.extra,
            different: suspects.different,
            at_least: suspects.at_least,
            rows: Vec::new(),
        }
    }

    /// Nothing differs.
    pub(super) fn is_empty(&self) -> bool {
        self.missing == 0 && self.extra == 0 && self.different == 0
    }

    /// Matches what is left of both sides: rows with one key differ, and the others are missing or
    /// extra.
    pub(super) fn add(&mut self, left: Left, names: &Names<'_>) {
        self.at_least |= left.overflow;
        let Left { ours, mut theirs, keyless, .. } = left;
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
