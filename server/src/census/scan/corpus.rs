//! Decisions on the values of real files.

use std::path::{Path, PathBuf};

use switchback_proto::v1::Severity;

use super::{tests::scan_all, *};
use crate::dialect::typemap::{ColumnDecision, decide};

/// The corpus, or a visible note that it is not there.
fn corpus() -> Option<PathBuf> {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/corpus");
    let path =
        PathBuf::from(std::env::var_os("SWITCHBACK_CORPUS").unwrap_or_else(|| default.into()));
    if path.is_dir() {
        return Some(path);
    }
    eprintln!("SKIPPED: no corpus at {}; set SWITCHBACK_CORPUS", path.display());
    None
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let extension = path.extension().and_then(|extension| extension.to_str());
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            files(&path, found);
        } else if matches!(extension, Some("db" | "sqlite" | "sqlite3"))
            && !name.starts_with("file_")
        {
            found.push(path);
        }
    }
}

/// Every value of every file goes there and back with the codec that its column gets, unless a
/// blocker counts it.
#[test]
fn decisions_hold_for_every_value_of_the_corpus() {
    let Some(corpus) = corpus() else { return };
    let mut found = Vec::new();
    files(&corpus, &mut found);
    assert!(found.len() > 60, "only {} files", found.len());
    for path in found {
        // The corpus may be read-only; a copy in memory is what both engines of the test read.
        let uri = format!("file:{}?immutable=1", escaped(&path));
        let flags =
            rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY | rusqlite::OpenFlags::SQLITE_OPEN_URI;
        let connection = Connection::open_with_flags(uri, flags).unwrap();
        let damage = quick_check(&connection).unwrap();
        assert_eq!(damage, Vec::<String>::new(), "{}", path.display());
        for (table, facts) in scan_all(&connection) {
            let decisions: Vec<_> = (0..table.columns.len())
                .map(|index| decide(&table, index, &facts.columns[index], &[]))
                .collect();
            if std::env::var_os("SWITCHBACK_SHOW").is_some() {
                show(&path, &table, &decisions);
            }
            hold(&connection, &table, &decisions);
        }
    }
}

fn escaped(path: &Path) -> String {
    path.to_str().unwrap().replace('%', "%25").replace('?', "%3f").replace('#', "%23")
}

fn show(path: &Path, table: &Table, decisions: &[ColumnDecision]) {
    for (column, decision) in table.columns.iter().zip(decisions) {
        println!(
            "{} {}.{}: {:?} -> {} ({}): {}",
            path.file_name().unwrap().display(),
            table.name,
            column.name,
            column.declared,
            decision.pg_type,
            decision.codec,
            decision.reason
        );
        for finding in &decision.findings {
            println!(
                "    {:?} {} {}: {}",
                finding.severity(),
                finding.code,
                finding.count,
                finding.message
            );
        }
    }
}

fn hold(connection: &Connection, table: &Table, decisions: &[ColumnDecision]) {
    let layout = Layout::new(table, Encoding::Utf8);
    let mut refused = vec![0; decisions.len()];
    let mut scratch = crate::dialect::codec::Scratch::default();
    let mut statement = connection.prepare(&layout.sql).unwrap();
    let mut rows = statement.query([]).unwrap();
    while let Some(row) = rows.next().unwrap() {
        for (number, decision) in decisions.iter().enumerate() {
            if !decision.codec.carries(value(row, number).unwrap(), &mut scratch) {
                refused[number] += 1;
            }
        }
    }
    for (number, decision) in decisions.iter().enumerate() {
        let blocked: u64 = decision
            .findings
            .iter()
            .filter(|finding| finding.severity() == Severity::Blocker)
            .map(|finding| finding.count)
            .sum();
        let name = &table.columns[number].name;
        assert_eq!(refused[number], blocked, "{}.{name}: {decision:?}", table.name);
    }
}
