//! What a client shows to a server: a token, and certificates.

use std::{
    env, fmt, fs,
    path::{Path, PathBuf},
};

use tonic::{
    Request, Status,
    metadata::AsciiMetadataValue,
    service::Interceptor,
    transport::{Certificate, ClientTlsConfig, Identity},
};

use crate::{Error, Result, error::INVALID_FILE};

/// Environment variable with a token.
pub const TOKEN_VARIABLE: &str = "SWITCHBACK_TOKEN";
/// Environment variable with the path of a file with a token.
pub const TOKEN_FILE_VARIABLE: &str = "SWITCHBACK_TOKEN_FILE";
/// Environment variable with the path of the roots that the server's certificate is checked with.
pub const CA_VARIABLE: &str = "SWITCHBACK_TLS_CA";
/// Environment variable with the path of the client's certificate.
pub const CERTIFICATE_VARIABLE: &str = "SWITCHBACK_TLS_CLIENT_CERT";
/// Environment variable with the path of the client's key.
pub const KEY_VARIABLE: &str = "SWITCHBACK_TLS_CLIENT_KEY";
/// Environment variable with the span that calls belong to, as W3C's Trace Context writes it.
pub const TRACEPARENT_VARIABLE: &str = "TRACEPARENT";
/// Environment variable with what goes with it.
pub const TRACESTATE_VARIABLE: &str = "TRACESTATE";
/// Environment variable that allows a token to go unencrypted to another machine.
pub const INSECURE_VARIABLE: &str = "SWITCHBACK_INSECURE";

/// A token, never printed.
#[derive(Clone, PartialEq, Eq)]
pub enum Token {
    /// The token itself.
    Text(String),
    /// A file with it, read for each call: a new one is taken up without a restart.
    File(PathBuf),
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(_) => f.write_str("***"),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
        }
    }
}

impl Token {
    /// The value of the header `authorization`.
    fn header(&self) -> Result<AsciiMetadataValue> {
        let text = match self {
            Self::Text(text) => text.clone(),
            Self::File(path) => read(path, "token")?,
        };
        let unusable = || {
            Error::new(INVALID_FILE, "the token is empty, or is not one word of ASCII")
                .with_hint("`switchbackd token` makes tokens; its first line is the token")
        };
        let token = text.trim();
        if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(unusable());
        }
        let mut value: AsciiMetadataValue =
            format!("Bearer {token}").parse().map_err(|_| unusable())?;
        // HTTP/2 must not keep it in its table of headers, nor anybody show it.
        value.set_sensitive(true);
        Ok(value)
    }
}

/// The span of the caller's that calls belong to, as W3C's Trace Context writes it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trace {
    /// `00-<trace id>-<span id>-<flags>`
    pub parent: Option<String>,
    /// What goes with it.
    pub state: Option<String>,
}

impl Trace {
    /// What the environment says.
    pub fn from_env() -> Self {
        let set = |name| env::var(name).ok().filter(|value| !value.is_empty());
        Self { parent: set(TRACEPARENT_VARIABLE), state: set(TRACESTATE_VARIABLE) }
    }
}

/// Gives each call its token, and the span that it belongs to.
#[derive(Debug, Clone)]
pub(crate) struct Bearer {
    token: Option<Token>,
    trace: Vec<(&'static str, AsciiMetadataValue)>,
}

impl Bearer {
    /// Fails where the token cannot be read now. What is no trace is not sent: it is in nobody's
    /// way.
    pub(crate) fn new(token: Option<Token>, trace: &Trace) -> Result<Self> {
        token.as_ref().map(Token::header).transpose()?;
        let headers = [("traceparent", &trace.parent), ("tracestate", &trace.state)];
        let header =
            |(name, value): (_, &Option<String>)| Some((name, value.as_ref()?.parse().ok()?));
        Ok(Self { token, trace: headers.into_iter().filter_map(header).collect() })
    }
}

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        for (name, value) in &self.trace {
            request.metadata_mut().insert(*name, value.clone());
        }
        if let Some(token) = &self.token {
            let value = token.header().map_err(|error| Status::unauthenticated(error.message()))?;
            request.metadata_mut().insert("authorization", value);
        }
        Ok(request)
    }
}

/// Where certificates are, as PEM; read when the client connects.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tls {
    /// Roots that the server's certificate is checked with; the system's without it.
    pub ca: Option<PathBuf>,
    /// The client's certificate, where the server asks for one.
    pub certificate: Option<PathBuf>,
    /// Its key.
    pub key: Option<PathBuf>,
}

impl Tls {
    pub(crate) fn is_set(&self) -> bool {
        *self != Self::default()
    }

    /// # Errors
    /// `INVALID_FILE`
    pub(crate) fn config(&self) -> Result<ClientTlsConfig> {
        let config = match &self.ca {
            Some(path) => {
                let roots = Certificate::from_pem(read(path, "root certificate")?);
                ClientTlsConfig::new().ca_certificate(roots)
            }
            None => ClientTlsConfig::new().with_native_roots(),
        };
        match (&self.certificate, &self.key) {
            (Some(certificate), Some(key)) => {
                let certificate = read(certificate, "client certificate")?;
                let key = read(key, "client key")?;
                Ok(config.identity(Identity::from_pem(certificate, key)))
            }
            (None, None) => Ok(config),
            _ => Err(Error::new(INVALID_FILE, "a client certificate goes with its key")
                .with_hint("give both --cert and --key, or neither")),
        }
    }
}

fn read(path: &Path, what: &str) -> Result<String> {
    fs::read_to_string(path).map_err(|error| {
        let message = format!("cannot read the {what} {}: {}", path.display(), error.kind());
        Error::new(INVALID_FILE, message).with_hint("check the path and who may read the file")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_sent_and_never_shown() {
        let token = Token::Text("swb_secret\n".to_owned());
        assert!(!format!("{token:?}").contains("secret"));
        let value = token.header().unwrap();
        assert_eq!(value.to_str().unwrap(), "Bearer swb_secret");
        assert!(!format!("{value:?}").contains("secret"));
        for wrong in ["", " \n", "two\nlines", "swb_ü"] {
            let error = Token::Text(wrong.to_owned()).header().unwrap_err();
            assert_eq!(error.reason(), INVALID_FILE, "{wrong:?}");
        }
        assert!(
            Bearer::new(Some(Token::File("/nowhere/token".into())), &Trace::default()).is_err()
        );
    }

    #[test]
    fn a_trace_goes_with_each_call_and_what_is_none_does_not() {
        let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let trace = Trace { parent: Some(parent.into()), state: Some("not\nsound".into()) };
        let mut bearer = Bearer::new(None, &trace).unwrap();
        let sent = bearer.call(Request::new(())).unwrap();
        assert_eq!(sent.metadata().get("traceparent").unwrap(), parent);
        assert!(sent.metadata().get("tracestate").is_none());
    }

    #[test]
    fn half_an_identity_is_refused() {
        let tls = Tls { certificate: Some("/a.pem".into()), ..Tls::default() };
        assert!(tls.is_set() && tls.config().is_err());
        assert!(!Tls::default().is_set());
    }
}
