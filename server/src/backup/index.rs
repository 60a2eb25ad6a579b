//! Lists of chunks, which are chunks themselves: a manifest stays small.

use super::chunk::{ChunkId, ChunkRef, Fetch, Sink};
use crate::error::{Error, Reason, Result};

/// Chunks that an index chunk names at most.
const ENTRIES: usize = 8192;

/// `SWBI` and the version, 1.
const HEAD: [u8; 8] = *b"SWBI\x01\0\0\0";

/// Bytes of an entry: an id and a length.
const ENTRY: usize = 36;

/// Writes a list of chunks in constant memory.
pub(crate) struct IndexWriter<'a, S> {
    sink: &'a S,
    content: Vec<u8>,
    written: Vec<ChunkRef>,
}

impl<'a, S: Sink> IndexWriter<'a, S> {
    pub(crate) fn new(sink: &'a S) -> Self {
        Self { sink, content: Vec::new(), written: Vec::new() }
    }

    /// Adds a chunk to the list.
    pub(crate) async fn push(&mut self, chunk: ChunkRef) -> Result<()> {
        if self.content.is_empty() {
            self.content.extend_from_slice(&HEAD);
        }
        self.content.extend_from_slice(&chunk.id.0);
        self.content.extend_from_slice(&chunk.length.to_le_bytes());
        if self.content.len() == HEAD.len() + ENTRIES * ENTRY { self.write().await } else { Ok(()) }
    }

    /// The index chunks, in order; none for an empty list.
    pub(crate) async fn finish(mut self) -> Result<Vec<ChunkRef>> {
        if !self.content.is_empty() {
            self.write().await?;
        }
        Ok(self.written)
    }

    async fn write(&mut self) -> Result<()> {
        let content = std::mem::take(&mut self.content);
        self.written.push(self.sink.put(content).await?);
        Ok(())
    }
}

/// The chunks that an index chunk names.
pub(crate) async fn read_one(fetch: &impl Fetch, index: ChunkRef) -> Result<Vec<ChunkRef>> {
    entries(&fetch.get(index).await?)
}

fn entries(content: &[u8]) -> Result<Vec<ChunkRef>> {
    let body = content.strip_prefix(&HEAD).filter(|body| body.len().is_multiple_of(ENTRY));
    let body = body.ok_or_else(|| {
        Error::new(Reason::BackupDamaged, "an index chunk of the backup is not one")
            .hint("verify the backup, and use another one")
    })?;
    let entry = |bytes: &[u8]| {
        let mut id = [0; 32];
        id.copy_from_slice(&bytes[..32]);
        let length = u32::from_le_bytes([bytes[32], bytes[33], bytes[34], bytes[35]]);
        ChunkRef { id: ChunkId(id), length }
    };
    Ok(body.chunks_exact(ENTRY).map(entry).collect())
}
