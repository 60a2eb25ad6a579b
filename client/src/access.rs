//! What a client shows to a server: a token, and certificates.

use std::{
    fmt, fs,
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

/// Gives each call its token.
#[derive(Debug, Clone)]
pub(crate) struct Bearer(Option<Token>);

impl Bearer {
    /// Fails where the token cannot be read now.
    pub(crate) fn new(token: Option<Token>) -> Result<Self> {
        token.as_ref().map(Token::header).transpose()?;
        Ok(Self(token))
    }
}

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(token) = &self.0 {
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
        assert!(Bearer::new(Some(Token::File("/nowhere/token".into()))).is_err());
    }

    #[test]
    fn half_an_identity_is_refused() {
        let tls = Tls { certificate: Some("/a.pem".into()), ..Tls::default() };
        assert!(tls.is_set() && tls.config().is_err());
        assert!(!Tls::default().is_set());
    }
}
