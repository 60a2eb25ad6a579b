//! Makes a SQLite file of the pages of a backup.

use std::{
    fs::{File, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
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
fn write(path: &Path, bytes: u64, mut pieces: mpsc::Receiver<Vec<u8>>) -> Result<()> {
    let failed = |error: std::io::Error| unusable(path, &error);
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(true);
    // It holds what the source holds, which others may not be allowed to read.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path).map_err(failed)?;
    let mut written = blake3::Hasher::new();
    while let Some(content) = pieces.blocking_recv() {
        file.write_all(&content).map_err(failed)?;
        written.update(&content);
    }
    file.sync_all().map_err(failed)?;
    drop(file);
    // Every piece is what its id says; now whether the disk has them all.
    let file = File::open(path).map_err(failed)?;
    let length = file.metadata().map_err(failed)?.len();
    let mut read = blake3::Hasher::new();
    read.update_reader(file).map_err(failed)?;
    if read.finalize() == written.finalize() && length == bytes {
        return Ok(());
    }
    Err(Error::new(Reason::RestoreFailed, "the restored file is not what the backup holds")
        .hint("the disk did not give back what was written to it: check it, then try again"))
}

/// Puts a finished file under a name that nothing has.
pub(crate) fn publish(made: &Path, name: &Path) -> Result<()> {
    refuse_present(name)?;
    // Unlike a renaming, a link never replaces anything.
    std::fs::hard_link(made, name).map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => present(name),
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

fn unusable(path: &Path, error: &std::io::Error) -> Error {
    let message = format!("cannot write {}: {error}", path.display());
    match error.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
            Error::new(Reason::StateFull, message)
                .hint("free some space, or set SWITCHBACK_RESTORE_DIR to a larger disk")
        }
        _ => Error::new(Reason::RestoreFailed, message)
            .hint("the server's user needs write access there: set SWITCHBACK_RESTORE_DIR"),
    }
}
