//! What was tested, and what was found.

use std::time::Duration;

use switchback_proto::v1::{self, CheckState};

use crate::error::Error;

/// Checks of one database, or of what all of them share.
#[derive(Debug, Default)]
pub(super) struct Checks {
    database: String,
    all: Vec<v1::Check>,
}

impl Checks {
    /// Those of a database.
    pub(super) fn of(database: &str) -> Self {
        Self { database: database.to_owned(), all: Vec::new() }
    }

    pub(super) fn into_all(self) -> Vec<v1::Check> {
        self.all
    }

    pub(super) fn ok(&mut self, name: &str, message: impl Into<String>) {
        self.add(name, CheckState::Ok, message.into(), "");
    }

    pub(super) fn warn(&mut self, name: &str, message: impl Into<String>, hint: &str) {
        self.add(name, CheckState::Warning, message.into(), hint);
    }

    pub(super) fn fail(&mut self, name: &str, message: impl Into<String>, hint: &str) {
        self.add(name, CheckState::Failed, message.into(), hint);
    }

    /// What a migration or a backup would end with.
    pub(super) fn refused(&mut self, name: &str, error: &Error) {
        self.fail(name, error.message(), error.hint_text());
    }

    pub(super) fn late(&mut self, name: &str, after: Duration) {
        let message = format!("no answer within {} s", after.as_secs());
        self.fail(name, message, "see whether its machine is overloaded, or the network to it");
    }

    pub(super) fn version(&mut self) {
        self.ok("server", format!("switchbackd {}", env!("CARGO_PKG_VERSION")));
    }

    /// What holds a database up stands in its state too.
    pub(super) fn held_up(&mut self, findings: &[v1::Finding]) {
        for finding in findings {
            self.warn("state", format!("{}: {}", finding.code, finding.message), &finding.hint);
        }
    }

    fn add(&mut self, name: &str, state: CheckState, message: String, hint: &str) {
        self.all.push(v1::Check {
            database: self.database.clone(),
            name: name.to_owned(),
            state: state.into(),
            message,
            hint: hint.to_owned(),
        });
    }
}
