//! Where the server is and how long to wait for it.

use std::{env, ffi::OsStr, net::IpAddr, path::PathBuf, time::Duration};

use tonic::transport::Uri;

use crate::{
    Error, Result, Tls, Token, Trace,
    access::{
        CA_VARIABLE, CERTIFICATE_VARIABLE, INSECURE_VARIABLE, KEY_VARIABLE, TOKEN_FILE_VARIABLE,
        TOKEN_VARIABLE,
    },
    error::INVALID_ENDPOINT,
};

/// Where a server listens unless told otherwise.
pub const DEFAULT_ENDPOINT: &str = "http://127.0.0.1:50051";
/// Environment variable with the endpoint.
pub const ENDPOINT_VARIABLE: &str = "SWITCHBACK_ENDPOINT";

/// How to reach a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// `http://host:port` or `https://host:port`; a plain `host:port` is `https` where `tls` says
    /// something.
    pub endpoint: String,
    /// Certificates for `https`.
    pub tls: Tls,
    /// The token of each call; `None` for a server that asks for none.
    pub token: Option<Token>,
    /// The span of the caller's that calls belong to.
    pub trace: Trace,
    /// A token may go unencrypted to another machine.
    pub insecure: bool,
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
            tls: Tls::default(),
            token: None,
            trace: Trace::default(),
            insecure: false,
            connect_timeout: Duration::from_secs(5),
            call_timeout: Duration::from_secs(30),
            reattach_for: Duration::from_secs(120),
        }
    }
}

impl Config {
    /// The endpoint, completed; refuses what would fail later with a poorer message.
    pub(crate) fn address(&self) -> Result<String> {
        let address = match self.endpoint.split_once("://") {
            None if self.tls.is_set() => format!("https://{}", self.endpoint),
            None => format!("http://{}", self.endpoint),
            Some(("http", _)) if self.tls.is_set() => {
                return Err(invalid_endpoint("there are certificates, and its scheme is http"));
            }
            Some(("http" | "https", _)) => self.endpoint.clone(),
            Some(_) => return Err(invalid_endpoint("its scheme is neither http nor https")),
        };
        if address.contains('@') {
            return Err(invalid_endpoint("it carries a user or a password"));
        }
        if self.token.is_some() && !self.insecure && !is_private(&address) {
            return Err(invalid_endpoint("the token would go over the network unencrypted")
                .with_hint(format!(
                    "use https://, or set {INSECURE_VARIABLE}=1 where the network is trusted"
                )));
        }
        Ok(address)
    }

    /// The defaults, with what the environment says of the server, TLS, the token and the trace.
    pub fn from_env() -> Self {
        let set = |name| env::var(name).ok().filter(|value| !value.is_empty());
        let path = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let file = path(TOKEN_FILE_VARIABLE).map(Token::File);
        Self {
            endpoint: set(ENDPOINT_VARIABLE).unwrap_or_else(|| DEFAULT_ENDPOINT.to_owned()),
            tls: Tls {
                ca: path(CA_VARIABLE),
                certificate: path(CERTIFICATE_VARIABLE),
                key: path(KEY_VARIABLE),
            },
            trace: Trace::from_env(),
            token: file.or_else(|| set(TOKEN_VARIABLE).map(Token::Text)),
            insecure: env::var_os(INSECURE_VARIABLE).as_deref() == Some(OsStr::new("1")),
            ..Self::default()
        }
    }
}

/// Whether nobody on the network sees what goes there.
fn is_private(address: &str) -> bool {
    let Ok(uri) = address.parse::<Uri>() else { return false };
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    let is_loopback = host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    uri.scheme_str() == Some("https") || host == "localhost" || is_loopback
}

/// Does not repeat the endpoint, which may hold a secret.
pub(crate) fn invalid_endpoint(why: &str) -> Error {
    Error::new(INVALID_ENDPOINT, format!("the endpoint cannot be used: {why}"))
        .with_hint(format!("an endpoint looks like {DEFAULT_ENDPOINT}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(endpoint: &str) -> Result<String> {
        Config { endpoint: endpoint.to_owned(), ..Config::default() }.address()
    }

    #[test]
    fn endpoints_are_completed_or_refused() {
        assert_eq!(address("localhost:50051").as_deref(), Ok("http://localhost:50051"));
        assert_eq!(address("http://[::1]:1").as_deref(), Ok("http://[::1]:1"));
        assert_eq!(address("https://host:1").as_deref(), Ok("https://host:1"));
        for endpoint in ["ftp://host", "http://me:secret@host:1"] {
            let error = address(endpoint).unwrap_err();
            assert_eq!(error.reason(), INVALID_ENDPOINT);
            assert!(!error.message().contains("secret"));
        }
    }

    #[test]
    fn certificates_are_for_https() {
        let tls = Tls { ca: Some("/ca.pem".into()), ..Tls::default() };
        let to = |endpoint: &str| {
            Config { endpoint: endpoint.to_owned(), tls: tls.clone(), ..Config::default() }
                .address()
        };
        assert_eq!(to("host:1").as_deref(), Ok("https://host:1"));
        assert_eq!(to("https://host:1").as_deref(), Ok("https://host:1"));
        assert_eq!(to("http://host:1").unwrap_err().reason(), INVALID_ENDPOINT);
    }

    #[test]
    fn a_token_does_not_go_over_a_network_unencrypted() {
        let to = |endpoint: &str, insecure| {
            let token = Some(Token::Text("swb_secret".to_owned()));
            Config { endpoint: endpoint.to_owned(), token, insecure, ..Config::default() }.address()
        };
        for endpoint in ["127.0.0.1:1", "http://localhost:1", "http://[::1]:1", "https://host:1"] {
            assert!(to(endpoint, false).is_ok(), "{endpoint}");
        }
        for endpoint in ["host:1", "http://10.0.0.1:1", "http://127.0.0.1.example.org:1"] {
            let error = to(endpoint, false).unwrap_err();
            assert_eq!(error.reason(), INVALID_ENDPOINT, "{endpoint}");
            assert!(error.hint().contains("https"));
            assert!(to(endpoint, true).is_ok(), "{endpoint}");
        }
    }
}
