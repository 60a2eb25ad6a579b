mod cases;
mod model;

use super::*;
use crate::{capture::remove, census, db::source::SourceFile};
use model::{Model, Rng};

pub(super) fn schema(connection: &Connection) -> SourceSchema {
    census::schema::read(connection, &SourceFile::new("memory")).unwrap()
}

fn open(sql: &str) -> Connection {
    let connection = Connection::open_in_memory().unwrap();
    connection.execute_batch(sql).unwrap();
    connection
}

fn text(connection: &Connection, sql: &str) -> String {
    connection.query_row(sql, [], |row| row.get(0)).unwrap()
}

/// Runs a case until the copy differs; `Err` says where.
fn run(case: &cases::Case, seed: u64, before: bool) -> Result<(), String> {
    let connection = open(case.schema);
    let schema = schema(&connection);
    connection.execute_batch("BEGIN IMMEDIATE").unwrap();
    install(&connection, &schema, "token").unwrap();
    assert_eq!(check_compiles(&connection, &schema).unwrap(), [], "{}", case.name);
    connection.execute_batch("COMMIT").unwrap();
    if !before {
        for number in 1..=schema.tables.len() {
            for kind in ["bi", "bu"] {
                let sql = format!("DROP TRIGGER IF EXISTS _switchback_{number}_{kind}");
                connection.execute_batch(&sql).unwrap();
            }
        }
    }
    let recursive = seed % 2;
    connection
        .execute_batch(&format!("PRAGMA foreign_keys = 1; PRAGMA recursive_triggers = {recursive}"))
        .unwrap();
    let mut rng = Rng::new(seed);
    let mut model = Model::new(&connection, &schema);
    let mut history = Vec::new();
    for _ in 0..40 {
        for _ in 0..=rng.below(4) {
            let sql = case.statement(&mut rng);
            let outcome = connection.execute_batch(&sql);
            if !connection.is_autocommit() {
                connection.execute_batch("ROLLBACK").unwrap();
            }
            history.push(format!("{sql} -- {outcome:?}"));
        }
        model.apply(&connection);
        model.compare(&connection).map_err(|difference| {
            let from = history.len().saturating_sub(12);
            format!("{} seed {seed}: {difference}\n{}", case.name, history[from..].join("\n"))
        })?;
    }
    Ok(())
}

#[test]
fn the_log_names_every_row_that_changes() {
    for case in cases::CASES {
        for seed in 1..=24 {
            run(case, seed, true).unwrap_or_else(|difference| panic!("{difference}"));
        }
    }
}

#[test]
fn without_the_before_triggers_replaced_rows_are_lost() {
    for case in cases::CASES.iter().filter(|case| case.replaces) {
        // Recursive triggers make SQLite fire the DELETE triggers of replaced rows.
        let noticed = (1..=24).any(|seed| run(case, seed * 2, false).is_err());
        assert!(noticed, "{}", case.name);
    }
}

#[test]
fn every_kind_of_statement_of_the_cases_succeeds_sometimes() {
    for case in cases::CASES {
        for template in case.statements {
            let worked = (1..200).any(|seed| {
                let connection = open(case.schema);
                let mut rng = Rng::new(seed);
                for _ in 0..12 {
                    // Only to have rows; most of what fails here breaks a constraint.
                    let _ = connection.execute_batch(&case.statement(&mut rng));
                    if !connection.is_autocommit() {
                        connection.execute_batch("ROLLBACK").unwrap();
                    }
                }
                connection.execute_batch(&cases::fill(template, &mut rng)).is_ok()
            });
            assert!(worked, "{}: {template}", case.name);
        }
    }
}

const ODD: &str = r#"
    CREATE TABLE "or""d'er"("select" TEXT NOT NULL DEFAULT "x y" UNIQUE, "ä 🙂" INTEGER, "a""b",
        PRIMARY KEY("a""b", "ä 🙂")) WITHOUT ROWID;
    CREATE TABLE new("old" INTEGER PRIMARY KEY, "new" TEXT UNIQUE);
    CREATE TABLE OLD("rowid", "key" UNIQUE);
    CREATE TABLE [group by]("" TEXT UNIQUE, "1" COLLATE NOCASE UNIQUE);
    CREATE TABLE hidden(rowid UNIQUE, _rowid_, oid);
    CREATE TABLE tab(tab UNIQUE, seq, k1);
    CREATE UNIQUE INDEX "ix'" ON tab(lower(seq)) WHERE tab.k1 > 0;
"#;

#[test]
fn odd_names_work_and_leave_nothing_behind() {
    let connection = open(ODD);
    let all = "SELECT group_concat(type || name || tbl_name || rootpage || sql, char(10)) \
               FROM (SELECT * FROM sqlite_master ORDER BY rowid)";
    let before = text(&connection, all);
    let schema = schema(&connection);
    install(&connection, &schema, "token").unwrap();
    for (position, table) in schema.tables.iter().enumerate() {
        for (_, sql) in capture::fence_triggers(table_number(position), table, "it's moved") {
            connection.execute_batch(&sql).unwrap();
        }
    }
    assert_eq!(check_compiles(&connection, &schema).unwrap(), []);
    remove(&connection).unwrap();
    assert_eq!(text(&connection, all), before);

    install(&connection, &schema, "token").unwrap();
    let mut model = Model::new(&connection, &schema);
    connection
        .execute_batch(
            r#"INSERT INTO "or""d'er" VALUES ('a', 1, 2); REPLACE INTO "or""d'er" VALUES ('a', 2, 2);
            INSERT INTO new VALUES (1, 'a'); REPLACE INTO new VALUES (2, 'a');
            INSERT INTO old VALUES (1, 'a'); REPLACE INTO old VALUES (2, 'a');
            INSERT INTO [group by] VALUES ('a', 'b'); REPLACE INTO [group by] VALUES ('c', 'B');
            INSERT INTO hidden VALUES (1, 2, 3); REPLACE INTO hidden VALUES (1, 3, 3);
            INSERT INTO tab VALUES (1, 'A', 3); REPLACE INTO tab VALUES (2, 'a', 3);"#,
        )
        .unwrap();
    model.apply(&connection);
    model.compare(&connection).unwrap();
}

#[test]
fn the_fence_holds_under_every_conflict_clause() {
    let connection =
        open("CREATE TABLE t(id INTEGER PRIMARY KEY, u UNIQUE); INSERT INTO t VALUES (1, 1)");
    let schema = schema(&connection);
    install(&connection, &schema, "token").unwrap();
    for (_, sql) in capture::fence_triggers(1, &schema.tables[0], "it's moved") {
        connection.execute_batch(&sql).unwrap();
    }
    let newest_before = newest(&connection).unwrap();
    for clause in ["IGNORE", "REPLACE", "FAIL", "ABORT", "ROLLBACK"] {
        for sql in [
            format!("INSERT OR {clause} INTO t VALUES (1, 1)"),
            format!("INSERT OR {clause} INTO t VALUES (2, 2)"),
            format!("UPDATE OR {clause} t SET u = 2"),
            "DELETE FROM t".into(),
            "INSERT INTO t VALUES (1, 1) ON CONFLICT DO UPDATE SET u = 3".into(),
        ] {
            let error = connection.execute_batch(&sql).unwrap_err().to_string();
            assert!(error.contains("it's moved"), "{sql}: {error}");
        }
    }
    assert_eq!(text(&connection, "SELECT group_concat(id || u) FROM t"), "11");
    assert_eq!(newest(&connection).unwrap(), newest_before);
}

#[test]
fn the_application_sees_its_own_counters() {
    let connection = open("CREATE TABLE t(id INTEGER PRIMARY KEY, u UNIQUE)");
    install(&connection, &schema(&connection), "token").unwrap();
    let mut counters = Vec::new();
    for sql in [
        "INSERT INTO t VALUES (70, 1)",
        "INSERT INTO t(u) VALUES (2), (3)",
        "UPDATE t SET u = u + 10",
        "REPLACE INTO t VALUES (5, 12)",
        "DELETE FROM t WHERE id < 71",
    ] {
        connection.execute_batch(sql).unwrap();
        counters.push((connection.last_insert_rowid(), connection.changes()));
    }
    assert_eq!(counters, [(70, 1), (72, 2), (72, 3), (5, 1), (5, 2)]);
}

#[test]
fn trimming_keeps_the_anchor_and_the_newest() {
    let connection = open("CREATE TABLE t(id INTEGER PRIMARY KEY)");
    install(&connection, &schema(&connection), "token").unwrap();
    connection.execute_batch("INSERT INTO t VALUES (1), (2), (3), (4)").unwrap();
    let entries = || text(&connection, "SELECT group_concat(seq) FROM _switchback_log");
    assert_eq!(newest(&connection).unwrap(), 5);
    assert_eq!(trim(&connection, 4, 2).unwrap(), 2);
    assert_eq!(entries(), "3,4,5");
    assert_eq!(trim(&connection, 4, 2).unwrap(), 1);
    assert_eq!(trim(&connection, 99, 100).unwrap(), 1);
    assert_eq!(entries(), "5");
}

#[test]
fn a_trigger_that_would_break_the_application_is_found() {
    let connection = open("CREATE TABLE t(id INTEGER PRIMARY KEY); CREATE TABLE u(a)");
    let schema = schema(&connection);
    install(&connection, &schema, "token").unwrap();
    assert_eq!(check_compiles(&connection, &schema).unwrap(), []);
    connection.execute_batch("DROP TABLE _switchback_log").unwrap();
    let broken = check_compiles(&connection, &schema).unwrap();
    assert_eq!(broken.iter().map(|(table, _)| table.as_str()).collect::<Vec<_>>(), ["t", "u"]);
}

#[test]
fn a_write_never_scans_the_table() {
    let connection = open(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, x TEXT COLLATE NOCASE, s INT NOT NULL DEFAULT 3,
            y INT, g TEXT AS (x || s));
        CREATE UNIQUE INDEX a ON t(x, s); CREATE UNIQUE INDEX b ON t(x COLLATE BINARY);
        CREATE UNIQUE INDEX c ON t(lower(x)); CREATE UNIQUE INDEX d ON t(y) WHERE s > 2 AND y > 1;
        CREATE UNIQUE INDEX e ON t(g)",
    );
    let schema = schema(&connection);
    install(&connection, &schema, "token").unwrap();
    let new = ["id", "x", "s", "y", "g"];
    for (name, sql) in capture::capture_triggers(1, &schema.tables[0]) {
        // What a trigger does, with parameters in the place of NEW.
        let body = sql.split(" BEGIN ").nth(1).unwrap().trim_end_matches(" END");
        for statement in body.split_terminator(';').filter(|text| text.contains(" FROM ")) {
            let mut statement = statement.to_owned();
            for column in new {
                statement = statement.replace(&format!("NEW.\"{column}\""), &format!(":{column}"));
            }
            let mut explain =
                connection.prepare(&format!("EXPLAIN QUERY PLAN {statement}")).unwrap();
            let plan: Vec<String> =
                explain.raw_query().mapped(|row| row.get(3)).map(Result::unwrap).collect();
            // The steps after it read the one row that is about to be written.
            let seeks = plan[0].starts_with("SEARCH t USING ");
            assert!(seeks, "{name}: {statement}\n{plan:?}");
        }
    }
}
