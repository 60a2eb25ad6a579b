//! Where backups are kept: an S3-compatible bucket or a directory, behind one interface.

use std::{fmt, time::SystemTime};

use bytes::Bytes;
use futures_util::future::BoxFuture;

use crate::error::Result;

/// An object as a store lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ObjectInfo {
    /// Name below the store's own place.
    pub(crate) key: String,
    pub(crate) bytes: u64,
    /// When it was written, by the store's clock.
    pub(crate) modified: SystemTime,
}

/// A page of a list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Listing {
    /// In the order of their names as bytes.
    pub(crate) objects: Vec<ObjectInfo>,
    /// There are more behind the last one.
    pub(crate) more: bool,
}

/// Objects with names. Names are segments of `A-Z a-z 0-9 - _ .`, joined by `/`, none of them `.`
/// or `..`. Transient failures are tried again inside; what comes out is final, or
/// `STORE_UNREACHABLE` after a bounded time.
pub(crate) trait ObjectStore: fmt::Debug + Send + Sync {
    /// Writes an object, durable when it returns, in place of one with that name. Nobody sees a
    /// part of it.
    fn put(&self, key: String, body: Bytes) -> BoxFuture<'_, Result<()>>;

    /// Reads an object; `None` where there is none.
    fn get(&self, key: String) -> BoxFuture<'_, Result<Option<Bytes>>>;

    /// What is known of an object; `None` where there is none.
    fn head(&self, key: String) -> BoxFuture<'_, Result<Option<ObjectInfo>>>;

    /// Objects whose names begin so, behind the name `after` (empty for the first page).
    fn list(&self, prefix: String, after: String) -> BoxFuture<'_, Result<Listing>>;

    /// Deletes objects; one that is not there is deleted.
    fn delete(&self, keys: Vec<String>) -> BoxFuture<'_, Result<()>>;

    /// Removes what broken writes have left (temporary files, unfinished multipart uploads) that
    /// is older than `before` by the store's clock; how many it was.
    fn clean(&self, before: SystemTime) -> BoxFuture<'_, Result<u64>>;

    /// The place, without credentials.
    fn shown(&self) -> String;
}
