//! A bucket of an S3-compatible store.

mod connect;
mod delete;
mod failure;
mod multipart;
mod put;

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, SystemTime},
};

use aws_sdk_s3::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
    operation::{
        get_object::GetObjectOutput,
        head_object::{HeadObjectError, HeadObjectOutput},
    },
    primitives::DateTime,
};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::sync::{OnceCell, Semaphore, SemaphorePermit};

pub use connect::{Access, Encryption, S3Options};

use self::failure::{is_missing_bucket, is_missing_object, refused_or_unreachable, unreachable};
use super::{Listing, ObjectInfo, ObjectStore, StoreUrl, check_key, is_key};
use crate::error::Result;

/// Requests on their way at once: enough to hide a store's latency, few enough for a small one.
const REQUESTS: usize = 16;

/// Reads of a body that ends early, before it counts as unreachable. The SDK tries requests again,
/// not the bodies of answers.
const READ_ATTEMPTS: u32 = 5;

/// Between two reads; doubled each time.
const READ_PAUSE: Duration = Duration::from_millis(200);

/// A bucket, or what is below a prefix in it.
#[derive(Debug)]
pub(super) struct S3Store {
    bucket: String,
    prefix: String,
    options: S3Options,
    client: OnceCell<Client>,
    requests: Semaphore,
    /// The bucket has been seen: a HEAD says of a missing one what it says of a missing object.
    seen: AtomicBool,
    /// It does not take DeleteObjects.
    deletes_singly: AtomicBool,
}

impl S3Store {
    /// A store that connects at its first use.
    pub(super) fn new(bucket: String, prefix: String, options: S3Options) -> Self {
        Self {
            bucket,
            prefix,
            options,
            client: OnceCell::new(),
            requests: Semaphore::new(REQUESTS),
            seen: AtomicBool::new(false),
            deletes_singly: AtomicBool::new(false),
        }
    }

    async fn client(&self) -> Result<&Client> {
        let place = self.place();
        self.client.get_or_try_init(|| connect::client(&self.options, &place)).await
    }

    /// Waits until another request may be made; it is over when the permit is dropped.
    async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        // Never closed.
        self.requests.acquire().await.ok()
    }

    /// Name in the bucket of an object.
    fn full(&self, key: &str) -> String {
        if self.prefix.is_empty() { key.into() } else { format!("{}/{key}", self.prefix) }
    }

    /// Name of an object from the one in the bucket; `None` for what is not ours.
    fn own<'a>(&self, full: &'a str) -> Option<&'a str> {
        let key = if self.prefix.is_empty() {
            full
        } else {
            full.strip_prefix(&self.prefix)?.strip_prefix('/')?
        };
        is_key(key).then_some(key)
    }

    fn place(&self) -> String {
        StoreUrl::S3 { bucket: self.bucket.clone(), prefix: self.prefix.clone() }.shown()
    }

    fn failed<E>(&self, action: &str, error: &SdkError<E>) -> crate::error::Error
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        refused_or_unreachable(action, &self.place(), error)
    }

    fn note_bucket(&self) {
        self.seen.store(true, Ordering::Relaxed);
    }

    async fn get_now(&self, key: &str) -> Result<Option<Bytes>> {
        check_key(key)?;
        let client = self.client().await?;
        let mut pause = READ_PAUSE;
        for attempt in 1.. {
            let _turn = self.turn().await;
            let request = client.get_object().bucket(&self.bucket).key(self.full(key));
            let answer = match request.send().await {
                Ok(answer) => answer,
                Err(error) if is_missing_object(&error) => return Ok(None),
                Err(error) => return Err(self.failed("read an object from", &error)),
            };
            match body(answer).await {
                Ok(content) => return Ok(Some(content)),
                Err(why) if attempt < READ_ATTEMPTS => {
                    tracing::debug!(attempt, why, "an object came incomplete");
                }
                Err(why) => return Err(unreachable("read an object from", &self.place(), &why)),
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
        Ok(None)
    }

    async fn head_now(&self, key: &str) -> Result<Option<ObjectInfo>> {
        check_key(key)?;
        let client = self.client().await?;
        match self.ask(client, key).await {
            Ok(answer) => {
                self.note_bucket();
                let bytes = size(answer.content_length());
                let modified = time(answer.last_modified());
                Ok(Some(ObjectInfo { key: key.into(), bytes, modified }))
            }
            Err(error) if is_missing_object(&error) => {
                self.check_bucket(client).await?;
                Ok(None)
            }
            Err(error) => Err(self.failed("look for an object in", &error)),
        }
    }

    /// Asks for what is known of an object. A HEAD that is refused has no code that says why; if it
    /// was the clock, the SDK has learned the store's from the answer and the second one passes.
    async fn ask(
        &self,
        client: &Client,
        key: &str,
    ) -> Result<HeadObjectOutput, SdkError<HeadObjectError>> {
        let _turn = self.turn().await;
        let request = client.head_object().bucket(&self.bucket).key(self.full(key));
        match request.clone().send().await {
            Err(error) if failure::is_forbidden(&error) => request.send().await,
            answer => answer,
        }
    }

    async fn check_bucket(&self, client: &Client) -> Result<()> {
        if self.seen.load(Ordering::Relaxed) {
            return Ok(());
        }
        match client.head_bucket().bucket(&self.bucket).send().await {
            Ok(_) => self.note_bucket(),
            Err(error) if is_missing_bucket(&error) => {
                return Err(failure::no_bucket(&self.place()));
            }
            // Who may read objects need not be allowed to look at the bucket.
            Err(error) => tracing::debug!(why = failure::told(&error), "the bucket does not tell"),
        }
        Ok(())
    }

    async fn list_now(&self, prefix: &str, after: &str) -> Result<Listing> {
        let client = self.client().await?;
        let mut after = if after.is_empty() { String::new() } else { self.full(after) };
        loop {
            let _turn = self.turn().await;
            let request = client.list_objects_v2().bucket(&self.bucket);
            let request = request.prefix(self.full(prefix));
            let request = request.set_start_after(Some(after).filter(|after| !after.is_empty()));
            let answer = request.send().await.map_err(|error| self.failed("list", &error))?;
            self.note_bucket();
            let found = answer.contents();
            let objects: Vec<ObjectInfo> = found
                .iter()
                .filter_map(|object| {
                    let key = self.own(object.key()?)?.to_owned();
                    let (bytes, modified) = (size(object.size()), time(object.last_modified()));
                    Some(ObjectInfo { key, bytes, modified })
                })
                .collect();
            let last = found.last().and_then(|object| object.key());
            let more = answer.is_truncated().unwrap_or(false);
            match last {
                // A page of names that are not ours: the caller could not say where to go on.
                Some(last) if objects.is_empty() && more => after = last.to_owned(),
                _ => return Ok(Listing { objects, more: more && last.is_some() }),
            }
        }
    }
}

impl ObjectStore for S3Store {
    fn put(&self, key: String, body: Bytes) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move { self.put_now(&key, body).await })
    }

    fn get(&self, key: String) -> BoxFuture<'_, Result<Option<Bytes>>> {
        Box::pin(async move { self.get_now(&key).await })
    }

    fn head(&self, key: String) -> BoxFuture<'_, Result<Option<ObjectInfo>>> {
        Box::pin(async move { self.head_now(&key).await })
    }

    fn list(&self, prefix: String, after: String) -> BoxFuture<'_, Result<Listing>> {
        Box::pin(async move { self.list_now(&prefix, &after).await })
    }

    fn delete(&self, keys: Vec<String>) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move { self.delete_now(&keys).await })
    }

    fn clean(&self, before: SystemTime) -> BoxFuture<'_, Result<u64>> {
        Box::pin(async move { self.clean_now(before).await })
    }

    fn shown(&self) -> String {
        self.place()
    }
}

/// The whole body of an answer, or why it is not whole.
async fn body(answer: GetObjectOutput) -> Result<Bytes, String> {
    let announced = size(answer.content_length());
    let limit = connect::time_for(announced);
    let content = match tokio::time::timeout(limit, answer.body.collect()).await {
        Ok(Ok(content)) => content.into_bytes(),
        Ok(Err(error)) => return Err(failure::chain(&error)),
        Err(_) => return Err("it came too slowly".into()),
    };
    if content.len() as u64 != announced {
        return Err(format!("{} of {announced} bytes came", content.len()));
    }
    Ok(content)
}

/// A length as S3 tells it.
fn size(bytes: Option<i64>) -> u64 {
    bytes.and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or_default()
}

/// A time as S3 tells it. One that is missing counts as now, so that nothing young is taken for
/// old.
fn time(at: Option<&DateTime>) -> SystemTime {
    at.and_then(|at| SystemTime::try_from(*at).ok()).unwrap_or_else(SystemTime::now)
}
