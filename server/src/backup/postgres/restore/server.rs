//! Databases of a server: made, dropped and renamed from another one beside them.

use tokio_postgres::{Client, GenericClient, error::SqlState};

use crate::{
    backup::{
        manifest::{Missing, PostgresContent},
        postgres::catalog::missing,
    },
    db::postgres::{PooledConnection, Postgres, explain, failed},
    dialect::ident::{literal, quote},
    error::{Error, Reason, Result},
};

/// Databases that every server has, as places to make others from.
const MAINTENANCE: [&str; 2] = ["postgres", "template1"];

/// How often sessions that come back at once are ended again.
const ATTEMPTS: usize = 5;

/// A server, seen from a database that nothing happens to.
pub(crate) struct Server {
    client: PooledConnection,
}

impl Server {
    /// Connects beside the databases that are about to change.
    pub(crate) async fn beside(postgres: &Postgres, names: &[&str]) -> Result<Self> {
        let mut last = Error::new(Reason::TargetMissing, "there is no database to work from");
        for name in MAINTENANCE.into_iter().filter(|name| !names.contains(name)) {
            match postgres.beside(name, 1)?.get().await {
                Ok(client) => return Ok(Self { client }),
                Err(error) => last = error,
            }
        }
        Err(last.hint("the user has to be able to connect to postgres or template1"))
    }

    /// The connection.
    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// Refuses a name that a database has.
    pub(crate) async fn refuse_existing(&self, name: &str) -> Result<()> {
        let sql = "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)";
        if self.client.query_one(sql, &[&name]).await.map_err(failed)?.get(0) {
            return Err(taken(name));
        }
        Ok(())
    }

    /// Makes an empty database, of the backup's kind where the server has its locale.
    pub(super) async fn create(
        &self,
        name: &str,
        content: &PostgresContent,
    ) -> Result<Vec<Missing>> {
        let plain = format!(
            "CREATE DATABASE {} TEMPLATE template0 ENCODING {}",
            quote(name),
            literal(&content.encoding)
        );
        let (collate, ctype) = (&content.collate, &content.ctype);
        let whole = format!("{plain} LC_COLLATE {} LC_CTYPE {}", literal(collate), literal(ctype));
        let Err(error) = self.client.batch_execute(&whole).await else { return Ok(Vec::new()) };
        if error.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE) {
            return Err(not_allowed());
        }
        if error.code() == Some(&SqlState::DUPLICATE_DATABASE) {
            return Err(taken(name));
        }
        // The server says no more of a locale that it does not have than that a value is wrong.
        if self.client.batch_execute(&plain).await.is_err() {
            return Err(explain(&error));
        }
        let message = format!(
            "the database was made with the server's own locale: it does not have {collate} and \
             {ctype}, so that text may sort in another order"
        );
        Ok(vec![missing("locale", "", message)])
    }

    /// Makes an empty database in UTF-8, for rows of SQLite.
    pub(crate) async fn create_plain(&self, name: &str) -> Result<()> {
        let sql = format!("CREATE DATABASE {} TEMPLATE template0 ENCODING 'UTF8'", quote(name));
        self.client.batch_execute(&sql).await.map_err(|error| match error.code() {
            Some(&SqlState::INSUFFICIENT_PRIVILEGE) => not_allowed(),
            Some(&SqlState::DUPLICATE_DATABASE) => taken(name),
            _ => explain(&error),
        })
    }

    /// Drops a database that an earlier run of the same operation has left, and ends the sessions
    /// in it.
    pub(crate) async fn drop(&self, name: &str) -> Result<()> {
        // WITH (FORCE) is refused to all but superusers while autovacuum is at work there; without
        // it PostgreSQL ends autovacuum by itself.
        let sql = format!("DROP DATABASE IF EXISTS {}", quote(name));
        let mut attempt = 1;
        loop {
            end_sessions(&*self.client, name).await.map_err(failed)?;
            match self.client.batch_execute(&sql).await {
                Err(error) if is_in_use(&error) && attempt < ATTEMPTS => attempt += 1,
                result => return result.map_err(failed),
            }
        }
    }

    /// What is said about a database; empty where nothing is, or where there is no such database.
    pub(crate) async fn comment(&self, name: &str) -> Result<String> {
        let sql = "SELECT coalesce(shobj_description(oid, 'pg_database'), '') FROM pg_database \
                   WHERE datname = $1";
        let row = self.client.query_opt(sql, &[&name]).await.map_err(failed)?;
        Ok(row.map(|row| row.get(0)).unwrap_or_default())
    }

    /// Says something about a database.
    pub(crate) async fn set_comment(&self, name: &str, text: &str) -> Result<()> {
        let sql = format!("COMMENT ON DATABASE {} IS {}", quote(name), literal(text));
        self.client.batch_execute(&sql).await.map_err(failed)
    }

    /// Drops a database that is of no use after an error, whoever is connected; the error, with
    /// the name where that was not possible.
    pub(crate) async fn discard(&self, name: &str, error: Error) -> Error {
        let Err(dropping) = self.drop(name).await else { return error };
        tracing::warn!(database = name, error = %dropping, "database was not dropped");
        let hint = format!("{}; the database {name} is left and may be dropped", error.hint_text());
        error.hint(hint.trim_start_matches("; "))
    }

    /// Gives databases other names, all of them or none, and ends the sessions in them.
    pub(crate) async fn rename(&mut self, names: &[(&str, &str)]) -> Result<()> {
        let mut attempt = 1;
        loop {
            match self.try_rename(names).await {
                Err(error) if is_in_use(&error) && attempt < ATTEMPTS => attempt += 1,
                Err(error) if error.code() == Some(&SqlState::DUPLICATE_DATABASE) => {
                    return Err(taken(names.last().map_or("", |(_, to)| to)));
                }
                result => return result.map_err(failed),
            }
        }
    }

    async fn try_rename(
        &mut self,
        names: &[(&str, &str)],
    ) -> std::result::Result<(), tokio_postgres::Error> {
        let transaction = self.client.transaction().await?;
        for (from, to) in names {
            end_sessions(&transaction, from).await?;
            // It ends autovacuum, waits five seconds for sessions to end, and nobody can connect
            // meanwhile.
            let sql = format!("ALTER DATABASE {} RENAME TO {}", quote(from), quote(to));
            transaction.batch_execute(&sql).await?;
        }
        transaction.commit().await
    }
}

/// Ends the sessions in a database that the user may end: to try it with another one is an error.
async fn end_sessions(
    client: &impl GenericClient,
    name: &str,
) -> std::result::Result<(), tokio_postgres::Error> {
    let sql = "SELECT pg_terminate_backend(pid) \
               FROM pg_stat_activity JOIN pg_roles r ON r.oid = usesysid \
               WHERE datname = $1 AND pid <> pg_backend_pid() \
                 AND CASE WHEN rolsuper THEN current_setting('is_superuser')::bool \
                          ELSE pg_has_role(r.oid, 'USAGE') \
                            OR pg_has_role('pg_signal_backend', 'USAGE') END";
    client.execute(sql, &[&name]).await.map(drop)
}

fn is_in_use(error: &tokio_postgres::Error) -> bool {
    error.code() == Some(&SqlState::OBJECT_IN_USE)
}

fn not_allowed() -> Error {
    Error::new(Reason::TargetPermission, "the PostgreSQL user may not make databases")
        .hint("ALTER ROLE … CREATEDB for the user of SWITCHBACK_POSTGRES")
}

fn taken(name: &str) -> Error {
    Error::new(Reason::RestoreRefused, format!("PostgreSQL has a database named {name} already"))
        .hint("choose another name, or drop that database first")
}
