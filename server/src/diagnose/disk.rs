//! Directories: whether the server may write there, and how much room there is.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::time::timeout;

use super::checks::Checks;
use crate::{
    error::{Error, Reason, Result},
    task::blocking,
};

/// Bytes that should be free: scratch files of a large transaction, the control database, logs.
pub(super) const ROOM: u64 = 1 << 30;

/// Bytes under which work fails within minutes.
const LEAST: u64 = 100 << 20;

/// A network file system may hang.
const PATIENCE: Duration = Duration::from_secs(5);

/// Tests a directory, or the one that it would be made in. `room` is how many bytes should be free.
pub(super) async fn directory(name: &str, path: &Path, room: u64, checks: &mut Checks) {
    let place = existing(path);
    if let Err(error) = write_in(place.clone()).await {
        return checks.refused(name, &error);
    }
    let shown = path.display();
    let hint = "make room, or name a directory on a larger disk";
    match free(place).await {
        None => checks.ok(name, format!("{shown}: writable; how much is free is not known")),
        Some(bytes) => {
            let message = format!("{shown}: writable, {} free", size(bytes));
            match verdict(bytes, room) {
                Verdict::Enough => checks.ok(name, message),
                Verdict::Little => checks.warn(name, message, hint),
                Verdict::Full => checks.fail(name, message, hint),
            }
        }
    }
}

/// A path, or the nearest directory above it that is there.
fn existing(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let found = absolute.ancestors().find(|place| place.is_dir());
    found.unwrap_or(Path::new("/")).to_owned()
}

/// Writes a file without a name, which is gone when it is closed.
async fn write_in(directory: PathBuf) -> Result<()> {
    blocking(move || {
        use std::io::Write;
        let written = tempfile::tempfile_in(&directory)
            .and_then(|mut file| file.write_all(&[0; 4096]).and_then(|()| file.sync_all()));
        written.map_err(|error| {
            let message = format!("cannot write in {}: {error}", directory.display());
            Error::new(Reason::StateUnusable, message)
                .hint("let the server's user write there, and see that the disk has room")
        })
    })
    .await
}

/// Bytes that are free for the server's user; `None` where the file system does not say in time.
async fn free(directory: PathBuf) -> Option<u64> {
    let asked = blocking(move || Ok(rustix::fs::statvfs(&directory).ok()));
    let found = timeout(PATIENCE, asked).await.ok()?.ok()??;
    found.f_bavail.checked_mul(found.f_frsize)
}

#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Enough,
    Little,
    Full,
}

fn verdict(free: u64, room: u64) -> Verdict {
    if free < LEAST {
        Verdict::Full
    } else if free < room {
        Verdict::Little
    } else {
        Verdict::Enough
    }
}

/// `12.3 GB`, with powers of 1000, as disks are measured.
fn size(bytes: u64) -> String {
    let tenths = bytes / 100_000_000;
    if tenths >= 10 {
        format!("{}.{} GB", tenths / 10, tenths % 10)
    } else {
        format!("{} MB", bytes / 1_000_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_that_is_nearly_full_is_told_from_one_with_little_room() {
        assert_eq!(verdict(LEAST - 1, 0), Verdict::Full);
        assert_eq!(verdict(LEAST, ROOM), Verdict::Little);
        assert_eq!(verdict(ROOM, ROOM), Verdict::Enough);
        assert_eq!((size(999_999_999), size(12_345_678_901)), ("999 MB".into(), "12.3 GB".into()));
    }

    #[tokio::test]
    async fn a_directory_that_is_not_there_yet_is_tested_where_it_would_be_made() {
        let made = tempfile::tempdir().unwrap();
        let deep = made.path().join("a/b");
        assert_eq!(existing(&deep), made.path());
        assert!(free(made.path().to_owned()).await.is_some_and(|bytes| bytes > 0));
        write_in(made.path().to_owned()).await.unwrap();
        assert_eq!(std::fs::read_dir(made.path()).unwrap().count(), 0);
        let error = write_in(deep).await.unwrap_err();
        assert!(!error.hint_text().is_empty());
    }
}
