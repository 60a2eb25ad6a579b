//! What a column of SQLite does to the values that are written into it.

use super::super::{
    codec::{looks_numeric, stored_as_integer},
    schema::{Affinity, Column, Encoding, Table},
    value::Value,
};

/// How a column of SQLite stores values (SQLite manual, "Datatypes In SQLite", section 3, and
/// "STRICT Tables").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Storage {
    /// Affinity of the column.
    pub affinity: Affinity,
    /// It is a column of a STRICT table.
    pub strict: bool,
    /// How the file stores text.
    pub encoding: Encoding,
}

/// REALs that are stored as they are; NaN never is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reals {
    All,
    /// All but −0.0: in the file 0.0 is the integer 0 under REAL affinity.
    NoMinusZero,
    /// Those of which SQLite makes no INTEGER.
    NotWhole,
    None,
}

/// TEXTs that are stored as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Texts {
    All,
    /// Those that do not look like a number.
    NotNumbers,
    None,
}

impl Storage {
    /// Of a column of a table.
    pub fn of(table: &Table, column: &Column, encoding: Encoding) -> Self {
        Self { affinity: column.affinity, strict: table.strict, encoding }
    }

    pub(super) fn keeps_integers(self) -> bool {
        match self.affinity {
            Affinity::Integer | Affinity::Numeric | Affinity::Any => true,
            Affinity::Blob => !self.strict,
            Affinity::Text | Affinity::Real => false,
        }
    }

    pub(super) fn reals(self) -> Reals {
        match self.affinity {
            Affinity::Any => Reals::All,
            Affinity::Blob if !self.strict => Reals::All,
            Affinity::Real => Reals::NoMinusZero,
            Affinity::Integer | Affinity::Numeric if !self.strict => Reals::NotWhole,
            Affinity::Integer | Affinity::Numeric | Affinity::Text | Affinity::Blob => Reals::None,
        }
    }

    pub(super) fn texts(self) -> Texts {
        match self.affinity {
            Affinity::Text | Affinity::Any => Texts::All,
            _ if self.strict => Texts::None,
            Affinity::Blob => Texts::All,
            Affinity::Integer | Affinity::Real | Affinity::Numeric => Texts::NotNumbers,
        }
    }

    pub(super) fn keeps_blobs(self) -> bool {
        !self.strict || matches!(self.affinity, Affinity::Blob | Affinity::Any)
    }

    /// SQLite itself turns U+FFFE and U+FFFF into U+FFFD on the way to UTF-16 (`READ_UTF8` in
    /// `utf.c`), and bytes that are not UTF-8 too.
    pub(super) fn is_utf16(self) -> bool {
        self.encoding == Encoding::Utf16
    }
}

/// Whether SQLite stores the value as it is: what is read back has the same class and bits.
pub fn survives(value: Value<'_>, storage: Storage) -> bool {
    match value {
        Value::Null => true,
        Value::Integer(_) => storage.keeps_integers(),
        Value::Real(real) if real.is_nan() => false,
        Value::Real(real) => match storage.reals() {
            Reals::All => true,
            Reals::NoMinusZero => real != 0.0 || real.is_sign_positive(),
            Reals::NotWhole => stored_as_integer(real).is_none(),
            Reals::None => false,
        },
        Value::Text(text) => {
            let class = match storage.texts() {
                Texts::All => true,
                Texts::NotNumbers => !looks_numeric(text),
                Texts::None => false,
            };
            class && (!storage.is_utf16() || is_utf16(text))
        }
        Value::Blob(_) => storage.keeps_blobs(),
    }
}

fn is_utf16(text: &[u8]) -> bool {
    std::str::from_utf8(text).is_ok_and(|text| !text.contains(['\u{fffe}', '\u{ffff}']))
}
