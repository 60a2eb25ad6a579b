//! Progress on stderr: bars where a person watches, plain lines elsewhere.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use prost_types::Timestamp;
use switchback_client::{
    v1::{LagEvent, OperationEvent, OperationKind, Phase, operation_event::Event},
    words::{Word, word_of},
};

use super::{
    format::{as_f64, between, bytes, clean, count, counted, seconds},
    note,
    progress::{Progress, TableProgress},
    stderr_is_terminal,
};

/// More bars than this hide the lines above them.
const MOST_BARS: usize = 5;
/// Faster than this nobody reads.
const REDRAW: Duration = Duration::from_millis(100);
/// A log is read afterwards; a line each few seconds says enough.
const PLAIN_SECONDS: f64 = 5.0;
const NAME_WIDTH: usize = 20;

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
                let engine = word_of::<switchback_client::v1::Engine>(waiting.engine);
                let message = format!("waiting for {engine}: {}", clean(&waiting.message));
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
            bars.total.set_message(line.to_owned());
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
    format!("{} {}", label(progress.phase()), whole(progress))
}

/// Who begins to watch in the middle has not been told the phase.
fn label(phase: Phase) -> String {
    if phase == Phase::Unspecified { "running".to_owned() } else { phase.word() }
}

/// How far, how fast, how much.
fn whole(progress: &Progress) -> String {
    let totals = progress.totals();
    let mut parts = vec![totals.speed(), rows_of(totals.rows, totals.rows_total)];
    if let Some(percent) = percent(totals.rows, totals.rows_total) {
        parts.insert(0, percent);
    }
    if totals.bytes > 0 {
        parts.push(bytes(totals.bytes));
    }
    parts.retain(|part| !part.is_empty());
    parts.join(", ")
}

fn percent(rows: u64, rows_total: u64) -> Option<String> {
    if rows_total == 0 {
        return None;
    }
    let percent = (u128::from(rows) * 100 / u128::from(rows_total)).min(100);
    Some(format!("{percent} %"))
}

fn rows_of(rows: u64, rows_total: u64) -> String {
    if rows_total == 0 {
        counted(rows, "row")
    } else {
        format!("{} of {}", count(rows), counted(rows_total, "row"))
    }
}

/// A bar for each of a handful of tables and one for the whole.
struct Bars {
    multi: MultiProgress,
    total: ProgressBar,
    tables: HashMap<String, ProgressBar>,
}

impl Bars {
    fn new() -> Self {
        Self { multi: MultiProgress::new(), total: ProgressBar::hidden(), tables: HashMap::new() }
    }

    fn line(&self, line: &str) {
        // Where the bars cannot be drawn the line still counts.
        if self.multi.println(line).is_err() {
            note(line);
        }
    }

    fn clear(&mut self) {
        for (_, bar) in self.tables.drain() {
            bar.finish_and_clear();
            self.multi.remove(&bar);
        }
        self.total.finish_and_clear();
        self.multi.remove(&self.total);
    }

    fn restart(&mut self, progress: &Progress) {
        self.clear();
        self.total = self.multi.add(ProgressBar::new_spinner());
        self.total.set_style(spinner());
        self.total.set_prefix(name(&label(progress.phase())));
        // So that a phase without progress, an index being built, is seen to live.
        self.total.enable_steady_tick(Duration::from_millis(120));
    }

    fn draw(&mut self, progress: &Progress) {
        let active = progress.active(MOST_BARS);
        let gone: Vec<_> = self
            .tables
            .keys()
            .filter(|table| !active.iter().any(|shown| shown.table == **table))
            .cloned()
            .collect();
        for table in gone {
            if let Some(bar) = self.tables.remove(&table) {
                bar.finish_and_clear();
                self.multi.remove(&bar);
            }
        }
        for table in active {
            self.draw_table(table);
        }
        let totals = progress.totals();
        place(&self.total, totals.rows, totals.rows_total);
        self.total.set_message(whole(progress));
    }

    fn draw_table(&mut self, table: &TableProgress) {
        let (multi, total) = (&self.multi, &self.total);
        let bar = self.tables.entry(table.table.clone()).or_insert_with(|| {
            let bar = multi.insert_before(total, ProgressBar::new_spinner());
            bar.set_style(spinner());
            bar.set_prefix(name(&table.table));
            bar
        });
        place(bar, table.rows, table.rows_total);
        let mut message = rows_of(table.rows, table.rows_total);
        if table.bytes > 0 {
            message = format!("{message}, {}", bytes(table.bytes));
        }
        bar.set_message(message);
    }
}

/// Moves a bar; without a total it stays a spinner.
fn place(bar: &ProgressBar, rows: u64, rows_total: u64) {
    if rows_total == 0 {
        return;
    }
    if bar.length() != Some(rows_total) {
        bar.set_length(rows_total);
        bar.set_style(with_bar());
    }
    bar.set_position(rows.min(rows_total));
}

fn spinner() -> ProgressStyle {
    style("{prefix} {spinner} {wide_msg}")
}

fn with_bar() -> ProgressStyle {
    style("{prefix} [{bar:20}] {wide_msg}").progress_chars("=> ")
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// A name in its column; a long one loses its end.
fn name(text: &str) -> String {
    let text = clean(text);
    if text.chars().count() <= NAME_WIDTH {
        return format!("{text:<NAME_WIDTH$}");
    }
    let kept: String = text.chars().take(NAME_WIDTH - 1).collect();
    format!("{kept}…")
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

    #[test]
    fn rows_without_a_total_have_no_percentage() {
        assert_eq!(rows_of(7, 0), "7 rows");
        assert_eq!(percent(7, 0), None);
        assert_eq!(rows_of(9, 8), "9 of 8 rows");
        assert_eq!(percent(9, 8).as_deref(), Some("100 %"));
    }

    #[test]
    fn long_names_keep_their_column() {
        assert_eq!(name("users").chars().count(), NAME_WIDTH);
        assert_eq!(name(&"x".repeat(200)).chars().count(), NAME_WIDTH);
        assert_eq!(name("a\u{1b}b").trim_end(), "a\\u{1b}b");
    }
}
