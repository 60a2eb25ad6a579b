//! Columns that are carried to PostgreSQL and not back: what SQLite computes, and what an expression
//! over its rows gives.
//!
//! What an application has written there on PostgreSQL is not what SQLite says. So SQLite's change
//! log names the rows that came back: when PostgreSQL follows again, its first batch carries them
//! over as SQLite has them. Until then the entries do no harm.

use crate::dialect::{capture::LOG, sqlite::quote};

/// The statements for one table.
pub(crate) struct OneWay {
    /// Names the row of a key.
    pub(super) row: String,
    /// Names all rows.
    pub(super) all: String,
}

impl OneWay {
    /// `number` is the table's in the log, `key` are the columns that name a row; none where nothing
    /// does.
    pub(super) fn new(number: i64, table: &str, key: &[&str]) -> Self {
        let each = |term: &dyn Fn(usize) -> String| -> String {
            (0..key.len()).map(|place| format!(", {}", term(place))).collect()
        };
        let into =
            format!("INSERT INTO main.{}(tab{})", quote(LOG), each(&|n| format!("k{}", n + 1)));
        let marks = each(&|place| format!("?{}", place + 1));
        let columns = each(&|place| format!("s.{}", quote(key[place])));
        let row = format!("{into} VALUES ({number}{marks})");
        let all = if key.is_empty() {
            row.clone()
        } else {
            format!("{into} SELECT {number}{columns} FROM main.{} AS s", quote(table))
        };
        Self { row, all }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_came_back_are_named() {
        let keyed = OneWay::new(3, "t", &["a", "b"]);
        assert!(keyed.row.ends_with("(tab, k1, k2) VALUES (3, ?1, ?2)"), "{}", keyed.row);
        assert!(
            keyed.all.ends_with("SELECT 3, s.\"a\", s.\"b\" FROM main.\"t\" AS s"),
            "{}",
            keyed.all
        );
        assert!(OneWay::new(3, "t", &[]).all.ends_with("(tab) VALUES (3)"));
    }
}
