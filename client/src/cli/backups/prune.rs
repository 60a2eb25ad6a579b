//! `backups prune`: deletes what no rule keeps.

use std::{cmp::Reverse, num::NonZeroU32};

use clap::{ArgGroup, Args as ArgsGroup};
use serde::Serialize;
use switchback_client::{
    Result,
    exit::Exit,
    v1::{KeptBackup, PruneBackupsRequest, PruneBackupsResponse},
};

use super::{Session, delete::chunks};
use crate::cli::output::{
    Grid,
    format::{count, counted},
};

/// Without a rule every backup would go; a rule of 0 is none.
#[derive(Debug, ArgsGroup)]
#[command(group = ArgGroup::new("rules").required(true).multiple(true))]
pub(crate) struct PruneArgs {
    /// Keep the newest ones
    #[arg(long, value_name = "N", group = "rules")]
    keep_last: Option<NonZeroU32>,
    /// Keep the newest one of each of the last days that have any
    #[arg(long, value_name = "N", group = "rules")]
    keep_daily: Option<NonZeroU32>,
    /// Keep the newest one of each of the last weeks that have any
    #[arg(long, value_name = "N", group = "rules")]
    keep_weekly: Option<NonZeroU32>,
    /// Keep the newest one of each of the last months that have any
    #[arg(long, value_name = "N", group = "rules")]
    keep_monthly: Option<NonZeroU32>,
    /// Delete; without it, only say what would be deleted
    #[arg(long)]
    confirm: bool,
}

impl PruneArgs {
    fn request(&self, database: String) -> PruneBackupsRequest {
        let number = |rule: Option<NonZeroU32>| rule.map_or(0, NonZeroU32::get);
        PruneBackupsRequest {
            database,
            keep_last: number(self.keep_last),
            keep_daily: number(self.keep_daily),
            keep_weekly: number(self.keep_weekly),
            keep_monthly: number(self.keep_monthly),
            confirm: self.confirm,
        }
    }

    /// The command that deletes what this one has only told.
    fn confirming(&self) -> String {
        let mut command = "backups prune".to_owned();
        for (flag, rule) in [
            ("--keep-last", self.keep_last),
            ("--keep-daily", self.keep_daily),
            ("--keep-weekly", self.keep_weekly),
            ("--keep-monthly", self.keep_monthly),
        ] {
            if let Some(number) = rule {
                command = format!("{command} {flag} {number}");
            }
        }
        command + " --confirm"
    }
}

/// The JSON object.
#[derive(Serialize)]
struct Pruned<'a> {
    deleted: bool,
    backup_ids: &'a [String],
    kept: Vec<Kept<'a>>,
    chunks_deleted: u64,
    swept: bool,
}

#[derive(Serialize)]
struct Kept<'a> {
    backup_id: &'a str,
    rules: &'a [String],
}

impl<'a> Pruned<'a> {
    fn of(response: &'a PruneBackupsResponse) -> Self {
        let kept = |kept: &'a KeptBackup| Kept { backup_id: &kept.backup_id, rules: &kept.rules };
        Self {
            deleted: response.deleted,
            backup_ids: &response.backup_ids,
            kept: response.kept.iter().map(kept).collect(),
            chunks_deleted: response.chunks_deleted,
            swept: response.swept,
        }
    }
}

pub(super) async fn run(session: &mut Session, args: PruneArgs) -> Result<Exit> {
    let database = session.database();
    let client = session.connect().await?;
    let response = client.prune_backups(args.request(database.clone())).await?;
    if session.output.is_json() {
        session.output.json(&Pruned::of(&response));
    } else {
        session.output.text(&table(&response));
        session.output.line(&summary(&response));
    }
    if !response.deleted && !response.backup_ids.is_empty() {
        let command = session.command_on(&database, &args.confirming());
        session.output.note(&format!("delete them with `{command}`"));
    }
    Ok(Exit::Done)
}

/// Every backup, newest first: an id begins with its time.
fn table(response: &PruneBackupsResponse) -> String {
    let gone = if response.deleted { "deleted" } else { "would be deleted" };
    let mut rows: Vec<_> = response
        .kept
        .iter()
        .map(|kept| (kept.backup_id.as_str(), "kept", kept.rules.join(", ")))
        .chain(response.backup_ids.iter().map(|id| (id.as_str(), gone, String::new())))
        .collect();
    if rows.is_empty() {
        return String::new();
    }
    rows.sort_unstable_by_key(|(id, ..)| Reverse(*id));
    let mut grid = Grid::new(["BACKUP", "", "RULES"]);
    for (id, what, rules) in rows {
        grid.row([id, what, &rules]);
    }
    grid.to_string()
}

fn summary(response: &PruneBackupsResponse) -> String {
    let number = |number| u64::try_from(number).unwrap_or(u64::MAX);
    let gone = number(response.backup_ids.len());
    let all = number(response.kept.len()).saturating_add(gone);
    let share = format!("{} of {}", count(gone), counted(all, "backup"));
    if response.deleted {
        format!("{share} deleted, {}", chunks(response.chunks_deleted, response.swept))
    } else {
        format!("dry run: {share} would be deleted")
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use serde_json::json;

    use super::{super::BackupsCommand, *};
    use crate::cli::args::{Args, Command};

    fn args(arguments: &[&str]) -> PruneArgs {
        let arguments = ["switchback", "backups", "prune"].iter().chain(arguments);
        match Args::try_parse_from(arguments).unwrap().command {
            Command::Backups(BackupsCommand::Prune(args)) => args,
            other => panic!("{other:?}"),
        }
    }

    fn response(deleted: bool) -> PruneBackupsResponse {
        let kept = |id: &str, rules: &[&str]| KeptBackup {
            backup_id: id.to_owned(),
            rules: rules.iter().map(|rule| (*rule).to_owned()).collect(),
        };
        PruneBackupsResponse {
            backup_ids: vec!["20260102T000000Z-000002".to_owned()],
            deleted,
            kept: vec![
                kept("20260103T000000Z-000003", &["last", "daily"]),
                kept("20260101T000000Z-000001", &["monthly"]),
            ],
            chunks_deleted: if deleted { 12 } else { 0 },
            swept: deleted,
        }
    }

    #[test]
    fn it_is_a_dry_run_unless_confirmed() {
        let dry = args(&["--keep-daily", "7", "--keep-last", "3"]);
        let request = PruneBackupsRequest {
            database: "shop".to_owned(),
            keep_last: 3,
            keep_daily: 7,
            ..Default::default()
        };
        assert_eq!(dry.request("shop".to_owned()), request);
        assert_eq!(dry.confirming(), "backups prune --keep-last 3 --keep-daily 7 --confirm");
        let confirmed = args(&["--keep-weekly", "4", "--keep-monthly", "12", "--confirm"]);
        let request = PruneBackupsRequest {
            database: "shop".to_owned(),
            keep_weekly: 4,
            keep_monthly: 12,
            confirm: true,
            ..Default::default()
        };
        assert_eq!(confirmed.request("shop".to_owned()), request);
    }

    #[test]
    fn the_table_says_what_stays_and_why() {
        assert_eq!(
            table(&response(false)),
            "BACKUP                                     RULES\n\
             20260103T000000Z-000003  kept              last, daily\n\
             20260102T000000Z-000002  would be deleted\n\
             20260101T000000Z-000001  kept              monthly\n"
        );
        assert_eq!(summary(&response(false)), "dry run: 1 of 3 backups would be deleted");
        assert!(table(&response(true)).contains("20260102T000000Z-000002  deleted\n"));
        assert_eq!(
            summary(&response(true)),
            "1 of 3 backups deleted, 12 chunks removed from the store"
        );
        assert_eq!(table(&PruneBackupsResponse::default()), "");
    }

    #[test]
    fn the_json_object_says_whether_anything_was_deleted() {
        assert_eq!(
            serde_json::to_value(Pruned::of(&response(false))).unwrap(),
            json!({
                "deleted": false,
                "backup_ids": ["20260102T000000Z-000002"],
                "kept": [
                    {"backup_id": "20260103T000000Z-000003", "rules": ["last", "daily"]},
                    {"backup_id": "20260101T000000Z-000001", "rules": ["monthly"]},
                ],
                "chunks_deleted": 0,
                "swept": false,
            })
        );
    }
}
