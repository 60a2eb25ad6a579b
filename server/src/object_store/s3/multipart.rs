//! Long objects in parts, and what is left of those that were not finished.

use std::time::SystemTime;

use aws_sdk_s3::{
    Client,
    primitives::ByteStream,
    types::{CompletedMultipartUpload, CompletedPart},
};
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};

use super::{
    S3Store,
    connect::patient,
    failure::is_unsupported,
    is_missing_object,
    put::{PART, Written},
    time,
};
use crate::error::{Error, Reason, Result};

/// Parts of one object on their way at once.
const PARTS: usize = 4;

/// S3 takes no more.
const MOST_PARTS: usize = 10_000;

impl S3Store {
    /// Writes an object in parts. Where it fails, none of them stay.
    pub(super) async fn put_parts(&self, key: &str, body: &Bytes) -> Result<Written> {
        if body.len().div_ceil(PART) > MOST_PARTS {
            return Err(Error::new(Reason::Internal, "an object is too long for the store")
                .hint("this is a defect in Switchback: please report it"));
        }
        let client = self.client().await?;
        let key = self.full(key);
        let upload = self.begin(client, &key).await?;
        let written = match self.upload(client, &key, &upload, body).await {
            Ok(parts) => self.complete(client, &key, &upload, parts).await,
            Err(error) => Err(error),
        };
        if written.is_err() {
            // `clean` finds what stays.
            if let Err(error) = self.abort(client, &key, &upload).await {
                tracing::debug!(%error, "parts of an object stay");
            }
        }
        written
    }

    async fn begin(&self, client: &Client, key: &str) -> Result<String> {
        let _turn = self.turn().await;
        let (encryption, encryption_key) = self.encryption();
        let request = client
            .create_multipart_upload()
            .bucket(&self.bucket)
            .key(key)
            .set_server_side_encryption(encryption)
            .set_ssekms_key_id(encryption_key);
        let answer =
            request.send().await.map_err(|error| self.failed("begin an object in", &error))?;
        self.note_bucket();
        answer.upload_id.ok_or_else(|| {
            Error::new(
                Reason::StoreRefused,
                format!("the store {} gives no id for an upload", self.place()),
            )
            .hint("use a store that has multipart uploads")
        })
    }

    async fn upload(
        &self,
        client: &Client,
        key: &str,
        upload: &str,
        body: &Bytes,
    ) -> Result<Vec<CompletedPart>> {
        let starts = (1..).zip((0..body.len()).step_by(PART));
        let parts = starts.map(|(number, start)| {
            let part = body.slice(start..body.len().min(start + PART));
            async move {
                let _turn = self.turn().await;
                let bytes = part.len() as u64;
                let request = client
                    .upload_part()
                    .bucket(&self.bucket)
                    .key(key)
                    .upload_id(upload)
                    .part_number(number)
                    .body(ByteStream::from(part))
                    .customize()
                    .config_override(patient(bytes));
                let answer = request.send().await;
                let answer = answer.map_err(|error| self.failed("write a part to", &error))?;
                let part = CompletedPart::builder().part_number(number).set_e_tag(answer.e_tag);
                Ok(part.build())
            }
        });
        stream::iter(parts).buffered(PARTS).try_collect().await
    }

    async fn complete(
        &self,
        client: &Client,
        key: &str,
        upload: &str,
        parts: Vec<CompletedPart>,
    ) -> Result<Written> {
        let _turn = self.turn().await;
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
        let request = client
            .complete_multipart_upload()
            .bucket(&self.bucket)
            .key(key)
            .upload_id(upload)
            .multipart_upload(parts);
        match request.send().await {
            Ok(answer) => Ok(Written::Tagged(answer.e_tag)),
            // An attempt whose answer was lost may have completed it. That cannot be told from an
            // older object of the same length, so it is written again.
            Err(error) if is_missing_object(&error) => Ok(Written::Lost),
            Err(error) => Err(self.failed("finish an object in", &error)),
        }
    }

    async fn abort(&self, client: &Client, key: &str, upload: &str) -> Result<()> {
        let _turn = self.turn().await;
        let request =
            client.abort_multipart_upload().bucket(&self.bucket).key(key).upload_id(upload);
        match request.send().await {
            Ok(_) => Ok(()),
            Err(error) if is_missing_object(&error) => Ok(()),
            Err(error) => Err(self.failed("abort an upload in", &error)),
        }
    }

    /// Aborts uploads that were begun before a time; how many.
    pub(super) async fn clean_now(&self, before: SystemTime) -> Result<u64> {
        let client = self.client().await?;
        let (mut key_marker, mut upload_marker) = (None, None);
        let mut aborted = 0;
        loop {
            let answer = {
                let _turn = self.turn().await;
                let request = client
                    .list_multipart_uploads()
                    .bucket(&self.bucket)
                    .prefix(self.full(""))
                    .set_key_marker(key_marker)
                    .set_upload_id_marker(upload_marker);
                match request.send().await {
                    Ok(answer) => answer,
                    // Such a store removes them by itself, or not at all.
                    Err(error) if is_unsupported(&error) => return Ok(aborted),
                    Err(error) => return Err(self.failed("list unfinished uploads in", &error)),
                }
            };
            for upload in answer.uploads() {
                let (Some(key), Some(id)) = (upload.key(), upload.upload_id()) else { continue };
                let ours = self.own(key).is_some();
                if ours && upload.initiated().is_some() && time(upload.initiated()) < before {
                    self.abort(client, key, id).await?;
                    aborted += 1;
                }
            }
            if !answer.is_truncated().unwrap_or(false) || answer.next_key_marker().is_none() {
                return Ok(aborted);
            }
            key_marker = answer.next_key_marker;
            upload_marker = answer.next_upload_id_marker;
        }
    }
}
