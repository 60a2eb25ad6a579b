//! What the coordinator of a database and the health check tell of it beside the lag, for whoever
//! asks.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use switchback_proto::v1::{Engine, Finding};

/// What its follower waits for, who coordinates it, and whether the active engine answers. Clones
/// share it.
#[derive(Debug, Clone, Default)]
pub struct Standing {
    told: Arc<Mutex<Told>>,
}

#[derive(Debug, Default)]
struct Told {
    waits_for: Option<Finding>,
    drift: Vec<Finding>,
    kept_aside: Vec<Finding>,
    given_up: Option<Finding>,
    coordinator: String,
    active: Option<(Engine, bool)>,
    backed_up_at: Option<i64>,
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

    /// Says which rows SQLite cannot hold.
    pub fn set_kept_aside(&self, findings: Vec<Finding>) {
        self.told().kept_aside = findings;
    }

    /// Says that a PostgreSQL which was given up is back.
    pub fn set_given_up(&self, finding: Option<Finding>) {
        self.told().given_up = finding;
    }

    /// Says which server holds the lease; empty where none does.
    pub fn set_coordinator(&self, name: impl Into<String>) {
        self.told().coordinator = name.into();
    }

    /// What keeps changes from being carried over just now, or would be left behind.
    pub fn findings(&self) -> Vec<Finding> {
        let told = self.told();
        let of_target = told.drift.iter().chain(&told.kept_aside);
        told.waits_for.iter().chain(of_target).chain(&told.given_up).cloned().collect()
    }

    /// Says which engine was asked as the active one, and whether it answered.
    pub fn set_active(&self, engine: Engine, answers: bool) {
        self.told().active = Some((engine, answers));
    }

    /// Says when the newest backup was taken, in milliseconds since 1970.
    pub fn set_backed_up(&self, at: i64) {
        let mut told = self.told();
        told.backed_up_at = told.backed_up_at.max(Some(at));
    }

    /// When the newest backup was taken, in milliseconds since 1970.
    pub fn backed_up_at(&self) -> Option<i64> {
        self.told().backed_up_at
    }

    /// Which server holds the lease; empty where none does.
    pub fn coordinator(&self) -> String {
        self.told().coordinator.clone()
    }

    /// Which engine was last asked as the active one, and whether it answered.
    pub fn active(&self) -> Option<(Engine, bool)> {
        self.told().active
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
