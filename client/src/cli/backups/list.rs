//! `backups list`: what there is in the store.

use serde::Serialize;
use switchback_client::{
    Result,
    exit::Exit,
    v1::{BackupInfo, BackupState, Engine, Finding, SchemaVersion},
    words::{Word, word_of},
};

use super::Session;
use crate::cli::output::{
    Grid, findings_tally,
    format::{bytes, clean, short_time, time},
};

/// The JSON object of a backup; its shape is part of the interface.
#[derive(Serialize)]
struct Record<'a> {
    backup_id: &'a str,
    state: String,
    engine: Option<String>,
    epoch: u64,
    created_at: Option<String>,
    verified_at: Option<String>,
    bytes: u64,
    chunks: u64,
    encrypted: bool,
    schema_versions: &'a [SchemaVersion],
    findings: &'a [Finding],
}

impl<'a> Record<'a> {
    fn of(backup: &'a BackupInfo) -> Self {
        let engine = backup.engine();
        Self {
            backup_id: &backup.backup_id,
            state: word_of::<BackupState>(backup.state),
            engine: (engine != Engine::Unspecified).then(|| engine.word()),
            epoch: backup.epoch,
            created_at: backup.created_at.as_ref().map(|at| time(Some(at))),
            verified_at: backup.verified_at.as_ref().map(|at| time(Some(at))),
            bytes: backup.bytes,
            chunks: backup.chunks,
            encrypted: backup.encrypted,
            schema_versions: &backup.schema_versions,
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
        let readable = backup.state() == BackupState::Complete;
        grid.row([
            record.backup_id,
            record.engine.as_deref().unwrap_or("?"),
            &short_time(backup.created_at.as_ref()),
            &if readable { bytes(backup.bytes) } else { "?".to_owned() },
            if record.encrypted { "yes" } else { "no" },
            &verified(backup),
            &state(&record),
            &versions(backup),
        ]);
    }
    grid.to_string()
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
            }],
            chunks: 341,
            findings: vec![Finding { severity: Severity::Warning.into(), ..Default::default() }],
        }
    }

    fn locked() -> BackupInfo {
        BackupInfo {
            backup_id: "20260130T093000Z-000000".to_owned(),
            encrypted: true,
            state: BackupState::Locked.into(),
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
            "20260130T093000Z-000000  ?                                     ?  yes        \
             never                locked",
        ];
        assert_eq!(table(&[backup(), locked()]), lines.join("\n") + "\n");
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
        let locked = serde_json::to_value(Record::of(&locked())).unwrap();
        assert_eq!(locked["state"], "locked");
        for unknown in ["engine", "created_at", "verified_at"] {
            assert_eq!(locked[unknown], json!(null));
        }
    }
}
