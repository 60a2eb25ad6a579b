use super::*;
use crate::{capture, census};

fn read(sql: &str, writes: &str, codecs: Vec<Codec>) -> (LogKeys, Vec<Option<Entry>>, i64) {
    let connection = Connection::open_in_memory().unwrap();
    connection.execute_batch(sql).unwrap();
    let file = SourceFile::new("memory");
    let schema = census::schema::read(&connection, &file).unwrap();
    capture::log::install(&connection, &schema, "token").unwrap();
    connection.execute_batch(writes).unwrap();
    let table = &schema.tables[0];
    let key = crate::dialect::capture::capture_key(table);
    let log = LogKeys::new(capture::table_number(0), table, &key, codecs);
    let mut entries = Vec::new();
    log.read(&connection, &file, 1, |entry| entries.push(entry)).unwrap();
    let rows = connection.query_row(&log.count_sql, [1], |row| row.get(0)).unwrap();
    assert!(log.read(&connection, &file, 999, |_| ()).is_err(), "no such entry was applied");
    (log, entries, rows)
}

fn row(key: &[u8]) -> Key {
    (false, key.into())
}

fn reject(name: &str) -> Key {
    (true, name.as_bytes().into())
}

#[test]
fn keys_become_the_bytes_that_the_target_sends() {
    let (_, entries, rows) = read(
        "CREATE TABLE t (a TEXT NOT NULL, b INTEGER NOT NULL, PRIMARY KEY (b, a)); \
         CREATE TABLE other (id INTEGER PRIMARY KEY)",
        "INSERT INTO t VALUES ('x', 5); INSERT INTO other VALUES (1); DELETE FROM t; \
         INSERT INTO t VALUES ('y', 'word')",
        vec![Codec::Integer, Codec::Text],
    );
    assert_eq!((entries.len(), rows), (3, 2), "the other table's are left out");
    let first = entries[0].as_ref().unwrap();
    let key = [&[0, 0, 0, 8][..], &5_i64.to_be_bytes(), &[0, 0, 0, 1], b"x"].concat();
    assert_eq!(first.row.as_deref(), Some(key.as_slice()));
    assert_eq!(first.reject.as_deref(), Some(&b"b=5, a=x"[..]));
    let last = entries[2].as_ref().unwrap();
    assert_eq!((&last.row, last.reject.as_deref()), (&None, Some(&b"b=word, a=y"[..])));
}

#[test]
fn classes_are_told_apart_and_counted() {
    let (_, entries, rows) = read(
        "CREATE TABLE t (k ANY NOT NULL PRIMARY KEY, v) WITHOUT ROWID",
        "INSERT INTO t VALUES ('1', 0); DELETE FROM t; INSERT INTO t VALUES (x'31', 0); \
         DELETE FROM t;",
        vec![Codec::Tagged],
    );
    let keys: HashSet<_> = entries.into_iter().map(|entry| entry.unwrap().row.unwrap()).collect();
    assert_eq!((keys.len(), rows), (2, 2));
}

#[test]
fn rows_that_changed_are_unsettled_and_others_differ() {
    let (log, entries, _) = read(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v)",
        "INSERT INTO t VALUES (1, 0), (2, 0), (3, 0); UPDATE t SET v = 1",
        vec![Codec::Integer],
    );
    let bytes = |id: i64| [&[0, 0, 0, 8][..], &id.to_be_bytes()].concat();
    // Of row 2 the comparison saw the reject only; row 3 was equal.
    let left = [row(&bytes(1)), reject("id=2"), row(&bytes(9))];
    let mut changed = Changed::among(&log, left.clone());
    entries.into_iter().for_each(|entry| changed.take(entry));
    assert!(changed.holds(&left[0]) && changed.holds(&left[1]) && !changed.holds(&left[2]));
    let unsettled = changed.unsettled(left.iter());
    assert_eq!((unsettled.rows(), unsettled.nameless), (2, 0));
    let Wanted::Keys { rows, rejects } = unsettled.wanted() else { panic!("keys are wanted") };
    assert_eq!(rows, HashSet::from([bytes(1).into(), bytes(2).into()]), "in both forms");
    assert_eq!(rejects.len(), 2);
    assert_eq!(unsettled.entries.iter().flat_map(Entry::keys).count(), 4);
}

#[test]
fn without_names_everything_may_have_changed() {
    let (log, entries, _) =
        read("CREATE TABLE t (rowid, oid, _rowid_)", "INSERT INTO t VALUES (1, 2, 3)", Vec::new());
    assert_eq!(entries, [None]);
    let left = [row(b"")];
    let mut changed = Changed::among(&log, left.clone());
    assert!(!changed.holds(&left[0]), "nothing is logged yet");
    changed.take(None);
    assert_eq!(changed.unsettled(left.iter()).nameless, 1);
    // A nullable key names rejects and not the rows in the log.
    let (log, entries, _) = read(
        "CREATE TABLE t (k TEXT PRIMARY KEY)",
        "INSERT INTO t VALUES ('a')",
        vec![Codec::Integer],
    );
    let left = [row(b"other"), reject("k=b")];
    let mut changed = Changed::among(&log, left.clone());
    entries.into_iter().for_each(|entry| changed.take(entry));
    assert!(!changed.holds(&left[0]) && changed.holds(&left[1]));
}
