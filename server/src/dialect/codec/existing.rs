//! The codecs that only a column whose type is given has: see [`crate::dialect::existing`].

use super::{
    super::value::Value, Codec, Refusal, array, check_text, fixed, framed, jsonb, moment::Moment,
    number, text, uuid, varying,
};
use super::{BoolBack, Single, UuidForm};

impl Codec {
    /// Whether a value comes back in the very form it had. A codec that does not keep the form
    /// keeps the value: it reads several forms and writes one, and what it writes, it encodes to
    /// the field that it came from. `real:32:rounded` alone keeps neither.
    pub fn keeps_form(&self) -> bool {
        match self {
            Self::Single(single) => *single == Single::Exact,
            Self::NumericAs(_, form) => form.keeps_form(),
            Self::Moment(moment) => moment.keeps_form(),
            Self::NumberAny
            | Self::BoolAny(_)
            | Self::UuidAny
            | Self::Jsonb
            | Self::JsonbNumeric
            | Self::Array(..)
            | Self::RangeAny(_) => false,
            _ => true,
        }
    }

    pub(super) fn encode_existing(
        &self,
        value: Value<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), Refusal> {
        match (*self, value) {
            (Self::Narrow(width), Value::Integer(value)) => width.encode(value, out),
            (Self::Single(single), Value::Real(value)) => {
                whole(single.encode(value)?.to_be_bytes(), out)
            }
            (Self::NumberAny, value) => whole(number::encode_any(value)?.to_be_bytes(), out),
            (Self::NumericAs(bounds, form), value) => {
                framed(out, |out| form.encode(value, bounds, out))
            }
            (Self::Char(length), Value::Text(bytes)) => {
                framed(out, |out| text::pad(bytes, length, out))
            }
            (Self::TextOfBlob, Value::Blob(bytes)) => {
                check_text(bytes)?;
                varying(bytes, out)
            }
            (Self::BlobOfText, Value::Text(bytes)) => varying(bytes, out),
            (Self::Label(labels), Value::Text(bytes)) => {
                labels.check(bytes)?;
                varying(bytes, out)
            }
            (Self::BoolAny(_), value) => whole([u8::from(BoolBack::parse(value)?)], out),
            (Self::Moment(moment), value) => encode_moment(moment, value, out),
            (Self::UuidAny, value) => whole(uuid::parse_any(value)?, out),
            (Self::Interval(form), value) => whole(form.parse(value)?, out),
            (Self::Jsonb, Value::Text(text)) => framed(out, |out| jsonb::encode(text, out)),
            (Self::JsonbNumeric, value) => framed(out, |out| jsonb::encode_numeric(value, out)),
            // What SQLAlchemy stores where there is no array.
            (Self::Array(..), Value::Text(b"null")) => {
                out.extend_from_slice(&(-1_i32).to_be_bytes());
                Ok(())
            }
            (Self::Array(element, _), Value::Text(text)) => {
                framed(out, |out| super::array::encode(element, text, out))
            }
            (Self::Net(net), Value::Text(text)) => framed(out, |out| net.encode(text, out)),
            (Self::Range(range) | Self::RangeAny(range), Value::Text(text)) => {
                framed(out, |out| range.encode(text, self.keeps_form(), out))
            }
            (Self::Bits(bits), Value::Text(text)) => framed(out, |out| bits.encode(text, out)),
            (Self::NumberText(limit), value) => {
                framed(out, |out| text::write_number_text(value, limit, out))
            }
            _ => Err(Refusal::Class),
        }
    }

    pub(super) fn decode_existing<'a>(
        &self,
        field: &'a [u8],
        scratch: &'a mut Vec<u8>,
    ) -> Result<Value<'a>, Refusal> {
        Ok(match *self {
            Self::Narrow(width) => Value::Integer(width.decode(field)?),
            Self::Single(_) => Value::Real(Single::decode(array(field)?)?),
            Self::NumberAny => number::decode_any(array(field)?)?,
            Self::NumericAs(bounds, form) => form.decode(field, bounds, scratch)?,
            Self::Char(length) => Value::Text(text::unpad(field, length)?),
            Self::TextOfBlob => {
                check_text(field)?;
                Value::Blob(field)
            }
            Self::BlobOfText => Value::Text(field),
            Self::Label(labels) => {
                labels.check(field)?;
                Value::Text(field)
            }
            Self::BoolAny(back) => back.render(array(field)?)?,
            Self::Moment(moment) => moment.decode(field, scratch)?,
            Self::UuidAny => UuidForm::Lower.render(array(field)?, scratch),
            Self::Interval(form) => form.render(array(field)?, scratch)?,
            Self::Jsonb => Value::Text(jsonb::decode(field, scratch)?),
            Self::JsonbNumeric => jsonb::decode_numeric(field, scratch)?,
            Self::Array(element, spacing) => {
                super::array::decode(element, spacing, field, scratch)?;
                Value::Text(scratch)
            }
            Self::Range(range) | Self::RangeAny(range) => {
                range.decode(field, scratch)?;
                Value::Text(scratch)
            }
            Self::Bits(bits) => {
                bits.decode(field, scratch)?;
                Value::Text(scratch)
            }
            Self::NumberText(limit) => text::read_number_text(field, limit)?,
            Self::Net(net) => {
                net.decode(field, scratch)?;
                Value::Text(scratch)
            }
            _ => return Err(Refusal::Class),
        })
    }
}

/// A field of a fixed size, which fits whatever it is.
fn whole<const N: usize>(bytes: [u8; N], out: &mut Vec<u8>) -> Result<(), Refusal> {
    fixed(bytes, out);
    Ok(())
}

fn encode_moment(moment: Moment, value: Value<'_>, out: &mut Vec<u8>) -> Result<(), Refusal> {
    let number = moment.parse(value)?;
    if moment.is_date() {
        fixed(i32::try_from(number).map_err(|_| Refusal::Form)?.to_be_bytes(), out);
    } else {
        fixed(number.to_be_bytes(), out);
    }
    Ok(())
}
