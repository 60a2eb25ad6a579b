//! An operation as its caller sees it: a stream of events that a lost connection does not end,
//! and the typed report at its end.

use std::{
    fmt,
    marker::PhantomData,
    pin::Pin,
    task::{Context, Poll},
};

use switchback_proto::v1::{
    AbortReport, BackupReport, CutoverReport, FinalizeReport, MigrateReport, OperationError,
    OperationEvent, OperationState, PlanReport, RestoreReport, ResultEvent, RollbackReport,
    ValidateReport, VerifyBackupReport, operation_event::Event, result_event,
};
use tokio::sync::mpsc;
use tokio_stream::{Stream, StreamExt, wrappers::ReceiverStream};

use crate::{
    Error, Result,
    backoff::Backoff,
    call::{Call, EventStream},
    client::Client,
    error::CONNECTION_LOST,
};

/// Updates that wait for a slow reader before the server is made to wait.
const BUFFERED: usize = 64;

/// What a running operation tells.
#[derive(Debug, Clone, PartialEq)]
pub enum Update {
    /// The server's next event.
    Event(Box<OperationEvent>),
    /// The connection broke; attaching again is being tried.
    ConnectionLost(Error),
    /// Attached again.
    Reattached,
}

/// The report that an operation ends with.
pub trait Report: Sized {
    /// This report out of the result's; `None` where the result carries another one.
    fn from_result(report: result_event::Report) -> Option<Self>;
}

impl Report for result_event::Report {
    fn from_result(report: result_event::Report) -> Option<Self> {
        Some(report)
    }
}

macro_rules! report {
    ($($variant:ident, $name:ident;)*) => {$(
        impl Report for $name {
            fn from_result(report: result_event::Report) -> Option<Self> {
                match report {
                    result_event::Report::$variant(report) => Some(report),
                    _ => None,
                }
            }
        }
    )*};
}

report! {
    Plan, PlanReport;
    Migrate, MigrateReport;
    Validate, ValidateReport;
    Cutover, CutoverReport;
    Abort, AbortReport;
    Rollback, RollbackReport;
    Finalize, FinalizeReport;
    Backup, BackupReport;
    Restore, RestoreReport;
    VerifyBackup, VerifyBackupReport;
}

/// How an operation ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome<R> {
    /// Succeeded, failed or cancelled.
    pub state: OperationState,
    /// Why it did not succeed.
    pub error: Option<Error>,
    /// Absent where it ended before there was anything to report.
    pub report: Option<R>,
}

impl<R: Report> Outcome<R> {
    /// Reads the last event of an operation.
    pub fn from_result(result: ResultEvent) -> Self {
        let state = result.state();
        let error = match (result.error, state) {
            (Some(error), _) => Some(Error::from(error)),
            (None, OperationState::Succeeded) => None,
            (None, OperationState::Cancelled) => {
                Some(Error::new("CANCELLED", "the operation was cancelled"))
            }
            (None, _) => Some(Error::from(OperationError {
                reason: "INTERNAL".to_owned(),
                message: "the operation failed without a reason".to_owned(),
                hint: String::new(),
            })),
        };
        Self { state, error, report: result.report.and_then(R::from_result) }
    }
}

/// A running operation. Dropping it does not stop the operation on the server.
pub struct Operation<R> {
    updates: ReceiverStream<Result<Update>>,
    report: PhantomData<fn() -> R>,
}

impl<R> fmt::Debug for Operation<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Operation").finish_non_exhaustive()
    }
}

impl<R: Report> Operation<R> {
    pub(crate) fn attached(client: Client, call: Call, events: EventStream) -> Self {
        let (updates, receiver) = mpsc::channel(BUFFERED);
        let attachment = Attachment {
            backoff: Backoff::new(client.config().reattach_for),
            next: call.first_sequence(),
            operation_id: call.operation_id(),
            client,
            call,
            updates,
        };
        tokio::spawn(attachment.run(events));
        Self { updates: ReceiverStream::new(receiver), report: PhantomData }
    }

    /// Waits for the end. An operation that failed is an `Ok` with an error inside; an `Err` means
    /// that the end is not known.
    pub async fn outcome(mut self) -> Result<Outcome<R>> {
        while let Some(update) = self.next().await {
            if let Update::Event(event) = update?
                && let Some(Event::Result(result)) = event.event
            {
                return Ok(Outcome::from_result(result));
            }
        }
        Err(Error::new(CONNECTION_LOST, "the operation's events ended without a result"))
    }
}

impl<R> Stream for Operation<R> {
    type Item = Result<Update>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Pin::new(&mut self.updates).poll_next(context)
    }
}

/// Keeps one operation attached: reads its events and, when the connection breaks, goes on from
/// the event after the last one that was seen.
struct Attachment {
    client: Client,
    call: Call,
    backoff: Backoff,
    /// Next event wanted.
    next: u64,
    operation_id: Option<String>,
    updates: mpsc::Sender<Result<Update>>,
}

/// The caller has dropped its `Operation`, or has had its last update.
struct Detached;

impl Attachment {
    async fn run(mut self, mut events: EventStream) {
        loop {
            let Ok(lost) = self.forward(&mut events).await else { return };
            self.backoff.lost();
            if self.send(Ok(Update::ConnectionLost(lost.clone()))).await.is_err() {
                return;
            }
            events = match self.reattach(lost).await {
                Ok(events) => events,
                Err(error) => {
                    let _ = self.send(Err(self.named(error))).await;
                    return;
                }
            };
            if self.send(Ok(Update::Reattached)).await.is_err() {
                return;
            }
        }
    }

    /// Passes events on until the connection breaks.
    async fn forward(&mut self, events: &mut EventStream) -> Result<Error, Detached> {
        loop {
            let event = tokio::select! {
                event = events.next() => event,
                () = self.updates.closed() => return Err(Detached),
            };
            match event {
                Some(Ok(event)) => self.accept(event).await?,
                Some(Err(error)) if error.is_connection_lost() => return Ok(error),
                Some(Err(error)) => {
                    self.send(Err(self.named(error))).await?;
                    return Err(Detached);
                }
                None => return Ok(Error::new(CONNECTION_LOST, "the server closed the stream")),
            }
        }
    }

    async fn accept(&mut self, event: OperationEvent) -> Result<(), Detached> {
        if event.sequence < self.next {
            return Ok(());
        }
        self.next = event.sequence.saturating_add(1);
        self.operation_id.get_or_insert_with(|| event.operation_id.clone());
        self.backoff.progressed();
        let last = matches!(event.event, Some(Event::Result(_)));
        self.send(Ok(Update::Event(Box::new(event)))).await?;
        if last { Err(Detached) } else { Ok(()) }
    }

    async fn reattach(&mut self, mut lost: Error) -> Result<EventStream> {
        // Before its first event an operation has no id here; its request id finds it.
        let call = match &self.operation_id {
            Some(operation_id) => Call::watch(operation_id.clone(), self.next),
            None => self.call.clone(),
        };
        while self.backoff.wait().await && !self.updates.is_closed() {
            match self.client.open(&call).await {
                Ok(events) => {
                    self.backoff.attached();
                    return Ok(events);
                }
                Err(error) if error.is_connection_lost() => lost = error,
                Err(error) => return Err(error),
            }
        }
        Err(Error::new(CONNECTION_LOST, format!("the connection was lost: {}", lost.message()))
            .with_hint("the operation goes on with the server; attach again when it is back"))
    }

    async fn send(&self, update: Result<Update>) -> Result<(), Detached> {
        self.updates.send(update).await.map_err(|_| Detached)
    }

    fn named(&self, error: Error) -> Error {
        match &self.operation_id {
            Some(operation_id) => error.with_operation(operation_id.clone()),
            None => error,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_becomes_a_typed_outcome() {
        let outcome = Outcome::<PlanReport>::from_result(ResultEvent {
            state: OperationState::Succeeded.into(),
            error: None,
            report: Some(result_event::Report::Plan(PlanReport {
                seconds: 1.5,
                ..Default::default()
            })),
        });
        assert_eq!(outcome.state, OperationState::Succeeded);
        assert_eq!(outcome.error, None);
        assert_eq!(outcome.report.map(|report| report.seconds), Some(1.5));
    }

    #[test]
    fn a_report_of_another_kind_is_none() {
        let outcome = Outcome::<PlanReport>::from_result(ResultEvent {
            state: OperationState::Succeeded.into(),
            error: None,
            report: Some(result_event::Report::Validate(ValidateReport::default())),
        });
        assert_eq!(outcome.report, None);
    }

    #[test]
    fn an_end_without_success_always_has_an_error() {
        for (state, reason) in
            [(OperationState::Failed, "INTERNAL"), (OperationState::Cancelled, "CANCELLED")]
        {
            let result = ResultEvent { state: state.into(), error: None, report: None };
            let outcome = Outcome::<MigrateReport>::from_result(result);
            assert_eq!(outcome.error.as_ref().map(Error::reason), Some(reason));
        }
    }
}
