//! Follows an operation to its end: progress, Ctrl-C, lost connections.

use switchback_client::{
    Error, Operation, Outcome, Report, Result, Update,
    exit::Exit,
    v1::{Finding, OperationState, ResultEvent, operation_event::Event, result_event},
};
use tokio_stream::StreamExt;

use super::{
    Session,
    interrupt::Interrupt,
    output::{Screen, findings_text, print_report},
};

/// How an operation ended.
pub(crate) struct Followed {
    pub(crate) outcome: Outcome<result_event::Report>,
    /// Those told on the way, for an end without a report.
    findings: Vec<Finding>,
    /// As the operation says; unknown where its beginning was not watched.
    database: Option<String>,
}

impl Followed {
    fn new(result: ResultEvent, watched: Watched) -> Self {
        let Watched { findings, database, .. } = watched;
        Self { outcome: Outcome::from_result(result), findings, database }
    }

    /// Prints the report, then why the operation did not succeed.
    pub(crate) fn print(&self, session: &mut Session) {
        if !session.output.is_json() {
            match &self.outcome.report {
                // It failed before there was anything to tell of it.
                Some(result_event::Report::Migrate(report))
                    if self.outcome.error.is_some() && report.tables.is_empty() =>
                {
                    session.output.text(&findings_text(&self.findings));
                }
                Some(report) => print_report(&mut session.output, report),
                None => session.output.text(&findings_text(&self.findings)),
            }
        }
        self.explain(session);
        if self.follows_on() {
            let database = self.database.clone().unwrap_or_else(|| session.database());
            let command = |rest| session.command_on(&database, rest);
            session.output.note(&format!(
                "PostgreSQL follows SQLite; make it the active engine with `{}` (try it with `{}`), \
                 or undo the migration with `{}`",
                command("cutover"),
                command("cutover --dry-run"),
                command("abort")
            ));
        }
    }

    /// A migration that has ended well before its cutover.
    fn follows_on(&self) -> bool {
        let report = self.outcome.report.as_ref().filter(|_| self.outcome.error.is_none());
        matches!(report, Some(result_event::Report::Migrate(report)) if report.cutover.is_none())
    }

    /// Says why the operation did not succeed.
    pub(crate) fn explain(&self, session: &Session) {
        if let Some(error) = &self.outcome.error {
            session.output.explain(error);
        }
    }

    /// The operation's exit code.
    pub(crate) fn exit(&self) -> Exit {
        match (&self.outcome.error, &self.outcome.report) {
            (Some(error), _) => error.exit(),
            (None, _) if self.outcome.state != OperationState::Succeeded => Exit::Failed,
            (None, Some(result_event::Report::Validate(report))) if !report.matches => {
                Exit::Differs
            }
            // Rows that were restored into the other engine.
            (None, Some(result_event::Report::Restore(report)))
                if report.validation.as_ref().is_some_and(|found| !found.matches) =>
            {
                Exit::Differs
            }
            (None, Some(report)) if is_no_go(report) => Exit::Precondition,
            _ => Exit::Done,
        }
    }
}

/// A dry run has succeeded where it finds what is in the switch's way.
fn is_no_go(report: &result_event::Report) -> bool {
    let forecast = match report {
        result_event::Report::Cutover(report) => &report.forecast,
        result_event::Report::Rollback(report) => &report.forecast,
        _ => return false,
    };
    forecast.as_ref().is_some_and(|forecast| !forecast.go)
}

/// Starts an operation, or attaches to one, and shows its events until the last one.
///
/// `request_id` finds the operation again where its own id is not known yet.
pub(crate) async fn follow<R: Report>(
    session: &mut Session,
    request_id: &str,
    start: impl Future<Output = Result<Operation<R>>>,
) -> Result<Followed> {
    let mut interrupt = Interrupt::install();
    let mut watched = Watched::new();
    let mut operation = tokio::select! {
        operation = start => operation?,
        () = interrupt.wait() => return Err(interrupted(session, &watched, request_id)),
    };
    loop {
        let update = tokio::select! {
            // The last event first: an operation that has ended was not interrupted.
            biased;
            update = operation.next() => update,
            () = interrupt.wait() => {
                watched.screen.clear();
                return Err(interrupted(session, &watched, request_id));
            }
        };
        let Some(update) = update else {
            watched.screen.clear();
            return Err(Error::new("INTERNAL", "the operation's events ended without a result"));
        };
        let result = match update {
            Ok(update) => watched.take(session, update),
            Err(error) => {
                watched.screen.clear();
                return Err(lost(session, error));
            }
        };
        if let Some(result) = result {
            return Ok(Followed::new(result, watched));
        }
    }
}

struct Watched {
    screen: Screen,
    operation_id: Option<String>,
    database: Option<String>,
    findings: Vec<Finding>,
}

impl Watched {
    fn new() -> Self {
        Self { screen: Screen::new(), operation_id: None, database: None, findings: Vec::new() }
    }

    /// Shows an update; gives the result when it comes.
    fn take(&mut self, session: &mut Session, update: Update) -> Option<ResultEvent> {
        let event = match update {
            Update::Event(event) => *event,
            Update::ConnectionLost(error) => {
                self.say(session, &format!("connection lost: {error}; trying to attach again"));
                return None;
            }
            Update::Reattached => {
                self.say(session, "attached again");
                return None;
            }
        };
        if session.output.is_json() {
            session.output.event(&event);
        } else {
            self.screen.show(&event);
        }
        self.operation_id.get_or_insert_with(|| event.operation_id.clone());
        match event.event {
            Some(Event::Started(started)) => self.database = Some(started.database),
            Some(Event::Finding(finding)) => self.findings.push(finding),
            Some(Event::Result(result)) => return Some(result),
            _ => {}
        }
        None
    }

    fn say(&self, session: &Session, message: &str) {
        if session.output.is_json() {
            session.output.note(message);
        } else {
            self.screen.message(message);
        }
    }
}

/// The operation goes on: says how to attach to it and how to stop it.
fn interrupted(session: &Session, watched: &Watched, request_id: &str) -> Error {
    match &watched.operation_id {
        Some(id) => Error::new("INTERRUPTED", format!("interrupted; operation {id} goes on"))
            .with_hint(format!(
                "attach again with `{}`, stop it with `{}`",
                session.command(&format!("operations watch {id}")),
                session.command(&format!("operations cancel {id}"))
            ))
            .with_operation(id.clone()),
        None => Error::new("INTERRUPTED", "interrupted; the operation may have started").with_hint(
            format!(
                "see `{}`{}",
                session.command("operations list"),
                if request_id.is_empty() {
                    String::new()
                } else {
                    format!("; its request id is {request_id}")
                }
            ),
        ),
    }
}

fn lost(session: &Session, error: Error) -> Error {
    if error.reason() != "CONNECTION_LOST" {
        return error;
    }
    match error.operation_id().map(str::to_owned) {
        Some(id) => error.with_hint(format!(
            "the operation goes on with the server; attach again with `{}`",
            session.command(&format!("operations watch {id}"))
        )),
        None => error,
    }
}

#[cfg(test)]
mod tests {
    use switchback_client::v1::{
        CutoverForecast, CutoverReport, MigrateReport, OperationError, RestoreReport,
        RollbackReport, ValidateReport,
    };

    use super::*;

    fn followed(state: OperationState, reason: Option<&str>, matches: bool) -> Followed {
        let result = ResultEvent {
            state: state.into(),
            error: reason
                .map(|reason| OperationError { reason: reason.to_owned(), ..Default::default() }),
            report: Some(result_event::Report::Validate(ValidateReport {
                matches,
                ..Default::default()
            })),
        };
        Followed::new(result, Watched::new())
    }

    fn succeeded(report: result_event::Report) -> Followed {
        let state = OperationState::Succeeded.into();
        Followed::new(ResultEvent { state, error: None, report: Some(report) }, Watched::new())
    }

    #[test]
    fn a_no_go_is_a_precondition() {
        let cutover = |forecast| {
            let report = CutoverReport { forecast, ..Default::default() };
            succeeded(result_event::Report::Cutover(report)).exit()
        };
        let forecast = |go| Some(CutoverForecast { go, ..Default::default() });
        assert_eq!(cutover(forecast(true)), Exit::Done);
        assert_eq!(cutover(forecast(false)), Exit::Precondition);
        assert_eq!(cutover(None), Exit::Done);
        let report = RollbackReport { forecast: forecast(false), ..Default::default() };
        let rollback = succeeded(result_event::Report::Rollback(report));
        assert_eq!(rollback.exit(), Exit::Precondition);
    }

    #[test]
    fn restored_rows_that_differ_are_no_success() {
        let restored = |validation| {
            let report = RestoreReport { validation, ..Default::default() };
            succeeded(result_event::Report::Restore(report)).exit()
        };
        let compared = |matches| Some(ValidateReport { matches, ..Default::default() });
        assert_eq!(restored(None), Exit::Done);
        assert_eq!(restored(compared(true)), Exit::Done);
        assert_eq!(restored(compared(false)), Exit::Differs);
    }

    #[test]
    fn only_a_migration_without_a_cutover_follows_on() {
        let migrated = |cutover| {
            let report = MigrateReport { cutover, ..Default::default() };
            succeeded(result_event::Report::Migrate(report))
        };
        assert!(migrated(None).follows_on());
        assert!(!migrated(Some(CutoverReport::default())).follows_on());
        assert!(!followed(OperationState::Succeeded, None, true).follows_on());
        let mut failed = migrated(None);
        failed.outcome.error = Some(Error::new("CUTOVER_FAILED", "m"));
        assert!(!failed.follows_on());
    }

    #[test]
    fn the_exit_code_follows_the_result() {
        use OperationState::{Cancelled, Failed, Succeeded};
        for (followed, exit) in [
            (followed(Succeeded, None, true), Exit::Done),
            (followed(Succeeded, None, false), Exit::Differs),
            (followed(Failed, Some("DATA_DIFFERS"), false), Exit::Differs),
            (followed(Failed, Some("TARGET_UNREACHABLE"), true), Exit::Unreachable),
            (followed(Failed, None, true), Exit::Failed),
            (followed(Cancelled, None, true), Exit::Failed),
        ] {
            assert_eq!(followed.exit(), exit);
        }
    }
}
