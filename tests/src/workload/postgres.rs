//! PostgreSQL as an application uses it.

use std::{collections::HashMap, str::FromStr, time::Duration};

use tokio_postgres::{Client, Config, NoTls, Statement as Prepared, error::SqlState, types::ToSql};

use super::{
    cell::Cell,
    engine::{Cause, Outcome, Refusal},
    statement::Statement,
};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A transaction that nobody waits for any more, because its writer was killed, may still be on
/// its way. Whoever asks for its outcome takes the same lock, which it holds to its end.
const LOCK: &str = "SELECT pg_advisory_xact_lock(20517, $1::bigint::int)";

/// A connection.
pub struct Postgres {
    client: Client,
    prepared: HashMap<String, Prepared>,
}

impl Postgres {
    /// Connects. A commit is acknowledged when it will survive a crash, whatever the server's
    /// default is: the oracle takes an acknowledgement at its word.
    pub async fn open(url: &str) -> Result<Self, Refusal> {
        let mut config = Config::from_str(url).map_err(|error| explain(&error))?;
        config.connect_timeout(CONNECT_TIMEOUT);
        let (client, connection) = config.connect(NoTls).await.map_err(|error| explain(&error))?;
        tokio::spawn(connection);
        let durable = client.batch_execute("SET synchronous_commit = on").await;
        durable.map_err(|error| explain(&error))?;
        Ok(Self { client, prepared: HashMap::new() })
    }

    /// Makes a transaction.
    pub async fn transact(&mut self, writer: i64, statements: &[Statement]) -> Outcome {
        if let Err(refusal) = self.changes(writer, statements).await {
            // Without an answer the connection is gone, and the transaction with it.
            let _ = self.client.batch_execute("ROLLBACK").await;
            return Outcome::Failed(refusal);
        }
        match self.client.batch_execute("COMMIT").await {
            Ok(()) => Outcome::Done,
            Err(error) => Outcome::Unknown(explain(&error)),
        }
    }

    /// Whether the ledger has an entry.
    pub async fn has(&mut self, writer: i64, n: u64) -> Result<bool, Refusal> {
        let n = i64::try_from(n).unwrap_or(i64::MAX);
        let ask = async {
            let transaction = self.client.transaction().await?;
            transaction.execute(LOCK, &[&writer]).await?;
            let sql = "SELECT count(*) FROM ledger WHERE writer = $1 AND n = $2";
            let row = transaction.query_one(sql, &[&writer, &n]).await?;
            transaction.commit().await?;
            row.try_get::<_, i64>(0)
        };
        ask.await.map(|count| count > 0).map_err(|error| explain(&error))
    }

    async fn changes(&mut self, writer: i64, statements: &[Statement]) -> Result<(), Refusal> {
        self.client.batch_execute("BEGIN").await.map_err(|error| explain(&error))?;
        self.execute(LOCK, &[Cell::Integer(writer)]).await?;
        for Statement { sql, parameters, rows } in statements {
            let touched = self.execute(sql, parameters).await?;
            if let Some(wanted) = rows.filter(|wanted| *wanted != touched) {
                return Err(Refusal::of_rows(sql, wanted, touched));
            }
        }
        Ok(())
    }

    async fn execute(&mut self, sql: &str, cells: &[Cell]) -> Result<u64, Refusal> {
        if !self.prepared.contains_key(sql) {
            let prepared = self.client.prepare(sql).await.map_err(|error| explain(&error))?;
            self.prepared.insert(sql.to_owned(), prepared);
        }
        let prepared = &self.prepared[sql];
        let touched = self.client.execute_raw(prepared, parameters(prepared, cells)).await;
        touched.map_err(|error| explain(&error))
    }
}

/// Parameters of a statement, in the types that PostgreSQL takes them for.
pub(super) fn parameters(prepared: &Prepared, cells: &[Cell]) -> Vec<Box<dyn ToSql + Sync + Send>> {
    cells.iter().zip(prepared.params()).map(|(cell, wanted)| cell.parameter(wanted)).collect()
}

fn explain(error: &tokio_postgres::Error) -> Refusal {
    let Some(code) = error.code() else {
        // Without an answer of the server it is the connection; a value that does not fit its
        // column is the other case, and tokio-postgres has no kind that tells them apart.
        let lost = error.is_closed() || !error.to_string().contains("serializ");
        let cause = if lost { Cause::Lost } else { Cause::Other };
        return Refusal::new(cause, described(error));
    };
    let cause = match code {
        code if *code == SqlState::READ_ONLY_SQL_TRANSACTION => Cause::Moved,
        code if *code == SqlState::T_R_DEADLOCK_DETECTED
            || *code == SqlState::T_R_SERIALIZATION_FAILURE
            || *code == SqlState::LOCK_NOT_AVAILABLE =>
        {
            Cause::Busy
        }
        // Connection exceptions, too many connections, and a server that starts or stops.
        code if ["08", "53", "57"].contains(&&code.code()[..2]) => Cause::Lost,
        _ => Cause::Other,
    };
    Refusal::new(cause, described(error))
}

/// The error with its source: tokio-postgres says "db error" and keeps the rest there.
fn described(error: &tokio_postgres::Error) -> String {
    let source = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
    format!("{error}: {source}")
}
