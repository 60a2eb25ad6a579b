//! What the writers lived through.

use std::{collections::BTreeMap, fmt, time::Duration};

use super::{
    engine::Cause,
    journal::{Fate, History},
};

/// Numbers over all journals.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Acknowledged transactions.
    pub ok: u64,
    /// Refused ones.
    pub failed: u64,
    /// Refused ones by cause.
    pub causes: BTreeMap<Cause, u64>,
    /// Those without an answer, whatever was found out later.
    pub unknown: u64,
    /// Longest time between two acknowledged transactions of one writer: the pause that an
    /// application sees.
    pub longest_gap: Duration,
    /// The writer that saw it.
    pub gap_of: i64,
}

impl Report {
    /// Counts.
    pub fn of(histories: &[History]) -> Self {
        let mut report = Self::default();
        for history in histories {
            report.add(history);
        }
        report
    }

    fn add(&mut self, history: &History) {
        let mut before = None;
        for transaction in &history.transactions {
            match transaction.fate {
                Fate::Ok(at) => {
                    self.ok += 1;
                    let gap = at.saturating_sub(before.replace(at).unwrap_or(at));
                    if gap > self.longest_gap {
                        (self.longest_gap, self.gap_of) = (gap, history.writer);
                    }
                }
                Fate::Failed(cause) => {
                    self.failed += 1;
                    *self.causes.entry(cause).or_default() += 1;
                }
                Fate::Unknown(_) => self.unknown += 1,
            }
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { ok, failed, unknown, longest_gap, gap_of, .. } = self;
        write!(f, "{ok} ok, {failed} failed, {unknown} unknown; ")?;
        write!(f, "longest gap {} ms (writer {gap_of})", longest_gap.as_millis())
    }
}
