//! Which samples of an operation's progress, lag and waits stay where there are many of them.
//!
//! A story that lasts for days must stay small, and still show its rates and its lag over time.

use std::collections::{BTreeSet, HashMap};

use switchback_proto::v1::{OperationEvent, ProgressEvent, operation_event::Event};

use crate::clock;

/// As many as a picture of them can show.
const MOST_PROGRESS: usize = 200;
const MOST_LAG: usize = 200;
/// A line each for people to read.
const MOST_WAITS: usize = 50;
/// Tables, each in each phase, whose first and last figures stay too: when it began and ended. Of
/// more, those with the most rows.
const MOST_TABLES: usize = 1000;

/// What is known of an operation's samples, event by event in their order.
#[derive(Debug, Default)]
pub(super) struct Samples {
    progress: Vec<Sample>,
    lag: Vec<Sample>,
    waits: Vec<Sample>,
    /// How many phases have begun: a table's figures start again in each.
    phases: usize,
    tables: HashMap<(usize, String), Ends>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sample {
    sequence: u64,
    /// Since 1970.
    millis: i64,
}

/// The first and the last figure of a table.
#[derive(Debug, Clone, Copy)]
struct Ends {
    first: u64,
    last: u64,
    rows: u64,
}

impl Samples {
    pub(super) fn take(&mut self, event: &OperationEvent) {
        let millis = event.time.as_ref().map(clock::to_millis).unwrap_or_default();
        let sample = Sample { sequence: event.sequence, millis };
        match &event.event {
            Some(Event::Phase(_)) => self.phases += 1,
            Some(Event::Progress(progress)) => {
                self.progress.push(sample);
                self.table(sample.sequence, progress);
            }
            Some(Event::Lag(_)) => self.lag.push(sample),
            Some(Event::Waiting(_)) => self.waits.push(sample),
            _ => {}
        }
    }

    fn table(&mut self, sequence: u64, progress: &ProgressEvent) {
        let rows = progress.rows;
        let first = Ends { first: sequence, last: sequence, rows };
        self.tables
            .entry((self.phases, progress.table.clone()))
            .and_modify(|ends| (ends.last, ends.rows) = (sequence, ends.rows.max(rows)))
            .or_insert(first);
    }

    /// Numbers of the samples that stay.
    pub(super) fn kept(self) -> BTreeSet<u64> {
        let mut tables: Vec<Ends> = self.tables.into_values().collect();
        tables.sort_unstable_by_key(|ends| (std::cmp::Reverse(ends.rows), ends.first));
        tables.truncate(MOST_TABLES);
        let ends = tables.iter().flat_map(|ends| [ends.first, ends.last]);
        spread(&self.progress, MOST_PROGRESS)
            .into_iter()
            .chain(spread(&self.lag, MOST_LAG))
            .chain(spread(&self.waits, MOST_WAITS))
            .chain(ends)
            .collect()
    }
}

/// At most `most` of the samples, two or more: the first, the last, and those between that are at
/// least the same time apart. That time is the shortest that leaves few enough, so that a gap
/// takes nothing from what is told before and after it.
fn spread(samples: &[Sample], most: usize) -> Vec<u64> {
    let numbers = |kept: Vec<usize>| kept.iter().map(|at| samples[*at].sequence).collect();
    if samples.len() <= most {
        return samples.iter().map(|sample| sample.sequence).collect();
    }
    let times = rising(samples);
    let span = times.last().zip(times.first()).map_or(0, |(last, first)| last.abs_diff(*first));
    // Halving: more than enough stay at `short`, few enough at `long`.
    let (mut short, mut long) = (0, span.saturating_add(1));
    while long - short > 1 {
        let middle = short + (long - short) / 2;
        if apart(&times, middle).len() < most {
            long = middle;
        } else {
            short = middle;
        }
    }
    let mut kept = apart(&times, long);
    let last = samples.len() - 1;
    if kept.last() != Some(&last) {
        kept.push(last);
    }
    numbers(kept)
}

/// A clock that was set back must not keep everything from being apart.
fn rising(samples: &[Sample]) -> Vec<i64> {
    let mut latest = i64::MIN;
    let times = samples.iter().map(|sample| {
        latest = latest.max(sample.millis);
        latest
    });
    times.collect()
}

/// Places of the first time and of each that is so much later than the one before it.
fn apart(times: &[i64], distance: u64) -> Vec<usize> {
    let mut kept: Vec<usize> = Vec::new();
    for (at, time) in times.iter().enumerate() {
        if kept.last().is_none_or(|last| time.abs_diff(times[*last]) >= distance) {
            kept.push(at);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use switchback_proto::v1::{LagEvent, Phase, PhaseEvent};

    use super::*;

    fn at(times: impl IntoIterator<Item = i64>) -> Vec<Sample> {
        (1..).zip(times).map(|(sequence, millis)| Sample { sequence, millis }).collect()
    }

    #[test]
    fn few_samples_all_stay() {
        assert_eq!(spread(&at([5, 5, 5]), 3), [1, 2, 3]);
        assert_eq!(spread(&[], 3), [0_u64; 0]);
    }

    #[test]
    fn of_many_the_first_the_last_and_evenly_those_between_stay() {
        let samples = at((0..10_001).map(|n| n * 250));
        let kept = spread(&samples, 200);
        assert!((190..=200).contains(&kept.len()), "{}", kept.len());
        assert_eq!((kept.first(), kept.last()), (Some(&1), Some(&10_001)));
        let gaps: Vec<u64> = kept.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let (last, others) = gaps.split_last().unwrap();
        assert!(others.iter().all(|gap| *gap == others[0]) && *last <= others[0], "{gaps:?}");
    }

    #[test]
    fn a_gap_of_days_takes_nothing_from_what_is_around_it() {
        let days = 3 * 86_400_000;
        let samples = at((0..1000).map(|n| n * 250).chain((0..1000).map(|n| days + n * 250)));
        let kept = spread(&samples, 100);
        let before = kept.iter().filter(|sequence| **sequence <= 1000).count();
        assert!(kept.len() <= 100 && (45..=55).contains(&before), "{before} of {}", kept.len());
    }

    #[test]
    fn at_one_time_or_with_a_clock_that_was_set_back_the_bound_holds() {
        assert_eq!(spread(&at([7; 500]), 10), [1, 500]);
        let kept = spread(&at((0..500).chain(0..500)), 10);
        assert!(kept.len() <= 10 && kept.is_sorted() && kept.last() == Some(&1000), "{kept:?}");
        let far = at([i64::MIN, 0, i64::MAX]);
        assert_eq!(spread(&far, 2), [1, 3]);
    }

    #[test]
    fn thinned_again_and_again_they_stay_even() {
        let mut samples: Vec<Sample> = Vec::new();
        for sample in at((0..20_000).map(|n| n * 250)) {
            samples.push(sample);
            if samples.len() > 1000 {
                let kept = spread(&samples, 100);
                samples.retain(|sample| kept.contains(&sample.sequence));
            }
        }
        let kept = spread(&samples, 100);
        let widest = kept.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
        assert!(kept.len() >= 50 && widest <= 20_000 / 25, "{widest} {}", kept.len());
        assert_eq!(kept.first(), Some(&1));
    }

    fn taken(events: impl IntoIterator<Item = Event>) -> BTreeSet<u64> {
        let mut samples = Samples::default();
        for (sequence, event) in (1..).zip(events) {
            let time = Some(clock::from_millis(i64::try_from(sequence).unwrap()));
            let event = Some(event);
            samples.take(&OperationEvent { sequence, time, event, ..Default::default() });
        }
        samples.kept()
    }

    fn rows(table: usize, rows: u64) -> Event {
        let table = format!("t{table}");
        Event::Progress(ProgressEvent { table, rows, ..Default::default() })
    }

    #[test]
    fn first_and_last_figures_of_each_table_in_each_phase_stay() {
        let phase = || Event::Phase(PhaseEvent { phase: Phase::Copying.into() });
        let figures = || (0..3000).map(|n| rows(usize::from(n % 1000 == 500), n));
        let kept =
            taken(std::iter::once(phase()).chain(figures()).chain([phase()]).chain(figures()));
        // Of table 1: numbers 502, 1502 and 2502, and 3001 later.
        for ends in [502, 2502, 3503, 5503] {
            assert!(kept.contains(&ends), "{ends}");
        }
        assert!(kept.len() <= MOST_PROGRESS + 8, "{}", kept.len());
    }

    #[test]
    fn of_thousands_of_tables_the_largest_stay_and_each_kind_has_its_bound() {
        let tables = (0..5000).map(|n| rows(n, u64::try_from(n).unwrap()));
        let lag = (0..5000).map(|lag_changes| Event::Lag(LagEvent { lag_changes, lag_ms: 1 }));
        let waits = (0..5000).map(|_| Event::Waiting(Default::default()));
        let kept = taken(tables.chain(lag).chain(waits));
        assert!((4001..=5000).all(|largest| kept.contains(&largest)));
        let within = |from, to| kept.range(from..to).count();
        assert!(within(1, 5001) <= MOST_TABLES + MOST_PROGRESS);
        assert!((150..=MOST_LAG).contains(&within(5001, 10_001)));
        assert!((30..=MOST_WAITS).contains(&within(10_001, 15_001)));
    }
}
