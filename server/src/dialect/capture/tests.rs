use super::{row::default_value, *};
use crate::{census, db::source::SourceFile};
use rusqlite::Connection;

fn table(sql: &str) -> Table {
    let connection = Connection::open_in_memory().unwrap();
    connection.execute_batch(sql).unwrap();
    let file = SourceFile::new("memory");
    census::schema::read(&connection, &file).unwrap().tables.remove(0)
}

#[test]
fn our_names_are_told_from_others() {
    for name in ["_switchback", "_SWITCHBACK_log", "_switchback_"] {
        assert!(is_ours(name), "{name}");
    }
    for name in ["switchback", "_switchbacks", "_switchbäck_", "é_switchback_log", ""] {
        assert!(!is_ours(name), "{name}");
    }
}

#[test]
fn keys_name_exactly_one_row() {
    let key = |sql: &str| capture_key(&table(sql));
    let rowid = |name: &str| CaptureKey::Rowid(name.into());
    let columns = |numbers: &[usize]| CaptureKey::Columns(numbers.into());
    assert_eq!(key("CREATE TABLE t(a, id INTEGER PRIMARY KEY)"), columns(&[1]));
    assert_eq!(key("CREATE TABLE t(a, b)"), rowid("rowid"));
    assert_eq!(key("CREATE TABLE t(rowid, b)"), rowid("_rowid_"));
    assert_eq!(key("CREATE TABLE t(rowid, _rowid_, oid)"), CaptureKey::Whole);
    assert_eq!(key("CREATE TABLE t(rowid, _rowid_, oid PRIMARY KEY)"), CaptureKey::Whole);
    assert_eq!(key("CREATE TABLE t(a TEXT PRIMARY KEY)"), rowid("rowid"));
    assert_eq!(key("CREATE TABLE t(a TEXT NOT NULL PRIMARY KEY)"), columns(&[0]));
    assert_eq!(key("CREATE TABLE t(a, b, c, PRIMARY KEY(c, a)) WITHOUT ROWID"), columns(&[2, 0]));
    let computed = "CREATE TABLE t(id INTEGER PRIMARY KEY, a); CREATE UNIQUE INDEX u ON t(id % 9)";
    assert_eq!(key(computed), CaptureKey::Whole);
}

#[test]
fn the_log_is_as_wide_as_the_widest_key() {
    assert_eq!(
        create_log(2),
        r#"CREATE TABLE "_switchback_log"(seq INTEGER PRIMARY KEY, tab INTEGER, k1, k2)"#
    );
    assert_eq!(log_width(&[]), 1);
    let wide = table("CREATE TABLE t(a, b, c, PRIMARY KEY(c, a)) WITHOUT ROWID");
    assert_eq!(log_width(&[wide, table("CREATE TABLE t(a)")]), 2);
}

#[test]
fn a_name_as_a_default_is_a_string() {
    assert_eq!(default_value("abc"), "'abc'");
    assert_eq!(default_value("\"a'b\""), "'a''b'");
    assert_eq!(default_value("TRUE"), "(TRUE)");
    assert_eq!(default_value("current_timestamp"), "(current_timestamp)");
    assert_eq!(default_value("-1"), "(-1)");
    assert_eq!(default_value("'x'"), "('x')");
}
