//! A backup of a PostgreSQL database, but for its manifest.

use tokio_util::sync::CancellationToken;

use super::{
    OnProgress, Step, Watch,
    catalog::{self, BLOCK_RANGES, Facts, Table},
    dump::dump_schema,
    programs::Programs,
    read::{Reading, read_rows},
    snapshot::{Sessions, Snapshot},
};
use crate::{
    backup::{
        chunk::Sink,
        manifest::{Missing, PostgresContent},
    },
    db::postgres::Postgres,
    error::{Error, Reason, Result},
    task::cancelled,
};

/// How often tables may be made or dropped while all of them are being locked.
const ATTEMPTS: usize = 5;

/// What a backup is to be made of, and how.
pub(crate) struct Job<'a> {
    pub(crate) postgres: &'a Postgres,
    pub(crate) programs: &'a Programs,
    pub(crate) progress: OnProgress<'a>,
    pub(crate) cancel: &'a CancellationToken,
}

/// What was backed up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BackedUp {
    pub(crate) content: PostgresContent,
    /// What it does not hold.
    pub(crate) missing: Vec<Missing>,
    /// Bytes of rows and of the schema.
    pub(crate) bytes: u64,
    /// Chunks of them, without index chunks.
    pub(crate) chunks: u64,
}

/// Reads one snapshot of a database through a sink.
///
/// A table that may not be read is [`Reason::TargetPermission`], a lock that somebody holds for
/// long [`Reason::TargetUnreachable`].
pub(crate) async fn read(job: &Job<'_>, sink: &impl Sink) -> Result<BackedUp> {
    let mut sessions = Sessions::open(job.postgres).await?;
    let result = tokio::select! {
        biased;
        () = job.cancel.cancelled() => Err(cancelled()),
        result = Box::pin(attempts(job, &mut sessions, sink)) => result,
    };
    if result.is_err() {
        sessions.stop().await;
    }
    result
}

async fn attempts(job: &Job<'_>, sessions: &mut Sessions, sink: &impl Sink) -> Result<BackedUp> {
    for _ in 0..ATTEMPTS {
        if let Some(snapshot) = sessions.snapshot().await? {
            return read_snapshot(job, &snapshot, sink).await;
        }
    }
    Err(Error::new(Reason::TargetUnreachable, "tables are made or dropped all the time")
        .hint("back up when no schema migration runs"))
}

async fn read_snapshot(
    job: &Job<'_>,
    snapshot: &Snapshot<'_>,
    sink: &impl Sink,
) -> Result<BackedUp> {
    let client = &snapshot.coordinator;
    let facts = catalog::facts(client).await?;
    if facts.encoding == "SQL_ASCII" {
        let message = "the PostgreSQL database has the encoding SQL_ASCII";
        return Err(Error::new(Reason::TargetUnsupported, message)
            .hint("nobody knows what its text is: move it to a database with ENCODING 'UTF8'"));
    }
    let mut tables = catalog::tables(client, facts.server_version).await?;
    let sequences = catalog::sequences(client).await?;
    let mut missing = catalog::gaps(client).await?;
    let (mut bytes, mut chunks) = (0, 0);
    let dump = match job.programs.find("pg_dump", facts.server_version / 10_000).await {
        Ok(program) => {
            let (mut dump, length) =
                dump_schema(&program, job.postgres, &snapshot.id, sink).await?;
            dump.own_triggers = catalog::own_triggers(client).await?;
            bytes += length;
            chunks += dump.chunks.len() as u64;
            Some(dump)
        }
        Err(why) => {
            missing.extend(catalog::without_dump(&why, &tables));
            None
        }
    };
    let readings = readings(&facts, &tables);
    let watch = Watch { step: Step::Read, progress: job.progress };
    let contents = read_rows(&snapshot.readers, &readings, sink, watch).await?;
    for (table, content) in tables.iter_mut().zip(contents) {
        bytes += content.tally.bytes;
        chunks += content.chunks;
        let stored = &mut table.stored;
        (stored.rows, stored.bytes) = (content.tally.rows, content.tally.bytes);
        stored.digest = content.tally.digest.to_hex();
        stored.index = content.index;
    }
    let content = PostgresContent {
        server_version: facts.server_version,
        encoding: facts.encoding,
        collate: facts.collate,
        ctype: facts.ctype,
        dump,
        tables: tables.into_iter().map(|table| table.stored).collect(),
        sequences,
    };
    Ok(BackedUp { content, missing, bytes, chunks })
}

fn readings<'a>(facts: &Facts, tables: &'a [Table]) -> Vec<Reading<'a>> {
    let by_blocks = facts.server_version >= BLOCK_RANGES;
    let reading = |table: &'a Table| Reading {
        table: &table.stored,
        blocks: by_blocks.then_some(table.blocks),
    };
    tables.iter().map(reading).collect()
}
