//! TLS of the listener: a certificate and its key, and whose certificates clients have to have.
//! The files are read again when they change; connections that are there go on.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use rustls::{
    RootCertStore, ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use x509_cert::{Certificate, der::Decode};

use crate::access::Reload;

/// Where certificates are, as PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The server's certificate, then those between it and its root.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// Roots of the clients' certificates; `None` asks clients for none.
    pub client_ca: Option<PathBuf>,
}

/// TLS for new connections.
#[derive(Debug)]
pub struct Tls {
    config: Reload<ServerConfig>,
}

impl Tls {
    /// Reads the files.
    pub fn open(files: &TlsFiles) -> Result<Self, String> {
        let read = files.clone();
        let watched = [Some(&files.certificate), Some(&files.key), files.client_ca.as_ref()];
        let watched = watched.into_iter().flatten().cloned().collect();
        Ok(Self { config: Reload::open(watched, move || config(&read))? })
    }

    /// Shakes hands with what the files say now.
    pub(super) async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        TlsAcceptor::from(self.config.current()).accept(stream).await
    }
}

fn config(files: &TlsFiles) -> Result<ServerConfig, String> {
    let provider = Arc::new(ring::default_provider());
    let chain = certificates(&files.certificate)?;
    warn_of_expiry(&files.certificate, &chain);
    let key = PrivateKeyDer::from_pem_file(&files.key)
        // Not the error's own text, which may quote the file.
        .map_err(|_| format!("no private key in PEM form in {}", files.key.display()))?;
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS cannot be set up: {error}"))?;
    let builder = match &files.client_ca {
        None => builder.with_no_client_auth(),
        Some(file) => {
            let mut roots = RootCertStore::empty();
            roots.add_parsable_certificates(certificates(file)?);
            let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider);
            let verifier = verifier
                .build()
                .map_err(|error| format!("no root certificate in {}: {error}", file.display()))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let mut config = builder.with_single_cert(chain, key).map_err(|error| {
        format!(
            "{} and {} do not go together: {error}",
            files.certificate.display(),
            files.key.display()
        )
    })?;
    config.alpn_protocols.push(b"h2".to_vec());
    Ok(config)
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let read = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let read = read.map_err(|error| format!("no certificate in {}: {error}", file.display()))?;
    if read.is_empty() {
        return Err(format!("no certificate in {}", file.display()));
    }
    Ok(read)
}

/// Clients refuse it; the server serves all the same, so that a new one is taken up.
fn warn_of_expiry(file: &Path, chain: &[CertificateDer<'_>]) {
    if expiry(chain).is_some_and(|end| end <= SystemTime::now()) {
        let hint = "put a new one in its place: it is read again without a restart";
        tracing::warn!(file = %file.display(), hint, "the certificate has expired");
    }
}

/// Until when the first certificate of a file can be used; `None` where it does not say.
pub(crate) fn usable_until(file: &Path) -> Result<Option<SystemTime>, String> {
    Ok(expiry(&certificates(file)?))
}

fn expiry(chain: &[CertificateDer<'_>]) -> Option<SystemTime> {
    let first = Certificate::from_der(chain.first()?).ok()?;
    Some(first.tbs_certificate.validity.not_after.to_system_time())
}

/// Subject of the certificate that the client has shown and proved to hold the key of.
pub(super) fn subject(stream: &TlsStream<TcpStream>) -> Option<Arc<str>> {
    let first = stream.get_ref().1.peer_certificates()?.first()?;
    let certificate = Certificate::from_der(first).ok()?;
    Some(certificate.tbs_certificate.subject.to_string().into())
}
