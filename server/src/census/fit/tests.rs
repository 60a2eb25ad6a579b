use super::*;
use crate::{
    census::schema,
    error::{Error, Reason},
};

fn go_on(_: u64) -> Result<()> {
    Ok(())
}

/// A database in memory and its tables.
fn database(sql: &str) -> (Connection, SourceSchema) {
    let connection = Connection::open_in_memory().unwrap();
    connection.execute_batch(sql).unwrap();
    let schema = schema::read(&connection, &SourceFile::new("memory")).unwrap();
    (connection, schema)
}

fn tried(sql: &str, columns: &[Wanted<'_>]) -> TableFit {
    let (connection, schema) = database(sql);
    let seen = Seen::now(&connection).unwrap();
    let file = SourceFile::new("memory");
    table((&file, &connection, &seen), &schema.tables[0], columns, &mut go_on).unwrap()
}

/// What is found of a column `v` with these values.
fn column(declared: &str, values: &[&str], candidates: &[Codec]) -> ColumnFit {
    let rows: Vec<String> = values.iter().map(|value| format!("({value})")).collect();
    let sql = format!("CREATE TABLE t (v {declared}); INSERT INTO t VALUES {}", rows.join(", "));
    tried(&sql, &[Wanted { name: "v", candidates }]).columns.remove(0)
}

#[test]
fn only_what_carries_every_value_stays_in_its_order() {
    let candidates = [Codec::Date, Codec::Varchar(3), Codec::Varchar(10), Codec::Text];
    let all = column("TEXT", &["'2020-01-01'"], &candidates);
    assert_eq!(all.fitting, [Codec::Date, Codec::Varchar(10), Codec::Text]);
    let later = column("TEXT", &["'2020-01-01'", "NULL", "'and more text'"], &candidates);
    assert_eq!(later.fitting, [Codec::Text]);
    assert_eq!((later.values, later.nulls, later.last), (2, 1, None));
    assert_eq!(later.shapes.alone, 1);
}

#[test]
fn where_nothing_fits_the_last_one_that_did_is_named() {
    let candidates = [Codec::Date, Codec::Varchar(5)];
    let values = ["'2020-01-01'", "'a'", "x'00'"];
    let none = column("TEXT", &values, &candidates);
    assert_eq!((none.fitting.as_slice(), none.last), (&[][..], Some(Codec::Date)));
    assert_eq!(none.values, 3);
    let other = column("TEXT", &["'a'", "x'00'", "'b'"], &candidates);
    assert_eq!((other.fitting.as_slice(), other.last), (&[][..], Some(Codec::Varchar(5))));
}

#[test]
fn a_zero_says_nothing_about_the_unit_of_moments() {
    let found = |values: &[&str]| column("INTEGER", values, &[Codec::Integer]).integers;
    assert_eq!(found(&["0", "NULL"]), None);
    assert_eq!(found(&["0", "1700000000", "-5", "0"]), Some((-5, 1_700_000_000)));
    assert_eq!(found(&["7"]), Some((7, 7)));
}

#[test]
fn nulls_are_counted_and_the_first_ones_named() {
    let sql = "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT);
        WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 9)
        INSERT INTO t SELECT i, CASE WHEN i % 9 = 1 THEN 'a' END FROM n";
    let columns = [
        Wanted { name: "id", candidates: &[Codec::Integer] },
        Wanted { name: "v", candidates: &[] },
    ];
    let TableFit { rows, columns } = tried(sql, &columns);
    assert_eq!((rows, columns[0].nulls, columns[1].nulls, columns[1].values), (9, 0, 8, 1));
    assert_eq!(columns[1].null_examples, ["id=2", "id=3", "id=4", "id=5", "id=6"]);
}

#[test]
fn progress_is_told_and_may_stop_the_reading() {
    let (connection, schema) = database(
        "CREATE TABLE t (v INTEGER);
        WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000)
        INSERT INTO t SELECT i FROM n",
    );
    let seen = Seen::now(&connection).unwrap();
    let file = SourceFile::new("memory");
    let columns = [Wanted { name: "v", candidates: &[Codec::Integer] }];
    let mut told = Vec::new();
    let place = (&file, &connection, &seen);
    table(place, &schema.tables[0], &columns, &mut |rows| {
        told.push(rows);
        Ok(())
    })
    .unwrap();
    assert_eq!(told, [STEP, 2 * STEP, 10_000]);
    let stopped = table(place, &schema.tables[0], &columns, &mut |_| {
        Err(Error::new(Reason::Cancelled, "enough"))
    });
    assert_eq!(stopped.unwrap_err().reason(), Reason::Cancelled);
}

#[test]
fn what_would_have_to_be_unique_and_is_not_is_counted_and_named() {
    let (connection, schema) = database(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT COLLATE NOCASE, b INTEGER);
        INSERT INTO t VALUES (1, 'x', 1), (2, 'x', 1), (3, 'X', 1), (4, NULL, 1), (5, NULL, 1),
            (6, 'y', 2), (7, 'z', 2);
        CREATE TABLE k (a TEXT PRIMARY KEY, b INTEGER) WITHOUT ROWID;
        INSERT INTO k VALUES ('p', 1), ('q', 1);
        CREATE TABLE bare (v)",
    );
    let number =
        |name: &str| schema.tables.iter().position(|table| table.name == name).expect("a table");
    let unique = |table: &str, columns: &[usize], ignores_case: bool| {
        let (table, columns, name) = (number(table), columns.to_vec(), "unique".to_owned());
        let unique = Unique { table, columns, name, ignores_case };
        let found = collisions(&connection, &schema, &[unique]).unwrap();
        found.into_iter().map(|found| (found.count, found.examples)).next()
    };
    let one = |example: &str| Some((1, vec![example.to_owned()]));
    assert_eq!(unique("t", &[1], false), one("id=2"), "letter by letter, whatever the column says");
    assert_eq!(unique("t", &[1], true), one("id=3"));
    assert_eq!(unique("t", &[1, 2], false), one("id=2"));
    let twice = Some((2, vec!["id=5".to_owned(), "id=7".to_owned()]));
    assert_eq!(unique("t", &[2], false), twice);
    assert_eq!(unique("t", &[0], false), None);
    assert_eq!(unique("k", &[1], false), Some((1, Vec::new())), "no number names its rows");
    assert!(has_rows(&connection, &schema.tables[number("t")]).unwrap());
    assert!(!has_rows(&connection, &schema.tables[number("bare")]).unwrap());
}
