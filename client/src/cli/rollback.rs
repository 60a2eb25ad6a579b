//! `rollback`: makes SQLite the active engine again, or says whether that would be tried.

use std::time::Duration;

use clap::Args as ArgsGroup;
use switchback_client::{Result, exit::Exit, v1::RollbackRequest};
use uuid::Uuid;

use super::{Session, cutover::deadline, follow::follow};

#[derive(Debug, ArgsGroup)]
pub(crate) struct RollbackArgs {
    /// Longest time to hold writers (500ms, 5s, 2m), at most 10m; then they go on in PostgreSQL
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = deadline)]
    deadline: Duration,
    /// Leave behind so many rows that SQLite cannot hold, and tables and columns that are new in
    /// PostgreSQL
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    accept_left_behind: u64,
    /// PostgreSQL is gone for good: go back to what was carried back until then
    #[arg(long, conflicts_with_all = ["dry_run", "accept_left_behind"])]
    from_last_drain: bool,
    /// With --from-last-drain: writes that PostgreSQL acknowledged since may be missing
    #[arg(long, requires = "from_last_drain")]
    accept_loss: bool,
    /// Only say whether it would be tried and how long writers would be held
    #[arg(long)]
    dry_run: bool,
}

pub(crate) async fn run(session: &mut Session, args: RollbackArgs) -> Result<Exit> {
    let client = session.connect().await?;
    let request_id = Uuid::now_v7().to_string();
    let request = RollbackRequest {
        database: session.database(),
        request_id: request_id.clone(),
        deadline_ms: u64::try_from(args.deadline.as_millis()).unwrap_or(u64::MAX),
        dry_run: args.dry_run,
        accept_unrepresentable: args.accept_left_behind,
        from_last_drain: args.from_last_drain,
        accept_loss: args.accept_loss,
    };
    let followed = follow(session, &request_id, client.rollback(request)).await?;
    followed.print(session);
    Ok(followed.exit())
}
