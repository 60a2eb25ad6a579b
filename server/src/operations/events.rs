//! The event log of one operation: numbered, stored, then announced.
//!
//! Watchers read the store, never the operation, so a slow one holds nothing up and memory stays
//! flat however many there are.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use switchback_proto::v1::{
    Finding, LagEvent, OperationError, OperationEvent, OperationState, PhaseEvent, ProgressEvent,
    ResultEvent, StartedEvent, WaitingEvent, operation_event, result_event,
};
use tokio::sync::{mpsc, oneshot, watch};

use crate::{
    clock,
    db::control::{ControlStore, End},
    error::{Error, Reason, Result},
};

/// One thing that an operation tells.
pub type Event = operation_event::Event;

/// Fast enough to look alive, slow enough that a day of progress stays small.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(250);

/// How often a full state directory is tried again.
const FULL: Duration = Duration::from_secs(1);

/// Events of one commit.
const BATCH: usize = 256;

/// So many samples more, and those that there are get fewer: a migration may be followed for
/// months, and whoever watches it has read them by then.
const THIN_AFTER: usize = 4096;

/// Where an operation writes its events.
#[derive(Debug, Clone)]
pub struct EventLog {
    sender: mpsc::UnboundedSender<Entry>,
    last_progress: Arc<Mutex<HashMap<String, Instant>>>,
    last_lag: Arc<Mutex<Option<(Instant, LagEvent)>>>,
}

enum Entry {
    Event(Box<Event>),
    /// Answers when everything before it is stored.
    Flush(oneshot::Sender<()>),
    End {
        result: Box<ResultEvent>,
        stored: oneshot::Sender<Result<()>>,
    },
}

impl EventLog {
    /// Starts the log of an operation after the event number `last`; `announce` holds the number
    /// of the newest stored event.
    pub(super) fn start(
        store: ControlStore,
        operation_id: String,
        last: u64,
        announce: watch::Sender<u64>,
    ) -> Self {
        // Unbounded on purpose: progress is limited by time and everything else by the schema.
        let (sender, receiver) = mpsc::unbounded_channel();
        // How many of them an earlier run left is not known.
        let samples = if last > 0 { THIN_AFTER } else { 0 };
        let writer = Writer { store, operation_id, last, announce, samples };
        tokio::spawn(writer.run(receiver));
        Self { sender, last_progress: Arc::default(), last_lag: Arc::default() }
    }

    /// A log that nobody reads, for work that is no operation.
    pub fn none() -> Self {
        let (sender, _) = mpsc::unbounded_channel();
        Self { sender, last_progress: Arc::default(), last_lag: Arc::default() }
    }

    /// Tells an event. Never waits, so it can be called from blocking threads.
    pub fn emit(&self, event: Event) {
        // A send can only fail after the end, when there is nobody left to tell.
        let _ = self.sender.send(Entry::Event(Box::new(event)));
    }

    /// Tells which operation this is.
    pub fn started(&self, event: StartedEvent) {
        self.emit(Event::Started(event));
    }

    /// Tells a new phase.
    pub fn phase(&self, phase: switchback_proto::v1::Phase) {
        self.emit(Event::Phase(PhaseEvent { phase: phase.into() }));
    }

    /// Tells a finding.
    pub fn finding(&self, finding: Finding) {
        self.emit(Event::Finding(finding));
    }

    /// Tells that the operation waits for an engine.
    pub fn waiting(&self, event: WaitingEvent) {
        self.emit(Event::Waiting(event));
    }

    /// Tells progress, unless the same table's was told a moment ago; a table's last one always
    /// passes.
    pub fn progress(&self, progress: ProgressEvent) {
        let done = progress.rows_total > 0 && progress.rows >= progress.rows_total;
        let mut times = self.last_progress.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        match times.get(&progress.table) {
            Some(last) if !done && now.duration_since(*last) < PROGRESS_INTERVAL => return,
            _ => times.insert(progress.table.clone(), now),
        };
        if done {
            times.remove(&progress.table);
        }
        drop(times);
        self.emit(Event::Progress(progress));
    }

    /// Tells the lag, unless it is the one told last or one was told a moment ago. To be called at
    /// every look at the change log, also where nothing was in it: only a later call tells what
    /// an earlier one was too early for.
    pub fn lag(&self, lag: LagEvent) {
        let mut last = self.last_lag.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if is_due(last.as_ref(), &lag, now) {
            *last = Some((now, lag));
            drop(last);
            self.emit(Event::Lag(lag));
        }
    }

    /// Waits until every event so far is stored.
    pub async fn flush(&self) {
        let (stored, wait) = oneshot::channel();
        if self.sender.send(Entry::Flush(stored)).is_ok() {
            let _ = wait.await;
        }
    }

    /// Ends the operation in the store with its result as the last event.
    pub(super) async fn end(
        &self,
        state: OperationState,
        error: Option<OperationError>,
        report: Option<result_event::Report>,
    ) -> Result<()> {
        let result = Box::new(ResultEvent { state: state.into(), error, report });
        let (stored, wait) = oneshot::channel();
        let gone = || Error::new(Reason::Internal, "the event log has ended already");
        self.sender.send(Entry::End { result, stored }).map_err(|_| gone())?;
        wait.await.map_err(|_| gone())?
    }
}

fn is_due(last: Option<&(Instant, LagEvent)>, lag: &LagEvent, now: Instant) -> bool {
    last.is_none_or(|(at, told)| told != lag && now.duration_since(*at) >= PROGRESS_INTERVAL)
}

struct Writer {
    store: ControlStore,
    operation_id: String,
    last: u64,
    announce: watch::Sender<u64>,
    /// Stored since they were thinned.
    samples: usize,
}

impl Writer {
    async fn run(mut self, mut receiver: mpsc::UnboundedReceiver<Entry>) {
        let mut entries = Vec::with_capacity(BATCH);
        while receiver.recv_many(&mut entries, BATCH).await > 0 {
            let mut events = Vec::with_capacity(entries.len());
            for entry in entries.drain(..) {
                match entry {
                    Entry::Event(event) => {
                        let transient = matches!(
                            *event,
                            Event::Progress(_) | Event::Lag(_) | Event::Waiting(_)
                        );
                        events.push((self.number(*event), transient));
                    }
                    Entry::Flush(stored) => {
                        self.store(&mut events).await;
                        let _ = stored.send(());
                    }
                    Entry::End { result, stored } => {
                        self.store(&mut events).await;
                        let _ = stored.send(self.end(*result).await);
                        return;
                    }
                }
            }
            self.store(&mut events).await;
        }
    }

    fn number(&mut self, event: Event) -> OperationEvent {
        self.last += 1;
        OperationEvent {
            operation_id: self.operation_id.clone(),
            sequence: self.last,
            time: Some(clock::now()),
            event: Some(event),
        }
    }

    /// Stores events; waits for space where the state directory is full.
    async fn store(&mut self, events: &mut Vec<(OperationEvent, bool)>) {
        if events.is_empty() {
            return;
        }
        while let Err(error) = self.store.append_events(&self.operation_id, events).await {
            // The work itself does not depend on its story.
            tracing::error!(operation_id = self.operation_id, %error, "events could not be stored");
            if error.reason() != Reason::StateFull {
                break;
            }
            tokio::time::sleep(FULL).await;
        }
        self.samples += events.iter().filter(|(_, transient)| *transient).count();
        events.clear();
        self.announce.send_replace(self.last);
        if self.samples >= THIN_AFTER {
            self.samples = 0;
            if let Err(error) = self.store.thin_events(&self.operation_id).await {
                tracing::warn!(operation_id = self.operation_id, %error, "events were not thinned");
            }
        }
    }

    async fn end(&mut self, result: ResultEvent) -> Result<()> {
        let state = result.state();
        let error = result.error.clone();
        let last = self.number(Event::Result(result));
        let id = &self.operation_id;
        let end = End { state, error: error.as_ref(), event: &last };
        while let Err(failed) = self.store.end_operation(id, end).await {
            if failed.reason() != Reason::StateFull {
                return Err(failed);
            }
            tracing::error!(operation_id = id, error = %failed, "the end could not be stored yet");
            tokio::time::sleep(FULL).await;
        }
        self.announce.send_replace(self.last);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lag_is_told_now_and_then_and_only_where_it_has_changed() {
        let lag = |lag_changes| LagEvent { lag_changes, lag_ms: 5 };
        let zero = Instant::now();
        let last = (zero, lag(1));
        assert!(is_due(None, &lag(0), zero));
        assert!(!is_due(Some(&last), &lag(2), zero + PROGRESS_INTERVAL / 2));
        assert!(is_due(Some(&last), &lag(2), zero + PROGRESS_INTERVAL));
        assert!(!is_due(Some(&last), &lag(1), zero + 9 * PROGRESS_INTERVAL));
    }
}
