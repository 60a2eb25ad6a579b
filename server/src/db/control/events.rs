//! Events of operations, in the control database.

use futures_util::TryStreamExt;
use sqlx::{Connection, Row, SqliteConnection, pool::PoolConnection, sqlite::SqliteRow};
use switchback_proto::{
    v1::{OperationError, OperationEvent, OperationState},
    words::word_of,
};

use super::{ControlStore, failed, integer, samples::Samples};
use crate::{
    clock,
    error::{Error, Reason, Result},
};

/// Ended operations of one kind on one database that keep their samples, the newest: the control
/// database must not grow with every backup on schedule.
const WITH_SAMPLES: i64 = 20;

/// Each end takes the samples of the one operation that is a place too old; more of them are there
/// where an earlier version left them.
const FORGOTTEN_AT_ONCE: i64 = 50;

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
        let decoded = |row| {
            decode(row).map_err(failed)?.map_err(|error| {
                Error::new(Reason::StateUnusable, "the control database holds a broken event")
                    .caused_by(error)
            })
        };
        rows.iter().map(decoded).collect()
    }

    /// Leaves of an operation's progress, lag and waits only so many as show them over time.
    /// Numbers of events stay.
    pub async fn thin_events(&self, id: &str) -> Result<()> {
        let mut connection = self.pool.acquire().await.map_err(failed)?;
        let thinned = async {
            // It writes what it has read.
            let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
            thin(&mut transaction, id).await?;
            transaction.commit().await
        };
        let thinned = thinned.await;
        used(connection, thinned)
    }

    /// Lets an operation run again that has ended here and goes on from what another server did.
    pub async fn reopen_operation(&self, id: &str) -> Result<()> {
        let sql = "UPDATE operations SET state = 'running', ended_at = NULL, error_reason = '', \
                     error_message = '', error_hint = '' WHERE id = ?";
        sqlx::query(sql).bind(id).execute(&self.pool).await.map(drop).map_err(failed)
    }

    /// Ends an operation: its state, its last event, and how many of its samples stay, in one
    /// commit.
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
    thin(&mut transaction, id).await?;
    forget(&mut transaction, id).await?;
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

fn decode(row: &SqliteRow) -> sqlx::Result<Result<OperationEvent, prost::DecodeError>> {
    Ok(prost::Message::decode(row.try_get::<&[u8], _>("event")?))
}

/// One event at a time is in memory.
async fn thin(connection: &mut SqliteConnection, id: &str) -> sqlx::Result<()> {
    let mut samples = Samples::default();
    let sql = "SELECT event FROM events WHERE operation_id = ? ORDER BY sequence";
    let mut rows = sqlx::query(sql).bind(id).fetch(&mut *connection);
    while let Some(row) = rows.try_next().await? {
        // What is broken is no sample that anyone could read.
        if let Ok(event) = decode(&row)? {
            samples.take(&event);
        }
    }
    drop(rows);
    let kept: Vec<u64> = samples.kept().into_iter().collect();
    sqlx::query(
        "DELETE FROM events WHERE operation_id = ? AND transient \
         AND sequence NOT IN (SELECT value FROM json_each(?))",
    )
    .bind(id)
    .bind(serde_json::Value::from(kept).to_string())
    .execute(&mut *connection)
    .await
    .map(drop)
}

/// Takes the samples of operations that many others of their kind have followed.
async fn forget(connection: &mut SqliteConnection, id: &str) -> sqlx::Result<()> {
    sqlx::query(
        "DELETE FROM events WHERE transient AND operation_id IN \
         (SELECT o.id FROM operations o JOIN operations this \
         ON this.database = o.database AND this.kind = o.kind \
         WHERE this.id = ? AND o.state <> 'running' ORDER BY o.id DESC LIMIT ? OFFSET ?)",
    )
    .bind(id)
    .bind(FORGOTTEN_AT_ONCE)
    .bind(WITH_SAMPLES)
    .execute(&mut *connection)
    .await
    .map(drop)
}
