//! Events as JSON lines, for programs: the shapes are part of the interface.

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

#[derive(Serialize)]
#[serde(untagged)]
enum Body<'a> {
    Started { database: &'a str, kind: String },
    Phase { phase: String },
    Progress(Progress<'a>),
    Lag { lag_changes: u64, lag_ms: u64 },
    Waiting { engine: String, message: &'a str, retry_in_ms: u64 },
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

#[cfg(test)]
mod tests {
    use prost_types::Timestamp;
    use serde_json::{Value, json};
    use switchback_client::v1::{
        CutoverForecast, Disposition, PhaseEvent, Plan, Severity, StartedEvent, TableReport,
        WaitingEvent,
    };

    use super::*;

    fn line(event: Event) -> Value {
        let event = OperationEvent {
            operation_id: "op".to_owned(),
            sequence: 3,
            time: Some(Timestamp { seconds: 1_769_851_800, nanos: 250_000_000 }),
            event: Some(event),
        };
        serde_json::to_value(Line::of(&event)).unwrap()
    }

    fn with(mut body: Value, event: &str) -> Value {
        body["event"] = event.into();
        body["operation_id"] = "op".into();
        body["sequence"] = 3.into();
        body["time"] = "2026-01-31T09:30:00.25Z".into();
        body
    }

    #[test]
    fn started_phase_progress_and_waiting() {
        let started =
            StartedEvent { database: "shop".to_owned(), kind: OperationKind::Migrate.into() };
        assert_eq!(
            line(Event::Started(started)),
            with(json!({"database": "shop", "kind": "migrate"}), "started")
        );
        let phase = PhaseEvent { phase: Phase::CuttingOver.into() };
        assert_eq!(line(Event::Phase(phase)), with(json!({"phase": "cutting_over"}), "phase"));
        let progress = ProgressEvent {
            table: "t".to_owned(),
            rows: 1,
            rows_total: 2,
            bytes: u64::MAX,
            bytes_total: 4,
            bytes_uploaded: 5,
            bytes_deduplicated: 6,
        };
        assert_eq!(
            line(Event::Progress(progress)),
            with(
                json!({
                    "table": "t", "rows": 1, "rows_total": 2, "bytes": u64::MAX, "bytes_total": 4,
                    "bytes_uploaded": 5, "bytes_deduplicated": 6,
                }),
                "progress"
            )
        );
        let waiting = WaitingEvent {
            engine: Engine::Postgres.into(),
            message: "refused".to_owned(),
            retry_in_ms: 500,
        };
        assert_eq!(
            line(Event::Waiting(waiting)),
            with(
                json!({"engine": "postgres", "message": "refused", "retry_in_ms": 500}),
                "waiting"
            )
        );
    }

    #[test]
    fn a_finding_is_flat() {
        let finding = Finding {
            code: "nul_in_text".to_owned(),
            severity: Severity::Blocker.into(),
            table: "t".to_owned(),
            column: "c".to_owned(),
            count: 2,
            examples: vec!["id=7".to_owned()],
            message: "m".to_owned(),
            hint: "h".to_owned(),
            choices: vec![Disposition::Encode.into()],
        };
        assert_eq!(
            line(Event::Finding(finding)),
            with(
                json!({
                    "code": "nul_in_text", "severity": "blocker", "table": "t", "column": "c",
                    "count": 2, "examples": ["id=7"], "message": "m", "hint": "h",
                    "choices": ["encode"],
                }),
                "finding"
            )
        );
    }

    #[test]
    fn a_result_carries_error_and_report_always() {
        let failed = ResultEvent {
            state: OperationState::Failed.into(),
            error: Some(OperationError {
                reason: "PLAN_BLOCKED".to_owned(),
                message: "m".to_owned(),
                hint: "h".to_owned(),
            }),
            report: None,
        };
        assert_eq!(
            line(Event::Result(failed)),
            with(
                json!({
                    "state": "failed",
                    "error": {"reason": "PLAN_BLOCKED", "message": "m", "hint": "h"},
                    "report": null,
                }),
                "result"
            )
        );
        let migrated = ResultEvent {
            state: OperationState::Succeeded.into(),
            error: None,
            report: Some(result_event::Report::Migrate(MigrateReport {
                tables: vec![TableReport { table: "t".to_owned(), rows: 5, ..Default::default() }],
                ..Default::default()
            })),
        };
        let line = line(Event::Result(migrated));
        assert_eq!(line["error"], Value::Null);
        assert_eq!(
            line["report"]["tables"][0],
            json!({"table": "t", "rows": 5, "rejected": 0, "validated": false, "bytes": 0})
        );
    }

    #[test]
    fn a_plan_report_has_plan_statements_and_seconds() {
        let report = PlanReport {
            plan: Some(Plan { version: 1, ..Default::default() }),
            statements: vec!["CREATE".to_owned()],
            seconds: 0.5,
        };
        let result = ResultEvent {
            state: OperationState::Succeeded.into(),
            error: None,
            report: Some(result_event::Report::Plan(report)),
        };
        let line = line(Event::Result(result));
        assert_eq!(line["report"]["plan"]["version"], 1);
        assert_eq!(line["report"]["statements"], json!(["CREATE"]));
        assert_eq!(line["report"]["seconds"], 0.5);
    }

    #[test]
    fn a_restoration_names_the_file_or_the_database_that_it_made() {
        let report = |report: RestoreReport| {
            let result = ResultEvent {
                state: OperationState::Succeeded.into(),
                error: None,
                report: Some(result_event::Report::Restore(report)),
            };
            line(Event::Result(result))["report"].clone()
        };
        let restored = RestoreReport {
            path: "/var/lib/switchback/restores/copy.db".to_owned(),
            bytes: 4096,
            seconds: 0.5,
            validated: true,
            ..Default::default()
        };
        assert_eq!(
            report(restored),
            json!({
                "path": "/var/lib/switchback/restores/copy.db", "bytes": 4096, "rows": 0,
                "seconds": 0.5, "validated": true, "findings": [],
            })
        );
        let replaced = RestoreReport {
            database: "shop".to_owned(),
            kept_database: "shop_before".to_owned(),
            ..Default::default()
        };
        let replaced = report(replaced);
        assert_eq!(replaced["database"], "shop");
        assert_eq!(replaced["kept_database"], "shop_before");
        assert_eq!(replaced.get("path"), None);
    }

    #[test]
    fn a_damaged_backup_has_an_error_and_its_problems() {
        let result = ResultEvent {
            state: OperationState::Failed.into(),
            error: Some(OperationError {
                reason: "BACKUP_DAMAGED".to_owned(),
                ..Default::default()
            }),
            report: Some(result_event::Report::VerifyBackup(VerifyBackupReport {
                backup_id: "b".to_owned(),
                chunks: 2,
                bytes: 3,
                seconds: 0.5,
                problems: vec!["chunk 00 is missing".to_owned()],
            })),
        };
        let line = line(Event::Result(result));
        assert_eq!(line["error"]["reason"], "BACKUP_DAMAGED");
        assert_eq!(
            line["report"],
            json!({
                "backup_id": "b", "chunks": 2, "bytes": 3, "seconds": 0.5,
                "problems": ["chunk 00 is missing"],
            })
        );
    }

    #[test]
    fn only_a_dry_run_has_a_forecast() {
        let report = |forecast| {
            let report = CutoverReport { write_pause_ms: 2.5, epoch: 1, forecast };
            let result = ResultEvent {
                state: OperationState::Succeeded.into(),
                error: None,
                report: Some(result_event::Report::Cutover(report)),
            };
            line(Event::Result(result))["report"].clone()
        };
        assert_eq!(report(None), json!({"write_pause_ms": 2.5, "epoch": 1}));
        let forecast = CutoverForecast {
            go: false,
            reasons: vec!["r".to_owned()],
            expected_pause_ms: 7.5,
            lag_changes: 3,
        };
        assert_eq!(
            report(Some(forecast))["forecast"],
            json!({"go": false, "reasons": ["r"], "expected_pause_ms": 7.5, "lag_changes": 3})
        );
    }

    #[test]
    fn an_event_of_a_later_version_is_left_out() {
        assert!(Line::of(&OperationEvent::default()).is_none());
    }

    #[test]
    fn a_call_that_failed_ends_with_a_result() {
        let error = Error::new("OPERATION_RUNNING", "m").with_hint("h").with_operation("other");
        assert_eq!(
            serde_json::to_value(Failure::of(&error)).unwrap(),
            json!({
                "event": "result", "state": "failed", "report": null,
                "error": {"reason": "OPERATION_RUNNING", "message": "m", "hint": "h"},
            })
        );
        let lost = Error::new("CONNECTION_LOST", "m").with_operation("op");
        let line = serde_json::to_value(Failure::of(&lost)).unwrap();
        assert_eq!((&line["state"], &line["operation_id"]), (&json!("running"), &json!("op")));
    }
}
