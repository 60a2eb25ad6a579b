//! What the coordinator of a database tells of it beside the lag, for whoever asks.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use switchback_proto::v1::Finding;

/// What its follower waits for and who coordinates it. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Standing {
    told: Arc<Mutex<Told>>,
}

#[derive(Debug, Default)]
struct Told {
    waits_for: Option<Finding>,
    drift: Vec<Finding>,
    coordinator: String,
}

impl Standing {
    /// Says what keeps changes from being carried over just now; `None` where nothing does.
    pub fn set_waits_for(&self, finding: Option<Finding>) {
        self.told().waits_for = finding;
    }

    /// Says how the target's schema is not the one that was made.
    pub fn set_drift(&self, findings: Vec<Finding>) {
        self.told().drift = findings;
    }

    /// Says which server holds the lease; empty where none does.
    pub fn set_coordinator(&self, name: impl Into<String>) {
        self.told().coordinator = name.into();
    }

    /// What keeps changes from being carried over just now, or would be left behind.
    pub fn findings(&self) -> Vec<Finding> {
        let told = self.told();
        told.waits_for.iter().chain(&told.drift).cloned().collect()
    }

    /// Which server holds the lease; empty where none does.
    pub fn coordinator(&self) -> String {
        self.told().coordinator.clone()
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
