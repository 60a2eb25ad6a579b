//! One snapshot of a database, read on several connections, of tables that nobody can change.

use tokio_postgres::{Client, GenericClient, IsolationLevel, Transaction, error::SqlState};

use super::{NO_EXTENSION, SCHEMAS};
use crate::{
    db::postgres::{PooledConnection, Postgres, failed},
    dialect::ident::qualified,
    error::{Error, Reason, Result},
};

/// Connections that read rows side by side, besides the one that keeps the snapshot.
pub(super) const READERS: usize = 2;

const CONNECTIONS: u32 = 3;

/// What makes rows come in the order of the table, in the same form in each backup. Plans by
/// indexes or with workers would give them in another order, and so other chunks. Scans of a
/// table and of a range of its blocks have the same order.
const SETTINGS: &str = "SET LOCAL synchronize_seqscans = off; \
    SET LOCAL max_parallel_workers_per_gather = 0; SET LOCAL enable_seqscan = on; \
    SET LOCAL enable_tidscan = on; SET LOCAL enable_indexscan = off; \
    SET LOCAL enable_indexonlyscan = off; SET LOCAL enable_bitmapscan = off; \
    SET LOCAL search_path = pg_catalog; SET LOCAL lc_monetary = 'C'; \
    SELECT set_config(name, '0', true) FROM pg_settings WHERE name = 'transaction_timeout'";

/// The connections for a snapshot.
pub(super) struct Sessions {
    /// Of its own: a request to cancel may come late, and would hit whoever has the connection
    /// by then.
    pool: Postgres,
    coordinator: PooledConnection,
    readers: [PooledConnection; READERS],
}

/// A snapshot: what was committed when it was taken, and nothing else.
pub(super) struct Snapshot<'a> {
    /// By which other sessions may read it, as long as this lives.
    pub(super) id: String,
    pub(super) coordinator: Transaction<'a>,
    pub(super) readers: [Transaction<'a>; READERS],
}

/// A table as it is looked at before it is locked.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    oid: u32,
    schema: String,
    name: String,
    readable: bool,
    /// Row-level security would hide rows.
    filtered: bool,
}

impl Sessions {
    /// Makes connections to the same database.
    pub(super) async fn open(postgres: &Postgres) -> Result<Self> {
        let pool = postgres.apart(CONNECTIONS)?;
        let coordinator = pool.get().await?;
        let readers = [pool.get().await?, pool.get().await?];
        Ok(Self { pool, coordinator, readers })
    }

    /// Locks every table against DDL and takes the snapshot; `None` where tables were made or
    /// dropped at the same time, so that it has to be tried again.
    ///
    /// Readers take their locks at once: later, one of them could wait behind an ALTER TABLE that
    /// waits for the coordinator, and nobody would see that as a deadlock.
    pub(super) async fn snapshot(&mut self) -> Result<Option<Snapshot<'_>>> {
        let Self { coordinator, readers: [first, second], .. } = self;
        let Some((lock, coordinator)) = locked(coordinator).await? else { return Ok(None) };
        let row =
            coordinator.query_one("SELECT pg_export_snapshot()", &[]).await.map_err(failed)?;
        let id: String = row.get(0);
        coordinator.batch_execute(SETTINGS).await.map_err(failed)?;
        let first = reader(first, &id, &lock).await?;
        let second = reader(second, &id, &lock).await?;
        Ok(Some(Snapshot { id, coordinator, readers: [first, second] }))
    }

    /// Ends what still runs, after a failure or a cancellation.
    pub(super) async fn stop(self) {
        for client in self.readers.iter().chain([&self.coordinator]) {
            self.pool.cancel(client).await;
        }
    }
}

/// Locks the tables first, so that the snapshot shows them as they are from then on; with the
/// statement that locks them.
async fn locked(client: &mut Client) -> Result<Option<(String, Transaction<'_>)>> {
    let before = list(client).await?;
    refuse_unreadable(&before)?;
    let lock = lock(&before);
    let transaction = begin(client).await?;
    // Neither LOCK nor SET takes the snapshot: the next query does.
    match transaction.batch_execute(&lock).await {
        Ok(()) => {}
        Err(error) if is_gone(&error) => return Ok(None),
        Err(error) => return Err(failed(error)),
    }
    let unchanged = list(&transaction).await? == before;
    Ok(unchanged.then_some((lock, transaction)))
}

async fn reader<'a>(client: &'a mut Client, id: &str, lock: &str) -> Result<Transaction<'a>> {
    let transaction = begin(client).await?;
    let sql = format!("SET TRANSACTION SNAPSHOT '{id}'; {lock}; {SETTINGS}");
    transaction.batch_execute(&sql).await.map_err(failed)?;
    Ok(transaction)
}

async fn begin(client: &mut Client) -> Result<Transaction<'_>> {
    let builder = client.build_transaction().isolation_level(IsolationLevel::RepeatableRead);
    builder.read_only(true).start().await.map_err(failed)
}

async fn list(client: &impl GenericClient) -> Result<Vec<Seen>> {
    let sql = format!(
        "SELECT c.oid, n.nspname::text, c.relname::text, \
           has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT'), \
           row_security_active(c.oid) \
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
         WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND {SCHEMAS} AND {NO_EXTENSION} \
         ORDER BY n.nspname, c.relname"
    );
    let rows = client.query(&sql, &[]).await.map_err(failed)?;
    let seen = |row: &tokio_postgres::Row| Seen {
        oid: row.get(0),
        schema: row.get(1),
        name: row.get(2),
        readable: row.get(3),
        filtered: row.get(4),
    };
    Ok(rows.iter().map(seen).collect())
}

/// A backup that lacks a table, or rows of one, is none.
fn refuse_unreadable(tables: &[Seen]) -> Result<()> {
    let Some(table) = tables.iter().find(|table| !table.readable || table.filtered) else {
        return Ok(());
    };
    let (schema, name) = (&table.schema, &table.name);
    let (what, hint) = if table.readable {
        (
            "has row-level security that hides rows",
            "give the user of SWITCHBACK_POSTGRES BYPASSRLS, or make it the owner of the table",
        )
    } else {
        (
            "may not be read",
            "grant the user of SWITCHBACK_POSTGRES pg_read_all_data (from PostgreSQL 14), or USAGE \
             on the schema and SELECT on its tables",
        )
    };
    let message = format!("table {schema}.{name} {what}, so that it cannot be backed up");
    Err(Error::new(Reason::TargetPermission, message).hint(hint))
}

fn lock(tables: &[Seen]) -> String {
    let names: Vec<String> = tables
        .iter()
        .map(|table| format!("ONLY {}", qualified(&table.schema, &table.name)))
        .collect();
    if names.is_empty() {
        return String::new();
    }
    format!("LOCK TABLE {} IN ACCESS SHARE MODE", names.join(", "))
}

fn is_gone(error: &tokio_postgres::Error) -> bool {
    let gone = [SqlState::UNDEFINED_TABLE, SqlState::INVALID_SCHEMA_NAME];
    error.code().is_some_and(|code| gone.contains(code))
}
