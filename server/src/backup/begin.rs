//! The beginning of a backup: its mark, and what the store has already.

use std::{sync::Arc, time::Instant};

use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::{
    known::Known,
    marks::{Mark, Marks, marks},
    names,
    repository::{Repository, check_names},
    writer::{Going, Writer},
};
use crate::{
    error::{Error, Reason, Result},
    task::cancelled,
};

/// What a mark of a backup says.
#[derive(Serialize, Deserialize)]
struct Running {
    database: String,
}

impl Repository {
    /// Begins a backup. Waits while somebody sweeps: `STORE_BUSY` after half an hour, `CANCELLED`
    /// when the token says so, which stops the writer later on too.
    pub(crate) async fn begin(
        &self,
        database: &str,
        backup: &str,
        cancel: &CancellationToken,
    ) -> Result<Writer> {
        check_names(database, backup)?;
        let running = serde_json::to_vec(&Running { database: database.into() });
        let running = running.map_err(|error| {
            Error::new(Reason::Internal, "cannot write a backup's mark").caused_by(error)
        })?;
        let name = format!("{}{backup}", names::RUNNING);
        // This server was stopped in the middle of the same backup.
        let was_begun = self.store.head(name.clone()).await?.is_some();
        let mark = Mark::write(Arc::clone(&self.store), name, running.into()).await?;
        let mark = Arc::new(mark);
        let renewing = mark.keep();
        let begun = async {
            self.wait_for_sweeps(&mark, cancel).await?;
            let (left, is_resumed) = self.unfinished(database, backup, &mark).await?;
            let known = self.known(database, is_resumed || was_begun).await?;
            Ok((left, known))
        };
        let begun = tokio::select! {
            () = cancel.cancelled() => Err(cancelled()),
            begun = begun => begun,
        };
        let (left, known) = match begun {
            Ok(begun) => begun,
            Err(error) => {
                let _ = mark.remove().await;
                return Err(error);
            }
        };
        Ok(Writer {
            repository: self.clone(),
            database: database.into(),
            backup: backup.into(),
            key: self.keys.first().clone(),
            mark,
            renewing,
            left,
            known: Known::new(known),
            cancel: cancel.clone(),
            going: Going::default(),
        })
    }

    /// Returns when nobody sweeps and everybody who begins to sweep sees the mark: it is written
    /// before each look.
    pub(super) async fn wait_for_sweeps(
        &self,
        mark: &Mark,
        cancel: &CancellationToken,
    ) -> Result<()> {
        let begun = Instant::now();
        loop {
            let now = mark.take().await?;
            let Marks { live, stale } = marks(&*self.store, names::SWEEPING, now).await?;
            // Whoever wakes up without its mark deletes nothing.
            let stale: Vec<String> = stale.into_iter().map(|mark| mark.key).collect();
            if !stale.is_empty() {
                self.store.delete(stale).await?;
            }
            if live.is_empty() {
                return Ok(());
            }
            if begun.elapsed() > self.pace.patience {
                let message = "somebody deletes chunks that no backup needs, and is not done";
                return Err(Error::new(Reason::StoreBusy, message).hint("try again later"));
            }
            tokio::select! {
                () = cancel.cancelled() => return Err(cancelled()),
                () = tokio::time::sleep(self.pace.look) => {}
            }
        }
    }

    /// Names of stale marks of a database, and whether it has marks other than `backup`'s.
    async fn unfinished(
        &self,
        database: &str,
        backup: &str,
        mark: &Mark,
    ) -> Result<(Vec<String>, bool)> {
        let own = format!("{}{backup}", names::RUNNING);
        let now = mark.renew().await?.now;
        let Marks { live, stale } = marks(&*self.store, names::RUNNING, now).await?;
        let mut of_database = Vec::new();
        let mut is_resumed = false;
        for (mark, is_stale) in
            live.into_iter().map(|mark| (mark, false)).chain(stale.into_iter().map(|m| (m, true)))
        {
            let Some(text) = self.store.get(mark.key.clone()).await? else { continue };
            let running: Option<Running> = serde_json::from_slice(&text).ok();
            if mark.key == own || running.is_none_or(|running| running.database != database) {
                continue;
            }
            is_resumed = true;
            if is_stale {
                of_database.push(mark.key);
            }
        }
        Ok((of_database, is_resumed))
    }
}
