//! `finalize`: ends reverse replication.

use clap::{Args as ArgsGroup, ValueEnum};
use switchback_client::{
    Result,
    exit::Exit,
    v1::{FinalizeRequest, KeepSource},
};
use uuid::Uuid;

use super::{Session, follow::follow};

#[derive(Debug, ArgsGroup)]
pub(crate) struct FinalizeArgs {
    /// How the SQLite file is left
    #[arg(long, value_enum, default_value = "fenced", value_name = "HOW")]
    keep_source: Keep,
    /// Finalize although the last comparison is old, and without carrying back what waits
    #[arg(long)]
    force: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Keep {
    Fenced,
    Sealed,
    Clean,
}

pub(crate) async fn run(session: &mut Session, args: FinalizeArgs) -> Result<Exit> {
    let client = session.connect().await?;
    let request_id = Uuid::now_v7().to_string();
    let keep_source = match args.keep_source {
        Keep::Fenced => KeepSource::Fenced,
        Keep::Sealed => KeepSource::Sealed,
        Keep::Clean => KeepSource::Clean,
    };
    let request = FinalizeRequest {
        database: session.database(),
        request_id: request_id.clone(),
        keep_source: keep_source.into(),
        force: args.force,
    };
    let followed = follow(session, &request_id, client.finalize(request)).await?;
    followed.print(session);
    Ok(followed.exit())
}
