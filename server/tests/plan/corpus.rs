//! Plans of every file of the corpus.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
};

use switchback_proto::v1::{Plan, PlanOptions};
use switchback_server::{
    db::source::SourceFile,
    dialect::{finding::CODES, plan::check_plan, schema::SourceSchema},
};

use crate::plan_of;

fn corpus() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/corpus");
    std::env::var_os("SWITCHBACK_CORPUS")
        .map(PathBuf::from)
        .or(Some(beside))
        .filter(|path| path.is_dir())
}

fn files(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            files(&path, found);
        } else if (name.ends_with(".db") || name.ends_with(".sqlite")) && !name.starts_with("file_")
        {
            found.push(path);
        }
    }
}

#[test]
fn every_object_of_the_corpus_is_carried_or_named() {
    let Some(corpus) = corpus() else {
        println!("SKIPPED: no corpus; SWITCHBACK_CORPUS names its directory");
        return;
    };
    let mut paths = Vec::new();
    files(&corpus, &mut paths);
    assert!(paths.len() > 50, "{} files", paths.len());
    let known: HashSet<&str> = CODES.iter().map(|code| code.code).collect();
    for path in paths {
        let copied = tempfile::tempdir().unwrap();
        let file = copied.path().join("source.db");
        std::fs::copy(&path, &file).unwrap();
        let mut permissions = std::fs::metadata(&file).unwrap().permissions();
        #[expect(clippy::permissions_set_readonly_false, reason = "a copy of a read-only file")]
        permissions.set_readonly(false);
        std::fs::set_permissions(&file, permissions).unwrap();
        let connection = SourceFile::new(&file).open().unwrap();
        let (source, plan) = plan_of(&connection, &PlanOptions::default());
        assert_eq!(plan.tables.len(), source.tables.len(), "{}", path.display());
        let errors = check_plan(&plan, &source);
        assert_eq!(errors, Ok(()), "{}", path.display());
        for finding in &plan.findings {
            assert!(known.contains(finding.code.as_str()), "{} is not listed", finding.code);
        }
        everything_is_there(&path, &source, &plan);
        let json = serde_json::to_string(&plan).unwrap();
        assert_eq!(serde_json::from_str::<Plan>(&json).unwrap(), plan, "{}", path.display());
    }
}

fn everything_is_there(path: &Path, source: &SourceSchema, plan: &Plan) {
    let path = path.display();
    let named = |code: &str, table: &str| {
        plan.findings
            .iter()
            .filter(|finding| finding.code == code && finding.table == table)
            .count()
    };
    for (table, planned) in source.tables.iter().zip(&plan.tables) {
        let keys = planned.foreign_keys.len() + named("foreign_key_skipped", &table.name);
        assert_eq!(keys, table.foreign_keys.len(), "{path}: foreign keys of {}", table.name);
        let checks = planned.checks.len() + named("check_not_translated", &table.name);
        assert_eq!(checks, table.checks.len(), "{path}: CHECKs of {}", table.name);
        let generated =
            planned.columns.iter().filter(|column| !column.generated.is_empty()).count()
                + named("generated_not_translated", &table.name);
        let declared = table.columns.iter().filter(|column| column.generated.is_some()).count();
        assert_eq!(generated, declared, "{path}: generated columns of {}", table.name);
    }
    let refused =
        source.views.iter().map(|view| named("view_not_translated", &view.name)).sum::<usize>();
    assert_eq!(plan.views.len() + refused, source.views.len(), "{path}: views");
    for table in &source.virtual_tables {
        assert_eq!(named("virtual_table_not_carried", &table.name), 1, "{path}: {}", table.name);
    }
}
