//! The end of a backup: its manifest, and before that the proof that nothing was swept away.

use futures_util::{StreamExt, TryStreamExt, stream};

use super::{
    index,
    manifest::Manifest,
    names,
    repository::{Repository, is_unreadable, manifest_name},
    seal::{self, Kind},
    writer::Writer,
};
use crate::error::{Error, Reason, Result};

/// Objects that are looked for at once.
const LOOKS: usize = 16;

impl Repository {
    /// Removes the mark of a backup that exists: its server ended before it could.
    pub(super) async fn unmark(&self, backup: &str) -> Result<()> {
        self.store.delete(vec![format!("{}{backup}", names::RUNNING)]).await
    }
}

impl Writer {
    /// Writes the manifest: from then on the backup exists, with every chunk that it names.
    /// `STORE_BUSY` where this server stood still for so long that a sweep has deleted some.
    pub(crate) async fn finish(&self, manifest: &Manifest) -> Result<()> {
        self.check_going()?;
        let name = manifest_name(&manifest.database, &manifest.backup_id);
        if name != manifest_name(&self.database, &self.backup) {
            let message = format!("manifest {name} belongs to another backup");
            return Err(Error::new(Reason::Internal, message).hint("report this as a defect"));
        }
        let content = serde_json::to_vec(manifest).map_err(|error| {
            Error::new(Reason::Internal, format!("cannot write manifest {name}")).caused_by(error)
        })?;
        let key = self.key.clone();
        let object = self.work(move || seal::seal(Kind::Manifest, &name, &content, &key)).await?;
        self.hold(manifest).await?;
        let stored = names::manifest(&self.database, &self.backup);
        self.repository.store.put(stored.clone(), object.into()).await?;
        // The server may have stood still right before it was written.
        if let Err(error) = self.hold(manifest).await {
            let deleted = self.repository.store.delete(vec![stored]).await;
            deleted.map_err(|error| error.at("a manifest that may be wrong stays"))?;
            return Err(error);
        }
        self.end(self.left.clone()).await;
        Ok(())
    }

    /// Gives the backup up: nothing shows it, and its chunks go with the next sweep. To drop the
    /// writer instead keeps them for the next attempt.
    pub(crate) async fn abandon(&self) {
        self.end(Vec::new()).await;
    }

    /// The backup exists or never will; a mark that stays only makes sweeps wait.
    async fn end(&self, left: Vec<String>) {
        let mut removed = self.mark.remove().await;
        self.renewing.abort();
        if !left.is_empty() {
            removed = removed.and(self.repository.store.delete(left).await);
        }
        if let Err(error) = removed {
            tracing::warn!(backup = self.backup, %error, "cannot remove a mark in the store");
        }
    }

    /// Makes sure that no sweep has taken this backup for dead; where one may have, that every
    /// chunk is still there.
    async fn hold(&self, manifest: &Manifest) -> Result<()> {
        if self.mark.renew().await?.is_held {
            return Ok(());
        }
        // From here on a sweep sees the mark again, so what is there stays there.
        self.repository.wait_for_sweeps(&self.mark, &self.cancel).await?;
        let is_whole = match self.is_whole(manifest).await {
            Err(error) if is_unreadable(&error) => false,
            looked => looked?,
        };
        if is_whole && self.mark.renew().await?.is_held {
            return Ok(());
        }
        let message = "the server stood still while it made the backup, and chunks were deleted";
        Err(self.fail(Error::new(Reason::StoreBusy, message).hint("start the backup again")))
    }

    /// Whether every chunk is in the store.
    async fn is_whole(&self, manifest: &Manifest) -> Result<bool> {
        let mut batches = std::pin::pin!(index::batches(&self.repository, manifest));
        while let Some(batch) = batches.try_next().await? {
            let looks = stream::iter(batch).map(|chunk| {
                let name = names::chunk(self.key.id(), chunk.id);
                async move { Ok(self.repository.store.head(name).await?.is_some()) }
            });
            if !looks.buffer_unordered(LOOKS).try_all(async |is_there| is_there).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
