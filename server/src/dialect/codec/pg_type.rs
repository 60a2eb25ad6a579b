//! Which codecs a PostgreSQL type can use.

use super::{Codec, numeric::Scale};

/// A type's name in its shortest spelling, with the numbers in its brackets.
struct PgType {
    base: &'static str,
    arguments: Vec<u32>,
}

/// Spellings of the types that codecs know (PostgreSQL manual, "Data Types", table 8.1).
const SPELLINGS: &[(&str, &str)] = &[
    ("bigint", "bigint"),
    ("int8", "bigint"),
    ("double precision", "double precision"),
    ("float8", "double precision"),
    ("text", "text"),
    ("varchar", "varchar"),
    ("character varying", "varchar"),
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
    ("uuid", "uuid"),
    ("numeric", "numeric"),
    ("decimal", "numeric"),
    ("json", "json"),
];

impl PgType {
    fn parse(name: &str) -> Option<Self> {
        let name = name.to_ascii_lowercase();
        let (before, after, arguments) = match name.split_once('(') {
            None => (name.as_str(), "", Vec::new()),
            Some((before, rest)) => {
                let (inside, after) = rest.split_once(')')?;
                let numbers = inside.split(',').map(|number| number.trim().parse());
                (before, after, numbers.collect::<Result<_, _>>().ok()?)
            }
        };
        let words: Vec<&str> = before.split_whitespace().chain(after.split_whitespace()).collect();
        let spelled = words.join(" ");
        let (_, base) = SPELLINGS.iter().find(|(spelling, _)| *spelling == spelled)?;
        Some(Self { base, arguments })
    }
}

/// An expression for the field that PostgreSQL sends for a value of a type; `None` for a type that
/// no codec knows. Neither the session's settings nor its `search_path` change it. Equal values have
/// equal fields.
pub fn sent_as(pg_type: &str, value: &str) -> Option<String> {
    let function = match PgType::parse(pg_type)?.base {
        "bytea" => return Some(value.to_owned()),
        // What `textsend` gives is in the client's encoding.
        "text" | "varchar" => {
            return Some(format!("pg_catalog.convert_to({value}, 'UTF8')"));
        }
        "json" => return Some(format!("pg_catalog.convert_to({value}::pg_catalog.text, 'UTF8')")),
        "numeric" => {
            return Some(format!("pg_catalog.numeric_send(pg_catalog.trim_scale({value}))"));
        }
        // −0.0 becomes 0.0.
        "double precision" => {
            return Some(format!("pg_catalog.float8send({value} OPERATOR(pg_catalog.+) '0')"));
        }
        "bigint" => "int8send",
        "boolean" => "boolsend",
        "date" => "date_send",
        "time" => "time_send",
        "timestamp" => "timestamp_send",
        "timestamptz" => "timestamptz_send",
        "uuid" => "uuid_send",
        _ => return None,
    };
    Some(format!("pg_catalog.{function}({value})"))
}

pub(super) fn natural(codec: &Codec) -> String {
    match codec {
        Codec::Integer => "bigint",
        Codec::Real | Codec::Number => "double precision",
        Codec::Text | Codec::Tagged | Codec::Escaped => "text",
        Codec::Varchar(limit) => return format!("varchar({limit})"),
        Codec::Blob => "bytea",
        Codec::Bool(_) => "boolean",
        Codec::Date => "date",
        Codec::Time(_) => "time",
        Codec::Timestamp(..) | Codec::Midnight => "timestamp",
        Codec::TimestampTz(..) | Codec::Epoch(_) => "timestamptz",
        Codec::Uuid(_) => "uuid",
        Codec::Numeric(None) => "numeric",
        Codec::Numeric(Some(scale)) => {
            return format!("numeric({},{})", scale.precision(), scale.scale());
        }
        Codec::Json | Codec::JsonNumeric => "json",
    }
    .to_owned()
}

pub(super) fn fits(codec: &Codec, pg_type: &str) -> bool {
    let Some(PgType { base, arguments }) = PgType::parse(pg_type) else { return false };
    match (base, arguments.as_slice(), codec) {
        ("bigint", [], Codec::Integer)
        | ("double precision", [], Codec::Real | Codec::Number)
        // varchar(n) takes Varchar only: PostgreSQL cuts spaces off a text that is too long.
        | ("text" | "varchar", [], Codec::Text | Codec::Varchar(_) | Codec::Tagged | Codec::Escaped)
        | ("bytea", [], Codec::Blob)
        | ("boolean", [], Codec::Bool(_))
        | ("date", [], Codec::Date)
        | ("uuid", [], Codec::Uuid(_))
        | ("json", [], Codec::Json | Codec::JsonNumeric)
        | ("numeric", [], Codec::Numeric(_)) => true,
        ("varchar", [limit], Codec::Varchar(length)) => length <= limit,
        ("numeric", bounds, Codec::Numeric(Some(scale))) => fits_bounds(bounds, *scale),
        ("time" | "timestamp" | "timestamptz", digits, codec) => {
            let needed = match (base, codec) {
                ("time", Codec::Time(clock))
                | ("timestamp", Codec::Timestamp(_, clock))
                | ("timestamptz", Codec::TimestampTz(_, clock, _)) => clock.digits(),
                ("timestamp", Codec::Midnight) => 0,
                ("timestamptz", Codec::Epoch(unit)) => unit.per_second().ilog10(),
                _ => return false,
            };
            match digits {
                [] => true,
                [digits] => needed <= *digits,
                _ => false,
            }
        }
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
        assert!(!fits("real", "real"));
        assert!(!fits("text", "text); DROP TABLE x; --"));
    }
}
