//! Every file of the corpus: it arrives, or it is refused for the reason that stands here.

use std::path::{Path, PathBuf};

use switchback_proto::v1::Severity;
use switchback_tests::{corpus, rig::Rig};

use crate::round;

/// The files that are refused, and why. Neither direction can change unseen: a file that stands
/// here and migrates fails the test, and so does one that is refused and does not stand here.
const REFUSALS: [(&str, Why); 19] = [
    ("file_corrupt.db", Why::File("SOURCE_CORRUPT")),
    ("file_truncated.db", Why::File("SOURCE_CORRUPT")),
    ("file_not_a_db.db", Why::File("SOURCE_NOT_A_DATABASE")),
    ("file_encrypted_like.db", Why::File("SOURCE_NOT_A_DATABASE")),
    ("cols_2000.db", Why::Shape("too_many_columns", "wide")),
    ("cols_1600_text.db", Why::Shape("row_too_wide", "wide")),
    ("bools_odd.db", Why::Mixed(&[("t", "a")])),
    ("duckdb_emptytype.db", Why::Mixed(&[("tbl", "col")])),
    ("duckdb_mixed_data_numeric.db", Why::Mixed(&[("tbl", "a")])),
    ("pgloader_bad-utf8.db", Why::Mixed(&[("files", "filename")])),
    ("pgloader_sqlite.db", Why::Mixed(&[("intege", "id"), ("stamps", "StartTime")])),
    ("pgloader_type-mismatch.db", Why::Mixed(&[("products", "qty")])),
    ("pk_integer_quirk.db", Why::Mixed(&[("a", "id")])),
    ("prisma_style.db", Why::Mixed(&[("User", "createdAt")])),
    ("rails_legacy.db", Why::Mixed(&[("users", "admin"), ("users", "ok")])),
    ("strict.db", Why::Mixed(&[("s", "a")])),
    ("type_real_in_decimal.db", Why::Mixed(&[("money", "amt"), ("money", "n")])),
    ("type_text_in_integer.db", Why::Mixed(&[("t", "n")])),
    ("uuid_forms.db", Why::Mixed(&[("b", "g")])),
];

enum Why {
    /// Columns of mixed classes, by table and column, and nothing else; `encode` gets them across.
    Mixed(&'static [(&'static str, &'static str)]),
    /// A blocker without a choice, by code and table.
    Shape(&'static str, &'static str),
    /// The file itself: the reason of the error.
    File(&'static str),
}

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
    match REFUSALS.iter().find(|(file, _)| *file == name).map(|(_, why)| why) {
        None => {
            round::arrives(&rig, &[]).await;
        }
        Some(Why::Shape(code, table)) => shape(&rig, code, table).await,
        Some(Why::File(reason)) => unreadable(&rig, reason).await,
        Some(Why::Mixed(places)) => mixed(&rig, places).await,
    }
    rig.finish().await;
}

async fn shape(rig: &Rig, code: &str, table: &str) {
    round::blocked(rig, &[code]).await;
    let run = rig.cli(&["plan"]).await;
    assert!(run.found(code).iter().all(|finding| finding["table"] == table), "{}", run.stdout);
}

async fn unreadable(rig: &Rig, reason: &str) {
    let before = rig.source_hash();
    rig.cli(&["plan"]).await.refused(5, reason);
    rig.cli(&["migrate"]).await.refused(5, reason);
    round::assert_left_alone(rig, &before).await;
}

/// Exactly these columns are in the way, and `encode` gets them across.
async fn mixed(rig: &Rig, places: &[(&str, &str)]) {
    round::blocked(rig, &["mixed_types"]).await;
    let plan = rig.cli(&["plan"]).await.plan();
    let mut found: Vec<(&str, &str)> = plan
        .findings
        .iter()
        .filter(|finding| finding.severity() == Severity::Blocker)
        .map(|finding| (finding.table.as_str(), finding.column.as_str()))
        .collect();
    found.sort_unstable();
    assert_eq!(found, places, "{:#?}", plan.findings);
    round::arrives(rig, &["--on", "mixed_types=encode"]).await;
}

fn name(file: &Path) -> String {
    file.file_name().expect("a file has a name").to_string_lossy().into_owned()
}
