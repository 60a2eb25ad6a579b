//! Backups of PostgreSQL beside writers, and what is made of them again, in either engine.

use std::time::{SystemTime, UNIX_EPOCH};

use rusqlite::Connection;
use serde_json::Value;
use switchback_tests::{
    checker,
    cli::Run,
    cluster::{Cluster, PASSWORD},
    rig::{Rig, directory},
    server::Server,
    workload::{Launch, Writers, oracle, oracle::Side},
};

use crate::{
    backup::{backup, id, listed, number},
    databases::{OURS, SMALL, databases, migrated, owners_make_databases, restored_beside, texts},
    round,
    writing::{ROWS, WRITERS, make, rig, staying},
};

/// Some 4 MB.
const LARGE: &str = "CREATE TABLE large (id INTEGER PRIMARY KEY, note TEXT, payload BLOB);
    WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000)
    INSERT INTO large SELECT i, 'note ' || i, randomblob(400) FROM n;";

/// What is made to keep an application's database as it is, by kind.
const SCHEMA: &str = "SELECT 'index ' || indexdef FROM pg_indexes WHERE schemaname = 'public'
    UNION ALL SELECT 'constraint ' || conrelid::regclass || ' ' || conname || ' '
      || pg_get_constraintdef(oid) FROM pg_constraint
      WHERE connamespace = 'public'::regnamespace AND conname NOT LIKE '%switchback%'
    UNION ALL SELECT 'column ' || table_name || '.' || column_name || ' ' || data_type || ' '
      || is_nullable || ' ' || is_identity FROM information_schema.columns
      WHERE table_schema = 'public' ORDER BY 1";

async fn status(rig: &Rig) -> Value {
    let run: Run = rig.cli(&["status"]).await;
    run.expect(0);
    run.events[0].clone()
}

#[tokio::test]
async fn a_database_is_stored_beside_its_writers() {
    owners_make_databases().await;
    let rig = rig("wal").await;
    rig.source().execute_batch(LARGE).expect("rows");
    rig.cli(&["migrate", "--skip-backup"]).await.expect(0);
    let url = rig.database.url.clone();
    let mut writers = Writers::start(WRITERS, staying(), Launch::Direct { url });
    writers.until_ok(20).await;
    for round in ["first", "second"] {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
        let report = backup(&rig).await;
        assert_eq!(report["engine"], "postgres");
        // It did not wait for them to rest.
        writers.until_ok(10).await;
        let copy = restored_beside(&rig, &id(&report), round).await;
        let client = copy.admin().await;
        let side = Side::Postgres(&client);
        oracle::check_snapshot(writers.journals(), side, since).await.expect_green();
        if round == "second" {
            let (read, sent) = (number(&report, "bytes_read"), number(&report, "bytes_uploaded"));
            assert!(sent < read / 2, "the large table was sent again: {report}");
        }
        drop(client);
        copy.remove().await;
    }
    writers.stop().await;
    backup(&rig).await;
    let again = backup(&rig).await;
    let (read, sent) = (number(&again, "bytes_read"), number(&again, "bytes_uploaded"));
    assert!(sent * 100 < read, "unchanged data was sent again: {again}");
    rig.cli(&["backups", "verify", &id(&again)]).await.expect(0);
    assert_eq!(listed(&rig).await.len(), 4);
    rig.finish().await;
}

#[tokio::test]
async fn what_belongs_to_a_migration_is_not_in_a_restored_database() {
    owners_make_databases().await;
    let rig = Rig::of(|connection| make(connection, "wal", ROWS)).await;
    rig.source().execute_batch(SMALL).expect("tables");
    let plan = round::planned(&rig, &[]).await;
    rig.cli(&["migrate", "--skip-backup"]).await.expect(0);
    let target = rig.target().await;
    let ours = texts(&target, OURS, &[]).await;
    assert!(ours.iter().any(|object| object.starts_with("trigger ")), "{ours:?}");
    let report = backup(&rig).await;
    assert_eq!(report["findings"], Value::Array(Vec::new()), "all of it is in the backup");
    let copy = restored_beside(&rig, "latest", "copy").await;
    let client = copy.admin().await;
    assert_eq!(texts(&client, OURS, &[]).await, [""; 0]);
    assert_eq!(texts(&client, SCHEMA, &[]).await, texts(&target, SCHEMA, &[]).await);
    for outcome in checker::compare(&rig.source, &client, &plan).await {
        assert!(outcome.is_faithful(), "{outcome:?}");
    }
    // The ids go on behind those that were given, also those whose rows are gone. The comparison
    // has taken one.
    let owner = copy.owner().await;
    let insert = "INSERT INTO users (name) VALUES ('c') RETURNING id";
    let next: i64 = owner.query_one(insert, &[]).await.expect("a row").get(0);
    assert_eq!(next, 11);
    let insert = "INSERT INTO ledger (writer, n) VALUES (1, 1)";
    owner.batch_execute(insert).await.expect("its owner may write");
    drop((owner, client));
    copy.remove().await;
    rig.finish().await;
}

#[tokio::test]
async fn a_database_is_replaced_and_kept() {
    let mut rig = migrated(SMALL).await;
    let first = id(&backup(&rig).await);
    // Until it is finalized, SQLite follows what is there.
    rig.cli(&["restore", &first, "--overwrite"]).await.refused(5, "RESTORE_REFUSED");
    rig.cli(&["finalize", "--force"]).await.expect(0);
    let owner = rig.database.owner().await;
    let changes = "INSERT INTO users (name) VALUES ('later'); DELETE FROM orders";
    owner.batch_execute(changes).await.expect("changes");
    rig.cli(&["restore", &first]).await.refused(5, "RESTORE_REFUSED");
    assert_eq!(databases(&rig.database).await, [rig.database.name.as_str()]);
    let run = rig.cli(&["restore", &first, "--overwrite"]).await;
    run.expect(0);
    let report = run.report();
    assert_eq!((&report["validated"], &report["rows"]), (&true.into(), &2.into()), "{report}");
    let kept = report["kept_database"].as_str().expect("a database").to_owned();
    assert_eq!(databases(&rig.database).await, [rig.database.name.clone(), kept.clone()]);
    let names = "SELECT name FROM users UNION ALL SELECT 'order ' || id FROM orders ORDER BY 1";
    let kept = Cluster::shared().named(&kept);
    assert_eq!(texts(&kept.admin().await, names, &[]).await, ["a", "later"]);
    // Applications connect again, and go on.
    assert!(owner.batch_execute("SELECT").await.is_err(), "its session was ended");
    let owner = rig.database.owner().await;
    assert_eq!(texts(&owner, names, &[]).await, ["a", "order 1"]);
    owner.batch_execute("INSERT INTO users (name) VALUES ('now')").await.expect("it is open");
    // What was there before is in the backup that was made first.
    let safety = report["safety_backup_id"].as_str().expect("a backup").to_owned();
    let copy = restored_beside(&rig, &safety, "safe").await;
    assert_eq!(texts(&copy.admin().await, names, &[]).await, ["a", "later"]);
    rig.server.kill9().await;
    rig.server.launch().await;
    let status = status(&rig).await;
    assert_eq!(
        (&status["active_engine"], &status["phase"]),
        (&"postgres".into(), &"finalized".into())
    );
    assert_eq!(status["engines"]["postgres"]["state"], "up", "{status}");
    let again = backup(&rig).await;
    assert_eq!((&again["engine"], listed(&rig).await.len()), (&"postgres".into(), 3));
    kept.remove().await;
    copy.remove().await;
    rig.finish().await;
}

#[tokio::test]
async fn a_session_that_may_not_be_ended_keeps_its_database() {
    let rig = migrated(SMALL).await;
    rig.cli(&["finalize", "--force"]).await.expect(0);
    let id = id(&backup(&rig).await);
    let superuser = rig.target().await;
    let run = rig.cli(&["restore", &id, "--overwrite"]).await;
    run.refused(5, "TARGET_IN_USE");
    assert!(run.stderr.contains("end them as a superuser"), "{}", run.stderr);
    assert_eq!(databases(&rig.database).await, [rig.database.name.as_str()]);
    superuser.batch_execute("SELECT").await.expect("nobody has ended it");
    rig.finish().await;
}

#[tokio::test]
async fn a_role_that_may_make_no_database_is_told() {
    let database = Cluster::shared().database().await;
    let role = format!("modest_{}", database.name);
    let admin = Cluster::shared().admin("postgres").await;
    for step in [
        format!("CREATE ROLE {role} LOGIN PASSWORD '{PASSWORD}'"),
        format!("ALTER DATABASE {} OWNER TO {role}", database.name),
    ] {
        admin.batch_execute(&step).await.expect("a role");
    }
    let place = directory();
    let source = place.path().join("source.db");
    Connection::open(&source).and_then(|file| file.execute_batch(SMALL)).expect("a file");
    let url = Cluster::shared().url(&role, PASSWORD, &database.name);
    let server = Server::start(&source, &url).await;
    let rig = Rig { server, database, source, directory: place };
    let of_sqlite = id(&backup(&rig).await);
    rig.cli(&["migrate", "--skip-backup"]).await.expect(0);
    let of_postgres = id(&backup(&rig).await);
    let name = format!("{}_copy", rig.database.name);
    for arguments in [
        &["restore", &of_postgres, "--as", &name][..],
        &["restore", &of_sqlite, "--as", &name, "--into", "postgres"],
    ] {
        rig.cli(arguments).await.refused(5, "TARGET_PERMISSION");
    }
    rig.cli(&["finalize", "--force"]).await.expect(0);
    rig.cli(&["restore", &of_postgres, "--overwrite"]).await.refused(5, "TARGET_PERMISSION");
    assert_eq!(databases(&rig.database).await, [rig.database.name.as_str()]);
    assert_eq!(status(&rig).await["engines"]["postgres"]["state"], "up");
    rig.finish().await;
    admin.batch_execute(&format!("DROP ROLE {role}")).await.expect("nothing is left of it");
}

#[tokio::test]
async fn one_table_is_restored_by_itself() {
    let rig = migrated(SMALL).await;
    backup(&rig).await;
    let name = format!("{}_one", rig.database.name);
    for table in ["users", "public.users"] {
        let run = rig.cli(&["restore", "latest", "--table", table, "--as", &name]).await;
        run.expect(0);
        assert_eq!(run.report()["rows"], 1, "{}", run.stdout);
        let copy = Cluster::shared().named(&name);
        let owner = copy.owner().await;
        let insert = "INSERT INTO users (name) VALUES ('c') RETURNING id";
        let next: i64 = owner.query_one(insert, &[]).await.expect("a row").get(0);
        assert_eq!(next, 10);
        let orders = "SELECT 'there' WHERE to_regclass('orders') IS NOT NULL";
        assert_eq!(texts(&owner, orders, &[]).await, [""; 0]);
        // The name is taken.
        let again = ["restore", "latest", "--table", table, "--as", &name];
        rig.cli(&again).await.refused(5, "RESTORE_REFUSED");
        drop(owner);
        copy.remove().await;
    }
    let unknown = ["restore", "latest", "--table", "nothing", "--as", &name];
    rig.cli(&unknown).await.refused(2, "UNKNOWN_TABLE");
    assert_eq!(databases(&rig.database).await, [rig.database.name.as_str()]);
    rig.finish().await;
}
