//! How operations end.

use switchback_proto::v1::{
    OperationError, OperationEvent, OperationState, operation_event::Event, result_event,
};

use super::EventLog;
use crate::error::{Error, Kind};

/// The typed report of an operation.
pub type Report = result_event::Report;

/// How an operation ended; a failed one may have a report too.
#[derive(Debug)]
pub struct Outcome {
    /// What it found or did.
    pub report: Option<Report>,
    /// Why it failed.
    pub error: Option<Error>,
}

/// Whether an event is the result, which ends an operation's events.
pub fn is_last(event: &OperationEvent) -> bool {
    matches!(event.event, Some(Event::Result(_)))
}

/// How it stands with an operation that has ended so.
pub(super) fn state_of(outcome: &Outcome) -> OperationState {
    match &outcome.error {
        None => OperationState::Succeeded,
        Some(error) if error.kind() == Kind::Cancelled => OperationState::Cancelled,
        Some(_) => OperationState::Failed,
    }
}

/// Stores how an operation has ended.
pub(super) async fn end(log: &EventLog, outcome: Outcome) {
    let state = state_of(&outcome);
    if let Some(error) = &outcome.error {
        // Not the error's source: PostgreSQL's own text may hold row values.
        tracing::warn!(reason = error.reason().as_str(), %error, "operation ended");
    } else {
        tracing::info!("operation succeeded");
    }
    let error = outcome.error.as_ref().map(|error| OperationError {
        reason: error.reason().as_str().into(),
        message: error.to_string(),
        hint: error.hint_text().into(),
    });
    if let Err(error) = log.end(state, error, outcome.report).await {
        // It stays `running` in the store and runs again after a restart.
        tracing::error!(%error, "the end of the operation could not be stored");
    }
}
