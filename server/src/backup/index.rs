//! Index chunks: lists of chunks, stored as chunks, so that a manifest stays small.

use futures_util::{Stream, StreamExt, stream};

use super::{
    chunk::{ChunkId, ChunkRef, Fetch, Sink},
    manifest::Manifest,
};
use crate::error::{Error, Reason, Result};

/// `SWBI` and the version, 4 bytes.
const HEADER: [u8; 8] = *b"SWBI\x01\0\0\0";

/// Bytes of an id and a length.
const ENTRY: usize = 36;

/// Chunks that one index chunk names: 288 KiB for 8 GiB of content.
pub(crate) const ENTRIES: usize = 8192;

/// Writes a list of chunks.
#[derive(Debug)]
pub(crate) struct IndexWriter<'s, S> {
    sink: &'s S,
    content: Vec<u8>,
    index: Vec<ChunkRef>,
}

impl<'s, S: Sink> IndexWriter<'s, S> {
    /// An empty list.
    pub(crate) fn new(sink: &'s S) -> Self {
        Self { sink, content: HEADER.into(), index: Vec::new() }
    }

    /// Appends a chunk; stores an index chunk whenever one is full.
    pub(crate) async fn push(&mut self, chunk: ChunkRef) -> Result<()> {
        self.content.extend_from_slice(&chunk.id.0);
        self.content.extend_from_slice(&chunk.length.to_le_bytes());
        if self.content.len() < HEADER.len() + ENTRIES * ENTRY {
            return Ok(());
        }
        self.flush().await
    }

    /// Stores the rest: the index chunks, which go into the manifest. None for an empty list.
    pub(crate) async fn finish(mut self) -> Result<Vec<ChunkRef>> {
        if self.content.len() > HEADER.len() {
            self.flush().await?;
        }
        Ok(self.index)
    }

    async fn flush(&mut self) -> Result<()> {
        let content = std::mem::replace(&mut self.content, HEADER.into());
        self.index.push(self.sink.put(content).await?);
        Ok(())
    }
}

/// Reads a list of chunks, one index chunk at a time: what is in memory is at most [`ENTRIES`].
pub(crate) fn read_index<'f, F: Fetch>(
    fetch: &'f F,
    index: &[ChunkRef],
) -> impl Stream<Item = Result<Vec<ChunkRef>>> + Send + use<'f, F> {
    stream::iter(index.to_vec()).then(move |chunk| read_one(fetch, chunk))
}

/// The chunks that one index chunk names.
pub(crate) async fn read_one<F: Fetch>(fetch: &F, chunk: ChunkRef) -> Result<Vec<ChunkRef>> {
    parse(&fetch.get(chunk).await?).ok_or_else(|| {
        let message = format!("chunk {} is not an index of chunks", chunk.id);
        Error::new(Reason::BackupDamaged, message).hint("restore another backup; delete this one")
    })
}

/// What a manifest names itself: chunks of content, and index chunks.
pub(crate) struct Roots {
    pub(crate) chunks: Vec<ChunkRef>,
    pub(crate) index: Vec<ChunkRef>,
}

/// Everything that a backup needs hangs on these.
pub(crate) fn roots(manifest: &Manifest) -> Roots {
    let sqlite = manifest.sqlite.iter().flat_map(|sqlite| &sqlite.index);
    let postgres = manifest.postgres.iter();
    let tables = postgres.clone().flat_map(|postgres| &postgres.tables);
    let dump = postgres.filter_map(|postgres| postgres.dump.as_ref());
    Roots {
        chunks: dump.flat_map(|dump| &dump.chunks).copied().collect(),
        index: sqlite.chain(tables.flat_map(|table| &table.index)).copied().collect(),
    }
}

/// Everything that a backup needs, in constant memory; a chunk may come more than once.
pub(crate) fn batches<'f, F: Fetch>(
    fetch: &'f F,
    manifest: &Manifest,
) -> impl Stream<Item = Result<Vec<ChunkRef>>> + Send + use<'f, F> {
    let Roots { chunks, index } = roots(manifest);
    let own = [chunks, index.clone()].concat();
    stream::iter([Ok(own)]).chain(read_index(fetch, &index))
}

fn parse(content: &[u8]) -> Option<Vec<ChunkRef>> {
    let (entries, rest) = content.strip_prefix(&HEADER)?.as_chunks::<ENTRY>();
    if !rest.is_empty() || entries.len() > ENTRIES {
        return None;
    }
    let entry = |entry: &[u8; ENTRY]| {
        let (id, length) = (entry.first_chunk()?, entry.last_chunk()?);
        Some(ChunkRef { id: ChunkId(*id), length: u32::from_le_bytes(*length) })
    };
    entries.iter().map(entry).collect()
}
