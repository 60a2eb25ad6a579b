//! How a stored value becomes a PostgreSQL value and back, one codec a column.

use std::{fmt, str::FromStr};

use super::value::{OwnedValue, Value};

/// How the values of one column travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Codec {
    /// INTEGER as `bigint`.
    Integer,
    /// REAL as `double precision`.
    Real,
    /// TEXT as `text`, `varchar(n)`.
    Text,
    /// BLOB as `bytea`.
    Blob,
}

/// Why a codec cannot carry a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Refusal {
    /// The value's storage class is not the codec's.
    Class,
    /// PostgreSQL has no NUL in text.
    NulInText,
    /// The text is not UTF-8.
    InvalidUtf8,
    /// The value is not in the codec's canonical form, or out of its range.
    Form,
}

impl Codec {
    /// Appends the value as one field of PostgreSQL's binary COPY format: a 32-bit length (−1
    /// for NULL) and the bytes that the type's receive function takes, which are the ones that
    /// its send function gives back. On a refusal `out` is as it was.
    pub fn encode(&self, value: Value<'_>, out: &mut Vec<u8>) -> Result<(), Refusal> {
        let _ = (value, out);
        Err(Refusal::Class)
    }

    /// The value that the field (without its length; `None` for NULL) was made of.
    pub fn decode(&self, field: Option<&[u8]>) -> Result<OwnedValue, Refusal> {
        let _ = field;
        Err(Refusal::Form)
    }

    /// Whether a column of this PostgreSQL type can use the codec.
    pub fn fits_type(&self, pg_type: &str) -> bool {
        let _ = pg_type;
        false
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl FromStr for Codec {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Err(format!("{name:?} is no codec"))
    }
}
