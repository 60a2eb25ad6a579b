//! The writing side of the copy: each chunk in one transaction, with its position.

use std::pin::pin;

use bytes::Bytes;
use futures_util::SinkExt;
use tokio::sync::mpsc::Receiver;
use tokio_postgres::Transaction;
use tracing::Instrument;

use super::{
    CopyJob, CopyProgress, OnProgress, TableJob,
    chunks::{Chunk, Shared},
};
use crate::{
    db::{postgres::failed, target::write_rejects},
    error::{Error, Reason, Result},
    failpoint,
    task::cancelled,
    telemetry::{metrics, spans},
};

/// Writes the chunks of a reader until it has no more.
pub(super) async fn write_chunks(
    job: &CopyJob<'_>,
    shared: &Shared,
    mut chunks: Receiver<Chunk>,
    progress: OnProgress<'_>,
) -> Result<()> {
    let work = async {
        let mut client = job.target.postgres().get().await?;
        while let Some(mut chunk) = chunks.recv().await {
            let transaction = client.transaction().await.map_err(failed)?;
            let unsynced = "SET LOCAL synchronous_commit = off";
            transaction.batch_execute(unsynced).await.map_err(failed)?;
            let (mut rows, mut bytes) = (0, 0);
            let span = loop {
                let table = &shared.tables[chunk.table];
                let more = added(&chunk);
                let span = spans::copy_chunk(&table.plan.source, more.0, more.1);
                write(job, &transaction, table, &mut chunk)
                    .instrument(span.clone())
                    .await
                    .map_err(|error| place(error, table))?;
                (rows, bytes) = (rows + more.0, bytes + more.1);
                if chunk.commit {
                    break span;
                }
                report(progress, table, &chunk);
                // A reader that failed in the middle of such a table: all of it is undone.
                let Some(next) = chunks.recv().await else { return Ok(()) };
                chunk = next;
            };
            failpoint::hit("chunk.before");
            transaction.commit().instrument(span).await.map_err(failed)?;
            failpoint::hit("chunk.after");
            let table = &shared.tables[chunk.table];
            metrics::record_copied(&job.plan.database, &table.plan.source, rows, bytes);
            report(progress, table, &chunk);
        }
        Ok(())
    };
    tokio::select! {
        biased;
        () = shared.cancel.cancelled() => Err(cancelled()),
        result = work => result,
    }
}

async fn write(
    job: &CopyJob<'_>,
    transaction: &Transaction<'_>,
    table: &TableJob,
    chunk: &mut Chunk,
) -> Result<()> {
    if !chunk.batches.is_empty() {
        let sink = transaction.copy_in::<_, Bytes>(&table.copy_in).await.map_err(failed)?;
        let mut sink = pin!(sink);
        for batch in chunk.batches.drain(..) {
            sink.feed(batch).await.map_err(failed)?;
        }
        sink.finish().await.map_err(failed)?;
    }
    let (database, name) = (&job.plan.database, &table.plan.source);
    if !chunk.rejects.is_empty() {
        write_rejects(transaction, database, name, &chunk.rejects).await?;
    }
    job.target.write_position(transaction, (database, name), &chunk.from, &chunk.at).await
}

/// Rows and bytes that a chunk brings.
fn added(chunk: &Chunk) -> (u64, u64) {
    let Chunk { from, at, .. } = chunk;
    (at.rows.saturating_sub(from.rows), at.bytes.saturating_sub(from.bytes))
}

fn report(progress: OnProgress<'_>, table: &TableJob, chunk: &Chunk) {
    progress(CopyProgress {
        table: &table.plan.source,
        rows: chunk.at.rows,
        rows_total: table.plan.rows,
        bytes: chunk.at.bytes,
        rejected: chunk.at.rejected,
        done: chunk.at.done,
    });
}

fn place(error: Error, table: &TableJob) -> Error {
    match error.reason() {
        Reason::Cancelled | Reason::TargetUnreachable => error,
        _ => error.at(format!("table {}", table.plan.source)),
    }
}
