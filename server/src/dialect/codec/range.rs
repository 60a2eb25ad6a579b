//! Text as a range, in PostgreSQL's own form: `[1,10)`, `(,5]`, `empty` (manual, "Range Types").
//!
//! The field (`range_send`): flags, and each bound that there is as a field of its own.

use std::cmp::Ordering;

use super::{
    Clock, Codec, Moment, NumericForm, Refusal, Separator, Suffix, Width, Zone, array,
    calendar::YEARS, clock::MICROS_PER_DAY, numeric, text::check_text,
};
use crate::dialect::value::Value;

/// Which of the types.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RangeType {
    /// `int4range`.
    Int4,
    /// `int8range`.
    Int8,
    /// `numrange`.
    Num,
    /// `daterange`.
    Date,
    /// `tsrange`.
    Ts,
    /// `tstzrange`; text without an offset is local time of the zone, or UTC.
    TsTz(Option<&'static Zone>),
}

/// Flags of a field (`rangetypes.h`).
const EMPTY: u8 = 0x01;
const LOWER_INCLUSIVE: u8 = 0x02;
const UPPER_INCLUSIVE: u8 = 0x04;
const LOWER_INFINITE: u8 = 0x08;
const UPPER_INFINITE: u8 = 0x10;

/// 10000-01-01, in days from 2000-01-01.
const AFTER_THE_LAST_DAY: i64 = YEARS.end / MICROS_PER_DAY;

/// One end of a range; without a value it has none.
struct Bound<T> {
    value: Option<T>,
    inclusive: bool,
}

impl RangeType {
    /// Every type, without a zone.
    pub const ALL: [Self; 6] =
        [Self::Int4, Self::Int8, Self::Num, Self::Date, Self::Ts, Self::TsTz(None)];

    /// Type of PostgreSQL.
    pub(super) fn base(self) -> &'static str {
        match self {
            Self::Int4 => "int4range",
            Self::Int8 => "int8range",
            Self::Num => "numrange",
            Self::Date => "daterange",
            Self::Ts => "tsrange",
            Self::TsTz(_) => "tstzrange",
        }
    }

    /// The codec of its bounds, which writes them as PostgreSQL does, in UTC.
    pub fn element(self) -> Codec {
        let (separator, clock) = (Separator::Space, Clock::Trimmed);
        Codec::Moment(match self {
            Self::Int4 => return Codec::Narrow(Width::Bits32),
            Self::Int8 => return Codec::Integer,
            Self::Num => return Codec::NumericAs(None, NumericForm::AnyText),
            Self::Date => Moment::DateAny,
            Self::Ts => Moment::TimestampAny(separator, clock),
            Self::TsTz(None) => Moment::TimestampTzAny(separator, clock, Suffix::Hours),
            Self::TsTz(Some(zone)) => {
                Moment::TimestampTzAnyIn(zone, separator, clock, Suffix::Hours)
            }
        })
    }

    /// Appends the field without its length. Where the form is kept, only text that comes back as
    /// it was is taken.
    pub(super) fn encode(
        self,
        text: &[u8],
        keeps_form: bool,
        out: &mut Vec<u8>,
    ) -> Result<(), Refusal> {
        let start = out.len();
        self.write(text, out)?;
        let mut again = Vec::new();
        self.render(&out[start..], &mut again)?;
        if keeps_form && again != text { Err(Refusal::Form) } else { Ok(()) }
    }

    /// Appends the text of a field. One that is no range's only form is refused.
    pub(super) fn decode(self, field: &[u8], out: &mut Vec<u8>) -> Result<(), Refusal> {
        self.render(field, out)?;
        let mut again = Vec::with_capacity(field.len());
        self.write(out, &mut again)?;
        if again == field { Ok(()) } else { Err(Refusal::Form) }
    }

    fn write(self, text: &[u8], out: &mut Vec<u8>) -> Result<(), Refusal> {
        let stored = match read(text)? {
            None => None,
            Some([lower, upper]) => self.stored(self.bound(lower)?, self.bound(upper)?)?,
        };
        let Some(bounds) = stored else {
            out.push(EMPTY);
            return Ok(());
        };
        let [lower, upper] = &bounds;
        let flags = [
            (lower.inclusive, LOWER_INCLUSIVE),
            (upper.inclusive, UPPER_INCLUSIVE),
            (lower.value.is_none(), LOWER_INFINITE),
            (upper.value.is_none(), UPPER_INFINITE),
        ];
        out.push(flags.iter().filter(|(is_set, _)| *is_set).map(|(_, flag)| flag).sum());
        for bound in bounds.iter().filter_map(|bound| bound.value.as_ref()) {
            out.extend_from_slice(bound);
        }
        Ok(())
    }

    /// The bound with its value as a field.
    fn bound(self, written: Bound<Vec<u8>>) -> Result<Bound<Vec<u8>>, Refusal> {
        let Some(text) = written.value else {
            return Ok(Bound { value: None, inclusive: false });
        };
        let text = text.trim_ascii();
        let value = match self {
            Self::Int4 | Self::Int8 => {
                Value::Integer(check_text(text)?.parse().map_err(|_| Refusal::Form)?)
            }
            _ => Value::Text(text),
        };
        let mut field = Vec::new();
        self.element().encode(value, &mut field)?;
        Ok(Bound { value: Some(field), inclusive: written.inclusive })
    }

    /// The bounds as PostgreSQL stores them (`make_range` and the types' canonical functions);
    /// none where nothing lies between them.
    fn stored(
        self,
        lower: Bound<Vec<u8>>,
        upper: Bound<Vec<u8>>,
    ) -> Result<Option<[Bound<Vec<u8>>; 2]>, Refusal> {
        if self.is_empty(&lower, &upper)? {
            return Ok(None);
        }
        if !matches!(self, Self::Int4 | Self::Int8 | Self::Date) {
            return Ok(Some([lower, upper]));
        }
        // What can be counted begins with a value and ends before one.
        let lower = self.moved(lower, true)?;
        let upper = self.moved(upper, false)?;
        Ok(if self.is_empty(&lower, &upper)? { None } else { Some([lower, upper]) })
    }

    fn is_empty(self, lower: &Bound<Vec<u8>>, upper: &Bound<Vec<u8>>) -> Result<bool, Refusal> {
        let (Some(low), Some(high)) = (&lower.value, &upper.value) else { return Ok(false) };
        let order = match self {
            Self::Num => numeric::compare(&low[4..], &high[4..])?,
            _ => number(&low[4..])?.cmp(&number(&high[4..])?),
        };
        match order {
            Ordering::Less => Ok(false),
            Ordering::Equal => Ok(!(lower.inclusive && upper.inclusive)),
            Ordering::Greater => Err(Refusal::Form),
        }
    }

    /// The same bound as one that is inclusive, or is not.
    fn moved(self, bound: Bound<Vec<u8>>, inclusive: bool) -> Result<Bound<Vec<u8>>, Refusal> {
        let Some(field) = bound.value.as_ref().filter(|_| bound.inclusive != inclusive) else {
            return Ok(bound);
        };
        let next = number(&field[4..])?.checked_add(1).ok_or(Refusal::Form)?;
        let mut moved = Vec::with_capacity(field.len());
        if self == Self::Int8 {
            super::fixed(next.to_be_bytes(), &mut moved);
        } else {
            let next = i32::try_from(next).map_err(|_| Refusal::Form)?;
            super::fixed(next.to_be_bytes(), &mut moved);
        }
        Ok(Bound { value: Some(moved), inclusive })
    }

    fn render(self, field: &[u8], out: &mut Vec<u8>) -> Result<(), Refusal> {
        let (&flags, rest) = field.split_first().ok_or(Refusal::Form)?;
        if flags == EMPTY && rest.is_empty() {
            out.extend_from_slice(b"empty");
            return Ok(());
        }
        let (lower, rest) = split(rest, flags & LOWER_INFINITE != 0)?;
        let (upper, _) = split(rest, flags & UPPER_INFINITE != 0)?;
        out.push(if flags & LOWER_INCLUSIVE == 0 { b'(' } else { b'[' });
        if let Some(lower) = lower {
            self.render_value(lower, out)?;
        }
        out.push(b',');
        let mut end = if flags & UPPER_INCLUSIVE == 0 { b')' } else { b']' };
        match upper {
            None => {}
            // The day behind the last one has five digits in its year; the last one is as good.
            Some(upper) if self == Self::Date && number(upper)? == AFTER_THE_LAST_DAY => {
                let last = i32::try_from(AFTER_THE_LAST_DAY - 1).map_err(|_| Refusal::Form)?;
                self.render_value(&last.to_be_bytes(), out)?;
                end = b']';
            }
            Some(upper) => self.render_value(upper, out)?,
        }
        out.push(end);
        Ok(())
    }

    fn render_value(self, field: &[u8], out: &mut Vec<u8>) -> Result<(), Refusal> {
        match self.element().decode_into(field, &mut Vec::new())? {
            Value::Integer(value) => out.extend_from_slice(value.to_string().as_bytes()),
            // `range_bound_escape` quotes white space.
            Value::Text(text) if text.contains(&b' ') => {
                out.push(b'"');
                out.extend_from_slice(text);
                out.push(b'"');
            }
            Value::Text(text) => out.extend_from_slice(text),
            _ => return Err(Refusal::Class),
        }
        Ok(())
    }
}

/// Days, microseconds or integers.
fn number(field: &[u8]) -> Result<i64, Refusal> {
    match array::<4>(field) {
        Ok(field) => Ok(i64::from(i32::from_be_bytes(field))),
        Err(_) => array(field).map(i64::from_be_bytes),
    }
}

/// A bound's field without its length, unless there is none, and what follows it.
fn split(field: &[u8], is_infinite: bool) -> Result<(Option<&[u8]>, &[u8]), Refusal> {
    if is_infinite {
        return Ok((None, field));
    }
    let (length, rest) = field.split_first_chunk::<4>().ok_or(Refusal::Form)?;
    let length = usize::try_from(i32::from_be_bytes(*length)).map_err(|_| Refusal::Form)?;
    let (bound, rest) = rest.split_at_checked(length).ok_or(Refusal::Form)?;
    Ok((Some(bound), rest))
}

/// The bounds that a text names (`range_parse` in `rangetypes.c`); none for the empty range.
fn read(text: &[u8]) -> Result<Option<[Bound<Vec<u8>>; 2]>, Refusal> {
    let text = text.trim_ascii();
    if text.eq_ignore_ascii_case(b"empty") {
        return Ok(None);
    }
    let (inclusive, rest) = match text {
        [b'[', rest @ ..] => (true, rest),
        [b'(', rest @ ..] => (false, rest),
        _ => return Err(Refusal::Form),
    };
    let (value, rest) = read_value(rest)?;
    let lower = Bound { value, inclusive };
    let (value, rest) = read_value(rest.strip_prefix(b",").ok_or(Refusal::Form)?)?;
    let inclusive = match rest {
        b"]" => true,
        b")" => false,
        _ => return Err(Refusal::Form),
    };
    Ok(Some([lower, Bound { value, inclusive }]))
}

/// A bound without its quotes and backslashes, and the text behind it (`range_parse_bound`).
fn read_value(text: &[u8]) -> Result<(Option<Vec<u8>>, &[u8]), Refusal> {
    if let [b',' | b')' | b']', ..] = text {
        return Ok((None, text));
    }
    let (mut value, mut quoted, mut rest) = (Vec::new(), false, text);
    loop {
        rest = match rest {
            [b',' | b')' | b']', ..] if !quoted => return Ok((Some(value), rest)),
            [b'"', b'"', behind @ ..] if quoted => {
                value.push(b'"');
                behind
            }
            [b'"', behind @ ..] => {
                quoted = !quoted;
                behind
            }
            [b'\\', byte, behind @ ..] | [byte, behind @ ..] => {
                value.push(*byte);
                behind
            }
            [] => return Err(Refusal::Form),
        };
    }
}

#[cfg(test)]
mod tests;
