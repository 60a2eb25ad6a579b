//! Events of operations, in the control database.

use sqlx::{Connection, Row, SqliteConnection, pool::PoolConnection, sqlite::SqliteRow};
use switchback_proto::{
    v1::{OperationError, OperationEvent, OperationState},
    words::word_of,
};

use super::{ControlStore, failed, integer};
use crate::{
    clock,
    error::{Error, Reason, Result},
};

/// How an operation ended.
#[derive(Debug, Clone, Copy)]
pub struct End<'a> {
    /// Its last state.
    pub state: OperationState,
    /// Why it did not succeed.
    pub error: Option<&'a OperationError>,
    /// Its last event.
    pub event: &'a OperationEvent,
}

impl ControlStore {
    /// Stores events, in one commit.
    pub async fn append_events(&self, id: &str, events: &[(OperationEvent, bool)]) -> Result<()> {
        let mut connection = self.pool.acquire().await.map_err(failed)?;
        let stored = append(&mut connection, id, events).await;
        used(connection, stored)
    }

    /// Events from a number on, in order.
    pub async fn events(&self, id: &str, from: u64, limit: u32) -> Result<Vec<OperationEvent>> {
        let rows = sqlx::query(
            "SELECT event FROM events WHERE operation_id = ? AND sequence >= ? \
             ORDER BY sequence LIMIT ?",
        )
        .bind(id)
        .bind(integer(from))
        .bind(limit)
        .fetch_all(&self.pool)
        .await
        .map_err(failed)?;
        let decode = |row: &SqliteRow| {
            let bytes: &[u8] = row.try_get("event").map_err(failed)?;
            prost::Message::decode(bytes).map_err(|error| {
                Error::new(Reason::StateUnusable, "the control database holds a broken event")
                    .caused_by(error)
            })
        };
        rows.iter().map(decode).collect()
    }

    /// Lets an operation run again that has ended here and goes on from what another server did.
    pub async fn reopen_operation(&self, id: &str) -> Result<()> {
        let sql = "UPDATE operations SET state = 'running', ended_at = NULL, error_reason = '', \
                     error_message = '', error_hint = '' WHERE id = ?";
        sqlx::query(sql).bind(id).execute(&self.pool).await.map(drop).map_err(failed)
    }

    /// Ends an operation: its state, its last event, and the removal of overtaken progress, in
    /// one commit.
    pub async fn end_operation(&self, id: &str, last: End<'_>) -> Result<()> {
        let mut connection = self.pool.acquire().await.map_err(failed)?;
        let stored = end(&mut connection, id, last).await;
        used(connection, stored)
    }
}

/// SQLite itself rolls back where the disk is full. sqlx does not notice, and would from then on
/// take a savepoint for a transaction and never let go of the write lock: such a connection is not
/// used again.
fn used(mut connection: PoolConnection<sqlx::Sqlite>, stored: sqlx::Result<()>) -> Result<()> {
    if stored.is_err() {
        connection.close_on_drop();
    }
    stored.map_err(failed)
}

async fn append(
    connection: &mut SqliteConnection,
    id: &str,
    events: &[(OperationEvent, bool)],
) -> sqlx::Result<()> {
    let mut transaction = connection.begin().await?;
    for (event, transient) in events {
        sqlx::query(
            "INSERT INTO events (operation_id, sequence, transient, event) VALUES (?, ?, ?, ?)",
        )
        .bind(id)
        .bind(integer(event.sequence))
        .bind(transient)
        .bind(prost::Message::encode_to_vec(event))
        .execute(&mut *transaction)
        .await?;
    }
    transaction.commit().await
}

async fn end(connection: &mut SqliteConnection, id: &str, last: End<'_>) -> sqlx::Result<()> {
    let mut transaction = connection.begin().await?;
    let none = OperationError::default();
    let error = last.error.unwrap_or(&none);
    sqlx::query(
        "UPDATE operations SET state = ?, error_reason = ?, error_message = ?, \
         error_hint = ?, ended_at = ? WHERE id = ?",
    )
    .bind(word_of::<OperationState>(last.state.into()))
    .bind(&error.reason)
    .bind(&error.message)
    .bind(&error.hint)
    .bind(clock::now_millis())
    .bind(id)
    .execute(&mut *transaction)
    .await?;
    sqlx::query("DELETE FROM events WHERE operation_id = ? AND transient")
        .bind(id)
        .execute(&mut *transaction)
        .await?;
    sqlx::query(
        "INSERT INTO events (operation_id, sequence, transient, event) VALUES (?, ?, 0, ?)",
    )
    .bind(id)
    .bind(integer(last.event.sequence))
    .bind(prost::Message::encode_to_vec(last.event))
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await
}
