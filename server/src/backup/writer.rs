//! A backup that is being made.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicU64, Ordering},
};

use bytes::Bytes;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use tracing::Instrument;

use super::{
    chunk::{ChunkId, ChunkRef, LARGEST, Sink},
    key::Key,
    known::{Claim, Flight, Known},
    marks::Mark,
    names,
    repository::Repository,
    seal::{self, Kind},
};
use crate::{
    error::{Error, Reason, Result},
    failpoint,
    task::{blocking, cancelled},
    telemetry::spans,
};

/// Chunks that are in memory and on their way at once. A store answers after some tens of
/// milliseconds: eight requests keep a line of 1 Gbit/s busy with chunks of 1 MiB, and hold at most
/// 256 MiB where every chunk is as large as it may be.
const UPLOADS: usize = 8;

/// Chunks that are hashed or sealed at once. Two give some hundreds of MiB a second, more than most
/// stores take, and leave the other processors to the engines.
const SEALS: usize = 2;

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
    pub(super) repository: Repository,
    pub(super) database: String,
    pub(super) backup: String,
    pub(super) key: Key,
    pub(super) mark: Arc<Mark>,
    pub(super) renewing: AbortOnDropHandle<()>,
    /// Marks of this database that earlier backups have left.
    pub(super) left: Vec<String>,
    pub(super) known: Known,
    pub(super) cancel: CancellationToken,
    pub(super) going: Going,
}

/// How far a writer is.
#[derive(Debug)]
pub(super) struct Going {
    uploads: Semaphore,
    seals: Semaphore,
    counters: Counters,
    failure: OnceLock<Failure>,
}

impl Default for Going {
    fn default() -> Self {
        let (uploads, seals) = (Semaphore::new(UPLOADS), Semaphore::new(SEALS));
        Self { uploads, seals, counters: Counters::default(), failure: OnceLock::new() }
    }
}

/// The first failure, for all who come later.
#[derive(Debug)]
struct Failure {
    reason: Reason,
    message: String,
    hint: String,
}

impl Sink for Writer {
    fn key(&self) -> Key {
        self.key.clone()
    }

    async fn put(&self, content: Vec<u8>) -> Result<ChunkRef> {
        let _permit = permit(&self.going.uploads).await?;
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
        self.going.counters.chunks.fetch_add(1, Ordering::Relaxed);
        self.going.counters.read.fetch_add(length.into(), Ordering::Relaxed);
        loop {
            match self.known.claim(id) {
                Claim::Stored => {
                    self.going.counters.deduplicated.fetch_add(length.into(), Ordering::Relaxed);
                    break;
                }
                Claim::Flying(mut landing) => {
                    // Its end is the news.
                    let _ = landing.changed().await;
                    self.check_going()?;
                }
                Claim::Ours(flight) => {
                    let span = spans::backup_chunk(length.into());
                    self.upload(id, content, flight).instrument(span).await?;
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
        let Counters { chunks, read, uploaded, deduplicated } = &self.going.counters;
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
        self.going.counters.uploaded.fetch_add(bytes, Ordering::Relaxed);
        flight.land();
        Ok(())
    }

    pub(super) async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let _permit = permit(&self.going.seals).await?;
        blocking(work).await
    }

    /// Remembers the first failure.
    pub(super) fn fail(&self, error: Error) -> Error {
        self.going.failure.get_or_init(|| Failure {
            reason: error.reason(),
            message: error.message().into(),
            hint: error.hint_text().into(),
        });
        error
    }

    pub(super) fn check_going(&self) -> Result<()> {
        if self.cancel.is_cancelled() {
            return Err(cancelled());
        }
        match self.going.failure.get() {
            Some(Failure { reason, message, hint }) => {
                Err(Error::new(*reason, message.clone()).hint(hint.clone()))
            }
            None => Ok(()),
        }
    }
}

async fn permit(of: &Semaphore) -> Result<SemaphorePermit<'_>> {
    of.acquire().await.map_err(|error| {
        Error::new(Reason::Internal, "a backup's queue is closed").caused_by(error)
    })
}
