//! What holds for every codec and every value.

use proptest::{collection::vec, prelude::*};

use super::*;

mod names;

/// Every codec; those with numbers in their names by some of them.
fn all() -> Vec<Codec> {
    let mut codecs = vec![
        Codec::Integer,
        Codec::Real,
        Codec::Number,
        Codec::Text,
        Codec::Varchar(1),
        Codec::Varchar(20),
        Codec::Blob,
        Codec::Date,
        Codec::Midnight,
        Codec::Numeric(None),
        Codec::Numeric(Scale::new(1, 1)),
        Codec::Numeric(Scale::new(10, 2)),
        Codec::Numeric(Scale::new(38, 0)),
        Codec::Numeric(Scale::new(1000, 1000)),
        Codec::Json,
        Codec::JsonNumeric,
        Codec::Tagged,
        Codec::Escaped,
    ];
    codecs.extend(BoolForm::ALL.map(Codec::Bool));
    codecs.extend(UuidForm::ALL.map(Codec::Uuid));
    codecs.extend(EpochUnit::ALL.map(Codec::Epoch));
    for clock in Clock::ALL {
        codecs.push(Codec::Time(clock));
        for separator in Separator::ALL {
            codecs.push(Codec::Timestamp(separator, clock));
            codecs.extend(Suffix::ALL.map(|suffix| Codec::TimestampTz(separator, clock, suffix)));
        }
    }
    codecs.extend(existing());
    codecs
}

/// Those of a column whose type is given.
fn existing() -> Vec<Codec> {
    let names = [
        "number:any",
        "text:blob",
        "blob:text",
        "char:1",
        "char:20",
        "label:t|f",
        "label:true|a\\|b||12:00:00",
        "date:any",
        "date:julian",
        "uuid:any",
        "jsonb",
        "jsonb:numeric",
        "time:3-3",
        "time:any:0or6",
        "time:any:minutes",
        "timestamp:space:0-0",
        "timestamp:T:trimmed-3",
        "timestamp:space:6:+00:00",
        "timestamp:T:0or6:Z",
        "timestamp:any:space:6",
        "timestamp:any:T:minutes",
        "timestamp:any:T:3-3",
        "timestamp:epoch-s",
        "timestamp:epoch-us",
        "timestamp:epoch-s-real",
        "timestamptz:epoch-s-real",
        "timestamp:julian",
        "timestamptz:julian",
        "timestamptz:space:0:none",
        "timestamptz:any:space:6:+00:00",
        "timestamptz:any:T:trimmed:none",
        "timestamptz:any:in:Europe/Berlin:T:3:Z",
        "timestamptz:in:Europe/Berlin:space:0",
        "timestamptz:in:America/New_York:T:minutes",
        "range:any:tstz:in:Europe/Berlin",
        "text:number",
        "varchar:5:number",
        "bit:3",
        "varbit",
        "varbit:9",
    ];
    let mut codecs: Vec<Codec> = names.map(|name| name.parse().unwrap()).to_vec();
    codecs.extend(Width::ALL.map(Codec::Narrow));
    codecs.extend(Single::ALL.map(Codec::Single));
    codecs.extend(BoolBack::ALL.map(Codec::BoolAny));
    codecs.extend(IntervalForm::ALL.map(Codec::Interval));
    codecs.extend(NetType::ALL.map(Codec::Net));
    for scale in [None, Scale::new(10, 2), Scale::new(38, 0)] {
        codecs.extend(NumericForm::ALL.map(|form| Codec::NumericAs(scale, form)));
    }
    codecs.extend(of_elements());
    codecs
}

/// Those that are made of others.
fn of_elements() -> Vec<Codec> {
    let mut codecs = RangeType::ALL.map(Codec::Range).to_vec();
    codecs.extend(RangeType::ALL.map(Codec::RangeAny));
    for element in [
        "int2",
        "int4",
        "int8",
        "float8",
        "numeric",
        "numeric(10,2)",
        "numeric-text",
        "numeric-text(10,2)",
        "text",
        "varchar",
        "varchar(3)",
        "char(3)",
        "bool",
        "uuid",
        "date",
        "timestamp",
        "timestamptz",
    ] {
        let names = ["compact", "spaced"].map(|spacing| format!("array:{element}:{spacing}"));
        codecs.extend(names.map(|name| name.parse::<Codec>().unwrap()));
    }
    codecs
}

fn integer() -> impl Strategy<Value = i64> {
    prop_oneof![
        any::<i64>(),
        -5_i64..=5,
        Just(i64::MIN),
        Just(i64::MAX),
        (0_u32..63, -2_i64..=2).prop_map(|(bit, near)| (1_i64 << bit) + near),
        0_i64..5_000_000_000,
        0_i64..5_000_000_000_000_000,
    ]
}

fn real() -> impl Strategy<Value = f64> {
    prop_oneof![
        any::<u64>().prop_map(f64::from_bits).prop_filter("SQLite has no NaN", |r| !r.is_nan()),
        (-1_000_000_i32..1_000_000, 0_i32..8)
            .prop_map(|(digits, places)| f64::from(digits) / 10_f64.powi(places)),
        prop::sample::select(vec![
            0.0,
            -0.0,
            1.0,
            f64::INFINITY,
            f64::NEG_INFINITY,
            f64::MAX,
            f64::MIN,
            5e-324,
            9_223_372_036_854_775_808.0,
            -9_223_372_036_854_775_808.0,
            0.1,
            0.3,
            1e23,
        ]),
    ]
}

/// Text, most of it near one of the forms that codecs know.
fn text() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        vec(any::<u8>(), 0..40),
        "\\PC{0,30}".prop_map(String::into_bytes),
        "[0-9]{4}-[0-1][0-9]-[0-3][0-9]".prop_map(String::into_bytes),
        "[0-2][0-9]:[0-5][0-9](:[0-6][0-9](\\.[0-9]{1,7})?)?".prop_map(String::into_bytes),
        "[0-9]{4}-[0-1][0-9]-[0-3][0-9][ T][0-2][0-9]:[0-5][0-9](:[0-5][0-9](\\.[0-9]{1,6})?)?(Z|\\+00|\\+00:00)?"
            .prop_map(String::into_bytes),
        "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}".prop_map(String::into_bytes),
        "[0-9A-F]{8}-[0-9A-F]{4}-[0-9A-F]{4}-[0-9A-F]{4}-[0-9A-F]{12}".prop_map(String::into_bytes),
        "[0-9a-f]{32}".prop_map(String::into_bytes),
        "-?[0-9]{1,20}(\\.[0-9]{1,5})?(e-?[0-9]{1,3})?".prop_map(String::into_bytes),
        "[\\[{\"\\\\0x a-f:,0-9}\\]]{0,12}".prop_map(String::into_bytes),
        "(t|f|true|false|TRUE|FALSE|True|False|yes|no|y|n|Y|N|T|F)".prop_map(String::into_bytes),
        "[irtbx]:[0-9a-fe.+-]{0,8}".prop_map(String::into_bytes),
        "[0-9]{4}-[0-1][0-9]-[0-3][0-9][ Tt][0-2][0-9]:[0-5][0-9](:[0-5][0-9](\\.[0-9]{1,6}0{0,3})?)?([Zz]|[+-][0-1][0-9](:?[0-5][0-9])?)?"
            .prop_map(String::into_bytes),
        "-?[0-9]{2,4}:[0-5][0-9]:[0-5][0-9](\\.[0-9]{6})?".prop_map(String::into_bytes),
        "\\{?[0-9a-fA-F]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9A-F]{12}\\}?"
            .prop_map(String::into_bytes),
        "(TRUE|On|off|no|1|0)".prop_map(String::into_bytes),
        "\\[(( ?(null|-?[0-9]{1,6}|true|false|\"[a-z\\\\/]{0,3}\"|[0-9]\\.[0-9]e[0-9]) ?,){0,4} ?(null|[0-9]|true|\"\") ?)?\\]"
            .prop_map(String::into_bytes),
        "\\{(\"[ab]{0,2}\":(\\{\\}|-?[0-9]{1,2}(\\.[0-9]{1,2})?(e[0-9])?|\"x\"),){0,5}\"a\":null\\}"
            .prop_map(String::into_bytes),
        "[0-9]{1,3}\\.[0-9]{1,3}\\.[0-9]{1,3}\\.[0-9]{1,3}(/[0-9]{1,2})?".prop_map(String::into_bytes),
        "([0-9a-f]{1,4}:){1,7}(:|[0-9a-f]{1,4})(/[0-9]{1,3})?".prop_map(String::into_bytes),
        "([0-9a-f]{2}:){5}[0-9a-f]{2}".prop_map(String::into_bytes),
        "[\\[(](-?[0-9]{1,2}(\\.[0-9]{1,2})?)?,\"?-?[0-9]{1,10}\"?[\\])]".prop_map(String::into_bytes),
        "[\\[(]2024-0[1-3]-0[1-9]( 00:00:00(\\+00)?)?,(\"2024-0[2-4]-01 12:00:00(\\.5)?(\\+0[01])?\"|9999-12-31)?[\\])]"
            .prop_map(String::into_bytes),
        "[01]{0,10}".prop_map(String::into_bytes),
        " ?(empty|EMPTY|[\\[(],[\\])])".prop_map(String::into_bytes),
    ]
}

fn value() -> impl Strategy<Value = OwnedValue> {
    prop_oneof![
        1 => Just(OwnedValue::Null),
        3 => integer().prop_map(OwnedValue::Integer),
        3 => real().prop_map(OwnedValue::Real),
        6 => text().prop_map(OwnedValue::Text),
        2 => vec(any::<u8>(), 0..40).prop_map(OwnedValue::Blob),
        1 => vec(any::<u8>(), 16).prop_map(OwnedValue::Blob),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn a_value_is_refused_or_comes_back(value in value(), prefix in vec(any::<u8>(), 0..8)) {
        for codec in all() {
            let mut out = prefix.clone();
            match codec.encode(value.as_value(), &mut out) {
                Err(_) => prop_assert_eq!(&out, &prefix, "{} left something", codec),
                Ok(()) => {
                    prop_assert_eq!(&out[..prefix.len()], &prefix[..]);
                    let field = &out[prefix.len()..];
                    let length = i32::from_be_bytes(field[..4].try_into().unwrap());
                    let body = &field[4..];
                    let back = match usize::try_from(length) {
                        Err(_) => codec.decode(None),
                        Ok(length) => {
                            prop_assert_eq!(length, body.len());
                            codec.decode(Some(body))
                        }
                    };
                    let back = back.unwrap_or_else(|refusal| panic!("{codec}: {refusal:?}"));
                    if codec.keeps_form() {
                        prop_assert!(identical(back.as_value(), value.as_value()), "{}", codec);
                    }
                    let mut again = Vec::new();
                    prop_assert_eq!(codec.encode(back.as_value(), &mut again), Ok(()));
                    prop_assert_eq!(&again[..], field, "{}", codec);
                }
            }
            let carried = codec.carries(value.as_value(), &mut Scratch::default());
            let proved = codec.proves(value.as_value(), &mut Scratch::default());
            prop_assert!(carried || !proved, "{}", codec);
            if proved {
                for wider in all().iter().filter(|wider| codec.is_within(wider)) {
                    prop_assert!(wider.proves(value.as_value(), &mut Scratch::default()));
                }
            }
            if codec.keeps_form() {
                prop_assert_eq!(carried, out != prefix, "{}", codec);
            } else {
                prop_assert!(!carried || out != prefix, "{}", codec);
            }
        }
    }

    #[test]
    fn a_field_is_refused_or_made_again(
        field in prop_oneof![
            vec(any::<u8>(), 0..24),
            text(),
            any::<[u8; 8]>().prop_map(Vec::from),
            // A time of day, and some in other years.
            (0..90_000_000_000_i64, -9_i64..10, prop::sample::select(vec![1, 10, 1_000, 1_000_000]))
                .prop_map(|(time, days, unit)| {
                    (time / unit * unit + days * 86_400_000_000).to_be_bytes().to_vec()
                }),
            integer().prop_map(|number| number.to_be_bytes().to_vec()),
            any::<i32>().prop_map(|number| number.to_be_bytes().to_vec()),
            (any::<i64>(), -3_i32..3, 0_i32..2).prop_map(|(time, days, months)| {
                [&time.to_be_bytes()[..], &days.to_be_bytes(), &months.to_be_bytes()].concat()
            }),
            (0_i64..90_000_000_000, -9_i32..9).prop_map(|(time, days)| {
                [&time.to_be_bytes()[..], &days.to_be_bytes(), &[0; 4]].concat()
            }),
            "\x01[\\[{\"a: ,0-9}\\]]{0,12}".prop_map(String::into_bytes),
            (vec(0_u16..10_000, 0..5), -3_i16..4, any::<bool>(), 0_u16..12).prop_map(numeric_field),
            (0_u8..12, vec(prop::sample::select(vec![0_u8, 0x80, 0xa0, 0xff]), 0..3)).prop_map(
                |(count, bytes)| [0, 0, 0, count].into_iter().chain(bytes).collect()
            ),
            (0_u8..32, vec(-3_i32..4, 0..3)).prop_map(|(flags, bounds)| {
                let bounds = bounds.iter().flat_map(|bound| [4, *bound]).flat_map(i32::to_be_bytes);
                [flags].into_iter().chain(bounds).collect()
            }),
        ]
    ) {
        for codec in all() {
            if let Ok(value) = codec.decode(Some(&field)) {
                let mut out = Vec::new();
                let encoded = codec.encode(value.as_value(), &mut out);
                prop_assert_eq!(encoded, Ok(()), "{}", codec);
                if codec == Codec::NumericAs(None, NumericForm::Any) {
                    // Without the zeros at its end.
                    prop_assert_eq!(codec.decode(Some(&out[4..])), Ok(value), "{}", codec);
                    continue;
                }
                prop_assert_eq!(&out[4..], &field[..], "{}", codec);
            }
        }
    }
}

fn numeric_field((groups, weight, minus, scale): (Vec<u16>, i16, bool, u16)) -> Vec<u8> {
    let count = u16::try_from(groups.len()).unwrap();
    let sign = if minus { 0x4000_u16 } else { 0 };
    let header =
        [count.to_be_bytes(), weight.to_be_bytes(), sign.to_be_bytes(), scale.to_be_bytes()];
    let groups = groups.iter().map(|group| group.to_be_bytes());
    header.into_iter().chain(groups).flatten().collect()
}

#[test]
fn null_is_null_to_every_codec() {
    for codec in all() {
        let mut out = Vec::new();
        codec.encode(Value::Null, &mut out).unwrap();
        assert_eq!(out, [0xff; 4], "{codec}");
        assert_eq!(codec.decode(None), Ok(OwnedValue::Null));
    }
}
