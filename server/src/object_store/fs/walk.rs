//! Lists a directory in the order in which S3 lists a bucket.

use std::{fs, io, path::Path};

use super::{DirectoryStore, info, is_absent};
use crate::{
    error::Result,
    object_store::{Listing, ObjectInfo, PAGE, is_key},
};

/// A page of the files whose names begin with `prefix`, behind `after`.
pub(super) fn list(store: &DirectoryStore, prefix: &str, after: &str) -> Result<Listing> {
    let mut walk = Walk { store, prefix, after, found: Vec::new() };
    walk.directory(&store.root, "")?;
    let more = walk.found.len() > PAGE;
    walk.found.truncate(PAGE);
    Ok(Listing { objects: walk.found, more })
}

struct Walk<'a> {
    store: &'a DirectoryStore,
    prefix: &'a str,
    after: &'a str,
    found: Vec<ObjectInfo>,
}

impl Walk<'_> {
    /// Looks through a directory, whose names begin with `above`, until one more is found than a
    /// page holds. What is no object's name is not ours and is passed over.
    fn directory(&mut self, path: &Path, above: &str) -> Result<()> {
        let names = match names(path, above) {
            Ok(names) => names,
            // It was removed as empty since it was seen.
            Err(error) if is_absent(&error) => return Ok(()),
            Err(error) => return Err(self.store.failed("list", error)),
        };
        for name in names {
            if self.found.len() > PAGE {
                break;
            }
            let key = name.trim_end_matches('/');
            let below = self.store.root.join(key);
            if !is_key(key) || !wanted(&name, self.prefix, self.after) {
                continue;
            }
            if below.is_symlink() {
                return Err(self.store.linked(&below));
            }
            if name.ends_with('/') {
                self.directory(&below, &name)?;
                continue;
            }
            match info(key, &below) {
                Ok(info) => self.found.extend(info),
                Err(error) if is_absent(&error) => {}
                Err(error) => return Err(self.store.failed("list", error)),
            }
        }
        Ok(())
    }
}

/// Names in a directory, directories with a slash behind them: so they sort as the names of the
/// objects do that are in them.
fn names(path: &Path, above: &str) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        let kind = entry.file_type()?;
        // A link may be to a directory that holds what is asked for.
        let slash = if kind.is_dir() || kind.is_symlink() { "/" } else { "" };
        names.push(format!("{above}{name}{slash}"));
    }
    names.sort_unstable();
    Ok(names)
}

/// Whether the name of an object, or a name below that of a directory (which ends with a slash),
/// begins with `prefix` and comes behind `after`.
fn wanted(name: &str, prefix: &str, after: &str) -> bool {
    if name.ends_with('/') {
        (name.starts_with(prefix) || prefix.starts_with(name))
            && (name > after || after.starts_with(name))
    } else {
        name.starts_with(prefix) && name > after
    }
}

#[cfg(test)]
mod tests {
    use super::wanted;

    #[test]
    fn only_directories_that_can_hold_a_wanted_name_are_entered() {
        assert!(wanted("a/", "a/b", ""));
        assert!(wanted("a/", "", "a/b"));
        assert!(wanted("a/", "a", "a-"));
        assert!(!wanted("a/", "b", ""));
        assert!(!wanted("a/", "", "a0"));
        assert!(wanted("a/b", "a/", "a/a"));
        assert!(!wanted("a/b", "a/", "a/b"));
        assert!(!wanted("a/b", "a/c", ""));
    }
}
