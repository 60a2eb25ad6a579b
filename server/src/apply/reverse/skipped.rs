//! Columns of SQLite that the target does not have: a row that comes back keeps what it had there.
//!
//! A batch deletes rows and inserts them again. What stays behind of a deleted row waits in a
//! temporary table under the row's key; a row without one gets the defaults.

use rusqlite::Connection;

use crate::{copy::reader::exactly_one, dialect::sqlite::quote};

/// The statements for one table.
pub(crate) struct Skipped {
    begin: String,
    /// Keeps what stays behind of the row of a key.
    pub(super) save: String,
    /// The same for all rows.
    pub(super) save_all: String,
    /// Inserts a row of the carried columns beside what was kept of it; inserts nothing where
    /// nothing was.
    pub(super) insert: String,
    end: String,
}

/// What the statements are made of: names in SQLite.
pub(super) struct Parts<'a> {
    pub(super) table: &'a str,
    /// The carried columns.
    pub(super) carried: &'a [&'a str],
    /// Numbers of those that name a row.
    pub(super) key: &'a [usize],
    /// The columns that are not carried.
    pub(super) skipped: &'a [&'a str],
}

impl Skipped {
    pub(super) fn new(Parts { table, carried, key, skipped }: Parts<'_>) -> Self {
        let kept = format!("temp.{}", quote(&format!("skipped of {table}")));
        let list = |names: &[String]| names.join(", ");
        let numbered = |letter: &str, count: usize| -> Vec<String> {
            (1..=count).map(|number| format!("{letter}{number}")).collect()
        };
        let (keys, values) = (numbered("k", key.len()), numbered("v", skipped.len()));
        let named = |names: &mut dyn Iterator<Item = &&str>| -> Vec<String> {
            names.map(|name| format!("s.{}", quote(name))).collect()
        };
        let key_columns = named(&mut key.iter().map(|column| &carried[*column]));
        let skipped_columns = named(&mut skipped.iter());
        let all = format!(
            "INSERT INTO {kept} SELECT {}, {} FROM main.{} AS s",
            list(&key_columns),
            list(&skipped_columns),
            quote(table)
        );
        let of_key: Vec<String> =
            key.iter().zip(1..).map(|(column, n)| exactly_one(carried[*column], n)).collect();
        let of_row: Vec<String> =
            key.iter().zip(&keys).map(|(column, name)| exactly_one(name, column + 1)).collect();
        let quoted: Vec<String> = carried.iter().chain(skipped).map(|name| quote(name)).collect();
        let back: Vec<String> = numbered("?", carried.len())
            .into_iter()
            .chain(values.iter().map(|name| format!("s.{name}")))
            .collect();
        Self {
            begin: format!(
                "DROP TABLE IF EXISTS {kept}; CREATE TEMP TABLE {} ({}, {}); \
                 CREATE INDEX temp.{} ON {} ({})",
                quote(&format!("skipped of {table}")),
                list(&keys),
                list(&values),
                quote(&format!("skipped of {table} by key")),
                quote(&format!("skipped of {table}")),
                list(&keys)
            ),
            save: format!("{all} WHERE {}", of_key.join(" AND ")),
            save_all: all,
            insert: format!(
                "INSERT OR ABORT INTO main.{} ({}) SELECT {} FROM {kept} AS s WHERE {}",
                quote(table),
                list(&quoted),
                list(&back),
                of_row.join(" AND ")
            ),
            end: format!("DROP TABLE {kept}"),
        }
    }

    /// Before the first row of a batch is deleted.
    pub(super) fn begin(&self, connection: &Connection) -> rusqlite::Result<()> {
        connection.execute_batch(&self.begin)
    }

    /// Behind the last row of a batch.
    pub(super) fn end(&self, connection: &Connection) -> rusqlite::Result<()> {
        connection.execute_batch(&self.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_keeps_what_is_not_carried_and_a_new_one_gets_the_default() {
        let connection = Connection::open_in_memory().unwrap();
        connection
            .execute_batch(
                "CREATE TABLE t (a TEXT PRIMARY KEY, kept INTEGER NOT NULL DEFAULT 7, b); \
                 INSERT INTO t VALUES ('x', 1, 'old'), ('y', 2, 'old')",
            )
            .unwrap();
        let parts = Parts { table: "t", carried: &["a", "b"], key: &[0], skipped: &["kept"] };
        let skipped = Skipped::new(parts);
        for save in [&skipped.save, &skipped.save_all] {
            skipped.begin(&connection).unwrap();
            let key: &[&str] = if *save == skipped.save { &["x"] } else { &[] };
            connection.execute(save, rusqlite::params_from_iter(key)).unwrap();
            connection.execute("DELETE FROM t WHERE a = 'x'", []).unwrap();
            assert_eq!(connection.execute(&skipped.insert, ["x", "new"]).unwrap(), 1);
            assert_eq!(connection.execute(&skipped.insert, ["X", "new"]).unwrap(), 0);
            skipped.end(&connection).unwrap();
        }
        let found: (i64, String) = connection
            .query_row("SELECT kept, b FROM t WHERE a = 'x'", [], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .unwrap();
        assert_eq!(found, (1, "new".into()));
    }
}
