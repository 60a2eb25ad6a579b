//! A JSON text that is a flat array, as an array of PostgreSQL.
//!
//! The field (`array_send`): number of dimensions, whether there are NULLs, the element's OID, for
//! each dimension its length and lower bound, and the elements as fields.

mod element;

pub use self::element::Element;
use super::{Refusal, json_reader::JsonReader};

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
    use super::{super::Scale, *};

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
    fn elements_are_as_a_column_of_their_type_has_them() {
        let money = Scale::new(5, 2);
        for (element, text, written) in [
            (Element::Numeric(money), "[1.5,12,-0,1e2]", "[1.50, 12.00, 0.00, 100.00]"),
            (
                Element::Numeric(None),
                "[1.50,12345678901234567890.5]",
                "[1.50, 12345678901234567890.5]",
            ),
            (Element::NumericText(money), "[\"1.5\",\"+012\"]", "[\"1.50\", \"12.00\"]"),
            (Element::VarcharOf(2), "[\"éé\",\"\"]", "[\"éé\", \"\"]"),
            (Element::CharOf(3), "[\"a\",\"\",\"abc\"]", "[\"a\", \"\", \"abc\"]"),
            (Element::Date, "[\"2024-02-29\",null]", "[\"2024-02-29\", null]"),
            (Element::Timestamp, "[\"2024-01-01 10:00\"]", "[\"2024-01-01T10:00:00\"]"),
            (
                Element::TimestampTz,
                "[\"2024-01-01T10:00:00.500+02:00\"]",
                "[\"2024-01-01T08:00:00.5Z\"]",
            ),
        ] {
            assert_eq!(back(element, text).as_deref(), Some(written), "{text}");
        }
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
            (Element::Numeric(Scale::new(5, 2)), "[1.505]"),
            (Element::Numeric(Scale::new(5, 2)), "[1000]"),
            (Element::Numeric(None), "[\"1\"]"),
            (Element::NumericText(None), "[1]"),
            (Element::NumericText(None), "[\"NaN\"]"),
            (Element::VarcharOf(2), "[\"abc\"]"),
            (Element::VarcharOf(2), "[\"ab \"]"),
            (Element::CharOf(3), "[\"a \"]"),
            (Element::Date, "[\"2024-02-30\"]"),
            (Element::Date, "[\"infinity\"]"),
            (Element::Timestamp, "[\"2024-01-01T10:00:00+02:00\"]"),
            // Nobody has said which zone that would be in.
            (Element::TimestampTz, "[\"2024-01-01T10:00:00\"]"),
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
