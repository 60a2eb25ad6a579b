//! Both sides of a table as streams of tuples.

use std::{pin::pin, sync::Arc};

use futures_util::StreamExt;
use rusqlite::Connection;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{
    reader::TargetReader,
    table::{TableWork, WorkColumn},
    tuple::{Cutter, Tuple, TupleSink},
};
use crate::{
    capture::guard::Seen,
    copy::{
        chunks,
        reader::{ChunkEnd, Flow, RowSink, SourceRow, TableReader, Term},
    },
    db::{postgres::failed, source::SourceFile},
    error::{Reason, Result},
    task::cancelled,
};

/// Rows read in one read transaction: a fifth of a second at the usual speed.
const ROWS_A_CHUNK: u64 = 200_000;

/// Bytes read in one read transaction, which bounds it for wide rows.
const BYTES_A_CHUNK: usize = 32 << 20;

/// Rows between two looks at the cancellation token.
const ROWS_A_LOOK: u64 = 1_024;

/// Rows between two reports.
const ROWS_A_REPORT: u64 = 65_536;

/// Reads the source's side of a table.
pub(super) fn read_source(
    source: &SourceFile,
    connection: &Connection,
    work: &Arc<TableWork>,
    sink: &mut impl TupleSink,
    watch: &Watch,
) -> Result<()> {
    let Some(table) = &work.table else { return Ok(()) };
    let columns: Vec<Term<'_>> = work.columns.iter().map(WorkColumn::term).collect();
    let mut reader =
        TableReader::new(source, connection, &watch.schema, table, &columns).pin_rowids(table);
    let mut rows = SourceSide {
        source,
        work,
        copied: work.copied().collect(),
        sink,
        watch,
        tuple: Vec::new(),
        ends: Vec::new(),
        rows: 0,
        bytes: 0,
        chunk_bytes: 0,
    };
    reader.read(&mut rows).map_err(|error| error.at(format!("table {}", work.name)))?;
    rows.report();
    Ok(())
}

/// What a reader of the source looks at from time to time.
pub(super) struct Watch {
    pub(super) schema: Arc<Seen>,
    pub(super) cancel: CancellationToken,
    /// Rows and bytes read.
    pub(super) progress: watch::Sender<(u64, u64)>,
}

struct SourceSide<'a, S> {
    source: &'a SourceFile,
    work: &'a TableWork,
    /// Numbers and names of the columns that rejects keep.
    copied: Vec<(usize, &'a str)>,
    sink: &'a mut S,
    watch: &'a Watch,
    tuple: Vec<u8>,
    ends: Vec<usize>,
    rows: u64,
    bytes: u64,
    chunk_bytes: usize,
}

impl<S: TupleSink> RowSink for SourceSide<'_, S> {
    fn row(&mut self, row: SourceRow<'_, '_>) -> Result<Flow> {
        let name = || row.key().ok();
        let value = |column| row.value(column);
        let encoded = self.work.encode(value, &mut self.tuple, &mut self.ends);
        if encoded.map_err(|error| self.source.explain(error))? {
            let tuple = Tuple::Row { bytes: &self.tuple, ends: &self.ends };
            self.sink.take(tuple, &name);
        } else {
            let data = chunks::row_data(self.source, &self.copied, row)?;
            let key = row.key().map_err(|error| self.source.explain(error))?;
            self.sink.take(Tuple::Reject { key: &key, data: &data }, &name);
        }
        self.rows += 1;
        self.chunk_bytes += self.tuple.len();
        self.bytes += self.tuple.len() as u64;
        if self.rows.is_multiple_of(ROWS_A_LOOK) {
            if self.watch.cancel.is_cancelled() {
                return Err(cancelled());
            }
            if self.rows.is_multiple_of(ROWS_A_REPORT) {
                self.report();
            }
        }
        let full = self.rows.is_multiple_of(ROWS_A_CHUNK) || self.chunk_bytes >= BYTES_A_CHUNK;
        Ok(if full { Flow::EndChunk } else { Flow::More })
    }

    fn end_chunk(&mut self, _end: ChunkEnd) -> Result<()> {
        self.chunk_bytes = 0;
        Ok(())
    }
}

impl<S> SourceSide<'_, S> {
    fn report(&self) {
        self.watch.progress.send_replace((self.rows, self.bytes));
    }
}

/// Reads the target's side of a table: its rows, then the rejects.
pub(super) async fn read_target<S: TupleSink>(
    target: TargetReader<'_>,
    work: &TableWork,
    rejects: Option<&str>,
    sink: &mut S,
    cancel: &CancellationToken,
) -> Result<()> {
    let client = target.get().await?;
    let reading = async {
        if let Some(select) = &work.select {
            let statement = format!("COPY ({select}) TO STDOUT (FORMAT binary)");
            let mut pieces = pin!(client.copy_out(&statement).await.map_err(failed)?);
            let mut cutter = Cutter::default();
            while let Some(piece) = pieces.next().await {
                cutter.feed(&piece.map_err(failed)?, |bytes, ends| {
                    sink.take(Tuple::Row { bytes, ends }, &|| None);
                })?;
            }
            cutter.finish()?;
        }
        if let Some(database) = rejects {
            let sql = "SELECT row_key, row_data::text FROM switchback.rejects \
                       WHERE database = $1 AND tab = $2";
            let rows = client.query_raw(sql, [database, &work.name]).await.map_err(failed)?;
            let mut rows = pin!(rows);
            while let Some(row) = rows.next().await {
                let row = row.map_err(failed)?;
                sink.take(Tuple::Reject { key: row.get(0), data: row.get(1) }, &|| None);
            }
        }
        Ok(())
    };
    let result = tokio::select! {
        biased;
        () = cancel.cancelled() => Err(cancelled()),
        result = reading => result,
    };
    if result.as_ref().is_err_and(|error| error.reason() == Reason::Cancelled) {
        // Else the server would send the rest of the table to nobody.
        target.cancel(&client).await;
    }
    result.map_err(|error| error.at(format!("table {}", work.name)))
}
