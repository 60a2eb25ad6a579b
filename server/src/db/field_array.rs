//! Encoded fields as an array parameter, whatever their type.

use std::error::Error as StdError;

use bytes::{BufMut, BytesMut};
use tokio_postgres::types::{Format, IsNull, Kind, ToSql, Type, to_sql_checked};

/// An array of encoded fields, in PostgreSQL's binary form (`array_send`); none is NULL.
#[derive(Debug, Default)]
pub(crate) struct FieldArray {
    /// Each with its length in front.
    pub(crate) fields: Vec<u8>,
    /// How many.
    pub(crate) count: i32,
}

impl ToSql for FieldArray {
    fn to_sql(
        &self,
        of: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn StdError + Sync + Send>> {
        let Kind::Array(element) = of.kind() else { return Err("not an array".into()) };
        // One dimension, no NULLs, the element's type, its length, and where it begins.
        out.put_i32(1);
        out.put_i32(0);
        out.put_u32(element.oid());
        out.put_i32(self.count);
        out.put_i32(1);
        out.put_slice(&self.fields);
        Ok(IsNull::No)
    }

    fn accepts(of: &Type) -> bool {
        matches!(of.kind(), Kind::Array(_))
    }

    fn encode_format(&self, _of: &Type) -> Format {
        Format::Binary
    }

    to_sql_checked!();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_sent_behind_their_header() {
        let array = FieldArray { fields: vec![0, 0, 0, 1, b'a', 0, 0, 0, 0], count: 2 };
        let mut sent = BytesMut::new();
        array.to_sql(&Type::TEXT_ARRAY, &mut sent).unwrap();
        let header = [1_i32, 0, 25, 2, 1].map(i32::to_be_bytes).concat();
        assert_eq!(sent, [&header[..], &array.fields].concat());
        assert!(array.to_sql(&Type::TEXT, &mut BytesMut::new()).is_err());
    }
}
