//! One database of a fleet, as its line shows it.

use std::collections::HashMap;

use prost_types::Timestamp;
use switchback_client::{
    Outcome,
    v1::{
        MigrateReport, OperationEvent, OperationState, Phase, ProgressEvent, operation_event::Event,
    },
    words::word_of,
};

use super::{
    super::output::format::{between, count, per_second, rate, seconds},
    work::News,
};

/// How it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    Done,
    Skipped(String),
    /// Reason and message.
    Failed(String),
}

/// What is known of a database.
#[derive(Debug, Clone, Default)]
pub(super) struct Member {
    pub(super) database: String,
    /// Empty while it waits for its turn.
    pub(super) phase: String,
    pub(super) end: Option<End>,
    /// How many operations of the server have to end before it begins.
    pub(super) queued_behind: u32,
    /// Rows of the present phase by table, done and expected.
    rows: HashMap<String, (u64, u64)>,
    /// Rows of the whole migration, from its report.
    migrated: u64,
    lag: u64,
    began: Option<Timestamp>,
    phase_began: Option<Timestamp>,
    last: Option<Timestamp>,
}

impl Member {
    pub(super) fn new(database: &str) -> Self {
        Self { database: database.to_owned(), ..Self::default() }
    }

    pub(super) fn take(&mut self, told: &News) {
        match told {
            News::Skipped(why) => self.end = Some(End::Skipped((*why).to_owned())),
            News::Failed(error) => {
                let text = format!("{}: {}", error.reason(), error.message());
                self.end = Some(End::Failed(text));
            }
            News::Event(event) => self.event(event),
        }
    }

    fn event(&mut self, event: &OperationEvent) {
        self.began = self.began.or(event.time);
        self.last = event.time;
        match &event.event {
            Some(Event::Waiting(waiting)) => self.queued_behind = waiting.queued_behind,
            Some(Event::Phase(phase)) => {
                self.queued_behind = 0;
                self.phase = word_of::<Phase>(phase.phase);
                self.phase_began = event.time;
                self.rows.clear();
            }
            Some(Event::Progress(ProgressEvent { table, rows, rows_total, .. }))
                if !table.is_empty() =>
            {
                self.rows.insert(table.clone(), (*rows, *rows_total));
            }
            Some(Event::Lag(lag)) => self.lag = lag.lag_changes,
            Some(Event::Result(result)) => {
                let outcome = Outcome::<MigrateReport>::from_result(result.clone());
                self.migrated = outcome.report.map_or(0, |report| report.rows);
                self.end = Some(match outcome.error {
                    None if outcome.state == OperationState::Succeeded => End::Done,
                    None => End::Failed(word_of::<OperationState>(result.state)),
                    Some(error) => End::Failed(format!("{}: {}", error.reason(), error.message())),
                });
            }
            _ => {}
        }
    }

    /// Rows, rate and lag of the present phase.
    pub(super) fn figures(&self) -> String {
        if self.queued_behind > 0 {
            return format!("{} before it", count(self.queued_behind.into()));
        }
        let done: u64 = self.rows.values().map(|(done, _)| done).sum();
        let expected: u64 = self.rows.values().map(|(_, expected)| expected).sum();
        let mut parts = Vec::new();
        if expected > 0 {
            parts.push(format!("{} of {} rows", count(done), count(expected)));
        }
        let took = self.phase_began.zip(self.last).map(|(began, last)| between(&began, &last));
        if let Some(took) = took.filter(|took| *took > 0.2 && done > 0) {
            parts.push(per_second(rate(done, took), "rows"));
        }
        if self.lag > 0 {
            parts.push(format!("lag {}", count(self.lag)));
        }
        parts.join(", ")
    }

    /// `DATABASE`, `RESULT`, `ROWS`, `TOOK`, and why.
    pub(super) fn row(&self) -> [String; 5] {
        let took = self.began.zip(self.last).map(|(began, last)| seconds(between(&began, &last)));
        let (result, why) = match &self.end {
            None => ("running", ""),
            Some(End::Done) if self.phase == "following" => ("in sync", ""),
            Some(End::Done) => ("migrated", ""),
            Some(End::Skipped(why)) => ("skipped", why.as_str()),
            Some(End::Failed(why)) => ("failed", why.as_str()),
        };
        let rows = if self.migrated > 0 { count(self.migrated) } else { String::new() };
        let took = took.unwrap_or_default();
        [self.database.clone(), result.to_owned(), rows, took, why.to_owned()]
    }
}

#[cfg(test)]
mod tests {
    use switchback_client::v1::{
        OperationError, PhaseEvent, ResultEvent, WaitingEvent, result_event::Report,
    };

    use super::*;

    fn told(seconds: i64, event: Event) -> News {
        let time = Some(Timestamp { seconds, nanos: 0 });
        News::Event(Box::new(OperationEvent { time, event: Some(event), ..Default::default() }))
    }

    #[test]
    fn a_line_follows_its_events() {
        let mut member = Member::new("shop");
        let copying = Event::Phase(PhaseEvent { phase: Phase::Copying.into() });
        member.take(&told(10, copying));
        let progress = ProgressEvent {
            table: "t".into(),
            rows: 5_000,
            rows_total: 9_000,
            ..Default::default()
        };
        member.take(&told(15, Event::Progress(progress)));
        assert_eq!(member.figures(), "5,000 of 9,000 rows, 1,000 rows/s");
        let report = Report::Migrate(MigrateReport { rows: 9_000, ..Default::default() });
        let state = OperationState::Succeeded.into();
        let result = ResultEvent { state, error: None, report: Some(report) };
        member.take(&told(20, Event::Result(result)));
        assert_eq!(member.row(), ["shop", "migrated", "9,000", "10.0 s", ""].map(str::to_owned));
    }

    #[test]
    fn one_that_waits_for_its_turn_says_behind_how_many() {
        let mut member = Member::new("shop");
        let queued_behind = 3;
        let waiting = WaitingEvent { queued_behind, ..Default::default() };
        member.take(&told(1, Event::Waiting(waiting)));
        assert_eq!((member.queued_behind, member.figures().as_str()), (3, "3 before it"));
        member.take(&told(2, Event::Phase(PhaseEvent { phase: Phase::Planning.into() })));
        assert_eq!((member.queued_behind, member.figures().as_str()), (0, ""));
    }

    #[test]
    fn one_that_failed_says_why() {
        let mut member = Member::new("shop");
        let error = Some(OperationError {
            reason: "TARGET_NOT_EMPTY".into(),
            message: "it holds tables".into(),
            ..Default::default()
        });
        let state = OperationState::Failed.into();
        member.take(&told(1, Event::Result(ResultEvent { state, error, report: None })));
        assert_eq!(member.end, Some(End::Failed("TARGET_NOT_EMPTY: it holds tables".into())));
    }
}
