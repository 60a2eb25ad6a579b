//! A JSON text that is a flat array, as an array of PostgreSQL.
//!
//! The field (`array_send`): number of dimensions, whether there are NULLs, the element's OID, for
//! each dimension its length and lower bound, and the elements as fields.

use super::{
    Refusal, array, decimal,
    json_reader::{JsonReader, write_string},
    numeric,
    text::check_text,
    uuid::UuidForm,
    varying,
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
    /// `text`.
    Text,
    /// `varchar`.
    Varchar,
    /// `boolean`.
    Bool,
    /// `uuid`.
    Uuid,
}

/// What is written behind a comma.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Spacing {
    /// Nothing, as JavaScript does it.
    Compact,
    /// A space, as Python does it.
    Spaced,
}

impl Spacing {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Compact, Self::Spaced];
}

impl Element {
    /// Every type.
    pub const ALL: [Self; 8] = [
        Self::Int2,
        Self::Int4,
        Self::Int8,
        Self::Float8,
        Self::Text,
        Self::Varchar,
        Self::Bool,
        Self::Uuid,
    ];

    /// Of the catalog (`pg_type.dat`).
    fn oid(self) -> u32 {
        match self {
            Self::Int2 => 21,
            Self::Int4 => 23,
            Self::Int8 => 20,
            Self::Float8 => 701,
            Self::Text => 25,
            Self::Varchar => 1043,
            Self::Bool => 16,
            Self::Uuid => 2950,
        }
    }

    /// Type of PostgreSQL, shortest spelling.
    pub(super) fn base(self) -> &'static str {
        match self {
            Self::Int2 => "smallint",
            Self::Int4 => "integer",
            Self::Int8 => "bigint",
            Self::Float8 => "double precision",
            Self::Text => "text",
            Self::Varchar => "varchar",
            Self::Bool => "boolean",
            Self::Uuid => "uuid",
        }
    }

    /// Appends one element, which is not `null`, as a field.
    fn read(self, reader: &mut JsonReader<'_>, out: &mut Vec<u8>) -> Result<(), Refusal> {
        match self {
            Self::Int2 => varying(&integer::<i16>(reader)?.to_be_bytes(), out),
            Self::Int4 => varying(&integer::<i32>(reader)?.to_be_bytes(), out),
            Self::Int8 => varying(&integer::<i64>(reader)?.to_be_bytes(), out),
            Self::Float8 => varying(&double(reader.number()?)?.to_be_bytes(), out),
            Self::Bool => match reader.literal()? {
                b"true" => varying(&[1], out),
                b"false" => varying(&[0], out),
                _ => Err(Refusal::Form),
            },
            Self::Text | Self::Varchar | Self::Uuid => {
                let mut text = Vec::new();
                reader.string(&mut text)?;
                match self {
                    Self::Uuid => varying(&UuidForm::Lower.parse(Value::Text(&text))?, out),
                    _ => varying(&text, out),
                }
            }
        }
    }

    fn write(self, field: &[u8], out: &mut Vec<u8>) -> Result<(), Refusal> {
        match self {
            Self::Int2 => decimal_of(i64::from(i16::from_be_bytes(array(field)?)), out),
            Self::Int4 => decimal_of(i64::from(i32::from_be_bytes(array(field)?)), out),
            Self::Int8 => decimal_of(i64::from_be_bytes(array(field)?), out),
            Self::Float8 => {
                let real = f64::from_be_bytes(array(field)?);
                if !real.is_finite() {
                    return Err(Refusal::Form);
                }
                out.extend_from_slice(format!("{real:?}").as_bytes());
            }
            Self::Bool => out.extend_from_slice(match field {
                [0] => b"false",
                [1] => b"true",
                _ => return Err(Refusal::Form),
            }),
            Self::Text | Self::Varchar => {
                check_text(field)?;
                write_string(field, out);
            }
            Self::Uuid => {
                out.push(b'"');
                UuidForm::Lower.render(array(field)?, out);
                out.push(b'"');
            }
        }
        Ok(())
    }
}

fn integer<T: std::str::FromStr>(reader: &mut JsonReader<'_>) -> Result<T, Refusal> {
    let digits = check_text(reader.number()?)?;
    digits.parse().map_err(|_| Refusal::Form)
}

fn decimal_of(value: i64, out: &mut Vec<u8>) {
    out.extend_from_slice(value.to_string().as_bytes());
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

/// Appends the field without its length.
pub(super) fn encode(element: Element, text: &[u8], out: &mut Vec<u8>) -> Result<(), Refusal> {
    let mut reader = JsonReader::new(text)?;
    let mut elements = Vec::new();
    let (mut count, mut nulls) = (0_i32, false);
    reader.expect(b'[')?;
    while reader.peek() != Some(b']') {
        if count > 0 {
            reader.expect(b',')?;
        }
        if reader.peek() == Some(b'n') {
            reader.literal()?;
            nulls = true;
            elements.extend_from_slice(&(-1_i32).to_be_bytes());
        } else {
            element.read(&mut reader, &mut elements)?;
        }
        count = count.checked_add(1).ok_or(Refusal::Form)?;
    }
    reader.expect(b']')?;
    reader.end()?;
    out.extend_from_slice(&i32::from(count > 0).to_be_bytes());
    out.extend_from_slice(&i32::from(nulls).to_be_bytes());
    out.extend_from_slice(&element.oid().to_be_bytes());
    if count > 0 {
        out.extend_from_slice(&count.to_be_bytes());
        out.extend_from_slice(&1_i32.to_be_bytes());
    }
    out.extend_from_slice(&elements);
    Ok(())
}

/// Appends the JSON text of a field.
pub(super) fn decode(
    element: Element,
    spacing: Spacing,
    field: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), Refusal> {
    let mut rest = field;
    let mut word = || -> Result<i32, Refusal> {
        let (word, behind) = rest.split_first_chunk::<4>().ok_or(Refusal::Form)?;
        rest = behind;
        Ok(i32::from_be_bytes(*word))
    };
    let (dimensions, _nulls, _oid) = (word()?, word()?, word()?);
    let count = if dimensions == 0 { 0 } else { word()? };
    if dimensions != 0 {
        word()?;
    }
    out.push(b'[');
    for number in 0..count {
        if number > 0 {
            out.extend_from_slice(if spacing == Spacing::Spaced { b", " } else { b"," });
        }
        let (length, behind) = rest.split_first_chunk::<4>().ok_or(Refusal::Form)?;
        if let Ok(length) = usize::try_from(i32::from_be_bytes(*length)) {
            let (field, behind) = behind.split_at_checked(length).ok_or(Refusal::Form)?;
            element.write(field, out)?;
            rest = behind;
        } else {
            out.extend_from_slice(b"null");
            rest = behind;
        }
    }
    out.push(b']');
    // Other bounds, more dimensions: whatever is not said in JSON.
    let mut again = Vec::with_capacity(field.len());
    encode(element, out, &mut again)?;
    if again == field { Ok(()) } else { Err(Refusal::Form) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn back(element: Element, text: &str) -> Option<String> {
        let mut field = Vec::new();
        encode(element, text.as_bytes(), &mut field).ok()?;
        let mut out = Vec::new();
        decode(element, Spacing::Spaced, &field, &mut out).unwrap();
        Some(String::from_utf8(out).unwrap())
    }

    #[test]
    fn arrays_come_back_in_one_form() {
        assert_eq!(back(Element::Int4, "[1,null, -3]").as_deref(), Some("[1, null, -3]"));
        assert_eq!(back(Element::Int4, " [ ] ").as_deref(), Some("[]"));
        let text = back(Element::Text, "[\"a\\u00e9\",\"\",\"null\"]");
        assert_eq!(text.as_deref(), Some("[\"aé\", \"\", \"null\"]"));
        assert_eq!(
            back(Element::Float8, "[1,1.50,-0.0,1e300]").as_deref(),
            Some("[1.0, 1.5, -0.0, 1e300]")
        );
        assert_eq!(back(Element::Bool, "[true,false]").as_deref(), Some("[true, false]"));
    }

    #[test]
    fn what_is_no_flat_array_of_the_element_is_refused() {
        for (element, text) in [
            (Element::Int2, "[32768]"),
            (Element::Int4, "[1.0]"),
            (Element::Int4, "[[1]]"),
            (Element::Int4, "[1,]"),
            (Element::Int4, "[,1]"),
            (Element::Int4, "[\"1\"]"),
            (Element::Int4, "{}"),
            (Element::Int4, "[1] x"),
            (Element::Float8, "[1e999]"),
            (Element::Float8, "[0.10000000000000000001]"),
            (Element::Text, "[1]"),
            (Element::Text, "[\"\\u0000\"]"),
            (Element::Bool, "[1]"),
            (Element::Uuid, "[\"x\"]"),
        ] {
            assert_eq!(back(element, text), None, "{text}");
        }
    }

    #[test]
    fn other_bounds_are_refused() {
        let words = |words: &[i32]| words.iter().flat_map(|word| word.to_be_bytes()).collect();
        let decoded =
            |field: Vec<u8>| decode(Element::Int4, Spacing::Compact, &field, &mut Vec::new());
        assert_eq!(decoded(words(&[1, 0, 23, 1, 1, 4, 7])), Ok(()));
        assert_eq!(decoded(words(&[1, 0, 23, 1, 0, 4, 7])), Err(Refusal::Form));
        assert_eq!(decoded(words(&[2, 0, 23, 1, 1, 1, 1, 4, 7])), Err(Refusal::Form));
        assert_eq!(decoded(words(&[1, 0, 20, 1, 1, 4, 7])), Err(Refusal::Form));
        assert_eq!(decoded(words(&[1, 0, 23, i32::MAX, 1, 4, 7])), Err(Refusal::Form));
    }
}
