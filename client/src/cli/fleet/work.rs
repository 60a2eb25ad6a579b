//! The migration of one database, when it is its turn.

use std::{pin::Pin, sync::Arc};

use switchback_client::{
    Client, Error, Result, Update,
    v1::{Database, MigrateRequest, OperationEvent, operation_event::Event},
};
use tokio::sync::{Semaphore, mpsc};
use tokio_stream::{Stream, StreamExt};

use super::decide::{Decision, decide};

/// What is told of a database.
#[derive(Debug)]
pub(super) enum News {
    Skipped(&'static str),
    Event(Box<OperationEvent>),
    /// It could not be started, or its end is not known.
    Failed(Error),
}

/// One database.
pub(super) struct Work {
    pub(super) index: usize,
    pub(super) client: Client,
    pub(super) database: Database,
    pub(super) request: MigrateRequest,
}

type Updates = Pin<Box<dyn Stream<Item = Result<Update>> + Send>>;

impl Work {
    /// Waits for a place, then migrates. Whoever no longer listens ends the watching only.
    pub(super) async fn run(self, places: Arc<Semaphore>, news: mpsc::Sender<(usize, News)>) {
        let Ok(_place) = places.acquire().await else { return };
        let index = self.index;
        if let Err(error) = Box::pin(self.migrate(&news)).await {
            let _ = news.send((index, News::Failed(error))).await;
        }
    }

    async fn migrate(self, news: &mpsc::Sender<(usize, News)>) -> Result<()> {
        let Self { index, client, database, request } = self;
        // It may have waited for long.
        let database = client.database(database.name).await?;
        let newest = match database.operation_id.as_str() {
            "" => None,
            id => Some(client.operation(id).await?),
        };
        let mut updates: Updates = match decide(&database, newest.as_ref()) {
            Decision::Skip(why) => {
                let _ = news.send((index, News::Skipped(why))).await;
                return Ok(());
            }
            Decision::Attach(id) => Box::pin(client.watch_operation(id, 1).await?),
            Decision::Migrate => Box::pin(client.migrate(request).await?),
        };
        while let Some(update) = updates.next().await {
            let Update::Event(event) = update? else { continue };
            let is_last = matches!(event.event, Some(Event::Result(_)));
            if news.send((index, News::Event(event))).await.is_err() || is_last {
                return Ok(());
            }
        }
        Err(Error::new("INTERNAL", "the operation's events ended without a result"))
    }
}
