use prost_types::Timestamp;
use serde_json::json;
use switchback_client::v1::{SchemaVersion, Severity};

use super::*;

fn database() -> Database {
    Database {
        name: "shop".to_owned(),
        active_engine: Engine::Sqlite.into(),
        epoch: 1,
        phase: Phase::Following.into(),
        lag_changes: 3,
        lag_ms: 40,
        rollback: RollbackState::None.into(),
        operation_id: "op".to_owned(),
        sqlite: Some(EngineStatus {
            state: EngineState::Up.into(),
            version: "3.51.3".to_owned(),
            ..Default::default()
        }),
        postgres: Some(EngineStatus {
            state: EngineState::Down.into(),
            message: "refused".to_owned(),
            ..Default::default()
        }),
        schema_versions: vec![SchemaVersion {
            engine: Engine::Sqlite.into(),
            tool: "user_version".to_owned(),
            version: "7".to_owned(),
            ..Default::default()
        }],
        findings: Vec::new(),
        coordinator: String::new(),
        validated_at: None,
        backed_up_at: None,
    }
}

#[test]
fn the_json_object_has_the_documented_shape() {
    assert_eq!(
        serde_json::to_value(Status::of(&database())).unwrap(),
        json!({
            "database": "shop",
            "active_engine": "sqlite",
            "epoch": 1,
            "phase": "following",
            "lag_changes": 3,
            "lag_ms": 40,
            "rollback": "none",
            "operation_id": "op",
            "engines": {
                "sqlite": {"state": "up", "message": "", "version": "3.51.3"},
                "postgres": {"state": "down", "message": "refused", "version": ""},
            },
            "schema_versions": {"sqlite": {"user_version": "7"}, "postgres": {}},
        })
    );
}

#[test]
fn findings_and_coordinator_are_told_where_there_are_any() {
    let finding = Finding {
        code: "schema_drift".to_owned(),
        severity: Severity::Blocker.into(),
        table: "users".to_owned(),
        message: "column mail is new".to_owned(),
        hint: "abort".to_owned(),
        ..Default::default()
    };
    let database =
        Database { findings: vec![finding], coordinator: "host-1".to_owned(), ..database() };
    let status = Status::of(&database);
    let json = serde_json::to_value(&status).unwrap();
    assert_eq!(json["coordinator"], "host-1");
    assert_eq!(json["findings"][0]["code"], "schema_drift");
    assert_eq!(json["findings"][0]["severity"], "blocker");
    let text = status.text();
    assert!(text.contains("coordinator          host-1"), "{text}");
    let told = "\n\nblocker schema_drift\n  users: column mail is new\n  hint: abort\n";
    assert!(text.ends_with(told), "{text}");
    assert!(status.line().ends_with("; 1 blocker; coordinator host-1"), "{}", status.line());
}

#[test]
fn versions_that_differ_are_marked() {
    let version = |engine: Engine, version: &str, count| SchemaVersion {
        engine: engine.into(),
        tool: "django_migrations".to_owned(),
        version: version.to_owned(),
        count,
        differs: true,
    };
    let mut database = database();
    database.schema_versions.push(version(Engine::Sqlite, "shop.0003_price", 18));
    database.schema_versions.push(version(Engine::Postgres, "", 0));
    let status = Status::of(&database);
    let json = serde_json::to_value(&status).unwrap();
    assert_eq!(json["schema_versions_differ"], json!(["django_migrations"]));
    let counts = json!({"sqlite": {"django_migrations": 18}, "postgres": {"django_migrations": 0}});
    assert_eq!(json["schema_version_counts"], counts);
    let text = status.text();
    for row in [
        "sqlite django_migrations    shop.0003_price (18 versions), differs\n",
        "sqlite user_version         7\n",
        "postgres django_migrations  none, differs\n",
    ] {
        assert!(text.contains(row), "{row}{text}");
    }
}

#[test]
fn the_last_backup_is_told_where_there_is_one() {
    let at = Timestamp { seconds: 1_769_851_800, nanos: 0 };
    let database = Database { backed_up_at: Some(at), ..database() };
    let status = Status::of(&database);
    let text = status.text();
    assert!(text.contains("\nlast backup          2026-01-31T09:30:00Z\n"), "{text}");
    let json = serde_json::to_value(&status).unwrap();
    assert_eq!(json["backed_up_at"], "2026-01-31T09:30:00Z");
}

#[test]
fn an_engine_that_was_not_reported_is_down() {
    let database = Database { postgres: None, ..database() };
    assert_eq!(Status::of(&database).engines.postgres.state, "down");
}

#[test]
fn the_text_names_both_engines() {
    let database = database();
    let status = Status::of(&database);
    assert!(status.text().contains("postgres             down, refused"), "{}", status.text());
    assert_eq!(
        status.line(),
        "shop: sqlite, epoch 1, following; sqlite up, postgres down; lag 3 changes (0.04 s)"
    );
}
