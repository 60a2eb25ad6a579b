//! Calls that start an operation or attach to one, and the events that they give.

use std::pin::Pin;

use switchback_proto::v1::{
    AbortRequest, AbortResponse, BackupRequest, BackupResponse, CutoverRequest, CutoverResponse,
    FinalizeRequest, FinalizeResponse, MigrateRequest, MigrateResponse, OperationEvent,
    PlanRequest, PlanResponse, RestoreRequest, RestoreResponse, RollbackRequest, RollbackResponse,
    ValidateRequest, ValidateResponse, VerifyBackupRequest, VerifyBackupResponse,
    WatchOperationRequest, WatchOperationResponse,
};
use tokio_stream::{Stream, StreamExt};
use tonic::Streaming;

use crate::{Error, Result};

/// Events of an operation until the connection ends.
pub(crate) type EventStream = Pin<Box<dyn Stream<Item = Result<OperationEvent>> + Send>>;

/// A call that starts an operation or attaches to one.
#[derive(Debug, Clone)]
pub(crate) enum Call {
    Plan(PlanRequest),
    /// With a plan, it is much larger than the others.
    Migrate(Box<MigrateRequest>),
    Validate(ValidateRequest),
    Cutover(CutoverRequest),
    Rollback(RollbackRequest),
    Finalize(FinalizeRequest),
    Abort(AbortRequest),
    Backup(BackupRequest),
    Restore(RestoreRequest),
    VerifyBackup(VerifyBackupRequest),
    Watch(WatchOperationRequest),
}

impl Call {
    pub(crate) fn watch(operation_id: String, from_sequence: u64) -> Self {
        Self::Watch(WatchOperationRequest { operation_id, from_sequence })
    }

    pub(crate) fn operation_id(&self) -> Option<String> {
        match self {
            Self::Watch(request) => Some(request.operation_id.clone()),
            _ => None,
        }
    }

    pub(crate) fn first_sequence(&self) -> u64 {
        match self {
            Self::Watch(request) => request.from_sequence,
            _ => 0,
        }
    }
}

/// A message of a stream that carries an event.
pub(crate) trait Carrier {
    fn into_event(self) -> Option<OperationEvent>;
}

macro_rules! carrier {
    ($($name:ident),*) => {$(
        impl Carrier for $name {
            fn into_event(self) -> Option<OperationEvent> {
                self.event
            }
        }
    )*};
}

carrier!(
    PlanResponse,
    MigrateResponse,
    ValidateResponse,
    CutoverResponse,
    AbortResponse,
    RollbackResponse,
    FinalizeResponse,
    BackupResponse,
    RestoreResponse,
    VerifyBackupResponse,
    WatchOperationResponse
);

/// The events of a stream, without the messages around them.
pub(crate) fn events<T: Carrier + 'static>(stream: Streaming<T>) -> EventStream {
    Box::pin(stream.filter_map(|message| match message {
        Ok(message) => message.into_event().map(Ok),
        Err(status) => Some(Err(Error::from_status(&status))),
    }))
}
