//! Plans of small databases with one trait each; those of the corpus are in [`corpus`].

#![expect(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

mod corpus;

use std::{collections::HashSet, ops::ControlFlow};

use rusqlite::Connection;
use switchback_proto::v1::{
    Choice, Disposition, IdentifierCase, Plan, PlanOptions, Severity, TablePlan,
};
use switchback_server::{
    census::{orphans, scan::scan_table, schema},
    db::source::SourceFile,
    dialect::{
        ddl,
        plan::{PlanInputs, build, check_plan, left_out},
        schema::SourceSchema,
    },
};

fn plan_of(connection: &Connection, options: &PlanOptions) -> (SourceSchema, Plan) {
    let file = SourceFile::new("test");
    let source = schema::read(connection, &file).unwrap();
    let facts: Vec<_> = source
        .tables
        .iter()
        .map(|table| {
            scan_table(connection, table, source.encoding, &mut |_| ControlFlow::Continue(()))
                .unwrap_or_else(|error| panic!("{:?}: {error}", table.name))
        })
        .collect();
    let orphans = orphans::count(connection, &file, &source).unwrap();
    let plan = build(PlanInputs {
        database: "test",
        target_schema: "public",
        schema: &source,
        facts: &facts,
        orphans: &orphans,
        options,
    });
    (source, plan)
}

fn connect(sql: &str) -> Connection {
    let connection = Connection::open_in_memory().unwrap();
    connection.execute_batch("PRAGMA foreign_keys = off").unwrap();
    connection.execute_batch(sql).unwrap();
    connection
}

fn plan(sql: &str) -> Plan {
    plan_of(&connect(sql), &PlanOptions::default()).1
}

fn codes(plan: &Plan) -> Vec<&str> {
    plan.findings.iter().map(|finding| finding.code.as_str()).collect()
}

fn table<'a>(plan: &'a Plan, name: &str) -> &'a TablePlan {
    plan.tables.iter().find(|table| table.source == name).unwrap()
}

#[test]
fn a_rowid_alias_is_an_identity() {
    let plan = plan("CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT NOT NULL DEFAULT 'x')");
    let columns = &table(&plan, "t").columns;
    assert!(columns[0].identity && columns[0].not_null);
    assert_eq!(columns[0].r#type, "bigint");
    assert!(columns[1].not_null);
    assert_eq!(columns[1].default, "'x'");
    assert_eq!(table(&plan, "t").primary_key, ["id"]);
    assert!(codes(&plan).is_empty(), "{:?}", plan.findings);
}

#[test]
fn nulls_where_none_should_be_are_kept() {
    let plan = plan(
        "CREATE TABLE t(a TEXT PRIMARY KEY, b TEXT); INSERT INTO t VALUES (NULL, 'x'), ('k', 'y');\
         CREATE TABLE c(a TEXT REFERENCES t);\
         CREATE TABLE n(id INTEGER PRIMARY KEY, a TEXT); INSERT INTO n VALUES (1, NULL);\
         PRAGMA writable_schema = on;\
         UPDATE sqlite_schema SET sql = 'CREATE TABLE n(id INTEGER PRIMARY KEY, a TEXT NOT NULL)' \
         WHERE name = 'n'; PRAGMA writable_schema = reset;",
    );
    let keyless = table(&plan, "t");
    assert!(keyless.primary_key.is_empty());
    assert!(keyless.indexes[0].unique && keyless.indexes[0].constraint);
    assert_eq!(table(&plan, "c").foreign_keys.len(), 1, "a unique constraint will do");
    assert!(!table(&plan, "n").columns[1].not_null);
    let found = codes(&plan);
    assert!(found.contains(&"null_in_primary_key") && found.contains(&"not_null_violated"));
}

#[test]
fn nocase_is_kept_by_indexes_and_referred_keys_stay_plain() {
    let plan = plan(
        "CREATE TABLE p(id INTEGER PRIMARY KEY, e TEXT COLLATE NOCASE UNIQUE, \
         f TEXT COLLATE NOCASE UNIQUE, r TEXT COLLATE RTRIM);\
         CREATE TABLE c(e TEXT REFERENCES p(e)); CREATE INDEX i ON p(r DESC);\
         CREATE TABLE k(name TEXT COLLATE NOCASE PRIMARY KEY);",
    );
    let parent = table(&plan, "p");
    let made: Vec<(bool, bool, &str)> = parent
        .indexes
        .iter()
        .map(|index| (index.unique, index.constraint, index.terms[0].as_str()))
        .collect();
    assert_eq!(
        made,
        [
            (true, true, "\"e\""),
            (true, false, "lower(\"e\" COLLATE \"C\")"),
            (true, false, "lower(\"f\" COLLATE \"C\")"),
            (false, false, "rtrim(\"r\", ' ') DESC"),
        ]
    );
    assert_eq!(table(&plan, "c").foreign_keys.len(), 1);
    let key = table(&plan, "k");
    assert_eq!(key.primary_key, ["name"]);
    assert_eq!(key.indexes[0].terms, ["lower(\"name\" COLLATE \"C\")"]);
    assert!(codes(&plan).contains(&"nocase_column"));
}

#[test]
fn an_unknown_collation_loses_only_what_needs_it() {
    let connection = connect("SELECT 1");
    connection.create_collation("unicase", str::cmp).unwrap();
    connection
        .execute_batch(
            "CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT COLLATE unicase);\
             CREATE INDEX i ON t(a); CREATE UNIQUE INDEX u ON t(a, id);",
        )
        .unwrap();
    let (_, plan) = plan_of(&connection, &PlanOptions::default());
    let names: Vec<&str> =
        table(&plan, "t").indexes.iter().map(|index| index.source.as_str()).collect();
    assert_eq!(names, ["i"]);
    let found = codes(&plan);
    assert!(found.contains(&"unique_not_carried") && found.contains(&"collation_not_carried"));
}

#[test]
fn foreign_keys_that_cannot_be_are_named() {
    let plan = plan(
        "CREATE TABLE p(id INTEGER PRIMARY KEY, n INTEGER, t TEXT UNIQUE);\
         CREATE TABLE c(a INT REFERENCES p ON DELETE CASCADE, b INT REFERENCES missing(id), \
         d INT REFERENCES p(n), e INT REFERENCES p(none), f TEXT REFERENCES p(id), \
         g TEXT CONSTRAINT good REFERENCES p(t) DEFERRABLE INITIALLY DEFERRED);\
         INSERT INTO c(a) VALUES (5), (6);",
    );
    let keys = &table(&plan, "c").foreign_keys;
    assert_eq!(keys.len(), 2, "{keys:?}");
    assert!(!keys[0].validate, "it has orphans");
    assert_eq!((keys[0].on_delete.as_str(), keys[0].name.as_str()), ("CASCADE", "c_a_fkey"));
    assert_eq!(keys[1].name, "good");
    assert_eq!(keys[1].deferrable, "DEFERRABLE INITIALLY DEFERRED");
    let orphans = plan.findings.iter().find(|finding| finding.code == "orphans").unwrap();
    assert_eq!((orphans.count, orphans.examples.len()), (2, 2));
    let skipped = codes(&plan).iter().filter(|code| **code == "foreign_key_skipped").count();
    assert_eq!(skipped, 4);
}

#[test]
fn cyclic_and_composite_keys_are_carried() {
    let plan = plan(
        "CREATE TABLE a(id INTEGER PRIMARY KEY, b INT REFERENCES b(id));\
         CREATE TABLE b(id INTEGER PRIMARY KEY, a INT REFERENCES a);\
         CREATE TABLE p(x TEXT, y INT, PRIMARY KEY (y, x));\
         CREATE TABLE c(u INT, v TEXT, FOREIGN KEY (v, u) REFERENCES p(x, y));",
    );
    assert!(plan.tables.iter().all(|table| table.source == "p" || table.foreign_keys.len() == 1));
    assert_eq!(table(&plan, "c").foreign_keys[0].columns, ["v", "u"]);
    let statements = ddl::statements(&plan);
    let place = |prefix: &str| {
        statements.iter().rposition(|statement| statement.step.starts_with(prefix)).unwrap()
    };
    assert!(place("primary_key:") < place("foreign_key:"));
}

#[test]
fn long_values_leave_their_index_out() {
    let plan = plan(
        "CREATE TABLE t(a TEXT, b TEXT); CREATE INDEX i ON t(a); CREATE INDEX j ON t(b);\
         INSERT INTO t VALUES (printf('%.*c', 3000, 'x'), 'y');",
    );
    let names: Vec<&str> =
        table(&plan, "t").indexes.iter().map(|index| index.source.as_str()).collect();
    assert_eq!(names, ["j"]);
    assert!(codes(&plan).contains(&"index_value_too_long"));
}

#[test]
fn expressions_that_postgresql_lacks_are_findings() {
    let plan = plan(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT DEFAULT (printf('x')) \
         CHECK (length(a) < 5) CHECK (a <> printf('x')), g TEXT AS (upper(a)) STORED, \
         h TEXT AS (printf('%s', a)) STORED);\
         CREATE INDEX good ON t(lower(a)) WHERE a IS NOT NULL;\
         CREATE INDEX bad ON t(printf('%s', a));\
         CREATE VIEW v AS SELECT a, g FROM t; CREATE VIEW w AS SELECT * FROM x;\
         CREATE VIEW x AS SELECT a FROM v; CREATE VIEW y AS SELECT printf('%s', a) FROM t;\
         CREATE TRIGGER tr AFTER INSERT ON t BEGIN SELECT 1; END;\
         CREATE VIRTUAL TABLE f USING fts5(a); INSERT INTO t(id, a) VALUES (1, 'a');",
    );
    let table = table(&plan, "t");
    assert_eq!(table.checks.len(), 1);
    assert_eq!(table.columns[2].generated, "upper(\"a\" COLLATE \"C\")");
    assert_eq!(table.columns[3].generated, "");
    assert_eq!(ddl::copy_columns(table).len(), 3);
    assert_eq!(table.indexes.len(), 1);
    let views: Vec<&str> = plan.views.iter().map(|view| view.source.as_str()).collect();
    assert_eq!(views, ["v", "x", "w"], "each after those that it reads");
    let found: HashSet<&str> = codes(&plan).into_iter().collect();
    for code in [
        "default_not_translated",
        "check_not_translated",
        "generated_not_translated",
        "index_not_translated",
        "view_not_translated",
        "trigger_not_carried",
        "virtual_table_not_carried",
    ] {
        assert!(found.contains(code), "{code} of {found:?}");
    }
}

#[test]
fn a_foreign_key_that_ignores_case_is_told() {
    let plan = plan(
        "CREATE TABLE p(name TEXT COLLATE NOCASE PRIMARY KEY, code TEXT UNIQUE);\
         CREATE TABLE c(id INTEGER PRIMARY KEY, p TEXT REFERENCES p, q TEXT REFERENCES p(code));",
    );
    assert_eq!(table(&plan, "c").foreign_keys.len(), 2);
    let told: Vec<&str> = plan
        .findings
        .iter()
        .filter(|finding| finding.code == "collation_not_carried")
        .map(|finding| finding.column.as_str())
        .collect();
    assert_eq!(told, ["p"]);
}

#[test]
fn conflict_clauses_are_told_and_checks_that_overflow_stop_nothing() {
    let plan = plan(
        "CREATE TABLE t(a TEXT PRIMARY KEY ON CONFLICT REPLACE, n INTEGER CHECK (abs(n) >= 0));\
         CREATE TABLE u(a TEXT UNIQUE ON CONFLICT ABORT); PRAGMA ignore_check_constraints = 1;\
         INSERT INTO t VALUES ('a', -9223372036854775807 - 1);",
    );
    let told: Vec<&str> = plan
        .findings
        .iter()
        .filter(|finding| finding.code == "statement_not_read")
        .map(|finding| finding.table.as_str())
        .collect();
    assert_eq!(told, ["t"]);
}

#[test]
fn a_generated_column_of_several_classes_is_copied() {
    let plan = plan(
        "CREATE TABLE t(a INTEGER, g AS (a - 9223372036854775807) STORED);\
         CREATE TABLE r(a REAL, g REAL AS (a * 2) STORED);\
         INSERT INTO t(a) VALUES (1), (-5); INSERT INTO r(a) VALUES (1e308);",
    );
    assert_eq!(table(&plan, "t").columns[1].generated, "");
    assert_eq!(table(&plan, "r").columns[1].generated, "");
    assert!(codes(&plan).contains(&"generated_not_translated"));
    assert!(codes(&plan).contains(&"mixed_types"));
}

#[test]
fn names_clash_neither_in_lower_case_nor_when_they_are_cut() {
    let long = "n".repeat(70);
    let options =
        PlanOptions { identifier_case: IdentifierCase::Lower.into(), ..PlanOptions::default() };
    let sql = format!(
        "CREATE TABLE Users(Id INTEGER PRIMARY KEY, ctid INT, \"\" INT); CREATE TABLE É(a);\
         CREATE TABLE é(a); CREATE TABLE {long}1(a UNIQUE); CREATE TABLE {long}2(a UNIQUE);\
         CREATE TABLE users_pkey(a);"
    );
    let (_, plan) = plan_of(&connect(&sql), &options);
    let users = table(&plan, "Users");
    assert_eq!(users.target, "users");
    let columns: Vec<&str> = users.columns.iter().map(|column| column.target.as_str()).collect();
    assert_eq!(columns, ["id", "ctid_", "column_3"]);
    assert_eq!(users.primary_key_name, "users_pkey_2");
    let mut names: Vec<&str> = plan.tables.iter().map(|table| table.target.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), 6);
    assert!(names.iter().all(|name| name.len() <= 63));
    assert!(codes(&plan).contains(&"renamed"));
}

#[test]
fn too_many_columns_and_no_tables() {
    let columns: Vec<String> = (0..1601).map(|number| format!("c{number}")).collect();
    let found = plan(&format!("CREATE TABLE wide({})", columns.join(", ")));
    let blocker = found.findings.first().unwrap();
    assert_eq!(
        (blocker.code.as_str(), blocker.severity()),
        ("too_many_columns", Severity::Blocker)
    );
    assert_eq!(codes(&plan("SELECT 1")), ["no_tables"]);
}

#[test]
fn a_rejecting_parent_leaves_its_foreign_keys_unchecked() {
    let choices =
        vec![Choice { code: "mixed_types".into(), disposition: Disposition::Reject.into() }];
    let options = PlanOptions { choices, ..PlanOptions::default() };
    let connection = connect(
        "CREATE TABLE p(id INTEGER PRIMARY KEY, a INT); INSERT INTO p VALUES (1, 2), (2, 'x');\
         CREATE TABLE c(p INT REFERENCES p); INSERT INTO c VALUES (2);",
    );
    let (_, plan) = plan_of(&connection, &options);
    assert!(!table(&plan, "c").foreign_keys[0].validate);
    assert!(codes(&plan).contains(&"foreign_key_not_validated"));
}

#[test]
fn an_identity_near_its_end_is_told() {
    let found =
        plan("CREATE TABLE t(id INTEGER PRIMARY KEY); INSERT INTO t VALUES (9223372036854775807)");
    assert!(codes(&found).contains(&"identity_exhausted"));
}

#[test]
fn a_changed_plan_is_checked() {
    let (source, plan) = plan_of(
        &connect(
            "CREATE TABLE p(id INTEGER PRIMARY KEY); CREATE TABLE c(a INT REFERENCES p, b TEXT);",
        ),
        &PlanOptions::default(),
    );
    assert_eq!(check_plan(&plan, &source), Ok(()));
    let errors = |change: &dyn Fn(&mut Plan)| {
        let mut changed = plan.clone();
        change(&mut changed);
        check_plan(&changed, &source).unwrap_err().join("\n")
    };
    assert!(errors(&|plan| plan.version = 2).contains("version 2"));
    assert!(errors(&|plan| plan.source_fingerprint.clear()).contains("planned for"));
    assert!(errors(&|plan| plan.tables[1].columns[1].codec = "x".into()).contains("no codec"));
    assert!(errors(&|plan| plan.tables[1].columns[1].r#type = "date".into()).contains("go with"));
    assert!(errors(&|plan| plan.tables[1].columns[1].target = "a".into()).contains("called \"a\""));
    assert!(errors(&|plan| plan.tables[1].target = "p".into()).contains("called \"p\""));
    assert!(errors(&|plan| plan.tables[1].source = "q".into()).contains("no such table"));
    assert!(errors(&|plan| plan.tables[0].primary_key = vec!["x".into()]).contains("no column"));
    assert!(errors(&|plan| drop(plan.tables[1].columns.pop())).contains("\"b\" is missing"));
    assert!(errors(&|plan| drop(plan.tables.remove(0))).contains("not in the plan"));
    let mut smaller = plan.clone();
    smaller.tables.truncate(1);
    assert_eq!(check_plan(&smaller, &source), Ok(()));
    let left = left_out(&smaller, &source);
    assert_eq!((left[0].code.as_str(), left[0].table.as_str()), ("table_left_out", "c"));
}
