use super::*;
use crate::{
    census::schema,
    db::source::SourceFile,
    dialect::{
        codec::Codec,
        facts::ColumnFacts,
        typemap::{ColumnDecision, decide},
    },
};
use switchback_proto::v1::{Choice, Disposition, Severity};

pub(super) fn scan_all(connection: &Connection) -> Vec<(Table, TableFacts)> {
    let schema = schema::read(connection, &SourceFile::new("memory")).unwrap();
    let scan = |table: Table| {
        let mut go_on = |_| ControlFlow::Continue(());
        let facts = scan_table(connection, &table, schema.encoding, &mut go_on)
            .unwrap_or_else(|error| panic!("{}: {error}", table.name));
        (table, facts)
    };
    schema.tables.into_iter().map(scan).collect()
}

fn scanned(sql: &str) -> (Table, TableFacts) {
    let connection = Connection::open_in_memory().unwrap();
    connection.execute_batch(sql).unwrap();
    scan_all(&connection).remove(0)
}

/// A table of one column.
fn column(declared: &str, values: &[&str], choices: &[Choice]) -> (ColumnFacts, ColumnDecision) {
    let mut sql = format!("CREATE TABLE t(v {declared});");
    for value in values {
        sql.push_str(&format!("INSERT INTO t VALUES ({value});"));
    }
    let (table, facts) = scanned(&sql);
    let decision = decide(&table, 0, &facts.columns[0], choices);
    assert!(decision.codec.fits_type(&decision.pg_type), "{decision:?}");
    (facts.columns[0].clone(), decision)
}

/// Type, codec and findings of a column with these values.
fn decided(declared: &str, values: &[&str]) -> (String, String, Vec<String>) {
    let (_, decision) = column(declared, values, &[]);
    let codes = decision.findings.into_iter().map(|finding| finding.code).collect();
    (decision.pg_type, decision.codec.to_string(), codes)
}

fn becomes(declared: &str, values: &[&str], pg_type: &str, codec: &str, codes: &[&str]) {
    let (found_type, found_codec, found_codes) = decided(declared, values);
    assert_eq!((found_type.as_str(), found_codec.as_str()), (pg_type, codec), "{declared}");
    assert_eq!(found_codes, codes, "{declared} {values:?}");
}

fn choose(code: &str, disposition: Disposition) -> Vec<Choice> {
    vec![Choice { code: code.into(), disposition: disposition.into() }]
}

#[test]
fn values_prove_what_the_declaration_suggests() {
    becomes("BOOLEAN", &["0", "1", "NULL"], "boolean", "bool:01", &[]);
    becomes("bool", &["'t'", "'f'"], "boolean", "bool:t-f", &[]);
    becomes("DATE", &["'2020-02-29'"], "date", "date", &[]);
    becomes("DATETIME", &["'2020-01-01 00:00:00'"], "timestamp", "timestamp:space:0", &[]);
    becomes(
        "DATETIME",
        &["'2020-01-01 00:00:00'", "'2020-01-01 00:00:00.000001'"],
        "timestamp",
        "timestamp:space:0or6",
        &[],
    );
    becomes("TIMESTAMP", &["'2020-01-01T00:00:00.123Z'"], "timestamptz", "timestamptz:T:3:Z", &[]);
    becomes("DATETIME", &["'2020-01-01'"], "timestamp", "timestamp:date", &[]);
    becomes("TIME", &["'12:00'", "'23:59'"], "time", "time:minutes", &[]);
    becomes("UUID", &["'e3e70682-c209-4cac-629f-6fbed82c07cd'"], "uuid", "uuid:lower", &[]);
    becomes("GUID", &["x'000102030405060708090a0b0c0d0e0f'"], "uuid", "uuid:blob", &[]);
    becomes("JSON", &["'{}'", "'[1]'"], "json", "json", &[]);
    becomes("JSON", &["'{}'", "5", "1.5"], "json", "json:numeric", &[]);
    becomes("DECIMAL(10,2)", &["19.99", "5", "-0.5"], "numeric(10,2)", "numeric:10:2", &[]);
    becomes("NUMERIC", &["1e300", "5"], "numeric", "numeric", &[]);
    becomes("VARCHAR(3)", &["'ééé'"], "varchar(3)", "varchar:3", &[]);
    becomes("CHARACTER(2)", &["'a '"], "varchar(2)", "varchar:2", &[]);
}

#[test]
fn what_is_not_proved_stays_plain_and_says_why() {
    becomes("BOOLEAN", &["0", "2"], "bigint", "integer", &["bool_not_01"]);
    becomes("DATE", &["'2020-02-30'", "'2020-02-01'"], "text", "text", &["invalid_date"]);
    becomes(
        "DATETIME",
        &["'2020-01-01'", "'2020-01-01T00:00:00'"],
        "text",
        "text",
        &["several_forms"],
    );
    becomes("JSON", &["'{a:1}'"], "text", "text", &["json_invalid"]);
    becomes(
        "UUID",
        &["'{e3e70682-c209-4cac-629f-6fbed82c07cd}'"],
        "text",
        "text",
        &["uuid_not_canonical"],
    );
    becomes("DECIMAL(4,2)", &["0.125", "1"], "numeric", "numeric", &["decimal_out_of_scale"]);
    becomes(
        "DECIMAL(4,2)",
        &["9e999", "1"],
        "double precision",
        "number",
        &["decimal_out_of_scale"],
    );
    becomes("VARCHAR(2)", &["'abc'"], "text", "text", &["varchar_too_short"]);
    becomes("STRING", &["'007'", "'1e3'"], "bigint", "integer", &["numeric_affinity"]);
}

#[test]
fn plain_types_follow_the_storage_class() {
    becomes("INTEGER", &["5"], "bigint", "integer", &[]);
    becomes("INTEGER", &["5", "1.5"], "double precision", "number", &[]);
    becomes("INTEGER", &["9007199254740993", "1.5"], "numeric", "numeric", &[]);
    becomes("FLOAT", &["5", "1.5"], "double precision", "real", &[]);
    becomes("", &["1.5", "2.0"], "double precision", "real", &[]);
    becomes("INTEGER", &["'abc'"], "text", "text", &[]);
    becomes("TEXT", &["x'00'"], "bytea", "blob", &[]);
    becomes("", &["5", "5.0"], "bigint", "integer", &["mixed_types"]);
}

#[test]
fn a_column_without_values_goes_by_its_declaration() {
    for (declared, pg_type, codec) in [
        ("BOOLEAN", "boolean", "bool:01"),
        ("DATETIME", "timestamp", "timestamp:space:6"),
        ("TIMESTAMP WITH TIME ZONE", "timestamptz", "timestamptz:space:6:+00:00"),
        ("DECIMAL(8,2)", "numeric(8,2)", "numeric:8:2"),
        ("VARCHAR(9)", "varchar(9)", "varchar:9"),
        ("BLOB", "bytea", "blob"),
        ("", "text", "text"),
        ("LONG", "bigint", "integer"),
        ("DOUBLE", "double precision", "real"),
        ("GEOMETRY", "text", "text"),
    ] {
        becomes(declared, &["NULL"], pg_type, codec, &[]);
        becomes(declared, &[], pg_type, codec, &[]);
    }
}

#[test]
fn epochs_need_one_unit_for_all() {
    let becomes = |values: &[&str], pg_type, codec, codes: &[&str]| {
        becomes("DATETIME", values, pg_type, codec, codes);
    };
    let inferred = &["epoch_timestamps"];
    becomes(&["1700000000"], "timestamptz", "timestamptz:epoch-s", inferred);
    becomes(&["1700000000123", "1600000000000"], "timestamptz", "timestamptz:epoch-ms", inferred);
    becomes(&["1700000000123456"], "timestamptz", "timestamptz:epoch-us", inferred);
    becomes(&["1700000000", "1700000000123"], "bigint", "integer", &["several_forms"]);
    becomes(&["1700000000", "0"], "bigint", "integer", &["several_forms"]);
    becomes(&["1700000000", "'2020-01-01 00:00:00'"], "bigint", "integer", &["mixed_types"]);
}

#[test]
fn mixed_columns_need_a_choice() {
    let values = ["1", "'x'", "2", "x'00'"];
    let (_, fail) = column("INTEGER", &values, &[]);
    let finding = &fail.findings[0];
    assert_eq!((finding.code.as_str(), finding.severity()), ("mixed_types", Severity::Blocker));
    assert_eq!((finding.count, &finding.examples), (2, &vec!["rowid=2".into(), "rowid=4".into()]));
    assert!(finding.message.contains("2 INTEGER, 1 TEXT, 1 BLOB"), "{}", finding.message);
    assert_eq!(finding.choices.len(), 3);

    let (_, encode) = column("INTEGER", &values, &choose("mixed_types", Disposition::Encode));
    assert_eq!((encode.pg_type.as_str(), encode.codec), ("text", Codec::Tagged));
    assert_eq!(encode.findings[0].severity(), Severity::Note);

    let (_, reject) = column("INTEGER", &values, &choose("mixed_types", Disposition::Reject));
    assert_eq!((reject.pg_type.as_str(), reject.codec), ("bigint", Codec::Integer));
    assert_eq!(reject.findings[0].severity(), Severity::Warning);

    // The commonest class where the declaration says nothing.
    let values = ["x'00'", "'a'", "'b'", "1"];
    let (_, reject) = column("", &values, &choose("mixed_types", Disposition::Reject));
    assert_eq!((reject.codec, reject.findings[0].count), (Codec::Text, 2));
}

#[test]
fn text_that_postgresql_cannot_hold_needs_a_choice() {
    let values = ["'ok'", "'a' || char(0) || 'b'", "CAST(x'ff' AS TEXT)"];
    let (facts, fail) = column("VARCHAR(9)", &values, &[]);
    let codes: Vec<_> = fail.findings.iter().map(|f| (f.code.as_str(), f.severity())).collect();
    assert_eq!(codes, [("nul_in_text", Severity::Blocker), ("invalid_utf8", Severity::Blocker)]);
    assert_eq!(facts.oddity("nul_in_text").unwrap().examples, ["rowid=2"]);
    assert_eq!(facts.oddity("invalid_utf8").unwrap().examples, ["rowid=3"]);

    let both =
        [choose("nul_in_text", Disposition::Encode), choose("invalid_utf8", Disposition::Encode)]
            .concat();
    let (_, encode) = column("TEXT", &values, &both);
    assert_eq!((encode.pg_type.as_str(), encode.codec), ("text", Codec::Escaped));
    let (_, reject) = column("TEXT", &values, &choose("nul_in_text", Disposition::Reject));
    assert_eq!(reject.codec, Codec::Text);
    assert_eq!(reject.findings[0].severity(), Severity::Warning);
    assert_eq!(reject.findings[1].severity(), Severity::Blocker);
}

#[test]
fn json_that_is_a_key_stays_text() {
    let (table, facts) =
        scanned("CREATE TABLE t(v JSON, w JSON UNIQUE); INSERT INTO t VALUES ('{}', '[]')");
    assert_eq!(decide(&table, 0, &facts.columns[0], &[]).pg_type, "json");
    assert_eq!(decide(&table, 1, &facts.columns[1], &[]).pg_type, "text");
}

#[test]
fn rows_are_counted_and_named_by_their_keys() {
    let (table, facts) = scanned(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, b DATE, c AS (id * 2));\
         INSERT INTO t(id, b) VALUES (-5, '2020-01-01'), (7, 'x'), (9, NULL);",
    );
    assert_eq!((facts.rows, facts.rowids), (3, Some((-5, 9))));
    assert_eq!(facts.columns[0].integer_range, Some((-5, 9)));
    assert_eq!(facts.columns[1].oddity("invalid_date").unwrap().examples, ["id=7"]);
    assert_eq!(facts.columns[2].integer_range, Some((-10, 18)));
    assert_eq!(decide(&table, 0, &facts.columns[0], &[]).codec, Codec::Integer);

    let (_, facts) = scanned(
        "CREATE TABLE t(a TEXT, b INT, v DATE, PRIMARY KEY(a, b)) WITHOUT ROWID;\
         INSERT INTO t VALUES (printf('%.*c', 50, 'k'), 2, 'x');",
    );
    let key = format!("a={}…, b=2", "k".repeat(40));
    assert_eq!(facts.columns[2].oddity("invalid_date").unwrap().examples, [key]);
    assert_eq!(facts.rowids, None);
}

#[test]
fn a_covering_index_does_not_change_the_order() {
    let (_, facts) = scanned(
        "CREATE TABLE t(a); CREATE INDEX i ON t(a);\
         INSERT INTO t(rowid, a) VALUES (1, 9), (2, 5), (3, 1);",
    );
    assert_eq!(facts.rowids, Some((1, 3)));
}

#[test]
fn the_widest_row_is_measured_with_long_values_out_of_line() {
    let (_, facts) = scanned("CREATE TABLE t(a, b, c); INSERT INTO t VALUES (1, 'ab', NULL)");
    assert_eq!(facts.widest_row, 24 + 1 + 8 + 3);
    let (_, facts) = scanned("CREATE TABLE t(a BOOL, b); INSERT INTO t VALUES (1, zeroblob(5000))");
    assert_eq!(facts.widest_row, 24 + 1 + 1 + 18);
}

#[test]
fn half_a_surrogate_pair_in_a_utf16_file_is_found() {
    let (_, facts) = scanned(
        "PRAGMA encoding = 'UTF-16le'; CREATE TABLE t(v TEXT);\
         INSERT INTO t VALUES ('é𝄞'), (CAST(x'3dd84100' AS TEXT)), ('');",
    );
    let odd = facts.columns[0].oddity("invalid_utf16").unwrap();
    assert_eq!((odd.count, &odd.examples), (1, &vec!["rowid=2".to_owned()]));
}

#[test]
fn a_scan_stops_when_told_to() {
    let connection = Connection::open_in_memory().unwrap();
    connection
        .execute_batch(
            "CREATE TABLE t(a); INSERT INTO t WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL \
             SELECT i + 1 FROM n WHERE i < 10000) SELECT i FROM n",
        )
        .unwrap();
    let table = schema::read(&connection, &SourceFile::new("memory")).unwrap().tables.remove(0);
    let mut seen = Vec::new();
    let error = scan_table(&connection, &table, Encoding::Utf8, &mut |progress| {
        seen.push(progress.rows);
        ControlFlow::Break(())
    })
    .unwrap_err();
    assert_eq!(error.sqlite_error_code(), Some(rusqlite::ErrorCode::OperationInterrupted));
    assert_eq!(seen, [4096]);
}
