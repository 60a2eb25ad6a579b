//! Text as `jsonb`, which keeps a document's meaning and not its form.
//!
//! The field is a version byte, 1, and the document as PostgreSQL itself writes it: of keys that
//! come twice the last, keys by length and then by bytes, `": "` and `", "` between, numbers as
//! `numeric` writes them (`src/backend/utils/adt/jsonb.c`).

use super::{
    super::value::Value,
    LONGEST_FIELD, Refusal, decimal,
    json_reader::{JsonReader, write_string},
};

const VERSION: u8 = 1;

/// Levels of arrays and objects. PostgreSQL's own limit depends on its `max_stack_depth`; with the
/// usual 2 MB it is lower.
const DEEPEST: usize = 10_000;

/// Bytes of a string or of a whole document: `jsonb` counts in 28 bits.
const LONGEST: usize = 0x0fff_ffff;

/// One container that is not closed yet.
enum Open {
    Array,
    Object { start: usize, members: Vec<Member> },
}

/// A member of an object, from its key on to the next one.
struct Member {
    key: Vec<u8>,
    start: usize,
}

impl Member {
    /// By length, then by bytes (`lengthCompareJsonbStringValue`).
    fn rank(&self) -> (usize, &[u8]) {
        (self.key.len(), &self.key)
    }
}

/// Appends the field without its length.
pub(super) fn encode(text: &[u8], out: &mut Vec<u8>) -> Result<(), Refusal> {
    out.push(VERSION);
    let start = out.len();
    write(text, out)?;
    if text.len().max(out.len() - start) > LONGEST { Err(Refusal::Form) } else { Ok(()) }
}

/// The same for a column with NUMERIC affinity, where SQLite stores a document that is a bare
/// number as that number.
pub(super) fn encode_numeric(value: Value<'_>, out: &mut Vec<u8>) -> Result<(), Refusal> {
    if let Value::Text(text) = value {
        let start = out.len();
        encode(text, out)?;
        return if is_number(&out[start + 1..]) { Err(Refusal::Form) } else { Ok(()) };
    }
    out.push(VERSION);
    decimal::write_number(value, out)
}

/// The document in a field.
pub(super) fn decode<'a>(field: &'a [u8], scratch: &mut Vec<u8>) -> Result<&'a [u8], Refusal> {
    let [VERSION, text @ ..] = field else { return Err(Refusal::Form) };
    encode(text, scratch)?;
    if scratch == field { Ok(text) } else { Err(Refusal::Form) }
}

pub(super) fn decode_numeric<'a>(
    field: &'a [u8],
    scratch: &'a mut Vec<u8>,
) -> Result<Value<'a>, Refusal> {
    let text = decode(field, scratch)?;
    if !is_number(text) {
        return Ok(Value::Text(text));
    }
    let text = std::str::from_utf8(text).map_err(|_| Refusal::InvalidUtf8)?;
    decimal::number(text)
}

/// Of a document as [`write`] writes it.
fn is_number(text: &[u8]) -> bool {
    text.first().is_some_and(|first| *first == b'-' || first.is_ascii_digit())
}

/// Appends the document in its one form.
fn write(text: &[u8], out: &mut Vec<u8>) -> Result<(), Refusal> {
    let mut reader = JsonReader::new(text)?;
    let mut open: Vec<Open> = Vec::new();
    loop {
        let opened = value(&mut reader, &mut open, out)?;
        if open.len() > DEEPEST || out.len() > LONGEST_FIELD {
            return Err(Refusal::Form);
        }
        if opened {
            continue;
        }
        // Something has ended; so may what it stands in.
        loop {
            let Some(container) = open.last_mut() else { return reader.end() };
            match (reader.next()?, container) {
                (b',', Open::Array) => {
                    out.extend_from_slice(b", ");
                    break;
                }
                (b',', Open::Object { members, .. }) => {
                    out.extend_from_slice(b", ");
                    key(&mut reader, members, out)?;
                    break;
                }
                (b']', Open::Array) => out.push(b']'),
                (b'}', Open::Object { start, members }) => {
                    sort(*start, members, out);
                    out.push(b'}');
                }
                _ => return Err(Refusal::Form),
            }
            open.pop();
        }
    }
}

/// Appends a value, or what a container begins with up to its first value, which is then to be
/// read: true.
fn value(
    reader: &mut JsonReader<'_>,
    open: &mut Vec<Open>,
    out: &mut Vec<u8>,
) -> Result<bool, Refusal> {
    match reader.peek().ok_or(Refusal::Form)? {
        b'"' => {
            let mut text = Vec::new();
            reader.string(&mut text)?;
            write_string(&text, out);
        }
        b'-' | b'0'..=b'9' => decimal::canonical(reader.number()?, out)?,
        b'[' => {
            reader.next()?;
            if reader.peek() != Some(b']') {
                out.push(b'[');
                open.push(Open::Array);
                return Ok(true);
            }
            reader.next()?;
            out.extend_from_slice(b"[]");
        }
        b'{' => {
            reader.next()?;
            if reader.peek() != Some(b'}') {
                out.push(b'{');
                let (start, mut members) = (out.len(), Vec::new());
                key(reader, &mut members, out)?;
                open.push(Open::Object { start, members });
                return Ok(true);
            }
            reader.next()?;
            out.extend_from_slice(b"{}");
        }
        _ => out.extend_from_slice(reader.literal()?),
    }
    Ok(false)
}

fn key(
    reader: &mut JsonReader<'_>,
    members: &mut Vec<Member>,
    out: &mut Vec<u8>,
) -> Result<(), Refusal> {
    let mut key = Vec::new();
    let start = out.len();
    reader.string(&mut key)?;
    reader.expect(b':')?;
    write_string(&key, out);
    out.extend_from_slice(b": ");
    members.push(Member { key, start });
    Ok(())
}

/// Puts the members of an object, which begin at `start`, in their order.
fn sort(start: usize, members: &[Member], out: &mut Vec<u8>) {
    if members.is_sorted_by(|left, right| left.rank() < right.rank()) {
        return;
    }
    let separator = b", ".len();
    let ends = members.iter().skip(1).map(|next| next.start - separator).chain([out.len()]);
    let mut ordered: Vec<(&Member, usize)> = members.iter().zip(ends).collect();
    // The sort keeps the order of equal keys, and the last of them counts.
    ordered.sort_by(|(left, _), (right, _)| left.rank().cmp(&right.rank()));
    let mut sorted: Vec<u8> = Vec::with_capacity(out.len() - start);
    for (number, (member, end)) in ordered.iter().enumerate() {
        if ordered.get(number + 1).is_some_and(|(next, _)| next.key == member.key) {
            continue;
        }
        if !sorted.is_empty() {
            sorted.extend_from_slice(b", ");
        }
        sorted.extend_from_slice(&out[member.start..*end]);
    }
    out.truncate(start);
    out.extend_from_slice(&sorted);
}

#[cfg(test)]
mod tests {
    use super::{super::super::value::OwnedValue, *};

    fn written(text: &str) -> Option<String> {
        let mut out = Vec::new();
        write(text.as_bytes(), &mut out).ok()?;
        Some(String::from_utf8(out).unwrap())
    }

    #[test]
    fn documents_get_their_one_form() {
        for (text, expected) in [
            ("{}", "{}"),
            (" [ ] ", "[]"),
            ("[1,2 , {\"b\":[],\"a\":{}}]", "[1, 2, {\"a\": {}, \"b\": []}]"),
            ("{\"bb\":1,\"a\":2,\"c\":3}", "{\"a\": 2, \"c\": 3, \"bb\": 1}"),
            (
                "{\"a\":1,\"b\":2,\"a\":{\"z\":0,\"y\":1}}",
                "{\"a\": {\"y\": 1, \"z\": 0}, \"b\": 2}",
            ),
            ("{\"a\":1,\"\\u0061\":2}", "{\"a\": 2}"),
            ("{\"\":1}", "{\"\": 1}"),
            ("{\"é\":1,\"zz\":2,\"x\":3}", "{\"x\": 3, \"zz\": 2, \"é\": 1}"),
            ("\"\\u00e9\\/\\b\\t\\u001f\\u007f\"", "\"é/\\b\\t\\u001f\u{7f}\""),
            ("\"\\ud83d\\ude00\"", "\"😀\""),
            ("[1e2,1.50,-0,-0.0,1E-3]", "[100, 1.50, 0, 0.0, 0.001]"),
            ("[true,false,null]", "[true, false, null]"),
        ] {
            assert_eq!(written(text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_jsonb_does_not_take_is_refused() {
        for text in [
            "",
            "{",
            "[1,]",
            "{\"a\":1,}",
            "{a:1}",
            "[1 2]",
            "01",
            "1.",
            "-",
            ".5",
            "+1",
            "NaN",
            "tru",
            "truex",
            "[]]",
            "{} {}",
            "\"\t\"",
            "\"\\x\"",
            "\"\\u00\"",
            "\"\\ud800\"",
            "\"\\udc00\"",
            "\"\\ud800\\u0041\"",
            "\"\\u0000\"",
            "{\"a\"}",
            "{1:2}",
            "[\"a\":1]",
            "1e",
            "1e999999",
            "\u{feff}{}",
            "[}",
            "{\"a\":1]",
        ] {
            assert_eq!(written(text), None, "{text}");
        }
    }

    #[test]
    fn depth_is_bounded_and_needs_no_stack() {
        let nested = |depth: usize| "[".repeat(depth) + "1" + &"]".repeat(depth);
        assert!(written(&nested(DEEPEST)).is_some());
        assert!(written(&nested(DEEPEST + 1)).is_none());
        let nested = "{\"b\":0,\"a\":".repeat(2_000) + "1" + &"}".repeat(2_000);
        assert!(written(&nested).is_some_and(|text| text.ends_with("\"b\": 0}")));
    }

    #[test]
    fn only_the_one_form_is_decoded() {
        assert!(decode(b"\x01{\"a\": 1}", &mut Vec::new()).is_ok());
        for field in [&b"\x01{\"a\":1}"[..], b"\x02{}", b"", b"{}", b"\x01"] {
            assert_eq!(decode(field, &mut Vec::new()), Err(Refusal::Form));
        }
    }

    #[test]
    fn a_bare_number_keeps_its_class() {
        let decoded = |text: &str| {
            let field = [b"\x01", text.as_bytes()].concat();
            decode_numeric(&field, &mut Vec::new()).map(OwnedValue::from)
        };
        assert_eq!(decoded("5"), Ok(OwnedValue::Integer(5)));
        assert_eq!(decoded("0.0000001"), Ok(OwnedValue::Real(1e-7)));
        assert_eq!(decoded("100000000000000000000"), Ok(OwnedValue::Real(1e20)));
        assert_eq!(decoded("1.50"), Err(Refusal::Form));
        assert_eq!(decoded("5.0"), Err(Refusal::Form));
        assert_eq!(encode_numeric(Value::Text(b"5"), &mut Vec::new()), Err(Refusal::Form));
    }
}
