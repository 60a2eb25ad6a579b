//! Types that are made of others, ranges and arrays; numbers as text; bits.

use switchback_server::dialect::value::OwnedValue;

use super::hold_all;

/// One codec of each kind, and those of a family whose guards differ.
const CODECS: &[&str] = &[
    "range:int4",
    "range:int8",
    "range:num",
    "range:date",
    "range:ts",
    "range:tstz",
    "range:any:int4",
    "range:any:int8",
    "range:any:num",
    "range:any:date",
    "range:any:ts",
    "range:any:tstz",
    "range:any:tstz:in:Europe/Berlin",
    "array:numeric:compact",
    "array:numeric(10,2):spaced",
    "array:numeric-text:spaced",
    "array:numeric-text(10,2):compact",
    "array:varchar(20):compact",
    "array:char(20):spaced",
    "array:date:compact",
    "array:timestamp:compact",
    "array:timestamptz:spaced",
    "text:number",
    "varchar:20:number",
    "bit:3",
    "varbit",
    "varbit:9",
];

const INTEGERS: &[&str] =
    &["", "0", "1", "-1", "5", "-2147483648", "2147483646", "2147483647", "42"];

const NUMBERS: &[&str] =
    &["-Infinity", "-1.50", "-0.001", "", "0", "1.5", "1.50", "1e30", "Infinity", "NaN"];

const DATES: &[&str] = &[
    "-infinity",
    "4714-11-24 BC",
    "0001-12-31 BC",
    "0001-01-01",
    "1999-12-31",
    "",
    "2024-02-29",
    "9999-12-30",
    "9999-12-31",
    "10000-01-01",
    "10000-01-02",
    "infinity",
];

const TIMES: &[&str] = &[
    "-infinity",
    "0001-12-31 23:59:59.999999 BC",
    "0001-01-01 00:00:00",
    "1969-12-31 23:59:59.999999",
    "",
    "2024-03-31 02:30:00",
    "2024-07-01 12:00:00.5",
    "9999-12-31 23:59:59.999999",
    "10000-01-01 00:00:00",
    "infinity",
];

/// Ranges between every two bounds that are in order, an empty text being none.
fn ranges(pg_type: &str, bounds: &[&str], zone: &str) -> Vec<String> {
    let mut values = vec!["'empty'".to_owned(), "NULL".to_owned()];
    let bounded = |bound: &str| match bound {
        "" => String::new(),
        bound => format!("\"{}\"", in_zone(bound, zone)),
    };
    for (number, lower) in bounds.iter().enumerate() {
        for upper in bounds.iter().skip(number).chain([&""]) {
            for ends in ["[]", "[)", "(]", "()"] {
                // Nothing comes after the last one that can be counted.
                let last = "2147483647";
                let beyond = *upper == last && ends.ends_with(']')
                    || *lower == last && ends.starts_with('(');
                if pg_type != "int4range" || !beyond {
                    let (open, close) = ends.split_at(1);
                    values.push(format!("'{open}{},{}{close}'", bounded(lower), bounded(upper)));
                }
            }
        }
    }
    values
}

/// In order.
fn integers() -> Vec<&'static str> {
    let mut numbers: Vec<&str> = INTEGERS.to_vec();
    numbers.sort_by_key(|number| number.parse::<i64>().unwrap_or(i64::MIN));
    numbers
}

fn arrays(pg_type: &str, elements: &[&str]) -> Vec<String> {
    let mut arrays = vec!["{}".to_owned(), "{NULL}".to_owned(), "{NULL,NULL}".to_owned()];
    for element in elements {
        arrays.extend([
            format!("{{\"{element}\"}}"),
            format!("{{NULL,\"{element}\"}}"),
            format!("{{{{\"{element}\"}}}}"),
            format!("[0:0]={{\"{element}\"}}"),
            format!("{{\"{element}\",\"{}\"}}", elements[0]),
        ]);
    }
    arrays.iter().map(|array| format!("E'{array}'::{pg_type}")).collect()
}

fn moments(pg_type: &str, texts: &[&str], zone: &str) -> Vec<String> {
    let texts = texts.iter().filter(|text| !text.is_empty()).map(|text| in_zone(text, zone));
    let texts: Vec<String> = texts.collect();
    arrays(pg_type, &texts.iter().map(String::as_str).collect::<Vec<_>>())
}

fn bits(fits: impl Fn(&str) -> bool) -> Vec<String> {
    let texts = [
        "",
        "0",
        "1",
        "000",
        "001",
        "010",
        "101",
        "111",
        "1111111",
        "10000000",
        "00000001",
        "100000000",
        "000000001",
        "1111111111111111",
        "0101010101010101010101",
    ];
    let fitting = texts.into_iter().filter(|text| fits(text)).map(|text| format!("B'{text}'"));
    fitting.cycle().take(30).collect()
}

fn in_zone(moment: &str, zone: &str) -> String {
    match moment.strip_suffix(" BC") {
        Some(before) => format!("{before}{zone} BC"),
        None if moment.contains("infinity") => moment.to_owned(),
        None => format!("{moment}{zone}"),
    }
}

/// Values of the types of those codecs, as SQL; none for another type.
pub(super) fn of(pg_type: &str) -> Option<Vec<String>> {
    let texts = ["a", "", "é b", "\\ufffe", "\\\\\"", "5", "null"];
    Some(match pg_type {
        "int4range" | "int8range" => ranges(pg_type, &integers(), ""),
        "numrange" => ranges(pg_type, NUMBERS, ""),
        "daterange" => ranges(pg_type, DATES, ""),
        "tsrange" => ranges(pg_type, TIMES, ""),
        "tstzrange" => ranges(pg_type, TIMES, "+00"),
        "numeric[]" => arrays(pg_type, &["1.5", "1.50", "-0.001", "1e40", "NaN", "Infinity"]),
        "numeric(10,2)[]" => arrays(pg_type, &["1.5", "-99999999.99", "0", "NaN", "12.345"]),
        "varchar(20)[]" | "char(20)[]" => arrays(pg_type, &texts),
        "date[]" => moments(pg_type, DATES, ""),
        "timestamp[]" => moments(pg_type, TIMES, ""),
        "timestamptz[]" => moments(pg_type, TIMES, "+00"),
        "bit(3)" => bits(|text| text.len() == 3),
        "varbit" => bits(|_| true),
        "varbit(9)" => bits(|text| text.len() <= 9),
        _ => return None,
    })
}

/// Values of SQLite in the forms that the codecs know.
pub(super) fn sources() -> Vec<OwnedValue> {
    let texts = [
        "[1,10)",
        "[1,10]",
        "(,5]",
        "[-7,)",
        "(,)",
        "empty",
        " EMPTY",
        "[5,5)",
        "[1.50,2e1]",
        "(-0.5,0.25)",
        "[2024-01-01,2024-12-31]",
        "[2024-01-01,9999-12-31]",
        "[0001-01-01,2024-01-01)",
        "[2024-01-01 12:00:00,2024-01-02T12:00)",
        "[\"2024-01-01 00:00:00\",\"2024-01-02 00:00:00.5\")",
        "[\"2024-01-01 00:00:00+00\",)",
        "(\"2024-07-01 12:00:00+02\",\"2024-08-01 00:00:00Z\"]",
        "[1.5,-0.25,null]",
        "[\"12.50\", \"-1\"]",
        "[12.505]",
        "[\"2024-01-01\",null]",
        "[\"2024-01-01T12:00:00.250\"]",
        "[\"2024-01-01T12:00:00Z\",\"2024-01-01 12:00:00.5+0100\"]",
        "[\"this is a longer text than that\"]",
        "007",
        "101",
        "010101",
        "5.0",
        "1.50",
    ];
    texts.map(|text| OwnedValue::Text(text.as_bytes().to_vec())).to_vec()
}

#[tokio::test]
async fn what_passes_into_a_range_or_an_array_is_what_comes_back() {
    hold_all(CODECS).await;
}
