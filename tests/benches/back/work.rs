//! What one connection writes on PostgreSQL.

use std::{
    iter,
    time::{Duration, Instant},
};

use switchback_tests::{
    bench::{self, setting},
    rig::Rig,
};
use tokio_postgres::Client;

/// Rows of `changing` at the start. Updates go to them one after the other: a row that changes
/// twice in one batch would be carried back once.
pub(crate) const FILLED: i64 = 100_000;

/// Transactions of one connection. Each is one statement of so many rows, so that round trips do
/// not hide what triggers cost.
#[derive(Clone, Copy)]
pub(crate) struct Work {
    pub(crate) name: &'static str,
    /// They take turns.
    pub(crate) changes: &'static [Change],
    pub(crate) rows: i64,
    /// Rows a second at most.
    pub(crate) rate: f64,
    /// `synchronous_commit`: a commit that waits for the disk hides some of the cost.
    pub(crate) commit: &'static str,
}

#[derive(Clone, Copy)]
pub(crate) enum Change {
    /// Into `changing`.
    Insert,
    /// Into `guarded`.
    InsertGuarded,
    /// Of `changing`.
    Update,
}

impl Work {
    pub(crate) const fn without_rest(
        name: &'static str,
        changes: &'static [Change],
        rows: i64,
        commit: &'static str,
    ) -> Self {
        Self { name, changes, rows, rate: f64::INFINITY, commit }
    }

    /// Transactions a second.
    pub(crate) async fn speed(&self, rig: &Rig, schema: &str, next: &mut i64) -> f64 {
        let client = rig.database.owner().await;
        bench::settle(&rig.database).await;
        let done = self.run(&client, schema, *next).await;
        *next += done.transactions * self.rows;
        done.per_second()
    }

    /// Writes for a while; inserted rows are numbered from `first`.
    pub(crate) async fn run(&self, client: &Client, schema: &str, first: i64) -> Done {
        let set = format!("SET synchronous_commit = {}", self.commit);
        client.batch_execute(&set).await.expect("a setting");
        let mut statements = Vec::new();
        for change in self.changes {
            let sql = change.sql(schema, self.rows);
            statements.push((change, client.prepare(&sql).await.expect("a statement")));
        }
        let period = Duration::from_secs(setting("SWITCHBACK_BENCH_SECONDS", 8));
        let began = Instant::now();
        let mut transactions = 0;
        for (change, statement) in iter::repeat(&statements).flatten() {
            while (transactions * self.rows) as f64 > began.elapsed().as_secs_f64() * self.rate {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            if began.elapsed() >= period {
                break;
            }
            let key = change.key(first + transactions * self.rows, self.rows);
            let touched = client.execute(statement, &[&key]).await.expect("a transaction");
            assert_eq!(touched, self.rows.cast_unsigned(), "rows of a transaction");
            transactions += 1;
        }
        Done { transactions, took: began.elapsed() }
    }
}

pub(crate) struct Done {
    pub(crate) transactions: i64,
    took: Duration,
}

impl Done {
    pub(crate) fn per_second(&self) -> f64 {
        self.transactions as f64 / self.took.as_secs_f64()
    }
}

impl Change {
    /// One statement, whose parameter is the key of its first row.
    fn sql(self, schema: &str, rows: i64) -> String {
        let terms = (0..rows).map(|row| format!("$1::bigint + {row}"));
        let first = |id: String| format!("{id}, 'name ' || ({id}), ({id}) % 7");
        match self {
            Self::Insert => {
                let rows: Vec<String> = terms.map(|id| format!("({})", first(id))).collect();
                format!("INSERT INTO {schema}.changing (id, name, n) VALUES {}", rows.join(", "))
            }
            Self::InsertGuarded => {
                let more = "12.25, 0.5, '2025-06-07 08:09:10'";
                let rows: Vec<String> =
                    terms.map(|id| format!("({}, {more})", first(id))).collect();
                format!(
                    "INSERT INTO {schema}.guarded (id, name, n, price, score, at) VALUES {}",
                    rows.join(", ")
                )
            }
            Self::Update => {
                let keys: Vec<String> = terms.collect();
                format!("UPDATE {schema}.changing SET n = n + 1 WHERE id IN ({})", keys.join(", "))
            }
        }
    }

    /// Key of the first row: a new one, or one of those that there are, far from the last.
    fn key(self, number: i64, rows: i64) -> i64 {
        match self {
            Self::Insert | Self::InsertGuarded => number,
            Self::Update => number / rows * 7919 % (FILLED / rows) * rows + 1,
        }
    }
}
