//! A directory as a store.

mod walk;

use std::{
    collections::BTreeSet,
    fs, io,
    io::Write,
    path::{Path, PathBuf},
    time::SystemTime,
};

use bytes::Bytes;
use futures_util::future::BoxFuture;

use super::{Listing, ObjectInfo, ObjectStore, StoreUrl, TEMPORARY, check_key};
use crate::{
    error::{Error, Reason, Result},
    task::blocking,
};

/// Another server may remove a directory as empty just before an object is put into it.
const PUT_ATTEMPTS: u32 = 8;

/// A directory whose files are objects.
#[derive(Debug, Clone)]
pub(super) struct DirectoryStore {
    root: PathBuf,
    create: bool,
}

impl DirectoryStore {
    /// A store below `root`, which is made at the first write where `create` says so.
    pub(super) fn new(root: PathBuf, create: bool) -> Self {
        Self { root, create }
    }

    /// Does work on a blocking thread.
    fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> Result<T> + Send + 'static,
    ) -> BoxFuture<'_, Result<T>> {
        let store = self.clone();
        Box::pin(blocking(move || work(&store)))
    }

    /// Refuses a place that is not there, so that a disk that is not mounted is no empty store.
    fn check_root(&self) -> Result<()> {
        match fs::metadata(&self.root) {
            Ok(metadata) if metadata.is_dir() => Ok(()),
            Ok(_) => Err(self.failed("use", io::ErrorKind::NotADirectory.into())),
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.create => Ok(()),
            Err(error) => Err(self.failed("use", error)),
        }
    }

    /// Path of an object. A name goes through no symbolic link, so it stays below the root.
    fn path(&self, key: &str) -> Result<PathBuf> {
        check_key(key)?;
        let mut path = self.root.clone();
        for segment in key.split('/') {
            path.push(segment);
            match fs::symlink_metadata(&path) {
                Ok(metadata) if metadata.is_symlink() => return Err(self.linked(&path)),
                Ok(_) => {}
                Err(error) if is_absent(&error) => {}
                Err(error) => return Err(self.failed("look into", error)),
            }
        }
        Ok(path)
    }

    fn put_now(&self, key: &str, body: &[u8]) -> Result<()> {
        let path = self.path(key)?;
        self.check_root()?;
        let failed = |error| self.failed("write to", error);
        let parent = path.parent().unwrap_or(&self.root);
        let temporary = self.root.join(TEMPORARY);
        make_directories(&temporary).map_err(failed)?;
        // Removed by its drop where anything below fails.
        let mut file =
            tempfile::Builder::new().prefix("put-").tempfile_in(&temporary).map_err(failed)?;
        file.write_all(body).map_err(failed)?;
        file.as_file().sync_all().map_err(failed)?;
        for attempt in 1.. {
            make_directories(parent).map_err(failed)?;
            match file.persist(&path) {
                Ok(_) => break,
                Err(back) if is_absent(&back.error) && attempt < PUT_ATTEMPTS => file = back.file,
                Err(back) => return Err(failed(back.error)),
            }
        }
        sync_directory(parent).map_err(failed)
    }

    fn get_now(&self, key: &str) -> Result<Option<Bytes>> {
        let path = self.path(key)?;
        match fs::read(path) {
            Ok(content) => Ok(Some(content.into())),
            Err(error) => self.absent(error),
        }
    }

    fn head_now(&self, key: &str) -> Result<Option<ObjectInfo>> {
        let path = self.path(key)?;
        match info(key, &path) {
            Ok(info) => Ok(info),
            Err(error) => self.absent(error),
        }
    }

    fn delete_now(&self, keys: &[String]) -> Result<()> {
        let mut parents = BTreeSet::new();
        for key in keys {
            let path = self.path(key)?;
            match fs::remove_file(&path) {
                Ok(()) => parents.extend(path.parent().map(Path::to_path_buf)),
                Err(error) => {
                    self.absent::<()>(error)?;
                }
            }
        }
        for parent in parents {
            // A manifest that came back after a loss of power would name chunks that are gone.
            sync_directory(&parent).map_err(|error| self.failed("delete in", error))?;
            self.remove_empty(&parent);
        }
        Ok(())
    }

    /// Removes a directory and those above it while they are empty. What is in the way stays.
    fn remove_empty(&self, directory: &Path) {
        let above = directory.ancestors().take_while(|above| *above != self.root);
        let _ = above.map(fs::remove_dir).take_while(io::Result::is_ok).count();
    }

    fn clean_now(&self, before: SystemTime) -> Result<u64> {
        self.check_root()?;
        let entries = match fs::read_dir(self.root.join(TEMPORARY)) {
            Ok(entries) => entries,
            Err(error) => return Ok(self.absent(error)?.unwrap_or_default()),
        };
        let mut removed = 0;
        for entry in entries.flatten() {
            let metadata = entry.metadata().ok().filter(fs::Metadata::is_file);
            let modified = metadata.and_then(|metadata| metadata.modified().ok());
            if modified.is_some_and(|modified| modified < before) {
                match fs::remove_file(entry.path()) {
                    Ok(()) => removed += 1,
                    Err(error) => {
                        self.absent::<()>(error)?;
                    }
                }
            }
        }
        Ok(removed)
    }

    /// An object that is not there, where the store is.
    fn absent<T>(&self, error: io::Error) -> Result<Option<T>> {
        if !is_absent(&error) {
            return Err(self.failed("read", error));
        }
        self.check_root()?;
        Ok(None)
    }

    fn linked(&self, path: &Path) -> Error {
        Error::new(
            Reason::StoreRefused,
            format!("{} is a symbolic link inside the store {}", path.display(), self.place()),
        )
        .hint("a store has no links inside; the place itself may be one: set SWITCHBACK_STORE")
    }

    fn failed(&self, action: &str, error: io::Error) -> Error {
        let (reason, hint) = reason(error.kind());
        let message = format!("cannot {action} the store {}: {error}", self.place());
        Error::new(reason, message).hint(hint).caused_by(error)
    }

    fn place(&self) -> String {
        StoreUrl::Directory { path: self.root.clone(), create: self.create }.shown()
    }
}

impl ObjectStore for DirectoryStore {
    fn put(&self, key: String, body: Bytes) -> BoxFuture<'_, Result<()>> {
        self.work(move |store| store.put_now(&key, &body))
    }

    fn get(&self, key: String) -> BoxFuture<'_, Result<Option<Bytes>>> {
        self.work(move |store| store.get_now(&key))
    }

    fn head(&self, key: String) -> BoxFuture<'_, Result<Option<ObjectInfo>>> {
        self.work(move |store| store.head_now(&key))
    }

    fn list(&self, prefix: String, after: String) -> BoxFuture<'_, Result<Listing>> {
        self.work(move |store| {
            store.check_root()?;
            walk::list(store, &prefix, &after)
        })
    }

    fn delete(&self, keys: Vec<String>) -> BoxFuture<'_, Result<()>> {
        self.work(move |store| store.delete_now(&keys))
    }

    fn clean(&self, before: SystemTime) -> BoxFuture<'_, Result<u64>> {
        self.work(move |store| store.clean_now(before))
    }

    fn shown(&self) -> String {
        self.place()
    }
}

/// What is known of a file; `None` for what is no file.
fn info(key: &str, path: &Path) -> io::Result<Option<ObjectInfo>> {
    let metadata = fs::symlink_metadata(path)?;
    if !metadata.is_file() {
        return Ok(None);
    }
    let (bytes, modified) = (metadata.len(), metadata.modified()?);
    Ok(Some(ObjectInfo { key: key.into(), bytes, modified }))
}

/// Nothing is called so: neither it, nor what would have to be a directory above it.
fn is_absent(error: &io::Error) -> bool {
    use io::ErrorKind::{IsADirectory, NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory | IsADirectory)
}

/// Why a directory does not take or give an object, and what to do about it.
fn reason(kind: io::ErrorKind) -> (Reason, &'static str) {
    use io::ErrorKind::{
        AlreadyExists, IsADirectory, NotADirectory, NotFound, PermissionDenied, QuotaExceeded,
        ReadOnlyFilesystem, StorageFull,
    };
    match kind {
        StorageFull | QuotaExceeded => {
            (Reason::StoreFull, "free some space there, or prune backups, and try again")
        }
        PermissionDenied | ReadOnlyFilesystem => {
            (Reason::StoreRefused, "let the user of the server read and write there")
        }
        NotFound | NotADirectory | IsADirectory | AlreadyExists => (
            Reason::StoreRefused,
            "make the directory, mount its disk, or set SWITCHBACK_STORE to another place",
        ),
        _ => (Reason::StoreUnreachable, "check the disk or the network file system, and try again"),
    }
}

/// Makes a directory and what is missing above it, durable.
fn make_directories(directory: &Path) -> io::Result<()> {
    if directory.is_dir() {
        return Ok(());
    }
    let Some(parent) = directory.parent() else { return Ok(()) };
    make_directories(parent)?;
    match fs::create_dir(directory) {
        Ok(()) => sync_directory(parent),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && directory.is_dir() => Ok(()),
        Err(error) => Err(error),
    }
}

#[expect(clippy::disallowed_methods, reason = "a directory of a store is no database file")]
fn sync_directory(directory: &Path) -> io::Result<()> {
    fs::File::open(directory)?.sync_all()
}
