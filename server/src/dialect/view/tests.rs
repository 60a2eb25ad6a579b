use super::*;
use crate::dialect::{ident::quote, schema::Affinity};

fn relation(name: &str, fields: &[(&str, Kind, &str)]) -> Relation {
    let fields = fields
        .iter()
        .map(|(name, kind, pg_type)| Field {
            name: (*name).into(),
            sql: quote(name),
            kind: *kind,
            pg_type: (*pg_type).into(),
            affinity: Some(Affinity::Text),
            collation: if *name == "tag" { "NOCASE".into() } else { "BINARY".into() },
            generated: false,
        })
        .collect();
    Relation { name: name.into(), fields }
}

fn catalog() -> Catalog {
    let mut catalog = Catalog::default();
    let int = ("Id", Kind::Integer, "bigint");
    let book = [
        int,
        ("Title", Kind::Text, "text"),
        ("author", Kind::Integer, "bigint"),
        ("price", Kind::Real, "double precision"),
        ("sold", Kind::Bool, "boolean"),
    ];
    catalog.add("\"public\".\"Books\"".into(), relation("Books", &book));
    let author = [int, ("name", Kind::Text, "text"), ("tag", Kind::Text, "text")];
    catalog.add("\"public\".\"authors\"".into(), relation("authors", &author));
    let loose = [int, ("any", Kind::Coded(Codec::Tagged), "text")];
    catalog.add("\"public\".\"loose\"".into(), relation("loose", &loose));
    catalog
}

fn sql(select: &str) -> Translated<String> {
    translate_query(&parse_query(select).unwrap(), &catalog(), None).map(|query| query.sql)
}

#[test]
fn names_are_resolved_and_quoted() {
    assert_eq!(
        sql("SELECT b.ID, title t FROM books b WHERE sold = 0").unwrap(),
        "SELECT \"b\".\"Id\" AS \"ID\", \"b\".\"Title\" AS \"t\" FROM \"public\".\"Books\" AS \"b\" \
         WHERE (\"b\".\"sold\"::int = 0)"
    );
    assert_eq!(
        sql("SELECT * FROM authors").unwrap(),
        "SELECT \"authors\".\"Id\" AS \"Id\", \"authors\".\"name\" AS \"name\", \
         \"authors\".\"tag\" AS \"tag\" FROM \"public\".\"authors\" AS \"authors\""
    );
}

#[test]
fn joins_groups_and_order() {
    let text =
        sql("SELECT a.name, count(*) n, sum(price) FROM books, authors a LEFT JOIN books AS o \
         ON o.author = a.id GROUP BY a.name HAVING n > 1 ORDER BY n DESC, name LIMIT 10")
        .unwrap();
    assert!(text.contains("CROSS JOIN \"public\".\"authors\" AS \"a\" LEFT JOIN"), "{text}");
    assert!(text.contains("GROUP BY \"a\".\"name\" HAVING (count(*) > 1)"), "{text}");
    assert!(
        text.ends_with(
            "ORDER BY count(*) DESC NULLS LAST, \"a\".\"name\" COLLATE \"C\" ASC NULLS FIRST \
             LIMIT 10"
        ),
        "{text}"
    );
}

#[test]
fn subqueries_see_what_is_around_them() {
    let text = sql("SELECT (SELECT name FROM authors WHERE authors.id = books.author) FROM books \
         WHERE author IN (SELECT id FROM authors) AND NOT EXISTS (SELECT 1 FROM authors)")
    .unwrap();
    assert!(text.contains("= \"Books\".\"author\") LIMIT 1) AS \"column_1\""), "{text}");
    assert!(text.contains("NOT EXISTS"), "{text}");
    let one = sql("SELECT Title FROM books WHERE price > (SELECT avg(price) FROM books)").unwrap();
    assert!(!one.contains("LIMIT"), "{one}");
}

#[test]
fn with_and_unions() {
    let text = sql(
        "WITH x(a) AS (SELECT name FROM authors) SELECT a FROM x UNION SELECT title FROM books \
         ORDER BY a",
    )
    .unwrap();
    assert!(text.starts_with("WITH \"x\"(\"a\") AS (SELECT"), "{text}");
    assert!(text.ends_with("ORDER BY 1 ASC NULLS FIRST"), "{text}");
}

#[test]
fn what_is_not_sure_is_refused() {
    for text in [
        "SELECT no_such(title) FROM books",
        "SELECT * FROM nothing",
        "SELECT DISTINCT tag FROM authors",
        "SELECT tag, count(*) FROM authors GROUP BY tag",
        "SELECT title FROM books UNION SELECT id FROM books",
        "SELECT row_number() OVER (ORDER BY id) FROM books",
        "WITH RECURSIVE r(n) AS (SELECT 1 UNION SELECT n + 1 FROM r) SELECT n FROM r",
        "SELECT title FROM books WHERE title",
        "VALUES (1)",
        "SELECT DISTINCT any FROM loose",
        "SELECT count(*) FROM loose GROUP BY any",
        "SELECT any FROM loose EXCEPT SELECT any FROM loose",
        "SELECT any FROM loose ORDER BY any LIMIT 1",
        "SELECT DISTINCT title FROM books ORDER BY title LIMIT 1",
        "SELECT title FROM books UNION SELECT name FROM authors ORDER BY 1 LIMIT 1",
    ] {
        assert!(sql(text).is_err(), "{text}");
    }
    for text in [
        "SELECT any FROM loose UNION ALL SELECT any FROM loose",
        "SELECT DISTINCT id FROM books ORDER BY id LIMIT 1",
        "SELECT DISTINCT title FROM books ORDER BY title",
    ] {
        assert!(sql(text).is_ok(), "{text}");
    }
}
