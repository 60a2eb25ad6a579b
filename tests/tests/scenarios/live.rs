//! A migration under writers that never stop: what SQLite acknowledged is in PostgreSQL, and each
//! writer sees at most a pause.

use std::{
    env,
    str::FromStr,
    time::{Duration, Instant},
};

use rusqlite::Connection;
use switchback_tests::{
    cluster::{Cluster, Profile},
    content,
    fixtures::damage,
    rig::{Rig, directory},
    server::Server,
    workload::{
        Launch, Load, Report, Writers,
        choose::Random,
        oracle::{self, Side},
    },
};

use crate::{
    round,
    standstill::{self, in_the_middle},
    writing::{
        Looks, ROWS, WRITERS, assert_never_noticed, assert_no_split, assert_same_rows,
        at_the_switch, follow, following, in_step, load, make, on_postgres, on_sqlite,
        postgres_is_open, rig, sqlite_is_open, staying,
    },
};

/// Kills in all, unless more are asked for.
const KILLS: u32 = 6;
/// The most in one migration.
const KILLS_OF_ONE: u32 = 12;

#[tokio::test]
async fn writers_of_a_wal_database_go_along() {
    automatic("wal").await;
}

#[tokio::test]
async fn writers_of_a_rollback_journal_database_go_along() {
    automatic("delete").await;
}

async fn automatic(mode: &str) {
    let rig = rig(mode).await;
    let mut writers = Writers::start(WRITERS, load(), Launch::under_exec(&rig));
    writers.until_ok_on("sqlite", 10).await;
    let run = rig.cli(&["migrate"]).await;
    run.expect(0);
    assert_eq!(run.report()["cutover"]["epoch"], 1);

    writers.until_ok_on("postgres", 20).await;
    assert!(!sqlite_is_open(&rig.source));
    writers.stop().await;
    let report = on_postgres(&rig, &writers).await;
    in_step(&rig).await;
    on_sqlite(&rig, &writers).await;
    // A writer that is refused ends, and is started again on the other engine: once.
    assert!(report.failed <= u64::from(WRITERS), "{report}");
    eprintln!("{mode}: {report}");
    rig.finish().await;
}

#[tokio::test]
async fn a_manual_cutover_keeps_in_step_until_it_is_asked_for() {
    let rig = rig("delete").await;
    let plan = round::planned(&rig, &[]).await;
    let mut writers = Writers::start(WRITERS, staying(), Launch::on_file(&rig.source));
    writers.until_ok(10).await;
    let migrate = following(&rig).await;
    writers.until_ok(15).await;
    // It may leave a journal that whoever reads next has to roll back.
    writers.kill9(2).await;
    writers.launch(2);
    writers.until_ok(15).await;
    assert!(sqlite_is_open(&rig.source) && !postgres_is_open(&rig.database).await);
    rig.cli(&["cutover"]).await.expect(0);
    migrate.finish().await.expect(0);
    follow(&rig, &mut writers, &plan).await;
    writers.stop().await;
    on_postgres(&rig, &writers).await;
    rig.finish().await;
}

#[tokio::test]
async fn writers_never_notice_a_migration_that_is_aborted() {
    let rig = rig("wal").await;
    let before = content::schema(&rig.source);
    let mut writers = Writers::start(WRITERS, load(), Launch::on_file(&rig.source));
    writers.until_ok(10).await;
    let migrate = following(&rig).await;
    writers.until_ok(10).await;
    rig.cli(&["abort"]).await.expect(0);
    drop(migrate);
    writers.until_ok(10).await;
    assert_never_noticed(&rig, &mut writers, &before).await;
    // The way is free for another one.
    rig.cli(&["migrate"]).await.expect(0);
    rig.finish().await;
}

/// `SWITCHBACK_SOAK_KILLS` kills, a few in each migration, at moments that come from
/// `SWITCHBACK_SOAK_SEED`; `make soak` is the long form.
#[tokio::test]
async fn a_server_that_is_killed_again_and_again_loses_nothing() {
    let kills: u32 = variable("SWITCHBACK_SOAK_KILLS", KILLS);
    let seed: u64 = variable("SWITCHBACK_SOAK_SEED", 1);
    let mut random = Random::seeded(seed);
    let began = Instant::now();
    let (mut made, mut switches, mut totals) = (0, 0, Report::default());
    while made < kills {
        let (killed, report) =
            killed_migration(&mut random, (kills - made).min(KILLS_OF_ONE)).await;
        // A migration may be done before its first kill.
        made += killed;
        switches += 1;
        totals.ok += report.ok;
        totals.failed += report.failed;
        totals.unknown += report.unknown;
        let Report { ok, failed, unknown, .. } = totals;
        let minutes = began.elapsed().as_secs_f64() / 60.0;
        // A violation ends the test.
        eprintln!(
            "seed {seed}: {made} kills; transactions: {ok} ok, {failed} failed, {unknown} unknown; \
             {switches} switches, 0 violations, {minutes:.1} minutes"
        );
    }
}

fn variable<T: FromStr>(name: &str, default: T) -> T {
    env::var(name).ok().map_or(default, |text| text.parse().ok().expect("a number"))
}

/// A migration whose server is killed so many times, or until it is done; how many it was.
async fn killed_migration(random: &mut Random, kills: u32) -> (u32, Report) {
    let mut rig = rig("wal").await;
    let plan = round::planned(&rig, &[]).await;
    let load = Load { seed: random.below(1 << 30).unsigned_abs(), ..staying() };
    let mut writers = Writers::start(WRITERS, load, Launch::on_file(&rig.source));
    writers.until_ok(5).await;
    let mut run = rig.start(&["migrate"]);
    let mut made = 0;
    'killing: while made < kills {
        for _ in 0..=random.below(8) {
            if run.next().await.is_none() {
                break 'killing;
            }
        }
        // Not a wait for anything: a kill that always follows an event hits the same steps.
        let moment = Duration::from_micros(random.below(40_000).unsigned_abs());
        tokio::time::sleep(moment).await;
        rig.server.kill9().await;
        made += 1;
        assert_no_split(&rig, &writers).await;
        rig.server.launch().await;
    }
    run.finish().await.expect(0);
    follow(&rig, &mut writers, &plan).await;
    writers.stop().await;
    let report = on_postgres(&rig, &writers).await;
    rig.finish().await;
    (made, report)
}

/// The same there and back again, with kills in each switch and in between: `SWITCHBACK_SOAK_KILLS`
/// of them, and both engines judged at every switch.
#[tokio::test]
async fn a_server_that_is_killed_there_and_back_again_loses_nothing() {
    let kills: u32 = variable("SWITCHBACK_SOAK_KILLS", KILLS);
    let seed: u64 = variable("SWITCHBACK_SOAK_SEED", 1);
    let mut random = Random::seeded(seed);
    let began = Instant::now();
    let mut rig = rig("wal").await;
    let plan = round::planned(&rig, &[]).await;
    let mut writers = Writers::start(WRITERS, staying(), Launch::on_file(&rig.source));
    writers.until_ok(5).await;
    let looks = Looks::start(&rig);
    let mut made = killed(&mut rig, &mut random, &["migrate"]).await;
    let mut switches = 1;
    loop {
        // Applications are on SQLite still, which is fenced.
        one_side(&rig, &writers, Side::Sqlite(&rig.source), switches).await;
        assert_same_rows(&rig, &plan).await;
        writers.move_to(Launch::Direct { url: rig.database.url.clone() }).await;
        writers.until_ok(8).await;
        made += killed_meanwhile(&mut rig, &mut random).await;
        writers.until_ok(2).await;
        if made >= kills {
            break;
        }
        made += killed(&mut rig, &mut random, &["rollback", "--deadline", "20s"]).await;
        switches += 1;
        let target = rig.target().await;
        let report = one_side(&rig, &writers, Side::Postgres(&target), switches).await;
        assert_same_rows(&rig, &plan).await;
        writers.move_to(Launch::on_file(&rig.source)).await;
        writers.until_ok(8).await;
        made += killed_meanwhile(&mut rig, &mut random).await;
        made += killed(&mut rig, &mut random, &["cutover", "--deadline", "20s"]).await;
        switches += 1;
        let Report { ok, failed, unknown, .. } = report;
        let minutes = began.elapsed().as_secs_f64() / 60.0;
        // A violation ends the test.
        eprintln!(
            "seed {seed}: {made} kills; transactions: {ok} ok, {failed} failed, {unknown} unknown; \
             {switches} switches, 0 violations, {minutes:.1} minutes"
        );
    }
    writers.stop().await;
    on_postgres(&rig, &writers).await;
    in_step(&rig).await;
    on_sqlite(&rig, &writers).await;
    assert_same_rows(&rig, &plan).await;
    assert!(looks.end().await > 0);
    rig.finish().await;
}

async fn one_side(rig: &Rig, writers: &Writers, side: Side<'_>, switch: usize) -> Report {
    let verdict = oracle::check_at_switch(writers.journals(), side, switch).await;
    assert!(verdict.violations.is_empty(), "switch {switch}: {verdict:?}\n{}", rig.server.logs());
    verdict.report
}

/// An operation whose server is killed up to three times, until it is done; how often it was.
async fn killed(rig: &mut Rig, random: &mut Random, arguments: &[&str]) -> u32 {
    let mut run = rig.start(arguments);
    let mut made = 0;
    'killing: for _ in 0..=random.below(3) {
        for _ in 0..=random.below(4) {
            if run.next().await.is_none() {
                break 'killing;
            }
        }
        kill_at_a_moment(rig, random).await;
        made += 1;
    }
    let mut ended = run.finish().await;
    // What a restart has given up in good order is asked for again.
    while ended.code == 5 && arguments[0] != "migrate" {
        ended = rig.cli(arguments).await;
        if matches!(ended.reason(), "NOT_FOLLOWING" | "NOT_REVERSIBLE" | "ALREADY_MIGRATED") {
            return made;
        }
    }
    ended.expect(0);
    made
}

async fn killed_meanwhile(rig: &mut Rig, random: &mut Random) -> u32 {
    if random.below(2) == 0 {
        return 0;
    }
    kill_at_a_moment(rig, random).await;
    1
}

async fn kill_at_a_moment(rig: &mut Rig, random: &mut Random) {
    // Not a wait for anything: a kill that always follows an event hits the same steps.
    let moment = Duration::from_micros(random.below(40_000).unsigned_abs());
    tokio::time::sleep(moment).await;
    rig.server.kill9().await;
    rig.server.launch().await;
}

#[tokio::test]
async fn postgres_may_crash_under_writers() {
    let cluster = Cluster::start(Profile::Fast).expect("a cluster");
    let place = directory();
    let source = place.path().join("source.db");
    let connection = Connection::open(&source).expect("a file");
    make(&connection, "wal", ROWS);
    damage::big(&connection, standstill::ROWS);
    let database = cluster.database().await;
    let server = Server::start(&source, &database.url).await;
    let rig = Rig { server, database, source, directory: place };
    let plan = round::planned(&rig, &[]).await;
    let mut writers = Writers::start(WRITERS, staying(), Launch::on_file(&rig.source));
    let mut run = rig.start(&["migrate"]);
    in_the_middle(&mut run).await;
    cluster.stop_immediate();
    run.find(|event| event["event"] == "waiting").await;
    // Writers of SQLite have nothing to do with it.
    writers.until_ok(10).await;
    cluster.start_again();
    run.finish().await.expect(0);
    let report = at_the_switch(&rig, &writers).await;
    // They go on being refused: each may be in the middle of a transaction.
    assert!(report.unknown <= u64::from(WRITERS), "{report}");
    follow(&rig, &mut writers, &plan).await;

    // Now they have.
    cluster.stop_immediate();
    cluster.start_again();
    writers.until_ok(20).await;
    writers.stop().await;
    on_postgres(&rig, &writers).await;
}
