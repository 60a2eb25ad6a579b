//! Files that are read again when they change, without a restart.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

/// What tells a file from the one that was there before. A file that is renamed into place has
/// another number, so two versions of one length within one tick of the clock differ as well.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    length: u64,
    number: u64,
}

/// What files say, read again when one of them has changed.
pub(crate) struct Reload<T> {
    files: Vec<PathBuf>,
    read: Box<dyn Fn() -> Result<T, String> + Send + Sync>,
    current: Mutex<Current<T>>,
}

struct Current<T> {
    stamps: Vec<Option<Stamp>>,
    value: Arc<T>,
}

impl<T> std::fmt::Debug for Reload<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reload").field("files", &self.files).finish_non_exhaustive()
    }
}

impl<T> Reload<T> {
    /// Reads the files the first time.
    pub(crate) fn open(
        files: Vec<PathBuf>,
        read: impl Fn() -> Result<T, String> + Send + Sync + 'static,
    ) -> Result<Self, String> {
        // Before they are read: what changes meanwhile is seen the next time.
        let stamps = stamps(&files);
        let value = Arc::new(read()?);
        let current = Mutex::new(Current { stamps, value });
        Ok(Self { files, read: Box::new(read), current })
    }

    /// What the files say now, or what they said last where they cannot be read: a file that is
    /// half written must not lock everybody out. Looks at the files' metadata each time.
    pub(crate) fn current(&self) -> Arc<T> {
        let stamps = stamps(&self.files);
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.stamps == stamps {
            return Arc::clone(&current.value);
        }
        current.stamps = stamps;
        match (self.read)() {
            Ok(value) => {
                current.value = Arc::new(value);
                tracing::info!(files = ?self.files, "read again");
            }
            Err(problem) => {
                let hint = "correct it: it is read again as soon as it changes";
                tracing::error!(files = ?self.files, problem, hint, "what was read before goes on");
            }
        }
        Arc::clone(&current.value)
    }
}

fn stamps(files: &[PathBuf]) -> Vec<Option<Stamp>> {
    files.iter().map(|file| stamp(file).ok()).collect()
}

fn stamp(file: &Path) -> io::Result<Stamp> {
    let metadata = fs::metadata(file)?;
    #[cfg(unix)]
    let number = std::os::unix::fs::MetadataExt::ino(&metadata);
    #[cfg(not(unix))]
    let number = 0;
    Ok(Stamp { modified: metadata.modified().ok(), length: metadata.len(), number })
}

/// Whether users other than its owner may read a file.
pub(crate) fn others_may_read(path: &Path) -> io::Result<bool> {
    Ok(mode(path)? & 0o077 != 0)
}

/// Whether users other than its owner may change a file.
pub(crate) fn others_may_write(path: &Path) -> io::Result<bool> {
    Ok(mode(path)? & 0o022 != 0)
}

#[cfg(unix)]
fn mode(path: &Path) -> io::Result<u32> {
    use std::os::unix::fs::PermissionsExt;
    Ok(fs::metadata(path)?.permissions().mode())
}

#[cfg(not(unix))]
fn mode(_path: &Path) -> io::Result<u32> {
    Ok(0o600)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_file_is_read_again_and_a_broken_one_is_not_taken() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("number");
        let put = |text: &str| {
            let new = directory.path().join("new");
            fs::write(&new, text).unwrap();
            fs::rename(&new, &file).unwrap();
        };
        put("1");
        let path = file.clone();
        let read = move || {
            let text = fs::read_to_string(&path).map_err(|error| error.to_string())?;
            text.parse::<u32>().map_err(|error| error.to_string())
        };
        let reload = Reload::open(vec![file.clone()], read).unwrap();
        assert_eq!(*reload.current(), 1);
        put("2");
        assert_eq!(*reload.current(), 2);
        put("x");
        assert_eq!(*reload.current(), 2);
        fs::remove_file(&file).unwrap();
        assert_eq!(*reload.current(), 2);
        put("3");
        assert_eq!(*reload.current(), 3);
    }
}
