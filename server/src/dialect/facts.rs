//! What the census found out about the values of a table.

use super::codec::Codec;

/// One table's rows.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TableFacts {
    /// Rows.
    pub rows: u64,
    /// Smallest and largest rowid, for tables that have one.
    pub rowids: Option<(i64, i64)>,
    /// One entry a column of the table, generated ones included.
    pub columns: Vec<ColumnFacts>,
    /// Smallest number of bytes that PostgreSQL needs in the heap for the widest row, every
    /// longer value moved out of line (18 bytes a pointer).
    pub widest_row: u64,
}

/// One column's values.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ColumnFacts {
    /// NULLs.
    pub nulls: u64,
    /// Values of class INTEGER.
    pub integers: u64,
    /// Values of class REAL.
    pub reals: u64,
    /// Values of class TEXT.
    pub texts: u64,
    /// Values of class BLOB.
    pub blobs: u64,
    /// Smallest and largest INTEGER.
    pub integer_range: Option<(i64, i64)>,
    /// REALs that SQLite would store as INTEGER in a column with INTEGER or NUMERIC affinity.
    pub whole_reals: u64,
    /// REALs that are an infinity.
    pub infinities: u64,
    /// Longest text in characters; counted only where the declaration bounds it.
    pub max_chars: u64,
    /// Longest text or blob in bytes.
    pub max_bytes: u64,
    /// Codecs suggested by the declaration ([`super::typemap::candidates`]) that every value went
    /// through, there and back, byte for byte; all of them where there is no value.
    pub candidates: Vec<Codec>,
    /// Rows whose value stands in the way of a type, by what is wrong with them.
    pub oddities: Vec<Oddity>,
}

/// Values of a column that share one trouble.
#[derive(Debug, Clone, PartialEq)]
pub struct Oddity {
    /// Finding code: `nul_in_text`, `invalid_utf8`, `mixed_types`, `invalid_date`, …
    pub code: &'static str,
    /// How many rows.
    pub count: u64,
    /// Keys of the first few: `id=7`, `rowid=12`.
    pub examples: Vec<String>,
}

impl ColumnFacts {
    /// Values that are not NULL.
    pub fn values(&self) -> u64 {
        self.integers + self.reals + self.texts + self.blobs
    }

    /// The trouble with this code, if a row has it.
    pub fn oddity(&self, code: &str) -> Option<&Oddity> {
        self.oddities.iter().find(|oddity| oddity.code == code)
    }
}
