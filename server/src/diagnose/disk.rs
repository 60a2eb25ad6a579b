//! Directories: whether the server may write there, and how much room there is.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use tokio::{process::Command, time::timeout};

use super::checks::Checks;
use crate::{
    error::{Error, Reason, Result},
    task::blocking,
};

/// Bytes that should be free: scratch files of a large transaction, the control database, logs.
pub(super) const ROOM: u64 = 1 << 30;

/// Bytes under which work fails within minutes.
const LEAST: u64 = 100 << 20;

/// `df` hangs where a network file system does.
const PATIENCE: Duration = Duration::from_secs(5);

/// Tests a directory, or the one that it would be made in. `room` is how many bytes should be free.
pub(super) async fn directory(name: &str, path: &Path, room: u64, checks: &mut Checks) {
    let place = existing(path);
    if let Err(error) = write_in(place.clone()).await {
        return checks.refused(name, &error);
    }
    let shown = path.display();
    let hint = "make room, or name a directory on a larger disk";
    match free(&place).await {
        // The program may not be there: no reason to call anything broken.
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

/// Bytes that are free for the server's user; `None` where `df` cannot say. The standard library
/// has no call for it.
async fn free(directory: &Path) -> Option<u64> {
    let mut command = Command::new("df");
    command.env("LC_ALL", "C").args(["-P", "-k", "--"]).arg(directory);
    command.stdin(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    let output = timeout(PATIENCE, command.output()).await.ok()?.ok()?;
    available(&String::from_utf8_lossy(&output.stdout))
}

/// What POSIX's `df -P -k` prints, in bytes. The device's name may have spaces in it; what stands
/// before the percentage is what is available.
fn available(output: &str) -> Option<u64> {
    let fields: Vec<&str> = output.lines().nth(1)?.split_ascii_whitespace().collect();
    let is_percentage =
        |field: &&str| field.strip_suffix('%').is_some_and(|number| number.parse::<u64>().is_ok());
    let used = fields.iter().position(is_percentage)?;
    fields.get(used.checked_sub(1)?)?.parse::<u64>().ok()?.checked_mul(1024)
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
    fn what_df_prints_is_read_from_its_percentage() {
        let heading = "Filesystem 1024-blocks Used Available Capacity Mounted on\n";
        for (line, expected) in [
            ("/dev/sda1 100 40 60 40% /", Some(60 * 1024)),
            ("a share of mine 100 100 0 100% /a b%", Some(0)),
            ("none - - - - /", None),
            ("40% /", None),
            ("", None),
        ] {
            assert_eq!(available(&format!("{heading}{line}\n")), expected, "{line}");
        }
    }

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
        assert!(free(made.path()).await.is_some_and(|bytes| bytes > 0));
        write_in(made.path().to_owned()).await.unwrap();
        assert_eq!(std::fs::read_dir(made.path()).unwrap().count(), 0);
        let error = write_in(deep).await.unwrap_err();
        assert!(!error.hint_text().is_empty());
    }
}
