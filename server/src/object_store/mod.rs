//! Where backups are kept: an S3-compatible bucket or a directory, behind one interface.

mod fs;
mod s3;
mod url;

use std::{fmt, sync::Arc, time::SystemTime};

use bytes::Bytes;
use futures_util::future::BoxFuture;

pub use s3::{Access, Encryption, S3Options};
pub use url::StoreUrl;

use crate::error::{Error, Reason, Result};

/// Objects in a page of a list: what S3 gives at most.
const PAGE: usize = 1000;

/// Where a directory keeps what is being written; no object is called so.
const TEMPORARY: &str = ".tmp";

/// Longest name of an object in bytes: S3 has 1024, of which a prefix takes some.
const MAX_KEY: usize = 800;

/// Longest segment of a name in bytes: what a file may be called.
const MAX_SEGMENT: usize = 255;

/// An object as a store lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectInfo {
    /// Name below the store's own place.
    pub key: String,
    pub bytes: u64,
    /// When it was written, by the store's clock.
    pub modified: SystemTime,
}

/// A page of a list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    /// In the order of their names as bytes.
    pub objects: Vec<ObjectInfo>,
    /// There are more behind the last one.
    pub more: bool,
}

/// Objects with names. Names are segments of `A-Z a-z 0-9 - _ .`, joined by `/`, none of them `.`
/// or `..`, the first one not `.tmp`, and no name is what another one has before a `/`. Transient failures are tried again inside; what comes out is final, or
/// `STORE_UNREACHABLE` after a bounded time.
pub trait ObjectStore: fmt::Debug + Send + Sync {
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

/// The store at a place. Connects to nothing: what is wrong there shows at the first use.
pub fn open(url: &StoreUrl, options: &S3Options) -> Arc<dyn ObjectStore> {
    match url {
        StoreUrl::Directory { path, create } => {
            Arc::new(fs::DirectoryStore::new(path.clone(), *create))
        }
        StoreUrl::S3 { bucket, prefix } => {
            Arc::new(s3::S3Store::new(bucket.clone(), prefix.clone(), options.clone()))
        }
    }
}

/// Refuses a name that could leave the store's place, or that one kind of store cannot hold.
fn check_key(key: &str) -> Result<()> {
    if is_key(key) {
        return Ok(());
    }
    Err(Error::new(Reason::Internal, "the name of an object is not allowed")
        .hint("this is a defect in Switchback: please report it"))
}

/// Whether an object may be called so.
fn is_key(key: &str) -> bool {
    key.len() <= MAX_KEY
        && key.split('/').all(is_segment)
        && key.split('/').next() != Some(TEMPORARY)
}

/// Whether a part of a name between slashes may be called so.
fn is_segment(segment: &str) -> bool {
    !matches!(segment, "" | "." | "..")
        && segment.len() <= MAX_SEGMENT
        && segment.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_below_the_place() {
        for key in ["switchback-store", "chunks/plain/0a/0a1b", "backups/my.app_2/x-1/manifest"] {
            assert!(is_key(key), "{key}");
        }
        let long = "x".repeat(MAX_SEGMENT + 1);
        let deep = "x/".repeat(MAX_KEY / 2) + "x";
        for key in [
            "", "/", "/a", "a/", "a//b", ".", "..", "../a", "a/../b", "a/./b", "a b", "a\\b", "ä",
            "a\0", "a%2e", ".tmp/x", ".tmp", &long, &deep,
        ] {
            assert!(!is_key(key), "{key}");
        }
    }
}
