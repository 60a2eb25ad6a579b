//! What an operation did, for a person.

use switchback_client::v1::{MigrateReport, PhaseSeconds, result_event::Report};

use super::{
    Grid, Output, findings,
    format::{as_f64, bytes, count, counted, per_second, rate, seconds},
    plan, validation,
};

/// Prints the report of an operation.
pub(crate) fn print(output: &mut Output, report: &Report) {
    match report {
        Report::Plan(report) => plan::print(output, report),
        Report::Migrate(report) => migrate(output, report),
        Report::Validate(report) => validation::print(output, report),
        // Their commands are not in this version: the state that has been said is all.
        Report::Cutover(_)
        | Report::Rollback(_)
        | Report::Finalize(_)
        | Report::Abort(_)
        | Report::Backup(_)
        | Report::Restore(_) => {}
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
    if let Some(cutover) = &report.cutover {
        lines.push(format!(
            "cutover: writers were held {}, epoch {}",
            seconds(cutover.write_pause_ms / 1000.0),
            cutover.epoch
        ));
    }
    if !report.backup_id.is_empty() {
        lines.push(format!("backup: {}", super::format::clean(&report.backup_id)));
    }
    lines
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
    fn a_table_that_was_not_validated_is_not_passed_over() {
        let report = MigrateReport {
            tables: vec![TableReport::default()],
            validation: Some(ValidateReport { matches: true, ..Default::default() }),
            ..Default::default()
        };
        assert_eq!(validated(&report), "0 of 1 tables");
    }
}
