//! Rows out of PostgreSQL: ranges of blocks, several at a time, each on a connection of its own.

use std::{
    collections::BTreeMap,
    pin::pin,
    sync::{Mutex, PoisonError},
};

use futures_util::{
    FutureExt, StreamExt,
    future::{BoxFuture, try_join_all},
    stream::{FuturesOrdered, FuturesUnordered},
};
use tokio::sync::Mutex as AsyncMutex;
use tokio_postgres::Transaction;

use super::{
    Watch,
    rows::{Cutter, Tally},
};
use crate::{
    backup::{
        chunk::{ChunkRef, Sink},
        index::IndexWriter,
        manifest::{RowFormat, StoredTable},
    },
    db::postgres::failed,
    dialect::ident::qualified,
    error::{Error, Reason, Result},
};

/// Blocks of a range: 1 MiB of heap.
const BLOCKS: u64 = 128;

/// Chunks of one reader that are being stored while it reads on.
const IN_FLIGHT: usize = 2;

/// Ranges of one reader that are being stored while it reads the next one: a store may answer
/// slowly, and PostgreSQL need not wait for it.
const RANGES_IN_FLIGHT: usize = 3;

/// A table to read.
#[derive(Clone, Copy)]
pub(super) struct Reading<'a> {
    pub(super) table: &'a StoredTable,
    /// Blocks of its heap; `None` to read it as a whole.
    pub(super) blocks: Option<u64>,
}

/// What a table holds.
pub(super) struct Content {
    pub(super) tally: Tally,
    pub(super) chunks: u64,
    /// Index chunks.
    pub(super) index: Vec<ChunkRef>,
}

/// Reads tables through a sink; the contents are in the tables' order.
pub(super) async fn read_rows<S: Sink>(
    readers: &[Transaction<'_>],
    tables: &[Reading<'_>],
    sink: &S,
    watch: Watch<'_>,
) -> Result<Vec<Content>> {
    let gathered = tables.iter().map(|_| AsyncMutex::new(Gathered::new(sink)));
    let shared = Shared {
        tables,
        sink,
        watch,
        gathered: gathered.collect(),
        next: Mutex::new(Range { table: 0, number: 0 }),
    };
    try_join_all(readers.iter().map(|reader| shared.work(reader))).await?;
    let mut contents = Vec::with_capacity(tables.len());
    for gathered in shared.gathered {
        let gathered = gathered.into_inner();
        let index = gathered.index.finish().await?;
        contents.push(Content { tally: gathered.tally, chunks: gathered.chunks, index });
    }
    Ok(contents)
}

/// A range of blocks of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Range {
    table: usize,
    number: u64,
}

struct Shared<'a, S> {
    tables: &'a [Reading<'a>],
    sink: &'a S,
    watch: Watch<'a>,
    gathered: Vec<AsyncMutex<Gathered<'a, S>>>,
    /// The range that is read next.
    next: Mutex<Range>,
}

impl<S: Sink> Shared<'_, S> {
    async fn work(&self, reader: &Transaction<'_>) -> Result<()> {
        // What was read is stored while the next range is read.
        let mut storing = FuturesUnordered::new();
        while let Some(range) = self.take() {
            let Reading { table, blocks } = &self.tables[range.table];
            let sql = copy_out(table, range.number, ranges(*blocks));
            let mut reading = pin!(read_range(reader, &sql, table.format, self.sink));
            let read = loop {
                tokio::select! {
                    read = &mut reading => break read.map_err(|error| place(error, table))?,
                    Some(stored) = storing.next(), if !storing.is_empty() => stored?,
                }
            };
            storing.push(self.store(range, read));
            while storing.len() >= RANGES_IN_FLIGHT
                && let Some(stored) = storing.next().await
            {
                stored?;
            }
        }
        while let Some(stored) = storing.next().await {
            stored?;
        }
        Ok(())
    }

    /// Waits until a range is stored, and adds it to its table.
    async fn store(&self, range: Range, read: ReadRange<'_>) -> Result<()> {
        let Reading { table, blocks } = &self.tables[range.table];
        let ReadRange { mut chunks, mut stored, tally } = read;
        while let Some(chunk) = stored.next().await {
            chunks.push(chunk.map_err(|error| place(error, table))?);
        }
        let mut gathered = self.gathered[range.table].lock().await;
        gathered.add(range.number, (chunks, tally)).await?;
        let Tally { rows, bytes, .. } = gathered.tally;
        self.watch.tell(table, rows, bytes, gathered.next == ranges(*blocks));
        Ok(())
    }

    fn take(&self) -> Option<Range> {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(reading) = self.tables.get(next.table) {
            let range = *next;
            // The rows of a partitioned table are its partitions'.
            if reading.table.partition_by.is_empty() && range.number < ranges(reading.blocks) {
                next.number += 1;
                return Some(range);
            }
            *next = Range { table: range.table + 1, number: 0 };
        }
        None
    }
}

/// The content of a table as far as it has been read, its chunks in the order of its blocks.
struct Gathered<'a, S> {
    next: u64,
    waiting: BTreeMap<u64, Vec<ChunkRef>>,
    index: IndexWriter<'a, S>,
    chunks: u64,
    tally: Tally,
}

impl<'a, S: Sink> Gathered<'a, S> {
    fn new(sink: &'a S) -> Self {
        Self {
            next: 0,
            waiting: BTreeMap::new(),
            index: IndexWriter::new(sink),
            chunks: 0,
            tally: Tally::default(),
        }
    }

    async fn add(&mut self, number: u64, (chunks, tally): (Vec<ChunkRef>, Tally)) -> Result<()> {
        self.tally.add(&tally);
        self.chunks += chunks.len() as u64;
        self.waiting.insert(number, chunks);
        while let Some(chunks) = self.waiting.remove(&self.next) {
            self.next += 1;
            for chunk in chunks {
                self.index.push(chunk).await?;
            }
        }
        Ok(())
    }
}

/// A range that was read and is being stored.
struct ReadRange<'s> {
    /// Chunks that are stored already.
    chunks: Vec<ChunkRef>,
    stored: FuturesOrdered<BoxFuture<'s, Result<ChunkRef>>>,
    tally: Tally,
}

async fn read_range<'s>(
    reader: &Transaction<'_>,
    sql: &str,
    format: RowFormat,
    sink: &'s impl Sink,
) -> Result<ReadRange<'s>> {
    let mut stream = pin!(reader.copy_out(sql).await.map_err(failed)?);
    let mut cutter = Cutter::new(format);
    let mut chunks = Vec::new();
    let mut stored = FuturesOrdered::new();
    loop {
        let piece = tokio::select! {
            piece = stream.next() => piece,
            Some(chunk) = stored.next(), if !stored.is_empty() => {
                chunks.push(chunk?);
                continue;
            }
        };
        let Some(piece) = piece else { break };
        let piece = piece.map_err(failed)?;
        let mut rest: &[u8] = &piece;
        while let Some(chunk) = cutter.feed(&mut rest)? {
            while stored.len() >= IN_FLIGHT
                && let Some(chunk) = stored.next().await
            {
                chunks.push(chunk?);
            }
            stored.push_back(sink.put(chunk).boxed());
        }
    }
    let (last, tally) = cutter.finish()?;
    if let Some(last) = last {
        stored.push_back(sink.put(last).boxed());
    }
    Ok(ReadRange { chunks, stored, tally })
}

/// How many ranges so many blocks have; the last one is open at its end.
fn ranges(blocks: Option<u64>) -> u64 {
    blocks.unwrap_or(0).div_ceil(BLOCKS).max(1)
}

/// COPY of one of so many ranges of a table.
fn copy_out(table: &StoredTable, number: u64, ranges: u64) -> String {
    let columns = table.content_columns().join(", ");
    let name = qualified(&table.schema, &table.name);
    let (from, to) = (number * BLOCKS, (number + 1) * BLOCKS);
    let range = match (number == 0, number + 1 == ranges) {
        (true, true) => String::new(),
        (true, false) => format!(" WHERE ctid < '({to},0)'"),
        (false, true) => format!(" WHERE ctid >= '({from},0)'"),
        (false, false) => format!(" WHERE ctid >= '({from},0)' AND ctid < '({to},0)'"),
    };
    let form = match table.format {
        RowFormat::Binary => " (FORMAT binary)",
        RowFormat::Text => "",
    };
    format!("COPY (SELECT {columns} FROM ONLY {name}{range}) TO STDOUT{form}")
}

/// Says which table an error is about.
pub(super) fn place(error: Error, table: &StoredTable) -> Error {
    match error.reason() {
        Reason::Cancelled | Reason::TargetUnreachable | Reason::StoreUnreachable => error,
        _ => error.at(format!("table {}.{}", table.schema, table.name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(format: RowFormat) -> StoredTable {
        let text = r#"{"schema": "s", "name": "t\"", "columns": [], "primary_key": [],
            "constraints": [], "indexes": [], "rows": 0, "digest": "", "bytes": 0,
            "format": "binary", "index": []}"#;
        StoredTable { format, ..serde_json::from_str(text).unwrap() }
    }

    #[test]
    fn ranges_cover_every_block_once_and_the_last_is_open() {
        assert_eq!([None, Some(0), Some(1), Some(128)].map(ranges), [1; 4]);
        assert_eq!([Some(129), Some(256), Some(257)].map(ranges), [2, 2, 3]);
        let sql = |number, ranges| copy_out(&table(RowFormat::Binary), number, ranges);
        let around = |range: &str| {
            format!("COPY (SELECT  FROM ONLY \"s\".\"t\"\"\"{range}) TO STDOUT (FORMAT binary)")
        };
        assert_eq!(sql(0, 1), around(""));
        assert_eq!(sql(0, 3), around(" WHERE ctid < '(128,0)'"));
        assert_eq!(sql(1, 3), around(" WHERE ctid >= '(128,0)' AND ctid < '(256,0)'"));
        assert_eq!(sql(2, 3), around(" WHERE ctid >= '(256,0)'"));
        assert!(copy_out(&table(RowFormat::Text), 0, 1).ends_with(") TO STDOUT"));
    }
}
