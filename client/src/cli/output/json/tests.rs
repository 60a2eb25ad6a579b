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
    let started = StartedEvent { database: "shop".to_owned(), kind: OperationKind::Migrate.into() };
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
        queued_behind: 0,
    };
    assert_eq!(
        line(Event::Waiting(waiting)),
        with(
            json!({
                "engine": "postgres", "message": "refused", "retry_in_ms": 500, "queued_behind": 0,
            }),
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
        error: Some(OperationError { reason: "BACKUP_DAMAGED".to_owned(), ..Default::default() }),
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
