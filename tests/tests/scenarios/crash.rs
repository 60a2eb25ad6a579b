//! The server dies before and after each commit, beside writers that never stop, and the migration
//! ends well: nothing that an engine acknowledged is lost, and one engine is open at most.

use std::{os::unix::process::ExitStatusExt, process::ExitStatus};

use switchback_proto::v1::Plan;
use switchback_tests::{
    cli::Run,
    content,
    rig::Rig,
    workload::{Launch, Load, Writers},
};
use tokio_postgres::Client;

use crate::{
    round,
    writing::{
        Looks, WRITERS, assert_never_noticed, assert_no_split, assert_same_rows,
        at_the_switch_back, follow, following, make, on_postgres, on_sqlite, postgres_is_open,
        sqlite_is_open, staying,
    },
};

/// Enough that every table has rows to copy.
const ROWS: u32 = 40;

/// Deaths in a migration that switches by itself, in the order in which they come.
const MIGRATING: [&str; 16] = [
    "install.before",
    "install.after",
    "chunk.before:3",
    "chunk.after:3",
    "drain.before",
    "drain.after:2",
    "trim.before:2",
    "trim.after",
    "attempt.before",
    "attempt.after",
    "fence.before",
    "fence.after",
    "decide.before",
    "decide.after",
    "record.before",
    "record.after",
];

/// Deaths while an attempt is given up, first one that has not fenced SQLite yet, then, from
/// `fence.after` on, one that has.
const GIVING_UP: [&str; 7] = [
    "retreat.before",
    "retreat.after",
    "fence.after",
    "retreat.before",
    "retreat.after",
    "unfence.before",
    "unfence.after",
];

/// Deaths while a migration is undone.
const UNDOING: [&str; 7] = [
    "abort.before",
    "abort.after",
    "leave.before",
    "leave.after",
    "clean.before",
    "clean.after",
    "clean.before",
];

/// Deaths while changes are carried back, and on the way back to SQLite.
const GOING_BACK: [&str; 10] = [
    "reverse.before",
    "reverse.after",
    "reversed.before",
    "reversed.after",
    "return.before",
    "return.after",
    "unfence.before",
    "unfence.after",
    "opened.before",
    "opened.after",
];

/// A pair beside writers.
struct Beside {
    rig: Rig,
    plan: Plan,
    writers: Writers,
    looks: Looks,
}

impl Beside {
    async fn start() -> Self {
        let rig = Rig::of(|connection| make(connection, "wal", ROWS)).await;
        let plan = round::planned(&rig, &[]).await;
        let load = Load { rows: ROWS, rate: 20, ..staying() };
        let mut writers = Writers::start(WRITERS, load, Launch::on_file(&rig.source));
        writers.until_ok(3).await;
        let looks = Looks::start(&rig);
        Self { rig, plan, writers, looks }
    }

    /// Starts the server again, which is to die at a point; nowhere without a name.
    async fn launch(&mut self, point: &str) {
        self.rig.server.set("SWITCHBACK_FAILPOINT", point);
        self.rig.server.launch().await;
    }

    async fn relaunch(&mut self, point: &str) {
        self.rig.server.kill9().await;
        self.launch(point).await;
    }

    /// Starts the server, whatever it is doing, and waits until it dies at a point.
    async fn relaunch_to_end(&mut self, point: &str) -> ExitStatus {
        if self.rig.server.is_started() {
            self.rig.server.kill9().await;
        }
        self.rig.server.set("SWITCHBACK_FAILPOINT", point);
        self.rig.server.launch_to_end().await
    }

    /// Starts an operation, waits for the server's death, and gives the operation's id.
    async fn dies(&mut self, arguments: &[&str]) -> String {
        let mut run = self.rig.start(arguments);
        let started = run.find(|event| event["event"] == "started").await;
        let status = self.rig.server.ended().await;
        self.died(status, arguments[0]).await;
        started["operation_id"].as_str().expect("an id").into()
    }

    /// Starts the server, which goes on with the operation and dies at a point.
    async fn dies_again(&mut self, point: &str) {
        self.rig.server.set("SWITCHBACK_FAILPOINT", point);
        let status = self.rig.server.launch_to_end().await;
        self.died(status, point).await;
    }

    async fn died(&mut self, status: ExitStatus, point: &str) {
        self.ended(status, point);
        assert_no_split(&self.rig, &self.writers).await;
    }

    fn ended(&self, status: ExitStatus, point: &str) {
        // SIGABRT: it did not end for another reason.
        assert_eq!(status.signal(), Some(6), "{point}: {}", self.rig.server.logs());
    }

    /// Keeps PostgreSQL's tables from being opened, as an application's transaction would, until it is
    /// dropped; what only writes to them goes on.
    async fn lock(&self) -> Client {
        let client = self.rig.target().await;
        client
            .batch_execute("BEGIN; LOCK TABLE ledger IN ROW EXCLUSIVE MODE")
            .await
            .expect("a lock");
        client
    }

    /// Where SQLite is open, its writers go on.
    async fn writers_are_served(&mut self) {
        if sqlite_is_open(&self.rig.source) {
            self.writers.until_ok(2).await;
        }
    }

    async fn watched(&self, operation: &str) -> Run {
        self.rig.cli(&["operations", "watch", operation]).await
    }

    /// The switch is made: the writers go along, and both engines are judged.
    async fn switched(self) {
        let Self { rig, plan, mut writers, looks } = self;
        follow(&rig, &mut writers, &plan).await;
        writers.stop().await;
        on_postgres(&rig, &writers).await;
        assert!(looks.end().await > 0);
        rig.finish().await;
    }
}

/// Every third of the points is met by one migration, which goes on after each death.
#[tokio::test]
async fn a_death_at_any_commit_of_a_migration_loses_nothing() {
    tokio::join!(migrating(0), migrating(1), migrating(2));
}

async fn migrating(third: usize) {
    let mut beside = Beside::start().await;
    let mut operation = None;
    for point in MIGRATING.iter().skip(third).step_by(3) {
        match &operation {
            None => {
                beside.relaunch(point).await;
                operation = Some(beside.dies(&["migrate"]).await);
            }
            Some(_) => {
                beside.dies_again(point).await;
            }
        }
        beside.writers_are_served().await;
    }
    beside.launch("").await;
    beside.watched(&operation.expect("an operation")).await.expect(0);
    beside.switched().await;
}

#[tokio::test]
async fn a_death_while_an_attempt_is_given_up_loses_nothing() {
    let mut beside = Beside::start().await;
    following(&beside.rig).await.finish().await.expect(0);
    beside.relaunch(GIVING_UP[0]).await;
    let mut lock = Some(beside.lock().await);
    let operation = beside.dies(&["cutover", "--deadline", "1500ms"]).await;
    for point in &GIVING_UP[1..] {
        if *point == "fence.after" {
            lock = None;
        }
        beside.dies_again(point).await;
        if lock.is_none() {
            lock = Some(beside.lock().await);
        }
        let fenced = ["fence.after", "unfence.before"].contains(point);
        assert!(!fenced || !sqlite_is_open(&beside.rig.source), "{point}");
        beside.writers_are_served().await;
    }
    assert!(sqlite_is_open(&beside.rig.source));
    drop(lock);
    beside.launch("").await;
    let watched = beside.watched(&operation).await;
    if watched.code != 0 {
        watched.refused(5, "CUTOVER_FAILED");
        beside.rig.cli(&["cutover"]).await.expect(0);
    }
    beside.switched().await;
}

#[tokio::test]
async fn a_death_while_a_migration_is_undone_loses_nothing() {
    let mut beside = Beside::start().await;
    let before = content::schema(&beside.rig.source);
    following(&beside.rig).await.finish().await.expect(0);
    beside.relaunch(UNDOING[0]).await;
    let operation = beside.dies(&["abort"]).await;
    for point in &UNDOING[1..] {
        beside.dies_again(point).await;
        beside.writers_are_served().await;
    }
    beside.launch("").await;
    beside.watched(&operation).await.expect(0);
    beside.writers_are_served().await;
    let Beside { rig, mut writers, looks, .. } = beside;
    looks.end().await;
    assert_never_noticed(&rig, &mut writers, &before).await;
    rig.finish().await;
}

/// Beside writers on PostgreSQL, who are back on SQLite at the end, and forward again.
#[tokio::test]
async fn a_death_at_any_commit_of_the_way_back_loses_nothing() {
    tokio::join!(going_back(0), going_back(1), going_back(2));
}

async fn going_back(third: usize) {
    let mut beside = Beside::start().await;
    beside.rig.cli(&["migrate"]).await.expect(0);
    follow(&beside.rig, &mut beside.writers, &beside.plan).await;
    let mut operation = None;
    for point in GOING_BACK.iter().skip(third).step_by(3) {
        let status = if point.starts_with("reverse") {
            // Nobody asks for it: what the writers do is carried back.
            beside.relaunch_to_end(point).await
        } else if operation.is_none() {
            beside.launch(point).await;
            let mut run = beside.rig.start(&["rollback", "--deadline", "20s"]);
            let started = run.find(|event| event["event"] == "started").await;
            operation = started["operation_id"].as_str().map(str::to_owned);
            beside.rig.server.ended().await
        } else {
            beside.relaunch_to_end(point).await
        };
        beside.ended(status, point);
        if postgres_is_open(&beside.rig.database).await {
            beside.writers.until_ok(2).await;
        }
    }
    beside.launch("").await;
    beside.watched(&operation.expect("an operation")).await.expect(0);
    let Beside { rig, plan, mut writers, looks } = beside;
    assert!(sqlite_is_open(&rig.source) && !postgres_is_open(&rig.database).await);
    at_the_switch_back(&rig, &writers, 2).await;
    assert_same_rows(&rig, &plan).await;
    writers.move_to(Launch::on_file(&rig.source)).await;
    writers.until_ok(10).await;
    rig.cli(&["cutover"]).await.expect(0);
    writers.stop().await;
    on_sqlite(&rig, &writers).await;
    on_postgres(&rig, &writers).await;
    assert_same_rows(&rig, &plan).await;
    assert!(looks.end().await > 0);
    rig.finish().await;
}
