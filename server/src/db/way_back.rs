//! Whether there is a way back to SQLite, and whether it is in good health.

use std::time::Duration;

use switchback_proto::v1::{Engine, Finding, Phase, RollbackState, Severity};

use super::{control::DatabaseRecord, lag::LagNow};
use crate::dialect::finding::FOLLOWING_WAITS;

/// Oldest change that is not carried back while the way back is called healthy: some batches fail
/// and come again after 5 s, and a large one takes a while.
const OLDEST_ON_THE_WAY_BACK: Duration = Duration::from_secs(30);

/// Whether what is written on PostgreSQL flows back.
pub(super) fn rollback(record: &DatabaseRecord, findings: &[Finding]) -> RollbackState {
    // What an engine lacks comes back; until then it is no different.
    let stopped = findings
        .iter()
        .any(|finding| finding.severity() == Severity::Blocker || finding.code == FOLLOWING_WAITS);
    match (record.active, record.phase) {
        (Engine::Postgres, Phase::Finalizing | Phase::Finalized) => RollbackState::None,
        (Engine::Postgres, Phase::Reversible | Phase::RollingBack) if !stopped => {
            RollbackState::Available
        }
        (Engine::Postgres, _) => RollbackState::Unavailable,
        _ => RollbackState::None,
    }
}

/// What is not known is not called healthy, nor the opposite.
pub(super) fn is_way_back_healthy(rollback: RollbackState, lag: Option<LagNow>) -> Option<bool> {
    match rollback {
        RollbackState::Unavailable => Some(false),
        RollbackState::Available => lag.map(|lag| lag.age <= OLDEST_ON_THE_WAY_BACK),
        RollbackState::None | RollbackState::Unspecified => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_back_is_healthy_while_it_is_there_and_not_far_behind() {
        use RollbackState::{Available, None as Nowhere, Unavailable};
        let lag = |seconds| Some(LagNow { changes: 1, age: Duration::from_secs(seconds) });
        let healthy = is_way_back_healthy;
        assert_eq!(healthy(Available, lag(0)), Some(true));
        assert_eq!(healthy(Available, lag(30)), Some(true));
        assert_eq!(healthy(Available, lag(31)), Some(false));
        assert_eq!(healthy(Available, None), None);
        assert_eq!(healthy(Unavailable, lag(0)), Some(false));
        assert_eq!(healthy(Nowhere, lag(31)), None);
    }
}
