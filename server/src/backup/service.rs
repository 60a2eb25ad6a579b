//! Backups of the configured databases, as operations and as answers.

use std::{path::PathBuf, sync::Arc};

use switchback_proto::{
    v1::{
        BackupInfo, BackupState, DeleteBackupRequest, DeleteBackupResponse, Engine, Finding,
        KeptBackup, ListBackupsRequest, ListBackupsResponse, ProgressEvent, PruneBackupsRequest,
        PruneBackupsResponse, SchemaVersion, Severity, VerifyBackupReport,
    },
    words::Word,
};
use tokio_util::sync::CancellationToken;

use super::{
    id,
    key::KeyId,
    manifest::{Missing, Version},
    repository::{Listed, Repository},
    retention::{self, Policy},
    sweep::Swept,
    verify::{self, Verified},
};
use crate::{
    clock,
    db::{Database, DatabaseSet, control::ControlStore},
    error::{Error, Reason, Result},
    operations::{Outcome, Report, Request, Run},
};

/// Backups in one answer, unless fewer are asked for.
const PAGE: u32 = 50;
const LARGEST_PAGE: u32 = 500;

/// The configured store, and what of it belongs to the configured databases. Clones share it.
#[derive(Debug, Clone)]
pub struct Backups {
    pub(super) set: Arc<DatabaseSet>,
    pub(super) store: ControlStore,
    pub(super) repository: Arc<Repository>,
    /// Where `restore --as` makes SQLite files.
    pub(super) restores: PathBuf,
}

impl Backups {
    pub(crate) fn new(
        set: Arc<DatabaseSet>,
        store: ControlStore,
        repository: Repository,
        restores: PathBuf,
    ) -> Self {
        Self { set, store, repository: Arc::new(repository), restores }
    }

    /// Runs one of the operations; `None` where the server's shutdown cut it off.
    pub(crate) async fn run(
        &self,
        database: &Database,
        run: Run,
        halt: CancellationToken,
    ) -> Option<Outcome> {
        let (report, error) = match &run.request {
            Request::Backup(_) => split(self.back_up(database, &run, &halt).await, Report::Backup),
            Request::Restore(request) => {
                let restored = Box::pin(self.restore(database, request, (&run, &halt))).await;
                split(restored, Report::Restore)
            }
            Request::VerifyBackup(request) => {
                let verified = self.verify(&run, &request.backup_id, &halt).await;
                match verified {
                    Ok(report) => {
                        let error = refuse_problems(&report).err();
                        (Some(Report::VerifyBackup(report)), error)
                    }
                    Err(error) => (None, Some(error)),
                }
            }
            _ => (None, Some(Error::new(Reason::Internal, "not an operation of backups"))),
        };
        // What was begun goes on after the restart.
        let cut = run.shutdown.is_cancelled()
            && error.as_ref().is_some_and(|error| error.reason() == Reason::Cancelled);
        (!cut).then_some(Outcome { report, error })
    }

    /// Whether a backup is there and its manifest is whole.
    pub(crate) async fn check(&self, database: &str, id: &str) -> Result<()> {
        self.repository.manifest(database, id).await.map(drop)
    }

    async fn verify(
        &self,
        run: &Run,
        id: &str,
        halt: &CancellationToken,
    ) -> Result<VerifyBackupReport> {
        let began = std::time::Instant::now();
        let tell = |verify::Progress { bytes, bytes_total, .. }| {
            run.log.progress(ProgressEvent { bytes, bytes_total, ..ProgressEvent::default() });
        };
        let found = self.repository.verify(&run.database, id, halt, &tell).await?;
        Ok(VerifyBackupReport {
            backup_id: id.to_owned(),
            chunks: found.verified.chunks,
            bytes: found.bytes,
            seconds: began.elapsed().as_secs_f64(),
            problems: found.problems.iter().map(ToString::to_string).collect(),
        })
    }

    /// A page of the backups of a database.
    pub(crate) async fn list(&self, request: &ListBackupsRequest) -> Result<ListBackupsResponse> {
        let name = &request.database;
        self.set.get(name)?;
        let size = match request.page_size {
            0 => PAGE,
            size => size.min(LARGEST_PAGE),
        };
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        let mut listed = self.repository.list(name, &request.page_token, size + 1).await?;
        let more = listed.len() > size;
        listed.truncate(size);
        let next_page_token = match listed.last() {
            Some(last) if more => last.backup_id.clone(),
            _ => String::new(),
        };
        let backups = listed.into_iter().map(info).collect();
        Ok(ListBackupsResponse { backups, next_page_token, store: self.repository.shown() })
    }

    /// Deletes a backup, and what no other one needs.
    pub(crate) async fn delete(
        &self,
        request: &DeleteBackupRequest,
    ) -> Result<DeleteBackupResponse> {
        self.set.get(&request.database)?;
        let (name, id) = (&request.database, &request.backup_id);
        self.repository.open().await?;
        let (name, id) = (name.clone(), id.clone());
        let deleted = self
            .to_its_end(|repository| async move {
                repository.delete(&name, &id, &CancellationToken::new()).await
            })
            .await?;
        let swept = told(deleted.swept);
        tracing::info!(
            database = request.database,
            backup_id = request.backup_id,
            "the backup was deleted"
        );
        Ok(DeleteBackupResponse {
            chunks_deleted: swept.unwrap_or_default(),
            swept: swept.is_some(),
        })
    }

    /// Deletes what no rule keeps, or says what that would be.
    pub(crate) async fn prune(
        &self,
        request: &PruneBackupsRequest,
    ) -> Result<PruneBackupsResponse> {
        let name = &request.database;
        self.set.get(name)?;
        let policy = Policy {
            last: request.keep_last,
            daily: request.keep_daily,
            weekly: request.keep_weekly,
            monthly: request.keep_monthly,
        };
        self.repository.open().await?;
        let listed = self.repository.list(name, "", usize::MAX).await?;
        // What cannot be read must not stand for a day instead of a whole one.
        let whole = listed.iter().filter(|backup| backup.summary.is_ok());
        let times: Vec<_> =
            whole.filter_map(|b| Some((b.backup_id.clone(), id::time(&b.backup_id)?))).collect();
        let retention = retention::keep(&times, policy)?;
        let kept = retention.kept.into_iter().map(|(backup_id, rules)| KeptBackup {
            backup_id,
            rules: rules.into_iter().map(|rule| rule.word().to_owned()).collect(),
        });
        let mut response = PruneBackupsResponse {
            backup_ids: retention.deleted,
            kept: kept.collect(),
            ..PruneBackupsResponse::default()
        };
        if request.confirm {
            for id in &response.backup_ids {
                match self.repository.forget(name, id).await {
                    // Somebody else has deleted it.
                    Err(error) if error.reason() == Reason::UnknownBackup => {}
                    forgotten => forgotten?,
                }
            }
            let swept = self.to_its_end(|repository| async move {
                repository.sweep(&CancellationToken::new()).await
            });
            let swept = told(swept.await);
            response.deleted = true;
            response.swept = swept.is_some();
            response.chunks_deleted = swept.unwrap_or_default();
            let count = response.backup_ids.len();
            tracing::info!(database = name, count, "backups that no rule keeps were deleted");
        }
        Ok(response)
    }

    /// Works in a task of its own: a caller who hangs up must not leave a mark in the store, for
    /// which others wait.
    async fn to_its_end<T: Send + 'static, F>(
        &self,
        work: impl FnOnce(Arc<Repository>) -> F,
    ) -> Result<T>
    where
        F: Future<Output = Result<T>> + Send + 'static,
    {
        let working = tokio::spawn(work(Arc::clone(&self.repository)));
        working.await.unwrap_or_else(|panic| {
            let message = "the store's keeper stopped on a defect";
            Err(Error::new(Reason::Internal, message).caused_by(panic))
        })
    }
}

/// Chunks that went; none where they are left for the next time.
fn told(swept: Result<Swept>) -> Option<u64> {
    match swept {
        Ok(Swept { chunks, bytes, .. }) => {
            tracing::info!(chunks, bytes, "the store was swept");
            Some(chunks)
        }
        Err(error) => {
            tracing::warn!(%error, "chunks that no backup needs are left for the next time");
            None
        }
    }
}

fn split<T>(done: Result<T>, report: fn(T) -> Report) -> (Option<Report>, Option<Error>) {
    match done {
        Ok(done) => (Some(report(done)), None),
        Err(error) => (None, Some(error)),
    }
}

fn refuse_problems(report: &VerifyBackupReport) -> Result<()> {
    let Some(first) = report.problems.first() else { return Ok(()) };
    let message = format!("the backup {} is damaged: {first}", report.backup_id);
    Err(Error::new(Reason::BackupDamaged, message)
        .hint("restore another one; `switchback backups delete` removes this one"))
}

fn info(listed: Listed) -> BackupInfo {
    let Listed { backup_id, summary, verified } = listed;
    let verified_at = verified
        .filter(Verified::is_whole)
        .and_then(|verified| clock::from_rfc3339(&verified.verified_at))
        .map(clock::from_millis);
    let info = BackupInfo { backup_id, verified_at, ..BackupInfo::default() };
    match summary {
        Ok(summary) => BackupInfo {
            state: BackupState::Complete.into(),
            engine: Engine::from_word(&summary.engine).unwrap_or_default().into(),
            epoch: summary.epoch,
            created_at: clock::from_rfc3339(&summary.created_at).map(clock::from_millis),
            bytes: summary.bytes,
            chunks: summary.chunks,
            encrypted: summary.key != KeyId::PLAIN,
            schema_versions: summary.schema_versions.iter().map(version_of).collect(),
            findings: summary.findings.iter().map(finding_of).collect(),
            ..info
        },
        Err(error) if error.reason() == Reason::BackupKey => {
            BackupInfo { state: BackupState::Locked.into(), encrypted: true, ..info }
        }
        Err(_) => BackupInfo { state: BackupState::Damaged.into(), ..info },
    }
}

fn version_of(version: &Version) -> SchemaVersion {
    SchemaVersion {
        engine: Engine::from_word(&version.engine).unwrap_or_default().into(),
        tool: version.tool.clone(),
        version: version.version.clone(),
        ..SchemaVersion::default()
    }
}

/// What a backup does not hold, as people are told.
pub(super) fn finding_of(missing: &Missing) -> Finding {
    let Missing { code, table, message } = missing;
    Finding {
        code: code.clone(),
        severity: Severity::Warning.into(),
        table: table.clone(),
        message: message.clone(),
        ..Finding::default()
    }
}
