//! Certificates of authorities that the tests trust, or do not.

use std::{
    fs,
    path::{Path, PathBuf},
};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, date_time_ymd,
};
use tonic::transport::{Certificate, ClientTlsConfig, Identity};

/// An authority that signs certificates.
#[derive(Debug)]
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate and its key, as PEM.
#[derive(Debug, Clone)]
pub struct Pair {
    /// The certificate.
    pub certificate: String,
    /// Its key.
    pub key: String,
}

impl Authority {
    /// A new one.
    pub fn new(name: &str) -> Self {
        let mut parameters = named(name, &[]);
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        Self { issuer: CertifiedIssuer::self_signed(parameters, key).expect("a root") }
    }

    /// Its own certificate, as PEM.
    pub fn root(&self) -> String {
        self.issuer.pem()
    }

    /// A certificate of `localhost` and `127.0.0.1`.
    pub fn server(&self) -> Pair {
        self.sign(of_server())
    }

    /// One that was good until 2021.
    pub fn expired_server(&self) -> Pair {
        let mut parameters = of_server();
        parameters.not_before = date_time_ymd(2020, 1, 1);
        parameters.not_after = date_time_ymd(2021, 1, 1);
        self.sign(parameters)
    }

    /// A client's certificate.
    pub fn client(&self, name: &str) -> Pair {
        let mut parameters = named(name, &[]);
        parameters.extended_key_usages.push(ExtendedKeyUsagePurpose::ClientAuth);
        self.sign(parameters)
    }

    /// What a client needs that trusts it.
    pub fn trusted(&self) -> ClientTlsConfig {
        ClientTlsConfig::new().ca_certificate(Certificate::from_pem(self.root()))
    }

    fn sign(&self, parameters: CertificateParams) -> Pair {
        let key = KeyPair::generate().expect("a key");
        let certificate = parameters.signed_by(&key, &self.issuer).expect("a certificate");
        Pair { certificate: certificate.pem(), key: key.serialize_pem() }
    }
}

impl Pair {
    /// Puts both into files `NAME.pem` and `NAME.key`, in the place of those that are there.
    pub fn put(&self, directory: &Path, name: &str) -> [PathBuf; 2] {
        [("pem", &self.certificate), ("key", &self.key)].map(|(extension, text)| {
            let path = directory.join(format!("{name}.{extension}"));
            put(&path, text);
            path
        })
    }

    /// As a client shows it.
    pub fn identity(&self) -> Identity {
        Identity::from_pem(&self.certificate, &self.key)
    }
}

/// Puts a text into a file in one step, as whoever replaces a file that is being read should.
pub fn put(path: &Path, text: &str) {
    let new = path.with_extension("new");
    fs::write(&new, text).expect("written");
    fs::rename(&new, path).expect("renamed");
}

fn of_server() -> CertificateParams {
    let mut parameters = named("switchback", &["localhost", "127.0.0.1"]);
    parameters.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth);
    parameters
}

fn named(name: &str, hosts: &[&str]) -> CertificateParams {
    let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
    let mut parameters = CertificateParams::new(hosts).expect("names of hosts");
    parameters.distinguished_name.push(DnType::CommonName, name);
    parameters
}
