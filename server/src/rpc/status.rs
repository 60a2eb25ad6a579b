//! The one place where an error becomes a gRPC status.

use std::{collections::HashMap, time::Duration};

use switchback_proto::ERROR_DOMAIN;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::error::{Error, Kind};

/// When a caller may try again.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// The status of an error, with `google.rpc.ErrorInfo` (the reason, and the hint in its
/// metadata) and what else fits its kind.
pub fn status_of(error: &Error) -> Status {
    let mut metadata = HashMap::from([("hint".to_owned(), error.hint_text().to_owned())]);
    if let Some(id) = error.operation_id() {
        metadata.insert("operation_id".to_owned(), id.to_owned());
    }
    let reason = error.reason().as_str();
    let mut details = ErrorDetails::with_error_info(reason, ERROR_DOMAIN, metadata);
    match error.kind() {
        Kind::Invalid => {
            details.add_bad_request_violation("", error.message());
        }
        Kind::Precondition => {
            details.add_precondition_failure_violation(reason, "", error.message());
        }
        Kind::Unavailable => {
            details.set_retry_info(Some(RETRY_DELAY));
        }
        _ => {}
    }
    Status::with_error_details(code(error.kind()), error.message(), details)
}

fn code(kind: Kind) -> Code {
    match kind {
        Kind::Invalid => Code::InvalidArgument,
        Kind::NotFound => Code::NotFound,
        Kind::Precondition => Code::FailedPrecondition,
        Kind::Conflict => Code::Aborted,
        Kind::Unavailable => Code::Unavailable,
        Kind::Cancelled => Code::Cancelled,
        Kind::Differs => Code::DataLoss,
        Kind::Exhausted => Code::ResourceExhausted,
        Kind::Unimplemented => Code::Unimplemented,
        Kind::Internal => Code::Internal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Reason;

    #[test]
    fn every_reason_arrives_with_its_hint() {
        for reason in Reason::ALL {
            let error = Error::new(*reason, "something").hint("do this").operation("7");
            let status = status_of(&error);
            let info = status.get_details_error_info().unwrap();
            assert_eq!(info.reason, reason.as_str());
            assert_eq!(info.domain, "switchback");
            assert_eq!(info.metadata["hint"], "do this");
            assert_eq!(info.metadata["operation_id"], "7");
            assert_ne!(status.code(), Code::Unknown);
        }
    }
}
