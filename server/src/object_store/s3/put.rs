//! Writes an object and makes sure that all of it is there.

use aws_sdk_s3::{primitives::ByteStream, types::ServerSideEncryption};
use bytes::Bytes;

use super::{Encryption, S3Store, connect::patient, is_missing_object, size};
use crate::{
    error::{Error, Reason, Result},
    object_store::check_key,
};

/// Longest object that is written with one request, and length of a part of a longer one. S3 wants
/// at least 5 MiB; what is lost with a connection is at most this.
pub(super) const PART: usize = 8 << 20;

/// Writes of an object of which too little arrived, before that counts as final.
const ATTEMPTS: u32 = 3;

/// What a write came to.
pub(super) enum Written {
    /// The store has it, under this tag where it gives any.
    Tagged(Option<String>),
    /// The store has forgotten its parts.
    Lost,
}

impl S3Store {
    pub(super) async fn put_now(&self, key: &str, body: Bytes) -> Result<()> {
        check_key(key)?;
        for attempt in 1..=ATTEMPTS {
            let written = if body.len() > PART {
                self.put_parts(key, &body).await?
            } else {
                self.put_whole(key, body.clone()).await?
            };
            if let Written::Tagged(tag) = written
                && self.holds(key, body.len() as u64, tag.as_deref()).await?
            {
                return Ok(());
            }
            tracing::debug!(attempt, "an object did not arrive whole");
        }
        let message = format!("the store {} keeps less of an object than was sent", self.place());
        Err(Error::new(Reason::StoreUnreachable, message)
            .hint("check what is between the server and the store: it cuts requests"))
    }

    async fn put_whole(&self, key: &str, body: Bytes) -> Result<Written> {
        let client = self.client().await?;
        let _turn = self.turn().await;
        let bytes = body.len() as u64;
        let (encryption, encryption_key) = self.encryption();
        let request = client
            .put_object()
            .bucket(&self.bucket)
            .key(self.full(key))
            .set_server_side_encryption(encryption)
            .set_ssekms_key_id(encryption_key)
            .body(ByteStream::from(body))
            .customize()
            .config_override(patient(bytes));
        let answer =
            request.send().await.map_err(|error| self.failed("write an object to", &error))?;
        self.note_bucket();
        Ok(Written::Tagged(answer.e_tag))
    }

    /// Whether the object is there with all its bytes. Under another tag somebody else has written
    /// it since.
    async fn holds(&self, key: &str, bytes: u64, tag: Option<&str>) -> Result<bool> {
        let client = self.client().await?;
        match self.ask(client, key).await {
            Ok(answer) => {
                let same = tag.is_none() || answer.e_tag() == tag;
                Ok(!same || size(answer.content_length()) == bytes)
            }
            Err(error) if is_missing_object(&error) => Ok(false),
            Err(error) => Err(self.failed("look for an object in", &error)),
        }
    }

    /// The headers for encryption by the store.
    pub(super) fn encryption(&self) -> (Option<ServerSideEncryption>, Option<String>) {
        match &self.options.encryption {
            None => (None, None),
            Some(Encryption::Aes256) => (Some(ServerSideEncryption::Aes256), None),
            Some(Encryption::Kms(key)) => (Some(ServerSideEncryption::AwsKms), key.clone()),
        }
    }
}
