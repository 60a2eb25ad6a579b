//! How the server is reached: its address, certificates and the token.

use std::{env, ffi::OsStr, path::PathBuf};

use clap::Args as ArgsGroup;
use switchback_client::{
    CA_VARIABLE, CERTIFICATE_VARIABLE, Config, DEFAULT_ENDPOINT, ENDPOINT_VARIABLE,
    INSECURE_VARIABLE, KEY_VARIABLE, TOKEN_FILE_VARIABLE, TOKEN_VARIABLE, Tls, Token, Trace,
};

use super::args::GLOBAL;

#[derive(Debug, ArgsGroup)]
pub(crate) struct ConnectionArgs {
    /// Address of the server
    #[arg(
        long,
        global = true,
        help_heading = GLOBAL,
        env = ENDPOINT_VARIABLE,
        default_value = DEFAULT_ENDPOINT,
        value_name = "URL"
    )]
    endpoint: String,
    /// File with the token of the calls; SWITCHBACK_TOKEN has the token itself
    #[arg(
        long,
        global = true,
        help_heading = GLOBAL,
        env = TOKEN_FILE_VARIABLE,
        value_name = "FILE"
    )]
    token_file: Option<PathBuf>,
    /// Roots that the server's certificate is checked with [default: the system's]
    #[arg(long, global = true, help_heading = GLOBAL, env = CA_VARIABLE, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Certificate to show to a server that asks for one
    #[arg(
        long,
        global = true,
        help_heading = GLOBAL,
        env = CERTIFICATE_VARIABLE,
        value_name = "FILE"
    )]
    cert: Option<PathBuf>,
    /// Its key
    #[arg(long, global = true, help_heading = GLOBAL, env = KEY_VARIABLE, value_name = "FILE")]
    key: Option<PathBuf>,
}

impl ConnectionArgs {
    /// As the library takes it. An empty variable is one that is not set.
    pub(crate) fn config(self) -> Config {
        let named = |path: Option<PathBuf>| path.filter(|path| !path.as_os_str().is_empty());
        let text = env::var(TOKEN_VARIABLE).ok().filter(|token| !token.is_empty());
        Config {
            endpoint: self.endpoint,
            tls: Tls { ca: named(self.ca), certificate: named(self.cert), key: named(self.key) },
            token: named(self.token_file).map(Token::File).or(text.map(Token::Text)),
            trace: Trace::from_env(),
            insecure: env::var_os(INSECURE_VARIABLE).as_deref() == Some(OsStr::new("1")),
            ..Config::default()
        }
    }
}

/// What another `switchback` needs to reach the same server. A token that came by a variable is
/// inherited anyhow.
pub(super) fn variables(config: &Config) -> Vec<(&'static str, String)> {
    let token_file = match &config.token {
        Some(Token::File(path)) => Some(path),
        _ => None,
    };
    let paths = [
        (TOKEN_FILE_VARIABLE, token_file),
        (CA_VARIABLE, config.tls.ca.as_ref()),
        (CERTIFICATE_VARIABLE, config.tls.certificate.as_ref()),
        (KEY_VARIABLE, config.tls.key.as_ref()),
    ];
    let set = paths.into_iter().filter_map(|(name, path)| Some((name, path?.to_str()?.to_owned())));
    set.collect()
}
