//! Which codecs a PostgreSQL type can use.

use super::{BitType, Clock, Codec, Element, Width, numeric::Scale};

/// A type's name in its shortest spelling, with the numbers in its brackets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PgType {
    /// `varchar`, `timestamptz`, …: of the elements if it is an array.
    pub base: &'static str,
    /// `[10, 2]` of `numeric(10,2)`.
    pub arguments: Vec<u32>,
    /// It is an array.
    pub is_array: bool,
}

/// Spellings of the types that codecs know (PostgreSQL manual, "Data Types", table 8.1).
const SPELLINGS: &[(&str, &str)] = &[
    ("smallint", "smallint"),
    ("int2", "smallint"),
    ("integer", "integer"),
    ("int", "integer"),
    ("int4", "integer"),
    ("bigint", "bigint"),
    ("int8", "bigint"),
    ("real", "real"),
    ("float4", "real"),
    ("double precision", "double precision"),
    ("float8", "double precision"),
    ("text", "text"),
    ("varchar", "varchar"),
    ("character varying", "varchar"),
    ("char", "char"),
    ("character", "char"),
    ("bpchar", "bpchar"),
    ("bytea", "bytea"),
    ("boolean", "boolean"),
    ("bool", "boolean"),
    ("date", "date"),
    ("time", "time"),
    ("time without time zone", "time"),
    ("timestamp", "timestamp"),
    ("timestamp without time zone", "timestamp"),
    ("timestamptz", "timestamptz"),
    ("timestamp with time zone", "timestamptz"),
    ("interval", "interval"),
    ("uuid", "uuid"),
    ("numeric", "numeric"),
    ("decimal", "numeric"),
    ("json", "json"),
    ("jsonb", "jsonb"),
    ("inet", "inet"),
    ("cidr", "cidr"),
    ("macaddr", "macaddr"),
    ("bit", "bit"),
    ("bit varying", "varbit"),
    ("varbit", "varbit"),
    ("int4range", "int4range"),
    ("int8range", "int8range"),
    ("numrange", "numrange"),
    ("daterange", "daterange"),
    ("tsrange", "tsrange"),
    ("tstzrange", "tstzrange"),
];

/// Names of the other types that every PostgreSQL has. None of them is an enum.
const OTHER_TYPES: &[&str] = &[
    "\"char\"",
    "box",
    "circle",
    "datemultirange",
    "int4multirange",
    "int8multirange",
    "line",
    "lseg",
    "macaddr8",
    "money",
    "name",
    "nummultirange",
    "oid",
    "path",
    "pg_lsn",
    "point",
    "polygon",
    "record",
    "time with time zone",
    "timetz",
    "tsmultirange",
    "tsquery",
    "tstzmultirange",
    "tsvector",
    "xid",
    "xml",
];

impl PgType {
    /// By one of the names of a built-in type that codecs know.
    pub fn parse(name: &str) -> Option<Self> {
        let name = name.to_ascii_lowercase();
        let (element, is_array) = match name.strip_suffix("[]") {
            Some(element) => (element, true),
            None => (name.as_str(), false),
        };
        let (spelled, mut arguments) = split(element)?;
        let (_, base) = SPELLINGS.iter().find(|(spelling, _)| *spelling == spelled)?;
        let base = match *base {
            // Without a length `bpchar` has none, and `char` and `bit` have one of 1.
            "bpchar" if !arguments.is_empty() => "char",
            "char" if arguments.is_empty() => {
                arguments.push(1);
                "char"
            }
            "bit" if arguments.is_empty() => {
                arguments.push(1);
                "bit"
            }
            base => base,
        };
        Some(Self { base, arguments, is_array })
    }
}

/// A type's words, and the numbers in its brackets.
fn split(name: &str) -> Option<(String, Vec<u32>)> {
    let (before, after, arguments) = match name.split_once('(') {
        None => (name, "", Vec::new()),
        Some((before, rest)) => {
            let (inside, after) = rest.split_once(')')?;
            let numbers = inside.split(',').map(|number| number.trim().parse());
            (before, after, numbers.collect::<Result<_, _>>().ok()?)
        }
    };
    let words: Vec<&str> = before.split_whitespace().chain(after.split_whitespace()).collect();
    Some((words.join(" "), arguments))
}

/// Whether the name may be one of a type that somebody has made, such as an enum.
fn is_made(name: &str) -> bool {
    let other = split(name).is_none_or(|(words, _)| OTHER_TYPES.contains(&words.as_str()));
    PgType::parse(name).is_none() && !other && !name.ends_with("[]")
}

/// An expression for the field that PostgreSQL sends for a value of a type; `None` for a type that
/// no codec knows. Neither the session's settings nor its `search_path` change it. Equal values have
/// equal fields.
pub fn sent_as(pg_type: &str, value: &str) -> Option<String> {
    if is_made(pg_type) {
        // A label.
        return Some(format!("pg_catalog.convert_to({value}::pg_catalog.text, 'UTF8')"));
    }
    let PgType { base, arguments, is_array: false } = PgType::parse(pg_type)? else { return None };
    let function = match base {
        // A cast takes the spaces off that the field has.
        "char" => {
            let length = arguments.first()?;
            let padded = format!("pg_catalog.rpad({value}::pg_catalog.text, {length})");
            return Some(format!("pg_catalog.convert_to({padded}, 'UTF8')"));
        }
        "real" => {
            return Some(format!("pg_catalog.float4send({value} OPERATOR(pg_catalog.+) '0')"));
        }
        "bytea" => return Some(value.to_owned()),
        // What `textsend` gives is in the client's encoding.
        "text" | "varchar" => {
            return Some(format!("pg_catalog.convert_to({value}, 'UTF8')"));
        }
        "json" => return Some(format!("pg_catalog.convert_to({value}::pg_catalog.text, 'UTF8')")),
        // With a scale all values have its digits; without one, equal ones need not.
        "numeric" if !arguments.is_empty() => "numeric_send",
        "numeric" => {
            return Some(format!("pg_catalog.numeric_send(pg_catalog.trim_scale({value}))"));
        }
        // −0.0 becomes 0.0.
        "double precision" => {
            return Some(format!("pg_catalog.float8send({value} OPERATOR(pg_catalog.+) '0')"));
        }
        "smallint" => "int2send",
        "integer" => "int4send",
        "bigint" => "int8send",
        "boolean" => "boolsend",
        "date" => "date_send",
        "time" => "time_send",
        "timestamp" => "timestamp_send",
        "timestamptz" => "timestamptz_send",
        "uuid" => "uuid_send",
        "inet" => "inet_send",
        "cidr" => "cidr_send",
        "macaddr" => "macaddr_send",
        "bit" => "bit_send",
        "varbit" => "varbit_send",
        // Values of other types that are equal may have different fields.
        _ => return None,
    };
    Some(format!("pg_catalog.{function}({value})"))
}

pub(super) fn natural(codec: &Codec) -> String {
    match codec {
        Codec::Integer => "bigint",
        Codec::Narrow(Width::Bits16) => "smallint",
        Codec::Narrow(Width::Bits32) => "integer",
        Codec::Single(_) => "real",
        Codec::Real | Codec::Number | Codec::NumberAny => "double precision",
        Codec::Text
        | Codec::Tagged
        | Codec::Escaped
        | Codec::TextOfBlob
        | Codec::NumberText(None) => "text",
        Codec::Varchar(limit) | Codec::NumberText(Some(limit)) => {
            return format!("varchar({limit})");
        }
        Codec::Char(length) => return format!("char({length})"),
        Codec::Blob | Codec::BlobOfText => "bytea",
        Codec::Label(_) => "enum",
        Codec::Bool(_) | Codec::BoolAny(_) => "boolean",
        Codec::Date | Codec::Midnight | Codec::Epoch(_) => return moment(codec, 6),
        Codec::Time(clock) | Codec::Timestamp(_, clock) | Codec::TimestampTz(_, clock, _) => {
            return moment(codec, precision(*clock));
        }
        Codec::Moment(form) => return moment(codec, form.clock().map_or(6, precision)),
        Codec::Interval(_) => "interval",
        Codec::Uuid(_) | Codec::UuidAny => "uuid",
        Codec::Numeric(None) | Codec::NumericAs(None, _) => "numeric",
        Codec::Numeric(Some(scale)) | Codec::NumericAs(Some(scale), _) => {
            return format!("numeric({},{})", scale.precision(), scale.scale());
        }
        Codec::Json | Codec::JsonNumeric => "json",
        Codec::Jsonb | Codec::JsonbNumeric => "jsonb",
        Codec::Array(element, _) => return format!("{}[]", element.type_name()),
        Codec::Net(net) => net.name(),
        Codec::Range(range) | Codec::RangeAny(range) => range.base(),
        Codec::Bits(bits) => return bits.type_name(),
    }
    .to_owned()
}

/// Bytes that the smallest value takes; none where the value's own length counts.
pub(super) fn smallest(codec: &Codec) -> Option<u64> {
    Some(match natural(codec).split(['(', '[']).next()? {
        "boolean" => 1,
        "smallint" => 2,
        "numeric" => 3,
        "integer" | "real" | "date" | "enum" => 4,
        "macaddr" => 6,
        "bigint" | "double precision" | "time" | "timestamp" | "timestamptz" => 8,
        "uuid" | "interval" => 16,
        _ => return None,
    })
}

/// Digits of a second that the type keeps for a clock.
fn precision(clock: Clock) -> u32 {
    if let Clock::Within(_, digits) = clock { u32::from(digits) } else { 6 }
}

fn moment(codec: &Codec, digits: u32) -> String {
    let (base, _) = moment_of(codec).unwrap_or(("timestamp", 0));
    if digits < 6 { format!("{base}({digits})") } else { base.to_owned() }
}

/// The type of a codec for dates and times, and the digits of a second that it needs.
fn moment_of(codec: &Codec) -> Option<(&'static str, u32)> {
    Some(match codec {
        Codec::Date => ("date", 0),
        Codec::Time(clock) => ("time", clock.digits()),
        Codec::Timestamp(_, clock) => ("timestamp", clock.digits()),
        Codec::Midnight => ("timestamp", 0),
        Codec::TimestampTz(_, clock, _) => ("timestamptz", clock.digits()),
        Codec::Epoch(unit) => ("timestamptz", unit.per_second().ilog10()),
        Codec::Moment(form) => (form.base(), form.digits()),
        _ => return None,
    })
}

pub(super) fn fits(codec: &Codec, pg_type: &str) -> bool {
    if let Codec::Label(_) = codec {
        return is_made(pg_type);
    }
    let Some(PgType { base, arguments, is_array }) = PgType::parse(pg_type) else { return false };
    if is_array {
        let Codec::Array(element, _) = codec else { return false };
        return Element::of(&PgType { base, arguments, is_array }).contains(element);
    }
    if let Some((r#type, needed)) = moment_of(codec) {
        return r#type == base
            && match *arguments {
                [] => true,
                [digits] => needed <= digits,
                _ => false,
            };
    }
    match (base, arguments.as_slice(), codec) {
        ("bigint", [], Codec::Integer)
        | ("smallint", [], Codec::Narrow(Width::Bits16))
        | ("integer", [], Codec::Narrow(Width::Bits32))
        | ("real", [], Codec::Single(_))
        | ("double precision", [], Codec::Real | Codec::Number | Codec::NumberAny)
        // varchar(n) takes Varchar only: PostgreSQL cuts spaces off a text that is too long.
        | (
            "text" | "varchar",
            [],
            Codec::Text
            | Codec::Varchar(_)
            | Codec::Tagged
            | Codec::Escaped
            | Codec::TextOfBlob
            | Codec::NumberText(_),
        )
        | ("bpchar", [], Codec::Text)
        | ("bytea", [], Codec::Blob | Codec::BlobOfText)
        | ("boolean", [], Codec::Bool(_) | Codec::BoolAny(_))
        | ("interval", [] | [6], Codec::Interval(_))
        | ("uuid", [], Codec::Uuid(_) | Codec::UuidAny)
        | ("json", [], Codec::Json | Codec::JsonNumeric)
        | ("jsonb", [], Codec::Jsonb | Codec::JsonbNumeric)
        | ("numeric", [], Codec::Numeric(_) | Codec::NumericAs(..)) => true,
        ("varchar", [limit], Codec::Varchar(length) | Codec::NumberText(Some(length))) => {
            length <= limit
        }
        ("char", [limit], Codec::Char(length)) => length == limit,
        ("numeric", bounds, Codec::Numeric(Some(scale)) | Codec::NumericAs(Some(scale), _)) => {
            fits_bounds(bounds, *scale)
        }
        ("bit", [length], Codec::Bits(BitType::Fixed(count))) => count == length,
        ("varbit", [], Codec::Bits(BitType::Varying(None))) => true,
        ("varbit", [limit], Codec::Bits(BitType::Varying(Some(most)))) => most == limit,
        (base, [], Codec::Net(net)) => net.name() == base,
        (base, [], Codec::Range(range) | Codec::RangeAny(range)) => range.base() == base,
        _ => false,
    }
}

/// The display scale is part of what PostgreSQL sends, so the scales must be the same.
fn fits_bounds(bounds: &[u32], codec: Scale) -> bool {
    let (precision, scale) = match *bounds {
        [precision] => (precision, 0),
        [precision, scale] => (precision, scale),
        _ => return false,
    };
    u32::from(codec.scale()) == scale && u32::from(codec.precision()) <= precision
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_known_by_all_their_names() {
        let fits = |codec: &str, pg_type| codec.parse::<Codec>().unwrap().fits_type(pg_type);
        assert!(fits("integer", "BIGINT"));
        assert!(!fits("integer", "integer"));
        assert!(fits("timestamp:space:3", "timestamp(6)  without time zone"));
        // PostgreSQL would round a time that is written with six digits.
        assert!(!fits("timestamp:space:3", "timestamp(3)"));
        assert!(fits("timestamp:space:minutes", "timestamp(0)"));
        assert!(!fits("timestamp:space:3", "timestamptz"));
        assert!(fits("timestamptz:epoch-ms", "timestamp (3) with time zone"));
        assert!(!fits("timestamptz:epoch-us", "timestamptz(3)"));
        assert!(fits("varchar:10", "character varying(20)"));
        assert!(!fits("varchar:10", "varchar(9)"));
        assert!(!fits("text", "varchar(9)"));
        assert!(fits("numeric:10:2", "numeric(12, 2)"));
        assert!(!fits("numeric:10:2", "numeric(12,3)"));
        assert!(!fits("numeric", "numeric(12,3)"));
        assert!(!fits("json", "jsonb"));
        assert!(fits("jsonb", "jsonb"));
        assert!(!fits("real", "real"));
        assert!(fits("real:32", "float4"));
        assert!(fits("integer:32", "int4") && fits("integer:32", "integer"));
        assert!(!fits("integer:16", "integer"));
        assert!(fits("timestamp:space:0or6-3", "timestamp(3) without time zone"));
        assert!(!fits("timestamp:space:0or6-3", "timestamp(2) without time zone"));
        assert!(fits("char:5", "character(5)") && fits("char:1", "character"));
        assert!(!fits("char:5", "character(6)") && !fits("char:1", "bpchar"));
        assert!(fits("text", "bpchar"));
        assert!(fits("array:int4:compact", "integer[]"));
        assert!(!fits("array:int4:compact", "integer") && !fits("integer:32", "integer[]"));
        assert!(fits("range:int4", "int4range") && !fits("range:int4", "int8range"));
        assert!(fits("range:any:tstz:in:Europe/Berlin", "tstzrange"));
        assert!(fits("text:number", "text") && !fits("text:number", "varchar(9)"));
        assert!(fits("varchar:9:number", "varchar(9)"));
        assert!(fits("bit:1", "bit") && fits("bit:3", "bit(3)") && !fits("bit:3", "bit(4)"));
        assert!(fits("varbit", "bit varying") && fits("varbit:3", "bit varying(3)"));
        assert!(!fits("varbit", "varbit(3)") && !fits("varbit:3", "varbit"));
        assert!(!fits("array:varchar:compact", "character varying(5)[]"));
        assert!(fits("array:varchar(5):compact", "character varying(5)[]"));
        assert!(fits("array:numeric(5,0):compact", "numeric(5)[]"));
        assert!(!fits("array:numeric:compact", "numeric(5)[]"));
        assert!(!fits("array:timestamp:compact", "timestamp(3) without time zone[]"));
        for made in ["mood", "public.mood", "\"Mood\"", "my \"odd\" type"] {
            assert!(fits("label:a|b", made), "{made}");
        }
        for built_in in
            ["text", "money", "xml", "bit(3)", "int4range", "int4multirange", "mood[]", "timetz"]
        {
            assert!(!fits("label:a|b", built_in), "{built_in}");
        }
        assert!(!fits("text", "text); DROP TABLE x; --"));
    }
}
