//! The control database under the state directory: operations, their events, the active engines.

mod events;
mod moments;
mod samples;
mod schema;

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use sqlx::{
    Row, SqlitePool,
    sqlite::{
        SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteRow, SqliteSynchronous,
    },
};
use switchback_proto::{
    v1::{Engine, Finding, Operation, OperationError, OperationKind, OperationState, Phase},
    words::Word,
};

use crate::{
    clock,
    error::{Error, Reason, Result},
};

pub use events::End;

/// Writers of the control database are the event logs of a few operations.
const CONNECTIONS: u32 = 4;
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// The control database.
#[derive(Debug, Clone)]
pub struct ControlStore {
    pool: SqlitePool,
    known: Arc<Mutex<BTreeMap<String, DatabaseRecord>>>,
}

/// What is recorded about a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DatabaseRecord {
    /// The engine that applications write to.
    pub active: Engine,
    /// How often it has changed.
    pub epoch: u64,
    /// Where the database's migration is.
    pub phase: Phase,
}

impl Default for DatabaseRecord {
    fn default() -> Self {
        Self { active: Engine::Sqlite, epoch: 0, phase: Phase::Idle }
    }
}

/// A new operation.
#[derive(Debug, Clone)]
pub struct NewOperation {
    /// Its id.
    pub id: String,
    /// The database that it works on.
    pub database: String,
    /// What it does.
    pub kind: OperationKind,
    /// The caller's id; empty for none.
    pub request_id: String,
    /// The request as JSON.
    pub request: String,
}

/// An operation that a restart must take up again.
#[derive(Debug, Clone)]
pub struct StoredOperation {
    /// What callers see of it.
    pub operation: Operation,
    /// The request as JSON.
    pub request: String,
    /// The resume record as JSON; empty for none.
    pub journal: String,
    /// A caller has asked to cancel it.
    pub cancel_requested: bool,
}

fn failed(error: sqlx::Error) -> Error {
    let code = error.as_database_error().and_then(|error| error.code());
    let (reason, hint) = match code.as_deref() {
        // SQLITE_FULL, and SQLITE_IOERR_SHMSIZE where the log's index cannot grow.
        Some("13" | "4874") => {
            (Reason::StateFull, "free some space for the state directory (SWITCHBACK_STATE_DIR)")
        }
        // SQLITE_CORRUPT and SQLITE_NOTADB.
        Some("11" | "26") => (
            Reason::StateUnusable,
            "control.db in the state directory is damaged: put a copy of it back, or set \
             SWITCHBACK_STATE_DIR to an empty directory; PostgreSQL knows which engine is active",
        ),
        _ => (
            Reason::StateUnusable,
            "check the space and the rights of the state directory (SWITCHBACK_STATE_DIR)",
        ),
    };
    Error::new(reason, format!("the control database failed: {error}")).hint(hint).caused_by(error)
}

fn integer(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn count(row: &SqliteRow, column: &str) -> Result<u64> {
    let value: i64 = row.try_get(column).map_err(failed)?;
    Ok(u64::try_from(value).unwrap_or_default())
}

fn word<T: Word>(row: &SqliteRow, column: &str) -> Result<T> {
    let word: &str = row.try_get(column).map_err(failed)?;
    T::from_word(word).ok_or_else(|| {
        Error::new(
            Reason::StateUnusable,
            format!("the control database holds {word:?} as {column}"),
        )
        .hint("it was written by another version of the server: use that version")
    })
}

fn operation(row: &SqliteRow) -> Result<Operation> {
    let text = |column: &str| row.try_get::<String, _>(column).map_err(failed);
    let ended_at: Option<i64> = row.try_get("ended_at").map_err(failed)?;
    let reason = text("error_reason")?;
    let error = if reason.is_empty() {
        None
    } else {
        Some(OperationError { reason, message: text("error_message")?, hint: text("error_hint")? })
    };
    Ok(Operation {
        operation_id: text("id")?,
        database: text("database")?,
        kind: word::<OperationKind>(row, "kind")?.into(),
        state: word::<OperationState>(row, "state")?.into(),
        phase: word::<Phase>(row, "phase")?.into(),
        request_id: text("request_id")?,
        created_at: Some(clock::from_millis(row.try_get("created_at").map_err(failed)?)),
        ended_at: ended_at.map(clock::from_millis),
        error,
        last_sequence: count(row, "last_sequence")?,
        // Only who runs it knows.
        queued_behind: 0,
    })
}

/// The phase that an operation begins in.
fn first_phase(kind: OperationKind) -> Phase {
    match kind {
        OperationKind::Plan => Phase::Planning,
        OperationKind::Validate => Phase::Validating,
        _ => Phase::Idle,
    }
}

const OPERATION: &str = "SELECT o.*, \
    coalesce((SELECT max(e.sequence) FROM events e WHERE e.operation_id = o.id), 0) \
    AS last_sequence FROM operations o";

impl ControlStore {
    /// Id of this server, which stays the same as long as the control database does.
    pub async fn server_id(&self) -> Result<String> {
        let make = "INSERT INTO server (id) SELECT ? WHERE NOT EXISTS (SELECT 1 FROM server)";
        let id = uuid::Uuid::now_v7().to_string();
        sqlx::query(make).bind(id).execute(&self.pool).await.map_err(failed)?;
        sqlx::query_scalar("SELECT id FROM server").fetch_one(&self.pool).await.map_err(failed)
    }

    /// Opens the control database in a directory, makes it where it is missing, and brings its
    /// tables up to this version.
    pub async fn open(directory: &Path) -> Result<Self> {
        let options = SqliteConnectOptions::new()
            .filename(directory.join("control.db"))
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(BUSY_TIMEOUT);
        let pool = SqlitePoolOptions::new()
            .max_connections(CONNECTIONS)
            .connect_with(options)
            .await
            .map_err(failed)?;
        schema::bring_up(&pool).await?;
        Ok(Self { pool, known: Arc::default() })
    }

    /// Closes the connections.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    /// What is recorded about a database; the default where nothing is.
    pub async fn database(&self, name: &str) -> Result<DatabaseRecord> {
        let row = sqlx::query("SELECT * FROM databases WHERE name = ?")
            .bind(name)
            .fetch_optional(&self.pool)
            .await
            .map_err(failed)?;
        let record = match row {
            None => DatabaseRecord::default(),
            Some(row) => DatabaseRecord {
                active: word(&row, "active_engine")?,
                epoch: count(&row, "epoch")?,
                phase: word(&row, "phase")?,
            },
        };
        self.remember(name, record);
        Ok(record)
    }

    /// What was read or recorded last, for whoever cannot wait for an answer.
    pub fn known(&self, name: &str) -> Option<DatabaseRecord> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).get(name).copied()
    }

    fn remember(&self, name: &str, record: DatabaseRecord) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(name.to_owned(), record);
    }

    /// Records that a database needs a person, and why.
    pub async fn halt(&self, name: &str, why: &Finding) -> Result<()> {
        let why = serde_json::to_string(why).map_err(|error| {
            Error::new(Reason::Internal, "a finding has no JSON form").caused_by(error)
        })?;
        sqlx::query(
            "INSERT INTO databases (name, active_engine, epoch, phase, halted_by) \
             VALUES (?, 'sqlite', 0, ?, ?) ON CONFLICT (name) DO UPDATE SET \
             phase = excluded.phase, halted_by = excluded.halted_by",
        )
        .bind(name)
        .bind(Phase::Halted.word())
        .bind(why)
        .execute(&self.pool)
        .await
        .map_err(failed)?;
        Ok(())
    }

    /// Why a database is halted; `None` where it is not.
    pub async fn halted_by(&self, name: &str) -> Result<Option<Finding>> {
        let why: Option<String> =
            sqlx::query_scalar("SELECT halted_by FROM databases WHERE name = ?")
                .bind(name)
                .fetch_optional(&self.pool)
                .await
                .map_err(failed)?;
        // What another version has written says no more than the phase does.
        Ok(why.and_then(|why| serde_json::from_str(&why).ok()))
    }

    /// Records the active engine, the epoch and the phase of a database, which is not halted.
    pub async fn set_database(&self, name: &str, record: DatabaseRecord) -> Result<()> {
        sqlx::query(
            "INSERT INTO databases (name, active_engine, epoch, phase) VALUES (?, ?, ?, ?) \
             ON CONFLICT (name) DO UPDATE SET active_engine = excluded.active_engine, \
             epoch = excluded.epoch, phase = excluded.phase, halted_by = ''",
        )
        .bind(name)
        .bind(record.active.word())
        .bind(integer(record.epoch))
        .bind(record.phase.word())
        .execute(&self.pool)
        .await
        .map_err(failed)?;
        self.remember(name, record);
        Ok(())
    }

    /// Records a new operation as running.
    pub async fn insert_operation(&self, new: &NewOperation) -> Result<()> {
        sqlx::query(
            "INSERT INTO operations (id, database, kind, state, phase, request_id, request, created_at) \
             VALUES (?, ?, ?, 'running', ?, ?, ?, ?)",
        )
        .bind(&new.id)
        .bind(&new.database)
        .bind(new.kind.word())
        .bind(first_phase(new.kind).word())
        .bind(&new.request_id)
        .bind(&new.request)
        .bind(clock::now_millis())
        .execute(&self.pool)
        .await
        .map_err(failed)?;
        Ok(())
    }

    /// An operation by its id.
    pub async fn operation(&self, id: &str) -> Result<Option<Operation>> {
        self.one(" WHERE o.id = ?", &[id]).await
    }

    /// The operation that a request started.
    pub async fn by_request(&self, database: &str, request_id: &str) -> Result<Option<Operation>> {
        self.one(" WHERE o.database = ? AND o.request_id = ?", &[database, request_id]).await
    }

    /// The running changing operation of a database, or else its newest operation.
    pub async fn newest(&self, database: &str) -> Result<Option<Operation>> {
        let order = " WHERE o.database = ? \
            ORDER BY (o.state = 'running' AND o.kind NOT IN ('plan', 'validate') \
            AND NOT coalesce(o.request ->> 'dry_run', 0)) DESC, o.id DESC LIMIT 1";
        self.one(order, &[database]).await
    }

    async fn one(&self, condition: &str, values: &[&str]) -> Result<Option<Operation>> {
        let mut query = sqlx::query(sqlx::AssertSqlSafe(format!("{OPERATION}{condition}")));
        for value in values {
            query = query.bind((*value).to_owned());
        }
        let row = query.fetch_optional(&self.pool).await.map_err(failed)?;
        row.as_ref().map(operation).transpose()
    }

    /// A page of operations, newest first, that are older than the id `before` (empty for none).
    pub async fn list(&self, database: &str, before: &str, limit: u32) -> Result<Vec<Operation>> {
        let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
            "{OPERATION} WHERE (?1 = '' OR o.database = ?1) AND (?2 = '' OR o.id < ?2) \
             ORDER BY o.id DESC LIMIT ?3"
        )))
        .bind(database)
        .bind(before)
        .bind(limit)
        .fetch_all(&self.pool)
        .await
        .map_err(failed)?;
        rows.iter().map(operation).collect()
    }

    /// Operations that were running when the server stopped, oldest first.
    pub async fn unfinished(&self) -> Result<Vec<StoredOperation>> {
        let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
            "{OPERATION} WHERE o.state = 'running' ORDER BY o.id"
        )))
        .fetch_all(&self.pool)
        .await
        .map_err(failed)?;
        let stored = rows.iter().map(|row| {
            Ok(StoredOperation {
                operation: operation(row)?,
                request: row.try_get("request").map_err(failed)?,
                journal: row.try_get("journal").map_err(failed)?,
                cancel_requested: row.try_get("cancel_requested").map_err(failed)?,
            })
        });
        stored.collect()
    }

    /// Records that an operation is to be cancelled.
    pub async fn request_cancel(&self, id: &str) -> Result<()> {
        sqlx::query("UPDATE operations SET cancel_requested = 1 WHERE id = ?")
            .bind(id)
            .execute(&self.pool)
            .await
            .map_err(failed)?;
        Ok(())
    }

    /// Records which phase of an operation comes next and what it has settled, in one commit.
    pub async fn checkpoint(&self, id: &str, phase: Phase, journal: &str) -> Result<()> {
        sqlx::query("UPDATE operations SET phase = ?, journal = ? WHERE id = ?")
            .bind(phase.word())
            .bind(journal)
            .bind(id)
            .execute(&self.pool)
            .await
            .map_err(failed)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
