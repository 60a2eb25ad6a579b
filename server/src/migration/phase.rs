//! The state machine of a migration: pure, and the only place that says what follows what.

use std::fmt;

use switchback_proto::{v1::Phase, words::Word};

/// What can happen to a migration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// The caller asked for it.
    Requested,
    /// The plan is made, free of blockers, and recorded.
    Planned,
    /// Every table exists in the target.
    Installed,
    /// Every row is in the target or in the rejects.
    Copied,
    /// Keys, indexes, constraints, sequences and views are there.
    Indexed,
    /// Both sides are equal.
    Matched,
    /// The switch to PostgreSQL is recorded in PostgreSQL.
    Activated,
    /// The target has every change but those of the last moment.
    InSync,
    /// The switch was given up in good order: SQLite goes on.
    Retreated,
    /// Both engines' records contradict each other.
    Contradicted,
    /// Changes cannot be carried over any more; SQLite goes on.
    Stopped,
    /// Somebody asked to undo what follows.
    Aborted,
    /// Somebody asked to go back.
    RollbackAsked,
    /// The switch to SQLite is recorded in PostgreSQL, and SQLite is open.
    Returned,
    /// Somebody asked to end reverse replication.
    FinalizeAsked,
    /// Nothing that leads back is left.
    Finalized,
    /// It cannot go on.
    Failed,
    /// The caller asked to stop.
    Cancelled,
    /// Nothing that it made is left.
    Undone,
}

/// An event that does not belong into a phase: a defect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IllegalTransition {
    phase: Phase,
    event: Event,
}

impl fmt::Display for IllegalTransition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} cannot happen in the phase {}", self.event, self.phase.word())
    }
}

impl std::error::Error for IllegalTransition {}

/// The phase that follows.
///
/// Each phase is recorded before its work begins, and its work can be done again from the start:
/// - `idle`: nothing has begun. A restart does nothing.
/// - `planning`: nothing has been changed. A restart plans again.
/// - `installing`: the plan is recorded; tables are made in steps that the target records in the
///   same transactions, then change capture is put into the source. A restart makes what is missing.
/// - `copying`: each chunk's rows and its position commit together. A restart goes on behind the
///   last chunk.
/// - `indexing`: what changed during the copy is carried over; then as `installing`.
/// - `validating`: reads, and carries changes over. A restart begins it again.
/// - `following`: batches of changes, each committed with its position. A restart goes on.
/// - `cutting_over`: the attempt is recorded, SQLite is fenced, one commit in PostgreSQL decides. A
///   restart reads both records (`resume`) and goes on. It cannot be cancelled.
/// - `reversible`: PostgreSQL is active, SQLite is fenced; batches of changes are carried back. A
///   restart connects to PostgreSQL and goes on.
/// - `rolling_back`: one commit in PostgreSQL decides, then SQLite is opened. A restart reads the
///   record and opens SQLite where it was decided.
/// - `finalizing`: that there is no way back is recorded; what leads back is removed in steps. A
///   restart goes on.
/// - `finalized`: nothing of ours is left but what was asked to stay. A restart does nothing.
/// - `halted`: both engines' records contradict each other, or changes cannot be carried over any
///   more; nothing is changed until somebody decides. A restart does nothing.
/// - `aborting`: the cause is recorded; what was made is removed in steps. A restart goes on.
pub fn transition(phase: Phase, event: Event) -> Result<Phase, IllegalTransition> {
    match (phase, event) {
        (Phase::Idle, Event::Requested) => Ok(Phase::Planning),
        (Phase::Planning, Event::Planned) => Ok(Phase::Installing),
        (Phase::Installing, Event::Installed) => Ok(Phase::Copying),
        (Phase::Copying, Event::Copied) => Ok(Phase::Indexing),
        (Phase::Indexing, Event::Indexed) => Ok(Phase::Validating),
        (Phase::Validating, Event::Matched) | (Phase::CuttingOver, Event::Retreated) => {
            Ok(Phase::Following)
        }
        (Phase::Following, Event::InSync) => Ok(Phase::CuttingOver),
        (Phase::CuttingOver, Event::Activated) => Ok(Phase::Reversible),
        (Phase::CuttingOver, Event::Contradicted) | (Phase::Following, Event::Stopped) => {
            Ok(Phase::Halted)
        }
        (Phase::Reversible, Event::RollbackAsked) => Ok(Phase::RollingBack),
        (Phase::RollingBack, Event::Returned) => Ok(Phase::Following),
        (Phase::RollingBack, Event::Retreated) => Ok(Phase::Reversible),
        (Phase::Reversible, Event::FinalizeAsked) => Ok(Phase::Finalizing),
        (Phase::Finalizing, Event::Finalized) => Ok(Phase::Finalized),
        // Nothing is made before `installing`, so nothing is to be undone.
        (Phase::Planning, Event::Failed | Event::Cancelled) | (Phase::Aborting, Event::Undone) => {
            Ok(Phase::Idle)
        }
        (
            Phase::Installing
            | Phase::Copying
            | Phase::Indexing
            | Phase::Validating
            | Phase::Following,
            Event::Failed | Event::Cancelled,
        )
        // The decision may be on its way: it is not cancelled any more.
        | (Phase::CuttingOver, Event::Failed)
        | (Phase::Following | Phase::Halted, Event::Aborted) => Ok(Phase::Aborting),
        (phase, event) => Err(IllegalTransition { phase, event }),
    }
}

/// Every event.
const EVENTS: [Event; 19] = [
    Event::Requested,
    Event::Planned,
    Event::Installed,
    Event::Copied,
    Event::Indexed,
    Event::Matched,
    Event::InSync,
    Event::Activated,
    Event::Retreated,
    Event::Contradicted,
    Event::Stopped,
    Event::Aborted,
    Event::RollbackAsked,
    Event::Returned,
    Event::FinalizeAsked,
    Event::Finalized,
    Event::Failed,
    Event::Cancelled,
    Event::Undone,
];

/// The table as a Mermaid state diagram: docs/state-machine.md shows it.
pub fn diagram() -> String {
    let mut lines = vec!["stateDiagram-v2".to_owned(), "    [*] --> idle".to_owned()];
    for phase in (0..=14).filter_map(|number| Phase::try_from(number).ok()) {
        let mut ways: Vec<(Phase, Vec<String>)> = Vec::new();
        for event in EVENTS {
            let Ok(next) = transition(phase, event) else { continue };
            let name = format!("{event:?}");
            match ways.iter_mut().find(|(to, _)| *to == next) {
                Some((_, names)) => names.push(name),
                None => ways.push((next, vec![name])),
            }
        }
        lines.extend(ways.into_iter().map(|(next, names)| {
            format!("    {} --> {}: {}", phase.word(), next.word(), names.join(", "))
        }));
    }
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_shows_the_table() {
        let page = include_str!("../../../docs/state-machine.md");
        assert!(page.contains(&diagram()), "docs/state-machine.md should show:\n{}", diagram());
    }

    fn phases() -> impl Iterator<Item = Phase> {
        (0..=14).map(|number| Phase::try_from(number).unwrap())
    }

    /// Every pair that is legal; every other one must be refused.
    const LEGAL: [(Phase, Event, Phase); 32] = [
        (Phase::Idle, Event::Requested, Phase::Planning),
        (Phase::Planning, Event::Planned, Phase::Installing),
        (Phase::Planning, Event::Failed, Phase::Idle),
        (Phase::Planning, Event::Cancelled, Phase::Idle),
        (Phase::Installing, Event::Installed, Phase::Copying),
        (Phase::Installing, Event::Failed, Phase::Aborting),
        (Phase::Installing, Event::Cancelled, Phase::Aborting),
        (Phase::Copying, Event::Copied, Phase::Indexing),
        (Phase::Copying, Event::Failed, Phase::Aborting),
        (Phase::Copying, Event::Cancelled, Phase::Aborting),
        (Phase::Indexing, Event::Indexed, Phase::Validating),
        (Phase::Indexing, Event::Failed, Phase::Aborting),
        (Phase::Indexing, Event::Cancelled, Phase::Aborting),
        (Phase::Validating, Event::Matched, Phase::Following),
        (Phase::Validating, Event::Failed, Phase::Aborting),
        (Phase::Validating, Event::Cancelled, Phase::Aborting),
        (Phase::CuttingOver, Event::Activated, Phase::Reversible),
        (Phase::Following, Event::InSync, Phase::CuttingOver),
        (Phase::Following, Event::Failed, Phase::Aborting),
        (Phase::Following, Event::Cancelled, Phase::Aborting),
        (Phase::Following, Event::Stopped, Phase::Halted),
        (Phase::Following, Event::Aborted, Phase::Aborting),
        (Phase::Halted, Event::Aborted, Phase::Aborting),
        (Phase::CuttingOver, Event::Retreated, Phase::Following),
        (Phase::CuttingOver, Event::Contradicted, Phase::Halted),
        (Phase::CuttingOver, Event::Failed, Phase::Aborting),
        (Phase::Aborting, Event::Undone, Phase::Idle),
        (Phase::Reversible, Event::RollbackAsked, Phase::RollingBack),
        (Phase::RollingBack, Event::Returned, Phase::Following),
        (Phase::RollingBack, Event::Retreated, Phase::Reversible),
        (Phase::Reversible, Event::FinalizeAsked, Phase::Finalizing),
        (Phase::Finalizing, Event::Finalized, Phase::Finalized),
    ];

    #[test]
    fn only_the_legal_transitions_happen() {
        for phase in phases() {
            for event in EVENTS {
                let legal = LEGAL.iter().find(|(p, e, _)| (*p, *e) == (phase, event));
                assert_eq!(transition(phase, event).ok(), legal.map(|(_, _, next)| *next));
            }
        }
    }

    #[test]
    fn every_phase_that_is_reached_leads_to_an_end() {
        for (_, _, phase) in LEGAL {
            let ends = matches!(phase, Phase::Idle | Phase::Finalized | Phase::Halted);
            assert!(ends || LEGAL.iter().any(|(from, _, _)| *from == phase), "{phase:?}");
        }
    }
}
