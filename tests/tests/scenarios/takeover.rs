//! Two servers on one pair: one coordinates, and the other one takes over when it is gone or silent.

use switchback_tests::{
    cli::{self, Run, Running},
    rig::{Rig, directory},
    server::{Server, signal},
    workload::{Launch, Load, Writers},
};

use crate::{
    round,
    standstill::{self, hold},
    writing::{
        Looks, ROWS, WRITERS, assert_no_split, assert_same_rows, at_the_switch_back, follow,
        following, make, on_postgres, on_sqlite, postgres_is_open, sqlite_is_open, staying,
    },
};

/// Seconds: short, so that nobody waits for long.
const LEASE: [(&str, &str); 1] = [("SWITCHBACK_LEASE", "2")];

/// Rows whose copy takes long enough to be met in the middle.
const BIG: u32 = 100_000;

/// A pair with writers and two servers.
struct Two {
    rig: Rig,
    second: Server,
    writers: Writers,
}

impl Two {
    /// `big` more rows, whose copy can be made to stand still.
    async fn start(big: u32) -> Self {
        let place = directory();
        let source = place.path().join("source.db");
        let connection = rusqlite::Connection::open(&source).expect("a file");
        make(&connection, "wal", ROWS);
        if big > 0 {
            switchback_tests::fixtures::damage::big(&connection, big);
        }
        drop(connection);
        let mut rig = Rig::on(place, source).await;
        rig.server.kill9().await;
        let [(name, value)] = LEASE;
        rig.server.set(name, value);
        rig.server.launch().await;
        let second = Server::start_with(&rig.source, &rig.database.url, &LEASE).await;
        let load = Load { rate: 20, ..staying() };
        let mut writers = Writers::start(WRITERS, load, Launch::on_file(&rig.source));
        writers.until_ok(3).await;
        Self { rig, second, writers }
    }

    async fn on_second(&self, arguments: &[&str]) -> Run {
        cli::run(&self.second.endpoint(), arguments).await
    }

    fn start_on_second(&self, arguments: &[&str]) -> Running {
        cli::start(&self.second.endpoint(), arguments)
    }

    /// Waits until the second server's state is as wanted.
    async fn second_shows(&self, wanted: impl Fn(&serde_json::Value) -> bool) {
        self.start_on_second(&["status", "--watch"]).find(wanted).await;
    }

    /// Waits until the second server coordinates.
    async fn taken_over(&self) {
        let address = self.second.endpoint().replace("http://", "");
        self.second_shows(|status| says(status, &address)).await;
    }

    /// Pauses the first server at a moment at which it does not hold SQLite's lock, as all writers
    /// would wait for it.
    async fn pause_first(&mut self) {
        let pid = self.rig.server.pid();
        loop {
            signal(pid, "STOP");
            let connection = self.rig.source();
            connection.busy_timeout(std::time::Duration::from_millis(500)).expect("a time-out");
            if connection.execute_batch("BEGIN IMMEDIATE; ROLLBACK").is_ok() {
                return;
            }
            signal(pid, "CONT");
            self.writers.until_ok(1).await;
        }
    }

    async fn switched(self, plan: &switchback_proto::v1::Plan) {
        let Self { rig, second, mut writers } = self;
        follow(&rig, &mut writers, plan).await;
        writers.stop().await;
        on_postgres(&rig, &writers).await;
        drop(second);
        rig.finish().await;
    }
}

fn says(status: &serde_json::Value, address: &str) -> bool {
    status["coordinator"].as_str().is_some_and(|name| name.contains(address))
}

#[tokio::test]
async fn one_server_coordinates_and_the_other_one_refuses() {
    let mut two = Two::start(0).await;
    let plan = round::planned(&two.rig, &[]).await;
    following(&two.rig).await.finish().await.expect(0);
    let address = two.rig.server.endpoint().replace("http://", "");
    two.second_shows(|status| says(status, &address) && status["phase"] == "following").await;
    for arguments in [&["migrate"][..], &["cutover"], &["abort"]] {
        two.on_second(arguments).await.refused(5, "LEASE_HELD");
    }
    two.writers.until_ok(5).await;
    assert!(sqlite_is_open(&two.rig.source) && !postgres_is_open(&two.rig.database).await);

    // Gone: the other one keeps the pair in sync, and switches when it is asked.
    two.rig.server.kill9().await;
    two.taken_over().await;
    two.writers.until_ok(5).await;
    let run = two.on_second(&["validate"]).await;
    run.expect(0);
    two.on_second(&["cutover"]).await.expect(0);
    two.rig.server.launch().await;
    two.switched(&plan).await;
}

/// A stop may take longer than the lease, and what is being switched is nobody else's meanwhile.
#[tokio::test]
async fn a_server_that_stops_keeps_its_lease_until_its_switch_is_made() {
    let mut two = Two::start(0).await;
    let plan = round::planned(&two.rig, &[]).await;
    two.rig.server.kill9().await;
    two.rig.server.set("SWITCHBACK_SHUTDOWN_GRACE", "60");
    two.rig.server.launch().await;
    following(&two.rig).await.finish().await.expect(0);
    two.second_shows(|status| status["phase"] == "following").await;
    let busy = two.rig.target().await;
    let table = &plan.tables[0].target;
    let lock = format!("BEGIN; LOCK TABLE {table} IN ROW EXCLUSIVE MODE");
    busy.batch_execute(&lock).await.expect("held");
    let mut run = two.rig.start(&["cutover", "--deadline", "60s"]);
    run.find(|event| event["phase"] == "cutting_over").await;

    signal(two.rig.server.pid(), "TERM");
    // Three leases later it is still the one that renews it.
    let address = two.rig.server.endpoint().replace("http://", "");
    let watcher = two.rig.target().await;
    let later = "SELECT now() + interval '8 s'";
    let later: std::time::SystemTime = watcher.query_one(later, &[]).await.expect("a time").get(0);
    let renewed = "SELECT lease_until > $1, holder_name FROM switchback.control";
    loop {
        let row = watcher.query_one(renewed, &[&later]).await.expect("the record");
        let holder: String = row.get(1);
        assert!(holder.contains(&address), "{holder} has taken it over");
        if row.get(0) {
            break;
        }
        tokio::task::yield_now().await;
    }
    busy.batch_execute("COMMIT").await.expect("let go");
    assert_eq!(two.rig.server.ended().await.code(), Some(0));
    two.rig.server.launch().await;
    run.finish().await.expect(0);
    two.switched(&plan).await;
}

#[tokio::test]
async fn an_abort_on_the_second_server_is_seen_on_the_first() {
    let mut two = Two::start(0).await;
    following(&two.rig).await.finish().await.expect(0);
    two.second_shows(|status| status["phase"] == "following").await;
    two.pause_first().await;
    two.taken_over().await;
    two.on_second(&["abort"]).await.expect(0);
    signal(two.rig.server.pid(), "CONT");
    let mut status = two.rig.start(&["status", "--watch"]);
    status.find(|status| status["phase"] == "idle").await;
    two.rig.assert_target_empty().await;
    // The first one may begin again.
    two.writers.until_ok(5).await;
    two.rig.cli(&["migrate", "--manual-cutover"]).await.expect(0);
    two.rig.cli(&["abort"]).await.expect(0);
    two.writers.stop().await;
    let report = on_sqlite(&two.rig, &two.writers).await;
    assert_eq!((report.failed, report.unknown), (0, 0), "{report}");
    two.rig.finish().await;
}

#[tokio::test]
async fn a_migration_goes_on_under_its_id_on_another_server() {
    let mut two = Two::start(standstill::ROWS).await;
    let plan = round::planned(&two.rig, &[]).await;
    let mut run = two.rig.start(&["migrate"]);
    let (lock, operation) = hold(&two.rig, &mut run).await;
    two.rig.server.kill9().await;
    drop((run, lock));
    two.taken_over().await;
    two.on_second(&["operations", "watch", &operation]).await.expect(0);
    two.rig.server.launch().await;
    two.switched(&plan).await;
}

/// The first server is paused in the middle of the copy and wakes up when all is done.
#[tokio::test]
async fn a_paused_coordinator_that_wakes_up_changes_nothing() {
    let mut two = Two::start(BIG).await;
    let plan = round::planned(&two.rig, &[]).await;
    let looks = Looks::start(&two.rig);
    let mut run = two.rig.start(&["migrate"]);
    let operation = standstill::in_the_middle(&mut run).await;
    two.pause_first().await;
    two.taken_over().await;
    two.on_second(&["operations", "watch", &operation]).await.expect(0);
    let switched = content(&two.rig).await;
    signal(two.rig.server.pid(), "CONT");
    let run = run.finish().await;
    assert!(run.code == 0 || run.reason() == "LEASE_HELD", "{}\n{}", run.stdout, run.stderr);
    let mut status = two.rig.start(&["status", "--watch"]);
    status.find(|status| status["active_engine"] == "postgres").await;
    let mut written = content(&two.rig).await;
    written.retain(|row| !switched.contains(row));
    assert!(written.is_empty(), "the first server wrote to PostgreSQL: {written:?}");
    assert!(looks.end().await > 0);
    two.switched(&plan).await;
}

/// The first server ends with the source fenced: the second one makes the switch.
#[tokio::test]
async fn a_switch_that_another_server_began_is_made() {
    for manual in [false, true] {
        let mut two = Two::start(0).await;
        let plan = round::planned(&two.rig, &[]).await;
        two.rig.server.kill9().await;
        two.rig.server.set("SWITCHBACK_FAILPOINT", "fence.after");
        two.rig.server.launch().await;
        if manual {
            following(&two.rig).await.finish().await.expect(0);
        }
        let arguments = if manual { "cutover" } else { "migrate" };
        let run = two.rig.start(&[arguments]);
        two.rig.server.ended().await;
        drop(run);
        assert_no_split(&two.rig, &two.writers).await;
        two.second_shows(|status| status["active_engine"] == "postgres").await;
        two.rig.server.set("SWITCHBACK_FAILPOINT", "");
        two.rig.server.launch().await;
        two.switched(&plan).await;
    }
}

/// The first server ends while it undoes: the second one undoes the rest.
#[tokio::test]
async fn what_another_server_began_to_undo_is_undone() {
    for point in ["abort.after", "clean.after"] {
        let mut two = Two::start(0).await;
        two.rig.server.kill9().await;
        two.rig.server.set("SWITCHBACK_FAILPOINT", point);
        two.rig.server.launch().await;
        following(&two.rig).await.finish().await.expect(0);
        two.second_shows(|status| status["phase"] == "following").await;
        let run = two.rig.start(&["abort"]);
        two.rig.server.ended().await;
        drop(run);
        two.second_shows(|status| status["phase"] == "idle" && status["coordinator"].is_null())
            .await;
        two.rig.assert_target_empty().await;
        two.writers.until_ok(5).await;
        two.writers.stop().await;
        on_sqlite(&two.rig, &two.writers).await;
        two.rig.server.set("SWITCHBACK_FAILPOINT", "");
        two.rig.server.launch().await;
        two.rig.finish().await;
    }
}

/// What PostgreSQL holds, and when each row was written.
async fn content(rig: &Rig) -> Vec<String> {
    let client = rig.target().await;
    let sql = "SELECT format('%s %s %s', xmin, ctid, ledger) FROM ledger \
               UNION ALL SELECT format('%s %s', xmin, step) FROM switchback.steps \
               UNION ALL SELECT format('%s %s %s', xmin, tab, rows) FROM switchback.copy_position \
               ORDER BY 1";
    let rows = client.query(sql, &[]).await.expect("PostgreSQL is read");
    rows.iter().map(|row| row.get(0)).collect()
}

#[tokio::test]
async fn the_second_server_goes_on_with_the_way_back() {
    let mut two = Two::start(0).await;
    let plan = round::planned(&two.rig, &[]).await;
    two.rig.cli(&["migrate"]).await.expect(0);
    follow(&two.rig, &mut two.writers, &plan).await;
    two.second_shows(|status| status["active_engine"] == "postgres").await;
    two.on_second(&["rollback"]).await.refused(5, "LEASE_HELD");
    // Paused in the middle of whatever it does; it wakes up when everything is over.
    two.pause_first().await;
    two.taken_over().await;
    two.writers.until_ok(5).await;
    two.on_second(&["rollback", "--deadline", "20s"]).await.expect(0);
    at_the_switch_back(&two.rig, &two.writers, 2).await;
    signal(two.rig.server.pid(), "CONT");
    let mut watch = two.rig.start(&["status", "--watch"]);
    watch.find(|status| status["active_engine"] == "sqlite").await;
    drop(watch);
    assert_same_rows(&two.rig, &plan).await;
    assert!(sqlite_is_open(&two.rig.source) && !postgres_is_open(&two.rig.database).await);
    let Two { rig, second, mut writers } = two;
    writers.move_to(Launch::on_file(&rig.source)).await;
    writers.until_ok(5).await;
    cli::run(&second.endpoint(), &["cutover", "--deadline", "20s"]).await.expect(0);
    writers.stop().await;
    on_sqlite(&rig, &writers).await;
    on_postgres(&rig, &writers).await;
    assert_same_rows(&rig, &plan).await;
    drop(second);
    rig.finish().await;
}
