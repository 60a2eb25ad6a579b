//! Who calls, and from where.

use std::{net::SocketAddr, sync::Arc};

use super::Role;

/// The other end of a connection.
#[derive(Debug, Clone)]
pub struct Peer {
    /// Its address.
    pub address: SocketAddr,
    /// Subject of the certificate that it proved to hold the key of, as RFC 4514 writes it.
    pub certificate: Option<Arc<str>>,
}

/// Who calls.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Name of the token, else subject of the certificate, else `loopback` or `anonymous`.
    pub name: Arc<str>,
    /// What they may do.
    pub role: Role,
}

impl Caller {
    /// The caller with a token.
    pub(crate) fn named(name: &str, role: Role) -> Self {
        Self { name: name.into(), role }
    }

    /// The caller of a server that has no tokens: whoever reaches it may do everything.
    pub(crate) fn without_token(peer: &Peer) -> Self {
        let place =
            if peer.address.ip().to_canonical().is_loopback() { "loopback" } else { "anonymous" };
        let name = peer.certificate.clone().unwrap_or_else(|| place.into());
        Self { name, role: Role::Admin }
    }
}
