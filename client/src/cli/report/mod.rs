//! `report`: the story of an operation as one HTML page that needs nothing but itself.

mod axis;
mod chart;
mod history;
mod html;
mod page;
mod rates;
mod sections;
mod timeline;

use clap::Args as ArgsGroup;
use switchback_client::{
    Client, Error, Operation, Result, Update,
    exit::Exit,
    v1::{OperationEvent, operation_event::Event, result_event},
};
use tokio_stream::StreamExt;

use self::history::History;
use super::{Session, interrupt::Interrupt};

#[derive(Debug, ArgsGroup)]
pub(crate) struct ReportArgs {
    #[arg(value_name = "ID")]
    operation_id: String,
}

/// Writes the page to stdout, whatever `--output` says.
pub(crate) async fn run(session: &mut Session, args: ReportArgs) -> Result<Exit> {
    let client = session.connect().await?;
    let mut interrupt = Interrupt::install();
    let history = tokio::select! {
        history = read(&client, &args.operation_id) => history?,
        () = interrupt.wait() => return Ok(Exit::Interrupted),
    };
    session.output.text(&page::render(&history));
    Ok(Exit::Done)
}

/// Everything that is told of an operation by now.
async fn read(client: &Client, operation_id: &str) -> Result<History> {
    let operation = client.operation(operation_id).await?;
    let last = operation.last_sequence;
    let mut history = History::of(operation);
    let mut events: Operation<result_event::Report> =
        client.watch_operation(operation_id, 1).await?;
    while let Some(update) = events.next().await {
        let Update::Event(event) = update? else { continue };
        let is_last = event.sequence >= last || is_result(&event);
        history.take(*event);
        // One that runs goes on telling: the page is of now.
        if is_last {
            return Ok(history);
        }
    }
    Err(Error::new("INTERNAL", "the operation's events ended before its last one"))
}

fn is_result(event: &OperationEvent) -> bool {
    matches!(event.event, Some(Event::Result(_)))
}
