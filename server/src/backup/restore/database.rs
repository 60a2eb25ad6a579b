//! A PostgreSQL database of its own, or in place of the configured one.

use switchback_proto::v1::{Engine, Finding, RestoreReport};

use super::{Restoration, into_sqlite::chosen};
use crate::{
    backup::{
        finding_of,
        manifest::{Missing, TableName},
        name_of,
        postgres::{
            Progress,
            programs::Programs,
            restore::{
                Restore, Restored, refuse_filled, replace, replaced, restore, restore_into_empty,
            },
        },
        repository::Repository,
    },
    dialect::finding::NOT_RESTORED,
    error::{Reason, Result},
};

/// What the journal says once an empty database is being filled.
const FILLING: &str = "filling";

impl Restoration<'_> {
    /// A database NAME beside the configured one.
    pub(super) async fn make_database(&self) -> Result<RestoreReport> {
        let content = self.manifest.postgres.as_ref().ok_or_else(super::no_content)?;
        let tables = match self.request.table.as_str() {
            "" => None,
            asked => {
                let found = chosen(content, asked)?.into_iter();
                let name = |table: &crate::backup::manifest::StoredTable| TableName {
                    schema: table.schema.clone(),
                    name: table.name.clone(),
                };
                Some(found.map(name).collect::<Vec<_>>())
            }
        };
        let programs = Programs::installed();
        let tell = |progress: Progress<'_>| self.tell_of(progress);
        let job = self.job(content, (&programs, tables.as_deref()), &tell);
        let restored = restore(&job, &self.request.restore_as).await?;
        Ok(report(restored, String::new()))
    }

    /// The configured database, which is kept under another name. What is written between the
    /// backup that is made first and the moment of the change is in the kept one only.
    pub(super) async fn replace_database(&self) -> Result<RestoreReport> {
        self.refuse_migration().await?;
        let content = self.manifest.postgres.as_ref().ok_or_else(super::no_content)?;
        let programs = Programs::installed();
        let tell = |progress: Progress<'_>| self.tell_of(progress);
        let job = self.job(content, (&programs, None), &tell);
        if !self.request.overwrite {
            return self.fill_database(&job).await;
        }
        let known = self.replacing().map(|replacing| replacing.safety);
        let mut restored = match &known {
            None => None,
            // An earlier run may have been cut off before it could say that it is done.
            Some(known) => {
                self.backups.repository.unmark(known).await?;
                replaced(&job).await?
            }
        };
        let mut safety = known.clone().unwrap_or_default();
        if restored.is_none() {
            safety = self.back_up_first(Engine::Postgres, known.as_deref()).await?;
        }
        let mut restored = match restored.take() {
            Some(restored) => restored,
            None => replace(&job).await?,
        };
        if let Some(kept) = &restored.kept
            && let Err(error) = self.carry_record(kept).await
        {
            let message = format!("which engine is active is recorded in {kept} only: {error}");
            restored.missing.push(Missing {
                code: NOT_RESTORED.into(),
                table: String::new(),
                message,
            });
        }
        Ok(report(restored, safety))
    }

    /// Which engine is active belongs to the place and not to the data: a server that has lost its
    /// own record goes by PostgreSQL's.
    async fn carry_record(&self, kept: &str) -> Result<()> {
        let name = &self.database.config.name;
        let target = self.database.target();
        let before = target.with(self.database.postgres.beside(kept, 1)?);
        let Some(control) = before.read_control(name).await? else { return Ok(()) };
        target.install().await?;
        target.write_control(&control).await.map(drop)
    }

    /// A new server, or one that was set up again: there is nothing to be lost.
    async fn fill_database(&self, job: &Restore<'_, Repository>) -> Result<RestoreReport> {
        let begun = self.run.journal == FILLING;
        if !begun {
            refuse_filled(&self.database.postgres).await.map_err(|error| {
                let hint = "restore to a new database with `--as NAME`, or replace this one with \
                            --overwrite: it is backed up first and kept under another name";
                if error.reason() == Reason::RestoreRefused { error.hint(hint) } else { error }
            })?;
            self.record(FILLING).await?;
        }
        let restored = restore_into_empty(job, begun).await?;
        Ok(report(restored, String::new()))
    }

    fn job<'a>(
        &'a self,
        content: &'a crate::backup::manifest::PostgresContent,
        (programs, tables): (&'a Programs, Option<&'a [TableName]>),
        progress: &'a (dyn Fn(Progress<'_>) + Send + Sync),
    ) -> Restore<'a, Repository> {
        Restore {
            content,
            fetch: &*self.backups.repository,
            postgres: &self.database.postgres,
            programs,
            tables,
            operation: super::digits(self.run),
            scratch: &self.scratch.0,
            progress,
            cancel: self.halt,
        }
    }

    fn tell_of(&self, progress: Progress<'_>) {
        let name = name_of(progress);
        super::tell(&self.run.log, &name, progress.rows, (progress.bytes, 0));
    }
}

fn report(restored: Restored, safety_backup_id: String) -> RestoreReport {
    let findings: Vec<Finding> = restored.missing.iter().map(finding_of).collect();
    RestoreReport {
        database: restored.database,
        rows: restored.rows,
        bytes: restored.bytes,
        validated: true,
        kept_database: restored.kept.unwrap_or_default(),
        safety_backup_id,
        findings,
        ..RestoreReport::default()
    }
}
