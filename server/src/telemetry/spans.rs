//! The spans: a call, the operation that it starts, its phases, and their chunks. None has a value
//! of a row, a key or a secret.

use opentelemetry::{
    Context,
    trace::{Status, TraceContextExt},
};
use switchback_proto::{
    v1::{OperationKind, Phase},
    words::Word,
};
use tonic::{Code, codegen::http::HeaderMap};
use tracing::{Span, info_span};
use tracing_opentelemetry::OpenTelemetrySpanExt;

use super::{names::TRACE, traces};
use crate::access::Peer;

/// Name of the attribute with the reason or the code of what failed.
const ERROR_TYPE: &str = "error.type";

/// A call of a method `/package.Service/Method`, joined to what its headers say of the caller's.
pub(crate) fn call(path: &str, peer: &Peer, headers: &HeaderMap) -> Span {
    let name = path.trim_start_matches('/');
    let (service, method) = name.rsplit_once('/').unwrap_or((name, ""));
    let span = info_span!(
        target: TRACE,
        parent: None,
        "call",
        otel.name = name,
        otel.kind = "server",
        rpc.system = "grpc",
        rpc.service = service,
        rpc.method = method,
        network.peer.address = %peer.address.ip(),
        network.peer.port = i64::from(peer.address.port()),
    );
    // It fails only where nothing is recorded.
    let _ = span.set_parent(traces::caller(headers));
    span
}

/// How a call ended. As OpenTelemetry has it, what its caller did wrong is no error of the
/// server's.
pub(crate) fn answered(span: &Span, code: Code, reason: Option<&str>) {
    span.set_attribute("rpc.grpc.status_code", i64::from(i32::from(code)));
    if let Some(reason) = reason {
        span.set_attribute(ERROR_TYPE, reason.to_owned());
    }
    if matches!(
        code,
        Code::Unknown
            | Code::DeadlineExceeded
            | Code::Unimplemented
            | Code::Internal
            | Code::Unavailable
            | Code::DataLoss
    ) {
        span.set_status(Status::error(""));
    }
}

/// An operation's span belongs to the call that starts it, and outlives it.
pub(crate) fn begin_operation(span: &Span, kind: OperationKind) {
    // A parent of `tracing` would not end before its children.
    let _ = span.set_parent(Context::current());
    // Not by a field: the log would have it in every line.
    span.context().span().update_name(format!("operation {}", kind.word()));
}

/// The call asks for an operation that another one has started.
pub(crate) fn attach(operation: &Span) {
    let context = operation.context();
    let operation = context.span().span_context().clone();
    if operation.is_valid() {
        Span::current().add_link(operation);
    }
}

/// How an operation ended: `reason` is that of its failure, or of its end on request.
pub(crate) fn ended(span: &Span, state: &str, reason: Option<&str>) {
    span.set_attribute("state", state.to_owned());
    if let Some(reason) = reason {
        failed(span, reason);
    }
}

/// What a span is of has failed.
pub(crate) fn failed(span: &Span, reason: &str) {
    span.set_attribute(ERROR_TYPE, reason.to_owned());
    span.set_status(Status::error(""));
}

/// A phase of an operation; there is none before the first.
pub(crate) fn phase(phase: Phase) -> Span {
    if phase == Phase::Idle {
        return Span::none();
    }
    let word = phase.word();
    info_span!(target: TRACE, "phase", otel.name = format!("phase {word}"), phase = word)
}

/// A chunk of a table, from its first row to its commit.
pub(crate) fn copy_chunk(table: &str, rows: u64, bytes: u64) -> Span {
    info_span!(
        target: TRACE,
        "chunk",
        otel.name = "copy chunk",
        table,
        rows = number(rows),
        bytes = number(bytes),
    )
}

/// A batch of the change log that an operation carries over. The follower of a pair is no
/// operation: each of its batches would be a trace.
pub(crate) fn batch(changes: u64) -> Span {
    if !Context::current().has_active_span() {
        return Span::none();
    }
    info_span!(target: TRACE, "batch", otel.name = "apply batch", changes = number(changes))
}

/// A chunk of a backup that goes to the store.
pub(crate) fn backup_chunk(bytes: u64) -> Span {
    info_span!(target: TRACE, "chunk", otel.name = "backup chunk", bytes = number(bytes))
}

/// An attribute is a signed number.
fn number(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
