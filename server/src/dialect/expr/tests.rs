use super::*;
use crate::dialect::{
    codec::{BoolForm, Codec},
    schema::Affinity,
};

fn field(name: &str, codec: &str, pg_type: &str, affinity: Affinity, collation: &str) -> Field {
    let codec: Codec = codec.parse().unwrap();
    Field {
        name: name.into(),
        sql: format!("\"{name}\""),
        kind: Kind::of(codec),
        pg_type: pg_type.into(),
        affinity: Some(affinity),
        collation: collation.into(),
        generated: name == "gen",
    }
}

fn scope(purity: Purity) -> Scope<'static> {
    let fields = vec![
        field("i", "integer", "bigint", Affinity::Integer, "BINARY"),
        field("r", "real", "double precision", Affinity::Real, "BINARY"),
        field("n", "numeric", "numeric", Affinity::Numeric, "BINARY"),
        field("t", "text", "text", Affinity::Text, "BINARY"),
        field("nc", "text", "text", Affinity::Text, "NOCASE"),
        field("uc", "text", "text", Affinity::Text, "UNICASE"),
        field("b", "blob", "bytea", Affinity::Blob, "BINARY"),
        field("f", "bool:01", "boolean", Affinity::Numeric, "BINARY"),
        field("tf", "bool:t-f", "boolean", Affinity::Numeric, "BINARY"),
        field("d", "date", "date", Affinity::Numeric, "BINARY"),
        field("ts", "timestamp:space:0", "timestamp", Affinity::Numeric, "BINARY"),
        field("u", "uuid:lower", "uuid", Affinity::Text, "BINARY"),
        field("j", "json", "json", Affinity::Text, "BINARY"),
        field("x", "tagged", "text", Affinity::Blob, "BINARY"),
        field("gen", "integer", "bigint", Affinity::Integer, "BINARY"),
    ];
    Scope::new(vec![Relation { name: "T".into(), fields }], purity)
}

fn check(text: &str) -> String {
    condition(text, &scope(Purity::Stable)).unwrap()
}

fn refused(text: &str) -> String {
    condition(text, &scope(Purity::Stable)).unwrap_err()
}

fn sql(text: &str) -> String {
    value(text, &scope(Purity::Volatile)).unwrap().sql
}

#[test]
fn numbers_are_conditions() {
    assert_eq!(check("i"), "(\"i\" <> 0)");
    assert_eq!(check("NOT f"), "(NOT \"f\")");
    assert_eq!(check("f = 1"), "(\"f\"::int = 1)");
    assert_eq!(check("1"), "true");
    assert_eq!(check("(i > 1) + (r < 2.5)").matches("::int").count(), 2);
    assert!(refused("t").contains("condition"));
}

#[test]
fn comparisons_keep_sqlites_rules() {
    assert_eq!(check("t = 'x'"), "(\"t\" = 'x')");
    assert_eq!(check("t < 'x'"), "(\"t\" COLLATE \"C\" < 'x' COLLATE \"C\")");
    assert_eq!(check("nc == 'X'"), "(lower(\"nc\" COLLATE \"C\") = lower('X' COLLATE \"C\"))");
    assert_eq!(check("t = 'X' COLLATE nocase"), check("nc = 'X'").replace("nc", "t"));
    assert_eq!(check("t = 5"), "(\"t\" = '5')", "TEXT affinity");
    assert_eq!(check("i = '5'"), "(\"i\" = 5)", "INTEGER affinity");
    assert_eq!(check("i IS NOT 7"), "(\"i\" IS DISTINCT FROM 7)");
    assert_eq!(check("i IS TRUE"), "((\"i\" <> 0) IS TRUE)");
    assert_eq!(check("i IS NULL"), "(\"i\" IS NULL)");
    assert_eq!(check("i in (0, 1)"), "(\"i\" IN (0, 1))");
    assert_eq!(check("f in (0, 1)"), "(\"f\"::int IN (0, 1))");
    assert_eq!(check("i between 0 and 10"), "((\"i\" >= 0) AND (\"i\" <= 10))");
    assert!(refused("i = 'abc'").contains("compares"));
    assert!(refused("b = 'abc'").contains("compares"));
    assert!(refused("uc = 'abc'").contains("UNICASE"));
    assert!(refused("x = 5").contains("compares"));
}

#[test]
fn coded_columns_are_compared_in_their_own_form() {
    assert_eq!(
        check("ts >= '2020-01-02 03:04:05'"),
        "(\"ts\" >= '2020-01-02 03:04:05'::timestamp)"
    );
    assert_eq!(
        check("ts >= datetime('2020-01-02')"),
        "(\"ts\" >= '2020-01-02 00:00:00'::timestamp)"
    );
    // '2020-01-02 00:00:00' is above '2020-01-02' in SQLite, and equal as a timestamp.
    assert_eq!(
        check("ts > '2020-01-02'"),
        "((CASE WHEN date_trunc('second', \"ts\") = \"ts\" \
         THEN to_char(\"ts\", 'YYYY-MM-DD HH24:MI:SS') \
         ELSE to_char(\"ts\", 'YYYY-MM-DD HH24:MI:SS.US') END) \
         COLLATE \"C\" > '2020-01-02' COLLATE \"C\")"
    );
    // DATE has numeric affinity: there, '2020' is the number 2020.
    assert!(refused("d > '2020'").contains("numeric column"));
    assert!(refused("d = t").contains("numeric column"));
    assert_eq!(check("d = '2020-01-02'"), "(\"d\" = '2020-01-02'::date)");
    assert_eq!(check("tf = 't'"), "(\"tf\" = true)");
    assert!(refused("tf").contains("condition"));
    assert_eq!(check("j <> ''"), "(\"j\"::text <> '')");
    assert_eq!(check("json_valid(j)"), "(CASE WHEN \"j\" IS NULL THEN NULL ELSE true END)");
}

#[test]
fn names_are_found_in_any_case_and_strings_in_double_quotes() {
    assert_eq!(check("T.I > 0 AND t.\"R\" > 0"), "((\"i\" > 0) AND (\"r\" > 0))");
    assert_eq!(check("t = \"nothing\""), "(\"t\" = 'nothing')");
    assert!(refused("nothing = 1").contains("no column"));
    assert!(refused("[nothing] = 1").contains("no column"));
}

#[test]
fn arithmetic_keeps_its_classes() {
    assert_eq!(sql("i / 2"), "(\"i\"::bigint / 2::bigint)");
    assert_eq!(sql("r / i"), "(\"r\" / nullif(\"i\"::double precision, 0))");
    assert_eq!(sql("r * i"), "(\"r\" * \"i\"::double precision)");
    assert_eq!(sql("-9223372036854775808"), "'-9223372036854775808'::bigint");
    assert_eq!(sql("9223372036854775808"), "9.223372036854776e18::double precision");
    assert_eq!(sql("9e999"), "'Infinity'::double precision");
    assert_eq!(sql("x'0aFF'"), "'\\x0aFF'::bytea");
    assert_eq!(sql("0x10"), "16");
    for text in ["n / 2", "r % 2", "t + 1", "i << 64", "i << i"] {
        assert!(value(text, &scope(Purity::Stable)).is_err(), "{text}");
    }
}

#[test]
fn text_is_joined_where_it_is_spelt_alike() {
    assert_eq!(sql("'x' || i"), "('x' || \"i\"::text)");
    assert_eq!(sql("t || u"), "(\"t\" || \"u\"::text)");
    for text in ["t || r", "t || b", "t || x"] {
        assert!(value(text, &scope(Purity::Stable)).is_err(), "{text}");
    }
}

#[test]
fn functions_are_exact_or_refused() {
    assert_eq!(sql("lower(t)"), "lower(\"t\" COLLATE \"C\")");
    assert_eq!(sql("length(b)"), "octet_length(\"b\")");
    assert_eq!(sql("substr(t, 1, 3)"), "substr(\"t\", 1, 3)");
    assert_eq!(sql("instr(t, '@')"), "strpos(\"t\", '@')");
    assert_eq!(sql("trim(t)"), "btrim(\"t\", ' ')");
    assert_eq!(sql("ifnull(t, 'x')"), "coalesce(\"t\", 'x')");
    assert_eq!(
        sql("max(i, 3)"),
        "(CASE WHEN \"i\" IS NULL OR 3 IS NULL THEN NULL ELSE greatest(\"i\", 3) END)"
    );
    assert_eq!(sql("iif(i, 'a', 'b')"), "(CASE WHEN (\"i\" <> 0) THEN 'a' ELSE 'b' END)");
    assert_eq!(sql("typeof(i)"), "(CASE WHEN \"i\" IS NULL THEN 'null' ELSE 'integer' END)");
    for text in [
        "substr(t, i)",
        "substr(t, -1)",
        "round(r, 2)",
        "typeof(x)",
        "printf('%d', i)",
        "my_function(i)",
        "count(*)",
        "json_valid(t)",
        "date(t)",
        "(SELECT 1)",
    ] {
        assert!(value(text, &scope(Purity::Stable)).is_err(), "{text}");
    }
}

#[test]
fn integers_are_not_rounded_to_doubles() {
    for text in ["coalesce(r, i)", "CASE WHEN i THEN i ELSE r END", "coalesce(r, 9007199254740993)"]
    {
        assert!(value(text, &scope(Purity::Stable)).is_err(), "{text}");
    }
    assert!(value("coalesce(r, 0)", &scope(Purity::Stable)).is_ok());
    assert!(refused("i = 9223372036854775807.0").contains("inexactly"));
    assert!(refused("1e300 > i").contains("inexactly"));
    assert_eq!(check("i > 1.5"), "(\"i\" > 1.5::double precision)");
}

#[test]
fn milliseconds_are_not_cut() {
    let mut fine = scope(Purity::Stable);
    for (name, codec) in [("us", "timestamp:space:6"), ("minute", "timestamp:space:minutes")] {
        let field = field(name, codec, "timestamp", Affinity::Numeric, "BINARY");
        fine.relations[0].fields.push(field);
    }
    assert!(value("strftime('%f', us)", &fine).is_err());
    assert!(value("strftime('%S', us)", &fine).is_ok());
    assert!(value("strftime('%f', ts)", &fine).is_err());
    assert!(value("strftime('%f', minute)", &fine).is_ok());
}

#[test]
fn a_cast_to_an_integer_has_bounds() {
    let text = sql("CAST(r AS INTEGER)");
    assert!(text.contains("ELSE trunc(\"r\")::bigint"), "{text}");
    assert!(text.contains("\"r\" >= 9223372036854775808 THEN 9223372036854775807"), "{text}");
}

#[test]
fn hex_of_null_is_empty() {
    assert_eq!(sql("hex(b)"), "coalesce(upper(encode(\"b\", 'hex')), '')");
}

#[test]
fn a_part_of_an_empty_blob_is_null() {
    assert_eq!(sql("substr(b, 1, 2)"), "substr(nullif(\"b\", ''::bytea), 1, 2)");
}

#[test]
fn like_and_glob_know_ascii_case_only() {
    assert_eq!(check("t LIKE 'X%'"), "(lower(\"t\" COLLATE \"C\") LIKE 'x%' ESCAPE '')");
    assert_eq!(
        check("t NOT LIKE 'É\\_' ESCAPE '\\'"),
        "(lower(\"t\" COLLATE \"C\") NOT LIKE 'É\\_' ESCAPE '\\')"
    );
    assert_eq!(check("t GLOB '[A-Z]*'"), "(\"t\" COLLATE \"C\" ~ '^[A-Z].*$')");
}

#[test]
fn moments_are_in_utc() {
    let now = "(statement_timestamp() AT TIME ZONE 'UTC')";
    assert_eq!(
        sql("CURRENT_TIMESTAMP"),
        format!("to_char({now}, 'YYYY\"-\"MM\"-\"DD\" \"HH24\":\"MI\":\"SS')")
    );
    assert_eq!(sql("unixepoch()"), format!("floor(extract(epoch FROM {now}))::bigint"));
    assert_eq!(sql("strftime('%Y', ts)"), "to_char(\"ts\", 'YYYY')");
    assert!(value("datetime('now', 'localtime')", &scope(Purity::Volatile)).is_err());
}

#[test]
fn text_beside_a_column_that_takes_numbers_may_be_one() {
    // The literal is a number there, and every text is above it.
    for text in ["d >= '2000'", "ts < ' 1e3 '", "d = '5'", "d IN ('2020-01-01', '7')", "d > t"] {
        assert!(refused(text).contains("number"), "{text}");
    }
    assert!(refused("d >= strftime('%Y', 'now')").contains("number"));
    for text in ["d >= '2020-01-01'", "d >= date('now')", "t > '5'", "u = '5'"] {
        assert!(condition(text, &scope(Purity::Stable)).is_ok(), "{text}");
    }
}

#[test]
fn a_number_beside_text_is_compared_as_bytes() {
    assert_eq!(check("t < 5"), "(\"t\" COLLATE \"C\" < '5' COLLATE \"C\")");
    assert_eq!(check("5 < t"), "('5' COLLATE \"C\" < \"t\" COLLATE \"C\")");
}

#[test]
fn an_index_takes_nothing_that_may_change() {
    let pure = scope(Purity::Immutable);
    assert!(value("strftime('%Y', ts)", &pure).is_err());
    assert!(value("gen + 1", &pure).is_err());
    assert!(value("random()", &scope(Purity::Stable)).is_err());
    assert!(value("lower(t)", &pure).is_ok());
}

#[test]
fn a_case_has_one_type() {
    assert_eq!(
        sql("CASE i WHEN 1 THEN 'a' ELSE t END"),
        "(CASE WHEN (\"i\" = 1) THEN 'a' ELSE \"t\" END)"
    );
    assert!(value("CASE WHEN i THEN 1 ELSE 'a' END", &scope(Purity::Stable)).is_err());
    assert_eq!(Kind::of(Codec::Bool(BoolForm::ZeroOne)), Kind::Bool);
}
