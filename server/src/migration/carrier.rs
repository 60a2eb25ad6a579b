//! What is carried between the engines while no operation runs, and in which direction.

use std::time::Duration;

use switchback_proto::v1::Phase;

use super::{following::Follower, recorded, reversing::Reverser};
use crate::{db::Database, error::Result};

/// How long a batch waits for a lock of an application. Whoever wants to switch waits for the batch.
const LOCK_WAIT: Duration = Duration::from_secs(1);

/// What carries changes from the active engine to the other one.
pub(super) enum Carrier {
    Over(Box<Follower>),
    Back(Box<Reverser>),
}

impl Carrier {
    pub(super) async fn of(database: &Database, phase: Phase) -> Result<Self> {
        Ok(if phase == Phase::Reversible {
            Self::Back(Box::new(recorded::reversible(database).await?.reverser(database)?))
        } else {
            let found = recorded::following(database).await?;
            Self::Over(Box::new(found.follower(database)?.waiting(LOCK_WAIT)))
        })
    }

    /// The phase that it works in.
    pub(super) fn phase(&self) -> Phase {
        match self {
            Self::Over(_) => Phase::Following,
            Self::Back(_) => Phase::Reversible,
        }
    }

    /// Sees how far the other engine is behind while nothing can be carried over.
    pub(super) async fn observe(&self) -> Result<()> {
        match self {
            Self::Over(follower) => follower.observe().await,
            Self::Back(reverser) => reverser.observe().await.map(drop),
        }
    }
}

/// Whether changes are carried over in a phase.
pub(super) fn carries(phase: Phase) -> bool {
    matches!(phase, Phase::Following | Phase::Reversible)
}
