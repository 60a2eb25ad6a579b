//! How a stored value becomes a PostgreSQL value and back, one codec a column.
//!
//! A codec is exact, or normalising, or it refuses. What an exact one encodes, it decodes to the
//! very same value, storage class and bits included. A normalising one ([`Codec::keeps_form`])
//! knows several forms of a value and decodes to one of them, which it encodes to the same field
//! again. Neither rounds or cuts anything, but for the one that is named after it. The bytes are
//! the ones that PostgreSQL's send function gives back for the stored value, because validation
//! compares bytes.

mod array;
mod bits;
mod bool;
mod calendar;
mod clock;
mod decimal;
mod existing;
mod field;
mod intern;
mod interval;
mod iso;
mod json;
mod json_reader;
mod jsonb;
mod label;
mod moment;
mod name;
mod net;
mod number;
mod numeric;
mod pg_type;
mod range;
mod refusal;
mod table;
mod text;
mod uuid;
mod zone;

use self::field::{LONGEST_FIELD, array, fixed, framed, varying};
#[cfg(test)]
pub(crate) use self::table::{nearest, pattern_of};
pub use self::{
    array::{Element, Spacing},
    bits::BitType,
    bool::{BoolBack, BoolForm},
    calendar::{EpochUnit, Separator, Suffix},
    clock::{Clock, Fraction},
    decimal::NumericForm,
    interval::IntervalForm,
    label::Labels,
    moment::{Moment, MomentType},
    net::NetType,
    number::{EXACT_INTEGERS, Single, Width, looks_numeric, stored_as_integer},
    numeric::Scale,
    pg_type::{PgType, sent_as},
    range::RangeType,
    refusal::Refusal,
    table::TABLE,
    text::check_text,
    uuid::UuidForm,
    zone::Zone,
};
use super::value::{OwnedValue, Value};

/// How the values of one column travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Codec {
    /// INTEGER as `bigint`.
    Integer,
    /// REAL as `double precision`.
    Real,
    /// INTEGER and REAL of a column with INTEGER or NUMERIC affinity as `double precision`;
    /// the class follows from the value, as it does in SQLite.
    Number,
    /// TEXT as `text`.
    Text,
    /// TEXT of at most so many characters as `varchar(n)`.
    Varchar(u32),
    /// BLOB as `bytea`.
    Blob,
    /// Two values as `boolean`.
    Bool(BoolForm),
    /// TEXT `YYYY-MM-DD` as `date`.
    Date,
    /// TEXT as `time`.
    Time(Clock),
    /// TEXT as `timestamp`.
    Timestamp(Separator, Clock),
    /// TEXT `YYYY-MM-DD` as `timestamp` at midnight.
    Midnight,
    /// TEXT with one fixed suffix that says UTC, as `timestamptz`.
    TimestampTz(Separator, Clock, Suffix),
    /// INTEGER that counts from 1970-01-01 UTC, as `timestamptz`.
    Epoch(EpochUnit),
    /// TEXT or BLOB as `uuid`.
    Uuid(UuidForm),
    /// INTEGER and REAL of a column with INTEGER or NUMERIC affinity as `numeric`, by their
    /// shortest decimal; with a scale as `numeric(p,s)`.
    Numeric(Option<Scale>),
    /// TEXT as `json`, kept to the byte.
    Json,
    /// TEXT, INTEGER and REAL of a column with NUMERIC affinity as `json`: SQLite stores a
    /// document that is a bare number as that number.
    JsonNumeric,
    /// Any value as `text` behind a letter for its class: `i:5`, `r:1.5`, `t:hello`, `b:68656c`,
    /// `x:00` for text that PostgreSQL cannot hold.
    Tagged,
    /// Any TEXT as `text`: a backslash doubled, NUL as `\0`, a byte that is not UTF-8 as `\xhh`.
    Escaped,
    /// INTEGER as a smaller type than `bigint`.
    Narrow(Width),
    /// REAL as `real`.
    Single(Single),
    /// INTEGER and REAL of any column as `double precision`; back INTEGER where it is whole.
    NumberAny,
    /// Numbers in a given form as `numeric`; with a scale as `numeric(p,s)`.
    NumericAs(Option<Scale>, NumericForm),
    /// TEXT of at most so many characters, without spaces at its end, as `char(n)`.
    Char(u32),
    /// BLOB that is text as `text`.
    TextOfBlob,
    /// TEXT as `bytea`.
    BlobOfText,
    /// TEXT that is one of the labels, as an enum.
    Label(&'static Labels),
    /// INTEGER and TEXT that mean true and false, as `boolean`.
    BoolAny(BoolBack),
    /// Dates and times in further forms.
    Moment(Moment),
    /// TEXT in every form of a UUID and BLOB of 16 bytes as `uuid`; back in lower case.
    UuidAny,
    /// A length of time as `interval`.
    Interval(IntervalForm),
    /// TEXT as `jsonb`, which keeps what it means.
    Jsonb,
    /// The same in a column with NUMERIC affinity, where a bare number is INTEGER or REAL.
    JsonbNumeric,
    /// TEXT that is a flat JSON array, as an array.
    Array(Element, Spacing),
    /// TEXT as an address of a network.
    Net(NetType),
    /// TEXT as a range, written as PostgreSQL writes it.
    Range(RangeType),
    /// TEXT as a range; back as PostgreSQL writes it.
    RangeAny(RangeType),
    /// Numbers and TEXT that looks like none as `text`; with a limit as `varchar(n)`.
    NumberText(Option<u32>),
    /// TEXT of the digits 0 and 1 as a bit string.
    Bits(BitType),
}

/// Buffers for [`Codec::carries`], to be used again for each value.
#[derive(Debug, Default)]
pub struct Scratch {
    field: Vec<u8>,
    text: Vec<u8>,
}

impl Codec {
    /// Appends the value as one field of PostgreSQL's binary COPY format: a 32-bit length (−1
    /// for NULL) and the bytes that the type's receive function takes, which are the ones that
    /// its send function gives back. On a refusal `out` is as it was.
    #[inline]
    pub fn encode(&self, value: Value<'_>, out: &mut Vec<u8>) -> Result<(), Refusal> {
        match (self, value) {
            (_, Value::Null) => out.extend_from_slice(&(-1_i32).to_be_bytes()),
            (Self::Integer, Value::Integer(value)) => fixed(value.to_be_bytes(), out),
            (Self::Real, Value::Real(value)) if !value.is_nan() => {
                fixed(value.to_bits().to_be_bytes(), out);
            }
            (Self::Text, Value::Text(bytes)) => {
                check_text(bytes)?;
                return varying(bytes, out);
            }
            (Self::Blob, Value::Blob(bytes)) => return varying(bytes, out),
            (codec, value) => return codec.encode_rich(value, out),
        }
        Ok(())
    }

    fn encode_rich(&self, value: Value<'_>, out: &mut Vec<u8>) -> Result<(), Refusal> {
        match (self, value) {
            (Self::Real, Value::Real(_)) => return Err(Refusal::Form),
            (Self::Number, value) => fixed(number::encode(value)?.to_be_bytes(), out),
            (Self::Varchar(limit), Value::Text(bytes)) => {
                text::check_length(bytes, *limit)?;
                return varying(bytes, out);
            }
            (Self::Bool(form), value) => fixed([u8::from(form.parse(value)?)], out),
            (Self::Date, Value::Text(text)) => {
                fixed(calendar::parse_date(text)?.to_be_bytes(), out);
            }
            (Self::Time(clock), Value::Text(text)) => fixed(clock.parse(text)?.to_be_bytes(), out),
            (Self::Timestamp(separator, clock), Value::Text(text)) => {
                fixed(calendar::parse_timestamp(text, *separator, *clock)?.to_be_bytes(), out);
            }
            (Self::Midnight, Value::Text(text)) => {
                fixed(calendar::parse_midnight(text)?.to_be_bytes(), out);
            }
            (Self::TimestampTz(separator, clock, suffix), Value::Text(text)) => {
                let text = suffix.strip(text)?;
                fixed(calendar::parse_timestamp(text, *separator, *clock)?.to_be_bytes(), out);
            }
            (Self::Epoch(unit), Value::Integer(value)) => {
                fixed(unit.parse(value)?.to_be_bytes(), out);
            }
            (Self::Uuid(form), value) => fixed(form.parse(value)?, out),
            (Self::Numeric(scale), value) => {
                return framed(out, |out| numeric::encode(value, *scale, out));
            }
            (Self::Json, Value::Text(text)) => {
                json::check(text)?;
                return varying(text, out);
            }
            (Self::JsonNumeric, value) => {
                return framed(out, |out| json::encode_numeric(value, out));
            }
            (Self::Tagged, value) => return framed(out, |out| text::tag(value, out)),
            (Self::Escaped, Value::Text(bytes)) => {
                return framed(out, |out| {
                    text::escape(bytes, out);
                    Ok(())
                });
            }
            (codec, value) => return codec.encode_existing(value, out),
        }
        Ok(())
    }

    /// The value that the field (without its length; `None` for NULL) was made of. A field that
    /// this codec does not make is refused.
    pub fn decode(&self, field: Option<&[u8]>) -> Result<OwnedValue, Refusal> {
        match field {
            None => Ok(OwnedValue::Null),
            Some(field) => self.decode_into(field, &mut Vec::new()).map(OwnedValue::from),
        }
    }

    /// [`Codec::decode`] without an allocation: the value borrows from the field or from
    /// `scratch`, which is overwritten.
    pub fn decode_into<'a>(
        &self,
        field: &'a [u8],
        scratch: &'a mut Vec<u8>,
    ) -> Result<Value<'a>, Refusal> {
        scratch.clear();
        Ok(match self {
            Self::Integer => Value::Integer(i64::from_be_bytes(array(field)?)),
            Self::Real => Value::Real(number::not_nan(array(field)?)?),
            Self::Number => number::decode(array(field)?)?,
            Self::Text => {
                check_text(field)?;
                Value::Text(field)
            }
            Self::Varchar(limit) => {
                text::check_length(field, *limit)?;
                Value::Text(field)
            }
            Self::Blob => Value::Blob(field),
            Self::Bool(form) => form.render(array::<1>(field)?)?,
            Self::Uuid(form) => form.render(array(field)?, scratch),
            Self::Epoch(unit) => Value::Integer(unit.render(i64::from_be_bytes(array(field)?))?),
            Self::Numeric(scale) => numeric::decode(field, *scale, scratch)?,
            Self::Json => {
                json::check(field)?;
                Value::Text(field)
            }
            Self::JsonNumeric => json::decode_numeric(field, scratch)?,
            Self::Tagged => text::untag(field, scratch)?,
            Self::Escaped => {
                text::unescape(field, scratch)?;
                Value::Text(scratch)
            }
            Self::Date
            | Self::Time(_)
            | Self::Timestamp(..)
            | Self::Midnight
            | Self::TimestampTz(..) => {
                self.render_moment(field, scratch)?;
                Value::Text(scratch)
            }
            codec => return codec.decode_existing(field, scratch),
        })
    }

    fn render_moment(&self, field: &[u8], out: &mut Vec<u8>) -> Result<(), Refusal> {
        if let Self::Date = self {
            return calendar::render_date(i64::from(i32::from_be_bytes(array(field)?)), out);
        }
        let micros = i64::from_be_bytes(array(field)?);
        match self {
            Self::Time(clock) => clock.render(micros, out),
            Self::Timestamp(separator, clock) => {
                calendar::render_timestamp(micros, *separator, *clock, out)
            }
            Self::Midnight => calendar::render_midnight(micros, out),
            Self::TimestampTz(separator, clock, suffix) => {
                calendar::render_timestamp(micros, *separator, *clock, out)?;
                out.extend_from_slice(suffix.text());
                Ok(())
            }
            _ => Err(Refusal::Class),
        }
    }

    /// Whether the value goes there and back with this codec, to the bit.
    pub fn carries(&self, value: Value<'_>, scratch: &mut Scratch) -> bool {
        // Their fields are the value's own bytes: what can be decoded can be encoded.
        if let (Self::Text | Self::Varchar(_) | Self::Json, Value::Text(bytes)) = (self, value) {
            return bytes.len() <= LONGEST_FIELD
                && self.decode_into(bytes, &mut scratch.text).is_ok();
        }
        scratch.field.clear();
        if self.encode(value, &mut scratch.field).is_err() {
            return false;
        }
        let back = match value {
            Value::Null => Ok(Value::Null),
            _ => self.decode_into(&scratch.field[4..], &mut scratch.text),
        };
        back.is_ok_and(|back| identical(back, value))
    }

    /// Whether the value goes there and back and has the form that this codec is named after,
    /// which is what the census asks. A time with more digits than its column's other ones goes
    /// there and back too, and yet speaks for another codec.
    pub fn proves(&self, value: Value<'_>, scratch: &mut Scratch) -> bool {
        let own = match (self, value) {
            (Self::Time(clock) | Self::Timestamp(_, clock), Value::Text(text)) => {
                clock.is_own_form(text)
            }
            (Self::TimestampTz(_, clock, suffix), Value::Text(text)) => {
                suffix.strip(text).is_ok_and(|text| clock.is_own_form(text))
            }
            _ => true,
        };
        own && self.carries(value, scratch)
    }

    /// Whether the value may be given to this codec: in its form, or with its meaning where the
    /// codec does not keep forms.
    pub fn fits(&self, value: Value<'_>, scratch: &mut Scratch) -> bool {
        if self.keeps_form() {
            return self.proves(value, scratch);
        }
        scratch.field.clear();
        self.encode(value, &mut scratch.field).is_ok()
    }

    /// Whether the other codec proves ([`Codec::proves`]) all that this one proves.
    pub fn is_within(&self, other: &Self) -> bool {
        let wider = |clock, other| {
            clock == Clock::Fixed(0) && matches!(other, Clock::ZeroOrSix | Clock::Trimmed)
        };
        match (*self, *other) {
            (Self::Time(clock), Self::Time(other)) => wider(clock, other),
            (Self::Timestamp(separator, clock), Self::Timestamp(other, other_clock)) => {
                separator == other && wider(clock, other_clock)
            }
            (Self::TimestampTz(separator, clock, suffix), Self::TimestampTz(other, wide, same)) => {
                separator == other && suffix == same && wider(clock, wide)
            }
            (Self::Numeric(Some(_)), Self::Numeric(None)) => true,
            _ => false,
        }
    }

    /// The PostgreSQL type that a column with this codec gets; `enum` for labels, whose type has a
    /// name of its own.
    pub fn natural_type(&self) -> String {
        pg_type::natural(self)
    }

    /// Bytes of the smallest value of that type but NULL; none where the value's own length counts.
    pub fn smallest_size(&self) -> Option<u64> {
        pg_type::smallest(self)
    }

    /// Whether a column of this PostgreSQL type can use the codec. Labels go with every type that
    /// is not built in: whether it is an enum, and of which labels, a name does not say.
    pub fn fits_type(&self, pg_type: &str) -> bool {
        pg_type::fits(self, pg_type)
    }
}

/// Same class and same bits; `==` takes −0.0 for 0.0.
fn identical(left: Value<'_>, right: Value<'_>) -> bool {
    match (left, right) {
        (Value::Real(left), Value::Real(right)) => left.to_bits() == right.to_bits(),
        _ => left == right,
    }
}

#[cfg(test)]
mod properties;
