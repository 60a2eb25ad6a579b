//! Real SQLite files that tests read where they are; not part of the project.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

/// Every SQLite file of the corpus, sorted; `None`, with a visible note, where there is none.
pub fn files() -> Option<Vec<PathBuf>> {
    let root = env::var_os("SWITCHBACK_CORPUS").map_or_else(beside, PathBuf::from);
    let mut found = Vec::new();
    collect(&root, &mut found);
    if found.is_empty() {
        eprintln!("note: no corpus at {} (set SWITCHBACK_CORPUS): skipped", root.display());
        return None;
    }
    found.sort();
    Some(found)
}

/// `shared/corpus` beside the checkout.
fn beside() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/corpus")
}

fn collect(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "db") {
            found.push(path);
        }
    }
}
