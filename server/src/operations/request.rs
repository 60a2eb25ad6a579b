//! What an operation is asked to do, and how that is kept.

use switchback_proto::{
    v1::{
        AbortRequest, BackupRequest, CutoverRequest, FinalizeRequest, MigrateRequest,
        OperationKind, PlanRequest, RestoreRequest, RollbackRequest, ValidateRequest,
        VerifyBackupRequest,
    },
    words::Word,
};

use crate::error::{Error, Reason, Result};

/// Every kind of operation has a request with a database and an id of the caller's.
macro_rules! requests {
    ($($(#[$doc:meta])* $kind:ident($request:ty),)*) => {
        /// What an operation is asked to do.
        #[derive(Debug, Clone)]
        pub enum Request { $($(#[$doc])* $kind($request),)* }

        impl Request {
            pub(crate) fn kind(&self) -> OperationKind {
                match self { $(Self::$kind(_) => OperationKind::$kind,)* }
            }

            /// The database's name.
            pub fn database(&self) -> &str {
                match self { $(Self::$kind(request) => &request.database,)* }
            }

            pub(crate) fn request_id(&self) -> &str {
                match self { $(Self::$kind(request) => &request.request_id,)* }
            }

            pub(super) fn to_json(&self) -> Result<String> {
                let json = match self { $(Self::$kind(request) => serde_json::to_string(request),)* };
                json.map_err(|error| {
                    Error::new(Reason::Internal, "a request has no JSON form").caused_by(error)
                })
            }

            pub(super) fn from_json(kind: OperationKind, json: &str) -> Result<Self> {
                let parsed = match kind {
                    $(OperationKind::$kind => serde_json::from_str(json).map(Self::$kind),)*
                    OperationKind::Unspecified => return Err(newer(kind)),
                };
                parsed.map_err(|error| {
                    Error::new(Reason::StateUnusable, "the control database holds a broken request")
                        .caused_by(error)
                })
            }
        }
    };
}

requests! {
    /// Say what a migration would do.
    Plan(PlanRequest),
    /// Move the data.
    Migrate(Box<MigrateRequest>),
    /// Compare both engines.
    Validate(ValidateRequest),
    /// Make PostgreSQL the active engine.
    Cutover(CutoverRequest),
    /// Undo a migration that has not been cut over.
    Abort(AbortRequest),
    /// Make SQLite the active engine again.
    Rollback(RollbackRequest),
    /// End reverse replication.
    Finalize(FinalizeRequest),
    /// Store the data of the active engine.
    Backup(BackupRequest),
    /// Bring a backup back.
    Restore(RestoreRequest),
    /// Read every chunk of a backup.
    VerifyBackup(VerifyBackupRequest),
}

impl Request {
    pub(super) fn changes_data(&self) -> bool {
        match self {
            Self::Plan(_) | Self::Validate(_) | Self::Backup(_) | Self::VerifyBackup(_) => false,
            Self::Migrate(_) | Self::Abort(_) | Self::Finalize(_) => true,
            Self::Cutover(request) => !request.dry_run,
            Self::Rollback(request) => !request.dry_run,
            // Elsewhere it is in nobody's way.
            Self::Restore(request) => request.restore_as.is_empty(),
        }
    }
}

fn newer(kind: OperationKind) -> Error {
    let message = format!("the control database holds a {} operation", kind.word());
    Error::new(Reason::StateUnusable, message)
        .hint("it was written by a newer server: use that version")
}
