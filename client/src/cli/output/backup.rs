//! What a backup, a restoration and a verification did, for a person.

use switchback_client::{
    v1::{BackupReport, Engine, Finding, RestoreReport, VerifyBackupReport},
    words::word_of,
};

use super::{
    Grid, findings,
    format::{bytes, clean, count, rate, seconds, whole},
    validation,
};

/// What a backup holds, what of it went to the store, and what it does not hold.
pub(crate) fn made(report: &BackupReport) -> String {
    let mut grid = Grid::new(["BACKUP", &report.backup_id]);
    grid.row(["engine", &word_of::<Engine>(report.engine)]);
    grid.row(["read", &bytes(report.bytes_read)]);
    grid.row(["uploaded", &bytes(report.bytes_uploaded)]);
    grid.row(["deduplicated", &bytes(report.bytes_deduplicated)]);
    grid.row(["chunks", &count(report.chunks)]);
    grid.row(["time", &time(report.bytes_read, report.seconds)]);
    if report.held_ms > 0.0 {
        grid.row(["writers held", &seconds(report.held_ms / 1000.0)]);
    }
    with_findings(grid, &report.findings)
}

/// What was made, from how much, and whether it was read back.
pub(crate) fn restored(report: &RestoreReport) -> String {
    let mut grid = if report.path.is_empty() {
        Grid::new(["DATABASE", &report.database])
    } else {
        Grid::new(["FILE", &report.path])
    };
    grid.row(["size", &bytes(report.bytes)]);
    if report.rows > 0 {
        grid.row(["rows", &count(report.rows)]);
    }
    grid.row(["time", &time(report.bytes, report.seconds)]);
    grid.row(["validated", if report.validated { "yes" } else { "no" }]);
    if !report.kept_database.is_empty() {
        grid.row(["replaced, kept as", &report.kept_database]);
    }
    if !report.safety_backup_id.is_empty() {
        grid.row(["safety backup", &report.safety_backup_id]);
    }
    let mut text = with_findings(grid, &report.findings);
    if let Some(found) = report.validation.as_ref().filter(|found| !found.matches) {
        text = format!("{text}\n{}", validation::differences(found).trim_end());
        text.push('\n');
    }
    text
}

/// What was read, and every problem that is named.
pub(crate) fn verified(report: &VerifyBackupReport) -> String {
    let mut grid = Grid::new(["BACKUP", &report.backup_id]);
    grid.row(["chunks", &count(report.chunks)]);
    grid.row(["size", &bytes(report.bytes)]);
    grid.row(["time", &time(report.bytes, report.seconds)]);
    grid.row(["verified", if report.problems.is_empty() { "every chunk is whole" } else { "no" }]);
    let mut text = grid.to_string();
    if !report.problems.is_empty() {
        text.push_str("\nproblems\n");
    }
    for problem in &report.problems {
        text.push_str(&format!("  {}\n", clean(problem)));
    }
    text
}

/// `3.10 s (115.2 MB/s)`
fn time(read: u64, took: f64) -> String {
    if read == 0 || took <= 0.0 {
        return seconds(took);
    }
    format!("{} ({}/s)", seconds(took), bytes(whole(rate(read, took))))
}

fn with_findings(grid: Grid, found: &[Finding]) -> String {
    if found.is_empty() { grid.to_string() } else { format!("{grid}\n{}", findings::render(found)) }
}

#[cfg(test)]
mod tests {
    use switchback_client::v1::{
        DifferenceKind, RowDifference, Severity, TableComparison, ValidateReport,
    };

    use super::*;

    #[test]
    fn a_backup_says_what_was_read_and_what_went_to_the_store() {
        let mut report = BackupReport {
            backup_id: "20261126T174200Z-3fa29c".to_owned(),
            engine: Engine::Sqlite.into(),
            bytes_read: 357_200_000,
            bytes_uploaded: 12_100_000,
            bytes_deduplicated: 330_000_000,
            chunks: 341,
            seconds: 3.1,
            held_ms: 12.0,
            findings: Vec::new(),
        };
        let text = "BACKUP        20261126T174200Z-3fa29c\n\
                    engine        sqlite\n\
                    read          357.2 MB\n\
                    uploaded      12.1 MB\n\
                    deduplicated  330.0 MB\n\
                    chunks        341\n\
                    time          3.10 s (115.2 MB/s)\n\
                    writers held  0.01 s\n";
        assert_eq!(made(&report), text);
        report.findings = vec![Finding {
            code: "no_pg_dump".to_owned(),
            severity: Severity::Warning.into(),
            message: "views are left out".to_owned(),
            ..Default::default()
        }];
        let found = "\nwarning no_pg_dump\n  database: views are left out\n";
        assert_eq!(made(&report), format!("{text}{found}"));
    }

    #[test]
    fn a_restoration_names_what_it_made_and_what_it_replaced() {
        let report = RestoreReport {
            path: "/restores/copy.db".to_owned(),
            bytes: 4096,
            seconds: 0.5,
            validated: true,
            ..Default::default()
        };
        assert_eq!(
            restored(&report),
            "FILE       /restores/copy.db\n\
             size       4.1 kB\n\
             time       0.50 s (8.2 kB/s)\n\
             validated  yes\n"
        );
        let report = RestoreReport {
            database: "shop".to_owned(),
            rows: 1200,
            safety_backup_id: "b".to_owned(),
            kept_database: "shop_before".to_owned(),
            validation: Some(ValidateReport {
                tables: vec![TableComparison {
                    table: "users".to_owned(),
                    missing: 1,
                    differences: vec![RowDifference {
                        kind: DifferenceKind::Missing.into(),
                        key: "id=7".to_owned(),
                        ..Default::default()
                    }],
                    ..Default::default()
                }],
                ..Default::default()
            }),
            ..Default::default()
        };
        assert_eq!(
            restored(&report),
            "DATABASE           shop\n\
             size               0 B\n\
             rows               1,200\n\
             time               0.00 s\n\
             validated          no\n\
             replaced, kept as  shop_before\n\
             safety backup      b\n\
             \n\
             users\n  missing   id=7\n"
        );
    }

    #[test]
    fn a_damaged_backup_says_what_is_wrong() {
        let mut report = VerifyBackupReport {
            backup_id: "b".to_owned(),
            chunks: 2,
            bytes: 2_000_000,
            seconds: 1.0,
            problems: Vec::new(),
        };
        let text = "BACKUP    b\nchunks    2\nsize      2.0 MB\ntime      1.00 s (2.0 MB/s)\n";
        assert_eq!(verified(&report), format!("{text}verified  every chunk is whole\n"));
        report.problems = vec!["chunk 00ff is missing".to_owned(), "a\u{1b}".to_owned()];
        assert_eq!(
            verified(&report),
            format!("{text}verified  no\n\nproblems\n  chunk 00ff is missing\n  a\\u{{1b}}\n")
        );
    }
}
