//! How the target is read: on any connection of the pool, or on one whose snapshot is held.

use std::ops::Deref;

use tokio_postgres::Client;

use crate::{
    db::postgres::{PooledConnection, Postgres},
    error::Result,
};

/// What reads the target.
#[derive(Clone, Copy)]
pub struct TargetReader<'a> {
    /// The pool.
    pub postgres: &'a Postgres,
    /// A connection in the middle of a transaction, where everything is to be read as it sees it.
    pub held: Option<&'a Client>,
}

/// A connection to read through.
pub(super) enum Reading<'a> {
    Pooled(PooledConnection),
    Held(&'a Client),
}

impl<'a> TargetReader<'a> {
    pub(super) async fn get(&self) -> Result<Reading<'a>> {
        match self.held {
            Some(client) => Ok(Reading::Held(client)),
            None => self.postgres.get().await.map(Reading::Pooled),
        }
    }

    /// Stops what runs on a connection.
    pub(super) async fn cancel(&self, connection: &Client) {
        self.postgres.cancel(connection).await;
    }
}

impl Deref for Reading<'_> {
    type Target = Client;

    fn deref(&self) -> &Client {
        match self {
            Self::Pooled(connection) => connection,
            Self::Held(client) => client,
        }
    }
}
