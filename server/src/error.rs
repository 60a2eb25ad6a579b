//! The one error of the service: a stable reason, a message, and what to do next.

use std::{error::Error as StdError, fmt};

/// Result with the service's error.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, for a person and for a program.
#[derive(Debug)]
pub struct Error {
    reason: Reason,
    message: String,
    hint: Option<String>,
    operation: Option<String>,
    row: Option<String>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// What a caller can do about an error; each maps to one gRPC status and one exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The request or the configuration is wrong.
    Invalid,
    /// What the request names does not exist.
    NotFound,
    /// Something must be changed first.
    Precondition,
    /// Another operation is in the way.
    Conflict,
    /// Who calls is not known.
    Unauthenticated,
    /// Whoever calls may not do this.
    Denied,
    /// An engine cannot be reached just now; trying again may help.
    Unavailable,
    /// It was not done in time.
    Late,
    /// The caller asked to stop.
    Cancelled,
    /// Both engines hold different data.
    Differs,
    /// Space, memory or connections ran out.
    Exhausted,
    /// Not in this version.
    Unimplemented,
    /// Anything else.
    Internal,
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $kind:ident;)*) => {
        /// Stable reason of an error, as `google.rpc.ErrorInfo.reason` carries it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Reason { $($(#[$doc])* $name,)* }

        impl Reason {
            /// Every reason.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The text that programs match on.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// What a caller can do about it.
            pub fn kind(self) -> Kind {
                match self { $(Self::$name => Kind::$kind,)* }
            }
        }
    };
}

reasons! {
    /// A field of the request is wrong.
    InvalidRequest = "INVALID_REQUEST", Invalid;
    /// The call has no token, or one that is not known or has expired.
    Unauthenticated = "UNAUTHENTICATED", Unauthenticated;
    /// The caller's role may not do this.
    PermissionDenied = "PERMISSION_DENIED", Denied;
    /// More streams are open than the server serves.
    TooManyStreams = "TOO_MANY_STREAMS", Exhausted;
    /// The server is being stopped: operations go on, and new ones begin, at its next start.
    ServerStopping = "SERVER_STOPPING", Unavailable;
    /// The call was not answered in time.
    CallLate = "CALL_LATE", Late;
    /// A plan given to migrate does not fit.
    InvalidPlan = "INVALID_PLAN", Invalid;
    /// No such database is configured.
    UnknownDatabase = "UNKNOWN_DATABASE", NotFound;
    /// No such operation.
    UnknownOperation = "UNKNOWN_OPERATION", NotFound;
    /// No such table in the source or the plan.
    UnknownTable = "UNKNOWN_TABLE", NotFound;
    /// Another changing operation runs on the database.
    OperationRunning = "OPERATION_RUNNING", Conflict;
    /// The operation has ended already.
    OperationEnded = "OPERATION_ENDED", Precondition;
    /// The source file does not exist.
    SourceMissing = "SOURCE_MISSING", Unavailable;
    /// The source file cannot be opened or read.
    SourceUnreadable = "SOURCE_UNREADABLE", Unavailable;
    /// Another process holds the source file.
    SourceLocked = "SOURCE_LOCKED", Unavailable;
    /// The source file is not a SQLite database, or it is encrypted.
    SourceNotADatabase = "SOURCE_NOT_A_DATABASE", Precondition;
    /// The source file is damaged.
    SourceCorrupt = "SOURCE_CORRUPT", Precondition;
    /// The source changed while it was copied.
    SourceChanged = "SOURCE_CHANGED", Precondition;
    /// Another migration has fenced the source file.
    SourceFenced = "SOURCE_FENCED", Precondition;
    /// Anything else that SQLite said.
    SourceFailed = "SOURCE_FAILED", Internal;
    /// PostgreSQL does not answer.
    TargetUnreachable = "TARGET_UNREACHABLE", Unavailable;
    /// PostgreSQL refuses the user or its password.
    TargetAuthentication = "TARGET_AUTHENTICATION", Unavailable;
    /// The PostgreSQL database does not exist.
    TargetMissing = "TARGET_MISSING", Unavailable;
    /// The PostgreSQL user lacks a right.
    TargetPermission = "TARGET_PERMISSION", Precondition;
    /// PostgreSQL is older than 13, not UTF-8, read-only, or otherwise unfit.
    TargetUnsupported = "TARGET_UNSUPPORTED", Precondition;
    /// The target schema holds tables already.
    TargetNotEmpty = "TARGET_NOT_EMPTY", Precondition;
    /// The target holds a migration that this server does not know.
    TargetInUse = "TARGET_IN_USE", Precondition;
    /// The target's tables are not those that were planned for.
    TargetChanged = "TARGET_CHANGED", Precondition;
    /// PostgreSQL has no space left.
    TargetFull = "TARGET_FULL", Exhausted;
    /// Anything else that PostgreSQL said.
    TargetFailed = "TARGET_FAILED", Internal;
    /// The plan has blockers.
    PlanBlocked = "PLAN_BLOCKED", Precondition;
    /// The engines have different schema versions of the application.
    SchemaVersionMismatch = "SCHEMA_VERSION_MISMATCH", Precondition;
    /// A value does not fit its column's type, and no choice was made for that.
    ValueRefused = "VALUE_REFUSED", Precondition;
    /// More rows were rejected than allowed.
    TooManyRejects = "TOO_MANY_REJECTS", Precondition;
    /// The switch could not be made in time; the source is open again.
    CutoverFailed = "CUTOVER_FAILED", Conflict;
    /// The way back could not be gone in time; PostgreSQL goes on.
    RollbackFailed = "ROLLBACK_FAILED", Conflict;
    /// Going back would leave acknowledged writes behind, and nobody has accepted that.
    RollbackLoses = "ROLLBACK_LOSES", Precondition;
    /// SQLite cannot hold what PostgreSQL holds.
    ReturnRefused = "RETURN_REFUSED", Precondition;
    /// Both engines were not compared for too long.
    ValidationStale = "VALIDATION_STALE", Precondition;
    /// There is no way back.
    NotReversible = "NOT_REVERSIBLE", Precondition;
    /// No migration is in following.
    NotFollowing = "NOT_FOLLOWING", Precondition;
    /// Another server coordinates the database.
    LeaseHeld = "LEASE_HELD", Conflict;
    /// It needs a person: the source changed, or both engines' records contradict each other.
    Halted = "HALTED", Precondition;
    /// Nothing has been migrated yet.
    NotMigrated = "NOT_MIGRATED", Precondition;
    /// The database has been migrated already.
    AlreadyMigrated = "ALREADY_MIGRATED", Precondition;
    /// Both engines hold different data.
    DataDiffers = "DATA_DIFFERS", Differs;
    /// The state directory cannot be used.
    StateUnusable = "STATE_UNUSABLE", Unavailable;
    /// The state directory has no space left.
    StateFull = "STATE_FULL", Exhausted;
    /// The store of backups does not answer.
    StoreUnreachable = "STORE_UNREACHABLE", Unavailable;
    /// The store of backups refuses the credentials, or lacks the bucket or the directory.
    StoreRefused = "STORE_REFUSED", Precondition;
    /// The store of backups has no space left.
    StoreFull = "STORE_FULL", Exhausted;
    /// The store of backups was written by a newer version.
    StoreNewer = "STORE_NEWER", Precondition;
    /// No such backup.
    UnknownBackup = "UNKNOWN_BACKUP", NotFound;
    /// The backup that something relies on is not there any more.
    BackupMissing = "BACKUP_MISSING", Precondition;
    /// A backup is damaged: a chunk or its manifest is missing, truncated or not what it was.
    BackupDamaged = "BACKUP_DAMAGED", Precondition;
    /// A backup is encrypted with a key that the server does not have.
    BackupKey = "BACKUP_KEY", Precondition;
    /// A backup or a sweep of the store is in the way.
    StoreBusy = "STORE_BUSY", Conflict;
    /// There is something where the backup is to be restored.
    RestoreRefused = "RESTORE_REFUSED", Precondition;
    /// What was restored is not what the backup holds, or could not be restored whole.
    RestoreFailed = "RESTORE_FAILED", Internal;
    /// The caller asked to stop.
    Cancelled = "CANCELLED", Cancelled;
    /// Not in this version.
    Unimplemented = "UNIMPLEMENTED", Unimplemented;
    /// A defect in Switchback.
    Internal = "INTERNAL", Internal;
}

/// Something of Switchback's own that a later version has written, which this one must not touch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Newer {
    /// What it is: "the control database".
    pub(crate) what: &'static str,
    /// Its version.
    pub(crate) found: i64,
    /// The newest version that this server knows.
    pub(crate) known: i64,
}

impl Newer {
    /// The error where `found` is newer than what is `known`.
    pub(crate) fn check(self) -> Result<(), Self> {
        if self.found > self.known { Err(self) } else { Ok(()) }
    }

    /// What callers are told, for this reason.
    pub(crate) fn into_error(self, reason: Reason) -> Error {
        Error::new(reason, self.to_string())
            .hint("upgrade the server to the version that wrote it; nothing was changed")
    }
}

impl fmt::Display for Newer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, found, known } = self;
        write!(
            f,
            "{what} was written by a newer Switchback (version {found}, this server knows {known})"
        )
    }
}

impl StdError for Newer {}

impl Error {
    /// An error with its reason and a message for a person: lower case, no full stop, no values
    /// of rows and no secrets.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self {
            reason,
            message: message.into(),
            hint: None,
            operation: None,
            row: None,
            source: None,
        }
    }

    /// Adds what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds the error behind this one.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Names the operation that is in the way.
    #[must_use]
    pub fn operation(mut self, id: impl Into<String>) -> Self {
        self.operation = Some(id.into());
        self
    }

    /// Names the row that it is about. Keys are values: findings show them, messages and logs do
    /// not.
    #[must_use]
    pub fn row(mut self, key: impl Into<String>) -> Self {
        self.row = Some(key.into());
        self
    }

    /// Puts the place where it happened before the message.
    #[must_use]
    pub fn at(mut self, place: impl fmt::Display) -> Self {
        self.message = format!("{place}: {}", self.message);
        self
    }

    /// Stable reason.
    pub fn reason(&self) -> Reason {
        self.reason
    }

    /// What a caller can do about it.
    pub fn kind(&self) -> Kind {
        self.reason.kind()
    }

    /// What happened.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What to do next; empty where nothing is known.
    pub fn hint_text(&self) -> &str {
        self.hint.as_deref().unwrap_or_default()
    }

    /// The operation that is in the way.
    pub fn operation_id(&self) -> Option<&str> {
        self.operation.as_deref()
    }

    /// Key of the row that it is about.
    pub fn row_key(&self) -> Option<&str> {
        self.row.as_deref()
    }

    /// Trying the same again later may help.
    pub fn is_retryable(&self) -> bool {
        matches!(self.reason, Reason::TargetUnreachable | Reason::SourceLocked)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}
