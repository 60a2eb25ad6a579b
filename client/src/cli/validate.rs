//! `validate`: compares both engines.

use clap::{Args as ArgsGroup, ValueEnum};
use switchback_client::{
    Result,
    exit::Exit,
    v1::{ValidateLevel, ValidateRequest},
};
use uuid::Uuid;

use super::{Session, follow::follow};

#[derive(Debug, ArgsGroup)]
pub(crate) struct ValidateArgs {
    /// Row counts and schema, or every byte of every row
    #[arg(long, value_enum, default_value = "exact", value_name = "LEVEL")]
    pub(crate) level: Level,
    /// Compare only this table (its name in the source); may be given several times
    #[arg(long = "table", value_name = "T")]
    pub(crate) tables: Vec<String>,
    /// Differences named for each table, at most 1000
    #[arg(
        long,
        value_name = "N",
        default_value_t = 20,
        value_parser = clap::value_parser!(u32).range(1..=1000)
    )]
    pub(crate) max_differences: u32,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Level {
    Counts,
    Exact,
}

impl From<Level> for ValidateLevel {
    fn from(level: Level) -> Self {
        match level {
            Level::Counts => Self::Counts,
            Level::Exact => Self::Exact,
        }
    }
}

pub(crate) async fn run(session: &mut Session, args: ValidateArgs) -> Result<Exit> {
    let client = session.connect().await?;
    let request_id = Uuid::now_v7().to_string();
    let request = ValidateRequest {
        database: session.database(),
        request_id: request_id.clone(),
        level: ValidateLevel::from(args.level).into(),
        tables: args.tables,
        max_differences: args.max_differences,
    };
    let followed = follow(session, &request_id, client.validate(request)).await?;
    followed.print(session);
    Ok(followed.exit())
}
