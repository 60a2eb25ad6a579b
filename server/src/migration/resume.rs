//! What to do next in a switch, from what both engines record: pure, and the only place that
//! reads the two together.

/// What PostgreSQL's control row says of the last switch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decision {
    None,
    Pending,
    Pg,
    Sqlite,
    Aborted,
}

impl Decision {
    pub(super) fn from_word(word: &str) -> Option<Self> {
        [
            ("none", Self::None),
            ("pending", Self::Pending),
            ("pg", Self::Pg),
            ("sqlite", Self::Sqlite),
            ("aborted", Self::Aborted),
        ]
        .into_iter()
        .find_map(|(name, decision)| (name == word).then_some(decision))
    }
}

/// Both engines' records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Records {
    pub(super) decision: Decision,
    /// PostgreSQL is the active engine.
    pub(super) postgres_active: bool,
    /// Number of the last attempt.
    pub(super) attempt: i64,
    /// The attempt that fenced SQLite; `None` while it is open.
    pub(super) fenced: Option<i64>,
}

/// The next step of a switch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Record a new attempt, then fence SQLite.
    Attempt,
    /// Both are fenced by this attempt: commit the decision.
    Decide(i64),
    /// The switch is made.
    Done,
    /// The attempt that fenced SQLite was given up, or a later one has replaced it: open SQLite
    /// again.
    Unfence(i64),
    /// The records contradict each other.
    Halt,
}

/// Reads the records. An attempt that never fenced SQLite is simply followed by a new one.
pub(super) fn next_step(records: Records) -> Step {
    match (records.decision, records.postgres_active, records.fenced) {
        (
            Decision::None | Decision::Aborted | Decision::Sqlite | Decision::Pending,
            false,
            None,
        ) => Step::Attempt,
        (Decision::Pending, false, Some(attempt)) if attempt == records.attempt => {
            Step::Decide(attempt)
        }
        (Decision::Aborted | Decision::Sqlite, false, Some(attempt))
            if attempt <= records.attempt =>
        {
            Step::Unfence(attempt)
        }
        // A coordinator that was paused has fenced SQLite after another one took over: it cannot
        // decide any more, as only the last attempt can.
        (Decision::Pending, false, Some(attempt)) if attempt < records.attempt => {
            Step::Unfence(attempt)
        }
        (Decision::Pg, true, Some(attempt)) if attempt == records.attempt => Step::Done,
        _ => Step::Halt,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DECISIONS: [Decision; 5] =
        [Decision::None, Decision::Pending, Decision::Pg, Decision::Sqlite, Decision::Aborted];

    /// Every combination with attempt 2.
    fn all() -> impl Iterator<Item = Records> {
        DECISIONS.into_iter().flat_map(|decision| {
            [false, true].into_iter().flat_map(move |postgres_active| {
                [None, Some(1), Some(2), Some(3)].into_iter().map(move |fenced| Records {
                    decision,
                    postgres_active,
                    attempt: 2,
                    fenced,
                })
            })
        })
    }

    #[test]
    fn every_pair_of_records_has_its_step() {
        use Decision::{Aborted, None as Undecided, Pending, Pg, Sqlite};
        for records in all() {
            let wanted = match (records.decision, records.postgres_active, records.fenced) {
                (Undecided | Pending | Sqlite | Aborted, false, None) => Step::Attempt,
                (Pending, false, Some(2)) => Step::Decide(2),
                (Sqlite | Aborted, false, Some(attempt @ (1 | 2)))
                | (Pending, false, Some(attempt @ 1)) => Step::Unfence(attempt),
                (Pg, true, Some(2)) => Step::Done,
                _ => Step::Halt,
            };
            assert_eq!(next_step(records), wanted, "{records:?}");
        }
    }

    #[test]
    fn both_engines_are_never_opened() {
        for records in all() {
            match next_step(records) {
                // Opens PostgreSQL, or says that it is open.
                Step::Decide(_) | Step::Done => assert!(records.fenced.is_some(), "{records:?}"),
                // Leaves SQLite open, or opens it.
                Step::Attempt | Step::Unfence(_) => {
                    assert!(!records.postgres_active, "{records:?}")
                }
                Step::Halt => {}
            }
        }
    }
}
