//! The server dies in a backup or a restoration, which goes on after the restart: nothing that is
//! half made is listed or left.

use std::path::Path;

use serde_json::Value;
use switchback_tests::{
    cli::Run,
    cluster::{Cluster, Database},
    content::content,
    rig::Rig,
};

use crate::{
    backup::{assert_sound, backup, id, listed, restored},
    backup_faults::names_in,
    databases::{databases, migrated, owners_make_databases, restored_beside},
};

/// Some 4 MB, in a rather small database: PostgreSQL's copy takes its time.
const SOME: &str = "CREATE TABLE large (id INTEGER PRIMARY KEY, note TEXT, payload BLOB);
    WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000)
    INSERT INTO large SELECT i, 'note ' || i, randomblob(400) FROM n;";

/// Both sides of a change that all of a large table goes through.
const CHANGE: &str = "UPDATE large SET note = 'changed'";
const CHANGED: &str = "SELECT count(*) FROM large WHERE note = 'changed'";
const ROWS: i64 = 10_000;

/// Deaths in the backup that is made first, and on both sides of the replacement.
const REPLACING: [&str; 5] =
    ["stored.after:3", "backup.before", "backup.after", "replace.before", "replace.after"];

/// Starts the server again, which is to die at a point; nowhere without a name.
async fn relaunch(rig: &mut Rig, point: &str) {
    if rig.server.is_started() {
        rig.server.kill9().await;
    }
    rig.server.set("SWITCHBACK_FAILPOINT", point);
    rig.server.launch().await;
}

/// Runs a command whose server dies at a point and is started again.
async fn survives(rig: &mut Rig, arguments: &[&str], point: &str) -> Run {
    relaunch(rig, point).await;
    let run = rig.start(arguments);
    rig.server.ended().await;
    relaunch(rig, "").await;
    let run = run.finish().await;
    run.expect(0);
    assert_nothing_half_made(rig).await;
    run
}

/// Runs a command whose server is killed each time that it has told some steps of its progress.
async fn is_killed(rig: &mut Rig, arguments: &[&str], steps: &[u32]) -> Run {
    let mut run = rig.start(arguments);
    'kills: for steps in steps {
        for _ in 0..*steps {
            let event = run.find(|event| event["event"] != "phase").await;
            if event["event"] == "result" {
                break 'kills;
            }
        }
        relaunch(rig, "").await;
    }
    let run = run.finish().await;
    run.expect(0);
    assert_nothing_half_made(rig).await;
    run
}

async fn assert_nothing_half_made(rig: &Rig) {
    let is_half = |name: &String| name.contains("restoring") || name.starts_with(".tmp");
    let found: Vec<_> = databases(&rig.database).await.into_iter().filter(is_half).collect();
    assert_eq!(found, [""; 0]);
    let beside = rig.source.parent().expect("a directory");
    for directory in [beside, &rig.server.state(), &rig.server.state().join("restores")] {
        let found: Vec<_> = names_in(directory).into_iter().filter(is_half).collect();
        assert_eq!(found, [""; 0]);
    }
    assert_eq!(names_in(&rig.server.state().join("backups/running")), [""; 0]);
    for listed in listed(rig).await {
        let id = listed["backup_id"].as_str().expect("an id");
        rig.cli(&["backups", "verify", id]).await.expect(0);
    }
}

fn changed_in(file: &Path) -> i64 {
    let connection = rusqlite::Connection::open(file).expect("it opens");
    connection.query_row(CHANGED, [], |row| row.get(0)).expect("rows")
}

async fn changed_in_database(database: &Database) -> i64 {
    let client = database.admin().await;
    client.query_one(CHANGED, &[]).await.expect("rows").get(0)
}

fn text(report: &Value, field: &str) -> String {
    report[field].as_str().unwrap_or_else(|| panic!("no {field} in {report}")).to_owned()
}

#[tokio::test]
async fn a_backup_of_postgres_survives_the_death_of_its_server() {
    let mut rig = migrated(SOME).await;
    let points = ["stored.after:3", "backup.before", "backup.after"];
    for (number, point) in (1..).zip(points) {
        rig.database.owner().await.batch_execute(CHANGE).await.expect("changes");
        let run = survives(&mut rig, &["backup"], point).await;
        assert_eq!(listed(&rig).await.len(), number, "{point}");
        let copy = restored_beside(&rig, &text(run.report(), "backup_id"), "copy").await;
        assert_eq!(changed_in_database(&copy).await, ROWS, "{point}");
        copy.remove().await;
        let back = "UPDATE large SET note = NULL";
        rig.database.owner().await.batch_execute(back).await.expect("changes");
    }
    rig.finish().await;
}

#[tokio::test]
async fn a_file_that_has_its_name_is_not_made_again() {
    let mut rig = migrated(SOME).await;
    backup(&rig).await;
    let restore = ["restore", "latest", "--into", "sqlite", "--as", "rows"];
    let run = survives(&mut rig, &restore, "publish.after").await;
    assert_eq!(run.report()["rows"], ROWS, "{}", run.stdout);
    rig.finish().await;

    let mut rig = Rig::of_sql(SOME).await;
    backup(&rig).await;
    let run = survives(&mut rig, &["restore", "latest", "--as", "copy"], "publish.after").await;
    let file = text(run.report(), "path");
    assert_eq!(content(Path::new(&file)), content(&rig.source));
    rig.finish().await;
}

#[tokio::test]
async fn a_file_that_is_replaced_survives_the_death_of_its_server() {
    let mut rig = Rig::of_sql(SOME).await;
    let before = content(&rig.source);
    let first = id(&backup(&rig).await);
    for point in REPLACING {
        rig.source().execute_batch(CHANGE).expect("changes");
        let run = survives(&mut rig, &["restore", &first, "--overwrite"], point).await;
        assert_sound(&rig.source);
        assert_eq!(content(&rig.source), before, "{point}");
        let safety = text(run.report(), "safety_backup_id");
        let file = restored(&rig, &safety, &safety).await;
        assert_eq!(changed_in(&file), ROWS, "{point}: the backup that was made first");
    }
    rig.finish().await;
}

#[tokio::test]
async fn a_database_that_is_replaced_survives_the_death_of_its_server() {
    let mut rig = migrated(SOME).await;
    rig.cli(&["finalize", "--force"]).await.expect(0);
    let first = id(&backup(&rig).await);
    for point in ["stored.after:3", "replace.before", "replace.after"] {
        rig.database.owner().await.batch_execute(CHANGE).await.expect("changes");
        let run = survives(&mut rig, &["restore", &first, "--overwrite"], point).await;
        assert_eq!(changed_in_database(&rig.database).await, 0, "{point}");
        let kept = Cluster::shared().named(&text(run.report(), "kept_database"));
        assert_eq!(changed_in_database(&kept).await, ROWS, "{point}");
        kept.remove().await;
        let safety = text(run.report(), "safety_backup_id");
        let copy = restored_beside(&rig, &safety, "safe").await;
        assert_eq!(
            changed_in_database(&copy).await,
            ROWS,
            "{point}: the backup that was made first"
        );
        copy.remove().await;
        assert_eq!(databases(&rig.database).await.len(), 1);
    }
    rig.finish().await;
}

#[tokio::test]
async fn backups_and_restorations_survive_kills_at_any_moment() {
    let mut rig = Rig::of_sql(SOME).await;
    let report = is_killed(&mut rig, &["backup"], &[1, 2, 4]).await;
    let stored = text(report.report(), "backup_id");
    assert_eq!(listed(&rig).await.len(), 1);
    let run = is_killed(&mut rig, &["restore", &stored, "--as", "copy"], &[1, 2, 3]).await;
    let file = text(run.report(), "path");
    assert_eq!(content(Path::new(&file)), content(&rig.source));
    is_killed(&mut rig, &["restore", &stored, "--overwrite"], &[1, 2, 3]).await;
    assert_sound(&rig.source);
    assert_eq!(content(Path::new(&file)), content(&rig.source));
    owners_make_databases().await;
    let name = format!("{}_rows", rig.database.name);
    let restore = ["restore", &stored, "--into", "postgres", "--as", &name];
    let run = is_killed(&mut rig, &restore, &[2, 3]).await;
    assert_eq!(run.report()["rows"], ROWS, "{}", run.stdout);
    assert_eq!(run.report()["validated"], true, "{}", run.stdout);
    Cluster::shared().named(&name).remove().await;
    rig.finish().await;
}

#[tokio::test]
async fn backups_and_restorations_of_postgres_survive_kills_at_any_moment() {
    let mut rig = migrated(SOME).await;
    let run = is_killed(&mut rig, &["backup"], &[1, 2, 4]).await;
    let stored = text(run.report(), "backup_id");
    assert_eq!(listed(&rig).await.len(), 1);
    let name = format!("{}_copy", rig.database.name);
    let restore = ["restore", &stored, "--as", &name];
    let run = is_killed(&mut rig, &restore, &[1, 2, 4]).await;
    assert_eq!(run.report()["rows"], ROWS, "{}", run.stdout);
    Cluster::shared().named(&name).remove().await;
    let restore = ["restore", &stored, "--into", "sqlite", "--as", "rows"];
    let run = is_killed(&mut rig, &restore, &[1, 2]).await;
    assert_sound(Path::new(&text(run.report(), "path")));
    assert_eq!(databases(&rig.database).await.len(), 1);
    rig.finish().await;
}
