//! The worst values of every type.

mod numbers;
mod others;
mod texts;

use switchback_server::dialect::value::OwnedValue;

use numbers::{DECIMALS, DOUBLES};
use others::{BYTES, DATES, DAYS, TIMES, UUIDS};
pub(super) use {numbers::NUMBERS, others::DOCUMENTS, texts::TEXTS};

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
