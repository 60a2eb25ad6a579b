//! INTEGER and REAL as `double precision`.

use super::{super::value::Value, Refusal};

/// Integers up to here, either sign, are exact as doubles.
pub const EXACT_INTEGERS: i64 = 1 << 53;

/// The largest double below 2⁶³; SQLite compares with it (`sqlite3RealToI64` in `util.c`).
const LARGEST: f64 = 9_223_372_036_854_774_784.0;

/// The INTEGER that SQLite stores instead of this REAL in a column with INTEGER or NUMERIC
/// affinity, if it does (`sqlite3VdbeIntegerAffinity` in `vdbemem.c`): where the value is whole
/// and neither the smallest nor the largest 64-bit integer. −0.0 becomes 0.
pub fn stored_as_integer(real: f64) -> Option<i64> {
    if !(-LARGEST..=LARGEST).contains(&real) || real.fract() != 0.0 {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, reason = "whole and within the range of i64")]
    let integer = real as i64;
    Some(integer)
}

pub(super) fn encode(value: Value<'_>) -> Result<u64, Refusal> {
    match value {
        Value::Integer(value) if (-EXACT_INTEGERS..=EXACT_INTEGERS).contains(&value) => {
            #[expect(clippy::cast_precision_loss, reason = "within ±2⁵³")]
            let real = value as f64;
            Ok(real.to_bits())
        }
        // Decoding would give an INTEGER.
        Value::Real(value) if value.is_nan() || stored_as_integer(value).is_some() => {
            Err(Refusal::Form)
        }
        Value::Real(value) => Ok(value.to_bits()),
        Value::Integer(_) => Err(Refusal::Form),
        _ => Err(Refusal::Class),
    }
}

pub(super) fn decode(bits: [u8; 8]) -> Result<Value<'static>, Refusal> {
    let real = not_nan(bits)?;
    let value = stored_as_integer(real).map_or(Value::Real(real), Value::Integer);
    // A whole value beyond 2⁵³, or −0.0.
    if encode(value)? == real.to_bits() { Ok(value) } else { Err(Refusal::Form) }
}

/// SQLite stores NaN as NULL, so no field comes from one.
pub(super) fn not_nan(bits: [u8; 8]) -> Result<f64, Refusal> {
    let real = f64::from_bits(u64::from_be_bytes(bits));
    if real.is_nan() { Err(Refusal::Form) } else { Ok(real) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_reals_are_stored_as_integers_where_sqlite_does_so() {
        let connection = rusqlite::Connection::open_in_memory().unwrap();
        connection.execute_batch("CREATE TABLE t(v NUMERIC)").unwrap();
        let edges = [
            0.0,
            -0.0,
            1.0,
            -1.0,
            1.5,
            1e15,
            1e16,
            1e18,
            1e19,
            -1e19,
            5e-324,
            f64::INFINITY,
            f64::NEG_INFINITY,
            f64::MAX,
            LARGEST,
            -LARGEST,
            LARGEST + 1024.0,
            -LARGEST - 1024.0,
            9_007_199_254_740_993.0,
            4_503_599_627_370_496.5,
        ];
        for real in edges {
            let stored: rusqlite::types::Value = connection
                .query_row("INSERT INTO t VALUES (?1) RETURNING v", [real], |row| row.get(0))
                .unwrap();
            let expected = match stored {
                rusqlite::types::Value::Integer(integer) => Some(integer),
                _ => None,
            };
            // RETURNING shows the value after affinity.
            assert_eq!(stored_as_integer(real), expected, "{real:e}");
        }
    }

    #[test]
    fn integers_beyond_two_to_the_53_are_refused() {
        assert!(encode(Value::Integer(EXACT_INTEGERS)).is_ok());
        assert_eq!(encode(Value::Integer(EXACT_INTEGERS + 1)), Err(Refusal::Form));
        assert_eq!(encode(Value::Real(5.0)), Err(Refusal::Form));
        assert_eq!(decode((-0.0_f64).to_be_bytes()), Err(Refusal::Form));
        assert_eq!(decode(1e17_f64.to_be_bytes()), Err(Refusal::Form));
        assert_eq!(decode(5.0_f64.to_be_bytes()), Ok(Value::Integer(5)));
    }
}
