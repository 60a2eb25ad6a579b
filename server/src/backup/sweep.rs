//! Deletes backups, and the chunks that no backup needs any more.

use std::{collections::HashSet, sync::Arc, time::SystemTime};

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use tokio_util::sync::CancellationToken;

use super::{
    chunk::{ChunkId, ChunkRef},
    id::new_id,
    index,
    manifest::Manifest,
    marks::{self, Mark, Marks, STALE, is_older, marks},
    names::{self, Part},
    repository::{Repository, check_names, is_unreadable, unknown},
};
use crate::{
    error::{Error, Reason, Result},
    object_store::ObjectInfo,
    task::cancelled,
};

/// Index chunks that are read at once.
const READS: usize = 4;

/// What a sweep has removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Swept {
    pub(crate) chunks: u64,
    /// Bytes of these chunks in the store.
    pub(crate) bytes: u64,
    /// Marks and records that somebody has left, and what broken writes have.
    pub(crate) leftovers: u64,
}

/// What a deletion has done.
#[derive(Debug)]
pub(crate) struct Deleted {
    /// What was removed with the backup, or why its chunks are left for the next sweep:
    /// `STORE_BUSY` where another backup was running.
    pub(crate) swept: Result<Swept>,
}

/// Chunks that manifests name, by the first 8 bytes of their ids: at most 20 bytes of memory for
/// each, 200 MB for 10 TiB. Where two ids begin alike, one that nobody needs is kept.
#[derive(Debug, Default)]
struct Needed(HashSet<u64>);

impl Repository {
    /// Deletes a backup and then what only it has needed. A damaged one can be deleted too.
    pub(crate) async fn delete(
        &self,
        database: &str,
        backup: &str,
        cancel: &CancellationToken,
    ) -> Result<Deleted> {
        self.forget(database, backup).await?;
        Ok(Deleted { swept: self.sweep(cancel).await })
    }

    /// Makes that a backup does not exist any more; its chunks stay until somebody sweeps. For
    /// several backups, with one sweep after the last one.
    pub(crate) async fn forget(&self, database: &str, backup: &str) -> Result<()> {
        check_names(database, backup)?;
        let manifest = names::manifest(database, backup);
        if self.store.head(manifest.clone()).await?.is_none() {
            return Err(unknown(database, backup));
        }
        // The manifest first and for itself: a backup without it is none.
        self.store.delete(vec![manifest]).await?;
        self.store.delete(vec![names::verified(database, backup)]).await
    }

    /// Deletes chunks that no manifest of any database names and that are older than 15 minutes.
    /// `STORE_BUSY` where a backup runs, `BACKUP_DAMAGED`, `BACKUP_KEY` or `STORE_NEWER` where a
    /// manifest cannot be read: nothing is deleted then.
    pub(crate) async fn sweep(&self, cancel: &CancellationToken) -> Result<Swept> {
        let name = format!("{}{}", names::SWEEPING, new_id());
        let mark = Mark::write(Arc::clone(&self.store), name, Bytes::new()).await?;
        let mark = Arc::new(mark);
        let renewing = mark.keep();
        let swept = self.sweep_marked(&mark, cancel).await;
        if let Err(error) = mark.remove().await {
            tracing::warn!(%error, "cannot remove a mark in the store");
        }
        drop(renewing);
        swept
    }

    /// The mark is written before anybody looks for backups that run.
    async fn sweep_marked(&self, mark: &Mark, cancel: &CancellationToken) -> Result<Swept> {
        let now = mark.take().await?;
        let running = marks(&*self.store, names::RUNNING, now).await?;
        if !running.live.is_empty() {
            return Err(Error::new(Reason::StoreBusy, "a backup into the store is running")
                .hint("chunks that no backup needs are deleted by the next deletion after it"));
        }
        let Marks { stale: sweeping, .. } = marks(&*self.store, names::SWEEPING, now).await?;
        let (needed, records) = self.needed(cancel).await?;
        let mut swept = Swept::default();
        let mut pages = std::pin::pin!(marks::pages(&*self.store, names::CHUNKS.into()));
        while let Some(page) = pages.try_next().await? {
            // What is young may be of a backup that was taken for dead.
            let now = self.still_marked(mark, cancel).await?;
            let unneeded: Vec<&ObjectInfo> =
                page.iter().filter(|object| needed.lets_go(object, now)).collect();
            swept.bytes += unneeded.iter().map(|object| object.bytes).sum::<u64>();
            swept.chunks += self.remove(unneeded.iter().map(|chunk| chunk.key.clone())).await?;
        }
        let now = self.still_marked(mark, cancel).await?;
        let left = running.stale.into_iter().chain(sweeping).map(|mark| mark.key);
        swept.leftovers = self.remove(left.chain(records)).await?;
        swept.leftovers += self.store.clean(now.checked_sub(STALE).unwrap_or(now)).await?;
        Ok(swept)
    }

    /// Before each deletion: a backup that has begun since this sweep was taken for dead relies on
    /// chunks that no manifest names yet.
    async fn still_marked(&self, mark: &Mark, cancel: &CancellationToken) -> Result<SystemTime> {
        if cancel.is_cancelled() {
            return Err(cancelled());
        }
        let renewed = mark.renew().await?;
        if renewed.is_held {
            return Ok(renewed.now);
        }
        Err(Error::new(Reason::StoreBusy, "the server stood still while it deleted chunks")
            .hint("the next deletion of a backup deletes the rest"))
    }

    async fn remove(&self, names: impl Iterator<Item = String>) -> Result<u64> {
        let names: Vec<String> = names.collect();
        let removed = u64::try_from(names.len()).unwrap_or(u64::MAX);
        if removed > 0 {
            self.store.delete(names).await?;
        }
        Ok(removed)
    }

    /// What the manifests of all databases name, and the records of backups that are gone.
    async fn needed(&self, cancel: &CancellationToken) -> Result<(Needed, Vec<String>)> {
        let objects = marks::pages(&*self.store, names::BACKUPS.into());
        let objects: Vec<ObjectInfo> = objects.try_concat().await?;
        let mut needed = Needed::default();
        let (mut lists, mut backups) = (HashSet::new(), HashSet::new());
        for object in &objects {
            let Some((database, backup, Part::Manifest)) = names::part(&object.key) else {
                continue;
            };
            backups.insert((database, backup));
            if cancel.is_cancelled() {
                return Err(cancelled());
            }
            let read = async {
                // One that is gone was deleted meanwhile.
                match self.read_manifest(database, backup).await? {
                    Some((manifest, _)) => self.collect(&manifest, &mut lists, &mut needed).await,
                    None => Ok(()),
                }
            };
            read.await.map_err(|error| stopped(database, backup, error))?;
        }
        let is_left = |name: &str| match names::part(name) {
            Some((database, backup, Part::Verified)) => !backups.contains(&(database, backup)),
            _ => false,
        };
        let left = objects.iter().map(|object| object.key.clone()).filter(|name| is_left(name));
        Ok((needed, left.collect()))
    }

    /// Adds what one manifest names. Backups of data that barely changed share most lists: each is
    /// read once.
    async fn collect(
        &self,
        manifest: &Manifest,
        lists: &mut HashSet<ChunkId>,
        needed: &mut Needed,
    ) -> Result<()> {
        let index::Roots { chunks, mut index } = index::roots(manifest);
        needed.add(&chunks);
        needed.add(&index);
        index.retain(|chunk| lists.insert(chunk.id));
        let read = stream::iter(index).map(|chunk| index::read_one(self, chunk));
        let mut read = read.buffer_unordered(READS);
        while let Some(chunks) = read.try_next().await? {
            needed.add(&chunks);
        }
        Ok(())
    }
}

impl Needed {
    fn add(&mut self, chunks: &[ChunkRef]) {
        self.0.extend(chunks.iter().map(|chunk| start(chunk.id)));
    }

    /// Whether an object is a chunk that nobody needs. What is no chunk is left alone.
    fn lets_go(&self, object: &ObjectInfo, now: SystemTime) -> bool {
        let id = names::chunk_id(&object.key);
        id.is_some_and(|id| !self.0.contains(&start(id))) && is_older(now, object)
    }
}

fn start(id: ChunkId) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = id.0;
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}

fn stopped(database: &str, backup: &str, error: Error) -> Error {
    if !is_unreadable(&error) {
        return error;
    }
    let hint = match error.reason() {
        Reason::BackupDamaged => format!(
            "delete the backup {backup} of the database {database}, or restore the object: what \
             it needs is not known, so nothing is deleted"
        ),
        _ => error.hint_text().to_owned(),
    };
    Error::new(error.reason(), format!("chunks cannot be swept: {error}")).hint(hint)
}
