//! What callers see of a database, out of what is recorded and what its engines say.

use switchback_proto::v1::{
    self, Engine, EngineState, EngineStatus, OperationKind, OperationState, Phase, SchemaVersion,
};

use super::{control::DatabaseRecord, lag::LagNow, set::Database, versions::Shown};
use crate::dialect::versions::Recorded;

/// A wrong zero would hide what an alarm waits for: only who follows knows the lag.
pub(super) fn known_lag(
    record: &DatabaseRecord,
    elsewhere: bool,
    seen: Option<LagNow>,
) -> Option<LagNow> {
    match record.phase {
        _ if elsewhere => None,
        Phase::Following | Phase::Reversible => seen,
        _ => Some(seen.unwrap_or_default()),
    }
}

pub(super) struct Engines {
    pub(super) sqlite: EngineStatus,
    pub(super) postgres: EngineStatus,
    pub(super) versions: Shown,
}

/// The phase of a running operation that moves the database on, once it has one of its own; else
/// what the last one left.
fn phase(record: &DatabaseRecord, newest: Option<&v1::Operation>) -> Phase {
    let moving = newest.filter(|operation| operation.state() == OperationState::Running);
    match moving.map(|operation| (operation.kind(), operation.phase())) {
        Some((OperationKind::Migrate, phase)) => phase,
        Some((
            OperationKind::Cutover
            | OperationKind::Abort
            | OperationKind::Rollback
            | OperationKind::Finalize,
            phase,
        )) if phase != Phase::Idle => phase,
        _ => record.phase,
    }
}

/// Of an engine that is down nothing is shown: what was read a moment ago may not be so any more.
fn schema_versions(engines: &Engines) -> Vec<SchemaVersion> {
    let Engines { sqlite, postgres, versions } = engines;
    let is_up = |status: &EngineStatus| status.state() == EngineState::Up;
    let differs = |recorded: &Recorded| {
        let mut mismatches = versions.mismatches.iter();
        is_up(sqlite)
            && is_up(postgres)
            && mismatches.any(|found| found.tool.table == recorded.tool.table)
    };
    let of = |engine: Engine, recorded: &Recorded| SchemaVersion {
        engine: engine.into(),
        tool: recorded.tool.table.into(),
        version: recorded.newest(),
        count: u64::try_from(recorded.versions.len()).unwrap_or(u64::MAX),
        differs: differs(recorded),
    };
    let mut shown = Vec::new();
    if let Some(known) = versions.sqlite.as_ref().filter(|_| is_up(sqlite)) {
        shown.push(SchemaVersion {
            engine: Engine::Sqlite.into(),
            tool: "user_version".into(),
            version: known.user_version.to_string(),
            ..SchemaVersion::default()
        });
        shown.extend(known.recorded.iter().map(|recorded| of(Engine::Sqlite, recorded)));
    }
    if is_up(postgres) {
        shown.extend(versions.postgres.iter().map(|recorded| of(Engine::Postgres, recorded)));
    }
    shown
}

pub(super) fn describe(
    database: &Database,
    record: DatabaseRecord,
    newest: Option<v1::Operation>,
    engines: Engines,
) -> v1::Database {
    let lag = database.lag.now();
    v1::Database {
        name: database.config.name.clone(),
        active_engine: record.active.into(),
        epoch: record.epoch,
        phase: phase(&record, newest.as_ref()).into(),
        lag_changes: lag.changes,
        lag_ms: lag.millis(),
        operation_id: newest.map(|operation| operation.operation_id).unwrap_or_default(),
        schema_versions: schema_versions(&engines),
        sqlite: Some(engines.sqlite),
        postgres: Some(engines.postgres),
        coordinator: database.standing.coordinator(),
        ..v1::Database::default()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        db::versions::SqliteVersions,
        dialect::versions::{self, TOOLS},
    };

    #[test]
    fn a_lag_that_is_not_known_is_no_zero() {
        let none = Some(LagNow::default());
        let some = Some(LagNow { changes: 7, age: Duration::from_secs(1) });
        let idle = DatabaseRecord::default();
        let following = DatabaseRecord { phase: Phase::Following, ..idle };
        let switched =
            DatabaseRecord { active: Engine::Postgres, epoch: 1, phase: Phase::Reversible };
        assert_eq!(known_lag(&idle, false, None), none);
        assert_eq!(known_lag(&idle, false, some), some);
        assert_eq!(known_lag(&following, false, some), some);
        assert_eq!(known_lag(&following, false, None), None);
        assert_eq!(known_lag(&following, true, some), None);
        assert_eq!(known_lag(&switched, false, some), some);
        assert_eq!(known_lag(&switched, true, some), None);
    }

    fn recorded(versions: &[&str]) -> Recorded {
        let tool = TOOLS.iter().find(|tool| tool.table == "alembic_version").unwrap();
        let versions = versions.iter().map(|version| (*version).to_owned()).collect();
        Recorded { tool, table: tool.table.into(), versions }
    }

    fn engines(sqlite: EngineState, postgres: EngineState) -> Engines {
        let of = |state: EngineState| EngineStatus { state: state.into(), ..Default::default() };
        let (ours, theirs) = (vec![recorded(&["a", "b"])], vec![recorded(&["a"])]);
        let mismatches = versions::compare(&ours, &theirs);
        let known = SqliteVersions { user_version: 7, recorded: ours };
        let versions = Shown { sqlite: Some(known), postgres: theirs, mismatches };
        Engines { sqlite: of(sqlite), postgres: of(postgres), versions }
    }

    #[test]
    fn versions_are_shown_of_the_engines_that_are_up() {
        use EngineState::{Down, Up};
        let shown = |sqlite, postgres| -> Vec<String> {
            let shown = schema_versions(&engines(sqlite, postgres)).into_iter();
            shown
                .map(|v| {
                    format!("{:?} {} {} {} {}", v.engine(), v.tool, v.version, v.count, v.differs)
                })
                .collect()
        };
        let both = [
            "Sqlite user_version 7 0 false",
            "Sqlite alembic_version b 2 true",
            "Postgres alembic_version a 1 true",
        ];
        assert_eq!(shown(Up, Up), both);
        // What is not known does not differ.
        let alone = ["Sqlite user_version 7 0 false", "Sqlite alembic_version b 2 false"];
        assert_eq!(shown(Up, Down), alone);
        assert_eq!(shown(Down, Up), ["Postgres alembic_version a 1 false"]);
        assert!(shown(Down, Down).is_empty());
    }

    #[test]
    fn the_phase_is_that_of_the_operation_that_moves_the_database_on() {
        let record = DatabaseRecord { phase: Phase::Following, ..DatabaseRecord::default() };
        let shown = |kind: OperationKind, state: OperationState, of: Phase| {
            let operation = v1::Operation {
                kind: kind.into(),
                state: state.into(),
                phase: of.into(),
                ..v1::Operation::default()
            };
            phase(&record, Some(&operation))
        };
        use OperationState::{Failed, Running};
        assert_eq!(phase(&record, None), Phase::Following);
        assert_eq!(shown(OperationKind::Migrate, Running, Phase::Copying), Phase::Copying);
        assert_eq!(shown(OperationKind::Migrate, Failed, Phase::Copying), Phase::Following);
        // It has not looked yet whether it may go on.
        assert_eq!(shown(OperationKind::Cutover, Running, Phase::Idle), Phase::Following);
        assert_eq!(shown(OperationKind::Cutover, Running, Phase::CuttingOver), Phase::CuttingOver);
        assert_eq!(shown(OperationKind::Abort, Running, Phase::Aborting), Phase::Aborting);
        assert_eq!(shown(OperationKind::Validate, Running, Phase::Validating), Phase::Following);
    }
}
