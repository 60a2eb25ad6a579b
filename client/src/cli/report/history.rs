//! What the events of an operation add up to, by the seconds since its beginning.

use std::collections::BTreeMap;

use prost_types::Timestamp;
use switchback_client::{
    v1::{
        Finding, Operation, OperationEvent, Phase, ProgressEvent, ResultEvent,
        operation_event::Event,
    },
    words::word_of,
};

use super::super::output::format::{between, waited_for};

/// A phase, from when to when.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Stretch {
    pub(super) phase: String,
    pub(super) began: f64,
    pub(super) ended: f64,
    /// What was told of tables, in the order of time.
    pub(super) figures: Vec<Figure>,
}

/// Rows and bytes of a table that were done in the phase at a time.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Figure {
    pub(super) at: f64,
    pub(super) table: String,
    pub(super) rows: u64,
    pub(super) bytes: u64,
}

impl Stretch {
    /// The newest figure of each table.
    pub(super) fn tables(&self) -> BTreeMap<&str, (u64, u64)> {
        self.figures.iter().map(|of| (of.table.as_str(), (of.rows, of.bytes))).collect()
    }

    /// Rows of all tables.
    pub(super) fn rows(&self) -> u64 {
        self.tables().values().map(|(rows, _)| rows).sum()
    }
}

/// When an operation waited for an engine.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Wait {
    pub(super) at: f64,
    pub(super) engine: String,
    pub(super) message: String,
}

/// The story of an operation.
#[derive(Debug, Default)]
pub(super) struct History {
    pub(super) operation: Operation,
    pub(super) stretches: Vec<Stretch>,
    /// Changes that wait, over time, and the age of the oldest in milliseconds.
    pub(super) lag: Vec<(f64, u64, u64)>,
    pub(super) waits: Vec<Wait>,
    pub(super) findings: Vec<Finding>,
    pub(super) result: Option<ResultEvent>,
    /// Seconds from the beginning to the last event.
    pub(super) seconds: f64,
    began: Option<Timestamp>,
}

impl History {
    pub(super) fn of(operation: Operation) -> Self {
        Self { began: operation.created_at, operation, ..Self::default() }
    }

    pub(super) fn take(&mut self, event: OperationEvent) {
        let Some(at) = event.time else { return };
        let began = *self.began.get_or_insert(at);
        // A clock that was set back must not draw a line backwards.
        let at = between(&began, &at).max(self.seconds);
        self.seconds = at;
        if let Some(stretch) = self.stretches.last_mut() {
            stretch.ended = at;
        }
        match event.event {
            Some(Event::Phase(phase)) => self.stretches.push(Stretch {
                phase: word_of::<Phase>(phase.phase),
                began: at,
                ended: at,
                figures: Vec::new(),
            }),
            Some(Event::Progress(progress)) => self.progress(at, progress),
            Some(Event::Lag(lag)) => self.lag.push((at, lag.lag_changes, lag.lag_ms)),
            Some(Event::Waiting(waiting)) => {
                self.waits.push(Wait { at, engine: waited_for(&waiting), message: waiting.message })
            }
            Some(Event::Finding(finding)) => self.findings.push(finding),
            Some(Event::Result(result)) => self.result = Some(result),
            Some(Event::Started(_)) | None => {}
        }
    }

    fn progress(&mut self, at: f64, progress: ProgressEvent) {
        let Some(stretch) = self.stretches.last_mut() else { return };
        // The whole database's figure stands beside those of its tables.
        if progress.table.is_empty() {
            return;
        }
        let ProgressEvent { table, rows, bytes, .. } = progress;
        stretch.figures.push(Figure { at, table, rows, bytes });
    }

    /// Every stretch of a phase: a restart begins another one.
    pub(super) fn of_phase(&self, phase: Phase) -> Vec<&Stretch> {
        let word = word_of::<Phase>(phase.into());
        self.stretches.iter().filter(|stretch| stretch.phase == word).collect()
    }

    /// The stretch of a phase in which most was done.
    pub(super) fn busiest(&self, phase: Phase) -> Option<&Stretch> {
        self.of_phase(phase).into_iter().max_by_key(|stretch| stretch.rows())
    }
}

#[cfg(test)]
mod tests {
    use switchback_client::v1::{LagEvent, PhaseEvent};

    use super::*;

    fn event(seconds: i64, event: Event) -> OperationEvent {
        OperationEvent {
            time: Some(Timestamp { seconds, nanos: 0 }),
            event: Some(event),
            ..Default::default()
        }
    }

    #[test]
    fn events_become_stretches_rows_and_lag() {
        let created_at = Some(Timestamp { seconds: 100, nanos: 0 });
        let mut history = History::of(Operation { created_at, ..Default::default() });
        let phase = |phase: Phase| Event::Phase(PhaseEvent { phase: phase.into() });
        let rows = |table: &str, rows| {
            Event::Progress(ProgressEvent { table: table.into(), rows, ..Default::default() })
        };
        for event in [
            event(101, phase(Phase::Copying)),
            event(102, rows("a", 5)),
            event(103, rows("b", 7)),
            event(104, rows("a", 9)),
            event(103, phase(Phase::Following)),
            event(110, Event::Lag(LagEvent { lag_changes: 3, lag_ms: 20 })),
        ] {
            history.take(event);
        }
        let copying = history.busiest(Phase::Copying).unwrap();
        assert_eq!((copying.began, copying.ended), (1.0, 4.0));
        let figures = copying.figures.iter().map(|of| (of.at, of.table.as_str(), of.rows));
        assert_eq!(figures.collect::<Vec<_>>(), [(2.0, "a", 5), (3.0, "b", 7), (4.0, "a", 9)]);
        assert_eq!((copying.rows(), copying.tables()["a"]), (16, (9, 0)));
        assert_eq!(history.stretches[1].ended, 10.0);
        assert_eq!((history.lag.as_slice(), history.seconds), (&[(10.0, 3, 20)][..], 10.0));
        assert_eq!(history.busiest(Phase::Indexing), None);
    }
}
