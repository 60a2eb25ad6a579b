//! How far the target is behind: what the follower last saw, for whoever asks.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// Enough for the age to be right to a sixteenth or so of the time since the oldest sample.
const MOST_SAMPLES: usize = 32;

/// The lag of a database. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Lag {
    samples: Arc<Mutex<Samples>>,
}

/// A lag as it is at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LagNow {
    /// Changes recorded and not yet applied.
    pub changes: u64,
    /// Age of the oldest of them; never less than it is.
    pub age: Duration,
}

impl Lag {
    /// Records what the follower sees now: the newest sequence number in the change log and the
    /// last one that the target has.
    pub fn record(&self, newest: i64, applied: i64) {
        self.samples().observe(Instant::now(), newest, applied);
    }

    /// Records the newest sequence number in the change log while the target gets nothing.
    pub fn see(&self, newest: i64) {
        let mut samples = self.samples();
        let applied = samples.applied;
        samples.observe(Instant::now(), newest, applied);
    }

    /// Forgets everything: nothing is followed any more.
    pub fn forget(&self) {
        *self.samples() = Samples::default();
    }

    /// The lag just now; `None` where nobody has looked yet.
    pub fn seen(&self) -> Option<LagNow> {
        let samples = self.samples();
        samples.is_seen.then(|| samples.at(Instant::now()))
    }

    /// The lag just now.
    pub fn now(&self) -> LagNow {
        self.samples().at(Instant::now())
    }

    fn samples(&self) -> MutexGuard<'_, Samples> {
        self.samples.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LagNow {
    /// The age in whole milliseconds.
    pub fn millis(&self) -> u64 {
        u64::try_from(self.age.as_millis()).unwrap_or(u64::MAX)
    }
}

/// When the log first held a change: it came no earlier than the sample before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sample {
    at: Instant,
    newest: i64,
}

/// The rule, without a clock. The log holds no times, so the age of a change is the age of the
/// first sample that saw it: right to the interval between two samples.
#[derive(Debug, Default)]
struct Samples {
    /// Those with a change that is not applied; times and numbers rise.
    waiting: VecDeque<Sample>,
    newest: i64,
    applied: i64,
    is_seen: bool,
}

impl Samples {
    fn observe(&mut self, at: Instant, newest: i64, applied: i64) {
        if newest < self.newest || applied < self.applied {
            // Another log, whose numbers say nothing about those seen so far.
            self.waiting.clear();
        }
        (self.newest, self.applied, self.is_seen) = (newest, applied, true);
        while self.waiting.front().is_some_and(|sample| sample.newest <= applied) {
            self.waiting.pop_front();
        }
        if newest > self.waiting.back().map_or(applied, |sample| sample.newest) {
            self.waiting.push_back(Sample { at, newest });
        }
        if self.waiting.len() > MOST_SAMPLES {
            self.merge();
        }
    }

    /// Makes one of the two neighbours that are closest in time. The earlier time stays: a change
    /// may seem older than it is, never younger.
    fn merge(&mut self) {
        let apart = |index: &usize| self.waiting[index + 1].at - self.waiting[*index].at;
        let Some(closest) = (0..self.waiting.len().saturating_sub(1)).min_by_key(apart) else {
            return;
        };
        if let Some(later) = self.waiting.remove(closest + 1) {
            self.waiting[closest].newest = later.newest;
        }
    }

    fn at(&self, now: Instant) -> LagNow {
        let oldest = self.waiting.front();
        LagNow {
            changes: u64::try_from(self.newest.saturating_sub(self.applied)).unwrap_or_default(),
            age: oldest.map_or(Duration::ZERO, |oldest| now.saturating_duration_since(oldest.at)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is seen at each second, and the lag in changes and seconds right after.
    fn lags(seen: &[(u64, i64, i64)]) -> Vec<(u64, u64)> {
        let zero = Instant::now();
        let mut samples = Samples::default();
        let lag = |(second, newest, applied): &(u64, i64, i64)| {
            let now = zero + Duration::from_secs(*second);
            samples.observe(now, *newest, *applied);
            let lag = samples.at(now);
            (lag.changes, lag.age.as_secs())
        };
        seen.iter().map(lag).collect()
    }

    #[test]
    fn nothing_seen_and_all_applied_are_no_lag() {
        assert_eq!(Samples::default().at(Instant::now()), LagNow::default());
        assert_eq!(lags(&[(0, 1, 1), (9, 500, 500)]), [(0, 0), (0, 0)]);
    }

    #[test]
    fn the_age_is_that_of_the_oldest_change_that_waits() {
        let seen = [
            (0, 10, 10),
            (1, 12, 10),
            // Nothing new, nothing applied: the same change grows older.
            (3, 12, 10),
            (4, 20, 11),
            // 12 is applied: the oldest that waits was first seen at 4.
            (5, 20, 12),
            (7, 30, 25),
            (8, 30, 30),
            (9, 31, 30),
        ];
        assert_eq!(lags(&seen), [(0, 0), (2, 0), (2, 2), (9, 3), (8, 1), (5, 0), (0, 0), (1, 0)]);
    }

    #[test]
    fn the_age_grows_while_nobody_looks() {
        let zero = Instant::now();
        let mut samples = Samples::default();
        samples.observe(zero, 7, 3);
        let lag = samples.at(zero + Duration::from_millis(2500));
        assert_eq!((lag.changes, lag.millis()), (4, 2500));
        // A clock that another thread has read a moment earlier.
        assert_eq!(samples.at(zero).millis(), 0);
    }

    #[test]
    fn another_log_begins_anew() {
        assert_eq!(lags(&[(0, 100, 50), (8, 5, 2), (9, 5, 2)]), [(50, 0), (3, 0), (3, 1)]);
        assert_eq!(lags(&[(0, 100, 50), (8, 120, 40)]), [(50, 0), (80, 0)]);
    }

    #[test]
    fn memory_is_bounded_and_the_age_never_too_low() {
        let zero = Instant::now();
        let mut samples = Samples::default();
        // A change every 10 ms for 100 s, and none applied.
        let at = |change: i64| zero + Duration::from_millis(10 * change.unsigned_abs());
        for change in 1..=10_000 {
            samples.observe(at(change), change, 0);
            assert!(samples.waiting.len() <= MOST_SAMPLES);
        }
        let end = at(10_000);
        assert_eq!(samples.at(end).age, end - at(1));
        // Then they are applied one after the other.
        let span = (end - at(1)).as_secs_f64();
        for applied in 1..10_000 {
            samples.observe(end, 10_000, applied);
            let error = samples.at(end).age.as_secs_f64() - (end - at(applied + 1)).as_secs_f64();
            assert!((0.0..span / 8.0).contains(&error), "{applied}: {error}");
        }
        samples.observe(end, 10_000, 10_000);
        assert_eq!(samples.at(end), LagNow::default());
        assert!(samples.waiting.is_empty());
    }

    #[test]
    fn clones_share_a_lag_and_it_can_be_forgotten() {
        let lag = Lag::default();
        assert_eq!(lag.seen(), None);
        lag.clone().record(5, 2);
        assert_eq!(lag.now().changes, 3);
        assert_eq!(lag.seen().map(|lag| lag.changes), Some(3));
        lag.forget();
        assert_eq!(lag.now(), LagNow::default());
        assert_eq!(lag.seen(), None);
    }
}
