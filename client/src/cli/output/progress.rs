//! What the progress of an operation adds up to: totals, rates and the time left. Times are the
//! events' own, so that events that are read again later give the same figures.

use std::collections::{HashMap, VecDeque};

use prost_types::Timestamp;
use switchback_client::{
    v1::{OperationKind, Phase, ProgressEvent},
    words::Word,
};

use super::{
    format::{self, between, bytes, counted, rate},
    totals::Totals,
};

/// A rate looks this far back: long enough to be calm, short enough to follow a change.
const WINDOW_SECONDS: f64 = 10.0;
/// Below this a rate is noise.
const SHORTEST_SECONDS: f64 = 0.2;

/// A table may end below its expected rows: what has not moved for this many updates is not shown.
const RECENT_UPDATES: u64 = 20;

/// Progress of one table in the present phase.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct TableProgress {
    pub(crate) table: String,
    pub(crate) rows: u64,
    pub(crate) rows_total: u64,
    pub(crate) bytes: u64,
    /// Counts the updates of all tables: the higher, the more recent.
    touched: u64,
}

impl TableProgress {
    fn is_done(&self) -> bool {
        self.rows >= self.rows_total && (self.rows_total > 0 || self.rows == 0)
    }
}

#[derive(Debug, Clone, Copy)]
struct Sample {
    at: Timestamp,
    rows: u64,
    bytes: u64,
}

/// Bytes of a whole backup or restoration, whichever table the event is about.
#[derive(Debug, Clone, Copy, Default)]
struct Stored {
    expected: u64,
    uploaded: u64,
    deduplicated: u64,
}

/// The present phase and its tables.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    phase: Phase,
    /// What is being done, where that is no phase: a backup leaves the database in the phase that
    /// it is in.
    work: Option<OperationKind>,
    began: Option<Timestamp>,
    last: Option<Timestamp>,
    tables: Vec<TableProgress>,
    positions: HashMap<String, usize>,
    /// The server's own figure for the whole database, where it sends one.
    whole: Option<TableProgress>,
    sums: TableProgress,
    stored: Stored,
    samples: VecDeque<Sample>,
    updates: u64,
}

impl Progress {
    pub(crate) fn phase(&self) -> Phase {
        self.phase
    }

    /// Takes note of an operation that begins; true where its work has no phase of its own.
    pub(crate) fn begin(&mut self, kind: OperationKind, at: Option<Timestamp>) -> bool {
        use OperationKind::{Backup, Restore, VerifyBackup};
        let without_phase = matches!(kind, Backup | Restore | VerifyBackup);
        if without_phase {
            *self = Self { work: Some(kind), began: at, last: at, ..Self::default() };
        }
        without_phase
    }

    /// The present phase, or what is being done. Who begins to watch in the middle has not been
    /// told either.
    pub(crate) fn label(&self) -> String {
        match (self.phase, self.work) {
            (Phase::Unspecified, None) => "running".to_owned(),
            (Phase::Unspecified | Phase::Idle, Some(kind)) => kind.word(),
            (phase, _) => phase.word(),
        }
    }

    /// Begins a phase and tells how the one before ended.
    pub(crate) fn enter(&mut self, phase: Phase, at: Option<Timestamp>) -> Option<String> {
        let ended = self.ended(at);
        *self = Self { phase, work: self.work, began: at, last: at, ..Self::default() };
        ended
    }

    /// `copying done in 3.10 s: 2,000,000 rows, 357.2 MB`; `None` where no phase has begun.
    pub(crate) fn ended(&self, at: Option<Timestamp>) -> Option<String> {
        if matches!(self.phase, Phase::Unspecified | Phase::Idle) {
            return None;
        }
        let mut line = format!("{} done", self.phase.word());
        if let (Some(began), Some(at)) = (self.began, at.or(self.last)) {
            line = format!("{line} in {}", format::seconds(between(&began, &at)));
        }
        let sums = self.sums();
        if sums.rows > 0 {
            line = format!("{line}: {}", counted(sums.rows, "row"));
        }
        if sums.bytes > 0 {
            line = format!("{line}, {}", bytes(sums.bytes));
        }
        Some(line)
    }

    pub(crate) fn update(&mut self, event: &ProgressEvent, at: Option<Timestamp>) {
        self.updates += 1;
        let new = TableProgress {
            table: event.table.clone(),
            rows: event.rows,
            rows_total: event.rows_total,
            bytes: event.bytes,
            touched: self.updates,
        };
        self.stored = Stored {
            expected: event.bytes_total,
            uploaded: event.bytes_uploaded,
            deduplicated: event.bytes_deduplicated,
        };
        if event.table.is_empty() {
            self.whole = Some(new);
        } else {
            self.update_table(new);
        }
        if let Some(at) = at {
            self.last = Some(at);
            self.sample(at);
        }
    }

    fn update_table(&mut self, new: TableProgress) {
        let position = *self.positions.entry(new.table.clone()).or_insert(self.tables.len());
        if position == self.tables.len() {
            self.tables.push(TableProgress { table: new.table.clone(), ..Default::default() });
        }
        let old = &mut self.tables[position];
        let sums = &mut self.sums;
        sums.rows = sums.rows.saturating_sub(old.rows).saturating_add(new.rows);
        sums.rows_total =
            sums.rows_total.saturating_sub(old.rows_total).saturating_add(new.rows_total);
        sums.bytes = sums.bytes.saturating_sub(old.bytes).saturating_add(new.bytes);
        *old = new;
    }

    fn sample(&mut self, at: Timestamp) {
        let sums = self.sums();
        let sample = Sample { at, rows: sums.rows, bytes: sums.bytes };
        // After a restart an operation goes on from its last checkpoint, which may lie behind.
        let behind = |last: &Sample| last.rows > sample.rows || last.bytes > sample.bytes;
        if self.samples.back().is_some_and(behind) {
            self.samples.clear();
        }
        self.samples.push_back(sample);
        while self.samples.len() > 2
            && self.samples.get(1).is_some_and(|next| between(&next.at, &at) > WINDOW_SECONDS)
        {
            self.samples.pop_front();
        }
    }

    fn sums(&self) -> &TableProgress {
        self.whole.as_ref().unwrap_or(&self.sums)
    }

    pub(crate) fn totals(&self) -> Totals {
        let sums = self.sums();
        let mut totals = Totals {
            rows: sums.rows,
            rows_total: sums.rows_total,
            bytes: sums.bytes,
            bytes_total: self.stored.expected,
            bytes_uploaded: self.stored.uploaded,
            bytes_deduplicated: self.stored.deduplicated,
            ..Totals::default()
        };
        let (Some(first), Some(last)) = (self.samples.front(), self.samples.back()) else {
            return totals;
        };
        // The first sample of a phase holds work too: count that from the phase's beginning.
        let (since, rows, bytes) = match self.began {
            Some(began) if between(&began, &last.at) <= WINDOW_SECONDS => (began, 0, 0),
            _ => (first.at, first.rows, first.bytes),
        };
        let seconds = between(&since, &last.at);
        if seconds < SHORTEST_SECONDS {
            return totals;
        }
        totals.rows_per_second = rate(last.rows.saturating_sub(rows), seconds);
        totals.bytes_per_second = rate(last.bytes.saturating_sub(bytes), seconds);
        totals
    }

    /// Unfinished tables that have moved lately, at most `most`, in the order in which they began,
    /// so that a bar keeps its place.
    pub(crate) fn active(&self, most: usize) -> Vec<&TableProgress> {
        self.tables
            .iter()
            .filter(|table| !table.is_done() && self.updates - table.touched < RECENT_UPDATES)
            .take(most)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Option<Timestamp> {
        Some(Timestamp { seconds: 1000 + seconds, nanos: 0 })
    }

    fn event(table: &str, rows: u64, rows_total: u64) -> ProgressEvent {
        ProgressEvent {
            table: table.to_owned(),
            rows,
            rows_total,
            bytes: rows * 10,
            ..Default::default()
        }
    }

    fn copying() -> Progress {
        let mut progress = Progress::default();
        assert_eq!(progress.enter(Phase::Copying, at(0)), None);
        progress
    }

    #[test]
    fn tables_add_up_and_newer_figures_replace_older_ones() {
        let mut progress = copying();
        progress.update(&event("a", 100, 1000), at(1));
        progress.update(&event("b", 50, 50), at(1));
        progress.update(&event("a", 300, 1000), at(2));
        let totals = progress.totals();
        assert_eq!((totals.rows, totals.rows_total, totals.bytes), (350, 1050, 3500));
        assert!((totals.rows_per_second - 175.0).abs() < 1e-9);
        assert!((totals.bytes_per_second - 1750.0).abs() < 1e-9);
        assert_eq!(totals.seconds_left(), Some(4.0));
    }

    #[test]
    fn a_figure_of_the_whole_database_wins() {
        let mut progress = copying();
        progress.update(&event("a", 100, 1000), at(1));
        progress.update(&event("", 100, 90_000), at(1));
        assert_eq!(progress.totals().rows_total, 90_000);
    }

    #[test]
    fn rates_follow_the_last_seconds() {
        let mut progress = copying();
        for second in 0..=60 {
            let rows = if second <= 40 { second * 1000 } else { 40_000 + (second - 40) * 10 };
            progress.update(&event("a", rows, 100_000), at(i64::try_from(second).unwrap()));
        }
        let rate = progress.totals().rows_per_second;
        assert!((rate - 10.0).abs() < 1e-6, "{rate}");
    }

    #[test]
    fn going_back_after_a_restart_is_no_negative_rate() {
        let mut progress = copying();
        progress.update(&event("a", 1000, 2000), at(20));
        progress.update(&event("a", 800, 2000), at(30));
        progress.update(&event("a", 900, 2000), at(32));
        assert!((progress.totals().rows_per_second - 50.0).abs() < 1e-9);
        let pages = |bytes| ProgressEvent { bytes, bytes_total: 2000, ..Default::default() };
        let mut progress = copying();
        progress.update(&pages(1000), at(20));
        progress.update(&pages(800), at(30));
        progress.update(&pages(900), at(32));
        assert!((progress.totals().bytes_per_second - 50.0).abs() < 1e-9);
    }

    #[test]
    fn only_unfinished_tables_that_move_are_active() {
        let names = |progress: &Progress, most| -> Vec<String> {
            progress.active(most).iter().map(|table| table.table.clone()).collect()
        };
        let mut progress = copying();
        for table in ["a", "b", "c", "d"] {
            progress.update(&event(table, 1, 10), at(1));
        }
        progress.update(&event("b", 10, 10), at(2));
        progress.update(&event("empty", 0, 0), at(2));
        assert_eq!(names(&progress, 2), ["a", "c"]);
        for rows in 2..10 {
            progress.update(&event("d", rows, 100), at(2));
            progress.update(&event("c", rows, 100), at(2));
            progress.update(&event("d", rows, 100), at(2));
        }
        assert_eq!(names(&progress, 5), ["c", "d"]);
    }

    #[test]
    fn a_phase_ends_with_its_sums() {
        let mut progress = copying();
        progress.update(&event("a", 2000, 2000), at(3));
        assert_eq!(
            progress.enter(Phase::Indexing, at(4)).as_deref(),
            Some("copying done in 4.00 s: 2,000 rows, 20.0 kB")
        );
        assert_eq!(progress.ended(at(5)).as_deref(), Some("indexing done in 1.00 s"));
    }

    #[test]
    fn a_backup_is_measured_in_bytes_and_needs_no_phase() {
        let mut progress = Progress::default();
        assert!(!progress.begin(OperationKind::Migrate, at(0)));
        assert_eq!(progress.label(), "running");
        assert!(progress.begin(OperationKind::Backup, at(0)));
        assert_eq!(progress.label(), "backup");
        let pages = |bytes| ProgressEvent {
            bytes,
            bytes_total: 4000,
            bytes_uploaded: bytes / 4,
            bytes_deduplicated: bytes / 2,
            ..Default::default()
        };
        progress.update(&pages(500), at(1));
        progress.update(&pages(1000), at(2));
        let totals = progress.totals();
        assert_eq!(totals.position(), (1000, 4000));
        assert_eq!((totals.bytes_uploaded, totals.bytes_deduplicated), (250, 500));
        assert_eq!(totals.seconds_left(), Some(6.0));
        assert_eq!(progress.ended(at(3)), None);
    }

    #[test]
    fn tables_of_a_backup_add_up_and_what_went_to_the_store_does_not() {
        let mut progress = Progress::default();
        progress.begin(OperationKind::Backup, at(0));
        for (table, bytes_uploaded) in [("a", 30), ("b", 70)] {
            let event = ProgressEvent { bytes_uploaded, ..event(table, 5, 0) };
            progress.update(&event, at(1));
        }
        let totals = progress.totals();
        assert_eq!((totals.rows, totals.bytes, totals.bytes_uploaded), (10, 100, 70));
    }
}
