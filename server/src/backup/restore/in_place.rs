//! The configured SQLite file, replaced under those who have it open.

use std::path::{Path, PathBuf};

use rusqlite::Connection;
use switchback_proto::v1::{Engine, Finding, RestoreReport};

use super::{
    Replacing, Restoration, beside, digits,
    new_file::{PUBLISHED, remove, unusable},
    note,
    overwrite::{hold, overwrite},
    unfinished,
};
use crate::{
    backup::sqlite,
    dialect::finding::MOVED_ASIDE,
    error::{Error, Reason, Result},
    failpoint,
    task::blocking,
};

/// What came of putting a file in place.
#[derive(Default)]
struct Put {
    /// Backup of what was replaced.
    safety: String,
    /// What is there was read back and is what the backup holds. Where an application has written
    /// before that, nobody can tell.
    validated: bool,
    finding: Option<Finding>,
}

impl Restoration<'_> {
    /// Writes the backup into the configured file, in one transaction of SQLite: whoever has the
    /// file open goes on with what was restored, and nobody writes into a file without a name.
    pub(super) async fn replace_file(&self) -> Result<RestoreReport> {
        let path = self.database.source.path();
        let file_name = path.file_name().unwrap_or_default().to_string_lossy();
        let made = beside(path, &unfinished(&file_name, self.run));
        let journal = self.run.journal.as_str();
        let report = RestoreReport {
            path: path.display().to_string(),
            bytes: self.manifest.bytes,
            ..RestoreReport::default()
        };
        if journal == PUBLISHED && path.exists() {
            remove(&made);
            return Ok(RestoreReport { validated: true, ..report });
        }
        if let Some(Replacing { safety, cookie: Some(cookie) }) = self.replacing() {
            self.backups.repository.unmark(&safety).await?;
            if self.is_replaced(cookie).await? {
                remove(&made);
                return Ok(RestoreReport { safety_backup_id: safety, ..report });
            }
        }
        self.refuse_migration().await?;
        let there = path.symlink_metadata().is_ok();
        if there && !self.request.overwrite {
            let message = format!("{} is there already", path.display());
            return Err(Error::new(Reason::RestoreRefused, message).hint(
                "restore to a new file with `--as NAME`, or replace it with --overwrite: it is \
                 backed up first",
            ));
        }
        let done = async {
            let mut findings = self.write_pages(&made).await?;
            let put = self.put_in_place(&made, there).await?;
            findings.extend(put.finding);
            Ok::<_, Error>(RestoreReport {
                safety_backup_id: put.safety,
                validated: put.validated,
                findings,
                ..report
            })
        };
        let done = done.await;
        remove(&made);
        done
    }

    /// Puts a finished file in the place of the configured one; the backup of that.
    async fn put_in_place(&self, made: &Path, there: bool) -> Result<Put> {
        let source = &self.database.source;
        if !there {
            self.publish(made).await?;
            return Ok(Put { validated: true, ..Put::default() });
        }
        let file = source.clone();
        match blocking(move || hold(&file)).await {
            Ok(connection) => {
                let known = self.replacing().map(|replacing| replacing.safety);
                let safety = self.back_up_first(Engine::Sqlite, known.as_deref()).await?;
                let validated = self.overwrite(connection, made, &safety).await?;
                Ok(Put { safety, validated, finding: None })
            }
            Err(error) if !is_beyond_reading(&error) => Err(error),
            Err(_) => {
                let aside = move_aside(source.path(), digits(self.run))?;
                let message =
                    format!("the file could not be read and was moved to {}", aside.display());
                self.publish(made).await?;
                let hint = "remove it once nobody needs it";
                let finding = Some(note(MOVED_ASIDE, message, hint));
                Ok(Put { finding, validated: true, ..Put::default() })
            }
        }
    }

    async fn overwrite(&self, connection: Connection, made: &Path, safety: &str) -> Result<bool> {
        let cookie = new_cookie();
        let replacing = Replacing { safety: safety.to_owned(), cookie: Some(cookie) };
        self.record(&replacing.to_json()?).await?;
        failpoint::hit("replace.before");
        let (file, from) = (self.database.source.clone(), made.to_owned());
        let same = blocking(move || overwrite(&connection, &file, (&from, cookie))).await?;
        failpoint::hit("replace.after");
        Ok(same)
    }

    async fn publish(&self, made: &Path) -> Result<()> {
        self.record(PUBLISHED).await?;
        sqlite::publish(made, self.database.source.path())
    }

    /// Whether an earlier run of the operation has committed: applications have written since.
    async fn is_replaced(&self, cookie: u32) -> Result<bool> {
        let (source, cookie) = (self.database.source.clone(), i64::from(cookie));
        blocking(move || {
            let connection = source.open()?;
            let sql = "PRAGMA main.schema_version";
            let version: i64 = connection
                .query_row(sql, [], |row| row.get(0))
                .map_err(|error| source.explain(error))?;
            // Applications may have changed their schema meanwhile.
            Ok((cookie..cookie + SCHEMA_CHANGES).contains(&version))
        })
        .await
    }
}

/// Room for changes of the schema between a kill and the next start.
const SCHEMA_CHANGES: i64 = 100_000;

/// A number that no schema has by counting, with room above it.
fn new_cookie() -> u32 {
    let [.., a, b, c, d] = uuid::Uuid::now_v7().into_bytes();
    0x4000_0000 | (u32::from_be_bytes([a, b, c, d]) & 0x3ff0_0000) | 1
}

fn is_beyond_reading(error: &Error) -> bool {
    matches!(error.reason(), Reason::SourceNotADatabase | Reason::SourceCorrupt)
}

/// Gives what is no database any more another name, with what SQLite has left beside it.
fn move_aside(path: &Path, operation: &str) -> Result<PathBuf> {
    let with = |path: &Path, suffix: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    };
    let aside = with(path, &format!(".before-{operation}"));
    for suffix in ["", "-wal", "-shm", "-journal"] {
        let from = with(path, suffix);
        if from.symlink_metadata().is_ok() {
            std::fs::rename(&from, with(&aside, suffix))
                .map_err(|error| unusable(&from, &error))?;
        }
    }
    Ok(aside)
}
