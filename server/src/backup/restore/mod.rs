//! `Restore`: to a new place by default, in place by request, and into the other engine.

mod database;
mod decode;
mod in_place;
mod into_postgres;
mod into_sqlite;
mod new_file;
mod one_table;
mod rows;

use std::{path::PathBuf, time::Instant};

use switchback_proto::{
    v1::{Engine, Finding, Phase, ProgressEvent, RestoreReport, RestoreRequest, Severity},
    words::Word,
};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::{Backups, create::Creation, manifest::Manifest, new_id, repository::is_unreadable};
use crate::{
    db::Database,
    dialect::finding::{self, Place},
    error::{Error, Reason, Result},
    operations::{EventLog, Run},
};

/// A restoration that was asked for.
struct Restoration<'a> {
    backups: &'a Backups,
    database: &'a Database,
    request: &'a RestoreRequest,
    manifest: Manifest,
    run: &'a Run,
    halt: &'a CancellationToken,
    /// For temporary files.
    scratch: TempDir,
}

impl Backups {
    /// `Restore`, as an operation.
    pub(super) async fn restore(
        &self,
        database: &Database,
        request: &RestoreRequest,
        (run, halt): (&Run, &CancellationToken),
    ) -> Result<RestoreReport> {
        let began = Instant::now();
        let name = &database.config.name;
        let manifest = self.repository.manifest(name, &request.backup_id).await?;
        for missing in &manifest.findings {
            run.log.finding(super::finding_of(missing));
        }
        let scratch = scratch(database, run)?;
        let restoration =
            Restoration { backups: self, database, request, manifest, run, halt, scratch };
        let report = restoration.restore().await?;
        for finding in &report.findings {
            run.log.finding(finding.clone());
        }
        Ok(RestoreReport { seconds: began.elapsed().as_secs_f64(), ..report })
    }
}

impl Restoration<'_> {
    async fn restore(&self) -> Result<RestoreReport> {
        let of = engine_of(&self.manifest)?;
        let into = match self.request.into_engine() {
            Engine::Unspecified => of,
            asked => asked,
        };
        let in_place = self.request.restore_as.is_empty();
        if in_place && (into != of || !self.request.table.is_empty()) {
            return Err(Error::new(
                Reason::InvalidRequest,
                "only a whole backup can be restored in place, and only into its own engine",
            )
            .hint("restore to a new place with `--as NAME`"));
        }
        match (of, into) {
            (Engine::Sqlite, Engine::Sqlite) if in_place => self.replace_file().await,
            (Engine::Sqlite, Engine::Sqlite) => self.make_file().await,
            (Engine::Postgres, Engine::Postgres) if in_place => self.replace_database().await,
            (Engine::Postgres, Engine::Postgres) => self.make_database().await,
            (Engine::Sqlite, _) => self.rows_into_postgres().await,
            _ => self.rows_into_sqlite().await,
        }
    }

    /// Makes a backup of what is about to be replaced, and gives its id. One that a restart has cut
    /// off is gone on with; one that was finished stays, since there may have been writes since.
    async fn back_up_first(&self, engine: Engine) -> Result<String> {
        let id = match self.run.journal.as_str() {
            "" => new_id(),
            _ if self.backed_up().await?.is_some() => new_id(),
            begun => begun.to_owned(),
        };
        self.backups.store.checkpoint(&self.run.id, Phase::Idle, &id).await?;
        let (database, log, halt) = (self.database, &self.run.log, self.halt);
        let made = self.backups.create(Creation { database, engine, id, log, halt });
        Ok(Box::pin(made).await?.backup_id)
    }

    /// The backup that an earlier run of the operation has made first; `None` where it did not come
    /// to its end.
    async fn backed_up(&self) -> Result<Option<&str>> {
        let begun = self.run.journal.as_str();
        if begun.is_empty() {
            return Ok(None);
        }
        match self.backups.check(&self.database.config.name, begun).await {
            Err(error) if error.reason() == Reason::UnknownBackup => return Ok(None),
            Err(error) if !is_unreadable(&error) => return Err(error),
            _ => {}
        }
        self.backups.repository.unmark(begun).await?;
        Ok(Some(begun))
    }

    /// Tells bytes of the whole.
    fn tell(&self, done: u64, of: u64) {
        tell(&self.run.log, "", 0, (done, of));
    }

    /// Refuses while anything of a migration depends on what is there now.
    async fn refuse_migration(&self) -> Result<()> {
        let name = &self.database.config.name;
        let record = self.backups.store.database(name).await?;
        if matches!(record.phase, Phase::Idle | Phase::Finalized) {
            return Ok(());
        }
        let message = format!("{name} is in a migration ({})", record.phase.word());
        Err(Error::new(Reason::RestoreRefused, message).hint(
            "end it first (`switchback abort`, `switchback finalize`), or restore to a new place \
             with `--as NAME`",
        ))
    }
}

fn tell(log: &EventLog, table: &str, rows: u64, (bytes, bytes_total): (u64, u64)) {
    log.progress(ProgressEvent {
        table: table.to_owned(),
        rows,
        bytes,
        bytes_total,
        ..ProgressEvent::default()
    });
}

fn engine_of(manifest: &Manifest) -> Result<Engine> {
    let engine = Engine::from_word(&manifest.engine);
    let is_whole = match engine {
        Some(Engine::Sqlite) => manifest.sqlite.is_some(),
        Some(Engine::Postgres) => manifest.postgres.is_some(),
        _ => false,
    };
    engine.filter(|_| is_whole).ok_or_else(|| {
        Error::new(Reason::BackupDamaged, "the manifest does not say what the backup holds")
            .hint("it was written by a newer version, or changed by hand")
    })
}

fn no_content() -> Error {
    Error::new(Reason::BackupDamaged, "the manifest names no tables of PostgreSQL")
}

/// A directory that is named after its operation: what a run that was cut off has left in it goes.
fn scratch(database: &Database, run: &Run) -> Result<TempDir> {
    let name = unfinished(&database.config.name, run);
    let path = database.scratch.join(&name);
    let removed = match std::fs::remove_dir_all(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    };
    let made = removed.and_then(|()| {
        tempfile::Builder::new().prefix(&name).rand_bytes(0).tempdir_in(&database.scratch)
    });
    made.map_err(|error| {
        let message = format!("cannot use the directory {}", path.display());
        Error::new(Reason::StateUnusable, message)
            .hint("check the space and the rights of the state directory")
            .caused_by(error)
    })
}

/// A file or a database that is being made, named after its operation.
fn unfinished(name: &str, run: &Run) -> String {
    format!("{name}_restoring_{}", digits(run))
}

/// The end of an operation's id, which is its random part.
fn digits(run: &Run) -> &str {
    run.id.rsplit('-').next().unwrap_or_default()
}

fn note(code: &'static str, message: String, hint: &'static str) -> Finding {
    finding::finding(Severity::Note, code, Place::database(), message, hint)
}

/// Beside a file: `.NAME.restoring`.
fn beside(path: &std::path::Path, name: &str) -> PathBuf {
    path.with_file_name(format!(".{name}"))
}
