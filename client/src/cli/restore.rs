//! `restore`: brings a backup back.

use clap::{Args as ArgsGroup, ValueEnum, builder::NonEmptyStringValueParser};
use switchback_client::{
    Result,
    exit::Exit,
    v1::{Engine, RestoreRequest},
};
use uuid::Uuid;

use super::{Session, backups::identified, follow::follow};

#[derive(Debug, ArgsGroup)]
pub(crate) struct RestoreArgs {
    /// Id of the backup, or `latest`
    #[arg(value_name = "BACKUP", value_parser = NonEmptyStringValueParser::new())]
    backup: String,
    /// Restore to a new file or database of this name: letters, digits, `-` and `_`
    // An empty name would restore in place.
    #[arg(
        long = "as",
        value_name = "NAME",
        value_parser = NonEmptyStringValueParser::new(),
        conflicts_with = "overwrite"
    )]
    restore_as: Option<String>,
    /// Restore only this table: its name, or schema.name for PostgreSQL
    // An empty name would restore every table.
    #[arg(long, value_name = "T", value_parser = NonEmptyStringValueParser::new())]
    table: Option<String>,
    /// Restore rows into this engine instead of the backup's own
    #[arg(long, value_enum, value_name = "ENGINE")]
    into: Option<Into>,
    /// Restore in place: replace what is there, after a backup of it
    #[arg(long)]
    overwrite: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Into {
    Sqlite,
    Postgres,
}

impl RestoreArgs {
    /// As the server takes it; whether it may is the server's decision.
    fn into_request(
        self,
        database: String,
        backup_id: String,
        request_id: String,
    ) -> RestoreRequest {
        let into_engine = match self.into {
            None => Engine::Unspecified,
            Some(Into::Sqlite) => Engine::Sqlite,
            Some(Into::Postgres) => Engine::Postgres,
        };
        RestoreRequest {
            database,
            request_id,
            backup_id,
            restore_as: self.restore_as.unwrap_or_default(),
            table: self.table.unwrap_or_default(),
            into_engine: into_engine.into(),
            overwrite: self.overwrite,
        }
    }
}

pub(crate) async fn run(session: &mut Session, args: RestoreArgs) -> Result<Exit> {
    let client = session.connect().await?;
    let backup_id = identified(session, &client, &args.backup).await?;
    let request_id = Uuid::now_v7().to_string();
    let request = args.into_request(session.database(), backup_id, request_id.clone());
    let followed = follow(session, &request_id, client.restore(request)).await?;
    followed.print(session);
    Ok(followed.exit())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::args::{Args, Command};

    fn request(arguments: &[&str]) -> RestoreRequest {
        let args = ["switchback", "restore", "b"].iter().chain(arguments);
        let Command::Restore(args) = Args::try_parse_from(args).unwrap().command else {
            panic!("not a restoration")
        };
        assert_eq!(args.backup, "b");
        args.into_request("shop".to_owned(), "20261126T174200Z-3fa29c".to_owned(), "r".to_owned())
    }

    #[test]
    fn nothing_is_replaced_unless_asked_for() {
        let plain = RestoreRequest {
            database: "shop".to_owned(),
            request_id: "r".to_owned(),
            backup_id: "20261126T174200Z-3fa29c".to_owned(),
            ..Default::default()
        };
        assert_eq!(request(&[]), plain);
        let overwriting = RestoreRequest { overwrite: true, ..plain.clone() };
        assert_eq!(request(&["--overwrite"]), overwriting);
        let beside = RestoreRequest {
            restore_as: "copy".to_owned(),
            table: "public.users".to_owned(),
            into_engine: Engine::Sqlite.into(),
            ..plain
        };
        let arguments = ["--as", "copy", "--table", "public.users", "--into", "sqlite"];
        assert_eq!(request(&arguments), beside);
    }
}
