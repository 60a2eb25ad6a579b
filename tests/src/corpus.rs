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

/// An application's database in SQLite, and the schema that it makes for itself in PostgreSQL.
#[derive(Debug, Clone)]
pub struct Pair {
    /// The SQLite file.
    pub source: PathBuf,
    /// SQL for `psql`, with the rows that the application's own migrations make.
    pub schema: PathBuf,
}

/// The pair of an application of the corpus; `None`, with a visible note, where it is not there.
pub fn pair(application: &str) -> Option<Pair> {
    let name = format!("{application}.db");
    let source = files()?.into_iter().find(|file| file.ends_with(&name))?;
    let schema = source.with_file_name("postgres_schemas").join(format!("{application}.pg.sql"));
    if !schema.is_file() {
        eprintln!("note: no schema of {application} at {}: skipped", schema.display());
        return None;
    }
    Some(Pair { source, schema })
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
