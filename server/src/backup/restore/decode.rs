//! A field that PostgreSQL has sent, as a value of SQLite, by the type of its column alone.

use crate::dialect::{
    codec::{BoolForm, Clock, Codec, Separator, Suffix, UuidForm},
    value::OwnedValue,
};

/// How fields of a type become values, and what the column of SQLite is declared as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Int2,
    Int4,
    /// Unsigned.
    Oid,
    Float4,
    /// As its exact decimal.
    Numeric,
    /// The document behind a version byte.
    Jsonb,
    /// COPY's text form of any type.
    Copied,
    By(Codec),
}

/// The form of a type as `format_type` writes it; none where its binary form is not known here.
pub(super) fn form(pg_type: &str) -> Option<Form> {
    if pg_type.ends_with("[]") {
        return None;
    }
    let (base, _) = pg_type.split_once('(').unwrap_or((pg_type, ""));
    let zoned = pg_type.ends_with("with time zone");
    Some(match base.trim() {
        "smallint" => Form::Int2,
        "integer" => Form::Int4,
        "bigint" => Form::By(Codec::Integer),
        "oid" => Form::Oid,
        "real" => Form::Float4,
        "double precision" => Form::By(Codec::Real),
        "boolean" => Form::By(Codec::Bool(BoolForm::ZeroOne)),
        "text" | "character varying" | "character" | "name" | "citext" | "xml" | "json" => {
            Form::By(Codec::Text)
        }
        "jsonb" => Form::Jsonb,
        "bytea" => Form::By(Codec::Blob),
        "numeric" => Form::Numeric,
        "uuid" => Form::By(Codec::Uuid(UuidForm::Lower)),
        "date" => Form::By(Codec::Date),
        "time" | "time without time zone" if !zoned => Form::By(Codec::Time(Clock::Trimmed)),
        "timestamp" | "timestamp without time zone" | "timestamp with time zone" if zoned => {
            Form::By(Codec::TimestampTz(Separator::Space, Clock::Trimmed, Suffix::Minutes))
        }
        "timestamp" | "timestamp without time zone" => {
            Form::By(Codec::Timestamp(Separator::Space, Clock::Trimmed))
        }
        _ => return None,
    })
}

impl Form {
    /// What the column is declared as, so that SQLite stores the values as they are.
    pub(super) fn declared(self) -> &'static str {
        match self {
            Self::Int2 | Self::Int4 | Self::Oid | Self::By(Codec::Integer | Codec::Bool(_)) => {
                "INTEGER"
            }
            Self::Float4 | Self::By(Codec::Real) => "REAL",
            Self::By(Codec::Blob) => "BLOB",
            _ => "TEXT",
        }
    }

    /// The value; none where SQLite has no such value, or where the field is broken.
    pub(super) fn decode(self, field: Option<&[u8]>) -> Option<OwnedValue> {
        let Some(bytes) = field else { return Some(OwnedValue::Null) };
        Some(match self {
            Self::Int2 => OwnedValue::Integer(i16::from_be_bytes(bytes.try_into().ok()?).into()),
            Self::Int4 => OwnedValue::Integer(i32::from_be_bytes(bytes.try_into().ok()?).into()),
            Self::Oid => OwnedValue::Integer(u32::from_be_bytes(bytes.try_into().ok()?).into()),
            Self::Float4 => real(f32::from_be_bytes(bytes.try_into().ok()?).into())?,
            Self::Numeric => OwnedValue::Text(numeric(bytes)?.into_bytes()),
            Self::Jsonb => match bytes.split_first()? {
                (1, document) => OwnedValue::Text(document.to_vec()),
                _ => return None,
            },
            Self::Copied => OwnedValue::Text(bytes.to_vec()),
            Self::By(codec) => match codec.decode(field).ok()? {
                OwnedValue::Real(value) => real(value)?,
                value => value,
            },
        })
    }
}

/// SQLite stores NaN as NULL, and −0 as 0.
fn real(value: f64) -> Option<OwnedValue> {
    let lost = value.is_nan() || (value == 0.0 && value.is_sign_negative());
    (!lost).then_some(OwnedValue::Real(value))
}

/// A `numeric` as PostgreSQL prints it (its source, `numeric_send` and `get_str_from_var`): groups
/// of four decimal digits, the weight of the first one, and how many digits are shown after the
/// point.
fn numeric(bytes: &[u8]) -> Option<String> {
    let word = |at: usize| -> Option<u16> {
        Some(u16::from_be_bytes(bytes.get(2 * at..2 * at + 2)?.try_into().ok()?))
    };
    let (count, weight) = (usize::from(word(0)?), word(1)?.cast_signed());
    let (sign, scale) = (word(2)?, usize::from(word(3)?));
    let sign = match sign {
        0 => "",
        0x4000 => "-",
        0xC000 => return Some("NaN".into()),
        0xD000 => return Some("Infinity".into()),
        0xF000 => return Some("-Infinity".into()),
        _ => return None,
    };
    if bytes.len() != 8 + 2 * count {
        return None;
    }
    let group = |position: i32| -> u16 {
        let at = usize::try_from(i32::from(weight) - position).ok();
        at.filter(|at| *at < count).and_then(|at| word(4 + at)).unwrap_or(0)
    };
    let mut whole: String =
        (0..=i32::from(weight)).rev().map(|position| format!("{:04}", group(position))).collect();
    whole = whole.trim_start_matches('0').to_owned();
    if whole.is_empty() {
        whole.push('0');
    }
    let groups = i32::try_from(scale.div_ceil(4)).ok()?;
    let mut fraction: String =
        (1..=groups).map(|position| format!("{:04}", group(-position))).collect();
    fraction.truncate(scale);
    let point = if scale > 0 { "." } else { "" };
    Some(format!("{sign}{whole}{point}{fraction}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(weight: i16, sign: u16, scale: u16, groups: &[u16]) -> Vec<u8> {
        let count = u16::try_from(groups.len()).unwrap();
        let head = [count, weight.cast_unsigned(), sign, scale];
        head.iter().chain(groups).flat_map(|word| word.to_be_bytes()).collect()
    }

    #[test]
    fn numbers_are_written_as_postgresql_writes_them() {
        for (bytes, text) in [
            (sent(0, 0, 0, &[]), "0"),
            (sent(0, 0, 2, &[]), "0.00"),
            (sent(0, 0, 0, &[42]), "42"),
            (sent(0, 0, 2, &[1, 5000]), "1.50"),
            (sent(-1, 0x4000, 4, &[25]), "-0.0025"),
            (sent(-2, 0, 5, &[1000]), "0.00001"),
            (sent(2, 0, 0, &[1, 2, 3]), "100020003"),
            (sent(2, 0, 0, &[1]), "100000000"),
            (sent(0, 0xC000, 0, &[]), "NaN"),
        ] {
            assert_eq!(numeric(&bytes).as_deref(), Some(text));
        }
        assert_eq!(numeric(&[0, 1, 0, 0]), None);
    }

    #[test]
    fn what_sqlite_would_change_is_no_value() {
        let real = Form::By(Codec::Real);
        assert_eq!(real.decode(Some(&f64::NAN.to_be_bytes())), None);
        assert_eq!(real.decode(Some(&(-0.0_f64).to_be_bytes())), None);
        let value = OwnedValue::Real(1.5);
        assert_eq!(real.decode(Some(&1.5_f64.to_be_bytes())), Some(value));
        assert_eq!(Form::Int2.decode(Some(&[1])), None);
        assert_eq!(Form::Int2.decode(None), Some(OwnedValue::Null));
    }

    #[test]
    fn types_are_known_by_the_names_that_postgresql_gives_them() {
        for (name, declared) in [
            ("character varying(20)", "TEXT"),
            ("timestamp(3) without time zone", "TEXT"),
            ("timestamp(3) with time zone", "TEXT"),
            ("numeric(10,2)", "TEXT"),
            ("bigint", "INTEGER"),
            ("bytea", "BLOB"),
            ("real", "REAL"),
        ] {
            assert_eq!(form(name).map(Form::declared), Some(declared), "{name}");
        }
        for unknown in [
            "integer[]",
            "character varying(20)[]",
            "int4range",
            "mood",
            "interval",
            "time with time zone",
        ] {
            assert_eq!(form(unknown), None, "{unknown}");
        }
    }
}
