//! The page: a heading, then the sections that have something to say.

use switchback_client::v1::{OperationKind, OperationState};
use switchback_client::words::word_of;

use super::{
    super::output::format::time,
    history::History,
    html::{escape, list, paragraph, section},
    sections, timeline,
};

const STYLE: &str = include_str!("page.css");

/// Nothing is loaded and nothing runs, whatever a name of a table tries.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'";

/// The whole page.
pub(super) fn render(history: &History) -> String {
    let operation = &history.operation;
    let kind = word_of::<OperationKind>(operation.kind);
    let title = escape(&format!("{kind} of {}", operation.database));
    let body = [
        heading(history, &title),
        section("Result", &sections::outcome(history)),
        section("Phases", &timeline::phases(history)),
        section("Progress", &timeline::progress(history)),
        section("Lag and cutover", &timeline::cutover(history)),
        section("Waits", &sections::waits(history)),
        section("Findings", &sections::findings(history)),
        section("Tables", &sections::tables(history)),
        section("Validation", &sections::validation(history)),
    ];
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n{}\
         <footer>switchback {}</footer>\n</body>\n</html>\n",
        body.concat(),
        env!("CARGO_PKG_VERSION")
    )
}

fn heading(history: &History, title: &str) -> String {
    let operation = &history.operation;
    let state = history.result.as_ref().map_or(operation.state, |result| result.state);
    let state = word_of::<OperationState>(state);
    let mut facts = vec![
        ("operation", operation.operation_id.clone()),
        ("began", time(operation.created_at.as_ref())),
    ];
    if operation.ended_at.is_some() {
        facts.push(("ended", time(operation.ended_at.as_ref())));
    }
    let now = if operation.ended_at.is_none() {
        paragraph("It had not ended when this page was written.")
    } else {
        String::new()
    };
    format!(
        "<header>\n<h1>{title}</h1>\n<p class=\"state {state}\">{state}</p>\n{now}</header>\n{}{}",
        list("figures", &sections::figures(history)),
        list("facts", &facts)
    )
}

#[cfg(test)]
mod tests {
    use prost_types::Timestamp;
    use switchback_client::v1::{
        CutoverReport, Finding, LagEvent, MigrateReport, Operation, OperationEvent, Phase,
        PhaseEvent, ProgressEvent, ResultEvent, Severity, TableComparison, TableReport,
        ValidateReport, operation_event::Event, result_event::Report,
    };

    use super::*;

    const HOSTILE: &str = "</td><script>alert(1)</script>";

    fn report() -> MigrateReport {
        MigrateReport {
            tables: vec![TableReport { table: HOSTILE.into(), rows: 12, ..Default::default() }],
            cutover: Some(CutoverReport { write_pause_ms: 12.5, epoch: 1, forecast: None }),
            validation: Some(ValidateReport {
                matches: true,
                tables: vec![TableComparison {
                    table: HOSTILE.into(),
                    matches: true,
                    ..Default::default()
                }],
                ..Default::default()
            }),
            rows: 12,
            backup_id: "b-1".into(),
            ..Default::default()
        }
    }

    fn history() -> History {
        let at = |seconds| Some(Timestamp { seconds, nanos: 0 });
        let mut history = History::of(Operation {
            operation_id: "0199".into(),
            database: "shop".into(),
            kind: OperationKind::Migrate.into(),
            created_at: at(100),
            ended_at: at(130),
            ..Default::default()
        });
        let result = ResultEvent {
            state: OperationState::Succeeded.into(),
            error: None,
            report: Some(Report::Migrate(report())),
        };
        let phase = |phase: Phase| Event::Phase(PhaseEvent { phase: phase.into() });
        let progress = |rows| {
            let table = HOSTILE.into();
            Event::Progress(ProgressEvent { table, rows, ..Default::default() })
        };
        let finding = Finding {
            code: "row_kept".into(),
            severity: Severity::Warning.into(),
            table: HOSTILE.into(),
            message: "a message".into(),
            ..Default::default()
        };
        let lag = |lag_changes| Event::Lag(LagEvent { lag_changes, lag_ms: 4 });
        for (seconds, event) in [
            (101, phase(Phase::Planning)),
            (102, Event::Finding(finding)),
            (103, phase(Phase::Copying)),
            (104, progress(6)),
            (108, progress(12)),
            (109, phase(Phase::Following)),
            (110, lag(20)),
            (112, lag(0)),
            (120, phase(Phase::CuttingOver)),
            (121, phase(Phase::Reversible)),
            (130, Event::Result(result)),
        ] {
            history.take(OperationEvent {
                time: at(seconds),
                event: Some(event),
                ..Default::default()
            });
        }
        history
    }

    #[test]
    fn every_section_is_there_and_foreign_names_are_text() {
        let page = render(&history());
        for title in
            ["Result", "Phases", "Tables", "Progress", "Lag and cutover", "Findings", "Validation"]
        {
            assert!(page.contains(&format!("<h2>{title}</h2>")), "{title}");
        }
        assert!(!page.contains("<script") && page.contains("&lt;script&gt;"), "{page}");
        assert!(page.contains("writers were held 12.5 ms") && page.contains("b-1"), "{page}");
        // Two bars; rows copied, and the lag.
        assert_eq!(page.matches("class=\"bar\"").count(), 2, "{page}");
        assert_eq!(page.matches("<svg").count(), 2, "{page}");
        assert!(page.contains("1.7 rows/s") || page.contains("2 rows/s"), "{page}");
        assert_eq!(page.matches("class=\"mark\"").count(), 1, "{page}");
        // What it needs is in it.
        for outside in ["http://", "https://", "src=", "href=", "url("] {
            assert!(!page.contains(outside), "{outside}");
        }
        assert!(page.contains("default-src 'none'"), "{page}");
    }

    #[test]
    fn an_operation_that_has_just_begun_has_a_page_too() {
        let page = render(&History::of(Operation::default()));
        assert!(page.contains("had not ended") && !page.contains("<svg"), "{page}");
        assert!(page.contains("had not begun a phase"), "{page}");
    }

    #[test]
    fn what_is_not_recorded_is_said() {
        let mut history = history();
        history.lag.clear();
        history.stretches.iter_mut().for_each(|stretch| stretch.figures.clear());
        let page = render(&history);
        assert!(page.contains("No lag over time") && page.contains("No rates over time"), "{page}");
        assert!(!page.contains("<svg") && page.contains("writers were held 12.5 ms"), "{page}");
    }
}
