//! SQLite as an application uses it.

use std::{path::Path, time::Duration};

use rusqlite::{Connection, ErrorCode, OpenFlags, params_from_iter};

use super::{
    engine::{Cause, Outcome, Refusal},
    statement::Statement,
};

/// How long an application waits for a lock; the usual number in advice about SQLite.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Every statement of the workload stays prepared, as an application's would: the schema changes
/// under it when something is installed.
const STATEMENTS: usize = 100;

/// A connection.
pub struct Sqlite {
    connection: Connection,
}

impl Sqlite {
    /// Opens a file that must be there.
    pub fn open(path: &Path) -> Result<Self, Refusal> {
        let open = || -> rusqlite::Result<Connection> {
            let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            let connection = Connection::open_with_flags(path, flags)?;
            connection.busy_timeout(BUSY_TIMEOUT)?;
            connection.pragma_update(None, "foreign_keys", true)?;
            connection.set_prepared_statement_cache_capacity(STATEMENTS);
            Ok(connection)
        };
        open().map(|connection| Self { connection }).map_err(|error| explain(&error))
    }

    /// Makes a transaction.
    pub fn transact(&mut self, statements: &[Statement]) -> Outcome {
        if let Err(error) = self.connection.execute_batch("BEGIN IMMEDIATE") {
            return Outcome::Failed(explain(&error));
        }
        for statement in statements {
            if let Err(refusal) = self.execute(statement) {
                self.roll_back();
                return Outcome::Failed(refusal);
            }
        }
        let Err(error) = self.connection.execute_batch("COMMIT") else { return Outcome::Done };
        // Where a lock was missing the transaction is still open, and can be given up.
        if self.connection.is_autocommit() {
            return Outcome::Unknown(explain(&error));
        }
        self.roll_back();
        Outcome::Failed(explain(&error))
    }

    /// Whether the ledger has an entry.
    pub fn has(&mut self, writer: i64, n: u64) -> Result<bool, Refusal> {
        let sql = "SELECT count(*) FROM ledger WHERE writer = ? AND n = ?";
        let n = i64::try_from(n).unwrap_or(i64::MAX);
        let count = self.connection.query_row(sql, (writer, n), |row| row.get::<_, i64>(0));
        count.map(|count| count > 0).map_err(|error| explain(&error))
    }

    fn execute(&self, statement: &Statement) -> Result<(), Refusal> {
        let execute = || {
            let mut prepared = self.connection.prepare_cached(&statement.sql)?;
            prepared.execute(params_from_iter(&statement.parameters))
        };
        let touched = execute().map_err(|error| explain(&error))?;
        let touched = u64::try_from(touched).unwrap_or(u64::MAX);
        match statement.rows {
            Some(wanted) if wanted != touched => {
                Err(Refusal::of_rows(&statement.sql, wanted, touched))
            }
            _ => Ok(()),
        }
    }

    /// Some errors have rolled back already. Closing the connection does it at the latest.
    fn roll_back(&self) {
        if !self.connection.is_autocommit() {
            let _ = self.connection.execute_batch("ROLLBACK");
        }
    }
}

/// The fence is an ordinary constraint error: only its words tell it from another one, and an
/// application's author has nothing else either.
fn explain(error: &rusqlite::Error) -> Refusal {
    let text = error.to_string();
    let cause = match error.sqlite_error_code() {
        _ if text.contains("moved to PostgreSQL") => Cause::Moved,
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Cause::Busy,
        _ => Cause::Other,
    };
    Refusal::new(cause, text)
}
