//! A table whose source is written to while it is compared (docs/adr/0003-validation-by-digest.md,
//! "Live pairs").
//!
//! After a drain the target stands still, and whatever has changed since is in the log. Where both
//! sides are equal although the source was read later, they are so for good: what changes from
//! then on is logged, and a drain applies the row as it is. Where they are not equal, a row that
//! the log does not name differs, and one that it names has to be looked at again.

use std::sync::Arc;

use switchback_proto::v1::TableComparison;

use super::{
    buckets::{Buckets, Layout},
    change_log::{Changed, Entry, LogKeys, Unsettled},
    comparison::Comparison,
    differences::{Differences, Left, Names},
    follow::Follow,
    held::{self, Holder, MOST_HELD, Wanted},
    lookup::{MOST_LOOKED_UP, Place},
    sieve::{self, Open, Sieve},
    table::TableWork,
};
use crate::{error::Result, task::cancelled};

/// Looks at rows that change all the time, each a drain and a few milliseconds: what is written
/// to every tenth of a second stands still during one of them.
const MOST_LOOKS: u32 = 20;

/// The same where each look is a pass over the table.
const MOST_PASSES: u32 = 4;

/// How often a table is begun again because more rows came in between two passes than can be held.
const MOST_ATTEMPTS: u32 = 3;

/// A table as it is compared.
struct Table<'t> {
    work: &'t Arc<TableWork>,
    rejects: Option<&'t str>,
    follow: &'t dyn Follow,
    log: &'t LogKeys,
    names: Names<'t>,
}

/// Sums of what is open.
struct Sums {
    layout: Layout,
    /// The newest change that is in the target.
    applied: i64,
    ours: Buckets,
    theirs: Buckets,
    /// Buckets that differ, and how many rows each has.
    unequal: Vec<(usize, u64)>,
    /// For each bucket: rows in it changed since the target stands still.
    changed: Vec<bool>,
}

/// What came out.
#[derive(Default)]
struct Found {
    differences: Differences,
    /// Rows that changed each time.
    unsettled: u64,
    /// Some rows were not compared.
    unjudged: bool,
}

impl Found {
    /// What is open could not be looked at. That is as good as settled where each change has the
    /// whole table copied again.
    fn nothing(sums: &Sums, whole: bool) -> Self {
        let differences = Differences { at_least: !whole, ..Differences::default() };
        Self { differences, unsettled: sums.open(0).rows, unjudged: !whole }
    }
}

/// Rows to be looked at.
struct Question {
    wanted: Arc<Wanted>,
    /// The keys that they have, where these are known.
    entries: Arc<[Entry]>,
}

impl Sums {
    /// Rows of the table, proven or not.
    fn all(&self) -> u64 {
        (self.ours.rows + self.ours.rejects).max(self.theirs.rows + self.theirs.rejects)
    }

    fn is_changed(&self, bucket: usize) -> bool {
        self.changed.get(bucket).is_some_and(|changed| *changed)
    }

    /// What is open, of `before`.
    fn open(&self, before: u64) -> Open {
        let rows = self.unequal.iter().map(|(_, rows)| rows).sum();
        let changed = self.unequal.iter().filter(|(bucket, _)| self.is_changed(*bucket));
        Open { rows, changed: changed.map(|(_, rows)| rows).sum(), before }
    }

    /// Leaves open only what is so by these sums too.
    fn narrow(self, sieve: &mut Sieve) {
        sieve.push(self.layout, self.unequal.into_iter().map(|(bucket, _)| bucket));
    }
}

impl Comparison<'_> {
    /// Compares every value of both sides; differences are real ones.
    pub(super) async fn exact_live(
        &mut self,
        work: &Arc<TableWork>,
        rejects: Option<&str>,
        (follow, log): (&dyn Follow, &LogKeys),
    ) -> Result<TableComparison> {
        let name_of = |key: &[u8]| work.name_of(key);
        let columns = work.names();
        let limit = self.job.max_differences;
        let names = Names { columns: &columns, name_of: &name_of, limit };
        let table = Table { work, rejects, follow, log, names };
        let mut sieve = Sieve::default();
        let most = if log.whole { MOST_PASSES } else { MOST_ATTEMPTS };
        let mut attempt = 1;
        let (sums, found) = loop {
            let sums = self.sift(&table, &mut sieve).await?;
            if let Some(found) = self.judge(&table, &sieve, &sums).await? {
                break (sums, found);
            }
            if attempt == most {
                let found = Found::nothing(&sums, log.whole);
                break (sums, found);
            }
            attempt += 1;
            // What a row was before it changed says nothing of it where it has no key.
            if !log.whole {
                sums.narrow(&mut sieve);
            }
        };
        let Found { differences, unsettled, unjudged } = found;
        Ok(TableComparison {
            table: work.name.clone(),
            source_rows: sums.ours.rows + sums.ours.rejects,
            target_rows: sums.theirs.rows + work.kept_aside,
            missing: differences.missing,
            extra: differences.extra,
            different: differences.different,
            rejected: sums.theirs.rejects,
            matches: differences.is_empty() && !unjudged,
            at_least: differences.at_least,
            unsettled,
            kept_aside: work.kept_aside,
            differences: differences.rows,
        })
    }

    pub(super) async fn drain(&mut self, follow: &dyn Follow) -> Result<i64> {
        if self.cancel.is_cancelled() {
            return Err(cancelled());
        }
        follow.drain().await
    }

    /// Sums up what is open, again and again, until what is left open can be held or gets no less.
    async fn sift(&mut self, table: &Table<'_>, sieve: &mut Sieve) -> Result<Sums> {
        let work = table.work;
        let mut rows = work.rows_total;
        for passes in 1.. {
            let layout = Layout::new(self.keys.spread_anew(), work.key.clone(), rows);
            let applied = self.drain(table.follow).await?;
            let left = Arc::new(sieve.clone());
            let side = || Buckets::new(layout.clone(), Arc::clone(&left));
            let sides = (side(), side());
            let (ours, theirs) = self.pass(work, table.rejects, sides, passes == 1).await?;
            let unequal = sieve::unequal(&ours.buckets, &theirs.buckets);
            let changed = Vec::new();
            let sums = Sums { layout, applied, ours, theirs, unequal, changed };
            let sums = self.with_changes(table.log, sums).await?;
            let open = sums.open(if passes == 1 { sums.all() } else { rows });
            if table.log.whole || !sieve::worth_sifting(open, passes, MOST_HELD) {
                return Ok(sums);
            }
            rows = open.rows;
            sums.narrow(sieve);
        }
        unreachable!("the number of passes is bounded")
    }

    /// Says in which buckets rows changed since the drain.
    async fn with_changes(&mut self, log: &LogKeys, mut sums: Sums) -> Result<Sums> {
        if sums.unequal.is_empty() {
            return Ok(sums);
        }
        let rejects = sums.ours.rejects + sums.theirs.rejects > 0;
        let (file, log) = (self.job.source.clone(), log.clone());
        self.on_source(move |connection| {
            let mut changed = vec![false; sums.layout.buckets()];
            log.read(connection, &file, sums.applied, |entry| {
                mark(&sums.layout, entry, rejects, &mut changed);
            })?;
            sums.changed = changed;
            Ok(sums)
        })
        .await
    }

    /// Looks at what the sums leave open, row by row. None: more rows came than can be held, or
    /// some changed in a table whose rows have no names.
    async fn judge(
        &mut self,
        table: &Table<'_>,
        sieve: &Sieve,
        sums: &Sums,
    ) -> Result<Option<Found>> {
        let names = table.names.limit as u64;
        let changed = |bucket| sums.is_changed(bucket);
        let (ours, theirs) = (&sums.ours.buckets, &sums.theirs.buckets);
        let suspects = held::suspects(ours, theirs, names, changed);
        let mut found = Found {
            differences: Differences::counted(&suspects),
            unsettled: suspects.unjudged,
            unjudged: suspects.unjudged > 0,
        };
        for buckets in suspects.passes {
            let mut open = sieve.clone();
            open.push(sums.layout.clone(), buckets);
            if !self.settle(table, open, sums, &mut found).await? {
                return Ok(None);
            }
        }
        Ok(Some(found))
    }

    /// Holds what is open, and looks again at the rows that changed meanwhile. False where the
    /// sums are to be made again.
    async fn settle(
        &mut self,
        table: &Table<'_>,
        open: Sieve,
        sums: &Sums,
        found: &mut Found,
    ) -> Result<bool> {
        let layout = &sums.layout;
        let none = Arc::from(Vec::new());
        let mut question = Question { wanted: Arc::new(Wanted::Open(open)), entries: none };
        let mut looks = 0;
        loop {
            // A row without a key is another one when it has changed, and may be in a bucket that
            // is not looked at: nothing may change since the sums.
            let applied =
                if table.log.whole { sums.applied } else { self.drain(table.follow).await? };
            let quick = is_quick(table.work, &question);
            let (mut left, changed) = if quick {
                self.look_up(table, layout, &question, applied).await?
            } else {
                self.look(table, layout, &question, applied).await?
            };
            if left.overflow || (table.log.whole && changed.any) {
                return Ok(false);
            }
            looks += 1;
            let unsettled = changed.unsettled(left.keys());
            let last = looks >= if quick { MOST_LOOKS } else { MOST_PASSES };
            // Rejects that the log does not name can't be told from the others next time, and rows
            // that become such ones are found by look-ups only: nothing of this look counts.
            let lost = !table.log.names_rejects() && unsettled.entries.len() > MOST_LOOKED_UP;
            if (unsettled.nameless > 0 || lost) && !last {
                continue;
            }
            left.set_aside(|key| changed.holds(key));
            found.differences.add(left, &table.names);
            if last {
                found.unsettled += unsettled.rows();
            }
            if last || unsettled == Unsettled::default() {
                return Ok(true);
            }
            let wanted = Arc::new(unsettled.wanted());
            question = Question { wanted, entries: unsettled.entries.into() };
        }
    }

    /// Reads both sides from beginning to end.
    async fn look(
        &mut self,
        table: &Table<'_>,
        layout: &Layout,
        question: &Question,
        applied: i64,
    ) -> Result<(Left, Changed)> {
        let holder = || Holder::new(layout.clone(), Arc::clone(&question.wanted));
        let sides = (holder(), holder());
        let (ours, theirs) = self.pass(table.work, table.rejects, sides, false).await?;
        let left = Left::of(ours, theirs);
        let mut changed = Changed::among(table.log, left.keys().cloned());
        if left.is_empty() && !table.log.whole {
            return Ok((left, changed));
        }
        let (file, log) = (self.job.source.clone(), table.log.clone());
        let changed = self.on_source(move |connection| {
            log.read(connection, &file, applied, |entry| changed.take(entry))?;
            Ok(changed)
        });
        Ok((left, changed.await?))
    }

    /// Finds the rows by their keys.
    async fn look_up(
        &mut self,
        table: &Table<'_>,
        layout: &Layout,
        question: &Question,
        applied: i64,
    ) -> Result<(Left, Changed)> {
        let holder = || Holder::new(layout.clone(), Arc::clone(&question.wanted));
        let (mut ours, mut theirs) = (holder(), holder());
        let mut changed = Changed::among(table.log, question.entries.iter().flat_map(Entry::keys));
        let (file, work, log) =
            (self.job.source.clone(), Arc::clone(table.work), table.log.clone());
        let entries = Arc::clone(&question.entries);
        let source = self.on_source(move |connection| {
            if let Some(lookup) = &work.lookup {
                let place = Place { file: &file, connection, work: &work, log: &log };
                lookup.read_source(&place, (applied, &entries), &mut ours, &mut changed)?;
            }
            Ok((ours, changed))
        });
        let (ours, changed) = source.await?;
        if let Some(lookup) = &table.work.lookup {
            let asked = (table.rejects, &*question.entries);
            lookup.read_target(self.job.target.postgres, table.work, asked, &mut theirs).await?;
        }
        Ok((Left::of(ours, theirs), changed))
    }
}

/// Marks the buckets of what an entry of the log names.
fn mark(layout: &Layout, entry: Option<Entry>, rejects: bool, changed: &mut [bool]) {
    let Some(entry) = entry else { return changed.fill(true) };
    // The rejects that it may mean can be anywhere.
    if rejects && entry.reject.is_none() {
        changed.fill(true);
    }
    for key in [entry.row, entry.reject].into_iter().flatten() {
        changed[layout.bucket(&key, 0)] = true;
    }
}

/// Whether the rows are few and have keys by which both sides find them.
fn is_quick(work: &TableWork, question: &Question) -> bool {
    let few = (1..=MOST_LOOKED_UP).contains(&question.entries.len());
    few && work.lookup.is_some() && matches!(*question.wanted, Wanted::Keys { .. })
}

#[cfg(test)]
mod tests {
    use super::{super::buckets::Keys, *};

    #[test]
    fn an_entry_marks_the_buckets_of_both_forms() {
        let layout = Layout::new(Keys::random(), vec![0], 10_000);
        let marked = |entry, rejects| {
            let mut changed = vec![false; layout.buckets()];
            mark(&layout, entry, rejects, &mut changed);
            let marked = changed.iter().enumerate().filter(|(_, changed)| **changed);
            marked.map(|(number, _)| number).collect::<Vec<_>>()
        };
        let entry = |row: Option<&[u8]>, reject: Option<&str>| {
            let reject = reject.map(|name| name.as_bytes().into());
            Some(Entry { row: row.map(Into::into), reject, values: Vec::new() })
        };
        let mut both = vec![layout.bucket(b"key", 0), layout.bucket(b"id=1", 0)];
        both.sort_unstable();
        both.dedup();
        assert_eq!(marked(entry(Some(b"key"), Some("id=1")), true), both);
        assert_eq!(marked(entry(Some(b"key"), None), false), [layout.bucket(b"key", 0)]);
        let all = layout.buckets();
        assert_eq!(marked(entry(Some(b"key"), None), true).len(), all, "any reject may be meant");
        assert_eq!(marked(None, false).len(), all);
    }
}
