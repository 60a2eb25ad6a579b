//! The one error of the client: what the server said, or why it could not be asked.

use std::{error::Error as StdError, time::Duration};

use switchback_proto::{ERROR_DOMAIN, v1::OperationError};
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::exit::{self, Exit};

/// Result with the client's error.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The server cannot be reached, or does not answer.
pub(crate) const SERVER_UNREACHABLE: &str = "SERVER_UNREACHABLE";
/// The connection broke while an operation was watched, and did not come back.
pub(crate) const CONNECTION_LOST: &str = "CONNECTION_LOST";
/// A file that the client needs cannot be read, or is not what it should be.
pub(crate) const INVALID_FILE: &str = "INVALID_FILE";
/// The endpoint is no address of a server.
pub(crate) const INVALID_ENDPOINT: &str = "INVALID_ENDPOINT";

/// Why a call failed: a stable reason, a message, and what to do next.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    reason: String,
    message: String,
    hint: String,
    operation_id: Option<String>,
    lost: bool,
}

impl Error {
    /// An error with its reason and a message for a person.
    pub fn new(reason: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            message: message.into(),
            hint: String::new(),
            operation_id: None,
            lost: false,
        }
    }

    /// Adds what to do next.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = hint.into();
        self
    }

    /// Adds the operation that the error is about.
    #[must_use]
    pub fn with_operation(mut self, operation_id: impl Into<String>) -> Self {
        self.operation_id = Some(operation_id.into());
        self
    }

    /// Reads what the server said about a failed call.
    pub fn from_status(status: &Status) -> Self {
        let info = status.get_details_error_info().filter(|info| info.domain == ERROR_DOMAIN);
        let Some(mut info) = info else { return Self::from_bare_status(status) };
        Self {
            reason: info.reason,
            message: status.message().to_owned(),
            hint: info.metadata.remove("hint").unwrap_or_default(),
            operation_id: info.metadata.remove("operation_id"),
            // A server that shuts down says so with its own reason.
            lost: status.code() == Code::Unavailable,
        }
    }

    /// A status without our details: the transport made it, or something between.
    fn from_bare_status(status: &Status) -> Self {
        let lost = matches!(
            status.code(),
            Code::Unavailable
                | Code::Unknown
                | Code::Internal
                | Code::Cancelled
                | Code::DeadlineExceeded
        );
        // Only a connection that broke has a cause here: what a server sends is a code and a text.
        let broke = StdError::source(status).is_some();
        let message = root_cause(status);
        let message = if message.is_empty() { status.code().to_string() } else { message };
        let error = match status.code() {
            Code::Unavailable | Code::DeadlineExceeded => {
                Self::new(SERVER_UNREACHABLE, format!("the server does not answer: {message}"))
                    .with_hint("check that switchbackd runs and that the endpoint is its address")
            }
            _ if broke => Self::new(SERVER_UNREACHABLE, format!("the connection broke: {message}"))
                .with_hint(
                    "check that the endpoint is a Switchback server's, that http or https is what \
                     it speaks, and whether it asks for a certificate (--cert, --key)",
                ),
            Code::Unimplemented => Self::new("UNIMPLEMENTED", message)
                .with_hint("the server does not know this call; use a client of its version"),
            code => Self::new(code_name(code), message),
        };
        Self { lost, ..error }
    }

    /// The connection to `endpoint` could not be made.
    pub(crate) fn unreachable(endpoint: &str, error: &(dyn StdError + 'static)) -> Self {
        let cause = root_cause(error);
        Self {
            lost: true,
            ..Self::new(
                SERVER_UNREACHABLE,
                format!("cannot reach the server at {endpoint}: {cause}"),
            )
            .with_hint("start it with `switchbackd`, or give its address with --endpoint")
        }
    }

    /// The server took a call and did not answer it in time.
    pub(crate) fn late(deadline: Duration) -> Self {
        let seconds = deadline.as_secs();
        let message = format!("the server did not answer within {seconds} s");
        Self {
            lost: true,
            ..Self::new(SERVER_UNREACHABLE, message)
                .with_hint("check that the endpoint is a Switchback server, and see its log")
        }
    }

    /// Stable reason, upper case: `TARGET_NOT_EMPTY`.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// What happened.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What to do next; empty where nothing is known.
    pub fn hint(&self) -> &str {
        &self.hint
    }

    /// The operation that the error is about: the one in the way, or the one that was watched.
    pub fn operation_id(&self) -> Option<&str> {
        self.operation_id.as_deref()
    }

    /// Exit code that the command line ends with.
    pub fn exit(&self) -> Exit {
        exit::of_reason(&self.reason)
    }

    /// The connection broke or the server went away: the same call may succeed later.
    pub fn is_connection_lost(&self) -> bool {
        self.lost
    }
}

impl From<OperationError> for Error {
    fn from(error: OperationError) -> Self {
        Self::new(error.reason, error.message).with_hint(error.hint)
    }
}

/// `PermissionDenied` as gRPC writes it: `PERMISSION_DENIED`.
fn code_name(code: Code) -> String {
    let mut name = String::new();
    for letter in format!("{code:?}").chars() {
        if letter.is_ascii_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(letter.to_ascii_uppercase());
    }
    name
}

/// Transport errors say "transport error" and keep the cause (a refused connection) three
/// sources down.
pub(crate) fn root_cause(error: &(dyn StdError + 'static)) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    match cause.downcast_ref::<Status>() {
        Some(status) => status.message().to_owned(),
        None => cause.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use tonic_types::ErrorDetails;

    use super::*;

    fn rich(code: Code, domain: &str) -> Status {
        let metadata = HashMap::from([
            ("hint".to_owned(), "wait for it".to_owned()),
            ("operation_id".to_owned(), "op-1".to_owned()),
        ]);
        let details = ErrorDetails::with_error_info("OPERATION_RUNNING", domain, metadata);
        Status::with_error_details(code, "another operation runs", details)
    }

    #[test]
    fn error_info_is_read() {
        let error = Error::from_status(&rich(Code::Aborted, ERROR_DOMAIN));
        assert_eq!(error.reason(), "OPERATION_RUNNING");
        assert_eq!(error.message(), "another operation runs");
        assert_eq!(error.hint(), "wait for it");
        assert_eq!(error.operation_id(), Some("op-1"));
        assert_eq!(error.exit(), Exit::Precondition);
        assert!(!error.is_connection_lost());
    }

    #[test]
    fn details_of_another_domain_are_not_ours() {
        let error = Error::from_status(&rich(Code::Aborted, "proxy.example"));
        assert_eq!(error.reason(), "ABORTED");
        assert_eq!(error.operation_id(), None);
        assert_eq!(error.exit(), Exit::Failed);
    }

    #[test]
    fn bare_codes_have_reasons() {
        for (status, reason, exit, lost) in [
            (Status::unavailable("gone"), "SERVER_UNREACHABLE", Exit::Unreachable, true),
            (Status::deadline_exceeded("late"), "SERVER_UNREACHABLE", Exit::Unreachable, true),
            (Status::unknown("broken pipe"), "UNKNOWN", Exit::Failed, true),
            (Status::unimplemented("no such call"), "UNIMPLEMENTED", Exit::Failed, false),
            (Status::permission_denied("no"), "PERMISSION_DENIED", Exit::Precondition, false),
        ] {
            let error = Error::from_status(&status);
            assert_eq!(error.reason(), reason);
            assert_eq!(error.exit(), exit);
            assert_eq!(error.is_connection_lost(), lost);
        }
    }

    /// A server that speaks TLS, for one: HTTP/2 finds no frames in what it says.
    #[test]
    fn a_connection_that_breaks_is_no_answer() {
        let mut status = Status::internal("h2 protocol error");
        status.set_source(std::sync::Arc::new(std::io::Error::other("frame with invalid size")));
        let error = Error::from_status(&status);
        assert_eq!((error.reason(), error.exit()), (SERVER_UNREACHABLE, Exit::Unreachable));
        assert!(error.is_connection_lost() && error.message().contains("frame"), "{error}");
        assert!(!error.hint().is_empty());
    }

    #[test]
    fn a_server_that_shuts_down_is_a_lost_connection() {
        assert!(Error::from_status(&rich(Code::Unavailable, ERROR_DOMAIN)).is_connection_lost());
    }
}
