//! Every file of the corpus: it arrives, or it is refused for the reason that stands here.

use std::path::{Path, PathBuf};

use switchback_tests::{corpus, rig::Rig};

use crate::round;

/// A file that is refused, and why. Neither direction can change unseen: a file that stands here
/// and migrates fails the test, and so does one that is refused and does not stand here.
struct Refusal {
    file: &'static str,
    why: Why,
}

enum Why {
    /// Blockers with choices, by table and column; with `encode` the file arrives.
    Values(&'static [(&'static str, &'static str, &'static str)]),
    /// A blocker without a choice, by code and table.
    Shape(&'static str, &'static str),
    /// The file itself: reason, exit code 5.
    File(&'static str),
}

const MIXED: &str = "mixed_types";

const REFUSALS: &[Refusal] = &[
    Refusal { file: "file_corrupt.db", why: Why::File("SOURCE_CORRUPT") },
    Refusal { file: "file_truncated.db", why: Why::File("SOURCE_CORRUPT") },
    Refusal { file: "file_not_a_db.db", why: Why::File("SOURCE_NOT_A_DATABASE") },
    Refusal { file: "file_encrypted_like.db", why: Why::File("SOURCE_NOT_A_DATABASE") },
    Refusal { file: "cols_2000.db", why: Why::Shape("too_many_columns", "") },
    Refusal { file: "duckdb_emptytype.db", why: Why::Values(&[(MIXED, "tbl", "col")]) },
    Refusal { file: "duckdb_mixed_data_numeric.db", why: Why::Values(&[(MIXED, "tbl", "a")]) },
    Refusal { file: "pgloader_bad-utf8.db", why: Why::Values(&[(MIXED, "files", "filename")]) },
    Refusal {
        file: "pgloader_sqlite.db",
        why: Why::Values(&[(MIXED, "intege", "id"), (MIXED, "stamps", "StartTime")]),
    },
    Refusal { file: "pgloader_type-mismatch.db", why: Why::Values(&[(MIXED, "products", "qty")]) },
];

#[tokio::test]
async fn apps() {
    all("apps").await;
}

#[tokio::test]
async fn duckdb() {
    all("duckdb").await;
}

#[tokio::test]
async fn pgloader() {
    all("pgloader").await;
}

#[tokio::test]
async fn nasty() {
    all("nasty").await;
}

async fn all(folder: &str) {
    let Some(files) = corpus::files() else { return };
    let files = files.into_iter().filter(|file| file.parent().is_some_and(|p| p.ends_with(folder)));
    let items = files.map(|file| (name(&file), file));
    round::each(items, one).await;
}

async fn one(file: PathBuf) {
    let name = name(&file);
    let rig = Rig::of_file(&file).await;
    match REFUSALS.iter().find(|refusal| refusal.file == name).map(|refusal| &refusal.why) {
        None => {
            round::arrives(&rig, &[]).await;
        }
        Some(Why::Shape(code, _)) => round::blocked(&rig, &[code]).await,
        Some(Why::File(reason)) => unreadable(&rig, reason).await,
        Some(Why::Values(places)) => values(&rig, places).await,
    }
    rig.finish().await;
}

async fn unreadable(rig: &Rig, reason: &str) {
    let before = rig.source_hash();
    rig.cli(&["plan"]).await.refused(5, reason);
    rig.cli(&["migrate"]).await.refused(5, reason);
    round::assert_left_alone(rig, &before).await;
}

/// Exactly these columns are in the way, and `encode` gets them across.
async fn values(rig: &Rig, places: &[(&str, &str, &str)]) {
    let codes: Vec<&str> = places.iter().map(|(code, _, _)| *code).collect();
    round::blocked(rig, &codes).await;
    let run = rig.cli(&["plan"]).await;
    let mut found: Vec<String> = run.plan().findings.into_iter()
        .filter(|finding| !finding.choices.is_empty())
        .map(|finding| format!("{} {} {}", finding.code, finding.table, finding.column))
        .collect();
    let mut wanted: Vec<String> =
        places.iter().map(|(code, table, column)| format!("{code} {table} {column}")).collect();
    found.sort();
    wanted.sort();
    assert_eq!(found, wanted);
    let choices = ["mixed_types=encode", "nul_in_text=encode", "invalid_utf8=encode"];
    let choices: Vec<&str> = choices.iter().flat_map(|choice| ["--on", choice]).collect();
    round::arrives(rig, &choices).await;
}

fn name(file: &Path) -> String {
    file.file_name().expect("a file has a name").to_string_lossy().into_owned()
}
