//! What Switchback puts into a SQLite file, as SQL of SQLite.

use super::{ident::literal, schema::Table, sqlite::quote};

/// What every name of ours begins with.
pub const PREFIX: &str = "_switchback";

/// Whether an object of the file is one of ours.
pub fn is_ours(name: &str) -> bool {
    let prefix = name.get(..PREFIX.len());
    prefix.is_some_and(|prefix| prefix.eq_ignore_ascii_case(PREFIX))
        && matches!(name.as_bytes().get(PREFIX.len()), None | Some(b'_'))
}

/// Triggers that refuse every write to a table, by name and statement.
pub fn fence_triggers(number: usize, table: &Table, message: &str) -> Vec<(String, String)> {
    [("fi", "INSERT"), ("fu", "UPDATE"), ("fd", "DELETE")]
        .into_iter()
        .map(|(suffix, event)| {
            let name = format!("{PREFIX}_{number}_{suffix}");
            let sql = format!(
                "CREATE TRIGGER {} BEFORE {event} ON {} BEGIN SELECT RAISE(ABORT, {}); END",
                quote(&name),
                quote(&table.name),
                literal(message)
            );
            (name, sql)
        })
        .collect()
}
