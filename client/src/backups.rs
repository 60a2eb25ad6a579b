//! Calls that make, list, restore and delete backups.

use std::time::Duration;

use switchback_proto::v1::{
    BackupInfo, BackupReport, BackupRequest, BackupState, DeleteBackupRequest,
    DeleteBackupResponse, ListBackupsRequest, ListBackupsResponse, PruneBackupsRequest,
    PruneBackupsResponse, RestoreReport, RestoreRequest, VerifyBackupReport, VerifyBackupRequest,
};

use crate::{
    Client, Error, Operation, Result,
    call::Call,
    client::{due_in, fill_in, within},
};

/// The server reads a manifest for each backup of a page: an answer must not take too long.
const MAX_PAGE: u32 = 100;
/// Whoever deletes backups lists every chunk of the store: an S3 store of a million chunks is
/// listed in a thousand answers.
const SWEEP_TIMEOUT: Duration = Duration::from_secs(600);

/// Backups of a database, newest first.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Backups {
    /// Where they are: `s3://bucket/prefix`.
    pub store: String,
    /// Newest first.
    pub backups: Vec<BackupInfo>,
}

/// The newest backup that can be restored.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LatestBackup {
    /// The backup.
    pub backup: BackupInfo,
    /// Newer ones that are damaged, or whose key the server does not have.
    pub passed_over: u64,
}

impl Client {
    /// Stores the data of the active engine.
    pub async fn backup(&self, mut request: BackupRequest) -> Result<Operation<BackupReport>> {
        fill_in(&mut request.request_id);
        self.start(Call::Backup(request)).await
    }

    /// Brings a backup back: to a new place with `restore_as`, else in place, where it replaces
    /// only with `overwrite`.
    pub async fn restore(&self, mut request: RestoreRequest) -> Result<Operation<RestoreReport>> {
        fill_in(&mut request.request_id);
        self.start(Call::Restore(request)).await
    }

    /// Reads every chunk of a backup. The operation of a damaged one fails with `BACKUP_DAMAGED`
    /// and has a report all the same: its `problems` say what is wrong.
    pub async fn verify_backup(
        &self,
        mut request: VerifyBackupRequest,
    ) -> Result<Operation<VerifyBackupReport>> {
        fill_in(&mut request.request_id);
        self.start(Call::VerifyBackup(request)).await
    }

    /// The newest backups of a database, at most `limit`.
    pub async fn backups(&self, database: &str, limit: usize) -> Result<Backups> {
        let mut found = Backups::default();
        let mut page_token = String::new();
        while found.backups.len() < limit {
            let wanted = u32::try_from(limit - found.backups.len()).unwrap_or(MAX_PAGE);
            let page = self.page_of_backups(database, wanted.min(MAX_PAGE), page_token).await?;
            found.store = page.store;
            found.backups.extend(page.backups);
            page_token = page.next_page_token;
            if page_token.is_empty() {
                break;
            }
        }
        found.backups.truncate(limit);
        Ok(found)
    }

    /// The newest backup of a database that can be restored.
    ///
    /// # Errors
    /// `UNKNOWN_BACKUP` where there is none.
    pub async fn latest_backup(&self, database: &str) -> Result<LatestBackup> {
        let mut passed_over = 0;
        let mut page_token = String::new();
        loop {
            let page = self.page_of_backups(database, MAX_PAGE, page_token).await?;
            match newest_complete(page.backups, passed_over) {
                Ok(latest) => return Ok(latest),
                Err(passed) => passed_over = passed,
            }
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return Err(Error::new(
                    "UNKNOWN_BACKUP",
                    format!("database {database} has no complete backup"),
                )
                .with_hint("make one with `switchback backup`"));
            }
        }
    }

    async fn page_of_backups(
        &self,
        database: &str,
        page_size: u32,
        page_token: String,
    ) -> Result<ListBackupsResponse> {
        let request = ListBackupsRequest { database: database.to_owned(), page_size, page_token };
        let mut client = self.database_service();
        self.unary(client.list_backups(self.timed(request))).await
    }

    /// Deletes a backup, and the chunks that no other one needs.
    pub async fn delete_backup(
        &self,
        request: DeleteBackupRequest,
    ) -> Result<DeleteBackupResponse> {
        let mut client = self.database_service();
        within(SWEEP_TIMEOUT, client.delete_backup(due_in(SWEEP_TIMEOUT, request))).await
    }

    /// Deletes the backups that no rule keeps; without `confirm`, only says which these are.
    pub async fn prune_backups(
        &self,
        request: PruneBackupsRequest,
    ) -> Result<PruneBackupsResponse> {
        let mut client = self.database_service();
        within(SWEEP_TIMEOUT, client.prune_backups(due_in(SWEEP_TIMEOUT, request))).await
    }
}

/// The first complete backup of a page, or how many were passed over until its end.
fn newest_complete(page: Vec<BackupInfo>, mut passed_over: u64) -> Result<LatestBackup, u64> {
    for backup in page {
        if backup.state() == BackupState::Complete {
            return Ok(LatestBackup { backup, passed_over });
        }
        passed_over += 1;
    }
    Err(passed_over)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backup(id: &str, state: BackupState) -> BackupInfo {
        BackupInfo { backup_id: id.to_owned(), state: state.into(), ..Default::default() }
    }

    #[test]
    fn the_latest_backup_is_the_newest_one_that_can_be_restored() {
        let page = vec![
            backup("d", BackupState::Locked),
            backup("c", BackupState::Damaged),
            backup("b", BackupState::Complete),
            backup("a", BackupState::Complete),
        ];
        let latest = newest_complete(page.clone(), 100).unwrap();
        assert_eq!((latest.backup.backup_id.as_str(), latest.passed_over), ("b", 102));
        assert_eq!(newest_complete(page[..2].to_vec(), 100), Err(102));
        assert_eq!(newest_complete(Vec::new(), 0), Err(0));
    }
}
