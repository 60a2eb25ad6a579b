//! `backups`: lists, verifies, deletes and prunes.

mod delete;
mod list;
mod prune;

use clap::{Subcommand, builder::NonEmptyStringValueParser};
use switchback_client::{Client, LatestBackup, Result, exit::Exit, v1::VerifyBackupRequest};
use uuid::Uuid;

use self::{delete::DeleteArgs, prune::PruneArgs};
use super::{
    Session,
    follow::follow,
    output::format::{clean, counted, short_time},
};

/// Stands for the newest backup that can be restored.
const LATEST: &str = "latest";

#[derive(Debug, Subcommand)]
pub(crate) enum BackupsCommand {
    /// Newest first, those that cannot be restored included
    #[command(after_help = "\
Examples:
  switchback backups list --limit 5
  switchback backups list --output json | jq -r 'select(.state == \"complete\").backup_id'")]
    List {
        /// At most this many
        #[arg(
            long,
            value_name = "N",
            default_value_t = 50,
            value_parser = clap::value_parser!(u32).range(1..)
        )]
        limit: u32,
    },
    /// Read every chunk of a backup; ends with 5 where it is damaged
    #[command(after_help = "\
Examples:
  switchback backups verify latest
  switchback backups verify 20261126T174200Z-3fa29c --output json")]
    Verify {
        /// Id of the backup, or `latest`
        #[arg(value_name = "BACKUP", value_parser = NonEmptyStringValueParser::new())]
        backup: String,
    },
    /// Delete a backup, and the chunks that no other one needs
    #[command(after_help = "\
Asks first on a terminal; elsewhere, and with --output json, it must be told --yes.

Examples:
  switchback backups delete 20261126T174200Z-3fa29c
  switchback backups delete 20261126T174200Z-3fa29c --yes")]
    Delete(DeleteArgs),
    /// Delete the backups that no rule keeps; only says which, unless --confirm is given
    #[command(after_help = "\
A backup stays where at least one rule keeps it. Days, weeks and months are those of UTC; the newest
backup of each stays.

Examples:
  switchback backups prune --keep-last 7
  switchback backups prune --keep-daily 7 --keep-weekly 4 --keep-monthly 12
  switchback backups prune --keep-last 7 --confirm")]
    Prune(PruneArgs),
}

pub(crate) async fn run(session: &mut Session, command: BackupsCommand) -> Result<Exit> {
    match command {
        BackupsCommand::List { limit } => {
            list::run(session, usize::try_from(limit).unwrap_or(usize::MAX)).await
        }
        BackupsCommand::Verify { backup } => verify(session, &backup).await,
        BackupsCommand::Delete(args) => delete::run(session, args).await,
        BackupsCommand::Prune(args) => prune::run(session, args).await,
    }
}

async fn verify(session: &mut Session, backup: &str) -> Result<Exit> {
    let client = session.connect().await?;
    let backup_id = identified(session, &client, backup).await?;
    let request_id = Uuid::now_v7().to_string();
    let request = VerifyBackupRequest {
        database: session.database(),
        backup_id,
        request_id: request_id.clone(),
    };
    let followed = follow(session, &request_id, client.verify_backup(request)).await?;
    followed.print(session);
    Ok(followed.exit())
}

/// The id of the backup that was named; says which one `latest` is.
pub(crate) async fn identified(session: &Session, client: &Client, backup: &str) -> Result<String> {
    if backup != LATEST {
        return Ok(backup.to_owned());
    }
    let latest = client.latest_backup(&session.database()).await?;
    session.output.note(&told(&latest));
    Ok(latest.backup.backup_id)
}

/// A newer backup that is passed over is not passed over in silence.
fn told(latest: &LatestBackup) -> String {
    let LatestBackup { backup, passed_over } = latest;
    let mut text = format!(
        "the latest backup is {}, taken {} UTC",
        clean(&backup.backup_id),
        short_time(backup.created_at.as_ref())
    );
    if *passed_over > 0 {
        text = format!("{text}; {} cannot be restored", counted(*passed_over, "newer one"));
    }
    text
}

#[cfg(test)]
mod tests {
    use prost_types::Timestamp;
    use switchback_client::v1::BackupInfo;

    use super::*;

    #[test]
    fn newer_backups_that_are_passed_over_are_told() {
        let backup = BackupInfo {
            backup_id: "20260131T093000Z-3fa29c".to_owned(),
            created_at: Some(Timestamp { seconds: 1_769_851_800, nanos: 0 }),
            ..Default::default()
        };
        let mut latest = LatestBackup { backup, passed_over: 0 };
        let plain = "the latest backup is 20260131T093000Z-3fa29c, taken 2026-01-31 09:30:00 UTC";
        assert_eq!(told(&latest), plain);
        latest.passed_over = 2;
        assert_eq!(told(&latest), format!("{plain}; 2 newer ones cannot be restored"));
    }
}
