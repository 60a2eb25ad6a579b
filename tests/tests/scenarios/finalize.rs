//! The end of a migration: what is left in each engine.

use rusqlite::{Connection, ErrorCode};
use switchback_tests::{
    content::{self, refusal},
    rig::Rig,
};
use tokio::process::Command;

use crate::kinds::{KINDS, WRITTEN, sqlite_is_writable, status};

/// What was there before the migration, and nothing else.
#[tokio::test]
async fn finalize_leaves_each_side_as_it_is_asked_to() {
    let mut contents = Vec::new();
    for (keep, mode) in
        [("clean", "delete"), ("fenced", "delete"), ("sealed", "delete"), ("sealed", "wal")]
    {
        let rig = Rig::of_sql(&format!("PRAGMA journal_mode = {mode}; {KINDS}")).await;
        let before = content::schema(&rig.source);
        let application = rig.source();
        rig.cli(&["migrate"]).await.expect(0);
        let target = rig.target().await;
        target.batch_execute(WRITTEN).await.expect("PostgreSQL takes writes");
        rig.cli(&["finalize", "--keep-source", keep]).await.expect(0);
        let now = status(&rig).await;
        assert_eq!((&now["phase"], &now["rollback"]), (&"finalized".into(), &"none".into()));
        if keep != "fenced" {
            assert_eq!(content::schema(&rig.source), before);
            contents.push(content::content(&rig.source));
        }
        assert_eq!(sqlite_is_writable(&rig), keep == "clean", "{keep}");
        if keep == "sealed" {
            assert_sealed(&rig, &application).await;
        }
        let ours = "SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'switchback%'";
        assert_eq!(target.query_one(ours, &[]).await.unwrap().get::<_, i64>(0), 0);
        let ours = "SELECT count(*) FROM pg_attribute WHERE attname LIKE '%switchback%'";
        assert_eq!(target.query_one(ours, &[]).await.unwrap().get::<_, i64>(0), 0);
        let ours = "SELECT count(*) FROM pg_proc WHERE proname LIKE 'log\\_%'";
        assert_eq!(target.query_one(ours, &[]).await.unwrap().get::<_, i64>(0), 0);
        target.batch_execute("TRUNCATE prefs").await.expect("nothing is in the way");
        let carried: i64 = rig
            .source()
            .query_row("SELECT count(*) FROM parents WHERE name = 'new'", [], |row| row.get(0))
            .unwrap();
        assert_eq!(carried, 1, "what was written before is in SQLite");
        rig.cli(&["rollback"]).await.refused(5, "NOT_REVERSIBLE");
        drop(application);
        rig.finish().await;
    }
    assert!(contents.windows(2).all(|pair| pair[0] == pair[1]), "sealed holds what clean holds");
}

/// Nobody can write: not who had it open all the time, and not another program.
async fn assert_sealed(rig: &Rig, application: &Connection) {
    let refused = application.execute_batch("DELETE FROM prefs").expect_err("it is sealed");
    assert_eq!(refused.sqlite_error_code(), Some(ErrorCode::ReadOnly));
    let count = "SELECT count(*) FROM keyless";
    let rows: i64 = application.query_row(count, [], |row| row.get(0)).expect("it is read");
    let program = "import sqlite3, sys\n\
                   c = sqlite3.connect(sys.argv[1])\n\
                   print(c.execute('SELECT count(*) FROM keyless').fetchone()[0])\n\
                   try: c.execute('DELETE FROM keyless')\n\
                   except sqlite3.OperationalError as e: print(e)";
    let python = Command::new("python3").args(["-c", program]).arg(&rig.source).output().await;
    let said = String::from_utf8(python.expect("python3").stdout).expect("text");
    assert_eq!(said, format!("{rows}\nattempt to write a readonly database\n"));
}

/// It is fenced before the commit and sealed behind it, and the operation goes on.
#[tokio::test]
async fn a_death_while_the_source_is_sealed_leaves_it_shut() {
    let mut rig = Rig::of_sql(&format!("PRAGMA journal_mode = wal; {KINDS}")).await;
    let before = content::schema(&rig.source);
    rig.cli(&["migrate"]).await.expect(0);
    rig.server.kill9().await;
    rig.server.set("SWITCHBACK_FAILPOINT", "finish.before");
    rig.server.launch().await;
    let mut run = rig.start(&["finalize", "--keep-source", "sealed", "--force"]);
    let started = run.find(|event| event["event"] == "started").await;
    rig.server.ended().await;
    assert!(refused(&rig).contains("this database has moved to PostgreSQL"));
    rig.server.set("SWITCHBACK_FAILPOINT", "finish.after");
    rig.server.launch_to_end().await;
    assert!(refused(&rig).contains("attempt to write a readonly database"));
    rig.server.set("SWITCHBACK_FAILPOINT", "");
    rig.server.launch().await;
    let id = started["operation_id"].as_str().expect("an id");
    rig.cli(&["operations", "watch", id]).await.expect(0);
    assert_eq!(content::schema(&rig.source), before);
    // A server that finds it so is content with it.
    rig.server.kill9().await;
    rig.server.launch().await;
    let now = status(&rig).await;
    assert_eq!(now["phase"], "finalized");
    assert_eq!(now["engines"]["sqlite"]["state"], "up", "{now}");
    rig.finish().await;
}

fn refused(rig: &Rig) -> String {
    refusal(&rig.source, "INSERT INTO keyless VALUES ('probe', 0)").expect("it is refused")
}
