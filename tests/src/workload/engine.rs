//! The engine that a URL names, as a plain application uses it.

use std::{fmt, path::PathBuf, str::FromStr};

use super::{
    op::Op,
    postgres::Postgres,
    sqlite::Sqlite,
    statement::{self, Dialect},
};

/// How a transaction ended.
#[derive(Debug)]
pub enum Outcome {
    /// It was acknowledged.
    Done,
    /// It was refused, and nothing of it is left.
    Failed(Refusal),
    /// COMMIT was sent, and its answer says nothing.
    Unknown(Refusal),
}

/// Why an engine did not do what it was asked for.
#[derive(Debug)]
pub struct Refusal {
    /// What it means for a writer.
    pub cause: Cause,
    /// The engine's words.
    pub text: String,
}

/// What a refusal means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// The engine takes no writes: the other one may.
    Moved,
    /// A lock did not come, or a deadlock was broken up.
    Busy,
    /// The connection is gone.
    Lost,
    /// What must not happen: the rows are not those of the model, or the SQL is wrong.
    Other,
}

/// Words of the journal.
const CAUSES: [(Cause, &str); 4] = [
    (Cause::Moved, "moved"),
    (Cause::Busy, "busy"),
    (Cause::Lost, "lost"),
    (Cause::Other, "other"),
];

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = CAUSES.iter().find(|(cause, _)| cause == self).map_or("", |(_, word)| word);
        f.write_str(word)
    }
}

impl FromStr for Cause {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = CAUSES.iter().find(|(_, word)| *word == text).map(|(cause, _)| *cause);
        found.ok_or_else(|| format!("{text:?} is no cause"))
    }
}

impl Refusal {
    pub(super) fn new(cause: Cause, text: impl fmt::Display) -> Self {
        // One line of the journal.
        let text = text.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
        Self { cause, text }
    }

    /// A statement touched another number of rows than the model has.
    pub(super) fn of_rows(sql: &str, wanted: u64, touched: u64) -> Self {
        Self::new(Cause::Other, format!("{touched} rows instead of {wanted}: {sql}"))
    }
}

/// Where the database is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A file of SQLite.
    Sqlite(PathBuf),
    /// The URL of a PostgreSQL database.
    Postgres(String),
}

impl Place {
    /// Reads `sqlite:///absolute/path`, escaped as a URL is, or `postgres://…`.
    pub fn of_url(url: &str) -> Result<Self, String> {
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            return Ok(Self::Postgres(url.to_owned()));
        }
        let path = url.strip_prefix("sqlite://").ok_or("DATABASE_URL is of no known engine")?;
        Ok(Self::Sqlite(unescaped(path)?.into()))
    }

    /// Word of the engine in the journal.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => "sqlite",
            Self::Postgres(_) => "postgres",
        }
    }
}

fn unescaped(path: &str) -> Result<String, String> {
    let refused = || format!("{path:?} is no escaped path");
    let mut bytes = Vec::new();
    let mut rest = path.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let (digits, after) = rest.split_at_checked(2).ok_or_else(refused)?;
        let digits = std::str::from_utf8(digits).map_err(|_| refused())?;
        bytes.push(u8::from_str_radix(digits, 16).map_err(|_| refused())?);
        rest = after;
    }
    String::from_utf8(bytes).map_err(|_| refused())
}

/// An open connection.
pub enum Engine {
    /// SQLite.
    Sqlite(Sqlite),
    /// PostgreSQL.
    Postgres(Postgres),
}

impl Engine {
    /// Connects.
    pub async fn open(place: &Place) -> Result<Self, Refusal> {
        match place {
            Place::Sqlite(path) => Sqlite::open(path).map(Self::Sqlite),
            Place::Postgres(url) => Postgres::open(url).await.map(Self::Postgres),
        }
    }

    /// Makes the changes of a transaction and its entry in the ledger.
    pub async fn transact(&mut self, writer: i64, n: u64, ops: &[Op]) -> Outcome {
        match self {
            Self::Sqlite(sqlite) => {
                sqlite.transact(&statement::of_transaction(writer, n, ops, Dialect::Sqlite))
            }
            Self::Postgres(postgres) => {
                let statements = statement::of_transaction(writer, n, ops, Dialect::Postgres);
                postgres.transact(writer, &statements).await
            }
        }
    }

    /// Whether a transaction whose outcome is unknown has an entry in the ledger.
    pub async fn has(&mut self, writer: i64, n: u64) -> Result<bool, Refusal> {
        match self {
            Self::Sqlite(sqlite) => sqlite.has(writer, n),
            Self::Postgres(postgres) => postgres.has(writer, n).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_name_a_place() {
        let place = Place::of_url("sqlite:///a%20b/c%25.db");
        assert_eq!(place, Ok(Place::Sqlite("/a b/c%.db".into())));
        let url = "postgres://u:p@h/d";
        assert_eq!(Place::of_url(url), Ok(Place::Postgres(url.into())));
        assert!(Place::of_url("mysql://h/d").is_err() && Place::of_url("sqlite:///%2").is_err());
    }
}
