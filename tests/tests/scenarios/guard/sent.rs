//! A text that a codec takes means to PostgreSQL what it means to the codec.

use switchback_server::dialect::{codec::Codec, value::Value};

use super::client;

/// Codecs with texts that PostgreSQL reads too, of which each codec takes some.
const CASES: &[(&str, &[&str])] = &[
    ("numeric:any:text", NUMBERS),
    ("numeric:text", NUMBERS),
    ("numeric:20:3:any:text", NUMBERS),
    ("numeric:20:3:text", NUMBERS),
    ("bool:any", &["1", "0", "T", "yes", "NO", "on", "OFF", "true", "False", "y", "n"]),
    (
        "uuid:any",
        &[
            "e3e70682-c209-4cac-629f-6fbed82c07cd",
            "{E3E70682-C209-4CAC-629F-6FBED82C07CD}",
            "e3e70682c2094cac629f6fbed82c07cd",
        ],
    ),
    ("char:8", &["", "a", "éé", "12345678", " a", "a\tb"]),
    ("date:any", &["2020-02-29", "0001-01-01", "9999-12-31 00:00:00", "2020-01-01T00:00"]),
    ("time:any:trimmed", &["12:00", "12:00:01", "23:59:59.999999", "00:00:00.1"]),
    ("timestamp:any:space:6", MOMENTS),
    ("timestamptz:any:space:6:+00:00", MOMENTS),
    (
        "timestamptz:any:space:6:+00:00",
        &[
            "2020-01-01 12:00:00+02",
            "2020-01-01T12:00:00.123456-0830",
            "0001-01-02 00:00:00+15:59",
            "9999-12-31T23:00:00+00:30",
        ],
    ),
    ("interval:clock", &["12:00:00", "100:30:01.500000", "-00:00:01", "-36:00:00.000001"]),
    ("inet", &["10.0.0.1", "10.0.0.1/8", "::2", "::", "::1.2.3.4", "1:0:0:2::3", "fe80::1/64"]),
    ("cidr", &["10.0.0.0/8", "::/0", "2001:db8::/32"]),
    ("macaddr", &["08:00:2b:01:02:03"]),
    ("varbit", &["", "0101", "10000000", "111111111"]),
    ("bit:3", &["101", "000"]),
    ("range:any:int4", INTEGER_RANGES),
    ("range:any:int8", INTEGER_RANGES),
    (
        "range:any:num",
        &[
            "[1.50,1e1]",
            "(-0.5,0.0]",
            "[1.0,1]",
            "(1.0,1]",
            "[ 9999 ,10000.0001]",
            "(,\"1,5\")",
            "[-12345678901234567890.5,-1e-20)",
            "empty",
        ],
    ),
    (
        "range:any:date",
        &[
            "[2024-01-01,2024-12-31]",
            "(2024-01-01, 2024-01-02)",
            "[2024-01-01,9999-12-31]",
            "(,9999-12-30]",
            "[\"0001-01-01\",]",
            "(2024-01-01,2024-01-01]",
            "[2024-01-01 00:00:00,2024-03-01)",
        ],
    ),
    ("range:any:ts", MOMENT_RANGES),
    ("range:any:tstz", MOMENT_RANGES),
    (
        "range:any:tstz",
        &[
            "[2024-01-01 12:00:00+02,2024-01-01T12:00:00-0830]",
            "[\"2024-01-01 12:00:00+02\",\"2024-01-01 10:00:00Z\"]",
            "[\"2024-01-01 12:00:00+02\",\"2024-01-01 10:00:00Z\")",
        ],
    ),
];

const INTEGER_RANGES: &[&str] = &[
    "[1,10]",
    "(1,10)",
    " [ -5 , +7 ) ",
    "(1,2)",
    "[5,5]",
    "[5,5)",
    "(,5]",
    "[5,]",
    "[,]",
    "(,)",
    "Empty ",
    "[\"1\",\\1\"0\")",
    "[\"1\"\"\",5)",
    "(2147483646,)",
    "(2147483647,2147483647)",
    "[-2147483648,2147483646]",
];

const MOMENT_RANGES: &[&str] = &[
    "[2024-01-01,2024-01-02T12:30:00.500]",
    "(\"2024-01-01 00:00:00\",)",
    "(,9999-12-31 23:59:59.999999]",
    "[0001-01-02,2024-02-29t12:34]",
    "(2024-01-01,2024-01-01 00:00:00]",
];

const NUMBERS: &[&str] = &[
    "0",
    "-0",
    "0.00",
    "-0.0",
    "1",
    "12.50",
    "-12.500",
    "+5",
    "1e3",
    "1.5e-3",
    ".5",
    "5.",
    "00012.3",
    "99999999999999999.999",
    "10000",
    "9999.9999",
    "0.0001",
    "0.00001",
    "100000000",
    "1e20",
    "1E+2",
    "12345678901234567890123456789012345678901234567890.123",
    "0.000000000000000000001",
];

const MOMENTS: &[&str] = &[
    "2020-01-01",
    "2020-02-29 12:34",
    "2020-02-29T12:34:56",
    "2020-02-29t12:34:56.1",
    "2020-02-29 12:34:56.123456000Z",
    "0001-01-01 00:00:00+00:00",
    "9999-12-31 23:59:59.999999+0000",
    "1969-12-31 23:59:59.999999",
];

/// Local times, among them the last before and the first after the clocks were changed.
const LOCAL: &[&str] = &[
    "2024-01-01 12:00:00",
    "2024-07-01 12:00:00",
    "2024-03-31 01:59:59",
    "2024-03-31 03:00:00",
    "2024-10-27 01:59:59",
    "2024-10-27 03:00:00",
    "2100-07-01 00:00:00",
    "1985-12-24 18:00:00",
];

#[tokio::test]
async fn texts_mean_the_same_to_both() {
    let client = client().await;
    let function = "CREATE FUNCTION sent(type text, value text) RETURNS bytea LANGUAGE plpgsql AS \
        'DECLARE field bytea; name text; BEGIN \
           SELECT typsend::text INTO name FROM pg_type \
             WHERE oid = split_part(type, ''('', 1)::regtype; \
           EXECUTE format(''SELECT %s($1::%s)'', name, type) USING value INTO field; \
           RETURN field; END'";
    client.batch_execute(function).await.expect("a function");
    client.batch_execute("SET TimeZone = 'UTC'").await.expect("a zone");
    for (name, texts) in CASES {
        agree(&client, name, texts).await;
    }
    for zone in ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe"] {
        client.batch_execute(&format!("SET TimeZone = '{zone}'")).await.expect("a zone");
        agree(&client, &format!("timestamptz:in:{zone}:space:0"), LOCAL).await;
        let ranges: Vec<String> = LOCAL.iter().map(|text| format!("[{text},]")).collect();
        let ranges: Vec<&str> = ranges.iter().map(String::as_str).collect();
        agree(&client, &format!("range:any:tstz:in:{zone}"), &ranges).await;
    }
}

async fn agree(client: &tokio_postgres::Client, name: &str, texts: &[&str]) {
    let codec: Codec = name.parse().expect("a codec");
    let mut taken = 0;
    for text in texts {
        let mut ours = Vec::new();
        if codec.encode(Value::Text(text.as_bytes()), &mut ours).is_err() {
            continue;
        }
        let row = client
            .query_one("SELECT sent($1, $2)", &[&codec.natural_type(), text])
            .await
            .unwrap_or_else(|error| panic!("{name} {text}: {error:?}"));
        let theirs: Vec<u8> = row.get(0);
        assert_eq!(&ours[4..], theirs, "{name} {text}");
        taken += 1;
    }
    assert!(taken >= texts.len().min(2), "{name} takes {taken}");
}
