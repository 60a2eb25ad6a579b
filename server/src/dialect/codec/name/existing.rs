//! Names of the codecs for columns whose type is given.

use std::fmt;

use super::{
    super::{
        BitType, BoolBack, Clock, Codec, Element, EpochUnit, IntervalForm, Labels, Moment,
        MomentType, NetType, NumericForm, PgType, RangeType, Scale, Separator, Single, Spacing,
        Suffix, Width, Zone,
    },
    named, separator_named,
};

impl Width {
    fn name(self) -> &'static str {
        match self {
            Self::Bits16 => "16",
            Self::Bits32 => "32",
        }
    }
}

impl Single {
    fn name(self) -> &'static str {
        match self {
            Self::Exact => "32",
            Self::Rounded => "32:rounded",
        }
    }
}

impl NumericForm {
    fn name(self) -> &'static str {
        match self {
            Self::Real => "real",
            Self::Text => "text",
            Self::Any => "any",
            Self::AnyText => "any:text",
        }
    }
}

impl BoolBack {
    fn name(self) -> &'static str {
        match self {
            Self::ZeroOne => "any",
            Self::Text => "any:text",
        }
    }
}

impl IntervalForm {
    fn name(self) -> &'static str {
        match self {
            Self::Count(unit) => unit.name(),
            Self::Epoch => "epoch",
            Self::Clock => "clock",
        }
    }
}

impl RangeType {
    fn name(self) -> &'static str {
        match self {
            Self::Int4 => "int4",
            Self::Int8 => "int8",
            Self::Num => "num",
            Self::Date => "date",
            Self::Ts => "ts",
            Self::TsTz(_) => "tstz",
        }
    }
}

impl Element {
    /// Without a length or a scale.
    fn word(self) -> &'static str {
        match self {
            Self::Int2 => "int2",
            Self::Int4 => "int4",
            Self::Int8 => "int8",
            Self::Float8 => "float8",
            Self::Numeric(_) => "numeric",
            Self::NumericText(_) => "numeric-text",
            Self::Text => "text",
            Self::Varchar | Self::VarcharOf(_) => "varchar",
            Self::CharOf(_) => "char",
            Self::Bool => "bool",
            Self::Uuid => "uuid",
            Self::Date => "date",
            Self::Timestamp => "timestamp",
            Self::TimestampTz => "timestamptz",
        }
    }

    fn named(name: &str) -> Option<Self> {
        let of_type = |name: &str| Some(Self::of(&PgType::parse(name)?));
        let (word, bounds) = name.split_at(name.find('(').unwrap_or(name.len()));
        let spelt = if word == "numeric-text" { format!("numeric{bounds}") } else { name.into() };
        of_type(&spelt)?.into_iter().find(|element| element.word() == word)
    }
}

impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())?;
        match self {
            Self::Numeric(Some(scale)) | Self::NumericText(Some(scale)) => {
                write!(f, "({},{})", scale.precision(), scale.scale())
            }
            Self::VarcharOf(length) | Self::CharOf(length) => write!(f, "({length})"),
            _ => Ok(()),
        }
    }
}

impl Spacing {
    fn name(self) -> &'static str {
        match self {
            Self::Compact => "compact",
            Self::Spaced => "spaced",
        }
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let base = self.base();
        match self {
            Self::DateAny => f.write_str("date:any"),
            Self::DateJulian | Self::Julian(_) => write!(f, "{base}:julian"),
            Self::TimeAny(clock) => write!(f, "time:any:{clock}"),
            Self::TimestampAny(separator, clock) => {
                write!(f, "timestamp:any:{}:{clock}", separator.name())
            }
            Self::TimestampTzAny(separator, clock, suffix) => {
                write!(f, "timestamptz:any:{}:{clock}:{}", separator.name(), suffix.name())
            }
            Self::TimestampTzAnyIn(zone, separator, clock, suffix) => {
                let (separator, suffix) = (separator.name(), suffix.name());
                write!(f, "timestamptz:any:in:{}:{separator}:{clock}:{suffix}", zone.name())
            }
            Self::TimestampUtc(separator, clock, suffix) => {
                write!(f, "timestamp:{}:{clock}:{}", separator.name(), suffix.name())
            }
            Self::Epoch(unit) => write!(f, "timestamp:epoch-{}", unit.name()),
            Self::EpochReal(_) => write!(f, "{base}:epoch-s-real"),
            Self::In(zone, separator, clock) => {
                write!(f, "timestamptz:in:{}:{}:{clock}", zone.name(), separator.name())
            }
        }
    }
}

impl Codec {
    pub(super) fn write_existing(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Narrow(width) => write!(f, "integer:{}", width.name()),
            Self::Single(single) => write!(f, "real:{}", single.name()),
            Self::NumberAny => f.write_str("number:any"),
            Self::NumericAs(None, form) => write!(f, "numeric:{}", form.name()),
            Self::NumericAs(Some(scale), form) => {
                write!(f, "numeric:{}:{}:{}", scale.precision(), scale.scale(), form.name())
            }
            Self::Char(length) => write!(f, "char:{length}"),
            Self::TextOfBlob => f.write_str("text:blob"),
            Self::BlobOfText => f.write_str("blob:text"),
            Self::Label(labels) => write!(f, "label:{}", labels.name()),
            Self::BoolAny(back) => write!(f, "bool:{}", back.name()),
            Self::Moment(moment) => write!(f, "{moment}"),
            Self::UuidAny => f.write_str("uuid:any"),
            Self::Interval(form) => write!(f, "interval:{}", form.name()),
            Self::Jsonb => f.write_str("jsonb"),
            Self::JsonbNumeric => f.write_str("jsonb:numeric"),
            Self::Array(element, spacing) => {
                write!(f, "array:{element}:{}", spacing.name())
            }
            Self::Net(net) => f.write_str(net.name()),
            Self::Range(range) => write!(f, "range:{}", range.name()),
            Self::RangeAny(range) => {
                write!(f, "range:any:{}", range.name())?;
                match range {
                    RangeType::TsTz(Some(zone)) => write!(f, ":in:{}", zone.name()),
                    _ => Ok(()),
                }
            }
            Self::Bits(BitType::Fixed(length)) => write!(f, "bit:{length}"),
            Self::Bits(BitType::Varying(None)) => f.write_str("varbit"),
            Self::Bits(BitType::Varying(Some(limit))) => write!(f, "varbit:{limit}"),
            Self::NumberText(None) => f.write_str("text:number"),
            Self::NumberText(Some(limit)) => write!(f, "varchar:{limit}:number"),
            _ => Err(fmt::Error),
        }
    }
}

/// A codec by its name, or by one that is not quite it.
pub(super) fn parse(name: &str) -> Option<Codec> {
    let (family, rest) = name.split_once(':').unwrap_or((name, ""));
    Some(match family {
        "integer" => Codec::Narrow(named(&Width::ALL, rest, Width::name)?),
        "real" => Codec::Single(named(&Single::ALL, rest, Single::name)?),
        "number" => Codec::NumberAny,
        "numeric" => numeric(rest)?,
        "char" => Codec::Char(length(rest)?),
        "text" if rest == "number" => Codec::NumberText(None),
        "text" => Codec::TextOfBlob,
        "varchar" => Codec::NumberText(Some(rest.strip_suffix(":number")?.parse().ok()?)),
        "range" => range(rest)?,
        "bit" => Codec::Bits(BitType::Fixed(length(rest)?)),
        "varbit" if rest.is_empty() => Codec::Bits(BitType::Varying(None)),
        "varbit" => Codec::Bits(BitType::Varying(Some(length(rest)?))),
        "blob" => Codec::BlobOfText,
        "label" => Codec::Label(Labels::named(rest)?),
        "bool" => Codec::BoolAny(named(&BoolBack::ALL, rest, BoolBack::name)?),
        "date" | "time" | "timestamp" | "timestamptz" => Codec::Moment(moment(family, rest)?),
        "uuid" => Codec::UuidAny,
        "interval" => Codec::Interval(named(&IntervalForm::ALL, rest, IntervalForm::name)?),
        "jsonb" if rest == "numeric" => Codec::JsonbNumeric,
        "jsonb" => Codec::Jsonb,
        "array" => {
            let (element, spacing) = rest.split_once(':')?;
            Codec::Array(Element::named(element)?, named(&Spacing::ALL, spacing, Spacing::name)?)
        }
        net => Codec::Net(named(&NetType::ALL, net, NetType::name)?),
    })
}

fn length(rest: &str) -> Option<u32> {
    rest.parse().ok().filter(|length| *length > 0)
}

fn range(rest: &str) -> Option<Codec> {
    let of = |name| named(&RangeType::ALL, name, RangeType::name);
    Some(match rest.strip_prefix("any:") {
        None => Codec::Range(of(rest)?),
        Some(any) => Codec::RangeAny(match any.strip_prefix("tstz:in:") {
            None => of(any)?,
            Some(zone) => RangeType::TsTz(Some(Zone::named(zone)?)),
        }),
    })
}

fn numeric(rest: &str) -> Option<Codec> {
    let form_named = |name| named(&NumericForm::ALL, name, NumericForm::name);
    if let Some(form) = form_named(rest) {
        return Some(Codec::NumericAs(None, form));
    }
    let parts: Vec<&str> = rest.splitn(3, ':').collect();
    let [precision, scale, form] = *parts else { return None };
    let scale = Scale::new(precision.parse().ok()?, scale.parse().ok()?)?;
    Some(Codec::NumericAs(Some(scale), form_named(form)?))
}

fn moment(family: &str, rest: &str) -> Option<Moment> {
    let r#type = match family {
        "timestamptz" => MomentType::TimestampTz,
        _ => MomentType::Timestamp,
    };
    // A suffix may have a colon of its own.
    let parts: Vec<&str> = rest.splitn(4, ':').collect();
    Some(match (family, parts.as_slice()) {
        ("date", ["any"]) => Moment::DateAny,
        ("date", ["julian"]) => Moment::DateJulian,
        ("time", ["any", clock]) => Moment::TimeAny(Clock::named(clock)?),
        (_, ["julian"]) => Moment::Julian(r#type),
        (_, ["epoch-s-real"]) => Moment::EpochReal(r#type),
        ("timestamp", ["any", separator, clock]) => {
            Moment::TimestampAny(separator_named(separator)?, Clock::named(clock)?)
        }
        ("timestamptz", ["any", "in", zone, rest]) => any_in(Zone::named(zone)?, rest)?,
        ("timestamptz", ["any", separator, clock, suffix]) => Moment::TimestampTzAny(
            separator_named(separator)?,
            Clock::named(clock)?,
            Suffix::named(suffix)?,
        ),
        ("timestamptz", ["in", zone, separator, clock]) => {
            Moment::In(Zone::named(zone)?, separator_named(separator)?, Clock::named(clock)?)
        }
        ("timestamp", [unit]) => {
            let unit = unit.strip_prefix("epoch-")?;
            Moment::Epoch(named(&EpochUnit::ALL, unit, EpochUnit::name)?)
        }
        ("timestamp", [separator, rest @ ..]) => utc(separator_named(separator)?, &rest.join(":"))?,
        _ => return None,
    })
}

fn any_in(zone: &'static Zone, rest: &str) -> Option<Moment> {
    let parts: Vec<&str> = rest.splitn(3, ':').collect();
    let [separator, clock, suffix] = *parts else { return None };
    let (separator, clock) = (separator_named(separator)?, Clock::named(clock)?);
    // What is written back without a suffix would be read as local time.
    let suffix = Suffix::named(suffix).filter(|suffix| *suffix != Suffix::None)?;
    Some(Moment::TimestampTzAnyIn(zone, separator, clock, suffix))
}

fn utc(separator: Separator, rest: &str) -> Option<Moment> {
    let (clock, suffix) = rest.split_once(':')?;
    let suffix = Suffix::named(suffix).filter(|suffix| *suffix != Suffix::None)?;
    Some(Moment::TimestampUtc(separator, Clock::named(clock)?, suffix))
}
