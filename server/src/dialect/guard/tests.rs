use super::*;
use crate::dialect::{
    codec::{looks_numeric, nearest},
    schema::{Affinity, Encoding},
};

const PLAIN: Storage =
    Storage { affinity: Affinity::Text, strict: false, encoding: Encoding::Utf8 };

/// Every kind of column.
fn storages() -> Vec<Storage> {
    let mut storages = Vec::new();
    for encoding in [Encoding::Utf8, Encoding::Utf16] {
        for strict in [false, true] {
            for affinity in [
                Affinity::Integer,
                Affinity::Text,
                Affinity::Blob,
                Affinity::Real,
                if strict { Affinity::Any } else { Affinity::Numeric },
            ] {
                storages.push(Storage { affinity, strict, encoding });
            }
        }
    }
    storages
}

fn of(name: &str, storage: Storage) -> Option<Guard> {
    let codec: Codec = name.parse().unwrap();
    guard(&codec, &codec.natural_type(), storage, "NEW.v")
}

fn condition(name: &str, storage: Storage) -> String {
    of(name, storage).unwrap().condition
}

/// The codecs with each word that their guard depends on.
const NAMES: &[&str] = &[
    "integer",
    "real",
    "number",
    "text",
    "varchar:20",
    "blob",
    "bool:01",
    "bool:t-f",
    "date",
    "time:minutes",
    "time:3",
    "timestamp:space:minutes",
    "timestamp:space:3",
    "timestamp:date",
    "timestamptz:T:minutes:Z",
    "timestamptz:T:3:Z",
    "timestamptz:epoch-s",
    "timestamptz:epoch-us",
    "uuid:lower",
    "uuid:hex",
    "uuid:blob",
    "numeric",
    "numeric:10:2",
    "numeric:30:12",
    "json",
    "json:numeric",
    "tagged",
    "escaped",
    "integer:16",
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
    "label:a|b",
    "bool:any",
    "bool:any:text",
    "date:any",
    "date:julian",
    "time:3-3",
    "time:any:minutes",
    "time:any:3-3",
    "timestamp:T:3-3",
    "timestamp:any:T:minutes",
    "timestamp:any:T:3-3",
    "timestamp:T:minutes:Z",
    "timestamp:T:3-3:Z",
    "timestamp:epoch-s",
    "timestamp:epoch-s-real",
    "timestamp:julian",
    "timestamptz:T:3-3:none",
    "timestamptz:any:T:minutes:Z",
    "timestamptz:any:T:3-3:Z",
    "timestamptz:any:in:Europe/Berlin:T:minutes:Z",
    "timestamptz:any:in:Europe/Berlin:T:3-3:Z",
    "timestamptz:in:Europe/Berlin:T:minutes",
    "timestamptz:in:Europe/Berlin:T:3-3",
    "timestamptz:epoch-s-real",
    "timestamptz:julian",
    "uuid:any",
    "interval:us",
    "interval:s",
    "interval:epoch",
    "interval:clock",
    "jsonb",
    "jsonb:numeric",
    "array:int4:compact",
    "array:float8:compact",
    "array:text:spaced",
    "array:varchar(20):compact",
    "array:char(20):compact",
    "array:numeric(10,2):compact",
    "array:numeric-text:compact",
    "array:date:compact",
    "array:timestamp:compact",
    "array:timestamptz:compact",
    "inet",
    "range:num",
    "range:ts",
    "range:date",
    "range:any:num",
    "range:any:ts",
    "range:any:tstz",
    "range:any:tstz:in:Europe/Berlin",
    "text:number",
    "varchar:20:number",
    "bit:3",
    "varbit",
    "varbit:9",
];

#[test]
fn the_commonest_columns_have_short_conditions_or_none() {
    assert_eq!(of("text", PLAIN), None);
    assert_eq!(of("varchar:20", PLAIN), None);
    assert_eq!(of("json", PLAIN), None);
    assert_eq!(of("bool:t-f", PLAIN), None);
    let number = Storage { affinity: Affinity::Numeric, ..PLAIN };
    assert_eq!(of("integer", number), None);
    assert_eq!(of("bool:01", number), None);
    assert_eq!(of("timestamptz:epoch-us", PLAIN).unwrap().reasons, [ANY]);
    assert_eq!(
        condition("numeric:10:2", number),
        "(NEW.v IS NULL OR (abs(NEW.v) < '1e8'::numeric))"
    );
    assert_eq!(
        condition("timestamp:T:3", PLAIN),
        "(NEW.v IS NULL OR (NEW.v BETWEEN '0001-01-01 00:00:00'::timestamp \
         AND '9999-12-31 23:59:59.999999'::timestamp))"
    );
    assert_eq!(
        condition("real", Storage { affinity: Affinity::Real, ..PLAIN }),
        "(NEW.v IS NULL OR (NEW.v <> 'NaN'::float8 \
         AND float8send(NEW.v) <> decode('8000000000000000', 'hex')))"
    );
    assert_eq!(condition("integer", PLAIN), "(NEW.v IS NULL)");
}

#[test]
fn a_type_that_is_wider_than_the_codec_has_a_guard() {
    let wide = |name: &str, pg_type| {
        guard(&name.parse().unwrap(), pg_type, PLAIN, "v").map(|guard| guard.condition)
    };
    let limit = "(v IS NULL OR (char_length(v) <= 20))";
    assert_eq!(wide("varchar:20", "varchar(20)"), None);
    assert_eq!(wide("varchar:20", "varchar(30)").as_deref(), Some(limit));
    assert_eq!(wide("varchar:20", "text").as_deref(), Some(limit));
}

#[test]
fn only_what_is_long_has_a_quick_form() {
    for name in NAMES {
        for guard in storages().into_iter().filter_map(|storage| of(name, storage)) {
            let length = guard.condition.len();
            match guard.quick {
                Some(quick) => assert!(quick.len() < length),
                None => assert!(length < 600, "{name}: {length}"),
            }
            assert!(!guard.reasons.is_empty(), "{name}");
        }
    }
}

#[test]
fn the_page_says_what_is_refused() {
    let page = include_str!("../../../../docs/type-mapping.md");
    let list = |reasons: &[&str]| match reasons {
        [] => "nothing".to_owned(),
        _ => reasons.join("; "),
    };
    for (codec, always, besides) in TABLE {
        let row = format!("| `{codec}` | {} | {} |", list(always), list(besides));
        assert!(page.contains(&row), "docs/type-mapping.md lacks: {row}");
    }
    assert!(page.contains(ANY), "docs/type-mapping.md lacks: {ANY}");
}

#[test]
fn every_reason_is_in_the_table_and_every_one_of_the_table_is_given() {
    let mut given: Vec<(&str, &str)> = Vec::new();
    for name in NAMES {
        let row = nearest(TABLE.iter().map(|(row, ..)| *row), name).unwrap();
        let (row, always, besides) = TABLE.iter().find(|(known, ..)| *known == row).unwrap();
        for storage in storages() {
            let codec: Codec = name.parse().unwrap();
            let wide =
                if name.starts_with("varchar") { "text".into() } else { codec.natural_type() };
            let Some(guard) = guard(&codec, &wide, storage, "v") else { continue };
            for reason in guard.reasons.into_iter().filter(|reason| *reason != ANY) {
                assert!(always.contains(&reason) || besides.contains(&reason), "{name}: {reason}");
                given.push((row, reason));
            }
        }
    }
    for (row, always, besides) in TABLE {
        for reason in always.iter().chain(*besides) {
            assert!(given.contains(&(row, reason)), "{row} never refuses {reason}");
        }
    }
}

#[test]
fn numbers_are_what_sqlite_takes_for_one() {
    let connection = rusqlite::Connection::open_in_memory().unwrap();
    connection.execute_batch("CREATE TABLE t(v NUMERIC)").unwrap();
    let pieces =
        ["", "0", "5", "12", ".", "e", "E", "+", "-", " ", "\t", "\x0b", "\u{a0}", "x", "\0"];
    let mut texts = vec![String::new()];
    for _ in 0..4 {
        texts = texts
            .iter()
            .flat_map(|text| pieces.iter().map(move |piece| format!("{text}{piece}")))
            .collect();
        texts.sort_unstable();
        texts.dedup();
    }
    let mut insert = connection.prepare("INSERT INTO t VALUES (?1) RETURNING typeof(v)").unwrap();
    for text in texts {
        let class: String = insert.query_row([&text], |row| row.get(0)).unwrap();
        assert_eq!(looks_numeric(text.as_bytes()), class != "text", "{text:?}");
    }
}
