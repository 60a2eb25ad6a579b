//! Follows the active engine for as long as the program runs, whatever happens to the server.

use std::{io::Write, time::Duration};

use switchback_client::{Client, DatabaseUpdate, DatabaseWatch, Result, v1::Engine};
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};
use tokio_stream::StreamExt;

use super::decide::{Active, is_switching};

/// Between two attempts to watch a database that the server refuses to show.
const FIRST_DELAY: Duration = Duration::from_millis(200);
const LONGEST_DELAY: Duration = Duration::from_secs(5);
/// How long a switch that is under way may take to show after the program ended.
const PENDING: Duration = Duration::from_secs(2);

pub(super) struct Follower {
    client: Client,
    name: String,
    active: watch::Sender<Active>,
    news: watch::Receiver<Active>,
}

impl Follower {
    /// Asks for the active engine once, and follows it from there.
    pub(super) async fn begin(client: Client, name: String) -> Result<Self> {
        let database = client.database(&name).await?;
        let (active, news) = watch::channel(Active::of(&database));
        tokio::spawn(follow(client.clone(), name.clone(), active.clone()));
        Ok(Self { client, name, active, news })
    }

    pub(super) fn active(&self) -> Active {
        *self.news.borrow()
    }

    /// Resolves once another engine is active.
    pub(super) async fn switched(&mut self, from: Engine) -> Active {
        match self.news.wait_for(|active| active.engine != from).await {
            Ok(active) => *active,
            // This holds a sender.
            Err(_) => std::future::pending().await,
        }
    }

    /// Whether the engine was switched, there and back again perhaps, or is just being switched.
    pub(super) async fn was_switched(&mut self, from: Active) -> bool {
        let Ok(Ok(database)) = timeout(PENDING, self.client.database(&self.name)).await else {
            return self.active() != from;
        };
        accept(&self.active, Active::of(&database));
        let patience = if is_switching(database.phase()) { PENDING } else { Duration::ZERO };
        timeout(patience, self.news.wait_for(|active| *active != from)).await.is_ok()
    }
}

fn accept(active: &watch::Sender<Active>, news: Active) {
    active.send_if_modified(|known| {
        let newer = known.yields_to(news);
        if newer {
            *known = news;
        }
        newer
    });
}

async fn follow(client: Client, name: String, active: watch::Sender<Active>) {
    let mut delay = FIRST_DELAY;
    loop {
        let ended = match client.watch_database(&name).await {
            Ok(updates) => {
                delay = FIRST_DELAY;
                pass_on(updates, &active).await
            }
            Err(error) => Err(error),
        };
        if let (Err(error), FIRST_DELAY) = (ended, delay) {
            note(&format!("cannot follow the active engine: {error}; trying again"));
        }
        sleep(delay).await;
        delay = (delay * 2).min(LONGEST_DELAY);
    }
}

async fn pass_on(mut updates: DatabaseWatch, active: &watch::Sender<Active>) -> Result<()> {
    while let Some(update) = updates.next().await {
        match update? {
            DatabaseUpdate::State(database) => accept(active, Active::of(&database)),
            DatabaseUpdate::ConnectionLost(error) => {
                note(&format!("connection lost: {error}; the program goes on"));
            }
        }
    }
    Ok(())
}

/// Stdout is the program's.
pub(super) fn note(message: &str) {
    let _ = writeln!(std::io::stderr().lock(), "switchback: {message}");
}
