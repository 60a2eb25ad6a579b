//! What an operation is asked to do, and how that is kept.

use switchback_proto::{
    v1::{
        AbortRequest, CutoverRequest, FinalizeRequest, MigrateRequest, OperationKind, PlanRequest,
        RollbackRequest, ValidateRequest,
    },
    words::Word,
};

use crate::error::{Error, Reason, Result};

/// What an operation is asked to do.
#[derive(Debug, Clone)]
pub enum Request {
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
}

impl Request {
    pub(super) fn kind(&self) -> OperationKind {
        match self {
            Self::Plan(_) => OperationKind::Plan,
            Self::Migrate(_) => OperationKind::Migrate,
            Self::Validate(_) => OperationKind::Validate,
            Self::Cutover(_) => OperationKind::Cutover,
            Self::Abort(_) => OperationKind::Abort,
            Self::Rollback(_) => OperationKind::Rollback,
            Self::Finalize(_) => OperationKind::Finalize,
        }
    }

    /// The database's name.
    pub fn database(&self) -> &str {
        match self {
            Self::Plan(request) => &request.database,
            Self::Migrate(request) => &request.database,
            Self::Validate(request) => &request.database,
            Self::Cutover(request) => &request.database,
            Self::Abort(request) => &request.database,
            Self::Rollback(request) => &request.database,
            Self::Finalize(request) => &request.database,
        }
    }

    pub(super) fn request_id(&self) -> &str {
        match self {
            Self::Plan(request) => &request.request_id,
            Self::Migrate(request) => &request.request_id,
            Self::Validate(request) => &request.request_id,
            Self::Cutover(request) => &request.request_id,
            Self::Abort(request) => &request.request_id,
            Self::Rollback(request) => &request.request_id,
            Self::Finalize(request) => &request.request_id,
        }
    }

    pub(super) fn changes_data(&self) -> bool {
        match self {
            Self::Plan(_) | Self::Validate(_) => false,
            Self::Migrate(_) | Self::Abort(_) | Self::Finalize(_) => true,
            Self::Cutover(request) => !request.dry_run,
            Self::Rollback(request) => !request.dry_run,
        }
    }

    pub(super) fn to_json(&self) -> Result<String> {
        let json = match self {
            Self::Plan(request) => serde_json::to_string(request),
            Self::Migrate(request) => serde_json::to_string(request),
            Self::Validate(request) => serde_json::to_string(request),
            Self::Cutover(request) => serde_json::to_string(request),
            Self::Abort(request) => serde_json::to_string(request),
            Self::Rollback(request) => serde_json::to_string(request),
            Self::Finalize(request) => serde_json::to_string(request),
        };
        json.map_err(|e| Error::new(Reason::Internal, "a request has no JSON form").caused_by(e))
    }

    pub(super) fn from_json(kind: OperationKind, json: &str) -> Result<Self> {
        let parsed = match kind {
            OperationKind::Plan => serde_json::from_str(json).map(Self::Plan),
            OperationKind::Migrate => serde_json::from_str(json).map(Self::Migrate),
            OperationKind::Validate => serde_json::from_str(json).map(Self::Validate),
            OperationKind::Cutover => serde_json::from_str(json).map(Self::Cutover),
            OperationKind::Abort => serde_json::from_str(json).map(Self::Abort),
            OperationKind::Rollback => serde_json::from_str(json).map(Self::Rollback),
            OperationKind::Finalize => serde_json::from_str(json).map(Self::Finalize),
            other => {
                return Err(Error::new(
                    Reason::StateUnusable,
                    format!("the control database holds a {} operation", other.word()),
                )
                .hint("it was written by a newer server: use that version"));
            }
        };
        parsed.map_err(|error| {
            Error::new(Reason::StateUnusable, "the control database holds a broken request")
                .caused_by(error)
        })
    }
}
