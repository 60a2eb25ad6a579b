//! A backup of one engine in the other one.

use std::path::{Path, PathBuf};

use switchback_proto::v1::Plan;
use switchback_tests::{checker, cluster::Cluster, rig::Rig};
use tokio_postgres::Client;

use crate::{
    backup::{assert_sound, backup, id},
    databases::{OURS, SMALL, databases, owners_make_databases, texts},
    round,
    writing::{ROWS, make},
};

/// What a migration has added to a table for itself is in no backup's rows.
async fn assert_same_rows(file: &Path, client: &Client, plan: &Plan) {
    for outcome in checker::compare(file, client, plan).await {
        let differing = (outcome.unfit, outcome.missing, outcome.extra);
        assert_eq!(differing, (0, 0, 0), "{outcome:?}");
        assert_eq!(outcome.source_rows, outcome.target_rows, "{outcome:?}");
    }
}

#[tokio::test]
async fn rows_go_into_the_other_engine() {
    owners_make_databases().await;
    let rig = Rig::of(|connection| make(connection, "wal", ROWS)).await;
    rig.source().execute_batch(SMALL).expect("tables");
    let plan = round::planned(&rig, &[]).await;
    let of_sqlite = id(&backup(&rig).await);
    let before = rig.source_hash();
    let name = format!("{}_rows", rig.database.name);
    let run = rig.cli(&["restore", &of_sqlite, "--into", "postgres", "--as", &name]).await;
    run.expect(0);
    let report = run.report();
    assert_eq!((&report["validated"], &report["database"]), (&true.into(), &name.as_str().into()));
    assert_eq!(report["validation"]["matches"], true, "{report}");
    assert_eq!(rig.source_hash(), before, "the source was touched");
    rig.assert_target_empty().await;
    let copy = Cluster::shared().named(&name);
    let client = copy.admin().await;
    assert_eq!(texts(&client, OURS, &[]).await, [""; 0]);
    assert_same_rows(&rig.source, &client, &plan).await;
    drop(client);
    copy.remove().await;

    rig.cli(&["migrate", "--skip-backup"]).await.expect(0);
    let of_postgres = id(&backup(&rig).await);
    let run = rig.cli(&["restore", &of_postgres, "--into", "sqlite", "--as", "rows"]).await;
    run.expect(0);
    assert_eq!(run.report()["validated"], true);
    let file = PathBuf::from(run.report()["path"].as_str().expect("a path"));
    assert_sound(&file);
    assert_same_rows(&file, &rig.target().await, &plan).await;
    for into in ["postgres", "sqlite"] {
        let backup = if into == "sqlite" { &of_postgres } else { &of_sqlite };
        rig.cli(&["restore", backup, "--into", into]).await.refused(2, "INVALID_REQUEST");
    }
    assert_eq!(databases(&rig.database).await, [rig.database.name.as_str()]);
    rig.finish().await;
}
