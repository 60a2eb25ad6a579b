//! PostgreSQL crashes in every phase of a migration, beside writers that never stop.

use switchback_tests::{
    cluster::{Cluster, Profile},
    content,
    fixtures::damage,
    rig::{Rig, directory},
    server::Server,
    workload::{Launch, Load, Writers},
};

use crate::{
    round,
    writing::{
        ROWS, WRITERS, assert_no_split, assert_same_rows, at_the_switch_back, follow, following,
        in_step, make, on_postgres, on_sqlite, postgres_is_open, rig, staying,
    },
};

/// Each once, in the order in which they come.
const PHASES: [&str; 6] =
    ["installing", "copying", "indexing", "validating", "following", "cutting_over"];

/// A pair in a cluster of its own, and writers of the file.
async fn beside(cluster: &Cluster) -> (Rig, Writers) {
    let place = directory();
    let source = place.path().join("source.db");
    let connection = rusqlite::Connection::open(&source).expect("a file");
    make(&connection, "wal", ROWS);
    damage::big(&connection, 20_000);
    let database = cluster.database().await;
    let server = Server::start(&source, &database.url).await;
    let rig = Rig { server, database, source, directory: place };
    let load = Load { rate: 20, ..staying() };
    let mut writers = Writers::start(WRITERS, load, Launch::on_file(&rig.source));
    writers.until_ok(3).await;
    (rig, writers)
}

#[tokio::test]
async fn a_crash_of_postgres_in_any_phase_loses_nothing() {
    let cluster = Cluster::start(Profile::Fast).expect("a cluster");
    let (rig, mut writers) = beside(&cluster).await;
    let plan = round::planned(&rig, &[]).await;
    let mut run = rig.start(&["migrate"]);
    for phase in PHASES {
        run.find(|event| event["event"] == "phase" && event["phase"] == phase).await;
        cluster.stop_immediate();
        cluster.start_again();
        assert_no_split(&rig, &writers).await;
    }
    run.finish().await.expect(0);
    follow(&rig, &mut writers, &plan).await;
    writers.stop().await;
    let report = on_postgres(&rig, &writers).await;
    assert_eq!(report.unknown, 0, "{report}");
}

#[tokio::test]
async fn a_crash_of_postgres_while_a_pair_is_followed_loses_nothing() {
    let cluster = Cluster::start(Profile::Fast).expect("a cluster");
    let (rig, mut writers) = beside(&cluster).await;
    following(&rig).await.finish().await.expect(0);
    for _ in 0..3 {
        writers.until_ok(5).await;
        cluster.stop_immediate();
        writers.until_ok(5).await;
        cluster.start_again();
    }
    rig.cli(&["validate"]).await.expect(0);
    let abort = rig.start(&["abort"]);
    cluster.stop_immediate();
    cluster.start_again();
    let abort = abort.finish().await;
    // The one that it found PostgreSQL away in says so; the next one ends it.
    if abort.code != 0 {
        assert_eq!(abort.reason(), "TARGET_UNREACHABLE", "{}", abort.stderr);
        rig.cli(&["abort"]).await.expect(0);
    }
    rig.assert_target_empty().await;
    writers.until_ok(5).await;
    writers.stop().await;
    let report = on_sqlite(&rig, &writers).await;
    assert_eq!((report.failed, report.unknown), (0, 0), "{report}");
}

/// Somebody has removed what PostgreSQL records: the source is released by an abort.
#[tokio::test]
async fn a_source_whose_record_is_gone_is_released() {
    let rig = rig("wal").await;
    let before = content::schema(&rig.source);
    following(&rig).await.finish().await.expect(0);
    let tables = "SELECT string_agg(format('DROP TABLE public.%I CASCADE', relname), '; ') \
                  FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'";
    let target = rig.target().await;
    let drop_tables: String = target.query_one(tables, &[]).await.expect("the tables").get(0);
    target.batch_execute(&drop_tables).await.expect("the tables go");
    target.batch_execute("DROP SCHEMA switchback CASCADE").await.expect("the record goes");
    rig.cli(&["migrate"]).await.refused(5, "SOURCE_FENCED");
    rig.cli(&["abort"]).await.expect(0);
    assert_eq!(content::schema(&rig.source), before);
    rig.cli(&["abort"]).await.refused(5, "NOT_MIGRATED");
    rig.cli(&["migrate"]).await.expect(0);
    rig.finish().await;
}

/// Applications are on PostgreSQL, whose crashes they see; what it acknowledged comes back all the
/// same.
#[tokio::test]
async fn a_crash_of_postgres_on_the_way_back_loses_nothing() {
    let cluster = Cluster::start(Profile::Fast).expect("a cluster");
    let (rig, mut writers) = beside(&cluster).await;
    let plan = round::planned(&rig, &[]).await;
    rig.cli(&["migrate"]).await.expect(0);
    follow(&rig, &mut writers, &plan).await;
    cluster.stop_immediate();
    cluster.start_again();
    writers.until_ok(5).await;
    let mut run = rig.start(&["rollback", "--deadline", "30s"]);
    run.find(|event| event["event"] == "phase" && event["phase"] == "rolling_back").await;
    cluster.stop_immediate();
    cluster.start_again();
    run.finish().await.expect(0);
    at_the_switch_back(&rig, &writers, 2).await;
    assert_same_rows(&rig, &plan).await;
    writers.move_to(Launch::on_file(&rig.source)).await;
    writers.until_ok(5).await;
    writers.stop().await;
    on_sqlite(&rig, &writers).await;
}

async fn given_up(rig: &Rig) -> bool {
    let status = rig.cli(&["status"]).await.events[0].clone();
    let findings = status["findings"].as_array().cloned().unwrap_or_default();
    findings.iter().any(|finding| finding["code"] == "given_up_is_back")
}

#[tokio::test]
async fn a_postgres_that_never_comes_back_is_given_up_and_fenced_if_it_does() {
    let cluster = Cluster::start(Profile::Fast).expect("a cluster");
    let (mut rig, mut writers) = beside(&cluster).await;
    let before = content::schema(&rig.source);
    let plan = round::planned(&rig, &[]).await;
    rig.cli(&["migrate"]).await.expect(0);
    follow(&rig, &mut writers, &plan).await;
    writers.stop().await;
    in_step(&rig).await;
    rig.cli(&["rollback", "--from-last-drain"]).await.refused(2, "INVALID_REQUEST");
    cluster.stop_immediate();

    let told = rig.cli(&["rollback", "--from-last-drain"]).await;
    told.refused(5, "ROLLBACK_LOSES");
    assert!(told.message().contains("acknowledged after 20"), "{told:?}");
    assert_eq!(rig.cli(&["status"]).await.events[0]["active_engine"], "postgres");
    // The server dies in the middle of it.
    rig.server.kill9().await;
    rig.server.set("SWITCHBACK_FAILPOINT", "forced.after");
    rig.server.launch().await;
    let mut dying = rig.start(&["rollback", "--from-last-drain", "--accept-loss"]);
    let started = dying.find(|event| event["event"] == "started").await;
    rig.server.ended().await;
    drop(dying);
    rig.server.set("SWITCHBACK_FAILPOINT", "");
    rig.server.launch().await;
    let operation = started["operation_id"].as_str().expect("an id");
    let run = rig.cli(&["operations", "watch", operation]).await;
    run.expect(0);
    assert_eq!(run.report()["findings"][0]["code"], "writes_missing");
    let now = rig.cli(&["status"]).await.events[0].clone();
    assert_eq!((&now["active_engine"], &now["epoch"]), (&"sqlite".into(), &2.into()));
    assert_eq!(content::schema(&rig.source), before, "nothing of ours is left");
    on_sqlite(&rig, &writers).await;
    writers.move_to(Launch::on_file(&rig.source)).await;
    writers.until_ok(5).await;

    // It is back after all, and must not take writes.
    cluster.start_again();
    let mut watch = rig.start(&["status", "--watch"]);
    watch.find(|status| status["findings"][0]["code"] == "given_up_is_back").await;
    assert!(!postgres_is_open(&rig.database).await);
    rig.cli(&["migrate"]).await.refused(5, "TARGET_IN_USE");
    rig.cli(&["abort"]).await.expect(0);
    rig.cli(&["migrate"]).await.expect(0);
    // What was given up once is not so any more.
    assert!(!given_up(&rig).await);
    let again = rig.cli(&["rollback", "--from-last-drain", "--accept-loss"]).await;
    again.refused(2, "INVALID_REQUEST");
    writers.move_to(Launch::Direct { url: rig.database.url.clone() }).await;
    writers.until_ok(5).await;
    writers.stop().await;
    on_postgres(&rig, &writers).await;
}
