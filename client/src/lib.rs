//! Client of a Switchback server: typed calls, operations that survive a lost connection, and
//! errors with a stable reason and a hint.
//!
//! ```no_run
//! # async fn example() -> Result<(), switchback_client::Error> {
//! use switchback_client::{Client, Config, v1::ValidateRequest};
//!
//! let client = Client::connect(Config::from_env()).await?;
//! let request = ValidateRequest { database: "default".to_owned(), ..Default::default() };
//! let outcome = client.validate(request).await?.outcome().await?;
//! println!("{:?}", outcome.report);
//! # Ok(())
//! # }
//! ```

mod access;
mod backoff;
mod backups;
mod call;
mod client;
mod config;
mod error;
pub mod exit;
mod operation;
mod watch;

pub use access::{
    CA_VARIABLE, CERTIFICATE_VARIABLE, INSECURE_VARIABLE, KEY_VARIABLE, TOKEN_FILE_VARIABLE,
    TOKEN_VARIABLE, TRACEPARENT_VARIABLE, TRACESTATE_VARIABLE, Tls, Token, Trace,
};
pub use backups::{Backups, LatestBackup};
pub use client::{Client, Health};
pub use config::{Config, DEFAULT_ENDPOINT, ENDPOINT_VARIABLE};
pub use error::{Error, Result};
pub use operation::{Operation, Outcome, Report, Update};
pub use switchback_proto::{v1, words};
pub use watch::{DatabaseUpdate, DatabaseWatch};
