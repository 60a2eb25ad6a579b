//! Rows of both engines as text, for tables that an application has made in each of them. Shares
//! nothing with the server's codecs.

use std::{collections::BTreeMap, fmt::Write, path::Path};

use rusqlite::{Connection, types::ValueRef};
use tokio_postgres::Client;

/// A row; `None` is NULL.
type Row = Vec<Option<String>>;

/// Columns of a table with their types in PostgreSQL, by name.
type Columns = BTreeMap<String, String>;

/// What is different, in words; nothing where every table, column and value of one engine is one
/// of the other.
pub async fn differences(source: &Path, target: &Client) -> Vec<String> {
    let source = Connection::open(source).expect("the source opens");
    // The forms that are compared.
    let forms = "SET TimeZone = 'UTC'; SET DateStyle = 'ISO'; SET IntervalStyle = 'postgres'; \
                 SET bytea_output = 'hex'; SET extra_float_digits = 1";
    target.batch_execute(forms).await.expect("settings");
    let tables = tables(target).await;
    let names: Vec<&String> = tables.keys().collect();
    if names != source_tables(&source).iter().collect::<Vec<_>>() {
        return vec![format!("the tables are {names:?} and {:?}", source_tables(&source))];
    }
    let mut found = Vec::new();
    for (table, columns) in &tables {
        let known = source_columns(&source, table);
        if !known.iter().eq(columns.keys()) {
            found.push(format!("the columns of {table} are {columns:?} and {known:?}"));
            continue;
        }
        let mut ours = source_rows(&source, table, columns);
        let mut theirs = target_rows(target, table, columns).await;
        ours.sort();
        theirs.sort();
        found.extend(compare(table, &ours, &theirs));
    }
    found
}

/// Defaults from sequences that give a number which is there already, or was.
pub async fn sequences_behind(target: &Client) -> Vec<String> {
    let sql = "SELECT c.relname, a.attname, pg_get_serial_sequence(quote_ident(c.relname), a.attname) \
               FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid \
               WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace AND a.attnum > 0 \
                 AND NOT a.attisdropped \
                 AND pg_get_serial_sequence(quote_ident(c.relname), a.attname) IS NOT NULL";
    target.batch_execute("SET search_path = public").await.expect("a setting");
    let mut behind = Vec::new();
    for row in target.query(sql, &[]).await.expect("the sequences") {
        let (table, column, sequence): (&str, &str, &str) = (row.get(0), row.get(1), row.get(2));
        let sql = format!(
            "SELECT nextval('{sequence}') > coalesce(max({}), 0) FROM {}",
            quoted(column),
            quoted(table)
        );
        let ahead: bool = target.query_one(&sql, &[]).await.expect("a number").get(0);
        if !ahead {
            behind.push(format!("{table}.{column}"));
        }
    }
    behind
}

fn compare(table: &str, source: &[Row], target: &[Row]) -> Option<String> {
    let first = |rows: &[Row], others: &[Row]| {
        rows.iter().find(|row| others.binary_search(row).is_err()).cloned()
    };
    (source != target).then(|| {
        format!(
            "{table}: {} rows in SQLite, {} in PostgreSQL; only in one: {:?} and {:?}",
            source.len(),
            target.len(),
            first(source, target),
            first(target, source)
        )
    })
}

async fn tables(target: &Client) -> BTreeMap<String, Columns> {
    // A table without a key carries the rowid until finalize.
    let sql = "SELECT c.relname, a.attname, format_type(a.atttypid, NULL) \
               FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid \
               WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace AND a.attnum > 0 \
                 AND NOT a.attisdropped AND a.attname <> '_switchback_rowid'";
    let mut tables = BTreeMap::<String, Columns>::new();
    for row in target.query(sql, &[]).await.expect("the catalogue") {
        tables.entry(row.get(0)).or_default().insert(row.get(1), row.get(2));
    }
    tables
}

async fn target_rows(target: &Client, table: &str, columns: &Columns) -> Vec<Row> {
    let list: Vec<String> = columns.keys().map(|name| format!("{}::text", quoted(name))).collect();
    let sql = format!("SELECT {} FROM public.{}", list.join(", "), quoted(table));
    let rows = target.query(&sql, &[]).await.expect("rows");
    let read = |row: &tokio_postgres::Row| {
        let values = columns.values().enumerate();
        let value = |(i, kind): (usize, &String)| {
            row.get::<_, Option<String>>(i).map(|text| normal(kind, text))
        };
        values.map(value).collect()
    };
    rows.iter().map(read).collect()
}

fn source_tables(source: &Connection) -> Vec<String> {
    let sql = "SELECT name FROM sqlite_schema WHERE type = 'table' \
               AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' \
               AND name NOT LIKE '\\_switchback%' ESCAPE '\\' ORDER BY name";
    strings(source, sql)
}

fn source_columns(source: &Connection, table: &str) -> Vec<String> {
    let sql = "SELECT name FROM pragma_table_xinfo";
    strings(source, &format!("{sql}('{}') ORDER BY name", table.replace('\'', "''")))
}

fn strings(source: &Connection, sql: &str) -> Vec<String> {
    let mut statement = source.prepare(sql).expect("the schema is read");
    let found = statement.query_map([], |row| row.get(0)).expect("the schema is read");
    found.map(|name| name.expect("a name")).collect()
}

fn source_rows(source: &Connection, table: &str, columns: &Columns) -> Vec<Row> {
    let list: Vec<String> = columns.keys().map(|name| quoted(name)).collect();
    let sql = format!("SELECT {} FROM {}", list.join(", "), quoted(table));
    let mut statement = source.prepare(&sql).expect("the table is read");
    let rows = statement.query_map([], |row| {
        let values = columns.values().enumerate();
        values.map(|(i, kind)| Ok(wanted(kind, row.get_ref(i)?))).collect()
    });
    rows.expect("the table is read").map(|row| row.expect("a row")).collect()
}

/// The text that PostgreSQL has to show for a value of SQLite.
fn wanted(kind: &str, value: ValueRef<'_>) -> Option<String> {
    let text = match (kind, value) {
        (_, ValueRef::Null) => return None,
        ("boolean", ValueRef::Integer(0)) => "false".into(),
        ("boolean", ValueRef::Integer(1)) => "true".into(),
        (_, ValueRef::Integer(integer)) => integer.to_string(),
        (_, ValueRef::Real(real)) => real.to_string(),
        ("bytea", ValueRef::Text(bytes) | ValueRef::Blob(bytes)) => {
            bytes.iter().fold("\\x".to_owned(), |mut text, byte| {
                let _ = write!(text, "{byte:02x}");
                text
            })
        }
        (_, ValueRef::Text(bytes)) => String::from_utf8(bytes.to_vec()).expect("UTF-8"),
        (_, ValueRef::Blob(_)) => panic!("a blob in a column that is {kind}"),
    };
    Some(normal(kind, text))
}

/// One form for what either engine may write in several.
fn normal(kind: &str, text: String) -> String {
    match kind {
        // Rust reads PostgreSQL's `Infinity` and SQLite's `inf`.
        "double precision" => text.parse::<f64>().expect("a number").to_bits().to_string(),
        "numeric" | "timestamp without time zone" => without_zeros(&text).to_owned(),
        "inet" => single(&text).to_owned(),
        // Spaces behind it are no part of its value.
        "character" => text.trim_end_matches(' ').to_owned(),
        _ => text,
    }
}

/// An address without the length of its prefix, where that is the whole address.
fn single(address: &str) -> &str {
    let whole = if address.contains(':') { "/128" } else { "/32" };
    address.strip_suffix(whole).unwrap_or(address)
}

/// Without zeros at the end of a fraction.
fn without_zeros(text: &str) -> &str {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text }
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_has_one_form() {
        let double = |text: &str| normal("double precision", text.into());
        assert_eq!(double("Infinity"), double("inf"));
        assert_ne!(double("0.1"), double("0.10000000000000002"));
        let numeric = |text: &str| normal("numeric", text.into());
        assert_eq!(numeric("1.50"), "1.5");
        assert_eq!(numeric("100"), "100");
        assert_eq!(normal("inet", "::1/128".into()), "::1");
        assert_eq!(normal("inet", "::1/32".into()), "::1/32");
        assert_eq!(wanted("boolean", ValueRef::Integer(1)), Some("true".into()));
        assert_eq!(wanted("bytea", ValueRef::Blob(b"\x00\xff")), Some("\\x00ff".into()));
    }

    #[test]
    fn rows_that_differ_are_named() {
        let row = |text: &str| vec![Some(text.to_owned())];
        assert_eq!(compare("t", &[row("a")], &[row("a")]), None);
        let said = compare("t", &[row("a"), row("b")], &[row("a"), row("c")]);
        assert!(said.is_some_and(|said| said.contains("\"b\"") && said.contains("\"c\"")));
        assert!(compare("t", &[row("a"), row("a")], &[row("a")]).is_some());
    }
}
