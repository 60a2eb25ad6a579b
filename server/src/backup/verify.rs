//! Reads a backup whole and says what is wrong with it.

use std::collections::HashSet;

use futures_util::{StreamExt, stream};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::{
    chunk::{ChunkId, ChunkRef, Fetch},
    index, names,
    repository::{Repository, check_names, is_unreadable, unknown},
};
use crate::{
    error::{Error, Reason, Result},
    task::cancelled,
};

/// Chunks that are read at once, as many as a backup writes.
const READS: usize = 8;

/// Problems that are told one by one: a person reads them.
const TOLD: usize = 20;

/// Damaged chunks that the record names: 64 KiB of ids.
const NAMED: usize = 1000;

/// What a verification leaves in the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Verified {
    /// RFC 3339.
    pub(crate) verified_at: String,
    /// Different chunks that were read, index chunks too.
    pub(crate) chunks: u64,
    /// How many of them are damaged: 0 for a whole backup.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) damaged_chunks: u64,
    /// The first ones of those.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) damaged: Vec<ChunkId>,
}

/// What a verification has found.
#[derive(Debug)]
pub(crate) struct Verification {
    pub(crate) verified: Verified,
    /// Bytes of content that were read.
    pub(crate) bytes: u64,
    /// What is wrong, at most 20 of them. Each message names its chunk.
    pub(crate) problems: Vec<Error>,
}

/// How far a verification is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Progress {
    pub(crate) chunks: u64,
    pub(crate) bytes: u64,
    /// Of content, in the whole backup; some of it may be the same.
    pub(crate) bytes_total: u64,
}

impl Verified {
    /// Every chunk was there and what it should be.
    pub(crate) fn is_whole(&self) -> bool {
        self.damaged_chunks == 0
    }

    /// All that is damaged is named.
    pub(super) fn names_all(&self) -> bool {
        u64::try_from(self.damaged.len()).is_ok_and(|named| named == self.damaged_chunks)
    }
}

/// One that is on its way.
struct Verifier<'r> {
    repository: &'r Repository,
    cancel: &'r CancellationToken,
    progress: &'r (dyn Fn(Progress) + Send + Sync),
    /// A chunk is read once, however often a backup has it.
    seen: HashSet<ChunkId>,
    so_far: Progress,
    damaged: Vec<ChunkId>,
    damaged_chunks: u64,
    problems: Vec<Error>,
}

impl Repository {
    /// Reads every chunk of a backup and leaves a record of that beside its manifest, which the
    /// next backup reads too: it stores again what is damaged. An error is what kept it from
    /// reading: a store out of reach, a manifest that cannot be read, cancellation.
    pub(crate) async fn verify(
        &self,
        database: &str,
        backup: &str,
        cancel: &CancellationToken,
        progress: &(dyn Fn(Progress) + Send + Sync),
    ) -> Result<Verification> {
        let manifest = self.manifest(database, backup).await?;
        let mut verifier = Verifier {
            repository: self,
            cancel,
            progress,
            seen: HashSet::new(),
            so_far: Progress { chunks: 0, bytes: 0, bytes_total: manifest.bytes },
            damaged: Vec::new(),
            damaged_chunks: 0,
            problems: Vec::new(),
        };
        let index::Roots { chunks, mut index } = index::roots(&manifest);
        let mut lists = HashSet::new();
        index.retain(|list| lists.insert(list.id));
        verifier.read(chunks).await?;
        for list in index {
            // What it lists is unknown where it is damaged; the others can be read.
            let chunks = index::read_one(self, list).await;
            let chunks = verifier.note(list, chunks)?.unwrap_or_default();
            verifier.read(chunks).await?;
        }
        let verification = Verification {
            verified: Verified {
                verified_at: Timestamp::now().to_string(),
                chunks: verifier.so_far.chunks,
                damaged_chunks: verifier.damaged_chunks,
                damaged: verifier.damaged,
            },
            bytes: verifier.so_far.bytes,
            problems: verifier.problems,
        };
        // Who deletes a backup that is being verified takes its chunks away.
        if self.store.head(names::manifest(database, backup)).await?.is_none() {
            return Err(unknown(database, backup));
        }
        let record = serde_json::to_vec(&verification.verified).map_err(|error| {
            Error::new(Reason::Internal, "cannot write a verification's record").caused_by(error)
        })?;
        self.store.put(names::verified(database, backup), record.into()).await?;
        Ok(verification)
    }

    /// What the last verification has left; `None` where there was none, or a newer version's
    /// record cannot be read.
    pub(super) async fn verified(&self, database: &str, backup: &str) -> Result<Option<Verified>> {
        check_names(database, backup)?;
        let record = self.store.get(names::verified(database, backup)).await?;
        Ok(record.and_then(|record| serde_json::from_slice(&record).ok()))
    }
}

impl Verifier<'_> {
    /// Reads chunks that were not read yet.
    async fn read(&mut self, mut chunks: Vec<ChunkRef>) -> Result<()> {
        chunks.retain(|chunk| self.seen.insert(chunk.id));
        let repository = self.repository;
        let reads = stream::iter(chunks)
            .map(|chunk| async move { (chunk, repository.get(chunk).await.map(drop)) });
        let mut reads = reads.buffer_unordered(READS);
        while let Some((chunk, read)) = reads.next().await {
            self.note(chunk, read)?;
        }
        Ok(())
    }

    /// Counts a chunk that was read and keeps what is wrong with it; an error that is about
    /// something else comes back.
    fn note<T>(&mut self, chunk: ChunkRef, read: Result<T>) -> Result<Option<T>> {
        if self.cancel.is_cancelled() {
            return Err(cancelled());
        }
        let read = match read {
            Err(error) if !is_unreadable(&error) => return Err(error),
            Err(error) => {
                self.damaged_chunks += 1;
                if self.damaged.len() < NAMED {
                    self.damaged.push(chunk.id);
                }
                if self.problems.len() < TOLD {
                    self.problems.push(error);
                }
                None
            }
            Ok(read) => Some(read),
        };
        self.so_far.chunks += 1;
        self.so_far.bytes += u64::from(chunk.length);
        (self.progress)(self.so_far);
        Ok(read)
    }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}
