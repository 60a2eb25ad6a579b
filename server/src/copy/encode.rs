//! Rows in PostgreSQL's binary COPY format (PostgreSQL manual, "COPY", "Binary Format").

use switchback_proto::v1::TablePlan;

use super::reader::SourceRow;
use crate::{
    dialect::codec::{Codec, Refusal},
    error::{Error, Reason, Result},
};

/// What a COPY starts with: signature, flags, length of the header's extension.
pub(crate) const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";

/// What a COPY ends with: −1 in place of a row's number of fields.
pub(crate) const TRAILER: &[u8] = &[0xff, 0xff];

/// A value that its column's codec cannot carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RowRefusal {
    /// Number of the column among those that are copied.
    pub(crate) column: usize,
    /// Why.
    pub(crate) refusal: Refusal,
}

/// Encodes the rows of one table.
#[derive(Debug)]
pub(crate) struct RowEncoder {
    codecs: Vec<Codec>,
    fields: [u8; 2],
}

impl RowEncoder {
    /// An encoder for columns with these codecs.
    pub(crate) fn new(codecs: Vec<Codec>) -> Result<Self> {
        let fields = i16::try_from(codecs.len()).map_err(|_| {
            Error::new(Reason::InvalidPlan, "the plan has a table of more than 1,600 columns")
        })?;
        Ok(Self { codecs, fields: fields.to_be_bytes() })
    }

    /// Appends the row; on a refusal `out` is as it was.
    pub(crate) fn encode(
        &self,
        row: SourceRow<'_, '_>,
        out: &mut Vec<u8>,
    ) -> rusqlite::Result<Result<(), RowRefusal>> {
        let start = out.len();
        out.extend_from_slice(&self.fields);
        for (column, codec) in self.codecs.iter().enumerate() {
            if let Err(refusal) = codec.encode(row.value(column)?, out) {
                out.truncate(start);
                return Ok(Err(RowRefusal { column, refusal }));
            }
        }
        Ok(Ok(()))
    }
}

/// The codec that a plan names.
pub(crate) fn codec(table: &TablePlan, name: &str) -> Result<Codec> {
    name.parse().map_err(|error| {
        Error::new(Reason::InvalidPlan, format!("table {}: {error}", table.source))
    })
}

/// The finding code of a refusal.
pub(crate) fn code(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::Class => "mixed_types",
        Refusal::NulInText => "nul_in_text",
        Refusal::InvalidUtf8 => "invalid_utf8",
        Refusal::Form => "not_canonical",
    }
}

/// A refusal in words.
pub(crate) fn words(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::Class => "a value of another storage class than its column's type takes",
        Refusal::NulInText => "text with a NUL character, which PostgreSQL cannot store",
        Refusal::InvalidUtf8 => "text that is not valid UTF-8",
        Refusal::Form => "a value that its column's type does not give back unchanged",
    }
}
