//! How an operation of the coordinator ends.

use switchback_proto::v1::OperationError;

use super::Journal;
use crate::{
    error::{Error, Reason},
    operations::{Outcome, Report},
};

pub(super) fn described(error: &Error) -> OperationError {
    OperationError {
        reason: error.reason().as_str().into(),
        message: error.to_string(),
        hint: error.hint_text().into(),
    }
}

pub(super) fn success(journal: Journal) -> Outcome {
    Outcome { report: Some(Report::Migrate(journal.report)), error: None }
}

pub(super) fn failure(journal: Journal) -> Outcome {
    let error = error_of(&journal);
    Outcome { report: Some(Report::Migrate(journal.report)), error: Some(error) }
}

/// Why a migration did not go on.
pub(super) fn error_of(journal: &Journal) -> Error {
    let failure = journal.failure.clone().unwrap_or_default();
    let reason = Reason::ALL.iter().copied().find(|reason| reason.as_str() == failure.reason);
    Error::new(reason.unwrap_or(Reason::Internal), failure.message).hint(failure.hint)
}
