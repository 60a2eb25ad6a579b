//! Data to stdout, messages and progress to stderr. A closed pipe is no error: what would have
//! been written is dropped, and the command ends with the code that it would have ended with. A
//! full disk is one: a file that was cut must not look whole.

mod backup;
mod bars;
mod findings;
pub(crate) mod format;
mod grid;
mod json;
mod plan;
mod progress;
mod report;
mod screen;
mod totals;
mod validation;

use std::io::{self, ErrorKind, IsTerminal, Write};

use serde::Serialize;
use switchback_client::{Error, exit::Exit, v1::OperationEvent};

pub(crate) use self::{
    findings::{has_blocker, render as findings_text, tally as findings_tally},
    grid::Grid,
    plan::summary as plan_summary,
    report::print as print_report,
    screen::Screen,
};
use self::{format::clean, json::Failure};
use super::args::Format;

/// Where a command's words go.
pub(crate) struct Output {
    format: Format,
    stdout_open: bool,
    /// Why data could not be written.
    cut: Option<io::Error>,
}

impl Output {
    pub(crate) fn new(format: Format) -> Self {
        Self { format, stdout_open: true, cut: None }
    }

    pub(crate) fn is_json(&self) -> bool {
        self.format == Format::Json
    }

    /// Nobody reads stdout any more: a command without an end may stop.
    pub(crate) fn is_closed(&self) -> bool {
        !self.stdout_open
    }

    /// Exit code of a command that would end with `exit`: one whose data was cut has failed.
    pub(crate) fn end(&self, exit: Exit) -> Exit {
        match &self.cut {
            Some(error) => {
                note(&format!("error: the output could not be written: {error}"));
                if exit == Exit::Done { Exit::Failed } else { exit }
            }
            None => exit,
        }
    }

    /// A line of data.
    pub(crate) fn line(&mut self, line: &str) {
        self.text(&format!("{line}\n"));
    }

    /// Data, with its own line ends.
    pub(crate) fn text(&mut self, text: &str) {
        if self.stdout_open {
            let mut stdout = io::stdout().lock();
            let written = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
            self.stdout_open = written.is_ok();
            self.cut = written.err().filter(|error| error.kind() != ErrorKind::BrokenPipe);
        }
    }

    /// One JSON object on one line.
    pub(crate) fn json(&mut self, value: &impl Serialize) {
        match serde_json::to_string(value) {
            Ok(line) => self.line(&line),
            Err(error) => self.note(&format!("error: this is no JSON: {error}")),
        }
    }

    /// An event as a JSON line.
    pub(crate) fn event(&mut self, event: &OperationEvent) {
        if let Some(line) = json::Line::of(event) {
            self.json(&line);
        }
    }

    /// The same among events of other databases.
    pub(crate) fn event_of(&mut self, database: &str, event: &OperationEvent) {
        if let Some(line) = json::Line::of(event) {
            self.json(&json::Of { database, line });
        }
    }

    /// A call that failed, among those of other databases; for programs.
    pub(crate) fn failure_of(&mut self, database: &str, error: &Error) {
        self.json(&json::Of { database, line: Failure::of(error) });
    }

    /// A message for a person.
    pub(crate) fn note(&self, message: &str) {
        note(message);
    }

    /// Why the command failed; to programs too, as the last line of an operation that has no
    /// result of its own.
    pub(crate) fn failure(&mut self, error: &Error) {
        if self.is_json() {
            self.json(&Failure::of(error));
        }
        self.explain(error);
    }

    /// Why an operation did not succeed, for a person.
    pub(crate) fn explain(&self, error: &Error) {
        let message = clean(error.message());
        let first = if message.is_empty() { clean(error.reason()) } else { message };
        // Ctrl-C is what the person wanted, not an error.
        let label = if error.exit() == Exit::Interrupted { "" } else { "error: " };
        note(&format!("{label}{first}"));
        if !error.hint().is_empty() {
            note(&format!("hint: {}", clean(error.hint())));
        }
        if let Some(operation_id) = error.operation_id()
            && !error.hint().contains(operation_id)
        {
            note(&format!("operation: {}", clean(operation_id)));
        }
    }
}

/// Writes a line to stderr; there is nobody to tell where that fails.
fn note(message: &str) {
    let _ = writeln!(io::stderr().lock(), "{message}");
}

/// A person watches stderr.
fn stderr_is_terminal() -> bool {
    io::stderr().is_terminal()
}
