//! Rows into PostgreSQL: a table at a time on each of two connections.

use std::{
    pin::pin,
    sync::{Mutex, PoisonError},
};

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt, TryStreamExt, future::try_join_all, stream};
use tokio::sync::mpsc;
use tokio_postgres::Transaction;

use crate::{
    backup::{
        chunk::Fetch,
        index::read_one,
        manifest::{RowFormat, StoredTable},
        postgres::{OnProgress, Step, Watch, read::place},
    },
    copy::encode::{HEADER, TRAILER},
    db::postgres::{Postgres, failed},
    dialect::ident::qualified,
    error::{Error, Reason, Result},
};

/// Tables that are loaded side by side.
const LOADERS: usize = 2;

/// Chunks of a table that wait to be sent.
const AHEAD: usize = 2;

/// Chunks of a table that are fetched at once: a store answers after some tens of milliseconds.
const FETCHED_AT_ONCE: usize = 4;

/// What a text form may depend on; a crash in the middle ends in a new attempt anyway.
const SETTINGS: &str = "SET LOCAL synchronous_commit = off; SET LOCAL lc_monetary = 'C'; \
                        SET LOCAL xmloption = content";

/// Loads tables that are there and empty.
pub(super) async fn load_rows(
    postgres: &Postgres,
    tables: &[&StoredTable],
    fetch: &impl Fetch,
    progress: OnProgress<'_>,
) -> Result<()> {
    let mut queue: Vec<&StoredTable> =
        tables.iter().copied().filter(|table| !table.index.is_empty()).collect();
    // The largest is taken first, from the end: nobody waits for one that was begun last.
    queue.sort_by_key(|table| table.bytes);
    let queue = Mutex::new(queue);
    let work = async || {
        let mut client = postgres.get().await?;
        loop {
            let next = queue.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let Some(table) = next else { return Ok::<_, Error>(()) };
            let transaction = client.transaction().await.map_err(failed)?;
            transaction.batch_execute(SETTINGS).await.map_err(failed)?;
            let loaded = load(&transaction, table, fetch, progress).await;
            loaded.map_err(|error| place(error, table))?;
            transaction.commit().await.map_err(failed)?;
        }
    };
    try_join_all((0..LOADERS).map(|_| work())).await.map(drop)
}

async fn load(
    transaction: &Transaction<'_>,
    table: &StoredTable,
    fetch: &impl Fetch,
    progress: OnProgress<'_>,
) -> Result<()> {
    let (send, mut chunks) = mpsc::channel::<Vec<u8>>(AHEAD);
    let fetching = async move {
        for index in &table.index {
            let chunks = stream::iter(read_one(fetch, *index).await?);
            let mut fetched = chunks.map(|chunk| fetch.get(chunk)).buffered(FETCHED_AT_ONCE);
            while let Some(chunk) = fetched.try_next().await? {
                if send.send(chunk).await.is_err() {
                    return Ok(());
                }
            }
        }
        Ok(())
    };
    let sending = async {
        let sink = transaction.copy_in::<_, Bytes>(&copy_in(table)).await.map_err(failed)?;
        let mut sink = pin!(sink);
        let binary = table.format == RowFormat::Binary;
        if binary {
            sink.feed(Bytes::from_static(HEADER)).await.map_err(failed)?;
        }
        let mut bytes = 0;
        while let Some(chunk) = chunks.recv().await {
            bytes += chunk.len() as u64;
            sink.send(Bytes::from(chunk)).await.map_err(failed)?;
            report(progress, table, 0, bytes);
        }
        if binary {
            sink.feed(Bytes::from_static(TRAILER)).await.map_err(failed)?;
        }
        sink.finish().await.map_err(failed)
    };
    let ((), rows) = tokio::try_join!(fetching, sending)?;
    if rows != table.rows {
        let message = format!("{rows} rows were loaded of {}", table.rows);
        return Err(Error::new(Reason::RestoreFailed, message)
            .hint("verify the backup, and use another one"));
    }
    report(progress, table, rows, table.bytes);
    Ok(())
}

fn report(progress: OnProgress<'_>, table: &StoredTable, rows: u64, bytes: u64) {
    let done = bytes == table.bytes && rows == table.rows;
    Watch { step: Step::Load, progress }.tell(table, rows, bytes, done);
}

fn copy_in(table: &StoredTable) -> String {
    let columns = table.content_columns();
    // Without a list it is every column that has content: for a table that has none, none.
    let list =
        if columns.is_empty() { String::new() } else { format!(" ({})", columns.join(", ")) };
    let form = match table.format {
        RowFormat::Binary => " (FORMAT binary)",
        RowFormat::Text => "",
    };
    format!("COPY {}{list} FROM STDIN{form}", qualified(&table.schema, &table.name))
}
