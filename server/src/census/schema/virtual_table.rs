//! Virtual tables and the shadow tables that hold their data.

use std::collections::HashMap;

use super::{Object, TableKind};
use crate::dialect::{schema::VirtualTable, sqlite_ddl};

/// Endings of the shadow tables of modules that this SQLite may not know.
const SHADOWS: [(&str, &[&str]); 6] = [
    ("fts3", &["content", "segments", "segdir", "docsize", "stat"]),
    ("fts4", &["content", "segments", "segdir", "docsize", "stat"]),
    ("fts5", &["data", "idx", "content", "docsize", "config"]),
    ("rtree", &["node", "rowid", "parent"]),
    ("geopoly", &["node", "rowid", "parent"]),
    ("vec0", &["chunks", "rowids", "info", "auxiliary"]),
];

/// Endings of vec0 that a number follows.
const NUMBERED: [&str; 3] = ["vector_chunks", "metadatachunks", "metadatatext"];

/// The virtual tables among the objects.
pub(super) fn read(objects: &[Object], kinds: &HashMap<String, TableKind>) -> Vec<VirtualTable> {
    let tables = || objects.iter().filter(|object| object.kind == "table");
    let is_virtual = |object: &&Object| match kinds.get(&object.name) {
        Some(kind) => kind.kind == "virtual",
        None => false,
    };
    tables()
        .filter(is_virtual)
        .map(|object| {
            let sql = object.sql.as_deref().unwrap_or_default();
            let (module, arguments) = sqlite_ddl::read_virtual_table(sql);
            // `f_x_data` belongs to `f_x`, where there is one, and not to `f`.
            let longer: Vec<String> = tables()
                .filter(is_virtual)
                .filter(|other| other.name.len() > object.name.len())
                .map(|other| format!("{}_", other.name))
                .collect();
            let shadows = tables()
                .filter(|other| is_shadow(&object.name, &module, other, kinds))
                .filter(|other| !longer.iter().any(|prefix| other.name.starts_with(prefix)))
                .map(|other| other.name.clone())
                .collect();
            VirtualTable { name: object.name.clone(), module, arguments, shadows }
        })
        .collect()
}

/// SQLite tells the shadows of the modules it was built with; others go by their names.
fn is_shadow(
    table: &str,
    module: &str,
    other: &Object,
    kinds: &HashMap<String, TableKind>,
) -> bool {
    let Some(ending) = other.name.strip_prefix(table).and_then(|rest| rest.strip_prefix('_'))
    else {
        return false;
    };
    let told = kinds.get(&other.name).is_some_and(|kind| kind.kind == "shadow");
    let numbered = |prefix: &str| {
        ending.strip_prefix(prefix).is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_digit()))
    };
    let named = SHADOWS
        .iter()
        .filter(|(known, _)| known.eq_ignore_ascii_case(module))
        .any(|(_, endings)| endings.contains(&ending));
    told || named
        || (module.eq_ignore_ascii_case("vec0") && NUMBERED.iter().any(|prefix| numbered(prefix)))
}
