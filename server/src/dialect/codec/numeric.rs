//! INTEGER and REAL as `numeric`.
//!
//! A REAL goes by its shortest decimal that gives the same double again. In a column with
//! INTEGER or NUMERIC affinity SQLite stores a whole value as INTEGER, so that the class need
//! not be written down: what is whole and fits 64 bits comes back as INTEGER.
//!
//! The format is that of PostgreSQL's `numeric_send`: number of digits to base 10,000, weight of
//! the first, sign, display scale, digits; without zeros at either end.

use std::{cmp::Ordering, io::Write};

use super::{super::value::Value, Refusal, number::stored_as_integer};

/// Bounds of `numeric(p,s)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Scale {
    precision: u16,
    scale: u16,
}

/// Largest precision that PostgreSQL lets a column declare.
const MAX_PRECISION: u16 = 1000;
pub(super) const NEGATIVE: u16 = 0x4000;
/// Groups of four digits that 20 digits can touch, and one more for luck in foreign fields.
const MAX_GROUPS: usize = 7;

impl Scale {
    /// `numeric(precision,scale)`; none where PostgreSQL has no such type, and none for scales
    /// that are negative or above the precision.
    pub fn new(precision: u16, scale: u16) -> Option<Self> {
        ((1..=MAX_PRECISION).contains(&precision) && scale <= precision)
            .then_some(Self { precision, scale })
    }

    /// By the numbers in the brackets of the type; without the second one it is 0.
    pub fn of(bounds: &[u32]) -> Option<Self> {
        let (precision, scale) = match *bounds {
            [precision] => (precision, 0),
            [precision, scale] => (precision, scale),
            _ => return None,
        };
        Self::new(u16::try_from(precision).ok()?, u16::try_from(scale).ok()?)
    }

    /// Digits in all.
    pub fn precision(self) -> u16 {
        self.precision
    }

    /// Digits behind the point.
    pub fn scale(self) -> u16 {
        self.scale
    }
}

/// Decimal digits without zeros at the end, and the power of ten of the first.
struct Decimal {
    negative: bool,
    digits: [u8; 32],
    count: usize,
    exponent: i32,
}

impl Decimal {
    fn of_integer(value: i64) -> Self {
        let mut digits = [0; 32];
        let mut rest = value.unsigned_abs();
        let mut count = 0;
        while rest > 0 {
            digits[count] = u8::try_from(rest % 10).unwrap_or(0);
            rest /= 10;
            count += 1;
        }
        digits[..count].reverse();
        let exponent = i32::try_from(count).unwrap_or(0) - 1;
        Self { negative: value < 0, digits, count, exponent }.trimmed()
    }

    /// Of a finite double.
    fn of_real(value: f64) -> Result<Self, Refusal> {
        let mut text = [0; 32];
        let mut rest = &mut text[..];
        write!(rest, "{:e}", value.abs()).map_err(|_| Refusal::Form)?;
        let unused = rest.len();
        let text = str::from_utf8(&text[..32 - unused]).map_err(|_| Refusal::Form)?;
        let (mantissa, exponent) = text.split_once('e').ok_or(Refusal::Form)?;
        let exponent = exponent.parse().map_err(|_| Refusal::Form)?;
        let mut digits = [0; 32];
        let mut count = 0;
        for digit in mantissa.bytes().filter(u8::is_ascii_digit) {
            digits[count] = digit - b'0';
            count += 1;
        }
        Ok(Self { negative: value < 0.0, digits, count, exponent }.trimmed())
    }

    fn trimmed(mut self) -> Self {
        while self.count > 0 && self.digits[self.count - 1] == 0 {
            self.count -= 1;
        }
        self
    }

    /// Digits behind the point.
    fn fraction(&self) -> u16 {
        let count = i32::try_from(self.count).unwrap_or(i32::MAX);
        u16::try_from((count - 1 - self.exponent).max(0)).unwrap_or(u16::MAX)
    }

    fn display_scale(&self, bounds: Option<Scale>) -> Result<u16, Refusal> {
        let Some(Scale { precision, scale }) = bounds else { return Ok(self.fraction()) };
        let before = i32::from(precision) - i32::from(scale);
        if self.count > 0 && (self.fraction() > scale || self.exponent >= before) {
            return Err(Refusal::Form);
        }
        Ok(scale)
    }

    fn write(&self, bounds: Option<Scale>, out: &mut Vec<u8>) -> Result<(), Refusal> {
        let scale = self.display_scale(bounds)?;
        write_field(self.negative, &self.digits[..self.count], self.exponent, scale, out)
    }
}

/// Appends what `numeric_send` gives. The digits have no zeros at either end; none of them is
/// zero. `exponent` is the power of ten of the first.
pub(super) fn write_field(
    negative: bool,
    digits: &[u8],
    exponent: i32,
    scale: u16,
    out: &mut Vec<u8>,
) -> Result<(), Refusal> {
    if digits.is_empty() {
        out.extend_from_slice(&[0; 6]);
        out.extend_from_slice(&scale.to_be_bytes());
        return Ok(());
    }
    let weight = i16::try_from(exponent.div_euclid(4)).map_err(|_| Refusal::Form)?;
    // Digits of the first group, which ends at a distance of whole groups from the point.
    let first = usize::try_from(exponent.rem_euclid(4) + 1).map_err(|_| Refusal::Form)?;
    let (first, rest) = digits.split_at_checked(first).unwrap_or((digits, &[]));
    let groups = 1 + rest.len().div_ceil(4);
    out.extend_from_slice(&u16::try_from(groups).map_err(|_| Refusal::Form)?.to_be_bytes());
    out.extend_from_slice(&weight.to_be_bytes());
    out.extend_from_slice(&if negative { NEGATIVE } else { 0 }.to_be_bytes());
    out.extend_from_slice(&scale.to_be_bytes());
    let number = |group: &[u8]| group.iter().fold(0, |sum, digit| sum * 10 + u16::from(*digit));
    // A number of fewer digits than its first group has places ends with zeros there.
    let missing = usize::try_from(exponent.rem_euclid(4) + 1).unwrap_or(0) - first.len();
    let lead = number(first) * 10_u16.pow(u32::try_from(missing).unwrap_or(0));
    out.extend_from_slice(&lead.to_be_bytes());
    for group in rest.chunks(4) {
        let padded = number(group) * 10_u16.pow(u32::try_from(4 - group.len()).unwrap_or(0));
        out.extend_from_slice(&padded.to_be_bytes());
    }
    Ok(())
}

/// Orders two finite numbers by their fields.
pub(super) fn compare(left: &[u8], right: &[u8]) -> Result<Ordering, Refusal> {
    let (left_is_negative, left) = size(left)?;
    let (right_is_negative, right) = size(right)?;
    Ok(match (left_is_negative, right_is_negative) {
        (false, true) => Ordering::Greater,
        (true, false) => Ordering::Less,
        (false, false) => left.cmp(&right),
        (true, true) => right.cmp(&left),
    })
}

/// How far a number is from 0: the weight of its first group, none for 0, and its groups.
type Size<'a> = (Option<i16>, &'a [[u8; 2]]);

/// Whether a number is negative, and its size.
fn size(field: &[u8]) -> Result<(bool, Size<'_>), Refusal> {
    let (words, []) = field.as_chunks::<2>() else { return Err(Refusal::Form) };
    let [_, weight, sign, _, groups @ ..] = words else { return Err(Refusal::Form) };
    let weight = (!groups.is_empty()).then(|| i16::from_be_bytes(*weight));
    Ok((u16::from_be_bytes(*sign) == NEGATIVE, (weight, groups)))
}

/// Appends the field of a REAL, whole or not, by its shortest decimal. There is no −0, and no
/// infinity in a column with bounds.
pub(super) fn encode_real(
    value: f64,
    bounds: Option<Scale>,
    out: &mut Vec<u8>,
) -> Result<(), Refusal> {
    if !value.is_finite() || (value == 0.0 && value.is_sign_negative()) {
        return Err(Refusal::Form);
    }
    Decimal::of_real(value)?.write(bounds, out)
}

/// Appends the field without its length.
pub(super) fn encode(
    value: Value<'_>,
    bounds: Option<Scale>,
    out: &mut Vec<u8>,
) -> Result<(), Refusal> {
    match value {
        Value::Integer(value) => Decimal::of_integer(value).write(bounds, out),
        // Decoding would give an INTEGER.
        Value::Real(value) if !value.is_finite() || stored_as_integer(value).is_some() => {
            Err(Refusal::Form)
        }
        Value::Real(value) => Decimal::of_real(value)?.write(bounds, out),
        _ => Err(Refusal::Class),
    }
}

pub(super) fn decode(
    field: &[u8],
    bounds: Option<Scale>,
    scratch: &mut Vec<u8>,
) -> Result<Value<'static>, Refusal> {
    let (header, groups) = field.split_at_checked(8).ok_or(Refusal::Form)?;
    let (words, []) = header.as_chunks::<2>() else { return Err(Refusal::Form) };
    let weight = i16::from_be_bytes(words[1]);
    let negative = u16::from_be_bytes(words[2]) == NEGATIVE;
    let (groups, []) = groups.as_chunks::<2>() else { return Err(Refusal::Form) };
    if groups.len() > MAX_GROUPS {
        return Err(Refusal::Form);
    }
    // "-12345678e-4": all groups as one whole number, times a power of ten.
    if negative {
        scratch.push(b'-');
    }
    scratch.push(b'0');
    for group in groups {
        let _ = write!(scratch, "{:04}", u16::from_be_bytes(*group));
    }
    let below = i32::from(weight) + 1 - i32::try_from(groups.len()).unwrap_or(i32::MAX);
    let value = whole(scratch, below).map_or_else(
        || {
            let _ = write!(scratch, "e{}", below * 4);
            let text = str::from_utf8(scratch).map_err(|_| Refusal::Form)?;
            text.parse().map(Value::Real).map_err(|_| Refusal::Form)
        },
        |integer| Ok(Value::Integer(integer)),
    )?;
    // Whatever the parts above let pass: only the bytes that `encode` makes are its own.
    scratch.clear();
    encode(value, bounds, scratch)?;
    if scratch == field { Ok(value) } else { Err(Refusal::Form) }
}

/// Digits, with so many groups of zeros behind them, as an INTEGER if they are one.
fn whole(digits: &[u8], zero_groups: i32) -> Option<i64> {
    let digits: i128 = str::from_utf8(digits).ok()?.parse().ok()?;
    let factor = 10_000_i128.checked_pow(u32::try_from(zero_groups).ok()?)?;
    i64::try_from(digits.checked_mul(factor)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(value: Value<'_>, bounds: Option<Scale>) -> Result<Vec<u16>, Refusal> {
        let mut out = Vec::new();
        encode(value, bounds, &mut out)?;
        Ok(out.as_chunks::<2>().0.iter().map(|word| u16::from_be_bytes(*word)).collect())
    }

    #[test]
    fn bytes_are_those_of_numeric_send() {
        let money = Scale::new(10, 2);
        assert_eq!(words(Value::Integer(0), None), Ok(vec![0, 0, 0, 0]));
        assert_eq!(words(Value::Integer(0), money), Ok(vec![0, 0, 0, 2]));
        assert_eq!(words(Value::Integer(-10_000), None), Ok(vec![1, 1, NEGATIVE, 0, 1]));
        assert_eq!(words(Value::Integer(12_345), money), Ok(vec![2, 1, 0, 2, 1, 2345]));
        assert_eq!(words(Value::Real(19.99), money), Ok(vec![2, 0, 0, 2, 19, 9900]));
        assert_eq!(words(Value::Real(0.000_05), None), Ok(vec![1, 0xfffe, 0, 5, 5000]));
        assert_eq!(words(Value::Real(1e20), None), Ok(vec![1, 5, 0, 0, 1]));
    }

    #[test]
    fn nothing_is_rounded() {
        let money = Scale::new(4, 2);
        assert!(words(Value::Real(99.99), money).is_ok());
        assert_eq!(words(Value::Integer(100), money), Err(Refusal::Form));
        assert_eq!(words(Value::Real(0.125), money), Err(Refusal::Form));
        assert_eq!(words(Value::Real(f64::INFINITY), None), Err(Refusal::Form));
        assert_eq!(words(Value::Real(5.0), None), Err(Refusal::Form));
        assert!(words(Value::Real(0.5), Scale::new(1, 1)).is_ok());
    }

    #[test]
    fn the_smallest_integer_and_its_double_stay_apart() {
        #[expect(clippy::cast_precision_loss, reason = "a power of two")]
        let real = i64::MIN as f64;
        let decoded = |value| {
            let mut field = Vec::new();
            encode(value, None, &mut field).unwrap();
            decode(&field, None, &mut Vec::new())
        };
        assert_eq!(decoded(Value::Integer(i64::MIN)), Ok(Value::Integer(i64::MIN)));
        assert_eq!(decoded(Value::Real(real)), Ok(Value::Real(real)));
    }

    #[test]
    fn fields_that_no_value_makes_are_refused() {
        let refused = |field: &[u16]| {
            let field: Vec<u8> = field.iter().flat_map(|word| word.to_be_bytes()).collect();
            assert_eq!(decode(&field, None, &mut Vec::new()), Err(Refusal::Form), "{field:?}");
        };
        refused(&[0, 0, 0xc000, 0]);
        refused(&[0, 0, 0xd000, 0]);
        refused(&[1, 0, 0, 2, 1]);
        refused(&[1, 0, 0, 0, 10_000]);
        refused(&[2, 0, 0, 0, 1]);
        refused(&[1, 0x7fff, 0, 0, 1]);
        refused(&[6, 0, 0, 20, 1, 1, 1, 1, 1, 1]);
        refused(&[]);
    }
}
