//! Bars, where a person watches.

use std::{collections::HashMap, time::Duration};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::{
    format::{bytes, clean},
    note,
    progress::{Progress, TableProgress},
    totals::rows_of,
};

/// More bars than this hide the lines above them.
const MOST_BARS: usize = 5;
const NAME_WIDTH: usize = 20;

/// A bar for each of a handful of tables and one for the whole.
pub(crate) struct Bars {
    multi: MultiProgress,
    total: ProgressBar,
    tables: HashMap<String, ProgressBar>,
    /// Who begins to watch in the middle is told of no beginning.
    begun: bool,
}

impl Bars {
    pub(crate) fn new() -> Self {
        Self {
            multi: MultiProgress::new(),
            total: ProgressBar::hidden(),
            tables: HashMap::new(),
            begun: false,
        }
    }

    /// A line above the bars.
    pub(crate) fn line(&self, line: &str) {
        // Where the bars cannot be drawn the line still counts.
        if self.multi.println(line).is_err() {
            note(line);
        }
    }

    /// Shows a text beside the whole.
    pub(crate) fn tell(&self, text: &str) {
        self.total.set_message(text.to_owned());
    }

    /// Takes every bar away.
    pub(crate) fn clear(&mut self) {
        for (_, bar) in self.tables.drain() {
            bar.finish_and_clear();
            self.multi.remove(&bar);
        }
        self.total.finish_and_clear();
        self.multi.remove(&self.total);
        self.begun = false;
    }

    /// Begins anew, with the bar of the whole alone.
    pub(crate) fn restart(&mut self, progress: &Progress) {
        self.clear();
        self.total = self.multi.add(ProgressBar::new_spinner());
        self.total.set_style(spinner());
        self.total.set_prefix(name(&progress.label()));
        // So that a phase without progress, an index being built, is seen to live.
        self.total.enable_steady_tick(Duration::from_millis(120));
        self.begun = true;
    }

    /// Draws the tables that move, and the whole.
    pub(crate) fn draw(&mut self, progress: &Progress) {
        if !self.begun {
            self.restart(progress);
        }
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
        let (done, whole) = totals.position();
        place(&self.total, done, whole);
        self.total.set_message(totals.told());
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
fn place(bar: &ProgressBar, done: u64, total: u64) {
    if total == 0 {
        return;
    }
    if bar.length() != Some(total) {
        bar.set_length(total);
        bar.set_style(with_bar());
    }
    bar.set_position(done.min(total));
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
    use super::*;

    #[test]
    fn long_names_keep_their_column() {
        assert_eq!(name("users").chars().count(), NAME_WIDTH);
        assert_eq!(name(&"x".repeat(200)).chars().count(), NAME_WIDTH);
        assert_eq!(name("a\u{1b}b").trim_end(), "a\\u{1b}b");
    }
}
