//! A backup that is being made.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use super::{
    chunk::{ChunkId, ChunkRef, LARGEST, Sink},
    index,
    key::Key,
    known::{Claim, Flight, Known},
    manifest::Manifest,
    marks::{Mark, Marks, marks},
    names,
    repository::{Repository, check_names, is_unreadable, manifest_name},
    seal::{self, Kind},
};
use crate::{
    error::{Error, Reason, Result},
    failpoint,
    task::{blocking, cancelled},
};

/// Chunks that are in memory and on their way at once. A store answers after some tens of
/// milliseconds: eight requests keep a line of 1 Gbit/s busy with chunks of 1 MiB, and hold at most
/// 256 MiB where every chunk is as large as it may be.
const UPLOADS: usize = 8;

/// Chunks that are hashed or sealed at once. Two give some hundreds of MiB a second, more than most
/// stores take, and leave the other processors to the engines.
const SEALS: usize = 2;

/// Objects that are looked for at once.
const LOOKS: usize = 16;

/// What a mark of a backup says.
#[derive(Serialize, Deserialize)]
struct Running {
    database: String,
}

/// What went through a writer so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Chunks that were put, index chunks too.
    pub(crate) chunks: u64,
    /// Bytes of content.
    pub(crate) bytes_read: u64,
    /// Bytes of objects that were written, sealed as they are.
    pub(crate) bytes_uploaded: u64,
    /// Bytes of content that the store had already.
    pub(crate) bytes_deduplicated: u64,
}

#[derive(Debug, Default)]
struct Counters {
    chunks: AtomicU64,
    read: AtomicU64,
    uploaded: AtomicU64,
    deduplicated: AtomicU64,
}

/// Stores the chunks of one backup and then its manifest.
///
/// Where it is dropped without an end, as where the process dies, its mark stays until it is too
/// old, and the next backup of the database finds what it has stored.
#[derive(Debug)]
pub(crate) struct Writer {
    repository: Repository,
    database: String,
    backup: String,
    key: Key,
    mark: Arc<Mark>,
    renewing: AbortOnDropHandle<()>,
    /// Marks of this database that earlier backups have left.
    left: Vec<String>,
    known: Known,
    uploads: Semaphore,
    seals: Semaphore,
    counters: Counters,
    failure: OnceLock<Failure>,
    cancel: CancellationToken,
}

/// The first failure, for all who come later.
#[derive(Debug)]
struct Failure {
    reason: Reason,
    message: String,
    hint: String,
}

impl Repository {
    /// Begins a backup. Waits while somebody sweeps: `STORE_BUSY` after half an hour, `CANCELLED`
    /// when the token says so, which stops the writer later on too.
    pub(crate) async fn begin(
        &self,
        database: &str,
        backup: &str,
        cancel: &CancellationToken,
    ) -> Result<Writer> {
        check_names(database, backup)?;
        let running = serde_json::to_vec(&Running { database: database.into() });
        let running = running.map_err(|error| {
            Error::new(Reason::Internal, "cannot write a backup's mark").caused_by(error)
        })?;
        let name = format!("{}{backup}", names::RUNNING);
        // This server was stopped in the middle of the same backup.
        let was_begun = self.store.head(name.clone()).await?.is_some();
        let mark = Mark::write(Arc::clone(&self.store), name, running.into()).await?;
        let mark = Arc::new(mark);
        let renewing = mark.keep();
        let begun = async {
            self.wait_for_sweeps(&mark, cancel).await?;
            let (left, is_resumed) = self.unfinished(database, backup, &mark).await?;
            let known = self.known(database, is_resumed || was_begun).await?;
            Ok((left, known))
        };
        let (left, known) = match begun.await {
            Ok(begun) => begun,
            Err(error) => {
                let _ = mark.remove().await;
                return Err(error);
            }
        };
        Ok(Writer {
            repository: self.clone(),
            database: database.into(),
            backup: backup.into(),
            key: self.keys.first().clone(),
            mark,
            renewing,
            left,
            known: Known::new(known),
            uploads: Semaphore::new(UPLOADS),
            seals: Semaphore::new(SEALS),
            counters: Counters::default(),
            failure: OnceLock::new(),
            cancel: cancel.clone(),
        })
    }

    /// Returns when nobody sweeps and everybody who begins to sweep sees the mark: it is written
    /// before each look.
    async fn wait_for_sweeps(&self, mark: &Mark, cancel: &CancellationToken) -> Result<()> {
        let begun = Instant::now();
        loop {
            let now = mark.take().await?;
            let Marks { live, stale } = marks(&*self.store, names::SWEEPING, now).await?;
            // Whoever wakes up without its mark deletes nothing.
            let stale: Vec<String> = stale.into_iter().map(|mark| mark.key).collect();
            if !stale.is_empty() {
                self.store.delete(stale).await?;
            }
            if live.is_empty() {
                return Ok(());
            }
            if begun.elapsed() > self.pace.patience {
                let message = "somebody deletes chunks that no backup needs, and is not done";
                return Err(Error::new(Reason::StoreBusy, message).hint("try again later"));
            }
            tokio::select! {
                () = cancel.cancelled() => return Err(cancelled()),
                () = tokio::time::sleep(self.pace.look) => {}
            }
        }
    }

    /// Names of stale marks of a database, and whether it has marks other than `backup`'s.
    async fn unfinished(
        &self,
        database: &str,
        backup: &str,
        mark: &Mark,
    ) -> Result<(Vec<String>, bool)> {
        let own = format!("{}{backup}", names::RUNNING);
        let now = mark.renew().await?.now;
        let Marks { live, stale } = marks(&*self.store, names::RUNNING, now).await?;
        let mut of_database = Vec::new();
        let mut is_resumed = false;
        for (mark, is_stale) in
            live.into_iter().map(|mark| (mark, false)).chain(stale.into_iter().map(|m| (m, true)))
        {
            let Some(text) = self.store.get(mark.key.clone()).await? else { continue };
            let running: Option<Running> = serde_json::from_slice(&text).ok();
            if mark.key == own || running.is_none_or(|running| running.database != database) {
                continue;
            }
            is_resumed = true;
            if is_stale {
                of_database.push(mark.key);
            }
        }
        Ok((of_database, is_resumed))
    }
}

impl Sink for Writer {
    fn key(&self) -> Key {
        self.key.clone()
    }

    async fn put(&self, content: Vec<u8>) -> Result<ChunkRef> {
        let _permit = permit(&self.uploads).await?;
        self.check_going()?;
        let length = u32::try_from(content.len()).ok();
        let length = length.filter(|_| content.len() <= LARGEST).ok_or_else(|| {
            let message = format!("a chunk has more than {LARGEST} bytes");
            self.fail(Error::new(Reason::Internal, message).hint("report this as a defect"))
        })?;
        let content = Bytes::from(content);
        let id = {
            let (key, content) = (self.key.clone(), content.clone());
            self.work(move || Ok(key.chunk_id(&content))).await?
        };
        self.counters.chunks.fetch_add(1, Ordering::Relaxed);
        self.counters.read.fetch_add(length.into(), Ordering::Relaxed);
        loop {
            match self.known.claim(id) {
                Claim::Stored => {
                    self.counters.deduplicated.fetch_add(length.into(), Ordering::Relaxed);
                    break;
                }
                Claim::Flying(mut landing) => {
                    // Its end is the news.
                    let _ = landing.changed().await;
                    self.check_going()?;
                }
                Claim::Ours(flight) => {
                    self.upload(id, content, flight).await?;
                    break;
                }
            }
        }
        Ok(ChunkRef { id, length })
    }
}

impl Writer {
    /// What went through so far.
    pub(crate) fn counts(&self) -> Counts {
        let Counters { chunks, read, uploaded, deduplicated } = &self.counters;
        Counts {
            chunks: chunks.load(Ordering::Relaxed),
            bytes_read: read.load(Ordering::Relaxed),
            bytes_uploaded: uploaded.load(Ordering::Relaxed),
            bytes_deduplicated: deduplicated.load(Ordering::Relaxed),
        }
    }

    /// Stores a chunk that nobody else stores.
    async fn upload(&self, id: ChunkId, content: Bytes, flight: Flight<'_>) -> Result<()> {
        let key = self.key.clone();
        let seal = move || seal::seal(Kind::Chunk, &id.to_string(), &content, &key);
        let stored = async {
            let object = self.work(seal).await?;
            let bytes = u64::try_from(object.len()).unwrap_or(u64::MAX);
            let name = names::chunk(self.key.id(), id);
            self.repository.store.put(name, object.into()).await?;
            failpoint::hit("stored.after");
            Ok(bytes)
        };
        // Those who wait for this flight see the failure before its end.
        let bytes = stored.await.map_err(|error| self.fail(error))?;
        self.counters.uploaded.fetch_add(bytes, Ordering::Relaxed);
        flight.land();
        Ok(())
    }

    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let _permit = permit(&self.seals).await?;
        blocking(work).await
    }

    /// Remembers the first failure.
    fn fail(&self, error: Error) -> Error {
        self.failure.get_or_init(|| Failure {
            reason: error.reason(),
            message: error.message().into(),
            hint: error.hint_text().into(),
        });
        error
    }

    fn check_going(&self) -> Result<()> {
        if self.cancel.is_cancelled() {
            return Err(cancelled());
        }
        match self.failure.get() {
            Some(Failure { reason, message, hint }) => {
                Err(Error::new(*reason, message.clone()).hint(hint.clone()))
            }
            None => Ok(()),
        }
    }

    /// Writes the manifest: from then on the backup exists, with every chunk that it names.
    /// `STORE_BUSY` where this server stood still for so long that a sweep has deleted some.
    pub(crate) async fn finish(&self, manifest: &Manifest) -> Result<()> {
        self.check_going()?;
        let name = manifest_name(&manifest.database, &manifest.backup_id);
        if name != manifest_name(&self.database, &self.backup) {
            let message = format!("manifest {name} belongs to another backup");
            return Err(Error::new(Reason::Internal, message).hint("report this as a defect"));
        }
        let content = serde_json::to_vec(manifest).map_err(|error| {
            Error::new(Reason::Internal, format!("cannot write manifest {name}")).caused_by(error)
        })?;
        let key = self.key.clone();
        let object = self.work(move || seal::seal(Kind::Manifest, &name, &content, &key)).await?;
        self.hold(manifest).await?;
        let stored = names::manifest(&self.database, &self.backup);
        self.repository.store.put(stored.clone(), object.into()).await?;
        // The server may have stood still right before it was written.
        if let Err(error) = self.hold(manifest).await {
            let deleted = self.repository.store.delete(vec![stored]).await;
            deleted.map_err(|error| error.at("a manifest that may be wrong stays"))?;
            return Err(error);
        }
        self.end(self.left.clone()).await;
        Ok(())
    }

    /// Gives the backup up: nothing shows it, and its chunks go with the next sweep. To drop the
    /// writer instead keeps them for the next attempt.
    pub(crate) async fn abandon(&self) {
        self.end(Vec::new()).await;
    }

    /// The backup exists or never will; a mark that stays only makes sweeps wait.
    async fn end(&self, left: Vec<String>) {
        self.renewing.abort();
        let mut removed = self.mark.remove().await;
        if !left.is_empty() {
            removed = removed.and(self.repository.store.delete(left).await);
        }
        if let Err(error) = removed {
            tracing::warn!(backup = self.backup, %error, "cannot remove a mark in the store");
        }
    }

    /// Makes sure that no sweep has taken this backup for dead; where one may have, that every
    /// chunk is still there.
    async fn hold(&self, manifest: &Manifest) -> Result<()> {
        if self.mark.renew().await?.is_held {
            return Ok(());
        }
        // From here on a sweep sees the mark again, so what is there stays there.
        self.repository.wait_for_sweeps(&self.mark, &self.cancel).await?;
        let is_whole = match self.is_whole(manifest).await {
            Err(error) if is_unreadable(&error) => false,
            looked => looked?,
        };
        if is_whole && self.mark.renew().await?.is_held {
            return Ok(());
        }
        let message = "the server stood still while it made the backup, and chunks were deleted";
        Err(self.fail(Error::new(Reason::StoreBusy, message).hint("start the backup again")))
    }

    /// Whether every chunk is in the store.
    async fn is_whole(&self, manifest: &Manifest) -> Result<bool> {
        let mut batches = std::pin::pin!(index::batches(&self.repository, manifest));
        while let Some(batch) = batches.try_next().await? {
            let looks = stream::iter(batch).map(|chunk| {
                let name = names::chunk(self.key.id(), chunk.id);
                async move { Ok(self.repository.store.head(name).await?.is_some()) }
            });
            if !looks.buffer_unordered(LOOKS).try_all(async |is_there| is_there).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

async fn permit(of: &Semaphore) -> Result<tokio::sync::SemaphorePermit<'_>> {
    of.acquire().await.map_err(|error| {
        Error::new(Reason::Internal, "a backup's queue is closed").caused_by(error)
    })
}
