//! What each section of the page says; empty where there is nothing to say.

use switchback_client::{
    v1::{
        Finding, MigrateReport, Phase, Severity, TableComparison, ValidateReport,
        result_event::Report,
    },
    words::{Word, word_of},
};

use super::{
    super::output::format::{bytes, count, counted, per_second, rate, seconds, whole},
    chart::{Chart, Part, bar},
    history::{History, Stretch},
    html::{escape, paragraph, table},
};

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

/// Each phase with how long it took.
pub(super) fn phases(history: &History) -> String {
    let took = |stretch: &Stretch| stretch.ended - stretch.began;
    if history.stretches.is_empty() {
        return String::new();
    }
    let parts: Vec<Part> = history
        .stretches
        .iter()
        .map(|stretch| Part { label: stretch.phase.clone(), seconds: took(stretch) })
        .collect();
    let rows: Vec<[String; 5]> = history
        .stretches
        .iter()
        .map(|stretch| {
            let done = rows_of(history, stretch);
            let speed = if done > 0 && took(stretch) > 0.0 {
                per_second(rate(done, took(stretch)), "rows")
            } else {
                String::new()
            };
            let done = if done > 0 { count(done) } else { String::new() };
            [stretch.phase.clone(), seconds(stretch.began), seconds(took(stretch)), done, speed]
        })
        .collect();
    let heading = ["phase", "began after", "took", "rows", "rate"];
    bar("How long each phase took", &parts) + &table(heading, 1..5, &rows)
}

/// What was told on the way; of the copy of a migration that has ended, what its report says:
/// progress is forgotten then.
fn rows_of(history: &History, stretch: &Stretch) -> u64 {
    let told = stretch.rows.last().map_or(0, |(_, rows)| *rows);
    match report(history) {
        Some(Report::Migrate(report)) if stretch.phase == Phase::Copying.word() => report.rows,
        _ => told,
    }
}

/// Tables of a migration; of another operation, those that it told progress of.
pub(super) fn tables(history: &History) -> String {
    if let Some(Report::Migrate(report)) = report(history)
        && !report.tables.is_empty()
    {
        let rows: Vec<[String; 5]> = report
            .tables
            .iter()
            .map(|of| {
                let validated = if of.validated { "equal" } else { "no" };
                let (rows, rejected) = (count(of.rows), count(of.rejected));
                [of.table.clone(), rows, rejected, bytes(of.bytes), validated.to_owned()]
            })
            .collect();
        return table(["table", "rows", "rejected", "size", "compared"], 1..4, &rows);
    }
    let Some(stretch) = history.stretches.iter().max_by_key(|stretch| stretch.tables.len()) else {
        return String::new();
    };
    let rows: Vec<[String; 3]> = stretch
        .tables
        .iter()
        .map(|(name, (rows, size))| [name.clone(), count(*rows), bytes(*size)])
        .collect();
    if rows.is_empty() { String::new() } else { table(["table", "rows", "size"], 1..3, &rows) }
}

/// Rows over time, while they were copied and while they were compared.
pub(super) fn progress(history: &History) -> String {
    let of = |phase: Phase, title| {
        let Some(stretch) = history.busiest(phase) else { return String::new() };
        // What overtook is left out when events are read again: few figures are no reason to
        // draw nothing, and none of them are.
        if stretch.rows.len() < 3 {
            return String::new();
        }
        let (from, to) = (stretch.began, stretch.ended);
        Chart { title, points: stretch.rows.clone(), from, to, steps: false, mark: None }.svg()
    };
    of(Phase::Copying, "Rows copied") + &of(Phase::Validating, "Rows compared")
}

/// How far the other engine was behind, when the active one was switched, and for how long writers
/// waited.
pub(super) fn cutover(history: &History) -> String {
    let switch = [Phase::CuttingOver, Phase::RollingBack].map(|phase| history.busiest(phase));
    let switch = switch.into_iter().flatten().next();
    let from = history.lag.first().map_or(0.0, |(at, ..)| *at);
    let chart = Chart {
        title: "Changes that wait to be applied; the switch is marked",
        points: history.lag.iter().map(|(at, changes, _)| (*at, *changes)).collect(),
        from,
        to: history.seconds,
        steps: true,
        mark: switch
            .filter(|switch| switch.began >= from)
            .map(|switch| (switch.began, switch.ended)),
    };
    let mut text = chart.svg();
    if let Some((_, _, oldest)) = history.lag.iter().max_by_key(|(_, _, oldest)| *oldest) {
        text.push_str(&paragraph(&format!("the oldest of them waited {} ms", count(*oldest))));
    }
    let report = match report(history) {
        Some(Report::Migrate(report)) => report.cutover.as_ref(),
        Some(Report::Cutover(report)) => Some(report),
        _ => None,
    };
    if let Some(report) = report.filter(|report| report.forecast.is_none()) {
        if let Some(switch) = switch {
            let held = (report.write_pause_ms / 1000.0).min(switch.ended - switch.began);
            let open = switch.ended - switch.began - held;
            let part = |label: &str, seconds| Part { label: label.to_owned(), seconds };
            let parts = [part("writers go on", open), part("writers are held", held)];
            text.push_str(&bar("How much of the cutover writers were held", &parts));
        }
        text.push_str(&paragraph(&format!(
            "{}; epoch {}",
            held(report.write_pause_ms),
            report.epoch
        )));
    }
    text
}

fn held(milliseconds: f64) -> String {
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

fn report(history: &History) -> Option<&Report> {
    history.result.as_ref()?.report.as_ref()
}

fn length(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
