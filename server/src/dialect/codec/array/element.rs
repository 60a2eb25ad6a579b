//! Elements of arrays, as JSON has them.

use super::super::{
    BoolForm, Clock, Codec, Moment, NumericForm, PgType, Refusal, Scale, Separator, Suffix, Width,
    decimal,
    iso::Written,
    json_reader::{JsonReader, write_string},
    numeric,
    text::check_text,
};
use crate::dialect::value::Value;

/// Type of the elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Element {
    /// `smallint`.
    Int2,
    /// `integer`.
    Int4,
    /// `bigint`.
    Int8,
    /// `double precision`.
    Float8,
    /// `numeric`, with a scale `numeric(p,s)`; in JSON a number.
    Numeric(Option<Scale>),
    /// The same; in JSON a string.
    NumericText(Option<Scale>),
    /// `text`.
    Text,
    /// `varchar`.
    Varchar,
    /// `varchar(n)`.
    VarcharOf(u32),
    /// `char(n)`.
    CharOf(u32),
    /// `boolean`.
    Bool,
    /// `uuid`.
    Uuid,
    /// `date`.
    Date,
    /// `timestamp`.
    Timestamp,
    /// `timestamptz`; text without an offset is refused.
    TimestampTz,
}

impl Element {
    /// The elements that the type's arrays may have, the likeliest one first.
    pub fn of(pg_type: &PgType) -> Vec<Self> {
        let limit = pg_type.arguments.first().copied();
        match (pg_type.base, limit) {
            ("smallint", None) => vec![Self::Int2],
            ("integer", None) => vec![Self::Int4],
            ("bigint", None) => vec![Self::Int8],
            ("double precision", None) => vec![Self::Float8],
            ("numeric", None) => vec![Self::Numeric(None), Self::NumericText(None)],
            ("numeric", Some(_)) => Scale::of(&pg_type.arguments).map_or(Vec::new(), |scale| {
                vec![Self::Numeric(Some(scale)), Self::NumericText(Some(scale))]
            }),
            ("text", None) => vec![Self::Text],
            ("varchar", None) => vec![Self::Varchar],
            ("varchar", Some(limit)) => vec![Self::VarcharOf(limit)],
            ("char", Some(length)) => vec![Self::CharOf(length)],
            ("boolean", None) => vec![Self::Bool],
            ("uuid", None) => vec![Self::Uuid],
            ("date", None) => vec![Self::Date],
            ("timestamp", None) => vec![Self::Timestamp],
            ("timestamptz", None) => vec![Self::TimestampTz],
            _ => Vec::new(),
        }
    }

    /// Of the catalog (`pg_type.dat`).
    pub(super) fn oid(self) -> u32 {
        match self {
            Self::Int2 => 21,
            Self::Int4 => 23,
            Self::Int8 => 20,
            Self::Float8 => 701,
            Self::Numeric(_) | Self::NumericText(_) => 1700,
            Self::Text => 25,
            Self::Varchar | Self::VarcharOf(_) => 1043,
            Self::CharOf(_) => 1042,
            Self::Bool => 16,
            Self::Uuid => 2950,
            Self::Date => 1082,
            Self::Timestamp => 1114,
            Self::TimestampTz => 1184,
        }
    }

    /// Type of PostgreSQL, shortest spelling.
    pub(in super::super) fn type_name(self) -> String {
        match self {
            Self::Varchar => "varchar".to_owned(),
            element => element.codec().natural_type(),
        }
    }

    /// The codec of a column of the same type.
    fn codec(self) -> Codec {
        let (separator, clock) = (Separator::T, Clock::Trimmed);
        Codec::Moment(match self {
            Self::Int2 => return Codec::Narrow(Width::Bits16),
            Self::Int4 => return Codec::Narrow(Width::Bits32),
            Self::Int8 => return Codec::Integer,
            Self::Float8 => return Codec::Real,
            Self::Numeric(scale) | Self::NumericText(scale) => {
                return Codec::NumericAs(scale, NumericForm::AnyText);
            }
            Self::Text | Self::Varchar => return Codec::Text,
            Self::VarcharOf(limit) => return Codec::Varchar(limit),
            Self::CharOf(length) => return Codec::Char(length),
            Self::Bool => return Codec::Bool(BoolForm::ZeroOne),
            Self::Uuid => return Codec::UuidAny,
            Self::Date => Moment::DateAny,
            Self::Timestamp => Moment::TimestampAny(separator, clock),
            Self::TimestampTz => Moment::TimestampTzAny(separator, clock, Suffix::Z),
        })
    }

    /// Appends one element, which is not `null`, as a field.
    pub(super) fn read(
        self,
        reader: &mut JsonReader<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), Refusal> {
        let mut text = Vec::new();
        let value = match self {
            Self::Int2 | Self::Int4 | Self::Int8 => Value::Integer(integer(reader)?),
            Self::Float8 => Value::Real(double(reader.number()?)?),
            Self::Numeric(_) => Value::Text(reader.number()?),
            Self::Bool => match reader.literal()? {
                b"true" => Value::Integer(1),
                b"false" => Value::Integer(0),
                _ => return Err(Refusal::Form),
            },
            _ => {
                reader.string(&mut text)?;
                if self == Self::TimestampTz && !Written::parse(&text)?.has_offset() {
                    return Err(Refusal::Form);
                }
                Value::Text(&text)
            }
        };
        self.codec().encode(value, out)
    }

    /// Appends the JSON of a field.
    pub(super) fn write(self, field: &[u8], out: &mut Vec<u8>) -> Result<(), Refusal> {
        match (self, self.codec().decode_into(field, &mut Vec::new())?) {
            (Self::Bool, Value::Integer(truth)) => {
                out.extend_from_slice(if truth == 0 { b"false" } else { b"true" });
            }
            (_, Value::Integer(value)) => out.extend_from_slice(value.to_string().as_bytes()),
            (_, Value::Real(value)) if value.is_finite() => {
                out.extend_from_slice(format!("{value:?}").as_bytes());
            }
            (Self::Numeric(_), Value::Text(number)) => out.extend_from_slice(number),
            (_, Value::Text(text)) => write_string(text, out),
            _ => return Err(Refusal::Form),
        }
        Ok(())
    }
}

fn integer(reader: &mut JsonReader<'_>) -> Result<i64, Refusal> {
    check_text(reader.number()?)?.parse().map_err(|_| Refusal::Form)
}

/// The double that the number is the shortest decimal of; one with more digits would lose some.
fn double(number: &[u8]) -> Result<f64, Refusal> {
    let real: f64 = check_text(number)?.parse().map_err(|_| Refusal::Form)?;
    let (mut shortest, mut written) = (Vec::new(), Vec::new());
    // −0 is a double, and no decimal.
    numeric::encode_real(if real == 0.0 { 0.0 } else { real }, None, &mut shortest)?;
    decimal::encode_trimmed(number, &mut written)?;
    if shortest == written { Ok(real) } else { Err(Refusal::Form) }
}
