//! `backups list`: what there is in the store.

use serde::Serialize;
use switchback_client::{
    Result,
    exit::Exit,
    v1::{BackupInfo, BackupState, Engine, Finding, SchemaVersion},
    words::word_of,
};

use super::Session;
use crate::cli::output::{
    Grid, findings_tally,
    format::{bytes, clean, short_time, time},
};

/// In the table, what a manifest that cannot be read would say.
const UNKNOWN: &str = "?";

/// The JSON object of a backup; its shape is part of the interface. What the manifest says is
/// null where it cannot be read.
#[derive(Serialize)]
struct Record<'a> {
    backup_id: &'a str,
    state: String,
    engine: Option<String>,
    epoch: Option<u64>,
    created_at: Option<String>,
    verified_at: Option<String>,
    bytes: Option<u64>,
    chunks: Option<u64>,
    encrypted: Option<bool>,
    schema_versions: Vec<VersionView<'a>>,
    findings: &'a [Finding],
}

/// What a manifest says of a version.
#[derive(Serialize)]
struct VersionView<'a> {
    engine: String,
    tool: &'a str,
    version: &'a str,
}

impl<'a> VersionView<'a> {
    fn of(version: &'a SchemaVersion) -> Self {
        let engine = word_of::<Engine>(version.engine);
        Self { engine, tool: &version.tool, version: &version.version }
    }
}

impl<'a> Record<'a> {
    fn of(backup: &'a BackupInfo) -> Self {
        let state = backup.state();
        let readable = state == BackupState::Complete;
        Self {
            backup_id: &backup.backup_id,
            state: word_of::<BackupState>(backup.state),
            engine: readable.then(|| word_of::<Engine>(backup.engine)),
            epoch: readable.then_some(backup.epoch),
            created_at: backup.created_at.as_ref().map(|at| time(Some(at))),
            verified_at: backup.verified_at.as_ref().map(|at| time(Some(at))),
            bytes: readable.then_some(backup.bytes),
            chunks: readable.then_some(backup.chunks),
            // What is locked needs a key.
            encrypted: (readable || state == BackupState::Locked).then_some(backup.encrypted),
            schema_versions: backup.schema_versions.iter().map(VersionView::of).collect(),
            findings: &backup.findings,
        }
    }
}

pub(super) async fn run(session: &mut Session, limit: usize) -> Result<Exit> {
    let found = session.connect().await?.backups(&session.database(), limit).await?;
    if session.output.is_json() {
        for backup in &found.backups {
            session.output.json(&Record::of(backup));
        }
        return Ok(Exit::Done);
    }
    let store = clean(&found.store);
    if found.backups.is_empty() {
        session.output.note(&format!("no backups in {store}"));
        return Ok(Exit::Done);
    }
    session.output.note(&format!("in {store}"));
    session.output.text(&table(&found.backups));
    Ok(Exit::Done)
}

fn table(backups: &[BackupInfo]) -> String {
    let heading = [
        "BACKUP",
        "ENGINE",
        "TAKEN (UTC)",
        "SIZE",
        "ENCRYPTED",
        "VERIFIED (UTC)",
        "STATE",
        "SCHEMA VERSION",
    ];
    let mut grid = Grid::new(heading).right(&[3]);
    for backup in backups {
        let record = Record::of(backup);
        grid.row([
            record.backup_id,
            record.engine.as_deref().unwrap_or(UNKNOWN),
            &taken(backup),
            &record.bytes.map_or_else(|| UNKNOWN.to_owned(), bytes),
            record.encrypted.map_or(UNKNOWN, |encrypted| if encrypted { "yes" } else { "no" }),
            &verified(backup),
            &state(&record),
            &versions(backup),
        ]);
    }
    grid.to_string()
}

fn taken(backup: &BackupInfo) -> String {
    match &backup.created_at {
        None => UNKNOWN.to_owned(),
        at => short_time(at.as_ref()),
    }
}

fn verified(backup: &BackupInfo) -> String {
    match &backup.verified_at {
        None => "never".to_owned(),
        at => short_time(at.as_ref()),
    }
}

/// `complete, 1 warning`: what a backup does not hold is to be seen before it is needed.
fn state(record: &Record<'_>) -> String {
    match findings_tally(record.findings) {
        tally if tally.is_empty() => record.state.clone(),
        tally => format!("{}, {tally}", record.state),
    }
}

/// `django_migrations 0042, user_version 7`
fn versions(backup: &BackupInfo) -> String {
    let told: Vec<_> = backup
        .schema_versions
        .iter()
        .map(|version| format!("{} {}", version.tool, version.version))
        .collect();
    told.join(", ")
}

#[cfg(test)]
mod tests {
    use prost_types::Timestamp;
    use serde_json::json;
    use switchback_client::v1::Severity;

    use super::*;

    fn backup() -> BackupInfo {
        BackupInfo {
            backup_id: "20260131T093000Z-3fa29c".to_owned(),
            engine: Engine::Postgres.into(),
            epoch: 1,
            created_at: Some(Timestamp { seconds: 1_769_851_800, nanos: 0 }),
            verified_at: Some(Timestamp { seconds: 1_769_851_860, nanos: 0 }),
            bytes: 357_200_000,
            encrypted: true,
            state: BackupState::Complete.into(),
            schema_versions: vec![SchemaVersion {
                engine: Engine::Postgres.into(),
                tool: "user_version".to_owned(),
                version: "7".to_owned(),
                ..Default::default()
            }],
            chunks: 341,
            findings: vec![Finding { severity: Severity::Warning.into(), ..Default::default() }],
        }
    }

    fn unreadable(state: BackupState) -> BackupInfo {
        BackupInfo {
            backup_id: "20260130T093000Z-000000".to_owned(),
            encrypted: state == BackupState::Locked,
            state: state.into(),
            ..Default::default()
        }
    }

    #[test]
    fn the_table_shows_what_is_not_known_as_such() {
        let lines = [
            "BACKUP                   ENGINE    TAKEN (UTC)              SIZE  ENCRYPTED  \
             VERIFIED (UTC)       STATE                SCHEMA VERSION",
            "20260131T093000Z-3fa29c  postgres  2026-01-31 09:30:00  357.2 MB  yes        \
             2026-01-31 09:31:00  complete, 1 warning  user_version 7",
            "20260130T093000Z-000000  ?         ?                           ?  yes        \
             never                locked",
            "20260130T093000Z-000000  ?         ?                           ?  ?          \
             never                damaged",
        ];
        let backups = [backup(), unreadable(BackupState::Locked), unreadable(BackupState::Damaged)];
        assert_eq!(table(&backups), lines.join("\n") + "\n");
    }

    #[test]
    fn the_json_object_of_a_backup() {
        let mut backup = backup();
        backup.findings.clear();
        assert_eq!(
            serde_json::to_value(Record::of(&backup)).unwrap(),
            json!({
                "backup_id": "20260131T093000Z-3fa29c", "state": "complete", "engine": "postgres",
                "epoch": 1, "created_at": "2026-01-31T09:30:00Z",
                "verified_at": "2026-01-31T09:31:00Z", "bytes": 357_200_000, "chunks": 341,
                "encrypted": true, "findings": [],
                "schema_versions": [
                    {"engine": "postgres", "tool": "user_version", "version": "7"},
                ],
            })
        );
        let locked = unreadable(BackupState::Locked);
        assert_eq!(
            serde_json::to_value(Record::of(&locked)).unwrap(),
            json!({
                "backup_id": "20260130T093000Z-000000", "state": "locked", "engine": null,
                "epoch": null, "created_at": null, "verified_at": null, "bytes": null,
                "chunks": null, "encrypted": true, "findings": [], "schema_versions": [],
            })
        );
    }
}
