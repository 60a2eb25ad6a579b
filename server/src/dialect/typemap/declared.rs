//! What a declared type suggests.
//!
//! SQLite takes any words for a type, so there is no grammar to hold them against: words that
//! are known suggest something, wherever they stand, and all others suggest nothing.

use super::super::{
    codec::{BoolForm, Clock, Codec, EpochUnit, Scale, Separator, Suffix, UuidForm},
    schema::{Affinity, Column},
    value::Class,
};

/// Longest `varchar` of PostgreSQL.
const LONGEST_VARCHAR: u32 = 10_485_760;

/// Words of NUMERIC affinity that mean a number without a point.
const INTEGER_WORDS: [&str; 7] = ["BIT", "BYTE", "WORD", "LONG", "SERIAL", "YEAR", "COUNTER"];

/// Words that mean text, and yet have NUMERIC affinity.
const TEXT_WORDS: [&str; 7] =
    ["STRING", "UUID", "GUID", "UNIQUEIDENTIFIER", "ENUM", "SET", "CITEXT"];

/// What a declaration suggests beyond the plain types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    Bool,
    Date,
    Time,
    Timestamp { zoned: bool },
    Uuid,
    Json,
    Numeric(Option<Scale>),
    Varchar(u32),
}

/// A declared type in words and numbers.
pub(super) struct Declared {
    words: Vec<String>,
    numbers: Vec<Option<u32>>,
}

impl Declared {
    pub(super) fn parse(declared: &str) -> Self {
        let upper = declared.to_ascii_uppercase();
        let (before, rest) = upper.split_once('(').unwrap_or((&upper, ""));
        let (inside, after) = rest.split_once(')').unwrap_or((rest, ""));
        let word = |c: char| !(c.is_alphanumeric() || c == '_');
        let words = before.split(word).chain(after.split(word));
        Self {
            words: words.filter(|word| !word.is_empty()).map(str::to_owned).collect(),
            numbers: if rest.is_empty() {
                Vec::new()
            } else {
                inside.split(',').map(|number| number.trim().parse().ok()).collect()
            },
        }
    }

    fn has(&self, words: &[&str]) -> bool {
        self.words.iter().any(|word| words.contains(&word.as_str()))
    }

    fn starts(&self, beginnings: &[&str]) -> bool {
        self.words.iter().any(|word| beginnings.iter().any(|start| word.starts_with(start)))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// Text was meant, whatever the affinity.
    pub(super) fn means_text(&self) -> bool {
        self.has(&TEXT_WORDS)
    }

    /// A whole number was meant, whatever the affinity.
    pub(super) fn means_integer(&self) -> bool {
        self.has(&INTEGER_WORDS)
    }

    pub(super) fn family(&self, affinity: Affinity) -> Option<Family> {
        if self.starts(&["BOOL"]) {
            Some(Family::Bool)
        } else if self.starts(&["DATETIME", "TIMESTAMP", "SMALLDATETIME"]) {
            let zoned = self.starts(&["TIMESTAMPTZ", "DATETIMEOFFSET", "DATETIMETZ"])
                || (self.has(&["WITH"]) && self.has(&["ZONE"]));
            Some(Family::Timestamp { zoned })
        } else if self.has(&["DATE"]) {
            Some(Family::Date)
        } else if self.has(&["TIME", "TIMETZ"]) {
            Some(Family::Time)
        } else if self.has(&["UUID", "GUID", "UNIQUEIDENTIFIER"]) {
            Some(Family::Uuid)
        } else if self.starts(&["JSON"]) {
            Some(Family::Json)
        } else if keeps_class(affinity)
            && self.starts(&["DECIMAL", "NUMERIC", "NUMBER", "MONEY", "SMALLMONEY", "CURRENCY"])
        {
            Some(Family::Numeric(self.scale()))
        } else if affinity == Affinity::Text && self.words.iter().any(|word| word.contains("CHAR"))
        {
            self.limit().map(Family::Varchar)
        } else {
            None
        }
    }

    fn scale(&self) -> Option<Scale> {
        let (precision, scale) = match *self.numbers.as_slice() {
            [Some(precision)] => (precision, 0),
            [Some(precision), Some(scale)] => (precision, scale),
            _ => return None,
        };
        Scale::new(u16::try_from(precision).ok()?, u16::try_from(scale).ok()?)
    }

    fn limit(&self) -> Option<u32> {
        match *self.numbers.as_slice() {
            [Some(limit @ 1..=LONGEST_VARCHAR)] => Some(limit),
            _ => None,
        }
    }
}

/// SQLite itself chooses between INTEGER and REAL in such a column, by the value.
pub(super) fn keeps_class(affinity: Affinity) -> bool {
    matches!(affinity, Affinity::Integer | Affinity::Numeric)
}

pub(super) fn family(column: &Column) -> Option<Family> {
    Declared::parse(&column.declared).family(column.affinity)
}

impl Family {
    /// Codecs in the order of preference.
    pub(super) fn codecs(self, affinity: Affinity) -> Vec<Codec> {
        let codecs = match self {
            Self::Bool => BoolForm::ALL.map(Codec::Bool).to_vec(),
            Self::Date => [vec![Codec::Date], local_times(), zoned_times()].concat(),
            Self::Time => Clock::ALL.map(Codec::Time).to_vec(),
            Self::Timestamp { .. } => {
                let epochs = EpochUnit::ALL.map(Codec::Epoch).to_vec();
                [local_times(), zoned_times(), vec![Codec::Midnight], epochs].concat()
            }
            Self::Uuid => UuidForm::ALL.map(Codec::Uuid).to_vec(),
            Self::Json if affinity == Affinity::Numeric => vec![Codec::Json, Codec::JsonNumeric],
            Self::Json => vec![Codec::Json],
            Self::Numeric(None) => vec![Codec::Numeric(None)],
            Self::Numeric(scale) => vec![Codec::Numeric(scale), Codec::Numeric(None)],
            Self::Varchar(limit) => vec![Codec::Varchar(limit)],
        };
        codecs.into_iter().filter(|codec| can_hold(affinity, *codec)).collect()
    }

    /// The codec of a column without values.
    pub(super) fn default_codec(self, affinity: Affinity) -> Option<Codec> {
        let micros = Clock::Fixed(6);
        let preferred = match self {
            Self::Timestamp { zoned: false } => Codec::Timestamp(Separator::Space, micros),
            Self::Timestamp { zoned: true } => {
                Codec::TimestampTz(Separator::Space, micros, Suffix::Minutes)
            }
            Self::Time => Codec::Time(micros),
            Self::Uuid if affinity == Affinity::Blob => Codec::Uuid(UuidForm::Blob),
            Self::Json if affinity == Affinity::Numeric => Codec::JsonNumeric,
            _ => return self.codecs(affinity).first().copied(),
        };
        can_hold(affinity, preferred).then_some(preferred)
    }

    /// Code of the finding about values that are not in a form of this family.
    pub(super) fn code(self) -> &'static str {
        match self {
            Self::Bool => "bool_not_01",
            Self::Date | Self::Time | Self::Timestamp { .. } => "invalid_date",
            Self::Uuid => "uuid_not_canonical",
            Self::Json => "json_invalid",
            Self::Numeric(_) => "decimal_out_of_scale",
            Self::Varchar(_) => "varchar_too_short",
        }
    }

    /// Whether a value of this class can be meant by that finding; other classes are
    /// `mixed_types`.
    pub(super) fn judges(self, class: Class) -> bool {
        match self {
            Self::Numeric(_) => matches!(class, Class::Integer | Class::Real),
            Self::Varchar(_) => class == Class::Text,
            _ => class != Class::Null,
        }
    }

    /// The codecs that make a value a proper one.
    pub(super) fn proper(self, affinity: Affinity) -> Vec<Codec> {
        match self {
            Self::Numeric(scale) => vec![Codec::Numeric(scale)],
            _ => self.codecs(affinity),
        }
    }
}

fn local_times() -> Vec<Codec> {
    let of = |separator| Clock::ALL.map(|clock| Codec::Timestamp(separator, clock));
    Separator::ALL.into_iter().flat_map(of).collect()
}

fn zoned_times() -> Vec<Codec> {
    let mut codecs = Vec::new();
    for separator in Separator::ALL {
        for suffix in Suffix::ALL {
            codecs.extend(Clock::ALL.map(|clock| Codec::TimestampTz(separator, clock, suffix)));
        }
    }
    codecs
}

/// Whether SQLite stores what the codec decodes as it is, in a column with this affinity
/// (SQLite manual, "Datatypes In SQLite", section 3).
fn can_hold(affinity: Affinity, codec: Codec) -> bool {
    let integers = match codec {
        Codec::Bool(BoolForm::ZeroOne) | Codec::Epoch(_) => true,
        Codec::Numeric(_) | Codec::Number | Codec::JsonNumeric => return keeps_class(affinity),
        _ => false,
    };
    !(integers && matches!(affinity, Affinity::Text | Affinity::Real))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn suggested(declared: &str, affinity: Affinity) -> Option<Family> {
        Declared::parse(declared).family(affinity)
    }

    #[test]
    fn words_suggest_whatever_surrounds_them() {
        use Affinity::{Integer, Numeric, Real, Text};
        let money = Scale::new(10, 2);
        for (declared, affinity, family) in [
            ("BOOLEAN", Numeric, Some(Family::Bool)),
            ("bool not really", Numeric, Some(Family::Bool)),
            ("DateTime2(7)", Numeric, Some(Family::Timestamp { zoned: false })),
            ("timestamp(3) with time zone", Numeric, Some(Family::Timestamp { zoned: true })),
            ("DATETIMEOFFSET", Numeric, Some(Family::Timestamp { zoned: true })),
            ("DATE", Numeric, Some(Family::Date)),
            ("TIME", Numeric, Some(Family::Time)),
            ("uniqueidentifier", Integer, Some(Family::Uuid)),
            ("JSONB", Numeric, Some(Family::Json)),
            ("DECIMAL (10, 2)", Numeric, Some(Family::Numeric(money))),
            ("NUMERIC(10,-2)", Numeric, Some(Family::Numeric(None))),
            ("NUMERIC", Numeric, Some(Family::Numeric(None))),
            ("DECIMAL DOUBLE", Real, None),
            ("VARYING CHARACTER(255)", Text, Some(Family::Varchar(255))),
            ("NVARCHAR(0)", Text, None),
            ("VARCHAR(MAX)", Text, None),
            ("VARCHAR(", Text, None),
            ("UPDATED", Numeric, None),
            ("INT UNSIGNED", Integer, None),
            ("FLOAT[384]", Real, None),
            ("", Numeric, None),
        ] {
            assert_eq!(suggested(declared, affinity), family, "{declared}");
        }
    }

    #[test]
    fn a_default_codec_is_one_that_the_affinity_can_hold() {
        assert_eq!(
            Family::Bool.default_codec(Affinity::Text),
            Some(Codec::Bool(BoolForm::LowerTf))
        );
        assert_eq!(
            Family::Bool.default_codec(Affinity::Numeric),
            Some(Codec::Bool(BoolForm::ZeroOne))
        );
        assert_eq!(Family::Uuid.default_codec(Affinity::Blob), Some(Codec::Uuid(UuidForm::Blob)));
    }
}
