//! `backups delete`: deletes one backup, for good.

use std::io::{self, IsTerminal, Write};

use clap::{Args as ArgsGroup, builder::NonEmptyStringValueParser};
use serde::Serialize;
use switchback_client::{
    Error, Result,
    exit::Exit,
    v1::{DeleteBackupRequest, DeleteBackupResponse},
};

use super::{Session, identified};
use crate::cli::output::format::{clean, counted};

#[derive(Debug, ArgsGroup)]
pub(crate) struct DeleteArgs {
    /// Id of the backup, or `latest`
    #[arg(value_name = "BACKUP", value_parser = NonEmptyStringValueParser::new())]
    backup: String,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

/// The JSON object.
#[derive(Serialize)]
struct Deleted<'a> {
    backup_id: &'a str,
    chunks_deleted: u64,
    swept: bool,
}

pub(super) async fn run(session: &mut Session, args: DeleteArgs) -> Result<Exit> {
    if !args.yes && !may_ask(session) {
        return Err(not_confirmed("a backup is deleted for good, and nobody can be asked here")
            .with_hint("give --yes"));
    }
    let client = session.connect().await?;
    let database = session.database();
    let backup_id = identified(session, &client, &args.backup).await?;
    if !args.yes {
        ask(&format!("delete backup {} of {} for good?", clean(&backup_id), clean(&database)))?;
    }
    let request = DeleteBackupRequest { database, backup_id: backup_id.clone() };
    let response = client.delete_backup(request).await?;
    if session.output.is_json() {
        let DeleteBackupResponse { chunks_deleted, swept } = response;
        session.output.json(&Deleted { backup_id: &backup_id, chunks_deleted, swept });
    } else {
        session.output.line(&format!(
            "backup {} deleted, {}",
            clean(&backup_id),
            chunks(response.chunks_deleted, response.swept)
        ));
    }
    Ok(Exit::Done)
}

/// What became of the chunks that no other backup needs.
pub(super) fn chunks(deleted: u64, swept: bool) -> String {
    if swept {
        format!("{} removed from the store", counted(deleted, "chunk"))
    } else {
        "chunks stay until the next deletion: a backup runs, or a manifest cannot be read (the \
         server's log says which)"
            .to_owned()
    }
}

/// A person reads the question and can answer.
fn may_ask(session: &Session) -> bool {
    !session.output.is_json() && io::stdin().is_terminal() && io::stderr().is_terminal()
}

fn ask(question: &str) -> Result<()> {
    let mut stderr = io::stderr().lock();
    let asked = write!(stderr, "{question} [y/N] ").and_then(|()| stderr.flush());
    let mut answer = String::new();
    let answered = asked.and_then(|()| io::stdin().read_line(&mut answer));
    if answered.is_ok() && is_yes(&answer) {
        Ok(())
    } else {
        Err(not_confirmed("nothing was deleted"))
    }
}

fn is_yes(answer: &str) -> bool {
    matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes")
}

fn not_confirmed(message: &str) -> Error {
    Error::new("NOT_CONFIRMED", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_yes_is_a_yes() {
        for yes in ["y\n", "Yes\r\n", " y "] {
            assert!(is_yes(yes), "{yes:?}");
        }
        for no in ["", "\n", "n\n", "yeah\n", "20261126T174200Z-3fa29c\n"] {
            assert!(!is_yes(no), "{no:?}");
        }
    }

    #[test]
    fn chunks_that_stay_are_told() {
        assert_eq!(chunks(1, true), "1 chunk removed from the store");
        assert!(
            chunks(0, false).starts_with("chunks stay until the next deletion: a backup runs, or")
        );
    }
}
