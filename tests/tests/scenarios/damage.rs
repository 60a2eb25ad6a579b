//! Single rows changed, removed and added on either side, in every table: `validate` names each.

use rusqlite::config::DbConfig;
use serde_json::Value;
use switchback_tests::{checker::quote, cli::Run, fixtures::damage, rig::Rig};

use crate::round;

/// A table of [`damage::kinds`] and its row number 150.
struct Kind {
    table: &'static str,
    row: &'static str,
    /// The row, and a new one, as both engines write them.
    values: [(&'static str, &'static str); 2],
    /// What a difference is called by; empty for a table without a key.
    key: &'static str,
}

const fn kind(
    table: &'static str,
    row: &'static str,
    values: [(&'static str, &'static str); 2],
    key: &'static str,
) -> Kind {
    Kind { table, row, values, key }
}

const KINDS: [Kind; 7] = [
    kind("alias", "id = 150", both("(150, 'v150', 50)", "(9150, 'new', 0.5)"), "150"),
    kind("textual", "k = 'k150'", both("('k150', 'v150')", "('k9150', 'new')"), "150"),
    kind("pair", "a = 150", both("(150, 'p3', 'v150')", "(9150, 'p', 'new')"), "150"),
    kind("bare", "k = 150", both("(150, 'v150')", "(9150, 'new')"), ""),
    kind("tree", "k = 'k150'", both("('k150', 'v150')", "('k9150', 'new')"), "150"),
    kind(
        "bytes",
        "k = CAST('k150' AS BLOB)",
        [
            ("(x'6b313530', 'v150')", r"('\x6b313530', 'v150')"),
            ("(x'6b9150', 'new')", r"('\x6b9150', 'new')"),
        ],
        "150",
    ),
    kind("odd \"name", "\"the key\" = 150", both("(150, 'v150')", "(9150, 'new')"), "150"),
];

const fn both(row: &'static str, new: &'static str) -> [(&'static str, &'static str); 2] {
    [(row, row), (new, new)]
}

/// Switches every trigger off.
const UNCAPTURED: &str = "DO $$ DECLARE name text; BEGIN
    FOR name IN SELECT oid::regclass FROM pg_class
                WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
    LOOP EXECUTE 'ALTER TABLE ' || name || ' DISABLE TRIGGER USER'; END LOOP;
  END $$";

#[derive(Debug, Clone, Copy, PartialEq)]
enum Side {
    Source,
    Target,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Harm {
    Change,
    Remove,
    Add,
}

impl Kind {
    /// The statement that does the harm, and the one that undoes it.
    fn statements(&self, side: Side, harm: Harm) -> (String, String) {
        let table = quote(self.table);
        let pick = |(source, target): (&'static str, &'static str)| match side {
            Side::Source => source,
            Side::Target => target,
        };
        let row = match (side, self.table) {
            (Side::Target, "bytes") => r"k = '\x6b313530'",
            _ => self.row,
        };
        match harm {
            Harm::Change => (
                format!("UPDATE {table} SET v = 'V150' WHERE {row}"),
                format!("UPDATE {table} SET v = 'v150' WHERE {row}"),
            ),
            Harm::Remove => (
                format!("DELETE FROM {table} WHERE {row}"),
                format!("INSERT INTO {table} VALUES {}", pick(self.values[0])),
            ),
            Harm::Add => (
                format!("INSERT INTO {table} VALUES {}", pick(self.values[1])),
                format!("DELETE FROM {table} WHERE v = 'new'"),
            ),
        }
    }

    /// What must be found: missing, extra, different.
    fn wanted(&self, side: Side, harm: Harm) -> [u64; 3] {
        match (side, harm) {
            (_, Harm::Change) if self.key.is_empty() => [1, 1, 0],
            (_, Harm::Change) => [0, 0, 1],
            (Side::Source, Harm::Remove) | (Side::Target, Harm::Add) => [0, 1, 0],
            (Side::Source, Harm::Add) | (Side::Target, Harm::Remove) => [1, 0, 0],
        }
    }
}

#[tokio::test]
async fn every_single_row_is_named() {
    let rig = Rig::of(damage::kinds).await;
    round::arrives(&rig, &[]).await;
    for side in [Side::Source, Side::Target] {
        for harm in [Harm::Change, Harm::Remove, Harm::Add] {
            for kind in &KINDS {
                execute(&rig, side, &kind.statements(side, harm).0).await;
            }
            let run = rig.cli(&["validate"]).await;
            run.expect(3);
            for kind in &KINDS {
                assert_found(&run, kind, side, harm);
            }
            for kind in &KINDS {
                execute(&rig, side, &kind.statements(side, harm).1).await;
            }
            rig.cli(&["validate"]).await.expect(0);
        }
    }
    rig.finish().await;
}

#[tokio::test]
async fn one_damaged_table_is_the_only_one() {
    let rig = Rig::of(damage::kinds).await;
    round::arrives(&rig, &[]).await;
    execute(&rig, Side::Target, "UPDATE textual SET v = NULL WHERE k = 'k7'").await;
    let run = rig.cli(&["validate"]).await;
    run.expect(3);
    assert_eq!(run.reason(), "DATA_DIFFERS");
    let differing: Vec<_> = tables(&run).iter().filter(|table| table["matches"] == false).collect();
    assert_eq!(differing.len(), 1, "{differing:?}");
    let difference = &differing[0]["differences"][0];
    assert_eq!(difference["kind"], "different");
    assert_eq!(difference["key"], "k=k7");
    assert_eq!(difference["columns"], serde_json::json!(["v"]));
    rig.cli(&["validate", "--table", "alias"]).await.expect(0);
    rig.cli(&["validate", "--table", "textual"]).await.expect(3);
    rig.cli(&["validate", "--level", "counts"]).await.expect(0);
    execute(&rig, Side::Target, "DELETE FROM textual WHERE k = 'k7'").await;
    rig.cli(&["validate", "--level", "counts"]).await.expect(3);
    rig.finish().await;
}

#[tokio::test]
async fn many_differences_are_counted_and_some_named() {
    let rig = Rig::of(damage::kinds).await;
    round::arrives(&rig, &[]).await;
    execute(&rig, Side::Target, "UPDATE alias SET w = -w; DELETE FROM pair; DELETE FROM bare")
        .await;
    let run = rig.cli(&["validate", "--max-differences", "3"]).await;
    run.expect(3);
    let of =
        |name: &str| tables(&run).iter().find(|table| table["table"] == name).expect("a table");
    assert_eq!(of("alias")["different"], 300);
    assert_eq!(of("pair")["missing"], 300);
    assert_eq!(of("bare")["missing"], 319);
    assert_eq!(of("alias")["differences"].as_array().map(Vec::len), Some(3));
    rig.finish().await;
}

#[tokio::test]
async fn a_schema_that_was_changed_is_named() {
    let rig = Rig::of_sql(
        "CREATE TABLE p (id INTEGER PRIMARY KEY, a TEXT UNIQUE);
         CREATE TABLE c (id INTEGER PRIMARY KEY, p INTEGER REFERENCES p, b TEXT CHECK (b <> 'x'));
         CREATE INDEX c_b ON c (b); CREATE VIEW v AS SELECT b FROM c;
         INSERT INTO p VALUES (1, 'x'); INSERT INTO c VALUES (1, 1, 'y');",
    )
    .await;
    round::arrives(&rig, &[]).await;
    let harms = [
        ("index", "DROP INDEX c_b"),
        ("view", "DROP VIEW v"),
        ("foreign key", "ALTER TABLE c DROP CONSTRAINT IF EXISTS c_p_fkey"),
        ("sequence", "ALTER TABLE p ALTER id RESTART WITH 1"),
        ("table", "DROP TABLE c"),
    ];
    for (object, harm) in harms {
        execute(&rig, Side::Target, &name_foreign_key(&rig, harm).await).await;
        let run = rig.cli(&["validate"]).await;
        run.expect(3);
        let schema = run.report()["schema"].as_array().cloned().unwrap_or_default();
        assert!(schema.iter().any(|found| found["object"] == object), "no {object} in {schema:?}");
    }
    rig.finish().await;
}

/// Puts the foreign key's real name into a statement.
async fn name_foreign_key(rig: &Rig, statement: &str) -> String {
    let sql = "SELECT conname::text FROM pg_constraint WHERE contype = 'f'";
    match rig.target().await.query_opt(sql, &[]).await.expect("the catalogue is read") {
        Some(row) => statement.replace("c_p_fkey", &quote(row.get(0))),
        None => statement.into(),
    }
}

async fn execute(rig: &Rig, side: Side, sql: &str) {
    match side {
        Side::Source => {
            // As a program without triggers would: the fence refuses every other one.
            let source = rig.source();
            let triggers = DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER;
            source.set_db_config(triggers, false).expect("triggers are off");
            source.execute_batch(sql).expect("SQLite takes the change");
        }
        Side::Target => {
            // Nor is it carried back.
            let target = rig.target().await;
            target.batch_execute(UNCAPTURED).await.expect("capture is off");
            target.batch_execute(sql).await.expect("PostgreSQL takes the change");
        }
    }
}

fn tables(run: &Run) -> &Vec<Value> {
    run.report()["tables"].as_array().expect("a report has tables")
}

fn assert_found(run: &Run, kind: &Kind, side: Side, harm: Harm) {
    let place = format!("{:?} {harm:?} in {}", side, kind.table);
    let table = tables(run).iter().find(|table| table["table"] == kind.table).expect("a table");
    let found = ["missing", "extra", "different"].map(|what| table[what].as_u64().unwrap_or(0));
    assert_eq!(found, kind.wanted(side, harm), "{place}: {table}");
    let differences = table["differences"].as_array().expect("differences");
    let total: u64 = found.iter().sum();
    assert_eq!(u64::try_from(differences.len()), Ok(total), "{place}: {table}");
    for difference in differences {
        let key = difference["key"].as_str().unwrap_or_default();
        assert!(!key.is_empty(), "{place}: {difference}");
        // The bytes of a key are shown in hexadecimal.
        let named = key.contains(kind.key)
            || (kind.table == "bytes" && key.contains("9150"))
            || key.contains("313530");
        assert!(named, "{place}: {difference}");
        if difference["kind"] == "different" {
            assert_eq!(difference["columns"], serde_json::json!(["v"]), "{place}");
        }
    }
}
