//! Pieces of a backup's content, which are named by what they hold.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::key::Key;
use crate::error::Result;

/// Bytes of content that a chunk aims at: a change costs so much, and a request to a store is worth
/// it.
pub(crate) const CHUNK: usize = 1 << 20;

/// No chunk has more: what is in memory at once is a few of them.
pub(crate) const LARGEST: usize = 16 << 20;

/// Name of a chunk: the hash of its content.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ChunkId(pub(crate) [u8; 32]);

/// A chunk as a list names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ChunkRef {
    pub(crate) id: ChunkId,
    /// Bytes of its content.
    pub(crate) length: u32,
}

/// Takes what a reader of an engine has read.
pub(crate) trait Sink: Send + Sync {
    /// The key that names contents, and encrypts them.
    fn key(&self) -> Key;

    /// The id that a content has here.
    fn id(&self, content: &[u8]) -> ChunkId {
        self.key().chunk_id(content)
    }

    /// Stores a content of at most [`LARGEST`] bytes, unless it is there already; returns when it
    /// is durable. May be called many times at once; it is the sink that holds callers back.
    fn put(&self, content: Vec<u8>) -> impl Future<Output = Result<ChunkRef>> + Send;
}

/// Gives stored content back.
pub(crate) trait Fetch: Send + Sync {
    /// The content, which is what the id says.
    fn get(&self, chunk: ChunkRef) -> impl Future<Output = Result<Vec<u8>>> + Send;
}

impl fmt::Display for ChunkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&blake3::Hash::from_bytes(self.0).to_hex())
    }
}

impl fmt::Debug for ChunkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for ChunkId {
    type Err = blake3::HexError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        blake3::Hash::from_hex(text).map(|hash| Self(*hash.as_bytes()))
    }
}

impl Serialize for ChunkId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ChunkId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}
