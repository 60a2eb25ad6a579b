//! The state of a database as a stream that a lost connection does not end.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use switchback_proto::v1::{Database, WatchDatabaseRequest, WatchDatabaseResponse};
use tokio::sync::mpsc;
use tokio_stream::{Stream, StreamExt, wrappers::ReceiverStream};
use tonic::Streaming;

use crate::{Client, Error, Result, backoff::Backoff, error::CONNECTION_LOST};

/// States that wait for a slow reader.
const BUFFERED: usize = 16;

/// What a watched database tells.
#[derive(Debug, Clone, PartialEq)]
pub enum DatabaseUpdate {
    /// Its state, different from the one before.
    State(Box<Database>),
    /// The connection broke; it is being tried again.
    ConnectionLost(Error),
}

/// The present state of a database, then every change of it.
pub struct DatabaseWatch {
    updates: ReceiverStream<Result<DatabaseUpdate>>,
}

impl fmt::Debug for DatabaseWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DatabaseWatch").finish_non_exhaustive()
    }
}

impl DatabaseWatch {
    pub(crate) async fn attached(client: Client, name: String) -> Result<Self> {
        let states = open(&client, &name).await?;
        let (updates, receiver) = mpsc::channel(BUFFERED);
        let backoff = Backoff::new(client.config().reattach_for);
        let watcher = Watcher { client, name, last: None, backoff, updates };
        tokio::spawn(watcher.run(states));
        Ok(Self { updates: ReceiverStream::new(receiver) })
    }
}

impl Stream for DatabaseWatch {
    type Item = Result<DatabaseUpdate>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Pin::new(&mut self.updates).poll_next(context)
    }
}

async fn open(client: &Client, name: &str) -> Result<Streaming<WatchDatabaseResponse>> {
    let request = WatchDatabaseRequest { database: name.to_owned() };
    client.unary(client.database_service().watch_database(request)).await
}

struct Watcher {
    client: Client,
    name: String,
    last: Option<Database>,
    backoff: Backoff,
    updates: mpsc::Sender<Result<DatabaseUpdate>>,
}

impl Watcher {
    async fn run(mut self, mut states: Streaming<WatchDatabaseResponse>) {
        while let Some(lost) = self.forward(&mut states).await {
            self.backoff.lost();
            if self.updates.send(Ok(DatabaseUpdate::ConnectionLost(lost.clone()))).await.is_err() {
                return;
            }
            states = match self.reopen(lost).await {
                Ok(states) => states,
                Err(error) => {
                    let _ = self.updates.send(Err(error)).await;
                    return;
                }
            };
        }
    }

    /// Passes states on until the connection breaks; `None` where nobody listens any more or the
    /// watch has ended with an error.
    async fn forward(&mut self, states: &mut Streaming<WatchDatabaseResponse>) -> Option<Error> {
        loop {
            let state = tokio::select! {
                state = states.next() => state,
                () = self.updates.closed() => return None,
            };
            let error = match state {
                Some(Ok(response)) => {
                    self.backoff.progressed();
                    let Some(database) = response.database else { continue };
                    self.accept(database).await?;
                    continue;
                }
                Some(Err(status)) => Error::from_status(&status),
                None => return Some(Error::new(CONNECTION_LOST, "the server closed the stream")),
            };
            if error.is_connection_lost() {
                return Some(error);
            }
            let _ = self.updates.send(Err(error)).await;
            return None;
        }
    }

    /// The server repeats the present state when a watch begins again.
    async fn accept(&mut self, database: Database) -> Option<()> {
        if self.last.as_ref() == Some(&database) {
            return Some(());
        }
        self.last = Some(database.clone());
        self.updates.send(Ok(DatabaseUpdate::State(Box::new(database)))).await.ok()
    }

    async fn reopen(&mut self, mut lost: Error) -> Result<Streaming<WatchDatabaseResponse>> {
        while self.backoff.wait().await && !self.updates.is_closed() {
            match open(&self.client, &self.name).await {
                Ok(states) => {
                    self.backoff.attached();
                    return Ok(states);
                }
                Err(error) if error.is_connection_lost() => lost = error,
                Err(error) => return Err(error),
            }
        }
        Err(Error::new(CONNECTION_LOST, format!("the connection was lost: {}", lost.message())))
    }
}
