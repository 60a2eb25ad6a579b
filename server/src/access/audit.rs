//! The audit log: one line for each call that runs, changes or is refused, and one for the end of
//! each operation.

use switchback_proto::{
    v1::{OperationKind, OperationState},
    words::Word,
};

/// Target of the audit log's events; no filter hides them.
pub const TARGET: &str = "audit";

/// Texts of a caller are cut off here: they do not fill the log.
const LONGEST: usize = 128;

/// A call. Each line has each field; a text is empty where it is not known.
#[derive(Debug, Default)]
pub(crate) struct Line<'a> {
    /// `accepted`, `refused`, or `abandoned` where the caller was gone before the answer.
    pub(crate) outcome: &'static str,
    pub(crate) caller: &'a str,
    /// Role of the caller; empty where it is not known.
    pub(crate) role: &'a str,
    pub(crate) certificate: &'a str,
    pub(crate) peer: &'a str,
    pub(crate) method: &'a str,
    pub(crate) database: &'a str,
    pub(crate) request_id: &'a str,
    pub(crate) operation_id: &'a str,
    /// Stable reason of a refusal.
    pub(crate) reason: &'a str,
}

impl Line<'_> {
    /// Writes it.
    pub(crate) fn write(&self) {
        tracing::info!(
            target: TARGET,
            outcome = self.outcome,
            caller = self.caller,
            role = self.role,
            certificate = self.certificate,
            peer = self.peer,
            method = self.method,
            database = short(self.database),
            request_id = short(self.request_id),
            operation_id = short(self.operation_id),
            reason = self.reason,
            "audit"
        );
    }
}

/// The end of an operation. After a restart `caller` is empty: the line with `accepted` has it.
#[derive(Debug)]
pub(crate) struct Ended<'a> {
    pub(crate) operation_id: &'a str,
    pub(crate) caller: &'a str,
    pub(crate) database: &'a str,
    pub(crate) kind: OperationKind,
    pub(crate) state: OperationState,
    /// Stable reason; empty where it succeeded.
    pub(crate) reason: &'a str,
}

impl Ended<'_> {
    /// Writes it.
    pub(crate) fn write(&self) {
        tracing::info!(
            target: TARGET,
            outcome = "ended",
            caller = self.caller,
            kind = self.kind.word(),
            database = self.database,
            operation_id = self.operation_id,
            state = self.state.word(),
            reason = self.reason,
            "audit"
        );
    }
}

fn short(text: &str) -> &str {
    &text[..text.floor_char_boundary(LONGEST)]
}
