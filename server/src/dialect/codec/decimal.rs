//! Numbers of a `numeric` column whose type is given, in the forms that SQLite may hold them in.

use super::{
    super::value::Value,
    Refusal, Scale,
    number::stored_as_integer,
    numeric::{self, NEGATIVE, write_field},
    text::check_text,
};

/// How the numbers of a `numeric` column are stored in SQLite.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NumericForm {
    /// REAL, whole numbers too, as a column with REAL affinity has them.
    Real,
    /// TEXT as PostgreSQL writes the number: `12.50`.
    Text,
    /// INTEGER, REAL or TEXT; back INTEGER where it is whole, else REAL.
    Any,
    /// INTEGER, REAL or TEXT; back as TEXT.
    AnyText,
}

/// Digits that PostgreSQL keeps before and behind the point (manual, "Numeric Types").
const MOST_BEFORE: i64 = 131_072;
const MOST_BEHIND: i64 = 16_383;

impl NumericForm {
    /// Every form, exact ones first.
    pub const ALL: [Self; 4] = [Self::Real, Self::Text, Self::Any, Self::AnyText];

    pub(super) fn keeps_form(self) -> bool {
        matches!(self, Self::Real | Self::Text)
    }

    pub(super) fn encode(
        self,
        value: Value<'_>,
        bounds: Option<Scale>,
        out: &mut Vec<u8>,
    ) -> Result<(), Refusal> {
        let start = out.len();
        match (self, value) {
            (Self::Real, Value::Real(value)) => return numeric::encode_real(value, bounds, out),
            (Self::Text, Value::Text(text)) => {
                Decimal::parse(text)?.write(bounds, out)?;
                let mut again = Vec::new();
                render(&out[start..], &mut again)?;
                return if again == text { Ok(()) } else { Err(Refusal::Form) };
            }
            (Self::Any | Self::AnyText, Value::Integer(_)) => numeric::encode(value, bounds, out)?,
            (Self::Any | Self::AnyText, Value::Real(real)) => {
                numeric::encode_real(real, bounds, out)?;
            }
            (Self::Any, Value::Text(text)) => {
                Decimal::parse(text)?.without_zeros().write(bounds, out)?;
            }
            (Self::AnyText, Value::Text(text)) => Decimal::parse(text)?.write(bounds, out)?,
            _ => return Err(Refusal::Class),
        }
        // More digits than a number of SQLite has, or a whole REAL that is no INTEGER's equal.
        if self == Self::Any {
            let mut field = Vec::new();
            numeric::decode(&out[start..], bounds, &mut field)?;
        }
        Ok(())
    }

    pub(super) fn decode<'a>(
        self,
        field: &[u8],
        bounds: Option<Scale>,
        scratch: &'a mut Vec<u8>,
    ) -> Result<Value<'a>, Refusal> {
        render(field, scratch)?;
        if self == Self::Any {
            // Zeros at the end mean nothing to a number of SQLite.
            let mut plain = Vec::with_capacity(field.len());
            match bounds {
                None => Decimal::parse(scratch)?.without_zeros().write(None, &mut plain)?,
                Some(_) => plain.extend_from_slice(field),
            }
            scratch.clear();
            return numeric::decode(&plain, bounds, scratch);
        }
        if self == Self::Real {
            let real = check_text(scratch)?.parse().map_err(|_| Refusal::Form)?;
            scratch.clear();
            numeric::encode_real(real, bounds, scratch)?;
            return if scratch == field { Ok(Value::Real(real)) } else { Err(Refusal::Form) };
        }
        let mut again = Vec::with_capacity(field.len());
        Decimal::parse(scratch)?.write(bounds, &mut again)?;
        if again == field { Ok(Value::Text(scratch)) } else { Err(Refusal::Form) }
    }
}

/// A decimal of any length: digits × 10^(−scale).
struct Decimal {
    negative: bool,
    /// Without zeros in front.
    digits: Vec<u8>,
    /// Digits behind the point that are shown.
    scale: i64,
}

impl Decimal {
    /// A sign, digits with at most one point among them, and an exponent, as PostgreSQL's
    /// `numeric_in` reads them.
    fn parse(text: &[u8]) -> Result<Self, Refusal> {
        let text = check_text(text)?;
        let (negative, rest) = match text.as_bytes() {
            [b'-', ..] => (true, &text[1..]),
            [b'+', ..] => (false, &text[1..]),
            _ => (false, text),
        };
        let (mantissa, exponent) = match rest.split_once(['e', 'E']) {
            None => (rest, 0),
            Some((mantissa, exponent)) => {
                let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
                // A number with a longer exponent is none that PostgreSQL has.
                if !(1..=8).contains(&digits.len()) || !digits.bytes().all(|b| b.is_ascii_digit()) {
                    return Err(Refusal::Form);
                }
                (mantissa, exponent.parse().map_err(|_| Refusal::Form)?)
            }
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits = || whole.bytes().chain(fraction.bytes());
        if digits().next().is_none() || !digits().all(|byte| byte.is_ascii_digit()) {
            return Err(Refusal::Form);
        }
        let digits: Vec<u8> =
            digits().map(|byte| byte - b'0').skip_while(|digit| *digit == 0).collect();
        let fraction = i64::try_from(fraction.len()).map_err(|_| Refusal::Form)?;
        Ok(Self { negative, digits, scale: fraction - exponent })
    }

    /// Without zeros at the end of its fraction.
    fn without_zeros(mut self) -> Self {
        while self.scale > 0 && self.digits.last() == Some(&0) {
            self.digits.pop();
            self.scale -= 1;
        }
        if self.digits.is_empty() {
            self.scale = 0;
        }
        self
    }

    fn write(mut self, bounds: Option<Scale>, out: &mut Vec<u8>) -> Result<(), Refusal> {
        let shown = match bounds {
            None => self.scale.max(0),
            Some(bounds) => i64::from(bounds.scale()),
        };
        // Zeros at the end of the digits are not stored, whichever side of the point they are on.
        while self.digits.last() == Some(&0) {
            self.digits.pop();
            self.scale -= 1;
        }
        let count = i64::try_from(self.digits.len()).map_err(|_| Refusal::Form)?;
        let before = count - self.scale;
        let most = bounds.map_or(MOST_BEFORE, |b| i64::from(b.precision() - b.scale()));
        let fits = self.scale <= shown && before <= most;
        if shown > MOST_BEHIND || (count > 0 && !fits) {
            return Err(Refusal::Form);
        }
        let exponent = i32::try_from(before - 1).map_err(|_| Refusal::Form)?;
        let shown = u16::try_from(shown).map_err(|_| Refusal::Form)?;
        write_field(self.negative, &self.digits, exponent, shown, out)
    }
}

/// Appends the number of a field as PostgreSQL writes it; NaN and infinities are refused.
pub(super) fn render(field: &[u8], out: &mut Vec<u8>) -> Result<(), Refusal> {
    let (words, []) = field.as_chunks::<2>() else { return Err(Refusal::Form) };
    let [_, weight, sign, scale, groups @ ..] = words else { return Err(Refusal::Form) };
    let weight = isize::from(i16::from_be_bytes(*weight));
    let scale = usize::from(u16::from_be_bytes(*scale));
    match u16::from_be_bytes(*sign) {
        0 => {}
        NEGATIVE => out.push(b'-'),
        _ => return Err(Refusal::Form),
    }
    let group = |place: isize| {
        let index = usize::try_from(weight - place).ok();
        index.and_then(|index| groups.get(index)).map_or(0, |group| u16::from_be_bytes(*group))
    };
    let start = out.len();
    for place in (0..=weight).rev() {
        push_group(group(place), out);
    }
    let zeros = out[start..].iter().take_while(|byte| **byte == b'0').count();
    out.drain(start..start + zeros);
    if out.len() == start {
        out.push(b'0');
    }
    if scale > 0 {
        out.push(b'.');
        let end = out.len() + scale;
        let mut place = -1;
        while out.len() < end {
            push_group(group(place), out);
            place -= 1;
        }
        out.truncate(end);
    }
    Ok(())
}

fn push_group(group: u16, out: &mut Vec<u8>) {
    super::clock::push_digits::<4>(i64::from(group), out);
}

/// Appends a number of JSON as PostgreSQL writes it when it has read it as `numeric`.
pub(super) fn canonical(number: &[u8], out: &mut Vec<u8>) -> Result<(), Refusal> {
    let mut field = Vec::new();
    Decimal::parse(number)?.write(None, &mut field)?;
    render(&field, out)
}

/// Appends the field of a decimal without zeros at the end of its fraction.
pub(super) fn encode_trimmed(number: &[u8], out: &mut Vec<u8>) -> Result<(), Refusal> {
    Decimal::parse(number)?.without_zeros().write(None, out)
}

/// The REAL or INTEGER that such a number came from, if it came from one.
pub(super) fn number<'a>(text: &str) -> Result<Value<'a>, Refusal> {
    let value = match text.parse() {
        Ok(integer) => Value::Integer(integer),
        Err(_) => Value::Real(text.parse().map_err(|_| Refusal::Form)?),
    };
    let mut again = Vec::new();
    write_number(value, &mut again)?;
    if again == text.as_bytes() { Ok(value) } else { Err(Refusal::Form) }
}

/// Appends INTEGER or REAL of a column with NUMERIC affinity as [`canonical`] would.
pub(super) fn write_number(value: Value<'_>, out: &mut Vec<u8>) -> Result<(), Refusal> {
    match value {
        Value::Integer(value) => out.extend_from_slice(value.to_string().as_bytes()),
        // Rust writes the shortest digits and no exponent.
        Value::Real(value) if value.is_finite() && stored_as_integer(value).is_none() => {
            out.extend_from_slice(value.to_string().as_bytes());
        }
        Value::Real(_) => return Err(Refusal::Form),
        _ => return Err(Refusal::Class),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{super::super::value::OwnedValue, *};

    fn canonical_of(text: &str) -> Option<String> {
        let mut out = Vec::new();
        canonical(text.as_bytes(), &mut out).ok()?;
        Some(String::from_utf8(out).unwrap())
    }

    #[test]
    fn numbers_are_written_as_postgresql_does() {
        for (text, written) in [
            ("0", "0"),
            ("-0", "0"),
            ("-0.0", "0.0"),
            ("1e2", "100"),
            ("1.50", "1.50"),
            ("1.50e1", "15.0"),
            ("15e-1", "1.5"),
            ("1E-5", "0.00001"),
            ("12345678901234567890.5", "12345678901234567890.5"),
            ("100000", "100000"),
            ("+.5", "0.5"),
            ("5.", "5"),
            ("00012", "12"),
            ("0e99999", "0"),
        ] {
            assert_eq!(canonical_of(text).as_deref(), Some(written), "{text}");
        }
        assert_eq!(canonical_of("1e131071").map(|text| text.len()), Some(131_072));
        for text in ["", ".", "-", "e5", "1e", "1e+", "1.2.3", "1e131072", "1e-16384", "NaN", " 1"]
        {
            assert_eq!(canonical_of(text), None, "{text}");
        }
    }

    fn taken(form: NumericForm, text: &str, bounds: Option<Scale>) -> Option<String> {
        let mut field = Vec::new();
        form.encode(Value::Text(text.as_bytes()), bounds, &mut field).ok()?;
        let mut out = Vec::new();
        render(&field, &mut out).unwrap();
        Some(String::from_utf8(out).unwrap())
    }

    #[test]
    fn text_is_exact_or_any_spelling() {
        let money = Scale::new(5, 2);
        assert_eq!(taken(NumericForm::Text, "12.50", money).as_deref(), Some("12.50"));
        for text in ["12.5", "12", "+12.50", "012.50", "-0.00", "1234.00", "12.500", "1.25e1"] {
            assert_eq!(taken(NumericForm::Text, text, money), None, "{text}");
        }
        for (text, written) in [("12.5", "12.50"), ("+1.25e1", "12.50"), ("12.500", "12.50")] {
            assert_eq!(taken(NumericForm::AnyText, text, money).as_deref(), Some(written));
        }
        assert_eq!(taken(NumericForm::AnyText, "12.505", money), None);
        assert_eq!(taken(NumericForm::AnyText, "1000", money), None);
        assert_eq!(taken(NumericForm::Any, "1.50", None).as_deref(), Some("1.5"));
        assert_eq!(taken(NumericForm::Any, "0.1234567890123456789", None), None);
    }

    #[test]
    fn a_real_stays_one_even_where_it_is_whole() {
        for real in [0.0, 5.0, -5.0, 1e22, 1.5, 0.1, 1e300, 5e-324] {
            let mut field = Vec::new();
            NumericForm::Real.encode(Value::Real(real), None, &mut field).unwrap();
            let back =
                NumericForm::Real.decode(&field, None, &mut Vec::new()).map(OwnedValue::from);
            assert_eq!(back, Ok(OwnedValue::Real(real)));
        }
        let mut out = Vec::new();
        assert!(NumericForm::Real.encode(Value::Real(-0.0), None, &mut out).is_err());
    }
}
