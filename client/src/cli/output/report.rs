//! What an operation did, for a person.

use switchback_client::v1::{
    AbortReport, CutoverForecast, CutoverReport, MigrateReport, PhaseSeconds, RollbackReport,
    result_event::Report,
};

use super::{
    Grid, Output, backup, findings,
    format::{as_f64, bytes, clean, count, counted, per_second, rate, seconds},
    plan, validation,
};

/// Prints the report of an operation.
pub(crate) fn print(output: &mut Output, report: &Report) {
    match report {
        Report::Plan(report) => plan::print(output, report),
        Report::Migrate(report) => migrate(output, report),
        Report::Validate(report) => validation::print(output, report),
        Report::Cutover(CutoverReport { forecast: Some(forecast), .. }) => {
            output.text(&told(forecast));
        }
        Report::Cutover(report) => output.line(&cutover(report)),
        Report::Abort(report) => {
            if !report.findings.is_empty() {
                output.text(&findings::render(&report.findings));
            }
            output.line(&abort(report));
        }
        Report::Rollback(RollbackReport { forecast: Some(forecast), left_behind, .. }) => {
            output.text(&told(forecast));
            if *left_behind > 0 {
                output.line(&format!("left behind: {}", counted(*left_behind, "row")));
            }
        }
        Report::Rollback(report) => {
            if !report.findings.is_empty() {
                output.text(&findings::render(&report.findings));
            }
            output.line(&rollback(report));
        }
        Report::Finalize(report) => {
            if !report.findings.is_empty() {
                output.text(&findings::render(&report.findings));
            }
            output.line("finalized: PostgreSQL is the only engine; there is no way back");
        }
        Report::Backup(report) => output.text(&backup::made(report)),
        Report::Restore(report) => output.text(&backup::restored(report)),
        Report::VerifyBackup(report) => output.text(&backup::verified(report)),
    }
}

fn migrate(output: &mut Output, report: &MigrateReport) {
    if !report.tables.is_empty() {
        let mut grid =
            Grid::new(["TABLE", "ROWS", "REJECTED", "SIZE", "VALIDATED"]).right(&[1, 2, 3]);
        for table in &report.tables {
            let validated = if table.validated { "yes" } else { "no" };
            let (rows, rejected) = (count(table.rows), count(table.rejected));
            grid.row([&table.table, &rows, &rejected, &bytes(table.bytes), validated]);
        }
        output.text(&grid.to_string());
        output.line("");
    }
    if !report.findings.is_empty() {
        output.text(&findings::render(&report.findings));
        output.line("");
    }
    if let Some(validation) = report.validation.as_ref().filter(|validation| !validation.matches) {
        validation::print_differences(output, validation);
    }
    for line in summary(report) {
        output.line(&line);
    }
}

fn summary(report: &MigrateReport) -> Vec<String> {
    let tables = u64::try_from(report.tables.len()).unwrap_or(u64::MAX);
    let times = report.seconds.unwrap_or_default();
    let mut lines = vec![format!(
        "{}, {}, {} in {}{}",
        counted(tables, "table"),
        counted(report.rows, "row"),
        bytes(report.bytes),
        seconds(times.total),
        copy_speed(report.rows, &times),
    )];
    lines.push(phases(&times));
    lines.push(format!("validated: {}", validated(report)));
    if report.rejected > 0 {
        lines.push(format!(
            "rejected: {} kept in switchback.rejects",
            counted(report.rejected, "row")
        ));
    }
    let tally = findings::tally(&report.findings);
    if !tally.is_empty() {
        lines.push(format!("findings: {tally}"));
    }
    lines.extend(report.cutover.as_ref().map(cutover));
    if !report.backup_id.is_empty() {
        lines.push(format!("backup: {}", clean(&report.backup_id)));
    }
    lines
}

fn cutover(report: &CutoverReport) -> String {
    format!(
        "cutover: writers were held {}, epoch {}",
        seconds(report.write_pause_ms / 1000.0),
        report.epoch
    )
}

fn rollback(report: &RollbackReport) -> String {
    let left = match report.left_behind {
        0 => String::new(),
        rows => format!(", {} left behind in switchback.kept_aside", counted(rows, "row")),
    };
    format!(
        "rollback: writers were held {}, {} carried back{left}, epoch {}",
        seconds(report.write_pause_ms / 1000.0),
        counted(report.changes, "change"),
        report.epoch
    )
}

/// Go or NoGo, why not, and what to expect.
fn told(forecast: &CutoverForecast) -> String {
    let mut text = if forecast.go { "Go\n" } else { "NoGo\n" }.to_owned();
    for reason in &forecast.reasons {
        text.push_str(&format!("  {}\n", clean(reason)));
    }
    text.push_str(&format!(
        "expected write pause: {}\nlag: {}\n",
        seconds(forecast.expected_pause_ms / 1000.0),
        counted(forecast.lag_changes, "change")
    ));
    text
}

fn abort(report: &AbortReport) -> String {
    format!(
        "aborted: {} removed from PostgreSQL; SQLite is as it was",
        counted(report.removed, "object")
    )
}

fn copy_speed(rows: u64, times: &PhaseSeconds) -> String {
    if times.copying > 0.0 && as_f64(rows) > 0.0 {
        format!(" (copied at {})", per_second(rate(rows, times.copying), "rows"))
    } else {
        String::new()
    }
}

fn phases(times: &PhaseSeconds) -> String {
    format!(
        "planning {}, copying {}, indexing {}, validating {}",
        seconds(times.planning),
        seconds(times.copying),
        seconds(times.indexing),
        seconds(times.validating)
    )
}

fn validated(report: &MigrateReport) -> String {
    let all = report.tables.len();
    let done = report.tables.iter().filter(|table| table.validated).count();
    match &report.validation {
        Some(validation) if validation.matches && done == all => "every row is equal".to_owned(),
        Some(validation) if !validation.matches => "the data differs".to_owned(),
        _ => format!("{done} of {all} tables"),
    }
}

#[cfg(test)]
mod tests {
    use switchback_client::v1::{Finding, Severity, TableReport, ValidateReport};

    use super::*;

    #[test]
    fn the_summary_says_what_was_done() {
        let report = MigrateReport {
            tables: vec![TableReport { validated: true, ..Default::default() }],
            findings: vec![Finding { severity: Severity::Warning.into(), ..Default::default() }],
            validation: Some(ValidateReport { matches: true, ..Default::default() }),
            rows: 2_000_000,
            bytes: 357_000_000,
            rejected: 1,
            seconds: Some(PhaseSeconds { copying: 4.0, total: 9.5, ..Default::default() }),
            ..Default::default()
        };
        assert_eq!(
            summary(&report),
            [
                "1 table, 2,000,000 rows, 357.0 MB in 9.50 s (copied at 500,000 rows/s)",
                "planning 0.00 s, copying 4.00 s, indexing 0.00 s, validating 0.00 s",
                "validated: every row is equal",
                "rejected: 1 row kept in switchback.rejects",
                "findings: 1 warning",
            ]
        );
    }

    #[test]
    fn a_forecast_says_go_or_why_not() {
        let go = CutoverForecast { go: true, expected_pause_ms: 120.0, ..Default::default() };
        assert_eq!(told(&go), "Go\nexpected write pause: 0.12 s\nlag: 0 changes\n");
        let no_go = CutoverForecast {
            go: false,
            reasons: vec!["the lag grows: wait until writers are idle".to_owned(), "b\n".into()],
            expected_pause_ms: 12_340.0,
            lag_changes: 1,
        };
        assert_eq!(
            told(&no_go),
            "NoGo\n  the lag grows: wait until writers are idle\n  b\\n\n\
             expected write pause: 12.3 s\nlag: 1 change\n"
        );
    }

    #[test]
    fn a_cutover_says_the_pause_and_an_abort_what_it_removed() {
        let report = CutoverReport { write_pause_ms: 214.0, epoch: 1, forecast: None };
        assert_eq!(cutover(&report), "cutover: writers were held 0.21 s, epoch 1");
        let migrated = MigrateReport { cutover: Some(report), ..Default::default() };
        let said = "cutover: writers were held 0.21 s, epoch 1".to_owned();
        assert!(summary(&migrated).contains(&said));
        assert_eq!(
            abort(&AbortReport { removed: 7, ..Default::default() }),
            "aborted: 7 objects removed from PostgreSQL; SQLite is as it was"
        );
    }

    #[test]
    fn a_rollback_says_what_it_left_behind() {
        let report = RollbackReport { epoch: 2, changes: 1, ..Default::default() };
        assert_eq!(
            rollback(&report),
            "rollback: writers were held 0.00 s, 1 change carried back, epoch 2"
        );
        let left = RollbackReport { left_behind: 2, ..report };
        assert!(rollback(&left).contains("2 rows left behind in switchback.kept_aside"));
    }

    #[test]
    fn a_table_that_was_not_validated_is_not_passed_over() {
        let report = MigrateReport {
            tables: vec![TableReport::default()],
            validation: Some(ValidateReport { matches: true, ..Default::default() }),
            ..Default::default()
        };
        assert_eq!(validated(&report), "0 of 1 tables");
    }
}
