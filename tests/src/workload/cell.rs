//! A value that both engines hold alike.

use std::fmt;

use rusqlite::types::{ToSql, ToSqlOutput, Value, ValueRef};
use tokio_postgres::{
    Row as PostgresRow,
    types::{ToSql as PostgresToSql, Type},
};

/// A value of a column.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cell {
    /// NULL.
    Null,
    /// A 64-bit integer.
    Integer(i64),
    /// The bits of a double: every one of them counts.
    Real(u64),
    /// Text.
    Text(String),
    /// Bytes.
    Blob(Vec<u8>),
}

/// The values of a row, in the order of [`super::schema::Table::columns`].
pub type Row = Vec<Cell>;

impl Cell {
    /// A floating-point number.
    pub fn real(value: f64) -> Self {
        Self::Real(value.to_bits())
    }

    /// Text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// What SQLite gave.
    pub fn of_sqlite(value: ValueRef<'_>) -> Self {
        match value {
            ValueRef::Null => Self::Null,
            ValueRef::Integer(value) => Self::Integer(value),
            ValueRef::Real(value) => Self::real(value),
            ValueRef::Text(text) => Self::Text(String::from_utf8_lossy(text).into_owned()),
            ValueRef::Blob(bytes) => Self::Blob(bytes.to_vec()),
        }
    }

    /// What PostgreSQL gave in a column; a type that no value of the workload has is an error.
    pub fn of_postgres(row: &PostgresRow, column: usize) -> Result<Self, tokio_postgres::Error> {
        let cell = match *row.columns()[column].type_() {
            Type::INT8 => row.try_get::<_, Option<i64>>(column)?.map(Self::Integer),
            Type::INT4 => {
                row.try_get::<_, Option<i32>>(column)?.map(|value| Self::Integer(value.into()))
            }
            Type::FLOAT8 => row.try_get::<_, Option<f64>>(column)?.map(Self::real),
            Type::BYTEA => row.try_get::<_, Option<Vec<u8>>>(column)?.map(Self::Blob),
            _ => row.try_get::<_, Option<String>>(column)?.map(Self::Text),
        };
        Ok(cell.unwrap_or(Self::Null))
    }

    /// As a parameter of a type: PostgreSQL's NULL has one too.
    pub fn parameter(&self, wanted: &Type) -> Box<dyn PostgresToSql + Sync + Send> {
        match self {
            Self::Null => match *wanted {
                Type::INT8 => Box::new(None::<i64>),
                Type::INT4 => Box::new(None::<i32>),
                Type::FLOAT8 => Box::new(None::<f64>),
                Type::BYTEA => Box::new(None::<Vec<u8>>),
                _ => Box::new(None::<String>),
            },
            Self::Integer(value) => Box::new(*value),
            Self::Real(bits) => Box::new(f64::from_bits(*bits)),
            Self::Text(text) => Box::new(text.clone()),
            Self::Blob(bytes) => Box::new(bytes.clone()),
        }
    }
}

impl ToSql for Cell {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Self::Null => ToSqlOutput::Owned(Value::Null),
            Self::Integer(value) => ToSqlOutput::Owned(Value::Integer(*value)),
            Self::Real(bits) => ToSqlOutput::Owned(Value::Real(f64::from_bits(*bits))),
            Self::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
            Self::Blob(bytes) => ToSqlOutput::Borrowed(ValueRef::Blob(bytes)),
        })
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("NULL"),
            Self::Integer(value) => write!(f, "{value}"),
            Self::Real(bits) => write!(f, "{:?}", f64::from_bits(*bits)),
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Blob(bytes) => write!(f, "{} bytes", bytes.len()),
        }
    }
}
