//! One call: who makes it, and what it is about, for the audit log.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tonic::{Request, Status};

use super::{roles::Method, status_of};
use crate::{
    access::{Caller, Peer, Role, audit},
    error::{Error, Reason, Result},
};

/// A call, as the gate gives it to the services.
#[derive(Debug, Clone)]
pub(super) struct Call {
    method: &'static Method,
    peer: Peer,
    caller: Option<Caller>,
    subject: Arc<Mutex<Subject>>,
}

/// What a call is about: known when its message has been read.
#[derive(Debug, Default)]
struct Subject {
    database: String,
    request_id: String,
    operation_id: String,
}

impl Call {
    /// A call whose caller is not known yet.
    pub(super) fn new(method: &'static Method, peer: Peer) -> Self {
        Self { method, peer, caller: None, subject: Arc::default() }
    }

    /// Says who makes it, who may at least call the method.
    pub(super) fn by(&mut self, caller: Caller) -> Result<()> {
        let caller = self.caller.insert(caller);
        self.method.role.map_or(Ok(()), |role| permit(caller, role))
    }

    /// A request's message, and the call that it belongs to.
    pub(super) fn open<T>(mut request: Request<T>) -> Result<(Self, T), Status> {
        let call = request.extensions_mut().remove::<Self>();
        // Nothing is served that did not come through the gate.
        let call =
            call.ok_or_else(|| status_of(&Error::new(Reason::Internal, "the call has no caller")))?;
        Ok((call, request.into_inner()))
    }

    /// Name of the caller.
    pub(super) fn caller(&self) -> &str {
        self.caller.as_ref().map_or("", |caller| &caller.name)
    }

    /// Fails unless the caller has a role.
    pub(super) fn require(&self, role: Role) -> Result<()> {
        let caller = self.caller.as_ref();
        caller.map_or_else(|| Err(denied("nobody", "no role", role)), |caller| permit(caller, role))
    }

    /// Says what it is about.
    pub(super) fn about(&self, database: &str, request_id: &str) {
        let mut subject = self.subject();
        database.clone_into(&mut subject.database);
        request_id.clone_into(&mut subject.request_id);
    }

    /// Says which operation it started, attached to, or is about.
    pub(super) fn operation(&self, id: &str) {
        id.clone_into(&mut self.subject().operation_id);
    }

    fn subject(&self) -> MutexGuard<'_, Subject> {
        self.subject.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn audit(&self, outcome: &'static str, reason: &str) {
        let subject = self.subject();
        audit::Line {
            outcome,
            caller: self.caller(),
            role: self.caller.as_ref().map_or("", |caller| caller.role.word()),
            certificate: self.peer.certificate.as_deref().unwrap_or_default(),
            peer: &self.peer.address.to_string(),
            method: self.method.path.trim_start_matches('/'),
            database: &subject.database,
            request_id: &subject.request_id,
            operation_id: &subject.operation_id,
            reason,
        }
        .write();
    }
}

fn permit(caller: &Caller, role: Role) -> Result<()> {
    if caller.role >= role {
        return Ok(());
    }
    Err(denied(&caller.name, caller.role.word(), role))
}

fn denied(name: &str, has: &str, role: Role) -> Error {
    let message = format!("{name:?} has the role {has}, and this takes {}", role.word());
    Error::new(Reason::PermissionDenied, message)
        .hint(format!("use a token with the role {}", role.word()))
}

/// The line of a call in the audit log, which is written however it ends: one whose caller is gone
/// may have started something.
pub(super) struct Pending {
    call: Call,
    answered: bool,
}

impl Pending {
    pub(super) fn new(call: Call) -> Self {
        Self { call, answered: false }
    }

    /// Writes how the call was answered; `reason` is that of a refusal. What only reads is written
    /// where somebody may not.
    pub(super) fn answered(mut self, reason: Option<&str>) {
        self.answered = true;
        let denied = [Reason::Unauthenticated, Reason::PermissionDenied].map(Reason::as_str);
        match reason {
            None if self.call.method.is_audited() => self.call.audit("accepted", ""),
            Some(reason) if self.call.method.is_audited() || denied.contains(&reason) => {
                self.call.audit("refused", reason);
            }
            _ => {}
        }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if !self.answered && self.call.method.is_audited() {
            self.call.audit("abandoned", "");
        }
    }
}
