//! What an answer of S3, or the lack of one, means. Decided on codes; texts of a store never get
//! into messages, since they may name keys and tokens.

use std::error::Error as StdError;

use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};

use crate::error::{Error, Reason};

/// The error of a request: what was done, and at which place.
pub(super) fn refused_or_unreachable<E>(action: &str, place: &str, error: &SdkError<E>) -> Error
where
    E: ProvideErrorMetadata + StdError + 'static,
{
    let (reason, hint) = meaning(error.code(), status(error));
    let told = told(error);
    Error::new(reason, format!("cannot {action} the store {place}: {told}")).hint(hint)
}

/// The error of an answer that did not come whole.
pub(super) fn unreachable(action: &str, place: &str, why: &str) -> Error {
    let (reason, hint) = meaning(None, None);
    Error::new(reason, format!("cannot {action} the store {place}: {why}")).hint(hint)
}

/// The error of a bucket that does not exist.
pub(super) fn no_bucket(place: &str) -> Error {
    let (reason, hint) = meaning(Some("NoSuchBucket"), None);
    Error::new(reason, format!("cannot use the store {place}: NoSuchBucket")).hint(hint)
}

/// There is no such object; a missing bucket is something else where the store says so.
pub(super) fn is_missing_object<E: ProvideErrorMetadata>(error: &SdkError<E>) -> bool {
    status(error) == Some(404) && error.code() != Some("NoSuchBucket")
}

/// The answer of a HEAD for a bucket that does not exist; it has no body, hence no code.
pub(super) fn is_missing_bucket<E: ProvideErrorMetadata>(error: &SdkError<E>) -> bool {
    status(error) == Some(404)
}

/// Whether the answer of a HEAD, which has no code, may come from a clock that is wrong.
pub(super) fn is_forbidden<E>(error: &SdkError<E>) -> bool {
    status(error) == Some(403)
}

/// The store does not know such requests, or wants them in a form of its own.
pub(super) fn is_unsupported<E: ProvideErrorMetadata>(error: &SdkError<E>) -> bool {
    let codes = [
        "BadDigest",
        "InvalidArgument",
        "InvalidDigest",
        "InvalidRequest",
        "MalformedXML",
        "MethodNotAllowed",
        "MissingContentMD5",
        "NotImplemented",
    ];
    matches!(status(error), Some(405 | 411 | 501))
        || error.code().is_some_and(|code| codes.contains(&code))
}

/// What went wrong, in a few words without values.
pub(super) fn told<E>(error: &SdkError<E>) -> String
where
    E: ProvideErrorMetadata + StdError + 'static,
{
    match error {
        SdkError::ServiceError(_) | SdkError::ResponseError(_) => {
            let status = status(error).unwrap_or_default();
            match error.code().filter(|code| code.bytes().all(|byte| byte.is_ascii_alphanumeric()))
            {
                Some(code) => format!("{code} ({status})"),
                None => format!("it answered with status {status}"),
            }
        }
        SdkError::TimeoutError(_) => "it did not answer in time".into(),
        other => other.source().map_or_else(|| other.to_string(), chain),
    }
}

/// An error and those behind it; only for what does not come from a store.
pub(super) fn chain(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

fn status<E>(error: &SdkError<E>) -> Option<u16> {
    error.raw_response().map(|response| response.status().as_u16())
}

/// Reason and what to do next, by the code of an error and the status of its answer, where there
/// are any.
fn meaning(code: Option<&str>, status: Option<u16>) -> (Reason, &'static str) {
    let code = code.unwrap_or_default();
    match (code, status) {
        ("QuotaExceeded" | "StorageFull" | "XMinioStorageFull", _)
        | ("XMinioAdminBucketQuotaExceeded", _)
        | (_, Some(507)) => {
            (Reason::StoreFull, "free some space there, or prune backups, and try again")
        }
        ("NoSuchBucket", _) => {
            (Reason::StoreRefused, "make the bucket, or set SWITCHBACK_STORE to one that is there")
        }
        (
            "InvalidAccessKeyId"
            | "SignatureDoesNotMatch"
            | "InvalidToken"
            | "ExpiredToken"
            | "InvalidClientTokenId",
            _,
        ) => (
            Reason::StoreRefused,
            "check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN",
        ),
        ("RequestTimeTooSkewed", _) => {
            (Reason::StoreRefused, "set the clock of this machine, or that of the store")
        }
        (
            "PermanentRedirect"
            | "TemporaryRedirect"
            | "AuthorizationHeaderMalformed"
            | "IllegalLocationConstraintException",
            _,
        )
        | (_, Some(301 | 307)) => (Reason::StoreRefused, "set AWS_REGION to the bucket's region"),
        ("RequestTimeout", _) | (_, None | Some(408 | 409 | 429 | 500..)) => (
            Reason::StoreUnreachable,
            "check that the store runs and that AWS_ENDPOINT_URL is its address, and try again",
        ),
        (_, Some(401 | 403)) => (
            Reason::StoreRefused,
            "allow the key to list the bucket, and to get, put and delete objects in it",
        ),
        _ => (
            Reason::StoreRefused,
            "check SWITCHBACK_STORE, AWS_ENDPOINT_URL, AWS_REGION and SWITCHBACK_S3_SSE",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_come_before_statuses() {
        for (code, status, reason) in [
            (Some("AccessDenied"), Some(403), Reason::StoreRefused),
            (None, Some(403), Reason::StoreRefused),
            (Some("NoSuchBucket"), Some(404), Reason::StoreRefused),
            (Some("InvalidAccessKeyId"), Some(403), Reason::StoreRefused),
            (Some("PermanentRedirect"), Some(301), Reason::StoreRefused),
            (Some("InvalidArgument"), Some(400), Reason::StoreRefused),
            (Some("QuotaExceeded"), Some(403), Reason::StoreFull),
            (Some("XMinioStorageFull"), Some(507), Reason::StoreFull),
            (Some("RequestTimeout"), Some(400), Reason::StoreUnreachable),
            (Some("SlowDown"), Some(503), Reason::StoreUnreachable),
            (None, Some(500), Reason::StoreUnreachable),
            (None, None, Reason::StoreUnreachable),
        ] {
            assert_eq!(meaning(code, status).0, reason, "{code:?} {status:?}");
        }
    }
}
