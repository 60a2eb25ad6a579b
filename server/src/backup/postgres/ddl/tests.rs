//! Statements of small backups; PostgreSQL itself takes them in the tests of restoring.

use super::*;

fn content() -> PostgresContent {
    serde_json::from_value(serde_json::json!({
        "server_version": 150_000, "encoding": "UTF8", "collate": "C", "ctype": "C",
        "tables": [
            {
                "schema": "s", "name": "a\"b", "primary_key": ["id"], "rows": 0, "digest": "",
                "bytes": 0, "format": "binary", "index": [], "indexes": ["CREATE INDEX i"],
                "constraints": [
                    "ALTER TABLE \"s\".\"a\"\"b\" ADD CONSTRAINT \"x\"\" FOREIGN KEY \" CHECK (true)",
                    "ALTER TABLE \"s\".\"a\"\"b\" ADD CONSTRAINT \"f\"\"k\" FOREIGN KEY (id) REFERENCES t(id)"
                ],
                "columns": [
                    {"name": "id", "type": "bigint", "not_null": true, "default": "",
                     "identity": "a", "generated": ""},
                    {"name": "n", "type": "integer", "not_null": false,
                     "default": "nextval('s.free'::regclass)", "identity": "", "generated": ""},
                    {"name": "twice", "type": "integer", "not_null": false, "default": "",
                     "identity": "", "generated": "(n * 2)"}
                ]
            },
            {
                "schema": "s", "name": "root", "primary_key": [], "rows": 0, "digest": "",
                "bytes": 0, "format": "binary", "index": [], "indexes": [], "constraints": [],
                "columns": [], "partition_by": "LIST (a)"
            },
            {
                "schema": "s", "name": "part", "primary_key": [], "rows": 0, "digest": "",
                "bytes": 0, "format": "binary", "index": [], "indexes": [], "constraints": [],
                "columns": [], "bound": "DEFAULT", "parents": [{"schema": "s", "name": "root"}]
            }
        ],
        "sequences": [
            {"schema": "s", "name": "id_seq", "data_type": "bigint", "start": 1, "increment": 1,
             "minimum": 1, "maximum": 9, "cycle": true, "last_value": 7, "is_called": true,
             "owner": {"table": {"schema": "s", "name": "a\"b"}, "column": "id", "identity": true}},
            {"schema": "s", "name": "free", "data_type": "integer", "start": 5, "increment": -1,
             "minimum": -9, "maximum": 5, "cycle": false, "last_value": 5, "is_called": false},
            {"schema": "z", "name": "other", "data_type": "integer", "start": 5, "increment": -1,
             "minimum": -9, "maximum": 5, "cycle": false, "last_value": 5, "is_called": false}
        ]
    }))
    .unwrap()
}

fn name(schema: &str, name: &str) -> TableName {
    TableName { schema: schema.into(), name: name.into() }
}

#[test]
fn a_table_has_its_columns_and_its_sequences() {
    let content = content();
    let names = [name("s", "a\"b")];
    let selection = Selection::new(&content, Some(&names)).unwrap();
    assert_eq!(
        selection.before_rows(),
        [
            "CREATE SCHEMA IF NOT EXISTS \"s\"",
            "CREATE SEQUENCE \"s\".\"free\" AS integer START WITH 5 INCREMENT BY -1 MINVALUE -9 \
             MAXVALUE 5 NO CYCLE",
            "CREATE TABLE \"s\".\"a\"\"b\" (\"id\" bigint NOT NULL GENERATED ALWAYS AS IDENTITY \
             (SEQUENCE NAME \"s\".\"id_seq\" START WITH 1 INCREMENT BY 1 MINVALUE 1 MAXVALUE 9 \
             CYCLE), \"n\" integer DEFAULT nextval('s.free'::regclass), \
             \"twice\" integer GENERATED ALWAYS AS ((n * 2)) STORED)",
        ]
    );
    assert_eq!(
        selection.positions(),
        [
            "SELECT setval('\"s\".\"id_seq\"'::regclass, 7, true)",
            "SELECT setval('\"s\".\"free\"'::regclass, 5, false)",
        ]
    );
}

#[test]
fn foreign_keys_come_last_and_are_known_by_what_stands_behind_their_name() {
    let content = content();
    let selection = Selection::new(&content, None).unwrap();
    let keys = selection.keys();
    assert_eq!(keys.len(), 2);
    assert!(keys[0].ends_with("CHECK (true)") && keys[1] == "CREATE INDEX i", "{keys:?}");
    let foreign = selection.foreign_keys();
    assert_eq!(foreign.len(), 1);
    assert!(foreign[0].1.ends_with("REFERENCES t(id)"));
}

#[test]
fn partitions_go_to_a_parent_that_is_there() {
    let content = content();
    let all = Selection::new(&content, None).unwrap();
    let attach = "ALTER TABLE \"s\".\"root\" ATTACH PARTITION \"s\".\"part\" DEFAULT";
    assert_eq!(all.bindings(), [attach]);
    assert!(
        all.before_rows().contains(&"CREATE TABLE \"s\".\"root\" () PARTITION BY LIST (a)".into())
    );
    let names = [name("s", "part")];
    assert!(Selection::new(&content, Some(&names)).unwrap().bindings().is_empty());
}

#[test]
fn a_table_that_the_backup_does_not_hold_is_named() {
    let names = [name("s", "part"), name("s", "none")];
    assert_eq!(Selection::new(&content(), Some(&names)).unwrap_err(), &names[1]);
}
