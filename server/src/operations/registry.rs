//! Starts operations, keeps track of those that run, and takes up those that a restart cut off.

use std::{
    collections::HashMap,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures_util::{Stream, StreamExt};
use switchback_proto::{
    v1::{Operation, OperationEvent, OperationState, Phase, StartedEvent},
    words::Word,
};
use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{Instrument, Span};
use uuid::Uuid;

use super::{
    ending::{Outcome, end, state_of},
    events::EventLog,
    places::{Place, Places, Turn, takes_place},
    request::Request,
    turn::in_turn,
    watch::events,
};
use crate::{
    access::audit,
    db::control::{ControlStore, NewOperation, StoredOperation},
    error::{Error, Reason, Result},
    shutdown::{Stop, stopping},
    telemetry::{metrics, spans},
};

/// Who starts operations by schedule, and those that belong to others.
const SERVER: &str = "switchbackd";

/// One run of an operation, by its driver.
#[derive(Debug, Clone)]
pub struct Run {
    /// The operation's id.
    pub id: String,
    /// The database's name.
    pub database: String,
    /// What is asked.
    pub request: Request,
    /// The resume record of an earlier run; empty for the first.
    pub journal: String,
    /// An earlier run has begun it.
    pub resumed: bool,
    /// Where to tell what happens.
    pub log: EventLog,
    /// Cancelled when the caller asks to stop.
    pub cancel: CancellationToken,
    /// Cancelled when the server stops: leave everything as it is.
    pub shutdown: CancellationToken,
}

/// What runs operations. The composition root gives one.
pub trait Driver: Send + Sync + 'static {
    /// Runs an operation to its end, from wherever an earlier run left it. `None` where the
    /// server's shutdown cut it off.
    fn run(&self, run: Run) -> Pin<Box<dyn Future<Output = Option<Outcome>> + Send + '_>>;
}

#[derive(Debug)]
struct Running {
    database: String,
    changes_data: bool,
    cancel: CancellationToken,
    announce: watch::Receiver<u64>,
    span: Span,
    /// Of its place, where it needs one.
    ticket: Option<u64>,
}

/// What is known of an operation that begins to run: nothing, the first time.
#[derive(Debug, Default)]
struct Resumed {
    /// Number of its newest event.
    last: u64,
    /// Where it was left.
    phase: Phase,
    cancel: CancellationToken,
    /// Who has started it; empty after a restart.
    caller: String,
}

/// Every operation of the server.
#[derive(Clone)]
pub struct Operations {
    store: ControlStore,
    driver: Arc<dyn Driver>,
    running: Arc<Mutex<HashMap<String, Running>>>,
    /// Held while an operation is admitted, so that two callers cannot both be the first.
    admission: Arc<tokio::sync::Mutex<()>>,
    places: Arc<Places>,
    tasks: TaskTracker,
    stop: Stop,
}

impl std::fmt::Debug for Operations {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Operations").field("running", &self.running).finish_non_exhaustive()
    }
}

impl Operations {
    /// Operations kept in a store and run by a driver until `stop`, at most so many long ones at
    /// once.
    pub fn new(store: ControlStore, driver: Arc<dyn Driver>, stop: Stop, most: usize) -> Self {
        Self {
            store,
            driver,
            running: Arc::default(),
            admission: Arc::default(),
            places: Arc::new(Places::new(most)),
            tasks: TaskTracker::new(),
            stop,
        }
    }

    /// The steps of the server's stop.
    pub fn stop(&self) -> Stop {
        self.stop.clone()
    }

    fn running(&self) -> MutexGuard<'_, HashMap<String, Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts an operation of the server's own.
    pub async fn start(&self, request: Request) -> Result<String> {
        self.start_for(SERVER, request).await
    }

    /// Starts an operation for a caller, or finds the one that the same request id has started
    /// before. Returns its id.
    pub async fn start_for(&self, caller: &str, request: Request) -> Result<String> {
        let _admitted = self.admission.lock().await;
        if self.stop.announced.is_cancelled() {
            return Err(stopping());
        }
        if !request.request_id().is_empty()
            && let Some(known) =
                self.store.by_request(request.database(), request.request_id()).await?
        {
            let id = attach(&known, &request)?;
            self.link(&id);
            return Ok(id);
        }
        if request.changes_data() {
            self.refuse_second(request.database()).await?;
        }
        let id = Uuid::now_v7().to_string();
        self.store.insert_operation(&recorded(&id, &request)?).await?;
        let first = Resumed { caller: caller.to_owned(), ..Resumed::default() };
        self.spawn(id.clone(), request, String::new(), first);
        Ok(id)
    }

    /// What counts is the store: whoever has read of an end there may begin the next operation, also
    /// where the one that has ended is not forgotten here yet.
    async fn refuse_second(&self, database: &str) -> Result<()> {
        let others: Vec<String> = (self.running().iter())
            .filter(|(_, running)| running.changes_data && running.database == database)
            .map(|(id, _)| id.clone())
            .collect();
        for id in others {
            let known = self.store.operation(&id).await?;
            if known.is_none_or(|known| known.state() == OperationState::Running) {
                return Err(Error::new(
                    Reason::OperationRunning,
                    format!("operation {id} is changing the database {database}"),
                )
                .hint(format!("watch it with `switchback operations watch {id}`, or cancel it"))
                .operation(&id));
            }
        }
        Ok(())
    }

    /// Takes up the operations that were running when the server last stopped.
    pub async fn resume(&self) -> Result<()> {
        for stored in self.store.unfinished().await? {
            let StoredOperation { operation, request, journal, cancel_requested } = stored;
            let id = operation.operation_id.clone();
            let request = Request::from_json(operation.kind(), &request)?;
            tracing::info!(operation_id = id, kind = operation.kind().word(), "resuming operation");
            let cancel = CancellationToken::new();
            if cancel_requested {
                cancel.cancel();
            }
            let (last, phase) = (operation.last_sequence, operation.phase());
            self.spawn(id, request, journal, Resumed { last, phase, cancel, ..Resumed::default() });
        }
        Ok(())
    }

    /// Takes up an operation that another server began, under its own id, in the phase and with the
    /// resume record that it has left.
    pub async fn adopt(
        &self,
        id: &str,
        request: Request,
        (phase, journal): (Phase, String),
    ) -> Result<()> {
        let _admitted = self.admission.lock().await;
        if self.running().contains_key(id) {
            return Ok(());
        }
        let known = self.store.operation(id).await?;
        if known.as_ref().is_some_and(|known| known.state() != OperationState::Running) {
            self.store.reopen_operation(id).await?;
        }
        if known.is_none() {
            self.store.insert_operation(&recorded(id, &request)?).await?;
        }
        // It may have to wait for its turn, and this server may stop meanwhile.
        self.store.checkpoint(id, phase, &journal).await?;
        let last = known.map_or(0, |known| known.last_sequence);
        self.spawn(id.to_owned(), request, journal, Resumed { last, phase, ..Resumed::default() });
        Ok(())
    }

    fn spawn(&self, id: String, request: Request, journal: String, resumed: Resumed) {
        let Resumed { last, phase, cancel, caller } = resumed;
        let place = takes_place(&request, phase).then(|| self.places.line_up());
        let (announce, newest) = watch::channel(last);
        let log = EventLog::start(self.store.clone(), id.clone(), last, announce);
        let database = request.database().to_owned();
        let kind = request.kind();
        let kind_word = kind.word();
        let span = tracing::info_span!(
            parent: None,
            "operation",
            operation_id = id,
            database,
            kind = kind_word,
            caller
        );
        spans::begin_operation(&span, kind);
        self.running().insert(
            id.clone(),
            Running {
                database: database.clone(),
                changes_data: request.changes_data(),
                cancel: cancel.clone(),
                announce: newest,
                span: span.clone(),
                ticket: place.as_ref().map(Place::ticket),
            },
        );
        if last == 0 {
            log.started(StartedEvent { database: database.clone(), kind: kind.into() });
        }
        let shutdown = self.stop.work.clone();
        let resumed = last > 0 || !journal.is_empty();
        let run = Run { id, database, request, journal, resumed, log, cancel, shutdown };
        let this = self.clone();
        self.tasks.spawn(async move { this.drive(run, place, &caller).await }.instrument(span));
    }

    async fn drive(&self, run: Run, place: Option<Place>, caller: &str) {
        let (id, log) = (run.id.clone(), run.log.clone());
        let (database, kind) = (run.database.clone(), run.request.kind());
        let mut place = place;
        let turn = match &mut place {
            Some(place) => place.turn(&run).await,
            None => Turn::Now,
        };
        // A task of its own: a defect in the driver ends this operation, not the server.
        let driver = Arc::clone(&self.driver);
        let work = tokio::spawn(in_turn(driver, run, turn).in_current_span());
        let outcome = work.await.unwrap_or_else(|panic| {
            tracing::error!(%panic, "the operation stopped on a defect");
            let error = Error::new(Reason::Internal, "the operation stopped on a defect")
                .hint("restart the server to let the operation go on, and report the defect")
                .caused_by(panic);
            Some(Outcome { report: None, error: Some(error) })
        });
        match outcome {
            None => log.flush().await,
            Some(outcome) => {
                let reason = outcome.error.as_ref().map(|error| error.reason().as_str());
                let state = state_of(&outcome);
                spans::ended(&Span::current(), &state.word(), reason);
                metrics::record_operation(&database, kind, state, reason.unwrap_or_default());
                audit::Ended {
                    operation_id: &id,
                    caller,
                    database: &database,
                    kind,
                    state,
                    reason: reason.unwrap_or_default(),
                }
                .write();
                end(&log, outcome).await;
            }
        }
        self.running().remove(&id);
        // Only now: the next one begins after the end of this one.
        drop(place);
    }

    /// Asks an operation to stop and to undo what it did.
    pub async fn cancel(&self, id: &str) -> Result<Operation> {
        let operation = self.get(id).await?;
        let running = self.running().get(id).map(|running| running.cancel.clone());
        let (OperationState::Running, Some(cancel)) = (operation.state(), running) else {
            return Err(Error::new(Reason::OperationEnded, format!("operation {id} has ended"))
                .hint("only a running operation can be cancelled"));
        };
        // First recorded, so that a restart does not go on with what was to stop.
        self.store.request_cancel(id).await?;
        cancel.cancel();
        Ok(operation)
    }

    /// An operation by its id.
    pub async fn get(&self, id: &str) -> Result<Operation> {
        let known = self.store.operation(id).await?.ok_or_else(|| {
            Error::new(Reason::UnknownOperation, format!("there is no operation {id:?}"))
                .hint("`switchback operations list` shows those there are")
        })?;
        Ok(self.queued(known))
    }

    /// With its place in the line.
    fn queued(&self, operation: Operation) -> Operation {
        let running = self.running();
        let ticket = running.get(&operation.operation_id).and_then(|running| running.ticket);
        let queued_behind = ticket.map_or(0, |ticket| self.places.behind(ticket));
        Operation { queued_behind, ..operation }
    }

    /// A page of operations, newest first.
    pub async fn list(&self, database: &str, before: &str, limit: u32) -> Result<Vec<Operation>> {
        let listed = self.store.list(database, before, limit).await?;
        Ok(listed.into_iter().map(|operation| self.queued(operation)).collect())
    }

    /// Events of an operation from a number on.
    pub async fn watch(
        &self,
        id: &str,
        from: u64,
    ) -> Result<impl Stream<Item = Result<OperationEvent>> + Send + use<>> {
        self.get(id).await?;
        let announce = self.running().get(id).map(|running| running.announce.clone());
        Ok(events(self.store.clone(), id.to_owned(), from, announce))
    }

    /// Waits for the end of an operation, or for the server's.
    pub(crate) async fn ended(&self, id: &str) {
        let Ok(events) = self.watch(id, 1).await else { return };
        let mut events = std::pin::pin!(events);
        while let Some(Ok(_)) = events.next().await {}
    }

    /// Has the call's span name that of an operation which it has not started.
    pub(crate) fn link(&self, id: &str) {
        let span = self.running().get(id).map(|running| running.span.clone());
        if let Some(span) = span {
            spans::attach(&span);
        }
    }

    /// Waits until every running operation has noticed the shutdown.
    pub async fn drained(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}

fn recorded(id: &str, request: &Request) -> Result<NewOperation> {
    Ok(NewOperation {
        id: id.to_owned(),
        database: request.database().to_owned(),
        kind: request.kind(),
        request_id: request.request_id().to_owned(),
        request: request.to_json()?,
    })
}

fn attach(known: &Operation, request: &Request) -> Result<String> {
    if known.kind() == request.kind() {
        return Ok(known.operation_id.clone());
    }
    Err(Error::new(
        Reason::InvalidRequest,
        format!(
            "request id {:?} belongs to a {} operation",
            request.request_id(),
            known.kind().word()
        ),
    )
    .hint("use a new request id for each request"))
}
