//! Events as JSON lines, for programs: the shapes are part of the interface.

#[cfg(test)]
mod tests;

use serde::Serialize;
use switchback_client::{
    Error,
    v1::{
        AbortReport, BackupReport, CutoverReport, Engine, FinalizeReport, Finding, MigrateReport,
        OperationError, OperationEvent, OperationKind, OperationState, Phase, PlanReport,
        ProgressEvent, RestoreReport, ResultEvent, RollbackReport, ValidateReport,
        VerifyBackupReport, operation_event::Event, result_event,
    },
    words::word_of,
};

use super::format::time;

/// One event.
#[derive(Serialize)]
pub(crate) struct Line<'a> {
    event: &'static str,
    operation_id: &'a str,
    sequence: u64,
    time: String,
    #[serde(flatten)]
    body: Body<'a>,
}

/// A line about one database of several.
#[derive(Serialize)]
pub(crate) struct Of<'a, T> {
    pub(crate) database: &'a str,
    #[serde(flatten)]
    pub(crate) line: T,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Body<'a> {
    Started { database: &'a str, kind: String },
    Phase { phase: String },
    Progress(Progress<'a>),
    Lag { lag_changes: u64, lag_ms: u64 },
    Waiting { engine: String, message: &'a str, retry_in_ms: u64, queued_behind: u32 },
    Finding(&'a Finding),
    Result { state: String, error: Option<&'a OperationError>, report: Option<Report<'a>> },
}

#[derive(Serialize)]
struct Progress<'a> {
    table: &'a str,
    rows: u64,
    rows_total: u64,
    bytes: u64,
    bytes_total: u64,
    bytes_uploaded: u64,
    bytes_deduplicated: u64,
}

impl<'a> Progress<'a> {
    fn of(event: &'a ProgressEvent) -> Self {
        Self {
            table: &event.table,
            rows: event.rows,
            rows_total: event.rows_total,
            bytes: event.bytes,
            bytes_total: event.bytes_total,
            bytes_uploaded: event.bytes_uploaded,
            bytes_deduplicated: event.bytes_deduplicated,
        }
    }
}

#[derive(Serialize)]
#[serde(untagged)]
enum Report<'a> {
    Plan(&'a PlanReport),
    Migrate(&'a MigrateReport),
    Validate(&'a ValidateReport),
    Cutover(&'a CutoverReport),
    Rollback(&'a RollbackReport),
    Finalize(&'a FinalizeReport),
    Abort(&'a AbortReport),
    Backup(&'a BackupReport),
    Restore(&'a RestoreReport),
    VerifyBackup(&'a VerifyBackupReport),
}

impl<'a> Line<'a> {
    /// `None` for an event that this version does not know.
    pub(crate) fn of(event: &'a OperationEvent) -> Option<Self> {
        let (name, body) = body(event.event.as_ref()?);
        Some(Self {
            event: name,
            operation_id: &event.operation_id,
            sequence: event.sequence,
            time: time(event.time.as_ref()),
            body,
        })
    }
}

fn body(event: &Event) -> (&'static str, Body<'_>) {
    match event {
        Event::Started(started) => (
            "started",
            Body::Started {
                database: &started.database,
                kind: word_of::<OperationKind>(started.kind),
            },
        ),
        Event::Phase(phase) => ("phase", Body::Phase { phase: word_of::<Phase>(phase.phase) }),
        Event::Progress(progress) => ("progress", Body::Progress(Progress::of(progress))),
        Event::Lag(lag) => ("lag", Body::Lag { lag_changes: lag.lag_changes, lag_ms: lag.lag_ms }),
        Event::Waiting(waiting) => (
            "waiting",
            Body::Waiting {
                engine: word_of::<Engine>(waiting.engine),
                message: &waiting.message,
                retry_in_ms: waiting.retry_in_ms,
                queued_behind: waiting.queued_behind,
            },
        ),
        Event::Finding(finding) => ("finding", Body::Finding(finding)),
        Event::Result(result) => ("result", result_body(result)),
    }
}

fn result_body(result: &ResultEvent) -> Body<'_> {
    Body::Result {
        state: word_of::<OperationState>(result.state),
        error: result.error.as_ref(),
        report: result.report.as_ref().map(|report| match report {
            result_event::Report::Plan(report) => Report::Plan(report),
            result_event::Report::Migrate(report) => Report::Migrate(report),
            result_event::Report::Validate(report) => Report::Validate(report),
            result_event::Report::Cutover(report) => Report::Cutover(report),
            result_event::Report::Rollback(report) => Report::Rollback(report),
            result_event::Report::Finalize(report) => Report::Finalize(report),
            result_event::Report::Abort(report) => Report::Abort(report),
            result_event::Report::Backup(report) => Report::Backup(report),
            result_event::Report::Restore(report) => Report::Restore(report),
            result_event::Report::VerifyBackup(report) => Report::VerifyBackup(report),
        }),
    }
}

/// The last line of a call that failed before its operation existed, or whose end is not known.
#[derive(Serialize)]
pub(crate) struct Failure<'a> {
    event: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    operation_id: Option<&'a str>,
    state: &'static str,
    error: FailureError<'a>,
    report: Option<()>,
}

#[derive(Serialize)]
struct FailureError<'a> {
    reason: &'a str,
    message: &'a str,
    hint: &'a str,
}

impl<'a> Failure<'a> {
    pub(crate) fn of(error: &'a Error) -> Self {
        // Interrupted and lost are ends of the watching, not of the operation.
        let goes_on = matches!(error.reason(), "INTERRUPTED" | "CONNECTION_LOST");
        Self {
            event: "result",
            operation_id: error.operation_id().filter(|_| goes_on),
            state: if goes_on { "running" } else { "failed" },
            error: FailureError {
                reason: error.reason(),
                message: error.message(),
                hint: error.hint(),
            },
            report: None,
        }
    }
}
