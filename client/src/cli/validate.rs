//! `validate`: compares both engines.

use switchback_client::{
    Result,
    exit::Exit,
    v1::{ValidateLevel, ValidateRequest},
};
use uuid::Uuid;

use super::{Session, args::ValidateArgs, follow::follow};

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
