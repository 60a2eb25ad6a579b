//! What orchestrators see of the way back: `rollback/<name>` in the health service.

use serde_json::Value;
use switchback_tests::rig::Rig;
use tonic_health::pb::health_check_response::ServingStatus;

use crate::kinds::KINDS;

const NAME: &str = "rollback/default";

/// What the command line says of the way back. It does not count for the exit code.
async fn told(rig: &Rig) -> Value {
    let run = rig.cli(&["health"]).await;
    run.expect(0);
    let line = run.events.iter().find(|line| line["service"] == NAME);
    line.expect("a line for the way back")["status"].clone()
}

#[tokio::test]
async fn the_way_back_has_a_health_of_its_own() {
    let rig = Rig::of_sql(KINDS).await;
    rig.server.await_health(NAME, ServingStatus::Unknown).await;
    assert_eq!(told(&rig).await, "unknown");
    rig.cli(&["migrate"]).await.expect(0);
    rig.server.await_health(NAME, ServingStatus::Serving).await;
    assert_eq!(told(&rig).await, "serving");
    // Nothing can be carried back of a table that lacks a column.
    let target = rig.target().await;
    target.batch_execute("ALTER TABLE children DROP COLUMN note").await.expect("it takes it");
    rig.server.await_health(NAME, ServingStatus::NotServing).await;
    assert_eq!(told(&rig).await, "not_serving");
    let active = rig.server.health("database/default").await;
    assert_eq!(active, Some(ServingStatus::Serving), "applications are served");
    target.batch_execute("ALTER TABLE children ADD COLUMN note text").await.expect("and back");
    rig.server.await_health(NAME, ServingStatus::Serving).await;
    rig.cli(&["rollback"]).await.expect(0);
    rig.server.await_health(NAME, ServingStatus::Unknown).await;
    rig.cli(&["cutover"]).await.expect(0);
    rig.server.await_health(NAME, ServingStatus::Serving).await;
    rig.cli(&["finalize", "--force"]).await.expect(0);
    rig.server.await_health(NAME, ServingStatus::Unknown).await;
    rig.finish().await;
}
