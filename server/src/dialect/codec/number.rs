//! INTEGER and REAL as `double precision`.

use super::{super::value::Value, Refusal, array, fixed};

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

/// Bits of an integer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Width {
    /// `smallint`.
    Bits16,
    /// `integer`.
    Bits32,
}

impl Width {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Bits16, Self::Bits32];

    /// Appends the field.
    pub(super) fn encode(self, value: i64, out: &mut Vec<u8>) -> Result<(), Refusal> {
        match self {
            Self::Bits16 => fixed(narrow::<i16>(value)?.to_be_bytes(), out),
            Self::Bits32 => fixed(narrow::<i32>(value)?.to_be_bytes(), out),
        }
        Ok(())
    }

    pub(super) fn decode(self, field: &[u8]) -> Result<i64, Refusal> {
        Ok(match self {
            Self::Bits16 => i64::from(i16::from_be_bytes(array(field)?)),
            Self::Bits32 => i64::from(i32::from_be_bytes(array(field)?)),
        })
    }
}

fn narrow<T: TryFrom<i64>>(value: i64) -> Result<T, Refusal> {
    T::try_from(value).map_err(|_| Refusal::Form)
}

/// What becomes of a REAL that `real` does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Single {
    /// It is refused.
    Exact,
    /// It is rounded to the nearest one. Never chosen: a person has to ask for it.
    Rounded,
}

impl Single {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Exact, Self::Rounded];

    pub(super) fn encode(self, value: f64) -> Result<f32, Refusal> {
        #[expect(clippy::cast_possible_truncation, reason = "what is lost is looked at")]
        let single = value as f32;
        let fits = match self {
            Self::Exact => f64::from(single).to_bits() == value.to_bits(),
            Self::Rounded => single.is_finite() || value.is_infinite(),
        };
        if fits && !value.is_nan() { Ok(single) } else { Err(Refusal::Form) }
    }

    pub(super) fn decode(field: [u8; 4]) -> Result<f64, Refusal> {
        let single = f32::from_be_bytes(field);
        if single.is_nan() { Err(Refusal::Form) } else { Ok(f64::from(single)) }
    }
}

/// The double of an INTEGER or REAL of any column. An INTEGER that is no double is refused.
pub(super) fn encode_any(value: Value<'_>) -> Result<u64, Refusal> {
    match value {
        Value::Integer(integer) => {
            #[expect(clippy::cast_precision_loss, reason = "what is lost is looked at")]
            let real = integer as f64;
            let same = stored_as_integer(real) == Some(integer);
            if same { Ok(real.to_bits()) } else { Err(Refusal::Form) }
        }
        Value::Real(real) if !real.is_nan() => Ok(real.to_bits()),
        Value::Real(_) => Err(Refusal::Form),
        _ => Err(Refusal::Class),
    }
}

/// An INTEGER where SQLite could have stored one; −0.0 is none.
pub(super) fn decode_any(bits: [u8; 8]) -> Result<Value<'static>, Refusal> {
    let real = not_nan(bits)?;
    if real == 0.0 && real.is_sign_negative() {
        return Ok(Value::Real(real));
    }
    Ok(stored_as_integer(real).map_or(Value::Real(real), Value::Integer))
}

/// Whether the whole text is a number to SQLite (`sqlite3AtoF` in `util.c`), so that numeric
/// affinity makes one of it: an optional sign, digits with at most one point among them, an
/// optional exponent, and white space of ASCII on either side.
pub fn looks_numeric(text: &[u8]) -> bool {
    let is_space = |byte: &u8| matches!(byte, b'\t'..=b'\r' | b' ');
    let start = text.iter().position(|byte| !is_space(byte)).unwrap_or(text.len());
    let end = text.iter().rposition(|byte| !is_space(byte)).map_or(start, |last| last + 1);
    let (whole, rest) = digits(signed(&text[start..end]));
    let (fraction, rest) = match rest {
        [b'.', rest @ ..] => digits(rest),
        _ => (0, rest),
    };
    let exponent = match rest {
        [] => true,
        [b'e' | b'E', rest @ ..] => matches!(digits(signed(rest)), (1.., [])),
        _ => false,
    };
    whole + fraction > 0 && exponent
}

fn signed(text: &[u8]) -> &[u8] {
    text.strip_prefix(b"-").or(text.strip_prefix(b"+")).unwrap_or(text)
}

/// How many digits the text begins with, and what follows them.
fn digits(text: &[u8]) -> (usize, &[u8]) {
    let count = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    (count, &text[count..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_single_is_the_same_number_or_rounded_by_request() {
        assert_eq!(Single::Exact.encode(0.5), Ok(0.5));
        assert_eq!(Single::Exact.encode(f64::INFINITY), Ok(f32::INFINITY));
        for real in [0.1, 1e300, 5e-324, f64::NAN] {
            assert_eq!(Single::Exact.encode(real), Err(Refusal::Form), "{real}");
        }
        assert_eq!(Single::Rounded.encode(0.1), Ok(0.1));
        assert_eq!(Single::Rounded.encode(1e300), Err(Refusal::Form));
    }

    #[test]
    fn narrow_integers_have_bounds() {
        let taken = |width: Width, value| width.encode(value, &mut Vec::new()).is_ok();
        assert!(taken(Width::Bits16, 32_767) && !taken(Width::Bits16, 32_768));
        assert!(taken(Width::Bits32, -2_147_483_648) && !taken(Width::Bits32, -2_147_483_649));
    }

    #[test]
    fn numbers_of_any_column_keep_their_value() {
        assert_eq!(encode_any(Value::Integer(5)), Ok(5.0_f64.to_bits()));
        assert_eq!(encode_any(Value::Real(5.0)), Ok(5.0_f64.to_bits()));
        assert_eq!(encode_any(Value::Integer(EXACT_INTEGERS + 1)), Err(Refusal::Form));
        assert!(encode_any(Value::Integer(EXACT_INTEGERS + 2)).is_ok());
        assert_eq!(encode_any(Value::Integer(i64::MAX)), Err(Refusal::Form));
        assert_eq!(decode_any(1e17_f64.to_be_bytes()), Ok(Value::Integer(100_000_000_000_000_000)));
        assert_eq!(decode_any(1e300_f64.to_be_bytes()), Ok(Value::Real(1e300)));
    }

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
