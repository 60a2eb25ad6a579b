//! What the census found out about rows that are to fit existing tables.

use crate::dialect::codec::Codec;

/// One table's rows.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TableFit {
    /// Rows.
    pub rows: u64,
    /// One entry a column that was asked for.
    pub columns: Vec<ColumnFit>,
}

/// One column's values.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ColumnFit {
    /// NULLs.
    pub nulls: u64,
    /// Keys of the first few rows with one.
    pub null_examples: Vec<String>,
    /// Values that are not NULL.
    pub values: u64,
    /// Smallest and largest INTEGER other than 0.
    pub integers: Option<(i64, i64)>,
    /// Candidates that carried every value, in their order.
    pub fitting: Vec<Codec>,
    /// Where there is none: the one that carried most, counted from the first row.
    pub last: Option<Codec>,
}
