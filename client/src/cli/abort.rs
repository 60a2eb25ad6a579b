//! `abort`: undoes a migration that has not been cut over.

use switchback_client::{Result, exit::Exit, v1::AbortRequest};
use uuid::Uuid;

use super::{Session, follow::follow};

pub(crate) async fn run(session: &mut Session) -> Result<Exit> {
    let client = session.connect().await?;
    let request_id = Uuid::now_v7().to_string();
    let request = AbortRequest { database: session.database(), request_id: request_id.clone() };
    let followed = follow(session, &request_id, client.abort(request)).await?;
    followed.print(session);
    Ok(followed.exit())
}
