//! Whether SQLite can read all of a file.

use rusqlite::Connection;

use crate::db::source::stand_in_for_collations;

/// What `PRAGMA quick_check` says about data, not about damage; findings of the census, or of
/// no consequence for what is read.
const ABOUT_DATA: [&str; 8] = [
    "NULL value in ",
    "CHECK constraint failed",
    "non-unique entry",
    "TEXT value in ",
    "NUMERIC value in ",
    "INT value in ",
    "REAL value in ",
    "BLOB value in ",
];

/// Messages of `PRAGMA quick_check` that mean that a part of the file is damaged; none for a
/// sound one. A file that is damaged worse fails with SQLite's own error.
///
/// Needs a connection of its own, on which nothing has been read yet: that a stand-in was needed
/// for a collation shows in the list of collations.
pub fn quick_check(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    stand_in_for_collations(connection)?;
    let collations = count_collations(connection)?;
    let mut statement = connection.prepare("PRAGMA quick_check")?;
    let messages: Vec<String> =
        statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    let foreign_order = count_collations(connection)? > collations;
    Ok(messages.into_iter().filter(|message| is_damage(message, foreign_order)).collect())
}

fn count_collations(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("SELECT count(*) FROM pragma_collation_list", [], |row| row.get(0))
}

fn is_damage(message: &str, foreign_order: bool) -> bool {
    // Full-text indexes and such are not carried over, so their state says nothing.
    let index_of_virtual_table = message.starts_with("malformed inverted index")
        || message.starts_with("unable to validate the inverted index");
    let order = foreign_order && message.contains("not in PRIMARY KEY order");
    message != "ok"
        && !index_of_virtual_table
        && !order
        && !ABOUT_DATA.iter().any(|about| message.starts_with(about))
        && !is_missing_entry(message)
}

/// "row 5 missing from index i", "wrong # of entries in index i": the rows themselves are whole.
fn is_missing_entry(message: &str) -> bool {
    (message.starts_with("row ") && message.contains(" missing from index "))
        || message.starts_with("wrong # of entries in index")
        || message.contains(" values differ from index ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_is_not_damage() {
        assert!(!is_damage("ok", false));
        assert!(!is_damage("NULL value in t.a", false));
        assert!(!is_damage("row 3 missing from index i", false));
        assert!(!is_damage("row not in PRIMARY KEY order for t", true));
        assert!(is_damage("row not in PRIMARY KEY order for t", false));
        assert!(is_damage("Tree 2 page 7: btreeInitPage() returns error code 11", false));
        assert!(is_damage("Page 5: never used", false));
    }

    #[test]
    fn null_in_a_not_null_column_and_unknown_collations_pass() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let connection = Connection::open(file.path()).unwrap();
        connection.create_collation("unicase", |left, right| right.cmp(left)).unwrap();
        connection
            .execute_batch(
                "CREATE TABLE t(a TEXT COLLATE unicase PRIMARY KEY, b) WITHOUT ROWID;\
                 INSERT INTO t VALUES ('a', NULL), ('b', 1);\
                 CREATE INDEX i ON t(b, a);\
                 PRAGMA writable_schema = on;\
                 UPDATE sqlite_schema SET sql = replace(sql, 'b)', 'b NOT NULL)') WHERE name = 't';",
            )
            .unwrap();
        let other = Connection::open(file.path()).unwrap();
        assert_eq!(quick_check(&other), Ok(Vec::new()));
    }

    #[test]
    fn a_check_that_overflows_does_not_end_the_search() {
        let file = tempfile::NamedTempFile::new().unwrap();
        Connection::open(file.path())
            .unwrap()
            .execute_batch(
                "CREATE TABLE t(n INTEGER CHECK (abs(n) >= 0));\
                 PRAGMA ignore_check_constraints = 1;\
                 INSERT INTO t VALUES (-9223372036854775807 - 1);",
            )
            .unwrap();
        let connection = crate::db::source::open(file.path()).unwrap();
        assert_eq!(quick_check(&connection), Ok(Vec::new()));
    }
}
