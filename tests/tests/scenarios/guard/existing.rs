//! The codecs for columns whose type is given.

use switchback_server::dialect::value::OwnedValue;

use super::{
    hold_all,
    values::{DOCUMENTS, NUMBERS, TEXTS, plain, quoted},
};

/// One codec of each kind, and those of a family whose guards differ.
const CODECS: &[&str] = &[
    "integer:16",
    "integer:32",
    "real:32",
    "real:32:rounded",
    "number:any",
    "numeric:real",
    "numeric:text",
    "numeric:any",
    "numeric:any:text",
    "numeric:10:2:real",
    "numeric:30:12:real",
    "numeric:10:2:text",
    "numeric:30:12:any",
    "numeric:10:2:any:text",
    "char:20",
    "text:blob",
    "blob:text",
    "label:a|b\\|c|12",
    "bool:any",
    "bool:any:text",
    "date:any",
    "date:julian",
    "interval:us",
    "interval:ms",
    "interval:s",
    "interval:epoch",
    "interval:clock",
    "uuid:any",
    "jsonb",
    "jsonb:numeric",
    "array:int2:compact",
    "array:int4:spaced",
    "array:int8:compact",
    "array:float8:compact",
    "array:text:spaced",
    "array:varchar:compact",
    "array:bool:compact",
    "array:uuid:compact",
    "inet",
    "cidr",
    "macaddr",
];

/// Those for times.
const TIMES: &[&str] = &[
    "time:3-3",
    "time:0or6-0",
    "time:any:minutes",
    "time:any:trimmed",
    "timestamp:T:3-3",
    "timestamp:any:T:minutes",
    "timestamp:any:space:6",
    "timestamp:T:trimmed-2:Z",
    "timestamp:space:6:+00:00",
    "timestamp:epoch-s",
    "timestamp:epoch-ms",
    "timestamp:epoch-us",
    "timestamp:epoch-s-real",
    "timestamp:julian",
    "timestamptz:space:3-3:none",
    "timestamptz:any:T:minutes:Z",
    "timestamptz:any:in:Europe/Berlin:T:3-3:Z",
    "timestamptz:in:Europe/Berlin:space:6",
    "timestamptz:in:America/New_York:T:minutes",
    "timestamptz:in:Australia/Lord_Howe:T:3-3",
    "timestamptz:epoch-s-real",
    "timestamptz:julian",
];

const INTERVALS: &[&str] = &[
    "0",
    "1 microsecond",
    "-1 microsecond",
    "1 day",
    "-1 day",
    "24:00:00",
    "23:59:59.999999",
    "36:00:00",
    "1 day 12:00:00",
    "1 day -00:00:01",
    "-1 day 23:59:59",
    "-1 day -01:00:00",
    "1 month",
    "1 month -30 days",
    "1 year",
    "-1 month 1 day",
    "30 days",
    "100:00:00",
    "-100:00:00.5",
    "00:00:00.001",
    "00:00:00.0001",
    "999999999:59:59.999999",
    "1000000000:00:00",
    "-999999999:59:59.999999",
    "-1000000000:00:00",
    "106751990 days",
    "106751990 days 23:59:59.999999",
    "106751991 days",
    "-106751990 days",
    "-106751991 days",
    "2147483647 days",
    "-2147483648 days",
    "2932896 days 23:59:59.999999",
    "2932897 days",
    "-719162 days",
    "-719163 days",
    "00:01",
];

const ADDRESSES: &[&str] = &[
    "10.0.0.1",
    "10.0.0.1/8",
    "10.0.0.0/8",
    "0.0.0.0",
    "0.0.0.0/0",
    "255.255.255.255",
    "192.168.1.5/31",
    "::",
    "::/0",
    "::1",
    "::2",
    "::1:0",
    "::ffff:1.2.3.4",
    "::ffff:1.2.3.4/100",
    "::1.2.3.4",
    "::fffe:1.2.3.4",
    "::1:2:3",
    "1::",
    "1::/16",
    "1::1",
    "1:0:0:2::3",
    "1:0:0:2:0:0:0:3",
    "1:2:3:4:5:6:7:8",
    "0:2:3:4:5:6:7:8",
    "1:2:3:4:5:6:7:0",
    "0:0:3:4:5:6:7:8",
    "1:0:3:4:5:6:7:8",
    "2001:db8::1:0:0:1",
    "2001:db8::/32",
    "fe80::1/64",
    "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
];

const ARRAYS: &[&str] = &[
    "{}",
    "{NULL}",
    "{1}",
    "{0,1}",
    "{1,NULL,0}",
    "{{1,0},{0,1}}",
    "{{1}}",
    "[0:1]={1,0}",
    "[2:2]={1}",
    "{NULL,NULL}",
    "{{NULL}}",
    "{{{1}}}",
];

/// Values of the types of those codecs, as SQL.
pub(super) fn of(base: &str) -> Vec<String> {
    let integers = |most: i64| {
        let fits = move |number: &&&str| {
            number.parse::<i64>().is_ok_and(|number| (-most - 1..=most).contains(&number))
        };
        let edges = [most, -most - 1, most - 1].map(|number| number.to_string());
        let small = (2..30).map(|number: i32| (number * 37).to_string());
        plain(&NUMBERS.iter().filter(fits).copied().collect::<Vec<_>>())
            .into_iter()
            .chain(edges)
            .chain(small)
            .collect()
    };
    match base {
        "smallint" => integers(32_767),
        "integer" => integers(2_147_483_647),
        "real" => {
            let numbers =
                ["'NaN'", "'Infinity'", "'-Infinity'", "'-0'", "0", "5", "-7", "1.5", "0.1"];
            let more = ["16777216", "16777217", "1e38", "1e-45", "1e10", "9.2e18", "1e19", "NULL"];
            let small = (0..20).map(|number| format!("{number}.25"));
            plain(&[&numbers[..], &more[..]].concat()).into_iter().chain(small).collect()
        }
        "char" => TEXTS.iter().map(|text| format!("left(E'{text}', 20)")).collect(),
        "enum" => quoted(&["a", "b|c", "12", "d"]),
        "interval" => quoted(INTERVALS),
        "jsonb" => documents(),
        "inet" => quoted(ADDRESSES),
        "cidr" => ADDRESSES.iter().map(|text| format!("network('{text}'::inet)")).collect(),
        "macaddr" => (0..25).map(|byte| format!("'08:00:2b:01:02:{byte:02x}'")).collect(),
        "double precision[]" => {
            let odd =
                ["{NaN}", "{1,Infinity}", "{-Infinity,NULL}", "{-0}", "{1e300,0.1}", "{{NaN}}"];
            arrays("double precision", &odd)
        }
        "text[]" | "varchar[]" => {
            let odd = [
                "{\\\"\\\",a b}",
                "{\\\\\\\\,\\\"\\\\\"\\\"}",
                "{\\ufffe}",
                "{\\uffff,NULL}",
                "{5}",
                "{{\\ufffe}}",
            ];
            arrays(base.trim_end_matches("[]"), &odd)
        }
        "uuid[]" => {
            let id = "e3e70682-c209-4cac-629f-6fbed82c07cd";
            let of = |array: &&str| {
                format!(
                    "'{}'::uuid[]",
                    array.replace(['0', '1'], id).replace(&format!("[{id}:{id}]"), "[0:1]")
                )
            };
            ARRAYS.iter().filter(|array| !array.starts_with('[')).map(of).cycle().take(25).collect()
        }
        arrays_of => arrays(arrays_of.trim_end_matches("[]"), &[]),
    }
}

fn arrays(element: &str, odd: &[&str]) -> Vec<String> {
    let all = ARRAYS.iter().chain(odd);
    all.map(|array| format!("E'{array}'::{element}[]")).cycle().take(26).collect()
}

/// `jsonb` does not take all that `json` does.
fn documents() -> Vec<String> {
    let taken = DOCUMENTS.iter().filter(|document| {
        !["u0000", "ud800", "1e99999"].iter().any(|part| document.contains(part))
    });
    let more = ["1e400", "0.10", "-9.223372036854776e18", "[1.50, {\"b\": 1, \"a\": 2}]"];
    let deep = "(repeat('[', 1000) || repeat(']', 1000))::jsonb".to_owned();
    let taken: Vec<&str> = taken.copied().chain(more).collect();
    quoted(&taken).into_iter().chain([deep]).collect()
}

/// Moments around those at which the clocks of some zones were changed, in UTC.
pub(super) fn changes() -> Vec<String> {
    let hours = [
        // Europe/Berlin, back at 01:00 and forward at 01:00.
        ("2024-10-26", 23),
        ("2024-10-27", 0),
        ("2024-10-27", 1),
        ("2024-10-27", 2),
        ("2024-03-31", 0),
        ("2024-03-31", 1),
        // America/New_York, back at 06:00.
        ("2024-11-03", 4),
        ("2024-11-03", 5),
        ("2024-11-03", 6),
        ("2024-11-03", 7),
        // Australia/Lord_Howe, back by half an hour at 15:00.
        ("2024-04-06", 14),
        ("2024-04-06", 15),
        // Europe/Berlin, from local mean time, by 6 minutes and 32 seconds.
        ("1893-03-31", 23),
    ];
    let times = ["00:00", "00:00.000001", "06:28", "29:59.999", "30:00", "59:59.999999"];
    let at = |(day, hour): (&str, u32)| {
        times.map(|time| format!("'{day} {hour:02}:{time}+00'")).to_vec()
    };
    hours.into_iter().flat_map(at).collect()
}

/// Values of SQLite in the forms that the codecs know.
pub(super) fn sources() -> Vec<OwnedValue> {
    let texts = [
        "12.50",
        "1.5",
        "-0.000000000001",
        "+1.25E1",
        "a",
        "b|c",
        "12",
        "TRUE",
        "off",
        "12:00:00.5",
        "36:00:00",
        "-00:30:00.250000",
        "1970-01-02 12:00:00.000001",
        "2020-01-01T12:00:00.123Z",
        "2020-01-01T12:00:00.12Z",
        "2020-01-01t12:00:00.123000000+0130",
        "2020-07-01T12:00",
        "2020-10-25 02:30:00.000000",
        "2020-10-25 03:00:00.000000",
        "{E3E70682C2094CAC629F6FBED82C07CD}",
        "{\"bb\": 1, \"a\": [1.50, 1e3, \"\\u00e9\"], \"bb\": null}",
        "[1,0,null]",
        "[1.5, -0.0]",
        "[\"a\",\"\\\"\",null]",
        "[true,false]",
        "[\"e3e70682-c209-4cac-629f-6fbed82c07cd\"]",
        "[]",
        "10.0.0.1",
        "10.0.0.0/8",
        "::ffff:1.2.3.4/100",
        "2001:db8::/32",
        "08:00:2b:01:02:03",
        "char with é",
    ];
    let reals = [2_458_850.0, 2_458_850.5, 2_458_850.25, 1_577_880_000.25, 0.25, -1.5];
    let integers = [90_000, -1, 86_400_000_000];
    let texts = texts.map(|text| OwnedValue::Text(text.as_bytes().to_vec()));
    let numbers = reals.map(OwnedValue::Real).into_iter().chain(integers.map(OwnedValue::Integer));
    texts.into_iter().chain(numbers).collect()
}

#[tokio::test]
async fn what_passes_into_a_given_type_is_what_comes_back() {
    hold_all(CODECS).await;
}

#[tokio::test]
async fn times_that_pass_into_a_given_type_are_what_comes_back() {
    hold_all(TIMES).await;
}
