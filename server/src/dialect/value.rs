//! Values as SQLite stores them. The class belongs to the value, not to its column
//! (SQLite manual, "Datatypes In SQLite", section 2).

/// A stored value, borrowed from the statement that reads it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value<'a> {
    /// NULL.
    Null,
    /// A signed 64-bit integer.
    Integer(i64),
    /// An IEEE 754 double; never NaN, which SQLite stores as NULL.
    Real(f64),
    /// Text as UTF-8, unless the application stored other bytes; may hold NUL.
    Text(&'a [u8]),
    /// Bytes.
    Blob(&'a [u8]),
}

/// Storage class of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Class {
    /// NULL.
    Null,
    /// INTEGER.
    Integer,
    /// REAL.
    Real,
    /// TEXT.
    Text,
    /// BLOB.
    Blob,
}

impl Value<'_> {
    /// The storage class of this value.
    pub fn class(&self) -> Class {
        match self {
            Self::Null => Class::Null,
            Self::Integer(_) => Class::Integer,
            Self::Real(_) => Class::Real,
            Self::Text(_) => Class::Text,
            Self::Blob(_) => Class::Blob,
        }
    }
}

/// A value that owns its bytes.
#[derive(Debug, Clone, PartialEq)]
pub enum OwnedValue {
    /// NULL.
    Null,
    /// INTEGER.
    Integer(i64),
    /// REAL.
    Real(f64),
    /// TEXT.
    Text(Vec<u8>),
    /// BLOB.
    Blob(Vec<u8>),
}

impl OwnedValue {
    /// The same value, borrowed.
    pub fn as_value(&self) -> Value<'_> {
        match self {
            Self::Null => Value::Null,
            Self::Integer(value) => Value::Integer(*value),
            Self::Real(value) => Value::Real(*value),
            Self::Text(bytes) => Value::Text(bytes),
            Self::Blob(bytes) => Value::Blob(bytes),
        }
    }
}

impl From<Value<'_>> for OwnedValue {
    fn from(value: Value<'_>) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Integer(value) => Self::Integer(value),
            Value::Real(value) => Self::Real(value),
            Value::Text(bytes) => Self::Text(bytes.to_vec()),
            Value::Blob(bytes) => Self::Blob(bytes.to_vec()),
        }
    }
}
