//! The reading side of the copy: rows become chunks of encoded bytes.

use std::{
    collections::VecDeque,
    mem,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use bytes::Bytes;
use tokio::sync::mpsc::Sender;
use tokio_util::sync::CancellationToken;

use super::{
    RejectPolicy, TableJob, columns,
    encode::{self, HEADER, RowEncoder, RowRefusal, TRAILER},
    reader::{ChunkEnd, Flow, RowSink, SourceRow, TableReader},
    tagged,
};
use crate::{
    capture::guard::Seen,
    db::{
        source::SourceFile,
        target::{CopyPosition, Reject},
    },
    error::{Error, Reason, Result},
    task::cancelled,
};

/// Encoded bytes in a chunk: large enough that its commit costs little (some 40 ms of
/// PostgreSQL's time), small enough that three of them a worker are no burden.
const CHUNK_BYTES: usize = 4 << 20;

/// How long a chunk may be read: a write-ahead log can only be reset between read transactions.
const CHUNK_TIME: Duration = Duration::from_millis(250);

/// Bytes handed to the connection at a time; 16 to 64 KiB were 5 to 15 % slower.
const BATCH_BYTES: usize = 256 << 10;

/// Rows between two looks at the clock.
const ROWS_A_LOOK: u64 = 64;

/// What all workers of a copy share.
pub(super) struct Shared {
    pub(super) source: SourceFile,
    pub(super) tables: Vec<TableJob>,
    pub(super) schema: Seen,
    pub(super) rejects: RejectPolicy,
    /// Numbers of the tables that nobody has begun yet.
    pub(super) queue: Mutex<VecDeque<usize>>,
    pub(super) cancel: CancellationToken,
}

/// Rows on their way.
pub(super) struct Chunk {
    /// Number of the table.
    pub(super) table: usize,
    /// One COPY, header and trailer included; empty where no row can be copied.
    pub(super) batches: Vec<Bytes>,
    /// Rows that cannot be copied.
    pub(super) rejects: Vec<Reject>,
    /// How far the table was before this chunk.
    pub(super) from: CopyPosition,
    /// How far the table is with this chunk.
    pub(super) at: CopyPosition,
    /// The transaction ends with this chunk. It does not where reading cannot go on from here.
    pub(super) commit: bool,
}

/// Reads tables of the queue until it is empty.
pub(super) fn read_tables(shared: &Shared, chunks: Sender<Chunk>) -> Result<()> {
    let connection = shared.source.open()?;
    loop {
        let next = shared.queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        let Some(number) = next else { return Ok(()) };
        let job = &shared.tables[number];
        let codecs = job.columns.iter().map(|column| column.codec);
        let mut sink = ChunkSink {
            shared,
            number,
            columns: columns::planned(&job.columns),
            encoder: RowEncoder::new(codecs.collect())?,
            chunks: &chunks,
            from: job.from.clone(),
            at: job.from.clone(),
            batch: Vec::new(),
            batches: Vec::new(),
            bytes: 0,
            rejects: Vec::new(),
            rows: 0,
            began: None,
        };
        let columns = columns::terms(&job.columns);
        let (source, schema) = (&shared.source, &shared.schema);
        let mut reader = TableReader::new(source, &connection, schema, &job.table, &columns);
        if let Some(position) = &job.from.position {
            reader.resume(position)?;
        }
        reader.read(&mut sink).map_err(|error| sink.place(error))?;
    }
}

struct ChunkSink<'a> {
    shared: &'a Shared,
    number: usize,
    columns: Vec<(usize, &'a str)>,
    encoder: RowEncoder,
    chunks: &'a Sender<Chunk>,
    /// Where the chunk began.
    from: CopyPosition,
    at: CopyPosition,
    batch: Vec<u8>,
    batches: Vec<Bytes>,
    /// Bytes in this chunk, those of rejects included.
    bytes: usize,
    rejects: Vec<Reject>,
    /// Rows read in this chunk.
    rows: u64,
    began: Option<Instant>,
}

impl RowSink for ChunkSink<'_> {
    fn row(&mut self, row: SourceRow<'_, '_>) -> Result<Flow> {
        if self.batch.is_empty() {
            self.batch.reserve(BATCH_BYTES + BATCH_BYTES / 8);
            if self.batches.is_empty() {
                self.batch.extend_from_slice(HEADER);
            }
        }
        let explain = |error| self.shared.source.explain(error);
        match self.encoder.encode(row, &mut self.batch).map_err(explain)? {
            Ok(()) => self.at.rows += 1,
            Err(refused) => self.reject(row, refused)?,
        }
        if self.batch.len() >= BATCH_BYTES {
            self.end_batch();
        }
        self.rows += 1;
        if self.bytes >= CHUNK_BYTES {
            return Ok(Flow::EndChunk);
        }
        if self.rows.is_multiple_of(ROWS_A_LOOK) {
            if self.shared.cancel.is_cancelled() {
                return Err(cancelled());
            }
            if self.began.get_or_insert_with(Instant::now).elapsed() >= CHUNK_TIME {
                return Ok(Flow::EndChunk);
            }
        }
        Ok(Flow::More)
    }

    fn end_chunk(&mut self, end: ChunkEnd) -> Result<()> {
        if self.batch.len() > HEADER.len() || !self.batches.is_empty() {
            self.batch.extend_from_slice(TRAILER);
        } else {
            self.batch.clear();
        }
        self.end_batch();
        self.at.done = end.last;
        self.at.position.clone_from(&end.position);
        let batches = mem::take(&mut self.batches);
        self.at.bytes += batches.iter().map(|batch| batch.len() as u64).sum::<u64>();
        let chunk = Chunk {
            table: self.number,
            batches,
            rejects: mem::take(&mut self.rejects),
            from: mem::replace(&mut self.from, self.at.clone()),
            at: self.at.clone(),
            commit: end.last || end.position.is_some(),
        };
        (self.bytes, self.rows, self.began) = (0, 0, None);
        self.chunks.blocking_send(chunk).map_err(|_| cancelled())
    }
}

impl ChunkSink<'_> {
    fn end_batch(&mut self) {
        if !self.batch.is_empty() {
            self.bytes += self.batch.len();
            self.batches.push(mem::take(&mut self.batch).into());
        }
    }

    fn reject(&mut self, row: SourceRow<'_, '_>, refused: RowRefusal) -> Result<()> {
        let explain = |error| self.shared.source.explain(error);
        let row_key = row.key().map_err(explain)?;
        let column = self.shared.tables[self.number].columns[refused.column].shown();
        if !self.shared.rejects.allowed {
            let what = encode::words(refused.refusal);
            let message = format!("column {column}, row {row_key}: {what}");
            return Err(Error::new(Reason::ValueRefused, message).hint(format!(
                "plan again: where values of that kind are found, the plan names them as {} with \
                 the choices there are (--on CODE=encode or --on CODE=reject)",
                encode::code(refused.refusal)
            )));
        }
        let row_data = row_data(&self.shared.source, &self.columns, row)?;
        self.bytes += row_data.len();
        self.at.rejected += 1;
        let exact = columns::exact_key(&self.shared.tables[self.number].key, row);
        self.rejects.push(Reject {
            row_key,
            exact_key: exact.map_err(explain)?,
            column: column.to_owned(),
            reason: encode::code(refused.refusal).to_owned(),
            row_data,
        });
        Ok(())
    }

    fn place(&self, error: Error) -> Error {
        if error.reason() == Reason::Cancelled {
            return error;
        }
        error.at(format!("table {}", self.shared.tables[self.number].plan.source))
    }
}

/// Columns of a row, by number and name, in the form in which rejects keep it.
pub(crate) fn row_data(
    source: &SourceFile,
    columns: &[(usize, &str)],
    row: SourceRow<'_, '_>,
) -> Result<String> {
    let values = columns.iter().map(|(number, name)| Ok((*name, row.value(*number)?)));
    let values = values.collect::<rusqlite::Result<Vec<_>>>().map_err(|e| source.explain(e))?;
    tagged::write_row(values.into_iter()).map_err(|_| {
        Error::new(Reason::ValueRefused, "a row is larger than anything that PostgreSQL can keep")
            .hint("PostgreSQL's limit is 1 GB: make the row smaller in the source")
    })
}
