//! Tokens, made by `switchbackd token`, and calls that carry one.

use std::process::Command;

use tonic::{
    Request, Status,
    metadata::AsciiMetadataValue,
    service::{Interceptor, interceptor::InterceptedService},
    transport::Channel,
};

use crate::binaries;

/// A token, and its line in the server's file.
#[derive(Debug, Clone)]
pub struct Token {
    /// What a caller sends.
    pub token: String,
    /// What the server knows.
    pub line: String,
}

impl Token {
    /// Made by the program that people make them with.
    pub fn make(role: &str, more: &[&str]) -> Self {
        let mut command = Command::new(binaries::switchbackd());
        command
            .args(["token", "--role", role, "--name", &format!("the-{role}")])
            .args(more)
            .env_clear();
        let output = command.output().expect("switchbackd runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).expect("text");
        let (token, line) = text.trim_end().split_once('\n').expect("two lines");
        assert!(token.starts_with("swb_") && !line.contains(token), "{text}");
        Self { token: token.to_owned(), line: line.to_owned() }
    }

    /// A channel whose calls carry it.
    pub fn on(&self, channel: Channel) -> InterceptedService<Channel, Bearer> {
        Bearer::of(&self.token, channel)
    }
}

/// Gives each call a token.
#[derive(Debug, Clone)]
pub struct Bearer(AsciiMetadataValue);

impl Bearer {
    /// A channel whose calls carry a text as a token.
    pub fn of(token: &str, channel: Channel) -> InterceptedService<Channel, Self> {
        let value = format!("Bearer {token}").parse().expect("a header");
        InterceptedService::new(channel, Self(value))
    }
}

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert("authorization", self.0.clone());
        Ok(request)
    }
}
