use super::*;
use crate::dialect::schema::{Affinity, IndexKey, IndexOrigin, RowAddress};

fn schema(sql: &str) -> SourceSchema {
    let connection = Connection::open_in_memory().unwrap();
    connection.execute_batch(sql).unwrap();
    read(&connection, &SourceFile::new("memory")).unwrap()
}

fn table(sql: &str) -> Table {
    schema(sql).tables.remove(0)
}

#[test]
fn only_a_plain_integer_primary_key_is_the_rowid() {
    let address = |sql: &str| table(sql).row_address;
    let rowid = || RowAddress::Rowid("rowid".into());
    assert_eq!(address("CREATE TABLE t(id integer primary key)"), RowAddress::Alias(0));
    assert_eq!(address("CREATE TABLE t(id INT PRIMARY KEY)"), rowid());
    assert_eq!(address("CREATE TABLE t(id INTEGER PRIMARY KEY DESC)"), rowid());
    assert_eq!(
        address("CREATE TABLE t(a, id INTEGER, PRIMARY KEY(id DESC))"),
        RowAddress::Alias(1)
    );
    assert_eq!(
        address("CREATE TABLE t(id INTEGER PRIMARY KEY) WITHOUT ROWID"),
        RowAddress::PrimaryKey
    );
    assert_eq!(address("CREATE TABLE t(RowId, a)"), RowAddress::Rowid("_rowid_".into()));
    assert_eq!(address("CREATE TABLE t(rowid, _rowid_, oid)"), RowAddress::None);
}

#[test]
fn columns_have_what_sqlite_and_the_text_say() {
    let table = table(
        "CREATE TABLE \"t\"\"x\"(\"\" int, b text not null default ('a' || 'b') collate NoCase, \
         c AS (b || 'x') VIRTUAL, d, e double, f string, g blob)",
    );
    let column = |number: usize| &table.columns[number];
    assert_eq!((table.name.as_str(), column(0).name.as_str()), ("t\"x", ""));
    assert_eq!(column(1).default.as_deref(), Some("'a' || 'b'"));
    assert!(column(1).not_null);
    assert_eq!(column(1).collation, "NOCASE");
    assert_eq!(column(2).generated.as_deref(), Some("b || 'x'"));
    let affinities: Vec<Affinity> = table.columns.iter().map(|column| column.affinity).collect();
    use Affinity::{Blob, Integer, Numeric, Real, Text};
    assert_eq!(affinities, [Integer, Text, Blob, Blob, Real, Numeric, Blob]);
}

#[test]
fn keys_and_indexes_keep_their_order_and_names() {
    let table = table(
        "CREATE TABLE t(a int, b text, c, constraint pk primary key (b, a), \
         constraint uq unique (c collate rtrim, a));\
         CREATE UNIQUE INDEX i1 ON t(lower(b) DESC, c COLLATE nocase) WHERE c > 'x';\
         CREATE INDEX i2 ON t(a);",
    );
    assert_eq!(table.primary_key, [1, 0]);
    assert_eq!(table.primary_key_name.as_deref(), Some("pk"));
    let origins: Vec<IndexOrigin> = table.indexes.iter().map(|index| index.origin).collect();
    use IndexOrigin::{Created, PrimaryKey, Unique};
    assert_eq!(origins, [PrimaryKey, Unique, Created, Created]);
    assert_eq!(table.indexes[1].constraint.as_deref(), Some("uq"));
    assert_eq!(table.indexes[1].terms[0].collation, "RTRIM");
    let index = &table.indexes[2];
    assert_eq!(index.terms[0].key, IndexKey::Expression("lower(b)".into()));
    assert!(index.terms[0].descending);
    assert_eq!(index.terms[1].key, IndexKey::Column(2));
    assert_eq!(index.terms[1].collation, "NOCASE");
    assert_eq!(index.predicate.as_deref(), Some("c > 'x'"));
}

#[test]
fn foreign_keys_are_in_declared_order() {
    let table = table(
        "CREATE TABLE t(a constraint one references p on delete cascade, b, \
         constraint two foreign key (b, a) references q(x, y) deferrable initially deferred)",
    );
    let keys = &table.foreign_keys;
    assert_eq!(keys[0].name.as_deref(), Some("one"));
    assert_eq!((keys[0].parent.as_str(), keys[0].parent_columns.len()), ("p", 0));
    assert_eq!(keys[0].on_delete, "CASCADE");
    assert_eq!(keys[1].columns, [1, 0]);
    assert_eq!(keys[1].parent_columns, ["x", "y"]);
    assert!(keys[1].deferred && !keys[0].deferred);
}

#[test]
fn virtual_tables_take_their_shadows_along() {
    let schema = schema(
        "CREATE VIRTUAL TABLE f USING fts5(a, b); CREATE VIRTUAL TABLE r USING rtree(id, x0, x1);\
         CREATE VIRTUAL TABLE f_x USING fts5(a); CREATE TABLE f_notes(a);",
    );
    let names: Vec<&str> = schema.tables.iter().map(|table| table.name.as_str()).collect();
    assert_eq!(names, ["f_notes"]);
    assert_eq!(schema.virtual_tables[0].module, "fts5");
    assert_eq!(schema.virtual_tables[0].shadows.len(), 5);
    assert_eq!(schema.virtual_tables[1].shadows, ["r_rowid", "r_node", "r_parent"]);
    assert_eq!(schema.virtual_tables[2].shadows.len(), 5);
}

#[test]
fn a_module_that_is_not_there_does_not_stop_the_reading() {
    let schema = schema(
        "CREATE TABLE v_chunks(a); CREATE TABLE v_vector_chunks00(a); CREATE TABLE v_mine(a);\
         PRAGMA writable_schema = on;\
         INSERT INTO sqlite_schema(type, name, tbl_name, rootpage, sql) VALUES \
         ('table', 'v', 'v', 0, 'CREATE VIRTUAL TABLE v USING vec0(e float[384])');\
         PRAGMA writable_schema = reset;",
    );
    assert_eq!(schema.virtual_tables[0].module, "vec0");
    assert_eq!(schema.virtual_tables[0].shadows, ["v_chunks", "v_vector_chunks00"]);
    let names: Vec<&str> = schema.tables.iter().map(|table| table.name.as_str()).collect();
    assert_eq!(names, ["v_mine"]);
}

#[test]
fn views_that_sqlite_cannot_resolve_have_no_columns() {
    let schema = schema(
        "CREATE TABLE t(a, b); CREATE VIEW good(x) AS SELECT a FROM t;\
         CREATE VIEW bad AS SELECT no_such_function(a) FROM t;\
         CREATE TRIGGER g AFTER INSERT ON t BEGIN SELECT 1; END;",
    );
    assert_eq!(schema.views[0].columns, ["x"]);
    assert!(schema.views[1].columns.is_empty());
    assert_eq!(schema.triggers[0].table, "t");
}

#[test]
fn sequences_and_fingerprints() {
    let sql = "CREATE TABLE t(id integer primary key autoincrement); INSERT INTO t VALUES (41);";
    let first = schema(sql);
    assert_eq!(first.tables[0].sequence, Some(41));
    assert!(first.tables[0].autoincrement);
    assert_eq!(first.fingerprint, schema(sql).fingerprint);
    let other = schema("CREATE TABLE t(id integer primary key autoincrement, a)");
    assert_ne!(first.fingerprint, other.fingerprint);
}
