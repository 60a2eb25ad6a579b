//! Codecs by name, as plans record them.

use std::{fmt, str::FromStr};

use super::{BoolForm, Clock, Codec, EpochUnit, Scale, Separator, Suffix, UuidForm};

/// Names of codecs, the PostgreSQL types that use them, and what they carry; what is in capitals
/// stands for one of the words that the last column lists. `docs/type-mapping.md` prints it.
pub const TABLE: &[(&str, &str, &str)] = &[
    ("integer", "bigint", "INTEGER"),
    ("real", "double precision", "REAL, to the bit; −0.0, infinities and subnormals included"),
    (
        "number",
        "double precision",
        "INTEGER within ±2⁵³ and REAL of a column with INTEGER or NUMERIC affinity, where SQLite \
         itself stores a whole value as INTEGER",
    ),
    ("text", "text", "TEXT that is UTF-8 and holds no NUL"),
    ("varchar:N", "varchar(n)", "the same, at most N characters"),
    ("blob", "bytea", "BLOB"),
    (
        "bool:FORM",
        "boolean",
        "`01`: INTEGER 0 and 1; `t-f`, `T-F`, `true-false`, `TRUE-FALSE`, `True-False`, \
         `yes-no`, `y-n`, `Y-N`: these two texts",
    ),
    ("date", "date", "`YYYY-MM-DD`, years 0001 to 9999"),
    (
        "time:CLOCK",
        "time",
        "`HH:MM` (`minutes`); `HH:MM:SS` with a fraction of `0` to `6` digits, and of six where \
         it needs more than that; with none or six digits (`0or6`, as Python writes); without \
         zeros at the end (`trimmed`, as Go and .NET write)",
    ),
    ("timestamp:SEP:CLOCK", "timestamp", "date, `space` or `T`, time as above"),
    ("timestamp:date", "timestamp", "`YYYY-MM-DD`: midnight"),
    (
        "timestamptz:SEP:CLOCK:SUFFIX",
        "timestamptz",
        "the same with `Z`, `+00:00` or `+00` behind it in every row",
    ),
    ("timestamptz:epoch-UNIT", "timestamptz", "INTEGER: `s`, `ms` or `us` since 1970-01-01 UTC"),
    (
        "uuid:FORM",
        "uuid",
        "`lower` and `upper`: TEXT with hyphens; `hex`: 32 lower-case digits; `blob`: BLOB of 16 \
         bytes",
    ),
    (
        "numeric",
        "numeric",
        "INTEGER and REAL of a column with INTEGER or NUMERIC affinity, REAL by the shortest \
         decimal that gives the same double; no infinities",
    ),
    ("numeric:P:S", "numeric(p,s)", "the same, where P digits with S behind the point hold it"),
    ("json", "json", "TEXT that is valid JSON, kept to the byte"),
    (
        "json:numeric",
        "json",
        "the same in a column with NUMERIC affinity, where SQLite stores a document that is a \
         bare number as INTEGER or REAL",
    ),
    (
        "tagged",
        "text",
        "any value behind a letter for its class: `i:5`, `r:1.5`, `t:hello`, `b:68656c` (BLOB in \
         hexadecimal), `x:00` (TEXT with NUL or invalid UTF-8, in hexadecimal)",
    ),
    (
        "escaped",
        "text",
        "any TEXT: a backslash doubled, NUL as `\\0`, a byte that is not UTF-8 as `\\xhh`",
    ),
];

impl BoolForm {
    fn name(self) -> &'static str {
        match self {
            Self::ZeroOne => "01",
            Self::LowerTf => "t-f",
            Self::UpperTf => "T-F",
            Self::LowerTrueFalse => "true-false",
            Self::UpperTrueFalse => "TRUE-FALSE",
            Self::TitleTrueFalse => "True-False",
            Self::LowerYesNo => "yes-no",
            Self::LowerYn => "y-n",
            Self::UpperYn => "Y-N",
        }
    }
}

impl Clock {
    fn name(self) -> &'static str {
        match self {
            Self::Minutes => "minutes",
            Self::Fixed(digits) => {
                ["0", "1", "2", "3", "4", "5", "6"].get(usize::from(digits)).unwrap_or(&"invalid")
            }
            Self::ZeroOrSix => "0or6",
            Self::Trimmed => "trimmed",
        }
    }
}

impl Separator {
    fn name(self) -> &'static str {
        match self {
            Self::Space => "space",
            Self::T => "T",
        }
    }
}

impl Suffix {
    fn name(self) -> &'static str {
        match self {
            Self::Z => "Z",
            Self::Minutes => "+00:00",
            Self::Hours => "+00",
        }
    }
}

impl EpochUnit {
    fn name(self) -> &'static str {
        match self {
            Self::Seconds => "s",
            Self::Milliseconds => "ms",
            Self::Microseconds => "us",
        }
    }
}

impl UuidForm {
    fn name(self) -> &'static str {
        match self {
            Self::Lower => "lower",
            Self::Upper => "upper",
            Self::Hex => "hex",
            Self::Blob => "blob",
        }
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer => f.write_str("integer"),
            Self::Real => f.write_str("real"),
            Self::Number => f.write_str("number"),
            Self::Text => f.write_str("text"),
            Self::Varchar(limit) => write!(f, "varchar:{limit}"),
            Self::Blob => f.write_str("blob"),
            Self::Bool(form) => write!(f, "bool:{}", form.name()),
            Self::Date => f.write_str("date"),
            Self::Time(clock) => write!(f, "time:{}", clock.name()),
            Self::Timestamp(separator, clock) => {
                write!(f, "timestamp:{}:{}", separator.name(), clock.name())
            }
            Self::Midnight => f.write_str("timestamp:date"),
            Self::TimestampTz(separator, clock, suffix) => {
                let (separator, clock) = (separator.name(), clock.name());
                write!(f, "timestamptz:{separator}:{clock}:{}", suffix.name())
            }
            Self::Epoch(unit) => write!(f, "timestamptz:epoch-{}", unit.name()),
            Self::Uuid(form) => write!(f, "uuid:{}", form.name()),
            Self::Numeric(None) => f.write_str("numeric"),
            Self::Numeric(Some(scale)) => {
                write!(f, "numeric:{}:{}", scale.precision(), scale.scale())
            }
            Self::Json => f.write_str("json"),
            Self::JsonNumeric => f.write_str("json:numeric"),
            Self::Tagged => f.write_str("tagged"),
            Self::Escaped => f.write_str("escaped"),
        }
    }
}

impl FromStr for Codec {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let parts: Vec<&str> = name.splitn(4, ':').collect();
        parse(&parts)
            // `varchar:+5` and `varchar:05` are no names.
            .filter(|codec| codec.to_string() == name)
            .ok_or_else(|| format!("{name:?} is no codec; docs/type-mapping.md lists them"))
    }
}

fn parse(parts: &[&str]) -> Option<Codec> {
    Some(match *parts {
        ["integer"] => Codec::Integer,
        ["real"] => Codec::Real,
        ["number"] => Codec::Number,
        ["text"] => Codec::Text,
        ["varchar", limit] => Codec::Varchar(limit.parse().ok()?),
        ["blob"] => Codec::Blob,
        ["bool", form] => Codec::Bool(named(&BoolForm::ALL, form, BoolForm::name)?),
        ["date"] => Codec::Date,
        ["time", clock] => Codec::Time(clock_named(clock)?),
        ["timestamp", "date"] => Codec::Midnight,
        ["timestamp", separator, clock] => {
            Codec::Timestamp(separator_named(separator)?, clock_named(clock)?)
        }
        ["timestamptz", unit] => {
            let unit = unit.strip_prefix("epoch-")?;
            Codec::Epoch(named(&EpochUnit::ALL, unit, EpochUnit::name)?)
        }
        ["timestamptz", separator, clock, suffix] => Codec::TimestampTz(
            separator_named(separator)?,
            clock_named(clock)?,
            named(&Suffix::ALL, suffix, Suffix::name)?,
        ),
        ["uuid", form] => Codec::Uuid(named(&UuidForm::ALL, form, UuidForm::name)?),
        ["numeric"] => Codec::Numeric(None),
        ["numeric", precision, scale] => {
            Codec::Numeric(Some(Scale::new(precision.parse().ok()?, scale.parse().ok()?)?))
        }
        ["json"] => Codec::Json,
        ["json", "numeric"] => Codec::JsonNumeric,
        ["tagged"] => Codec::Tagged,
        ["escaped"] => Codec::Escaped,
        _ => return None,
    })
}

fn clock_named(name: &str) -> Option<Clock> {
    named(&Clock::ALL, name, Clock::name)
}

fn separator_named(name: &str) -> Option<Separator> {
    named(&Separator::ALL, name, Separator::name)
}

fn named<T: Copy>(all: &[T], name: &str, name_of: impl Fn(T) -> &'static str) -> Option<T> {
    all.iter().copied().find(|item| name_of(*item) == name)
}
