//! A line a database: moving on a terminal, told at each phase elsewhere, and a table at the end.

use std::io::{self, IsTerminal, Write};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::{
    super::output::{Grid, format::clean},
    member::Member,
};

/// What is shown on the way. Nothing for programs: they have the events.
pub(super) enum View {
    Nothing,
    /// What was said last of each.
    Lines(Vec<String>),
    Screen {
        multi: MultiProgress,
        lines: Vec<ProgressBar>,
    },
}

impl View {
    pub(super) fn new(is_json: bool, members: &[Member]) -> Self {
        if is_json {
            return Self::Nothing;
        }
        if !io::stderr().is_terminal() {
            return Self::Lines(vec![String::new(); members.len()]);
        }
        let multi = MultiProgress::new();
        let style = ProgressStyle::with_template("{msg}");
        let style = style.unwrap_or_else(|_| ProgressStyle::default_spinner());
        let line = |member: &Member| {
            let line = multi.add(ProgressBar::new_spinner().with_style(style.clone()));
            line.set_message(text(member));
            line
        };
        let lines = members.iter().map(line).collect();
        Self::Screen { multi, lines }
    }

    /// Shows what is new of a database.
    pub(super) fn show(&mut self, index: usize, member: &Member) {
        match self {
            Self::Nothing => {}
            Self::Lines(said) => {
                let now = status(member);
                if said[index] != now {
                    let line = format!("{}: {now}", clean(&member.database));
                    let _ = writeln!(io::stderr().lock(), "{line}");
                    said[index] = now;
                }
            }
            Self::Screen { lines, .. } => lines[index].set_message(text(member)),
        }
    }

    /// Takes the lines away.
    pub(super) fn clear(&self) {
        if let Self::Screen { multi, lines } = self {
            lines.iter().for_each(ProgressBar::finish_and_clear);
            let _ = multi.clear();
        }
    }
}

/// Where a database is, in a word.
fn status(member: &Member) -> String {
    match (&member.end, member.phase.as_str()) {
        (Some(_), _) => {
            let [_, result, _, _, why] = member.row();
            if why.is_empty() { result } else { format!("{result}: {}", clean(&why)) }
        }
        (None, _) if member.queued_behind > 0 => "queued".to_owned(),
        (None, "") => "waiting".to_owned(),
        (None, phase) => phase.to_owned(),
    }
}

fn text(member: &Member) -> String {
    format!("{:<24} {:<12} {}", clean(&member.database), status(member), member.figures())
}

/// How each of them ended.
pub(super) fn table(members: &[Member]) -> String {
    let mut grid = Grid::new(["DATABASE", "RESULT", "ROWS", "TOOK", ""]).right(&[2, 3]);
    for member in members {
        grid.row(member.row());
    }
    grid.to_string()
}
