//! The one place where an error becomes a gRPC status.

use std::{collections::HashMap, time::Duration};

use switchback_proto::ERROR_DOMAIN;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::error::{Error, Kind};

/// When a caller may try again.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// Messages repeat what a caller sent, and gRPC clients take 8 or 16 KiB of headers in all.
const LONGEST: usize = 1024;

/// A text that fits into headers several times.
fn short(text: &str) -> String {
    if text.len() <= LONGEST {
        return text.to_owned();
    }
    format!("{}…", &text[..text.floor_char_boundary(LONGEST)])
}

/// The status of an error, with `google.rpc.ErrorInfo` (the reason, and the hint in its
/// metadata) and what else fits its kind.
pub fn status_of(error: &Error) -> Status {
    let message = short(error.message());
    let mut metadata = HashMap::from([("hint".to_owned(), short(error.hint_text()))]);
    if let Some(id) = error.operation_id() {
        metadata.insert("operation_id".to_owned(), id.to_owned());
    }
    let reason = error.reason().as_str();
    let mut details = ErrorDetails::with_error_info(reason, ERROR_DOMAIN, metadata);
    match error.kind() {
        Kind::Invalid => {
            details.add_bad_request_violation("", &message);
        }
        Kind::Precondition => {
            details.add_precondition_failure_violation(reason, "", &message);
        }
        Kind::Unavailable => {
            details.set_retry_info(Some(RETRY_DELAY));
        }
        _ => {}
    }
    Status::with_error_details(code(error.kind()), message, details)
}

fn code(kind: Kind) -> Code {
    match kind {
        Kind::Invalid => Code::InvalidArgument,
        Kind::NotFound => Code::NotFound,
        Kind::Precondition => Code::FailedPrecondition,
        Kind::Conflict => Code::Aborted,
        Kind::Unauthenticated => Code::Unauthenticated,
        Kind::Denied => Code::PermissionDenied,
        Kind::Unavailable => Code::Unavailable,
        Kind::Late => Code::DeadlineExceeded,
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

    #[test]
    fn a_long_message_fits_into_headers() {
        let error = Error::new(Reason::InvalidPlan, "ü".repeat(100_000)).hint("h".repeat(100_000));
        let status = status_of(&error);
        assert!(status.message().len() + status.details().len() < 8 * LONGEST);
    }
}
