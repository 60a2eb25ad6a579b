//! Deletes objects, many with a request where the store allows it.

use std::sync::atomic::Ordering;

use aws_sdk_s3::types::{Delete, ObjectIdentifier};
use futures_util::{StreamExt, TryStreamExt, stream};

use super::{REQUESTS, S3Store, failure::is_unsupported, is_missing_object};
use crate::{
    error::{Error, Reason, Result},
    object_store::check_key,
};

/// S3 takes no more with a request.
const BATCH: usize = 1000;

impl S3Store {
    pub(super) async fn delete_now(&self, keys: &[String]) -> Result<()> {
        keys.iter().try_for_each(|key| check_key(key))?;
        for batch in keys.chunks(BATCH) {
            if batch.len() == 1 || self.deletes_singly.load(Ordering::Relaxed) {
                self.delete_singly(batch).await?;
                continue;
            }
            let left = self.delete_batch(batch).await?;
            self.delete_singly(&left).await?;
        }
        Ok(())
    }

    /// Deletes with one request; what is left for others. An error of a single object has no
    /// status, so another request finds out what it means.
    async fn delete_batch(&self, keys: &[String]) -> Result<Vec<String>> {
        let client = self.client().await?;
        let _turn = self.turn().await;
        let objects =
            keys.iter().map(|key| ObjectIdentifier::builder().key(self.full(key)).build());
        let objects = objects.collect::<Result<Vec<_>, _>>().map_err(incomplete)?;
        let delete = Delete::builder().set_objects(Some(objects)).quiet(true).build();
        let delete = delete.map_err(incomplete)?;
        match client.delete_objects().bucket(&self.bucket).delete(delete).send().await {
            Ok(answer) => {
                let failed = answer.errors().iter();
                let failed = failed.filter(|error| error.code() != Some("NoSuchKey"));
                Ok(failed.filter_map(|error| Some(self.own(error.key()?)?.to_owned())).collect())
            }
            Err(error) if is_unsupported(&error) => {
                self.deletes_singly.store(true, Ordering::Relaxed);
                Ok(keys.to_vec())
            }
            Err(error) => Err(self.failed("delete objects in", &error)),
        }
    }

    async fn delete_singly(&self, keys: &[String]) -> Result<()> {
        let deletes = keys.iter().cloned().map(|key| self.delete_one(key));
        stream::iter(deletes).buffer_unordered(REQUESTS).try_collect().await
    }

    async fn delete_one(&self, key: String) -> Result<()> {
        let client = self.client().await?;
        let _turn = self.turn().await;
        let request = client.delete_object().bucket(&self.bucket).key(self.full(&key));
        match request.send().await {
            Ok(_) => Ok(()),
            Err(error) if is_missing_object(&error) => Ok(()),
            Err(error) => Err(self.failed("delete an object in", &error)),
        }
    }
}

fn incomplete(error: aws_sdk_s3::error::BuildError) -> Error {
    Error::new(Reason::Internal, "a request to delete is incomplete").caused_by(error)
}
