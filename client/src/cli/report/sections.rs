//! What each section of the page says; empty where there is nothing to say.

use switchback_client::{
    v1::{
        Finding, MigrateReport, Phase, Severity, TableComparison, TableReport, ValidateReport,
        result_event::Report,
    },
    words::{Word, word_of},
};

use super::{
    super::output::format::{bytes, count, counted, per_second, rate, seconds, whole},
    history::History,
    html::{escape, paragraph, table},
    rates::{self, Pace},
    timeline,
};

/// The few figures that are asked for first.
pub(super) fn figures(history: &History) -> Vec<(&'static str, String)> {
    let mut figures = vec![("took", seconds(history.seconds))];
    if let Some(Report::Migrate(report)) = report(history) {
        figures.push(("rows", count(report.rows)));
        figures.push(("size", bytes(report.bytes)));
    }
    let pause = timeline::pause_ms(history);
    figures.extend(pause.map(|pause| ("writers held", format!("{pause:.1} ms"))));
    figures
}

/// Why it failed, or what it did.
pub(super) fn outcome(history: &History) -> String {
    let Some(result) = &history.result else { return String::new() };
    let mut text = String::new();
    if let Some(error) = &result.error {
        let message = escape(&format!("{}: {}", error.reason, error.message));
        text.push_str(&format!("<p class=\"failed\">{message}</p>\n"));
        if !error.hint.is_empty() {
            text.push_str(&paragraph(&error.hint));
        }
    }
    let lines = match &result.report {
        Some(Report::Migrate(report)) => migrated(report),
        Some(Report::Plan(report)) => vec![format!(
            "{} for PostgreSQL",
            counted(length(report.statements.len()), "statement")
        )],
        Some(Report::Backup(report)) => vec![
            format!("backup {}", report.backup_id),
            format!(
                "{} read, {} uploaded, {} in the store already",
                bytes(report.bytes_read),
                bytes(report.bytes_uploaded),
                bytes(report.bytes_deduplicated)
            ),
        ],
        Some(Report::Restore(report)) => {
            vec![format!("{}, {}", counted(report.rows, "row"), bytes(report.bytes))]
        }
        Some(Report::Rollback(report)) => vec![
            held(report.write_pause_ms),
            format!("{} carried back", counted(report.changes, "change")),
        ],
        _ => Vec::new(),
    };
    text.extend(lines.iter().map(|line| paragraph(line)));
    text
}

fn migrated(report: &MigrateReport) -> Vec<String> {
    let mut lines = vec![format!(
        "{}, {}, {}",
        counted(length(report.tables.len()), "table"),
        counted(report.rows, "row"),
        bytes(report.bytes)
    )];
    let copying = report.seconds.map(|seconds| seconds.copying).unwrap_or_default();
    if copying > 0.0 {
        lines.push(format!(
            "copied at {}, {}/s",
            per_second(rate(report.rows, copying), "rows"),
            bytes(whole(rate(report.bytes, copying)))
        ));
    }
    if report.rejected > 0 {
        lines.push(format!("{} kept in switchback.rejects", counted(report.rejected, "row")));
    }
    if !report.backup_id.is_empty() {
        lines.push(format!("backup before the first change: {}", report.backup_id));
    }
    lines
}

/// Tables of a migration, the largest first; of another operation, those that it told progress of.
pub(super) fn tables(history: &History) -> String {
    if let Some(Report::Migrate(report)) = report(history)
        && !report.tables.is_empty()
    {
        return migrated_tables(history, report);
    }
    let most = history.stretches.iter().max_by_key(|stretch| stretch.tables().len());
    let Some(stretch) = most else { return String::new() };
    let paces = rates::paces(&[stretch]);
    let rows: Vec<[String; 5]> = stretch
        .tables()
        .into_iter()
        .map(|(name, (rows, size))| {
            let [took, speed] = pace(paces.get(name));
            [name.to_owned(), count(rows), bytes(size), took, speed]
        })
        .collect();
    let heading = ["table", "rows", "size", "took", "rate"];
    if rows.is_empty() { String::new() } else { table(heading, 1..5, &rows) }
}

fn migrated_tables(history: &History, report: &MigrateReport) -> String {
    let paces = rates::paces(&history.of_phase(Phase::Copying));
    let mut tables: Vec<&TableReport> = report.tables.iter().collect();
    tables.sort_by_key(|of| std::cmp::Reverse(of.rows));
    let rows: Vec<[String; 7]> = tables
        .into_iter()
        .map(|of| {
            let compared = if of.validated { "equal" } else { "no" }.to_owned();
            let rejected = if of.rejected > 0 { count(of.rejected) } else { String::new() };
            let [took, speed] = pace(paces.get(&of.table));
            [of.table.clone(), count(of.rows), bytes(of.bytes), took, speed, rejected, compared]
        })
        .collect();
    let heading = ["table", "rows", "size", "took", "rate", "rejected", "compared"];
    let note = "A table that was told of only once, when it was done, has no time of its own.";
    let told = tables_without(&rows) > 0;
    table(heading, 1..6, &rows) + &if told { paragraph(note) } else { String::new() }
}

fn tables_without(rows: &[[String; 7]]) -> usize {
    rows.iter().filter(|[_, _, _, took, ..]| took == UNKNOWN).count()
}

const UNKNOWN: &str = "—";

fn pace(pace: Option<&Pace>) -> [String; 2] {
    match pace {
        None => [UNKNOWN, UNKNOWN].map(str::to_owned),
        Some(Pace { seconds: took, rows }) => {
            [seconds(*took), per_second(rate(*rows, *took), "rows")]
        }
    }
}

pub(super) fn held(milliseconds: f64) -> String {
    format!("writers were held {milliseconds:.1} ms")
}

/// When it waited for an engine.
pub(super) fn waits(history: &History) -> String {
    let rows: Vec<[String; 3]> = history
        .waits
        .iter()
        .map(|wait| [seconds(wait.at), wait.engine.clone(), wait.message.clone()])
        .collect();
    if rows.is_empty() { String::new() } else { table(["after", "for", "why"], 0..0, &rows) }
}

/// The worst first.
pub(super) fn findings(history: &History) -> String {
    let found = match report(history) {
        Some(Report::Migrate(report)) if !report.findings.is_empty() => &report.findings,
        _ => &history.findings,
    };
    [Severity::Blocker, Severity::Warning, Severity::Note]
        .map(|severity| of_severity(severity, found))
        .concat()
}

fn of_severity(severity: Severity, found: &[Finding]) -> String {
    let rows: Vec<[String; 4]> = found
        .iter()
        .filter(|finding| finding.severity() == severity)
        .map(|finding| {
            let place = if finding.column.is_empty() {
                finding.table.clone()
            } else {
                format!("{}.{}", finding.table, finding.column)
            };
            let message = [finding.message.as_str(), finding.hint.as_str()].join(" — ");
            let message = message.trim_end_matches(" — ").to_owned();
            [finding.code.clone(), place, count(finding.count), message]
        })
        .collect();
    if rows.is_empty() {
        return String::new();
    }
    let word = word_of::<Severity>(severity.into());
    let title = counted(length(rows.len()), &severity.word());
    format!("<h3 class=\"{word}\">{title}</h3>\n")
        + &table(["code", "place", "count", "what it means"], 2..3, &rows)
}

/// Both sides of each table.
pub(super) fn validation(history: &History) -> String {
    let report = match report(history) {
        Some(Report::Migrate(report)) => report.validation.as_ref(),
        Some(Report::Validate(report)) => Some(report),
        Some(Report::Restore(report)) => report.validation.as_ref(),
        _ => None,
    };
    report.map(compared).unwrap_or_default()
}

fn compared(report: &ValidateReport) -> String {
    let (class, verdict) = if report.matches {
        ("equal", "both engines are equal")
    } else {
        ("differs", "the engines differ")
    };
    let row = |of: &TableComparison| {
        let bound = if of.at_least { "≥ " } else { "" };
        let found = |number| if number == 0 { count(0) } else { bound.to_owned() + &count(number) };
        let verdict = if of.matches { "equal" } else { "differs" }.to_owned();
        let (source, target) = (count(of.source_rows), count(of.target_rows));
        let [missing, extra, different] = [of.missing, of.extra, of.different].map(found);
        [of.table.clone(), source, target, missing, extra, different, verdict]
    };
    let rows: Vec<[String; 7]> = report.tables.iter().map(row).collect();
    let heading = ["table", "source", "target", "missing", "extra", "different", ""];
    let mut text = format!(
        "<p class=\"state {class}\">{verdict}</p>\n{}{}",
        paragraph(&format!("{} in {}", counted(report.rows, "row"), seconds(report.seconds))),
        table(heading, 1..6, &rows)
    );
    let objects: Vec<[String; 4]> = report
        .schema
        .iter()
        .map(|of| [of.object.clone(), of.table.clone(), of.name.clone(), of.message.clone()])
        .collect();
    if !objects.is_empty() {
        text.push_str(&table(["object", "table", "name", "what differs"], 0..0, &objects));
    }
    text
}

pub(super) fn report(history: &History) -> Option<&Report> {
    history.result.as_ref()?.report.as_ref()
}

fn length(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
