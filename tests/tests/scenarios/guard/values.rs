//! The worst values of every type.

use switchback_server::dialect::value::OwnedValue;

pub(super) const NUMBERS: &[&str] = &[
    "0",
    "1",
    "-1",
    "5",
    "42",
    "1.5",
    "-0.5",
    "0.1",
    "0.3",
    "1e-5",
    "0.0001",
    "123456789.123",
    "19.99",
    "99999999.99",
    "1e15",
    "1e16",
    "1e17",
    "1e22",
    "1e23",
    "-1e23",
    "1e300",
    "9007199254740991",
    "9007199254740992",
    "9007199254740993",
    "9007199254740994",
    "-9007199254740993",
    "4503599627370496.5",
    "4503599627370497.5",
    "140737488355327",
    "140737488355328",
    "-140737488355329",
    "9223372036854774784",
    "9223372036854775000",
    "9223372036854775807",
    "9223372036854775808",
    "9223372036854776000",
    "-9223372036854775808",
    "-9223372036854775809",
    "-9223372036854776000",
    "9223372036854777856",
    "18446744073709551616",
    "0.30000000000000004",
    "0.3000000000000001",
    "1.0000076293945312",
    "1.0000076293945313",
    "5.684341886080801e-14",
    "5.684341886080802e-14",
    "5e-324",
    "1e-323",
    "2.2250738585072014e-308",
    "2.225073858507201e-308",
    "1.7976931348623157e308",
    "123456789012345.6",
    "1234567890123456.7",
    "0.123456789012345",
    "0.1234567890123456",
    "0.12345678901234567",
];

/// Numbers of `numeric` that are no doubles, or not written as one.
const DECIMALS: &[&str] = &[
    "1.0",
    "1.50",
    "0.00",
    "100.000",
    "0.10",
    "1e400",
    "-1e400",
    "1e-400",
    "4e-324",
    "7e-324",
    "4.9e-324",
    "4.94065645841247e-324",
    "1.7976931348623158e308",
    "1.7976931348623156e308",
    "1.797693134862315e308",
    "1.797693134862316e308",
    "2e308",
    "0.1000000000000000055511151231257827",
    "12345678901234567890",
    "123456789012345678",
    "0.99999999999999999",
    "9007199254740992.5",
    "123456789012345678901234567890.123456789",
    "1e-20",
    "12345678.9",
    "0.123456789012",
    "0.1234567890123456789",
    "123456789012345678.123456789012",
    "1e340",
    "repeat('9', 400)::numeric",
    "('0.' || repeat('0', 330) || '1')::numeric",
    "('0.' || repeat('0', 330) || '12345')::numeric",
    "('0.' || repeat('3', 349))::numeric",
    "'NaN'",
    "'Infinity'",
    "'-Infinity'",
    "NULL",
];

const DOUBLES: &[&str] =
    &["'NaN'", "'Infinity'", "'-Infinity'", "'-0'", "3.0e0", "NULL", "4.9e-324"];

pub(super) const TEXTS: &[&str] = &[
    "",
    " ",
    "0",
    "5",
    " 5",
    "5 ",
    "\\t5\\n",
    "\\u00a05",
    "5\\u2003",
    "+5",
    "-5",
    "+ 5",
    "--5",
    "5.",
    ".5",
    ".",
    "-.5",
    "-.",
    "5.e3",
    "1e5",
    "1E5",
    "1e+5",
    "1e-5",
    "1e",
    "1e+",
    "1e5.",
    "1e 5",
    "0x10",
    "1_000",
    "1,000",
    "inf",
    "nan",
    "Infinity",
    "NaN",
    "5a",
    "1e999",
    "1e-999",
    "-0",
    "007",
    "20240101",
    "9223372036854775808",
    "5\\x0b",
    "5\\x0c",
    "5\\r",
    "5\\x1c",
    "5\\x08",
    "\\uff15",
    "\\u0665",
    "\\ufffe",
    "5\\uffff",
    "\\ufeff5",
    "\\U0001f600",
    "\\U0001fffe",
    "e5",
    "1 2",
    "1e5 ",
    " 1e5",
    "+.5e-3",
    "5..",
    "1.5.2",
    "hello",
    "\\\\",
    "\\\\\\\\",
    "\\\\0",
    "a\\\\0b",
    "5\\\\0",
    "\\\\x41",
    "\\\\x80",
    "\\\\xff",
    "\\\\xc3\\\\xa9",
    "\\\\xc3",
    "\\\\xc3\\u00e9",
    "\\\\\\\\xc3\\\\xa9",
    "\\\\xc3\\\\xc3\\\\xa9",
    "\\\\xed\\\\xa0\\\\x80",
    "\\\\xe2\\\\x82",
    "\\\\xe2\\\\x82\\\\xac",
    "\\\\xf0\\\\x9f\\\\x98\\\\x80",
    "\\\\xf0\\\\x9f\\\\x98",
    "\\\\xf4\\\\x90\\\\x80\\\\x80",
    "\\\\xe0\\\\x80\\\\x80",
    "\\\\xC3",
    "\\\\xc",
    "\\\\x",
    "\\\\n",
    "\\\\xc3\\\\\\\\xa9",
    "\\\\x80\\\\xbf",
    "end\\\\",
    "i:5",
    "I:5",
    "i:0",
    "i:-0",
    "i:-5",
    "i:05",
    "i:+5",
    "i: 5",
    "i:",
    "i:5.0",
    "i:9223372036854775807",
    "i:9223372036854775808",
    "i:-9223372036854775808",
    "i:-9223372036854775809",
    "i:99999999999999999999",
    "r:1.5",
    "r:1.0",
    "r:1",
    "r:1.50",
    "r:-0.0",
    "r:0.0",
    "r:-0",
    "r:inf",
    "r:-inf",
    "r:INF",
    "r:+inf",
    "r:NaN",
    "r:1e16",
    "r:1e15",
    "r:1000000000000000.0",
    "r:1.5e-7",
    "r:1e-7",
    "r:1E-7",
    "r:0.0001",
    "r:0.00001",
    "r:1e-5",
    "r:1e-4",
    "r:9007199254740993.0",
    "r:9007199254740992.0",
    "r:0.30000000000000004",
    "r:0.3000000000000000444",
    "r:1.0000076293945312",
    "r:1.0000076293945313",
    "r:5e-324",
    "r:4e-324",
    "r:1e400",
    "r:1e999",
    "r:1e-999",
    "r:1.7976931348623157e308",
    "r:1e+16",
    "r:01.5",
    "r:9.223372036854775e18",
    "r:9.223372036854776e18",
    "r:1e300",
    "r:.5",
    "r:5.",
    "t:",
    "t:5",
    "t:hello",
    "T:hello",
    "t:\\ufffe",
    "t: 1e5 ",
    "b:",
    "b:00",
    "b:0",
    "b:68656c",
    "b:6F",
    "b:zz",
    "x:",
    "x:00",
    "x:41",
    "x:4100",
    "x:ff",
    "x:c3a9",
    "x:c3",
    "x:c3a900",
    "x:efbfbe",
    "x:efbfbe00",
    "x:0efbfbe0",
    "x:eda080",
    "x:f4908080",
    "x:e282",
    "x:FF",
    "x:0",
    "x:f09f988000",
    "\\u00e9",
    "é:",
];

const DATES: &[&str] = &[
    "infinity",
    "-infinity",
    "0001-01-01",
    "0001-01-02",
    "0001-12-31 BC",
    "0002-01-01 BC",
    "4714-11-24 BC",
    "9999-12-31",
    "9999-12-30",
    "10000-01-01",
    "10000-12-31",
    "99999-01-01",
    "5874897-12-31",
    "2000-01-01",
    "2000-02-29",
    "1999-12-31",
    "1970-01-01",
    "1969-12-31",
    "0100-01-01",
    "0099-12-31",
    "1582-10-10",
    "1900-03-01",
    "2038-01-19",
    "2100-02-28",
    "0044-03-15 BC",
    "2024-01-01",
];

const TIMES: &[&str] = &[
    "00:00:00",
    "24:00:00",
    "23:59:59.999999",
    "23:59:59",
    "23:59",
    "12:00:00.5",
    "12:00:00.000001",
    "12:00:00.1",
    "12:00:00.12",
    "12:00:00.123",
    "12:00:00.1234",
    "12:00:00.12345",
    "12:00:00.123456",
    "12:00:00.100001",
    "00:00:01",
    "00:00:59.999999",
    "00:01",
    "01:00",
    "00:00:00.000001",
    "00:00:00.001",
    "00:00:00.01",
    "12:34:56.7",
    "12:34:00.000001",
    "12:34:56.000100",
    "23:00",
    "11:59:59.9",
];

const DAYS: &[&str] = &[
    "0001-01-01",
    "0001-12-31 BC",
    "4713-01-01 BC",
    "9999-12-31",
    "10000-01-01",
    "294276-12-30",
    "2000-01-01",
    "1999-12-31",
    "1970-01-01",
    "1969-12-31",
    "1900-02-28",
    "2024-02-29",
];

const UUIDS: &[&str] = &[
    "00000000-0000-0000-0000-000000000000",
    "ffffffff-ffff-ffff-ffff-ffffffffffff",
    "12345678-9012-3456-7890-123456789012",
    "12345678-9012-3456-7890-1234567890e2",
    "e2345678-9012-3456-7890-123456789012",
    "12345678-9012-3456-7890-12345678901e",
    "1e345678-9012-3456-7890-123456789012",
    "1e345678-9012-3456-7890-12345678901e",
    "1ee45678-9012-3456-7890-123456789012",
    "12345678-9012-3456-7890-12345678901a",
    "a2345678-9012-3456-7890-123456789012",
    "12345678-9012-e456-7890-123456789012",
    "12345678-9012-d456-7890-123456789012",
    "12345678-9012-f456-7890-123456789012",
    "00000000-0000-0000-0000-00000000e000",
    "00000000-e000-0000-0000-000000000000",
    "0e000000-0000-0000-0000-000000000000",
    "e0000000-0000-0000-0000-000000000000",
    "01234567-89ab-cdef-0123-456789abcdef",
    "99999999-9999-9999-9999-999999999999",
    "99999999-9999-9999-9999-9999999999e9",
    "e3e70682-c209-4cac-629f-6fbed82c07cd",
    "11111111-1111-1111-1111-11111111111b",
    "c1111111-1111-1111-1111-111111111111",
    "1e1e1e1e-1e1e-1e1e-1e1e-1e1e1e1e1e1e",
    "00000000-0000-0000-0000-000000000001",
];

pub(super) const DOCUMENTS: &[&str] = &[
    "{}",
    "[]",
    " [1, 2]\\n",
    "null",
    "true",
    "\"5\"",
    "\"\\\\u0000\"",
    "\"\\\\ud800\"",
    "5",
    " 5",
    "5 ",
    "\\t5\\n",
    "-5",
    "-0",
    "0",
    "0.0",
    "-0.0",
    "5.0",
    "1.5",
    "1.50",
    "1e5",
    "1E5",
    "1e16",
    "1e300",
    "1e+300",
    "1e400",
    "1e999",
    "1e99999",
    "1.5e-7",
    "1.5e-07",
    "0.0001",
    "0.00001",
    "1e-5",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "-9223372036854775809",
    "9.223372036854776e18",
    "9.223372036854775e18",
    "0.30000000000000004",
    "0.3000000000000000444",
    "1.0000076293945312",
    "1.0000076293945313",
    "5e-324",
    "4e-324",
    "{\"a\": 1, \"a\": 2}",
    "\"\\ufffe\"",
    "{\"\\uffff\": 1}",
    "\"\\\\ufffe\"",
    "\"e\\u00e9\"",
    "\"1e5\"",
    "[1e5]",
    "\\r\\n{\"a\":[{}]}",
];

const BYTES: &[&str] =
    &["", "00", "35", "203520", "ff", "c3a9", "efbbbf", "fffe", "00ff00", "7b7d"];

pub(super) fn quoted(values: &[&str]) -> Vec<String> {
    values.iter().map(|value| format!("E'{value}'")).collect()
}

pub(super) fn plain(values: &[&str]) -> Vec<String> {
    values.iter().map(|&value| value.to_owned()).collect()
}

fn moments(zone: &str) -> Vec<String> {
    let mut values = quoted(&["infinity", "-infinity"]);
    for day in DAYS {
        let (day, era) = day.split_once(' ').unwrap_or((day, ""));
        for time in TIMES {
            values.push(format!("'{day} {time}{zone} {era}'"));
        }
    }
    values
}

/// Values of a type of PostgreSQL, as SQL; those that a type with bounds does not take become
/// NULL.
pub(super) fn of(pg_type: &str) -> Vec<String> {
    if let Some(values) = super::ranges::of(pg_type) {
        return values;
    }
    let (base, bounds) = pg_type.split_once('(').unwrap_or((pg_type, ""));
    match base {
        "bigint" => plain(NUMBERS)
            .into_iter()
            .filter(|number| number.parse::<i64>().is_ok())
            .chain((40..60).map(|bit| (1_i64 << bit).to_string()))
            .collect(),
        "double precision" => [plain(NUMBERS), plain(DOUBLES)].concat(),
        "numeric" => {
            let numbers = [plain(NUMBERS), plain(DECIMALS)].concat();
            numbers.into_iter().map(|number| bounded(&number, bounds)).collect()
        }
        "text" => [quoted(TEXTS), long_texts()].concat(),
        "varchar" => quoted(TEXTS).into_iter().map(|text| format!("left({text}, 20)")).collect(),
        "bytea" => {
            let mut values: Vec<String> =
                BYTES.iter().map(|digits| format!("decode('{digits}', 'hex')")).collect();
            values.extend((0..20).map(|byte| format!("decode('{:02x}', 'hex')", byte * 13)));
            values
        }
        "boolean" => plain(&["true", "false", "NULL"]),
        "date" => quoted(DATES),
        "time" => quoted(TIMES),
        "timestamp" => moments(""),
        "timestamptz" => [moments("+00"), super::existing::changes()].concat(),
        "uuid" => quoted(UUIDS),
        "json" => [quoted(DOCUMENTS), deep_documents()].concat(),
        other => super::existing::of(other),
    }
}

/// The number where it fits, made shorter where it does not.
fn bounded(number: &str, bounds: &str) -> String {
    let Some((precision, scale)) = bounds.trim_end_matches(')').split_once(',') else {
        return number.to_owned();
    };
    if number.starts_with("'-I") || number.starts_with("'I") {
        return "NULL".into();
    }
    let digits = |number: &str| number.parse::<i64>().expect("digits");
    let limit = format!("9e{}", digits(precision) - digits(scale) - 1);
    format!(
        "CASE WHEN abs({number}::numeric) < {limit} OR {number}::numeric = 'NaN' \
         THEN {number}::numeric ELSE mod({number}::numeric, {limit}) END"
    )
}

fn long_texts() -> Vec<String> {
    plain(&[
        "repeat('1', 400)",
        "repeat('1', 5000)",
        "repeat(' ', 1500) || '5'",
        "repeat(' ', 1500) || 'x'",
        "repeat('a', 5000)",
        "'t:' || repeat('1', 5000)",
        "'i:' || repeat('1', 5000)",
        "'r:' || repeat('1', 5000) || '.5'",
        "'b:' || repeat('ab', 5000)",
        "'x:' || repeat('ab', 5000)",
        "repeat('1', 1000) || 'x'",
    ])
}

fn deep_documents() -> Vec<String> {
    plain(&[
        "(repeat('[', 128) || repeat(']', 128))::json",
        "(repeat('[', 1000) || repeat(']', 1000))::json",
        "repeat('1', 400)::json",
        "('0.' || repeat('1', 400))::json",
        "NULL",
    ])
}

/// Values of SQLite, to be written into its columns and encoded from there.
pub(super) fn sources() -> Vec<OwnedValue> {
    let mut values = vec![OwnedValue::Null];
    for number in NUMBERS {
        values.extend(number.parse().map(OwnedValue::Integer));
        values.extend(number.parse().map(OwnedValue::Real));
    }
    for real in [-0.0, f64::INFINITY, f64::NEG_INFINITY, f64::MAX, f64::MIN_POSITIVE] {
        values.push(OwnedValue::Real(real));
    }
    let texts = [
        "",
        "5",
        " 5 ",
        "1e5",
        "hello",
        "a\0b",
        "5\0",
        "t",
        "f",
        "True",
        "2020-01-01",
        "2020-01-01 12:00",
        "2020-01-01 12:00:00",
        "2020-01-01 12:00:00.250000",
        "2020-01-01T12:00:00.250",
        "2020-01-01T12:00:00Z",
        "2020-01-01T12:00:00.123456Z",
        "2020-01-01 12:00:00.000001+00:00",
        "12:00",
        "12:00:00",
        "12:00:00.123",
        "12:00:00.123456",
        "e3e70682-c209-4cac-629f-6fbed82c07cd",
        "12345678901234567890123456789012",
        "e3e70682c2094cac629f6fbed82c07cd",
        "{}",
        "[1]",
        "\"5\"",
        "\u{fffe}",
        "é\\",
        "\\x41",
    ];
    values.extend(texts.map(|text| OwnedValue::Text(text.as_bytes().to_vec())));
    let odd: [&[u8]; 5] = [b"\xff", b"a\xc3", b"\xc3\0\xa9", b"\xed\xa0\x80", b"5\xff"];
    values.extend(odd.map(|bytes| OwnedValue::Text(bytes.to_vec())));
    values.extend([&b""[..], b"5", b"\0\xff"].map(|bytes| OwnedValue::Blob(bytes.to_vec())));
    values.push(OwnedValue::Blob((0..16).collect()));
    values.extend(super::existing::sources());
    values.extend(super::ranges::sources());
    values
        .extend([1_577_880_000, 1_577_880_000_123, 1_577_880_000_123_456].map(OwnedValue::Integer));
    values
}
