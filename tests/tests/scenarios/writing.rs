//! A pair that applications write to, and what must hold of it at every moment.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use rusqlite::Connection;
use switchback_proto::v1::Plan;
use switchback_tests::{
    DEADLINE,
    cli::Running,
    cluster::Database,
    content::{self, refusal},
    rig::Rig,
    workload::{
        Launch, Load, Report, Start, Writers,
        oracle::{self, Side},
        schema,
    },
};
use tokio::{sync::watch, task::JoinHandle};
use tokio_postgres::{Transaction, error::SqlState};

pub(crate) const WRITERS: u32 = 3;
/// Rows of each writer in each table: enough that some are changed while they are copied.
pub(crate) const ROWS: u32 = 300;
/// Between two looks at both engines: each takes SQLite's write lock for a moment.
const LOOK: Duration = Duration::from_millis(50);
const WRITE: &str = "INSERT INTO ledger (writer, n) VALUES (0, 0)";

pub(crate) fn load() -> Load {
    Load { rows: ROWS, ..Load::default() }
}

/// Writers that try again by themselves: no server tells them where to go.
pub(crate) fn staying() -> Load {
    Load { stay: true, ..load() }
}

pub(crate) fn make(connection: &Connection, mode: &str, rows: u32) {
    connection.pragma_update(None, "journal_mode", mode).expect("a journal mode");
    schema(connection, Start { writers: WRITERS, rows }).expect("the schema");
}

pub(crate) async fn rig(mode: &str) -> Rig {
    Rig::of(|connection| make(connection, mode, ROWS)).await
}

pub(crate) fn sqlite_is_open(source: &Path) -> bool {
    refusal(source, WRITE).is_none_or(|said| !said.contains("moved to PostgreSQL"))
}

/// Whether PostgreSQL takes a write of an application; the row is not kept.
pub(crate) async fn postgres_is_open(database: &Database) -> bool {
    let mut client = database.owner().await;
    let transaction = client.transaction().await.expect("a transaction");
    takes_a_write(&transaction).await
}

async fn takes_a_write(transaction: &Transaction<'_>) -> bool {
    let Err(error) = transaction.batch_execute(WRITE).await else { return true };
    let closed = [SqlState::READ_ONLY_SQL_TRANSACTION, SqlState::UNDEFINED_TABLE];
    assert!(error.code().is_some_and(|code| closed.contains(code)), "{error:?}");
    false
}

/// At any moment: one engine is open at most, and a fenced SQLite holds all that it acknowledged.
pub(crate) async fn assert_no_split(rig: &Rig, writers: &Writers) {
    if !one_is_open(&rig.source, &rig.database).await {
        at_the_switch(rig, writers).await;
    }
}

/// Fails where both engines are open; whether SQLite is.
pub(crate) async fn one_is_open(source: &Path, database: &Database) -> bool {
    let mut client = database.owner().await;
    let transaction = client.transaction().await.expect("a transaction");
    // While it holds its row, nobody closes PostgreSQL.
    let postgres = takes_a_write(&transaction).await;
    let sqlite = sqlite_is_open(source);
    assert!(!(postgres && sqlite), "both engines are open");
    sqlite
}

/// Looks again and again whether both engines are open.
pub(crate) struct Looks {
    over: watch::Sender<bool>,
    looking: JoinHandle<u32>,
}

impl Looks {
    pub(crate) fn start(rig: &Rig) -> Self {
        let (source, database): (PathBuf, Database) = (rig.source.clone(), rig.database.clone());
        let (over, is_over) = watch::channel(false);
        let looking = tokio::spawn(async move {
            let mut looks = 0;
            while !*is_over.borrow() {
                one_is_open(&source, &database).await;
                looks += 1;
                tokio::time::sleep(LOOK).await;
            }
            looks
        });
        Self { over, looking }
    }

    /// How many looks it was.
    pub(crate) async fn end(self) -> u32 {
        self.over.send_replace(true);
        self.looking.await.expect("one engine was open at most, whenever it was looked")
    }
}

/// SQLite, which is fenced, holds what it acknowledged and nothing else.
pub(crate) async fn at_the_switch(rig: &Rig, writers: &Writers) -> Report {
    let side = Side::Sqlite(&rig.source);
    oracle::check_at_switch(writers.journals(), side, 1).await.expect_green()
}

/// PostgreSQL, which is fenced after a rollback, holds what it acknowledged and nothing else.
pub(crate) async fn at_the_switch_back(rig: &Rig, writers: &Writers, switch: usize) -> Report {
    let client = rig.target().await;
    let side = Side::Postgres(&client);
    oracle::check_at_switch(writers.journals(), side, switch).await.expect_green()
}

/// Waits until nothing waits to be carried back. Nobody writes meanwhile.
pub(crate) async fn in_step(rig: &Rig) {
    let began = Instant::now();
    loop {
        let sql = "SELECT count(*) FROM switchback.change_log";
        let target = rig.target().await;
        let waiting: i64 = target.query_one(sql, &[]).await.expect("the log").get(0);
        if waiting == 0 {
            return;
        }
        assert!(began.elapsed() < DEADLINE, "{waiting} changes wait: {}", rig.server.logs());
        tokio::time::sleep(LOOK).await;
    }
}

/// Both engines hold the same rows; ids that an application chooses are no concern of sequences.
pub(crate) async fn assert_same_rows(rig: &Rig, plan: &Plan) {
    for outcome in rig.compare(plan).await {
        assert_eq!((outcome.unfit, outcome.missing, outcome.extra), (0, 0, 0), "{outcome:?}");
    }
}

pub(crate) async fn on_postgres(rig: &Rig, writers: &Writers) -> Report {
    let client = rig.target().await;
    oracle::check(writers.journals(), Side::Postgres(&client)).await.expect_green()
}

pub(crate) async fn on_sqlite(rig: &Rig, writers: &Writers) -> Report {
    let side = Side::Sqlite(&rig.source);
    oracle::check(writers.journals(), side).await.expect_green()
}

/// The switch is done and nobody has written to PostgreSQL yet: both engines hold the same. Then
/// the writers go there.
pub(crate) async fn follow(rig: &Rig, writers: &mut Writers, plan: &Plan) {
    assert!(!sqlite_is_open(&rig.source) && postgres_is_open(&rig.database).await);
    at_the_switch(rig, writers).await;
    let differing = oracle::identical(&rig.source, &rig.target().await, plan).await;
    assert!(differing.is_empty(), "{differing:#?}");
    writers.move_to(Launch::Direct { url: rig.database.url.clone() }).await;
    writers.until_ok_on("postgres", 20).await;
}

/// Starts a migration that waits before the cutover, and waits for it to be there.
pub(crate) async fn following(rig: &Rig) -> Running {
    let mut migrate = rig.start(&["migrate", "--manual-cutover"]);
    migrate.find(|event| event["event"] == "phase" && event["phase"] == "following").await;
    let mut status = rig.start(&["status", "--watch"]);
    status.find(|status| status["phase"] == "following").await;
    migrate
}

/// Nothing of a migration is left, and no write was refused because of it. Stops the writers.
pub(crate) async fn assert_never_noticed(rig: &Rig, writers: &mut Writers, before: &[String]) {
    assert_eq!(content::schema(&rig.source), before);
    rig.assert_target_empty().await;
    assert_eq!(rig.cli(&["status"]).await.events[0]["phase"], "idle");
    writers.stop().await;
    let report = on_sqlite(rig, writers).await;
    assert_eq!((report.failed, report.unknown), (0, 0), "{report}");
}
