//! All pages of a SQLite file as they are at one commit, while other processes write.
//!
//! A reader holds something up for as long as its transaction lasts: the log of a file in WAL mode
//! grows, and every commit of one with a rollback journal waits. So the file is read and stored in
//! many short transactions first, which fits together only by chance, and then once more in one
//! transaction that only looks which pieces have changed. Those are few, and stored afterwards.

use std::{
    io::{Read, Seek, SeekFrom, Write},
    path::Path,
    time::{Duration, Instant},
};

use futures_util::{StreamExt, TryStreamExt, stream};
use rusqlite::Connection;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::pages::Pages;
use crate::{
    backup::{
        chunk::{ChunkId, ChunkRef, Sink},
        index::IndexWriter,
        key::Key,
        manifest::SqliteContent,
    },
    clock,
    db::source::SourceFile,
    error::{Error, Reason, Result},
    task::{blocking, cancelled},
};

/// Pieces of one short transaction: some 20 ms, for which writers of a rollback-journal file wait.
const SLICE: u64 = 16;

/// Pieces that are stored at once: sealing two and uploading the others keeps both busy.
const STORED_AT_ONCE: usize = 8;

/// Pieces between the reader and the sink. With those that are stored, some 12 MiB.
const WAITING: usize = 4;

/// A file with a rollback journal is looked through this often without holding writers up, in the
/// hope that nobody writes meanwhile.
const HOPEFUL: u32 = 3;

/// What was read, and what that cost others.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PagesRead {
    pub(crate) content: SqliteContent,
    pub(crate) bytes: u64,
    /// When the snapshot was taken, in milliseconds since 1970.
    pub(crate) taken_at: i64,
    /// Pieces that had changed between both readings.
    pub(crate) read_again: u64,
    /// How long the last transaction held others up.
    pub(crate) held: Duration,
}

/// A piece on its way to the sink.
struct Piece {
    number: u64,
    content: Vec<u8>,
    /// Bytes of the whole file.
    of: u64,
}

/// Told of bytes that were read, and of all there are.
pub(crate) type Progress<'a> = &'a (dyn Fn(u64, u64) + Send + Sync);

/// Reads a file into a sink. `scratch` takes what has changed in the meantime.
pub(crate) async fn read(
    source: &SourceFile,
    sink: &impl Sink,
    scratch: &Path,
    (progress, cancel): (Progress<'_>, &CancellationToken),
) -> Result<PagesRead> {
    let (mut known, quiet) = first_reading(source, sink, (progress, cancel)).await?;
    let done = match quiet {
        Some(quiet) => Seen { changed: Vec::new(), ..quiet },
        None => {
            let (source, ids) = (source.clone(), known.iter().map(|chunk| chunk.id).collect());
            let (scratch, cancel) = (scratch.to_owned(), cancel.clone());
            let by = sink.key();
            let last = blocking(move || last_reading(&source, (ids, by), &scratch, &cancel));
            let mut last = last.await?;
            store_changed(&mut last, &mut known, sink).await?;
            last
        }
    };
    known.truncate(usize::try_from(done.pieces).unwrap_or(usize::MAX));
    let mut index = IndexWriter::new(sink);
    for chunk in &known {
        index.push(*chunk).await?;
    }
    let index = index.finish().await?;
    let content = SqliteContent { page_size: done.page_size, pages: done.pages, index };
    Ok(PagesRead {
        bytes: u64::from(done.page_size) * done.pages,
        content,
        taken_at: done.taken_at,
        read_again: u64::try_from(done.changed.len()).unwrap_or(u64::MAX),
        held: done.held,
    })
}

/// Reads and stores everything, in short transactions; the file itself where nobody wrote
/// meanwhile.
async fn first_reading(
    source: &SourceFile,
    sink: &impl Sink,
    (progress, cancel): (Progress<'_>, &CancellationToken),
) -> Result<(Vec<ChunkRef>, Option<Seen>)> {
    let (send, mut receive) = mpsc::channel(WAITING);
    let reading = {
        let (source, cancel) = (source.clone(), cancel.clone());
        blocking(move || slices(&source, &send, &cancel))
    };
    // It owns its end of the channel, so that the reader stops where it fails.
    let storing = async move {
        let pieces = stream::poll_fn(move |context| receive.poll_recv(context));
        let stored = pieces.map(|Piece { number, content, of }| async move {
            let chunk = sink.put(content).await?;
            Ok::<_, Error>((number, chunk, of))
        });
        let mut stored = stored.buffer_unordered(STORED_AT_ONCE);
        let mut known: Vec<ChunkRef> = Vec::new();
        let mut done = 0;
        while let Some((number, chunk, of)) = stored.try_next().await? {
            let at = usize::try_from(number).unwrap_or(usize::MAX);
            known.resize(known.len().max(at + 1), chunk);
            known[at] = chunk;
            done += u64::from(chunk.length);
            progress(done, of);
        }
        Ok(known)
    };
    let (seen, known) = tokio::join!(reading, storing);
    Ok((known?, seen?))
}

/// One look at the whole file.
struct Seen {
    page_size: u32,
    pages: u64,
    pieces: u64,
    taken_at: i64,
    held: Duration,
    /// Numbers and lengths of pieces that are not as they were; what they hold follows each other
    /// in the file.
    changed: Vec<(u64, usize)>,
    spool: Option<std::fs::File>,
}

fn slices(
    source: &SourceFile,
    send: &mpsc::Sender<Piece>,
    cancel: &CancellationToken,
) -> Result<Option<Seen>> {
    let explain = |error| source.explain(error);
    let connection = source.open()?;
    let began = data_version(&connection).map_err(explain)?;
    let (mut next, mut slices) = (0, 0_u32);
    loop {
        let began_slice = Instant::now();
        connection.execute_batch("BEGIN").map_err(explain)?;
        let mut pages = Pages::new(&connection).map_err(explain)?;
        let pieces = pages.pieces();
        let slice: Vec<(u64, Vec<u8>)> = (next..pieces.min(next + SLICE))
            .map(|number| Ok((number, pages.piece(number)?)))
            .collect::<rusqlite::Result<_>>()
            .map_err(explain)?;
        let seen = Seen {
            page_size: pages.page_size,
            pages: pages.pages,
            pieces,
            taken_at: clock::now_millis(),
            held: began_slice.elapsed(),
            changed: Vec::new(),
            spool: None,
        };
        drop(pages);
        connection.execute_batch("COMMIT").map_err(explain)?;
        slices += 1;
        next += SLICE;
        let of = u64::from(seen.page_size) * seen.pages;
        for (number, content) in slice {
            if cancel.is_cancelled() {
                return Err(cancelled());
            }
            if send.blocking_send(Piece { number, content, of }).is_err() {
                // The sink has failed, and says why.
                return Ok(None);
            }
        }
        if next >= pieces {
            let alone = slices == 1 || data_version(&connection).map_err(explain)? == began;
            return Ok(alone.then_some(seen));
        }
    }
}

/// Compares everything with what is stored, in one transaction if writers may go on beside it, else
/// in short ones for as long as there is hope.
fn last_reading(
    source: &SourceFile,
    (ids, by): (Vec<ChunkId>, Key),
    scratch: &Path,
    cancel: &CancellationToken,
) -> Result<Seen> {
    let connection = source.open()?;
    let explain = |error| source.explain(error);
    let mode: String =
        connection.query_row("PRAGMA main.journal_mode", [], |row| row.get(0)).map_err(explain)?;
    let hopeful = if mode == "wal" { 0 } else { HOPEFUL };
    for _ in 0..hopeful {
        let before = data_version(&connection).map_err(explain)?;
        let seen = look(&connection, source, (&ids, &by, true), scratch, cancel)?;
        if data_version(&connection).map_err(explain)? == before {
            return Ok(seen);
        }
    }
    look(&connection, source, (&ids, &by, false), scratch, cancel)
}

/// Reads on one thread, and hashes on another.
fn look(
    connection: &Connection,
    source: &SourceFile,
    (ids, by, in_slices): (&[ChunkId], &Key, bool),
    scratch: &Path,
    cancel: &CancellationToken,
) -> Result<Seen> {
    let explain = |error| source.explain(error);
    let begin = || connection.execute_batch("BEGIN").map_err(explain);
    let commit = || connection.execute_batch("COMMIT").map_err(explain);
    std::thread::scope(|scope| {
        let (send, receive) = std::sync::mpsc::sync_channel::<(u64, Vec<u8>)>(WAITING);
        let comparing = scope.spawn(move || compare(receive, (ids, by), scratch));
        let reading = || {
            begin()?;
            let began = Instant::now();
            let taken_at = clock::now_millis();
            let mut pages = Pages::new(connection).map_err(explain)?;
            let pieces = pages.pieces();
            for number in 0..pieces {
                if cancel.is_cancelled() {
                    return Err(cancelled());
                }
                if in_slices && number > 0 && number % SLICE == 0 {
                    drop(pages);
                    commit()?;
                    begin()?;
                    pages = Pages::new(connection).map_err(explain)?;
                }
                // It may have become smaller between two slices, which the caller notices.
                let piece = pages.piece(number).map_err(explain)?;
                if send.send((number, piece)).is_err() {
                    break;
                }
            }
            let (page_size, pages) = (pages.page_size, pages.pages);
            commit()?;
            let held = if in_slices { Duration::ZERO } else { began.elapsed() };
            Ok(Seen { page_size, pages, pieces, taken_at, held, changed: Vec::new(), spool: None })
        };
        let seen = reading();
        if seen.is_err() {
            // It cannot fail any more than it did.
            let _ = commit();
        }
        drop(send);
        let compared = comparing.join().map_err(|_| defect())?;
        let (changed, spool) = compared?;
        Ok(Seen { changed, spool, ..seen? })
    })
}

type Changed = (Vec<(u64, usize)>, Option<std::fs::File>);

fn compare(
    pieces: std::sync::mpsc::Receiver<(u64, Vec<u8>)>,
    (ids, by): (&[ChunkId], &Key),
    scratch: &Path,
) -> Result<Changed> {
    let (mut changed, mut spool) = (Vec::new(), None);
    for (number, piece) in pieces {
        let known = usize::try_from(number).ok().and_then(|number| ids.get(number));
        if known.is_some_and(|known| by.chunk_id(&piece) == *known) {
            continue;
        }
        changed.push((number, piece.len()));
        let file = match spool.as_mut() {
            Some(file) => file,
            None => spool.insert(tempfile::tempfile_in(scratch).map_err(|e| unusable(&e))?),
        };
        file.write_all(&piece).map_err(|error| unusable(&error))?;
    }
    Ok((changed, spool))
}

async fn store_changed(seen: &mut Seen, known: &mut Vec<ChunkRef>, sink: &impl Sink) -> Result<()> {
    let Some(mut spool) = seen.spool.take() else { return Ok(()) };
    spool.seek(SeekFrom::Start(0)).map_err(|error| unusable(&error))?;
    for (number, length) in &seen.changed {
        let mut content = vec![0; *length];
        spool.read_exact(&mut content).map_err(|error| unusable(&error))?;
        let chunk = sink.put(content).await?;
        let at = usize::try_from(*number).unwrap_or(usize::MAX);
        known.resize(known.len().max(at + 1), chunk);
        known[at] = chunk;
    }
    Ok(())
}

/// Another one after every commit of another connection.
fn data_version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("PRAGMA main.data_version", [], |row| row.get(0))
}

fn unusable(error: &std::io::Error) -> Error {
    let reason = match error.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => Reason::StateFull,
        _ => Reason::StateUnusable,
    };
    Error::new(reason, format!("the state directory does not take what has changed: {error}"))
        .hint("what is written during a backup waits there: free some space, then try again")
}

fn defect() -> Error {
    Error::new(Reason::Internal, "a worker stopped on a defect")
}
