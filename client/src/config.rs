//! Where the server is and how long to wait for it.

use std::{env, time::Duration};

use crate::{Error, Result, error::INVALID_ENDPOINT};

/// Where a server listens unless told otherwise.
pub const DEFAULT_ENDPOINT: &str = "http://127.0.0.1:50051";
/// Environment variable with the endpoint.
pub const ENDPOINT_VARIABLE: &str = "SWITCHBACK_ENDPOINT";

/// How to reach a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// `http://host:port`; a plain `host:port` will do.
    pub endpoint: String,
    /// For a connection: long enough for a packet lost twice, short enough for a person.
    pub connect_timeout: Duration,
    /// For a call that answers once, and for the first answer of a stream.
    pub call_timeout: Duration,
    /// How long a lost connection is tried again before an operation's stream ends with an error.
    /// The default covers a restart of the machine that the server runs on.
    pub reattach_for: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            endpoint: DEFAULT_ENDPOINT.to_owned(),
            connect_timeout: Duration::from_secs(5),
            call_timeout: Duration::from_secs(30),
            reattach_for: Duration::from_secs(120),
        }
    }
}

impl Config {
    /// The endpoint, completed; refuses what would fail later with a poorer message.
    pub(crate) fn address(&self) -> Result<String> {
        address(&self.endpoint)
    }

    /// The defaults, with the endpoint of the environment where it is set.
    pub fn from_env() -> Self {
        match env::var(ENDPOINT_VARIABLE) {
            Ok(endpoint) if !endpoint.is_empty() => Self { endpoint, ..Self::default() },
            _ => Self::default(),
        }
    }
}

fn address(endpoint: &str) -> Result<String> {
    let address = match endpoint.split_once("://") {
        None => format!("http://{endpoint}"),
        Some(("http", _)) => endpoint.to_owned(),
        Some(("https", _)) => return Err(invalid_endpoint("this version speaks no TLS")),
        Some(_) => return Err(invalid_endpoint("its scheme is not http")),
    };
    if address.contains('@') {
        return Err(invalid_endpoint("it carries a user or a password"));
    }
    Ok(address)
}

/// Does not repeat the endpoint, which may hold a secret.
pub(crate) fn invalid_endpoint(why: &str) -> Error {
    Error::new(INVALID_ENDPOINT, format!("the endpoint cannot be used: {why}"))
        .with_hint(format!("an endpoint looks like {DEFAULT_ENDPOINT}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_completed_or_refused() {
        assert_eq!(address("localhost:50051").as_deref(), Ok("http://localhost:50051"));
        assert_eq!(address("http://[::1]:1").as_deref(), Ok("http://[::1]:1"));
        for endpoint in ["https://host:1", "ftp://host", "http://me:secret@host:1"] {
            let error = address(endpoint).unwrap_err();
            assert_eq!(error.reason(), INVALID_ENDPOINT);
            assert!(!error.message().contains("secret"));
        }
    }
}
