//! Names, plans and files that try to be paths or SQL.

use std::{fs, path::Path};

use switchback_proto::v1::{
    BackupRequest, CancelOperationRequest, DeleteBackupRequest, GetOperationRequest, IndexPlan,
    ListBackupsRequest, ListOperationsRequest, Plan, RestoreRequest, VerifyBackupRequest, ViewPlan,
};
use switchback_tests::rig::Rig;
use tonic::{Code, Status};

/// What would be gone if a text were taken for SQL.
const CANARY: &str = "CREATE SCHEMA other; CREATE TABLE other.canary (a int); \
                      INSERT INTO other.canary VALUES (1); ALTER SCHEMA other OWNER TO owner; \
                      ALTER TABLE other.canary OWNER TO owner;";

const SCHEMA: &str = "
    CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT DEFAULT 'x', age INTEGER CHECK (age > 0));
    CREATE TABLE pets (id INTEGER PRIMARY KEY, owner INTEGER REFERENCES people);
    CREATE INDEX people_by_name ON people (name);
    CREATE VIEW grown AS SELECT id FROM people WHERE age > 17;
    INSERT INTO people VALUES (1, 'Ann', 30);
    INSERT INTO pets VALUES (1, 1);";

const SQL: &str = "x'; DROP TABLE other.canary; --";
const QUOTED: &str = "x\"; DROP TABLE other.canary; --";

/// Nothing of it is a name, an id or a part of a path.
const NAMES: [&str; 12] = [
    "../../x", "..", "/tmp/x", "a/b", "a\\b", "%2e%2e/x", ".x", "x\0y", "x\ny", SQL, QUOTED,
    "\u{e9}",
];

async fn rig(sql: &str) -> Rig {
    let rig = Rig::of_sql(sql).await;
    rig.target().await.batch_execute(CANARY).await.expect("a canary");
    rig
}

async fn assert_canary(rig: &Rig, what: &str) {
    let rows = rig.target().await.query_one("SELECT count(*) FROM other.canary", &[]).await;
    let rows = rows.unwrap_or_else(|error| panic!("{what}: the canary is gone: {error}"));
    assert_eq!(rows.get::<_, i64>(0), 1, "{what}");
}

/// Files below a directory, as paths in it.
fn files(directory: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).expect("a directory").flatten() {
        found.push(entry.path().display().to_string());
        if entry.path().is_dir() {
            found.extend(files(&entry.path()));
        }
    }
    found.sort();
    found
}

#[tokio::test]
async fn names_are_no_paths_and_no_sql() {
    let rig = rig(SCHEMA).await;
    rig.cli(&["backup"]).await.expect(0);
    let around = rig.server.state().parent().expect("a parent").to_owned();
    let before = files(&around);
    for name in NAMES {
        for (what, code, wanted) in answers(&rig, name).await {
            assert_eq!(code, wanted, "{what} {name:?}");
        }
        assert_canary(&rig, name).await;
    }
    for name in ["../../x", SQL, QUOTED] {
        let run = rig.cli(&["restore", "latest", "--as", "copy", "--table", name]).await;
        run.refused(2, "UNKNOWN_TABLE");
    }
    let kept = |file: &String| {
        ["/control.db-wal", "/control.db-shm", "/log", "/restores"]
            .iter()
            .any(|name| file.ends_with(name))
    };
    let mut new = files(&around);
    new.retain(|file| !before.contains(file) && !kept(file));
    assert!(new.is_empty(), "files were made: {new:?}");
    rig.cli(&["migrate", "--skip-backup"]).await.expect(0);
    for name in [SQL, QUOTED] {
        rig.cli(&["validate", "--table", name]).await.refused(2, "UNKNOWN_TABLE");
        assert_canary(&rig, name).await;
    }
    rig.finish().await;
}

/// Where a name could be taken for a path or for SQL: what is said, and what should be.
async fn answers(rig: &Rig, name: &str) -> Vec<(&'static str, Code, Code)> {
    let (mut databases, mut operations) = (rig.server.databases(), rig.server.operations());
    let default = || "default".to_owned();
    let hostile = || name.to_owned();
    let restore = RestoreRequest {
        database: default(),
        backup_id: "20260101T000000Z-0".into(),
        restore_as: hostile(),
        ..Default::default()
    };
    let from = RestoreRequest {
        database: default(),
        backup_id: hostile(),
        restore_as: "copy".into(),
        ..Default::default()
    };
    let verify =
        VerifyBackupRequest { database: default(), backup_id: hostile(), ..Default::default() };
    let delete = DeleteBackupRequest { database: default(), backup_id: hostile() };
    let page = ListOperationsRequest { page_token: hostile(), ..Default::default() };
    let list = ListBackupsRequest { database: hostile(), ..Default::default() };
    let backup = BackupRequest { database: hostile(), ..Default::default() };
    let get = GetOperationRequest { operation_id: hostile() };
    let cancel = CancelOperationRequest { operation_id: hostile() };
    vec![
        ("restore_as", code(databases.restore(restore).await), Code::InvalidArgument),
        ("restore", code(databases.restore(from).await), Code::InvalidArgument),
        ("verify", code(databases.verify_backup(verify).await), Code::InvalidArgument),
        ("delete", code(databases.delete_backup(delete).await), Code::InvalidArgument),
        ("page", code(operations.list_operations(page).await), Code::InvalidArgument),
        ("list", code(databases.list_backups(list).await), Code::NotFound),
        ("backup", code(databases.backup(backup).await), Code::NotFound),
        ("operation", code(operations.get_operation(get).await), Code::NotFound),
        ("cancel", code(operations.cancel_operation(cancel).await), Code::NotFound),
    ]
}

fn code<T>(answer: Result<T, Status>) -> Code {
    answer.map_or_else(|status| status.code(), |_| Code::Ok)
}

type Change = fn(&mut Plan);

const CHANGES: [(&str, Change); 14] = [
    ("type", |plan| plan.tables[0].columns[1].r#type = "text); DROP TABLE other.canary; --".into()),
    ("default", |plan| {
        plan.tables[0].columns[1].default = "'x'); DROP TABLE other.canary; --".into()
    }),
    ("default", |plan| plan.tables[0].columns[1].default = "'x'; DROP TABLE other.canary".into()),
    ("generated", |plan| {
        plan.tables[0].columns[1].generated = "'x') STORED); DROP TABLE other.canary; --".into();
    }),
    ("codec", |plan| plan.tables[0].columns[1].codec = "text; DROP TABLE other.canary".into()),
    ("check", |plan| {
        plan.tables[0].checks[0].expression = "true); DROP TABLE other.canary; --".into()
    }),
    ("name of a check", |plan| {
        plan.tables[0].checks[0].name = "c\"; DROP TABLE other.canary; --".into()
    }),
    ("index", |plan| {
        plan.tables[0].indexes[0].terms = vec!["name); DROP TABLE other.canary; --".into()]
    }),
    ("predicate", |plan| {
        plan.tables[0].indexes[0].predicate = "true; DROP TABLE other.canary".into()
    }),
    ("foreign key", |plan| {
        plan.tables[1].foreign_keys[0].on_delete = "CASCADE; DROP TABLE other.canary; --".into();
    }),
    ("name of a table", |plan| plan.tables[1].target = "p\"; DROP TABLE other.canary; --".into()),
    ("schema", |plan| plan.target_schema = "s\"; DROP TABLE other.canary; --".into()),
    ("view", |plan| {
        plan.views = vec![ViewPlan {
            source: "grown".into(),
            target: "grown".into(),
            columns: vec!["id".into()],
            query: "SELECT 1; DROP TABLE other.canary".into(),
        }];
    }),
    ("another index", |plan| {
        plan.tables[0].indexes.push(IndexPlan {
            target: "i".into(),
            terms: vec!["id".into(), "(SELECT 1)); DROP TABLE other.canary; --".into()],
            ..Default::default()
        });
    }),
];

/// A plan is SQL in part; each part is one expression or one statement and not the end of one.
#[tokio::test]
async fn a_plan_cannot_say_a_second_statement() {
    let rig = rig(SCHEMA).await;
    let file = rig.directory.path().join("plan.json");
    let path = file.display().to_string();
    rig.cli(&["plan", "--write", &path]).await.expect(0);
    let text = fs::read_to_string(&file).expect("a plan");
    for (what, change) in CHANGES {
        let mut plan: Plan = serde_json::from_str(&text).expect("a plan");
        change(&mut plan);
        fs::write(&file, serde_json::to_string(&plan).expect("JSON")).expect("written");
        let run = rig.cli(&["migrate", "--skip-backup", "--manual-cutover", "--plan", &path]).await;
        assert_canary(&rig, what).await;
        if run.code == 0 {
            // It was a name, or what was refused was left out and told.
            rig.cli(&["abort"]).await.expect(0);
        } else {
            assert!([1, 2, 5].contains(&run.code), "{what}: {} {}", run.code, run.stderr);
        }
        assert_canary(&rig, what).await;
    }
    rig.finish().await;
}

/// The source file belongs to an application, and whoever writes its schema is not who migrates.
#[tokio::test]
async fn a_source_cannot_say_sql_to_the_target() {
    let evil = "x\"\"; DROP TABLE other.canary; --";
    let text = "'); DROP TABLE other.canary; --";
    let schema = format!(
        "CREATE TABLE \"{evil}\" (id INTEGER PRIMARY KEY, \"c{evil}\" TEXT DEFAULT '{quoted}', \
           CHECK (\"c{evil}\" <> '{quoted}'));
         CREATE INDEX \"i{evil}\" ON \"{evil}\" (\"c{evil}\") WHERE \"c{evil}\" <> '{quoted}';
         CREATE VIEW \"v{evil}\" AS SELECT \"c{evil}\" || '{quoted}' AS \"w{evil}\" FROM \"{evil}\";
         INSERT INTO \"{evil}\" VALUES (1, 'a'), (2, '{quoted} more');",
        quoted = text.replace('\'', "''"),
    );
    let rig = rig(&schema).await;
    rig.cli(&["migrate", "--skip-backup"]).await.expect(0);
    assert_canary(&rig, "migrate").await;
    let target = rig.target().await;
    let insert = format!("INSERT INTO \"{evil}\" (id) VALUES (3)");
    let refused = target.batch_execute(&insert).await;
    // The default is the very text, which the CHECK refuses.
    assert!(refused.is_err(), "the default or the CHECK got lost");
    let insert = format!("INSERT INTO \"{evil}\" VALUES (4, '{}!')", text.replace('\'', "''"));
    target.batch_execute(&insert).await.expect("a row");
    rig.cli(&["validate"]).await.expect(0);
    rig.cli(&["rollback"]).await.expect(0);
    assert_canary(&rig, "rollback").await;
    rig.finish().await;
}
