//! Progress on stderr: bars where a person watches, plain lines elsewhere.

use std::time::{Duration, Instant};

use prost_types::Timestamp;
use switchback_client::{
    v1::{LagEvent, OperationEvent, OperationKind, Phase, operation_event::Event},
    words::{Word, word_of},
};

use super::{
    bars::Bars,
    format::{as_f64, between, clean, counted, seconds, waited_for},
    note,
    progress::Progress,
    stderr_is_terminal,
};

/// Faster than this nobody reads.
const REDRAW: Duration = Duration::from_millis(100);
/// A log is read afterwards; a line each few seconds says enough.
const PLAIN_SECONDS: f64 = 5.0;

/// Shows the events of one operation.
pub(crate) struct Screen {
    progress: Progress,
    bars: Option<Bars>,
    drawn: Option<Instant>,
    printed: Option<Timestamp>,
    /// The last message about waiting: each attempt repeats it.
    waiting: String,
}

impl Screen {
    pub(crate) fn new() -> Self {
        Self {
            progress: Progress::default(),
            bars: stderr_is_terminal().then(Bars::new),
            drawn: None,
            printed: None,
            waiting: String::new(),
        }
    }

    pub(crate) fn show(&mut self, event: &OperationEvent) {
        match &event.event {
            Some(Event::Started(started)) => {
                let kind = word_of::<OperationKind>(started.kind);
                let (database, id) = (clean(&started.database), clean(&event.operation_id));
                self.message(&format!("{kind} of {database}: operation {id}"));
                if self.progress.begin(started.kind(), event.time) {
                    self.printed = event.time;
                    if let Some(bars) = &mut self.bars {
                        bars.restart(&self.progress);
                    }
                }
            }
            Some(Event::Phase(phase)) => self.enter(phase.phase(), event.time),
            Some(Event::Progress(progress)) => {
                self.progress.update(progress, event.time);
                self.waiting.clear();
                self.refresh(event.time);
            }
            Some(Event::Lag(lag)) => {
                self.waiting.clear();
                self.occasionally(&lag_text(lag), event.time);
            }
            Some(Event::Waiting(waiting)) => {
                let what = waited_for(waiting);
                let message = format!("waiting for {what}: {}", clean(&waiting.message));
                if message != self.waiting {
                    self.message(&message);
                    self.waiting = message;
                }
            }
            Some(Event::Result(_)) => self.end(event.time),
            Some(Event::Finding(_)) | None => {}
        }
    }

    /// A line above the bars.
    pub(crate) fn message(&self, message: &str) {
        match &self.bars {
            Some(bars) => bars.line(message),
            None => note(message),
        }
    }

    /// Takes the bars away: what follows is plain text.
    pub(crate) fn clear(&mut self) {
        if let Some(bars) = &mut self.bars {
            bars.clear();
        }
    }

    fn enter(&mut self, phase: Phase, at: Option<Timestamp>) {
        let ended = self.progress.enter(phase, at);
        self.printed = at;
        match &mut self.bars {
            Some(bars) => {
                if let Some(ended) = ended {
                    bars.line(&ended);
                }
                bars.restart(&self.progress);
            }
            None => {
                if let Some(ended) = ended {
                    note(&ended);
                }
                note(&format!("phase {}", phase.word()));
            }
        }
    }

    fn end(&mut self, at: Option<Timestamp>) {
        self.clear();
        // These go on after the operation.
        let rests = matches!(self.progress.phase(), Phase::Following | Phase::Reversible);
        if let Some(ended) = self.progress.ended(at).filter(|_| !rests) {
            note(&ended);
        }
    }

    fn refresh(&mut self, at: Option<Timestamp>) {
        let Some(bars) = &mut self.bars else {
            let line = plain(&self.progress);
            self.occasionally(&line, at);
            return;
        };
        if self.drawn.is_none_or(|drawn| drawn.elapsed() >= REDRAW) {
            self.drawn = Some(Instant::now());
            bars.draw(&self.progress);
        }
    }

    fn occasionally(&mut self, line: &str, at: Option<Timestamp>) {
        if let Some(bars) = &self.bars {
            bars.tell(line);
            return;
        }
        let due = match (&self.printed, &at) {
            (Some(printed), Some(at)) => between(printed, at) >= PLAIN_SECONDS,
            _ => true,
        };
        if due {
            self.printed = at;
            note(line);
        }
    }
}

/// `lag 1,200 changes, 0.42 s`
fn lag_text(lag: &LagEvent) -> String {
    let behind = seconds(as_f64(lag.lag_ms) / 1000.0);
    format!("lag {}, {behind}", counted(lag.lag_changes, "change"))
}

/// `copying 60 %, 1 s left, 589,000 rows/s, 104.1 MB/s, 1,200,000 of 2,000,000 rows, 214.0 MB`
fn plain(progress: &Progress) -> String {
    format!("{} {}", progress.label(), progress.totals().told())
}

#[cfg(test)]
mod tests {
    use switchback_client::v1::ProgressEvent;

    use super::*;

    #[test]
    fn a_plain_line_says_how_far_and_how_fast() {
        let at = |seconds| Some(Timestamp { seconds, nanos: 0 });
        let mut progress = Progress::default();
        progress.enter(Phase::Copying, at(0));
        let event = ProgressEvent {
            table: "t".to_owned(),
            rows: 1_200_000,
            rows_total: 2_000_000,
            bytes: 214_000_000,
            ..Default::default()
        };
        progress.update(&event, at(2));
        assert_eq!(
            plain(&progress),
            "copying 60 %, 1 s left, 600,000 rows/s, 107.0 MB/s, 1,200,000 of 2,000,000 rows, \
             214.0 MB"
        );
    }

    #[test]
    fn the_lag_has_changes_and_their_age() {
        let lag = LagEvent { lag_changes: 1200, lag_ms: 420 };
        assert_eq!(lag_text(&lag), "lag 1,200 changes, 0.42 s");
    }
}
