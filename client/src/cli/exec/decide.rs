//! What to do, without doing it.

use std::{
    os::unix::process::ExitStatusExt,
    process::ExitStatus,
    time::{Duration, Instant},
};

use switchback_client::v1::{Database, Engine, Phase};

/// The active engine, as the server said at some time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Active {
    pub(super) engine: Engine,
    pub(super) epoch: u64,
}

impl Active {
    pub(super) fn of(database: &Database) -> Self {
        Self { engine: database.active_engine(), epoch: database.epoch }
    }

    /// Whether news overtakes this. An epoch counts the switches and never falls: what is older
    /// was late on its way.
    pub(super) fn yields_to(self, news: Self) -> bool {
        news.engine != Engine::Unspecified && news.epoch >= self.epoch && news != self
    }
}

/// How the program came to its end.
#[derive(Debug, Clone, Copy)]
pub(super) struct End {
    pub(super) status: ExitStatus,
    /// It was stopped for a switch.
    pub(super) replaced: bool,
    /// Someone else asked it to stop.
    pub(super) dismissed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AfterEnd {
    Exit(u8),
    StartAgain,
    /// The fence may have refused its write: `Exit` with this unless the engine was switched.
    Ask(u8),
}

pub(super) fn after_end(end: End) -> AfterEnd {
    match exit_code(end.status) {
        code if end.dismissed => AfterEnd::Exit(code),
        _ if end.replaced => AfterEnd::StartAgain,
        0 => AfterEnd::Exit(0),
        code => AfterEnd::Ask(code),
    }
}

/// The code that a shell gives for a status.
pub(super) fn exit_code(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}

/// The switch that the program is taken to know of: one that was told of a switch has `grace` to
/// follow, and what it ends with by then is about the engine before.
pub(super) fn in_use(
    started: Active,
    told: Option<(Active, Instant)>,
    grace: Duration,
    now: Instant,
) -> Active {
    match told {
        Some((active, at)) if now.duration_since(at) > grace => active,
        _ => started,
    }
}

/// Whether a switch may be seen in a moment.
pub(super) fn is_switching(phase: Phase) -> bool {
    match phase {
        Phase::Unspecified
        | Phase::Idle
        | Phase::Planning
        | Phase::Following
        | Phase::Reversible
        | Phase::Finalizing
        | Phase::Finalized
        | Phase::Aborting
        | Phase::Halted => false,
        Phase::Installing
        | Phase::Copying
        | Phase::Indexing
        | Phase::Validating
        | Phase::CuttingOver
        | Phase::RollingBack => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(raw: i32, replaced: bool, dismissed: bool) -> AfterEnd {
        after_end(End { status: ExitStatus::from_raw(raw), replaced, dismissed })
    }

    #[test]
    fn codes_are_those_of_a_shell() {
        for (raw, code) in [(0, 0), (7 << 8, 7), (255 << 8, 255), (15, 143), (9, 137), (6, 134)] {
            assert_eq!(exit_code(ExitStatus::from_raw(raw)), code, "{raw}");
        }
    }

    #[test]
    fn only_a_switch_starts_the_program_again() {
        assert_eq!(end(0, false, false), AfterEnd::Exit(0));
        assert_eq!(end(3 << 8, false, false), AfterEnd::Ask(3));
        assert_eq!(end(11, false, false), AfterEnd::Ask(139));
        for raw in [0, 3 << 8, 15, 9] {
            assert_eq!(end(raw, true, false), AfterEnd::StartAgain);
        }
        for replaced in [false, true] {
            assert_eq!(end(15, replaced, true), AfterEnd::Exit(143));
        }
    }

    #[test]
    fn older_news_is_no_news() {
        let now = Active { engine: Engine::Postgres, epoch: 1 };
        let yields = |engine, epoch| now.yields_to(Active { engine, epoch });
        assert!(yields(Engine::Sqlite, 2) && yields(Engine::Postgres, 3));
        assert!(!yields(Engine::Sqlite, 0) && !yields(Engine::Postgres, 1));
        assert!(!yields(Engine::Unspecified, 2));
    }

    #[test]
    fn a_told_program_has_its_grace() {
        let (at, grace) = (Instant::now(), Duration::from_secs(10));
        let started = Active { engine: Engine::Sqlite, epoch: 2 };
        let next = Active { engine: Engine::Postgres, epoch: 3 };
        let after =
            |seconds| in_use(started, Some((next, at)), grace, at + Duration::from_secs(seconds));
        assert_eq!(after(1), started);
        assert_eq!(after(11), next);
        assert_eq!(in_use(started, None, grace, at), started);
    }

    #[test]
    fn the_fence_stands_while_switching() {
        assert!(is_switching(Phase::CuttingOver) && is_switching(Phase::RollingBack));
        assert!(!is_switching(Phase::Idle) && !is_switching(Phase::Finalized));
    }
}
