//! What the sources promise of themselves.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use switchback_client::exit::{Exit, SERVER_REASONS};
use switchback_server::error::{Kind, Reason};

/// The state machine and the dialect decide and touch nothing: they name no crate that acts.
#[test]
fn what_is_pure_imports_nothing_that_acts() {
    let server = Path::new(env!("CARGO_MANIFEST_DIR")).join("../server/src");
    let mut files = Vec::new();
    collect(&server.join("dialect"), &mut files);
    assert!(files.len() > 5, "{files:?}");
    files.extend(["phase.rs", "resume.rs"].map(|file| server.join("migration").join(file)));
    // Tests may ask SQLite itself what is right.
    files.retain(|file| !file.ends_with("tests.rs"));
    for file in files {
        let text =
            fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        // Tests may ask SQLite itself what is right.
        let text = text.split("#[cfg(test)]").next().unwrap_or_default();
        for name in ["tonic", "sqlx", "tokio_postgres", "rusqlite", "bb8", "aws_", "tokio::"] {
            let used = text.lines().any(|line| {
                let code = line.split("//").next().unwrap_or_default();
                code.contains(&format!("{}::", name.trim_end_matches(':')))
            });
            assert!(!used, "{} uses {name}", file.display());
        }
    }
}

/// The client cannot link the server, so it keeps a table of its own.
#[test]
fn the_client_knows_every_reason_of_the_server() {
    let known: BTreeMap<&str, Exit> = SERVER_REASONS.iter().copied().collect();
    assert_eq!(known.len(), Reason::ALL.len());
    for reason in Reason::ALL {
        let wanted = match reason.kind() {
            Kind::Invalid | Kind::NotFound => Exit::Usage,
            Kind::Precondition | Kind::Conflict | Kind::Unauthenticated | Kind::Denied => {
                Exit::Precondition
            }
            Kind::Unavailable | Kind::Late => Exit::Unreachable,
            Kind::Differs => Exit::Differs,
            Kind::Cancelled | Kind::Exhausted | Kind::Unimplemented | Kind::Internal => {
                Exit::Failed
            }
        };
        assert_eq!(known.get(reason.as_str()), Some(&wanted), "{}", reason.as_str());
    }
}

fn collect(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).expect("a directory").flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}
