//! A SQLite file of its own.

use std::{
    fs,
    path::{Path, PathBuf},
};

use rusqlite::Connection;
use switchback_proto::v1::{Finding, Phase, RestoreReport};

use super::{Restoration, beside, note, one_table, unfinished};
use crate::{
    backup::sqlite,
    capture::{self, lock, mark},
    db::source::SourceFile,
    dialect::finding::CAPTURE_REMOVED,
    error::{Error, Reason, Result},
    task::blocking,
};

/// What the journal says once the file gets its name.
const PUBLISHED: &str = "published";

impl Restoration<'_> {
    /// `NAME.db` in the directory for restored files.
    pub(super) async fn make_file(&self) -> Result<RestoreReport> {
        let directory = &self.backups.restores;
        fs::create_dir_all(directory).map_err(|error| unusable(directory, &error))?;
        let path = directory.join(format!("{}.db", self.request.restore_as));
        let report = RestoreReport {
            path: path.display().to_string(),
            bytes: self.manifest.bytes,
            validated: true,
            ..RestoreReport::default()
        };
        let made = beside(&path, &unfinished(&self.request.restore_as, self.run));
        if self.was_published(&made, &path) {
            return Ok(report);
        }
        sqlite::refuse_present(&path)?;
        let done = async {
            let mut findings = self.write_pages(&made).await?;
            if !self.request.table.is_empty() {
                findings.extend(self.keep_one_table(&made).await?);
            }
            self.publish(&made, &path).await?;
            Ok::<_, Error>(findings)
        };
        match done.await {
            Ok(findings) => Ok(RestoreReport { findings, ..report }),
            Err(error) => {
                remove(&made);
                Err(error)
            }
        }
    }

    /// Gives a file that is ready its name.
    pub(super) async fn publish(&self, made: &Path, path: &Path) -> Result<()> {
        self.backups.store.checkpoint(&self.run.id, Phase::Idle, PUBLISHED).await?;
        sqlite::publish(made, path)
    }

    /// Whether an earlier run of the operation has given the file its name; the other one goes.
    pub(super) fn was_published(&self, made: &Path, path: &Path) -> bool {
        let published = self.run.journal == PUBLISHED && path.exists();
        if published {
            remove(made);
        }
        published
    }

    /// Makes a file of the backup's pages, without what a migration has put between them.
    pub(super) async fn write_pages(&self, path: &Path) -> Result<Vec<Finding>> {
        remove(path);
        let content = self.manifest.sqlite.as_ref().ok_or_else(no_pages)?;
        let tell = |done, of| self.tell(done, of);
        let repository = &*self.backups.repository;
        sqlite::restore(content, repository, path, (&tell, self.halt)).await?;
        let file = SourceFile::new(path);
        let cleaned = blocking(move || clean(&file)).await?;
        let note = cleaned.then(|| {
            let message = "the backup was taken during a migration: what captures changes for it \
                           was removed from the restored file";
            note(CAPTURE_REMOVED, message.into(), "")
        });
        Ok(note.into_iter().collect())
    }

    pub(super) async fn keep_one_table(&self, path: &Path) -> Result<Vec<Finding>> {
        let (from, table) = (path.to_owned(), self.request.table.clone());
        blocking(move || {
            let to = from.with_extension("table");
            let findings = one_table::extract(&from, &to, &table);
            let renamed = findings.and_then(|findings| {
                remove(&from);
                fs::rename(&to, &from).map_err(|error| unusable(&to, &error))?;
                Ok(findings)
            });
            remove(&to);
            renamed
        })
        .await
    }
}

/// Removes capture and fence, which nobody looks after in a copy; whether there were any.
fn clean(file: &SourceFile) -> Result<bool> {
    let explain = |error| file.explain(error);
    let connection = Connection::open(file.path()).map_err(explain)?;
    // A sealed file holds nothing of ours, and takes no writes.
    let ours = mark::read(&connection).map_err(explain)?.is_some()
        || capture::log::is_there(&connection).map_err(explain)?;
    if !ours {
        return Ok(false);
    }
    let wait = std::time::Duration::from_secs(1);
    lock::begin(&connection, file, wait)?;
    capture::remove(&connection).map_err(explain)?;
    lock::commit(&connection, file, wait)?;
    Ok(true)
}

/// Removes a file that is only ours, and what SQLite has made beside it.
pub(super) fn remove(path: &Path) {
    for suffix in ["", "-wal", "-shm", "-journal"] {
        let mut path = path.as_os_str().to_owned();
        path.push(suffix);
        let path = PathBuf::from(path);
        if let Err(error) = fs::remove_file(&path)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(path = %path.display(), %error, "a temporary file is left");
        }
    }
}

pub(super) fn no_pages() -> Error {
    Error::new(Reason::BackupDamaged, "the manifest names no pages of a SQLite file")
}

pub(super) fn unusable(path: &Path, error: &std::io::Error) -> Error {
    Error::new(Reason::RestoreFailed, format!("cannot write {}: {error}", path.display()))
        .hint("the server's user needs write access there: set SWITCHBACK_RESTORE_DIR")
}
