//! Makes a SQLite file of the pages of a backup.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Write},
    mem,
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, SyncSender, sync_channel},
};

use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::read::Progress;
use crate::{
    backup::{chunk::Fetch, index, manifest::SqliteContent},
    error::{Error, Reason, Result},
    failpoint,
    task::{blocking, cancelled},
};

/// Chunks that are fetched at once; each is in memory.
const FETCHED_AT_ONCE: usize = 8;

/// Bytes that are written before the disk has to take them and give them back.
const STRETCH: usize = 32 << 20;

/// Makes the file `path`, which nobody may have open, and reads it back: what is on the disk is
/// what the backup holds, byte by byte. The caller removes it where this fails.
pub(crate) async fn restore(
    content: &SqliteContent,
    fetch: &impl Fetch,
    path: &Path,
    (progress, cancel): (Progress<'_>, &CancellationToken),
) -> Result<u64> {
    let bytes = u64::from(content.page_size) * content.pages;
    let (send, receive) = mpsc::channel(1);
    let writing = {
        let path = path.to_owned();
        blocking(move || write(&path, bytes, receive))
    };
    let fetching = async move {
        let mut done = 0;
        for list in &content.index {
            let chunks = index::read_one(fetch, *list).await?;
            let fetched = stream::iter(chunks).map(|chunk| fetch.get(chunk));
            let mut fetched = fetched.buffered(FETCHED_AT_ONCE);
            while let Some(piece) = fetched.try_next().await? {
                if cancel.is_cancelled() {
                    return Err(cancelled());
                }
                done += piece.len() as u64;
                if send.send(piece).await.is_err() {
                    // The writer has failed, and says why.
                    return Ok(());
                }
                progress(done, bytes);
            }
        }
        Ok(())
    };
    let (written, fetched) = tokio::join!(writing, fetching);
    fetched.and(written)?;
    Ok(bytes)
}

#[expect(clippy::disallowed_methods, reason = "nobody has the file open yet")]
fn write(path: &Path, bytes: u64, pieces: mpsc::Receiver<Vec<u8>>) -> Result<()> {
    let failed = |error: io::Error| unusable(path, &error);
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    // It holds what the source holds, which others may not be allowed to read.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(path).map_err(failed)?;
    let again = File::open(path).map_err(failed)?;
    let (send, stretches) = sync_channel(1);
    let same = std::thread::scope(|scope| {
        // The disk takes, and gives back, what there is while the next pieces are fetched.
        let reading = scope.spawn(|| read_back(&file, again, stretches));
        let written = write_pieces(&file, pieces, send);
        let same = reading.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        written?;
        file.sync_all()?;
        Ok(same && file.metadata()?.len() == bytes)
    });
    if same.map_err(failed)? {
        return Ok(());
    }
    Err(Error::new(Reason::RestoreFailed, "the restored file is not what the backup holds")
        .hint("the disk did not give back what was written to it: check it, then try again"))
}

/// Pieces that follow each other in the file, by what they are.
type Stretch = Vec<(usize, blake3::Hash)>;

/// Every piece is what its id says; says what the disk has to give back. Ends early where nobody
/// reads it back any more.
fn write_pieces(
    mut file: &File,
    mut pieces: mpsc::Receiver<Vec<u8>>,
    send: SyncSender<Stretch>,
) -> io::Result<()> {
    let (mut stretch, mut bytes) = (Stretch::new(), 0);
    while let Some(piece) = pieces.blocking_recv() {
        file.write_all(&piece)?;
        stretch.push((piece.len(), blake3::hash(&piece)));
        bytes += piece.len();
        if bytes >= STRETCH {
            bytes = 0;
            if send.send(mem::take(&mut stretch)).is_err() {
                return Ok(());
            }
        }
    }
    let _ = send.send(stretch);
    Ok(())
}

/// Whether what was written is read again once the disk has it.
fn read_back(file: &File, mut again: File, stretches: Receiver<Stretch>) -> io::Result<bool> {
    let mut buffer = Vec::new();
    for stretch in stretches {
        file.sync_data()?;
        for (length, hash) in stretch {
            buffer.resize(length, 0);
            again.read_exact(&mut buffer)?;
            if blake3::hash(&buffer) != hash {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

/// Puts a finished file under a name that nothing has.
pub(crate) fn publish(made: &Path, name: &Path) -> Result<()> {
    refuse_present(name)?;
    // Unlike a renaming, a link never replaces anything.
    std::fs::hard_link(made, name).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => present(name),
        _ => unusable(name, &error),
    })?;
    failpoint::hit("publish.after");
    // The other name goes; a server that is stopped here removes it when it goes on.
    let _ = std::fs::remove_file(made);
    sync_directory(name);
    Ok(())
}

/// Refuses a name beside which SQLite would find a file, or what is left of one.
pub(crate) fn refuse_present(name: &Path) -> Result<()> {
    let with = |suffix: &str| {
        let mut name = name.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    };
    ["", "-wal", "-journal", "-shm"].iter().try_for_each(|suffix| {
        let path = with(suffix);
        if path.symlink_metadata().is_ok() { Err(present(&path)) } else { Ok(()) }
    })
}

#[expect(clippy::disallowed_methods, reason = "it is a directory")]
fn sync_directory(name: &Path) {
    if let Some(directory) = name.parent() {
        // Some file systems cannot, and need not.
        let _ = File::open(directory).and_then(|directory| directory.sync_all());
    }
}

fn present(path: &Path) -> Error {
    let message = format!("there is a file {} already", path.display());
    Error::new(Reason::RestoreRefused, message)
        .hint("restore under another name (`--as NAME`), or move that file away")
}

fn unusable(path: &Path, error: &io::Error) -> Error {
    let message = format!("cannot write {}: {error}", path.display());
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            Error::new(Reason::StateFull, message)
                .hint("free some space, or set SWITCHBACK_RESTORE_DIR to a larger disk")
        }
        _ => Error::new(Reason::RestoreFailed, message)
            .hint("the server's user needs write access there: set SWITCHBACK_RESTORE_DIR"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_back_of(written: &[u8], there: &[u8]) -> io::Result<bool> {
        let file = tempfile::NamedTempFile::new()?;
        file.as_file().write_all(there)?;
        let (send, stretches) = sync_channel(2);
        for stretch in [&written[..4], &written[4..]] {
            let pieces = stretch.chunks(2).map(|piece| (piece.len(), blake3::hash(piece)));
            send.send(pieces.collect()).map_err(io::Error::other)?;
        }
        drop(send);
        read_back(file.as_file(), file.reopen()?, stretches)
    }

    #[test]
    fn what_a_disk_does_not_give_back_is_noticed() {
        let written = b"what was written";
        assert!(read_back_of(written, written).unwrap());
        assert!(!read_back_of(written, b"what was writteN").unwrap());
        assert!(!read_back_of(written, b"What was written").unwrap());
        let short = read_back_of(written, b"what was").unwrap_err();
        assert_eq!(short.kind(), io::ErrorKind::UnexpectedEof);
    }
}
