//! Exit codes of the command line, and which reason gives which: the only place that says so.

/// How the command line ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// The operation failed.
    Failed = 1,
    /// Wrong usage: an argument, a plan file, a name that does not exist.
    Usage = 2,
    /// Both engines hold different data.
    Differs = 3,
    /// The server, an engine or the store of backups cannot be reached.
    Unreachable = 4,
    /// Something must be changed first: a blocker, a wrong phase, another operation.
    Precondition = 5,
    /// Ctrl-C; the operation goes on.
    Interrupted = 130,
}

impl Exit {
    /// The number.
    pub fn code(self) -> u8 {
        self as u8
    }
}

/// Reasons that the server sends.
pub const SERVER_REASONS: &[(&str, Exit)] = &[
    ("INVALID_REQUEST", Exit::Usage),
    ("UNAUTHENTICATED", Exit::Precondition),
    ("PERMISSION_DENIED", Exit::Precondition),
    ("TOO_MANY_STREAMS", Exit::Failed),
    ("SERVER_STOPPING", Exit::Unreachable),
    ("CALL_LATE", Exit::Unreachable),
    ("INVALID_PLAN", Exit::Usage),
    ("UNKNOWN_DATABASE", Exit::Usage),
    ("UNKNOWN_OPERATION", Exit::Usage),
    ("UNKNOWN_TABLE", Exit::Usage),
    ("UNKNOWN_BACKUP", Exit::Usage),
    ("BACKUP_MISSING", Exit::Precondition),
    ("OPERATION_RUNNING", Exit::Precondition),
    ("OPERATION_ENDED", Exit::Precondition),
    ("SOURCE_MISSING", Exit::Unreachable),
    ("SOURCE_UNREADABLE", Exit::Unreachable),
    ("SOURCE_LOCKED", Exit::Unreachable),
    ("SOURCE_NOT_A_DATABASE", Exit::Precondition),
    ("SOURCE_CORRUPT", Exit::Precondition),
    ("SOURCE_CHANGED", Exit::Precondition),
    ("SOURCE_FENCED", Exit::Precondition),
    ("SOURCE_FAILED", Exit::Failed),
    ("TARGET_UNREACHABLE", Exit::Unreachable),
    ("TARGET_AUTHENTICATION", Exit::Unreachable),
    ("TARGET_MISSING", Exit::Unreachable),
    ("TARGET_PERMISSION", Exit::Precondition),
    ("TARGET_UNSUPPORTED", Exit::Precondition),
    ("TARGET_NOT_EMPTY", Exit::Precondition),
    ("TARGET_IN_USE", Exit::Precondition),
    ("TARGET_CHANGED", Exit::Precondition),
    ("TARGET_FULL", Exit::Failed),
    ("TARGET_FAILED", Exit::Failed),
    ("PLAN_BLOCKED", Exit::Precondition),
    ("SCHEMA_VERSION_MISMATCH", Exit::Precondition),
    ("VALUE_REFUSED", Exit::Precondition),
    ("TOO_MANY_REJECTS", Exit::Precondition),
    ("CUTOVER_FAILED", Exit::Precondition),
    ("NOT_FOLLOWING", Exit::Precondition),
    ("NOT_REVERSIBLE", Exit::Precondition),
    ("RETURN_REFUSED", Exit::Precondition),
    ("ROLLBACK_FAILED", Exit::Precondition),
    ("ROLLBACK_LOSES", Exit::Precondition),
    ("VALIDATION_STALE", Exit::Precondition),
    ("LEASE_HELD", Exit::Precondition),
    ("HALTED", Exit::Precondition),
    ("NOT_MIGRATED", Exit::Precondition),
    ("ALREADY_MIGRATED", Exit::Precondition),
    ("DATA_DIFFERS", Exit::Differs),
    ("STATE_UNUSABLE", Exit::Unreachable),
    ("STATE_FULL", Exit::Failed),
    ("STORE_UNREACHABLE", Exit::Unreachable),
    ("STORE_REFUSED", Exit::Precondition),
    ("STORE_FULL", Exit::Failed),
    ("STORE_NEWER", Exit::Precondition),
    ("STORE_BUSY", Exit::Precondition),
    ("BACKUP_DAMAGED", Exit::Precondition),
    ("BACKUP_KEY", Exit::Precondition),
    ("RESTORE_REFUSED", Exit::Precondition),
    ("RESTORE_FAILED", Exit::Failed),
    ("CANCELLED", Exit::Failed),
    ("UNIMPLEMENTED", Exit::Failed),
    ("INTERNAL", Exit::Failed),
];

/// Reasons that the client finds itself.
const CLIENT_REASONS: &[(&str, Exit)] = &[
    ("SERVER_UNREACHABLE", Exit::Unreachable),
    ("CONNECTION_LOST", Exit::Unreachable),
    ("INVALID_ENDPOINT", Exit::Usage),
    ("INVALID_FILE", Exit::Usage),
    ("MISSING_URL", Exit::Usage),
    ("NOT_CONFIRMED", Exit::Usage),
    ("INTERRUPTED", Exit::Interrupted),
];

/// Exit code of a reason; a reason that this version does not know is a failure.
pub fn of_reason(reason: &str) -> Exit {
    SERVER_REASONS
        .iter()
        .chain(CLIENT_REASONS)
        .find(|(name, _)| *name == reason)
        .map_or(Exit::Failed, |(_, exit)| *exit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_give_the_documented_codes() {
        for (reason, code) in [
            ("INVALID_PLAN", 2),
            ("UNKNOWN_TABLE", 2),
            ("OPERATION_RUNNING", 5),
            ("PLAN_BLOCKED", 5),
            ("NOT_FOLLOWING", 5),
            ("LEASE_HELD", 5),
            ("BACKUP_DAMAGED", 5),
            ("STORE_UNREACHABLE", 4),
            ("TARGET_UNREACHABLE", 4),
            ("SERVER_UNREACHABLE", 4),
            ("DATA_DIFFERS", 3),
            ("CANCELLED", 1),
            ("INTERRUPTED", 130),
            ("SOMETHING_NEW", 1),
            ("", 1),
        ] {
            assert_eq!(of_reason(reason).code(), code, "{reason}");
        }
    }

    #[test]
    fn no_reason_stands_twice() {
        let mut names: Vec<_> =
            SERVER_REASONS.iter().chain(CLIENT_REASONS).map(|(name, _)| *name).collect();
        names.sort_unstable();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]));
    }
}
