//! A copy, or anything else, that stands still in its middle, for as long as a scenario needs.

use std::time::{Duration, Instant};

use serde_json::Value;
use switchback_tests::{DEADLINE, cli::Running, rig::Rig};
use tokio_postgres::Client;

/// Rows of the table `big`: enough for several chunks.
pub(crate) const ROWS: u32 = 300_000;

/// Waits until some of the rows of `big` have been copied, but not all, and makes the copy stand
/// still between two chunks. Gives the lock, which goes with its connection, and the operation.
pub(crate) async fn hold(rig: &Rig, run: &mut Running) -> (Client, String) {
    let operation = in_the_middle(run).await;
    (lock(rig, "big", "ACCESS EXCLUSIVE").await, operation)
}

/// Reads events until some of the rows have been copied, but not all; gives the operation's id.
pub(crate) async fn in_the_middle(run: &mut Running) -> String {
    run.find(|event| event["event"] == "phase" && event["phase"] == "copying").await;
    let event = run.find(is_middle).await;
    event["operation_id"].as_str().expect("an id").into()
}

fn is_middle(event: &Value) -> bool {
    let rows = event["rows"].as_u64().unwrap_or(0);
    event["event"] == "progress" && event["table"] == "big" && 0 < rows && rows < u64::from(ROWS)
}

/// A lock on a table of the target, which goes with its connection.
pub(crate) async fn lock(rig: &Rig, table: &str, mode: &str) -> Client {
    let client = rig.target().await;
    client.batch_execute(&format!("BEGIN; LOCK TABLE {table} IN {mode} MODE")).await.expect("held");
    client
}

/// Waits until somebody waits for a lock in the target.
pub(crate) async fn somebody_waits(rig: &Rig) {
    let client = rig.target().await;
    let sql = "SELECT count(*) FROM pg_stat_activity \
               WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let began = Instant::now();
    while client.query_one(sql, &[]).await.expect("sessions").get::<_, i64>(0) == 0 {
        assert!(began.elapsed() < DEADLINE, "nobody waits");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
