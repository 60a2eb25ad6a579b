//! `backup`: stores the data of the active engine.

use switchback_client::{Result, exit::Exit, v1::BackupRequest};
use uuid::Uuid;

use super::{Session, follow::follow};

pub(crate) async fn run(session: &mut Session) -> Result<Exit> {
    let client = session.connect().await?;
    let request_id = Uuid::now_v7().to_string();
    let request = BackupRequest { database: session.database(), request_id: request_id.clone() };
    let followed = follow(session, &request_id, client.backup(request)).await?;
    followed.print(session);
    Ok(followed.exit())
}
