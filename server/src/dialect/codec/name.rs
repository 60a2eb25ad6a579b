//! Codecs by name, as plans record them.

mod existing;

use std::{fmt, str::FromStr};

use super::{BoolForm, Clock, Codec, EpochUnit, Fraction, Scale, Separator, Suffix, UuidForm};

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

impl fmt::Display for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Minutes => f.write_str("minutes"),
            Self::Fixed(digits) => write!(f, "{digits}"),
            Self::ZeroOrSix => f.write_str("0or6"),
            Self::Trimmed => f.write_str("trimmed"),
            Self::Within(fraction, digits) => write!(f, "{}-{digits}", Self::from(*fraction)),
        }
    }
}

impl Clock {
    fn named(name: &str) -> Option<Self> {
        let Some((fraction, digits)) = name.split_once('-') else {
            return Self::ALL.into_iter().find(|clock| clock.to_string() == name);
        };
        let digits = digits.parse().ok().filter(|digits| *digits < 6)?;
        let fraction = match Self::named(fraction)? {
            Self::Fixed(count) => Fraction::Fixed(count),
            Self::ZeroOrSix => Fraction::ZeroOrSix,
            Self::Trimmed => Fraction::Trimmed,
            Self::Minutes | Self::Within(..) => return None,
        };
        Some(Self::Within(fraction, digits))
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
            Self::None => "none",
        }
    }

    fn named(name: &str) -> Option<Self> {
        named(&[Self::Z, Self::Minutes, Self::Hours, Self::None], name, Self::name)
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
            Self::Time(clock) => write!(f, "time:{clock}"),
            Self::Timestamp(separator, clock) => {
                write!(f, "timestamp:{}:{clock}", separator.name())
            }
            Self::Midnight => f.write_str("timestamp:date"),
            Self::TimestampTz(separator, clock, suffix) => {
                write!(f, "timestamptz:{}:{clock}:{}", separator.name(), suffix.name())
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
            codec => codec.write_existing(f),
        }
    }
}

impl FromStr for Codec {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let parts: Vec<&str> = name.splitn(4, ':').collect();
        parse(&parts)
            .or_else(|| existing::parse(name))
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
        ["time", clock] => Codec::Time(Clock::named(clock)?),
        ["timestamp", "date"] => Codec::Midnight,
        ["timestamp", separator, clock] => {
            Codec::Timestamp(separator_named(separator)?, Clock::named(clock)?)
        }
        ["timestamptz", unit] => {
            let unit = unit.strip_prefix("epoch-")?;
            Codec::Epoch(named(&EpochUnit::ALL, unit, EpochUnit::name)?)
        }
        ["timestamptz", separator, clock, suffix] => Codec::TimestampTz(
            separator_named(separator)?,
            Clock::named(clock)?,
            Suffix::named(suffix)?,
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

fn separator_named(name: &str) -> Option<Separator> {
    named(&Separator::ALL, name, Separator::name)
}

fn named<T: Copy>(all: &[T], name: &str, name_of: impl Fn(T) -> &'static str) -> Option<T> {
    all.iter().copied().find(|item| name_of(*item) == name)
}
