//! Marks: small objects that tell servers which share a store of each other. Each is written again
//! while its owner lives. Ages are differences of times that the store has given, so that no
//! server's clock matters, and none that stands still with its machine.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use futures_util::{Stream, TryStreamExt, stream};
use tokio::sync::Mutex;
use tokio_util::task::AbortOnDropHandle;

use crate::{
    error::{Error, Reason, Result},
    object_store::{ObjectInfo, ObjectStore},
};

/// A mark that is older belongs to somebody who has stopped, and a chunk that is younger may be
/// needed by a manifest that is about to be written. Thirty renewals: a store may be out of reach
/// for some minutes.
pub(super) const STALE: Duration = Duration::from_secs(15 * 60);

/// An owner does not trust its mark after so long without a renewal: well before others stop to
/// respect it.
const TRUSTED: Duration = Duration::from_secs(10 * 60);

/// Between two renewals.
const RENEWAL: Duration = Duration::from_secs(30);

/// One's own mark.
#[derive(Debug)]
pub(super) struct Mark {
    store: Arc<dyn ObjectStore>,
    name: String,
    body: Bytes,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// By the store's clock.
    written: SystemTime,
    /// Others may have taken the owner for dead since [`Mark::take`].
    is_lost: bool,
    is_removed: bool,
}

/// What a renewal shows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Renewed {
    /// Now, by the store's clock.
    pub(super) now: SystemTime,
    /// Since [`Mark::take`] the mark was there, and never too old.
    pub(super) is_held: bool,
}

impl Mark {
    /// Writes a mark.
    pub(super) async fn write(
        store: Arc<dyn ObjectStore>,
        name: String,
        body: Bytes,
    ) -> Result<Self> {
        let written = write(&*store, &name, &body).await?;
        let state = State { written, is_lost: false, is_removed: false };
        Ok(Self { store, name, body, state: Mutex::new(state) })
    }

    /// Writes it again and begins anew: what comes after this does not rest on what was before.
    pub(super) async fn take(&self) -> Result<SystemTime> {
        let mut state = self.state.lock().await;
        state.written = write(&*self.store, &self.name, &self.body).await?;
        state.is_lost = false;
        Ok(state.written)
    }

    /// Writes it again.
    pub(super) async fn renew(&self) -> Result<Renewed> {
        let mut state = self.state.lock().await;
        if state.is_removed {
            return Ok(Renewed { now: state.written, is_held: false });
        }
        // Somebody who removed it has deleted chunks; to write it again would hide that.
        let was_there = self.store.head(self.name.clone()).await?.is_some();
        state.is_lost |= !was_there;
        let now = write(&*self.store, &self.name, &self.body).await?;
        let age = now.duration_since(state.written).unwrap_or_default();
        state.is_lost |= age > TRUSTED;
        state.written = now;
        Ok(Renewed { now, is_held: !state.is_lost })
    }

    /// Keeps renewing it until the handle is dropped.
    pub(super) fn keep(self: &Arc<Self>) -> AbortOnDropHandle<()> {
        let mark = Arc::clone(self);
        AbortOnDropHandle::new(tokio::spawn(async move {
            loop {
                tokio::time::sleep(RENEWAL).await;
                if let Err(error) = mark.renew().await {
                    // The next renewal sees how long it was.
                    tracing::warn!(mark = mark.name, %error, "cannot renew a mark in the store");
                }
            }
        }))
    }

    /// Removes it for good: a renewal that comes later writes nothing.
    pub(super) async fn remove(&self) -> Result<()> {
        let mut state = self.state.lock().await;
        state.is_removed = true;
        self.store.delete(vec![self.name.clone()]).await
    }
}

/// Marks of one kind.
#[derive(Debug, Default)]
pub(super) struct Marks {
    /// Their owners live.
    pub(super) live: Vec<ObjectInfo>,
    /// Their owners have stopped.
    pub(super) stale: Vec<ObjectInfo>,
}

/// Marks whose names begin so, at a time of the store's clock.
pub(super) async fn marks(store: &dyn ObjectStore, prefix: &str, now: SystemTime) -> Result<Marks> {
    let objects: Vec<ObjectInfo> = pages(store, prefix.into()).try_concat().await?;
    let (stale, live) = objects.into_iter().partition(|mark| is_older(now, mark));
    Ok(Marks { live, stale })
}

/// Whether an object is too old to belong to anybody who is at work.
pub(super) fn is_older(now: SystemTime, object: &ObjectInfo) -> bool {
    now.duration_since(object.modified).is_ok_and(|age| age > STALE)
}

/// Objects whose names begin so, a page at a time.
pub(super) fn pages(
    store: &dyn ObjectStore,
    prefix: String,
) -> impl Stream<Item = Result<Vec<ObjectInfo>>> + Send {
    stream::try_unfold(Some(String::new()), move |after| {
        let prefix = prefix.clone();
        async move {
            let Some(after) = after else { return Ok(None) };
            let page = store.list(prefix, after).await?;
            let last = page.objects.last().filter(|_| page.more).map(|last| last.key.clone());
            Ok(Some((page.objects, last)))
        }
    })
}

async fn write(store: &dyn ObjectStore, name: &str, body: &Bytes) -> Result<SystemTime> {
    store.put(name.into(), body.clone()).await?;
    let written = store.head(name.into()).await?;
    written.map(|mark| mark.modified).ok_or_else(|| {
        let message = format!("{name} is gone from the store right after it was written");
        Error::new(Reason::StoreBusy, message).hint("see who else deletes objects there; try again")
    })
}
