//! `operations`: lists, shows, watches and cancels.

use clap::Subcommand;
use serde::Serialize;
use switchback_client::{
    Error, Result,
    exit::Exit,
    v1::{Operation, OperationError, OperationKind, OperationState, Phase},
    words::word_of,
};

use super::{
    Session,
    follow::follow,
    output::{
        Grid,
        format::{between, seconds, short_time, time},
    },
};

#[derive(Debug, Subcommand)]
pub(crate) enum OperationsCommand {
    /// Newest first; of every database unless --database is given
    #[command(after_help = "Examples:\n  switchback operations list --limit 5")]
    List {
        /// At most this many
        #[arg(
            long,
            value_name = "N",
            default_value_t = 50,
            value_parser = clap::value_parser!(u32).range(1..)
        )]
        limit: u32,
    },
    /// One operation as it is now
    #[command(after_help = "Examples:\n  switchback operations show ID --output json")]
    Show {
        #[arg(value_name = "ID")]
        operation_id: String,
    },
    /// Follow an operation to its end; ends with the operation's own exit code
    #[command(after_help = "\
Examples:
  switchback operations watch ID
  switchback operations watch ID --from 120 --output json")]
    Watch {
        #[arg(value_name = "ID")]
        operation_id: String,
        /// First event wanted; all of them unless given
        #[arg(long, value_name = "N", default_value_t = 0)]
        from: u64,
    },
    /// Stop an operation and undo what it did
    #[command(after_help = "Examples:\n  switchback operations cancel ID --wait")]
    Cancel {
        #[arg(value_name = "ID")]
        operation_id: String,
        /// Wait until everything is undone
        #[arg(long)]
        wait: bool,
    },
}

pub(crate) async fn run(session: &mut Session, command: OperationsCommand) -> Result<Exit> {
    match command {
        OperationsCommand::List { limit } => {
            list(session, usize::try_from(limit).unwrap_or(usize::MAX)).await
        }
        OperationsCommand::Show { operation_id } => {
            let operation = session.connect().await?.operation(operation_id).await?;
            show(session, &operation);
            Ok(Exit::Done)
        }
        OperationsCommand::Watch { operation_id, from } => {
            let client = session.connect().await?;
            let followed = follow(session, "", client.watch_operation(operation_id, from)).await?;
            followed.print(session);
            Ok(followed.exit())
        }
        OperationsCommand::Cancel { operation_id, wait } => {
            cancel(session, operation_id, wait).await
        }
    }
}

/// The JSON object of an operation.
#[derive(Serialize)]
struct Record<'a> {
    operation_id: &'a str,
    database: &'a str,
    kind: String,
    state: String,
    phase: String,
    request_id: &'a str,
    created_at: String,
    ended_at: Option<String>,
    error: Option<&'a OperationError>,
    last_sequence: u64,
    queued_behind: u32,
}

impl<'a> Record<'a> {
    fn of(operation: &'a Operation) -> Self {
        Self {
            operation_id: &operation.operation_id,
            database: &operation.database,
            kind: word_of::<OperationKind>(operation.kind),
            state: word_of::<OperationState>(operation.state),
            phase: word_of::<Phase>(operation.phase),
            request_id: &operation.request_id,
            created_at: time(operation.created_at.as_ref()),
            ended_at: operation.ended_at.as_ref().map(|at| time(Some(at))),
            error: operation.error.as_ref(),
            last_sequence: operation.last_sequence,
            queued_behind: operation.queued_behind,
        }
    }

    /// The state in a word for people: one that waits for its turn does not run yet.
    fn shown_state(&self) -> &str {
        if self.queued_behind > 0 { "queued" } else { &self.state }
    }
}

async fn list(session: &mut Session, limit: usize) -> Result<Exit> {
    let client = session.connect().await?;
    let database = session.database.clone().unwrap_or_default();
    let operations = client.operations(&database, limit).await?;
    if session.output.is_json() {
        for operation in &operations {
            session.output.json(&Record::of(operation));
        }
        return Ok(Exit::Done);
    }
    if operations.is_empty() {
        session.output.note("no operations");
        return Ok(Exit::Done);
    }
    let heading =
        ["OPERATION", "KIND", "DATABASE", "STATE", "PHASE", "BEGAN (UTC)", "TOOK", "ERROR"];
    let mut grid = Grid::new(heading);
    for operation in &operations {
        let record = Record::of(operation);
        grid.row([
            record.operation_id,
            &record.kind,
            record.database,
            record.shown_state(),
            &record.phase,
            &short_time(operation.created_at.as_ref()),
            &took(operation),
            record.error.map_or("", |error| error.reason.as_str()),
        ]);
    }
    session.output.text(&grid.to_string());
    Ok(Exit::Done)
}

fn show(session: &mut Session, operation: &Operation) {
    let record = Record::of(operation);
    if session.output.is_json() {
        session.output.json(&record);
        return;
    }
    let mut grid = Grid::new(["OPERATION", record.operation_id]);
    grid.row(["database", record.database]);
    grid.row(["kind", &record.kind]);
    grid.row(["state", record.shown_state()]);
    if record.queued_behind > 0 {
        grid.row(["queued behind", &record.queued_behind.to_string()]);
    }
    grid.row(["phase", &record.phase]);
    grid.row(["began", &record.created_at]);
    if let Some(ended) = &record.ended_at {
        grid.row(["ended", ended]);
        grid.row(["took", &took(operation)]);
    }
    if !record.request_id.is_empty() {
        grid.row(["request id", record.request_id]);
    }
    grid.row(["last event", &record.last_sequence.to_string()]);
    if let Some(error) = record.error {
        grid.row(["error", &format!("{}: {}", error.reason, error.message)]);
        grid.row(["hint", &error.hint]);
    }
    session.output.text(&grid.to_string());
}

fn took(operation: &Operation) -> String {
    match (&operation.created_at, &operation.ended_at) {
        (Some(began), Some(ended)) => seconds(between(began, ended)),
        _ => String::new(),
    }
}

async fn cancel(session: &mut Session, operation_id: String, wait: bool) -> Result<Exit> {
    let client = session.connect().await?;
    let operation = client.cancel_operation(operation_id.clone()).await?;
    if !wait {
        if session.output.is_json() {
            session.output.json(&Record::of(&operation));
        } else {
            session.output.note(&format!(
                "operation {operation_id} is being cancelled; see its end with `{}`",
                session.command(&format!("operations watch {operation_id}"))
            ));
        }
        return Ok(Exit::Done);
    }
    // What has passed is of no interest here.
    let from = operation.last_sequence;
    let followed = follow(session, "", client.watch_operation(operation_id, from)).await?;
    match followed.outcome.state {
        OperationState::Cancelled => {
            let hint = followed.outcome.error.as_ref().map_or("", Error::hint);
            session.output.note(&format!("the operation was cancelled; {hint}"));
            Ok(Exit::Done)
        }
        OperationState::Succeeded => {
            let error = Error::new("OPERATION_ENDED", "the operation ended before the cancel");
            session.output.explain(&error);
            Ok(error.exit())
        }
        _ => {
            followed.explain(session);
            Ok(followed.exit())
        }
    }
}

#[cfg(test)]
mod tests {
    use prost_types::Timestamp;
    use serde_json::json;

    use super::*;

    #[test]
    fn the_json_object_of_an_operation() {
        let operation = Operation {
            operation_id: "op".to_owned(),
            database: "shop".to_owned(),
            kind: OperationKind::Migrate.into(),
            state: OperationState::Running.into(),
            phase: Phase::Copying.into(),
            request_id: "r".to_owned(),
            created_at: Some(Timestamp { seconds: 1_769_851_800, nanos: 0 }),
            ended_at: None,
            error: None,
            last_sequence: 12,
            queued_behind: 3,
        };
        assert_eq!(
            serde_json::to_value(Record::of(&operation)).unwrap(),
            json!({
                "operation_id": "op", "database": "shop", "kind": "migrate", "state": "running",
                "phase": "copying", "request_id": "r", "created_at": "2026-01-31T09:30:00Z",
                "ended_at": null, "error": null, "last_sequence": 12,
                "queued_behind": 3,
            })
        );
        assert_eq!(Record::of(&operation).shown_state(), "queued");
        assert_eq!(took(&operation), "");
        let ended = Operation {
            ended_at: Some(Timestamp { seconds: 1_769_851_802, nanos: 0 }),
            ..operation
        };
        assert_eq!(took(&ended), "2.00 s");
    }
}
