//! A copy that stands still in its middle, for as long as a scenario needs.

use serde_json::Value;
use switchback_tests::{cli::Running, rig::Rig};
use tokio_postgres::Client;

/// Rows of the table `big`: enough for several chunks.
pub(crate) const ROWS: u32 = 300_000;

/// Waits until some of the rows of `big` have been copied, but not all, and makes the copy stand
/// still between two chunks. Gives the lock, which goes with its connection, and the operation.
pub(crate) async fn hold(rig: &Rig, run: &mut Running) -> (Client, String) {
    let operation = in_the_middle(run).await;
    let client = rig.target().await;
    client.batch_execute("BEGIN; LOCK TABLE big IN ACCESS EXCLUSIVE MODE").await.expect("a lock");
    (client, operation)
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
