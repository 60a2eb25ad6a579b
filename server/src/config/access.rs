//! Settings of who may reach the server: TLS, tokens, reflection, and the audit log.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use super::{file::File, load::Loader};
use crate::{
    access::Tokens,
    listener::tls::{Tls, TlsFiles},
};

impl Loader<'_> {
    pub(super) fn insecure(&self, file: &File) -> bool {
        file.insecure || self.get("SWITCHBACK_INSECURE") == Some("1")
    }

    /// The files of certificates, which have to be sound at the start.
    pub(super) fn tls(&mut self, file: &File) -> Option<TlsFiles> {
        let certificate = self.path("SWITCHBACK_TLS_CERT", file.tls_cert.as_deref());
        let key = self.path("SWITCHBACK_TLS_KEY", file.tls_key.as_deref());
        let client_ca = self.path("SWITCHBACK_TLS_CLIENT_CA", file.tls_client_ca.as_deref());
        let (certificate, key) = match (certificate, key) {
            (Some(certificate), Some(key)) => (certificate, key),
            (None, None) => {
                if client_ca.is_some() {
                    let message = "it goes with SWITCHBACK_TLS_CERT and SWITCHBACK_TLS_KEY";
                    self.problem("SWITCHBACK_TLS_CLIENT_CA", message);
                }
                return None;
            }
            (Some(_), None) => {
                self.problem("SWITCHBACK_TLS_KEY", "the certificate needs its key: set both");
                return None;
            }
            (None, Some(_)) => {
                self.problem("SWITCHBACK_TLS_CERT", "the key needs its certificate: set both");
                return None;
            }
        };
        let files = TlsFiles { certificate, key, client_ca };
        if let Err(problem) = Tls::open(&files) {
            self.problem("SWITCHBACK_TLS_CERT", problem);
        }
        Some(files)
    }

    /// The file of tokens, which has to be sound at the start.
    pub(super) fn tokens(&mut self, file: &File) -> Option<PathBuf> {
        let path = self.path("SWITCHBACK_TOKENS", file.tokens.as_deref())?;
        if let Err(problem) = Tokens::open(&path) {
            self.problem("SWITCHBACK_TOKENS", format!("{}: {problem}", path.display()));
        }
        Some(path)
    }

    pub(super) fn reflection(&mut self, file: &File) -> bool {
        match self.get("SWITCHBACK_REFLECTION") {
            None => file.reflection.unwrap_or(true),
            Some("on") => true,
            Some("off") => false,
            Some(other) => {
                let message = format!("{other:?} is neither on nor off");
                self.problem("SWITCHBACK_REFLECTION", message);
                true
            }
        }
    }

    pub(super) fn audit_log(&self, file: &File) -> Option<PathBuf> {
        self.path("SWITCHBACK_AUDIT_LOG", file.audit_log.as_deref())
    }

    /// Other machines are let in by TLS and by tokens only, or where somebody answers for it.
    pub(super) fn exposure(&mut self, listen: SocketAddr, file: &File) {
        if listen.ip().is_loopback() || self.insecure(file) {
            return;
        }
        let tls = self.get("SWITCHBACK_TLS_CERT").is_some() || file.tls_cert.is_some();
        let tokens = self.get("SWITCHBACK_TOKENS").is_some() || file.tokens.is_some();
        let missing = match (tls, tokens) {
            (true, true) => return,
            (false, true) => "the traffic is not encrypted: set SWITCHBACK_TLS_CERT and _KEY",
            (true, false) => "nobody is asked for a token: set SWITCHBACK_TOKENS",
            (false, false) => {
                "the traffic is not encrypted and nobody is asked for a token: set \
                 SWITCHBACK_TLS_CERT, SWITCHBACK_TLS_KEY and SWITCHBACK_TOKENS"
            }
        };
        let message = format!(
            "{listen} is not a loopback address, and {missing}; or listen on 127.0.0.1, or set \
             SWITCHBACK_INSECURE=1 where the network is trusted"
        );
        self.problem("SWITCHBACK_LISTEN", message);
    }

    fn path(&self, variable: &str, file: Option<&Path>) -> Option<PathBuf> {
        let named = file.filter(|path| !path.as_os_str().is_empty());
        self.get(variable).map(PathBuf::from).or_else(|| named.map(Path::to_owned))
    }
}

#[cfg(test)]
mod tests {
    use crate::config::loaded;

    #[test]
    fn other_machines_need_tls_and_a_token_or_somebody_who_answers_for_it() {
        let listen = ("SWITCHBACK_LISTEN", "0.0.0.0:50051");
        let problem = loaded(&[listen], "").unwrap_err();
        assert!(problem.contains("TLS_CERT") && problem.contains("TOKENS"), "{problem}");
        let problem = loaded(&[listen, ("SWITCHBACK_TOKENS", "/nowhere")], "").unwrap_err();
        assert!(problem.contains("not encrypted") && problem.contains("/nowhere"), "{problem}");
        let tls = [("SWITCHBACK_TLS_CERT", "/no.pem"), ("SWITCHBACK_TLS_KEY", "/no.key")];
        let problem = loaded(&[listen, tls[0], tls[1]], "").unwrap_err();
        assert!(problem.contains("asked for a token") && problem.contains("/no.pem"), "{problem}");
        assert!(loaded(&[listen, ("SWITCHBACK_INSECURE", "1")], "").unwrap().insecure);
        for loopback in ["127.0.0.1:1", "127.9.9.9:1", "[::1]:1"] {
            assert!(loaded(&[("SWITCHBACK_LISTEN", loopback)], "").is_ok(), "{loopback}");
        }
    }

    #[test]
    fn half_a_pair_is_named() {
        for name in ["SWITCHBACK_TLS_CERT", "SWITCHBACK_TLS_KEY", "SWITCHBACK_TLS_CLIENT_CA"] {
            assert!(loaded(&[(name, "/a.pem")], "").is_err(), "{name}");
        }
    }

    #[test]
    fn both_forms_say_the_same_and_the_shown_one_is_read_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("tokens");
        std::fs::write(&path, "# nobody yet\n").unwrap();
        let variables = [
            ("SWITCHBACK_TOKENS", path.to_str().unwrap()),
            ("SWITCHBACK_REFLECTION", "off"),
            ("SWITCHBACK_AUDIT_LOG", "/var/log/switchback/audit.log"),
        ];
        let config = loaded(&variables, "").unwrap();
        assert_eq!((&config.tokens, config.reflection), (&Some(path), false));
        let again = loaded(&[], &config.to_string().replace("engine = \"auto\"", "")).unwrap();
        assert_eq!((again.tokens, again.reflection), (config.tokens, config.reflection));
        assert_eq!(again.audit_log, config.audit_log);
        assert!(loaded(&[], "").unwrap().reflection);
        assert!(loaded(&[("SWITCHBACK_REFLECTION", "no")], "").is_err());
    }
}
