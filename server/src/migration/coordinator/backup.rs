//! The backup that a migration relies on.

use switchback_proto::v1::Engine;

use super::{Coordinator, Journal};
use crate::{
    backup::{Creation, new_id},
    error::Result,
};

impl Coordinator<'_> {
    /// Stores the source as it is before the first change.
    pub(super) async fn back_up(&self, journal: &mut Journal) -> Result<()> {
        let name = &self.run.database;
        if !self.request.backup_id.is_empty() {
            self.backups.check(name, &self.request.backup_id).await?;
            journal.report.backup_id = self.request.backup_id.clone();
        } else if !self.request.skip_backup {
            let creation = Creation {
                database: self.database,
                engine: Engine::Sqlite,
                id: new_id(),
                log: &self.run.log,
                halt: &self.halt,
            };
            let report = self.backups.create(creation).await.map_err(|error| {
                let hint = format!("{}; or go without a backup (--skip-backup)", error.hint_text());
                error.at("the backup before the migration").hint(hint)
            })?;
            journal.report.backup_id = report.backup_id;
        }
        Ok(())
    }
}
