//! Which codecs may fill a column of a given type.
//!
//! PostgreSQL's type decides what a value has to mean; which codec says so for every value of the
//! column, the census finds out.

use crate::dialect::{
    codec::{
        BitType, BoolBack, BoolForm, Clock, Codec, Element, EpochUnit, Fraction, IntervalForm,
        Labels, Moment, MomentType, NetType, NumericForm, PgType, RangeType, Scale, Separator,
        Single, Spacing, Suffix, UuidForm, Width, Zone,
    },
    schema::Affinity,
};

/// What a column of PostgreSQL takes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TargetType {
    /// As `format_type` writes it: `character varying(36)`, `public.mood`.
    pub name: String,
    /// The built-in type whose binary form it has, as `format_type` writes it: for a domain its
    /// base type with its modifier, `text` for `citext`, empty for an enum.
    pub wire: String,
    /// Labels of an enum, in order.
    pub labels: Vec<String>,
}

/// Types, the codecs that may fill them, and what there is to know; `docs/type-mapping.md` prints
/// it.
pub const TABLE: &[(&str, &[&str], &str)] = &[
    ("smallint", &["integer:BITS"], "out of range is refused"),
    ("integer", &["integer:BITS"], "out of range is refused"),
    ("bigint", &["integer"], ""),
    (
        "real",
        &["real:32"],
        "most REALs have more digits than `real` holds and are refused; `real:32:rounded` in the \
         plan takes and rounds them",
    ),
    ("double precision", &["real", "number", "number:any"], ""),
    (
        "numeric",
        &["numeric:real", "numeric:text", "numeric:any", "numeric:any:text"],
        "zeros at the end of a fraction come back as text only",
    ),
    (
        "numeric(p,s)",
        &["numeric:P:S", "numeric:P:S:FORM"],
        "more digits than the type has are refused, never rounded",
    ),
    (
        "text",
        &["text:number", "text", "text:blob"],
        "`citext` too; numbers from columns with INTEGER, REAL or NUMERIC affinity",
    ),
    ("character varying", &["text:number", "text", "text:blob"], "the same"),
    (
        "character varying(n)",
        &["varchar:N:number", "varchar:N"],
        "the same; longer text is refused, spaces at its end included",
    ),
    ("character(n)", &["char:N"], "text with spaces at its end is refused: they would be padding"),
    ("bytea", &["blob", "blob:text"], ""),
    ("boolean", &["bool:FORM", "bool:any", "bool:any:text"], ""),
    ("date", &["date", "date:julian", "date:any"], ""),
    ("time without time zone", &["time:CLOCK", "time:any:CLOCK"], ""),
    (
        "timestamp without time zone",
        &[
            "timestamp:SEP:CLOCK",
            "timestamp:date",
            "timestamp:SEP:CLOCK:SUFFIX",
            "timestamp:epoch-UNIT",
            "timestamp:epoch-s-real",
            "timestamp:julian",
            "timestamp:any:SEP:CLOCK",
        ],
        "an instant is stored in UTC; text with another offset is refused",
    ),
    (
        "timestamp with time zone",
        &[
            "timestamptz:SEP:CLOCK:SUFFIX",
            "timestamptz:in:ZONE:SEP:CLOCK",
            "timestamptz:epoch-UNIT",
            "timestamptz:epoch-s-real",
            "timestamptz:julian",
            "timestamptz:any:SEP:CLOCK:SUFFIX",
            "timestamptz:any:in:ZONE:SEP:CLOCK:SUFFIX",
        ],
        "text without an offset is UTC unless a zone is named",
    ),
    (
        "interval",
        &["interval:UNIT", "interval:epoch", "interval:clock"],
        "numbers are taken for \
      microseconds, as Django has them; for other units name the codec in the plan",
    ),
    ("uuid", &["uuid:FORM", "uuid:any"], ""),
    ("json", &["json", "json:numeric"], "kept to the byte"),
    (
        "jsonb",
        &["jsonb", "jsonb:numeric"],
        "kept in meaning: white space, order and double keys go",
    ),
    (
        "an array of smallint, integer, bigint, double precision, numeric, numeric(p,s), text, \
         character varying, character varying(n), character(n), boolean, uuid, date, \
         timestamp without time zone, timestamp with time zone",
        &["array:ELEMENT:SPACING"],
        "one dimension, beginning at 1; of instants only those with an offset",
    ),
    ("an enum", &["label:LABELS"], "text that is no label is refused"),
    ("inet", &["inet"], ""),
    ("cidr", &["cidr"], ""),
    ("macaddr", &["macaddr"], ""),
    ("bit(n)", &["bit:N"], "text of another length is refused"),
    ("bit varying", &["varbit"], ""),
    ("bit varying(n)", &["varbit:N"], "longer text is refused"),
    (
        "int4range, int8range, daterange",
        &["range:TYPE", "range:any:TYPE"],
        "stored as `[1,11)`, however it is written; `infinity` is refused",
    ),
    ("numrange, tsrange", &["range:TYPE", "range:any:TYPE"], "`infinity` is refused"),
    (
        "tstzrange",
        &["range:TYPE", "range:any:TYPE", "range:any:tstz:in:ZONE"],
        "text without an offset is UTC unless a zone is named; `infinity` is refused",
    ),
];

/// Codecs that may fill a column of this type from a SQLite column with this affinity, the
/// likeliest and exact ones first, normalising ones last; empty where the type is not supported.
/// `zone` is where text without an offset was written.
///
/// The codecs of several units of an epoch are all among them ([`plausible`] tells which one it
/// is); those that round are not.
pub fn candidates(target: &TargetType, affinity: Affinity, zone: Option<&str>) -> Vec<Codec> {
    if let Some(labels) = Labels::new(&target.labels) {
        return vec![Codec::Label(labels)];
    }
    let Some(pg_type) = PgType::parse(&target.wire) else { return Vec::new() };
    let zone = match zone {
        None => None,
        // Text is not taken for UTC where it is said to be something else.
        Some(name) => match Zone::named(name) {
            None => return Vec::new(),
            zone => zone,
        },
    };
    let mut codecs = if pg_type.is_array { arrays(&pg_type) } else { of(&pg_type, affinity, zone) };
    codecs.retain(|codec| codec.fits_type(&target.wire) && can_hold(affinity, *codec));
    codecs.sort_by_key(|codec| !codec.keeps_form());
    codecs
}

/// Whether the codec, if it counts from an epoch, makes times of our days of INTEGERs from
/// `smallest` to `largest`.
pub fn plausible(codec: Codec, smallest: i64, largest: i64) -> bool {
    match codec {
        Codec::Epoch(unit) | Codec::Moment(Moment::Epoch(unit)) => {
            unit.is_plausible(smallest, largest)
        }
        _ => true,
    }
}

fn of(pg_type: &PgType, affinity: Affinity, zone: Option<&'static Zone>) -> Vec<Codec> {
    let digits = pg_type.arguments.first().copied();
    let by_value = matches!(affinity, Affinity::Integer | Affinity::Numeric);
    match pg_type.base {
        "smallint" => vec![Codec::Narrow(Width::Bits16)],
        "integer" => vec![Codec::Narrow(Width::Bits32)],
        "bigint" => vec![Codec::Integer],
        "real" => vec![Codec::Single(Single::Exact)],
        "double precision" => vec![Codec::Real, Codec::Number, Codec::NumberAny],
        "numeric" => numbers(&pg_type.arguments, by_value),
        "text" | "varchar" | "bpchar" => match digits {
            Some(limit) => vec![Codec::NumberText(digits), Codec::Varchar(limit)],
            None => vec![Codec::NumberText(None), Codec::Text, Codec::TextOfBlob],
        },
        "char" => vec![Codec::Char(digits.unwrap_or(1))],
        "bytea" if affinity == Affinity::Text => vec![Codec::BlobOfText, Codec::Blob],
        "bytea" => vec![Codec::Blob, Codec::BlobOfText],
        "boolean" => {
            let exact = BoolForm::ALL.map(Codec::Bool);
            exact.into_iter().chain(BoolBack::ALL.map(Codec::BoolAny)).collect()
        }
        "date" => {
            let further = [Moment::DateJulian, Moment::DateAny].map(Codec::Moment);
            [Codec::Date].into_iter().chain(further).collect()
        }
        "time" => {
            let clocks = Clock::of_precision(digits.unwrap_or(6));
            let any = Codec::Moment(Moment::TimeAny(written_back(digits)));
            clocks.into_iter().map(Codec::Time).chain([any]).collect()
        }
        "timestamp" => timestamps(digits, affinity),
        "timestamptz" => instants(digits, affinity, zone),
        "interval" => {
            let count = IntervalForm::Count(EpochUnit::Microseconds);
            [count, IntervalForm::Epoch, IntervalForm::Clock].map(Codec::Interval).to_vec()
        }
        "uuid" => UuidForm::ALL.into_iter().map(Codec::Uuid).chain([Codec::UuidAny]).collect(),
        "json" if by_value => vec![Codec::JsonNumeric],
        "json" => vec![Codec::Json],
        "jsonb" if by_value => vec![Codec::JsonbNumeric],
        "jsonb" => vec![Codec::Jsonb],
        "bit" => vec![Codec::Bits(BitType::Fixed(digits.unwrap_or(1)))],
        "varbit" => vec![Codec::Bits(BitType::Varying(digits))],
        "int4range" => ranges(RangeType::Int4),
        "int8range" => ranges(RangeType::Int8),
        "numrange" => ranges(RangeType::Num),
        "daterange" => ranges(RangeType::Date),
        "tsrange" => ranges(RangeType::Ts),
        "tstzrange" => {
            vec![Codec::Range(RangeType::TsTz(None)), Codec::RangeAny(RangeType::TsTz(zone))]
        }
        _ => NetType::ALL.map(Codec::Net).to_vec(),
    }
}

fn ranges(r#type: RangeType) -> Vec<Codec> {
    vec![Codec::Range(r#type), Codec::RangeAny(r#type)]
}

fn arrays(pg_type: &PgType) -> Vec<Codec> {
    let elements = Element::of(pg_type).into_iter();
    elements
        .flat_map(|element| Spacing::ALL.map(|spacing| Codec::Array(element, spacing)))
        .collect()
}

fn numbers(bounds: &[u32], by_value: bool) -> Vec<Codec> {
    let scale = Scale::of(bounds);
    if scale.is_none() && !bounds.is_empty() {
        return Vec::new();
    }
    let forms = NumericForm::ALL.into_iter();
    // In a column with INTEGER or NUMERIC affinity there is no whole REAL.
    let forms = forms.filter(|form| !(by_value && *form == NumericForm::Real));
    let further = forms.map(|form| Codec::NumericAs(scale, form));
    // Without a scale applications write zeros at the end, which `numeric` refuses.
    let exact = scale.map(|scale| Codec::Numeric(Some(scale)));
    exact.into_iter().chain(further).collect()
}

/// How times are written back that came in several forms.
fn written_back(digits: Option<u32>) -> Clock {
    match digits.and_then(|digits| u8::try_from(digits).ok()) {
        Some(digits @ 0..6) => Clock::Within(Fraction::Fixed(digits), digits),
        _ => Clock::Fixed(6),
    }
}

fn timestamps(digits: Option<u32>, affinity: Affinity) -> Vec<Codec> {
    let clocks = Clock::of_precision(digits.unwrap_or(6));
    let mut texts = Vec::new();
    for separator in Separator::ALL {
        texts.extend(clocks.iter().map(|clock| Codec::Timestamp(separator, *clock)));
    }
    texts.push(Codec::Midnight);
    for separator in Separator::ALL {
        for suffix in Suffix::ALL {
            let of = |clock| Codec::Moment(Moment::TimestampUtc(separator, clock, suffix));
            texts.extend(clocks.iter().copied().map(of));
        }
    }
    let numbers = EpochUnit::ALL.map(|unit| Codec::Moment(Moment::Epoch(unit))).to_vec();
    let any = Moment::TimestampAny(Separator::Space, written_back(digits));
    [in_order(affinity, texts, numbers, MomentType::Timestamp), vec![Codec::Moment(any)]].concat()
}

fn instants(digits: Option<u32>, affinity: Affinity, zone: Option<&'static Zone>) -> Vec<Codec> {
    let clocks = Clock::of_precision(digits.unwrap_or(6));
    let mut texts = Vec::new();
    for separator in Separator::ALL {
        for suffix in Suffix::ALL {
            texts.extend(clocks.iter().map(|clock| Codec::TimestampTz(separator, *clock, suffix)));
        }
    }
    for separator in Separator::ALL {
        let of = |clock| match zone {
            Some(zone) => Codec::Moment(Moment::In(zone, separator, clock)),
            None => Codec::TimestampTz(separator, clock, Suffix::None),
        };
        texts.extend(clocks.iter().copied().map(of));
    }
    let numbers = EpochUnit::ALL.map(Codec::Epoch).to_vec();
    let (separator, clock, suffix) = (Separator::Space, written_back(digits), Suffix::Minutes);
    let any = match zone {
        Some(zone) => Moment::TimestampTzAnyIn(zone, separator, clock, suffix),
        None => Moment::TimestampTzAny(separator, clock, suffix),
    };
    [in_order(affinity, texts, numbers, MomentType::TimestampTz), vec![Codec::Moment(any)]].concat()
}

/// Numbers come first where the column of SQLite is declared for them.
fn in_order(
    affinity: Affinity,
    texts: Vec<Codec>,
    integers: Vec<Codec>,
    r#type: MomentType,
) -> Vec<Codec> {
    let reals = [Moment::EpochReal(r#type), Moment::Julian(r#type)].map(Codec::Moment).to_vec();
    match affinity {
        Affinity::Integer => [integers, reals, texts],
        Affinity::Real => [reals, texts, integers],
        _ => [texts, integers, reals],
    }
    .concat()
}

/// Whether a column with this affinity stores what the codec decodes as it is (SQLite manual,
/// "Datatypes In SQLite", section 3).
fn can_hold(affinity: Affinity, codec: Codec) -> bool {
    let by_value = matches!(affinity, Affinity::Integer | Affinity::Numeric);
    let any = matches!(affinity, Affinity::Blob | Affinity::Any);
    match codec {
        Codec::Integer
        | Codec::Narrow(_)
        | Codec::Bool(BoolForm::ZeroOne)
        | Codec::BoolAny(BoolBack::ZeroOne)
        | Codec::Epoch(_)
        | Codec::Moment(Moment::Epoch(_))
        | Codec::Interval(IntervalForm::Count(_)) => by_value || any,
        Codec::Number
        | Codec::NumberAny
        | Codec::Numeric(_)
        | Codec::NumericAs(_, NumericForm::Any)
        | Codec::JsonNumeric
        | Codec::JsonbNumeric => by_value || any,
        // Whole ones become INTEGER.
        Codec::Real | Codec::NumericAs(_, NumericForm::Real) => affinity == Affinity::Real || any,
        Codec::Single(_)
        | Codec::Moment(Moment::DateJulian | Moment::EpochReal(_) | Moment::Julian(_)) => {
            affinity != Affinity::Text
        }
        Codec::NumericAs(_, NumericForm::Text | NumericForm::AnyText) | Codec::Bits(_) => {
            affinity == Affinity::Text || any
        }
        // Elsewhere text that looks like a number stays text, or is a number beside one.
        Codec::NumberText(_) => by_value || affinity == Affinity::Real,
        _ => true,
    }
}

#[cfg(test)]
mod tests;
