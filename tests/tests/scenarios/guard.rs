//! What a guard lets pass on PostgreSQL is what comes back from SQLite, and nothing else: for
//! every codec, every kind of column that SQLite has, and the worst values of every type, on both
//! real engines.

mod decimals;
mod existing;
mod jsonb;
mod ranges;
mod sent;
mod values;

use std::{collections::HashSet, error::Error};

use rusqlite::{
    Connection,
    types::{ToSqlOutput, ValueRef},
};
use switchback_server::dialect::{
    codec::{Codec, NumericForm, sent_as},
    guard::{Storage, guard, survives},
    schema::{Affinity, Encoding},
    value::{OwnedValue, Value},
};
use switchback_tests::cluster::Cluster;
use tokio_postgres::{
    Client,
    types::{FromSql, IsNull, ToSql, Type, private::BytesMut, to_sql_checked},
};

/// One codec of each kind, and those of a family whose guards differ.
const CODECS: &[&str] = &[
    "integer",
    "real",
    "number",
    "text",
    "varchar:20",
    "blob",
    "bool:01",
    "bool:t-f",
    "bool:True-False",
    "date",
    "time:minutes",
    "time:0",
    "time:3",
    "time:6",
    "time:0or6",
    "time:trimmed",
    "timestamp:space:minutes",
    "timestamp:space:0",
    "timestamp:T:3",
    "timestamp:space:5",
    "timestamp:space:6",
    "timestamp:space:0or6",
    "timestamp:T:trimmed",
    "timestamp:date",
    "timestamptz:space:minutes:+00",
    "timestamptz:T:0:Z",
    "timestamptz:T:3:Z",
    "timestamptz:space:6:+00:00",
    "timestamptz:T:trimmed:Z",
    "timestamptz:epoch-s",
    "timestamptz:epoch-ms",
    "timestamptz:epoch-us",
    "uuid:lower",
    "uuid:upper",
    "uuid:hex",
    "uuid:blob",
    "numeric",
    "numeric:10:2",
    "numeric:15:15",
    "numeric:16:1",
    "numeric:18:0",
    "numeric:25:0",
    "numeric:30:12",
    "numeric:400:350",
    "json",
    "json:numeric",
    "tagged",
    "escaped",
];

/// Settings that change how values are written and read; no guard may depend on them.
const HOSTILE: &str = "SET extra_float_digits = -15; SET DateStyle = 'German, DMY'; \
     SET TimeZone = 'Europe/Amsterdam'; SET IntervalStyle = 'sql_standard'; \
     SET bytea_output = 'escape'; SET standard_conforming_strings = off; \
     SET escape_string_warning = off";

/// A value as PostgreSQL sends and receives it.
#[derive(Debug, Clone, PartialEq)]
struct Raw(Vec<u8>);

impl<'a> FromSql<'a> for Raw {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(raw.to_vec()))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

impl ToSql for Raw {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        out.extend_from_slice(&self.0);
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

/// A column of a real SQLite database.
struct Column {
    storage: Storage,
    connection: Connection,
    name: String,
}

impl Column {
    fn new(declared: &str, strict: bool, encoding: Encoding) -> Self {
        let connection = Connection::open_in_memory().expect("SQLite opens");
        let name = if encoding == Encoding::Utf16 { "UTF-16" } else { "UTF-8" };
        let options = if strict { "STRICT" } else { "" };
        connection
            .execute_batch(&format!(
                "PRAGMA encoding = '{name}'; CREATE TABLE t(v {declared}) {options}"
            ))
            .expect("a table");
        let storage = Storage { affinity: Affinity::of(declared, strict), strict, encoding };
        Self { storage, connection, name: format!("{declared} {options} {name}") }
    }

    /// Every kind of column.
    fn all() -> Vec<Self> {
        let mut columns = Vec::new();
        for encoding in [Encoding::Utf8, Encoding::Utf16] {
            for declared in ["INTEGER", "TEXT", "BLOB", "REAL", "NUMERIC"] {
                columns.push(Self::new(declared, false, encoding));
            }
            for declared in ["INT", "TEXT", "BLOB", "REAL", "ANY"] {
                columns.push(Self::new(declared, true, encoding));
            }
        }
        columns
    }

    /// What SQLite has stored when the value was written; none where it refused it.
    fn store(&self, value: Value<'_>) -> Option<OwnedValue> {
        let bound = ToSqlOutput::Borrowed(match value {
            Value::Null => ValueRef::Null,
            Value::Integer(value) => ValueRef::Integer(value),
            Value::Real(value) => ValueRef::Real(value),
            Value::Text(bytes) => ValueRef::Text(bytes),
            Value::Blob(bytes) => ValueRef::Blob(bytes),
        });
        let mut insert = self.connection.prepare_cached("INSERT INTO t VALUES (?1)").expect("SQL");
        insert.execute([bound]).ok()?;
        let id = self.connection.last_insert_rowid();
        let mut select =
            self.connection.prepare_cached("SELECT v FROM t WHERE rowid = ?1").expect("SQL");
        select
            .query_row([id], |row| {
                Ok(match row.get_ref(0)? {
                    ValueRef::Null => OwnedValue::Null,
                    ValueRef::Integer(value) => OwnedValue::Integer(value),
                    ValueRef::Real(value) => OwnedValue::Real(value),
                    ValueRef::Text(bytes) => OwnedValue::Text(bytes.to_vec()),
                    ValueRef::Blob(bytes) => OwnedValue::Blob(bytes.to_vec()),
                })
            })
            .ok()
    }

    /// Whether the value of PostgreSQL comes back from here.
    fn gives_back(&self, codec: Codec, field: &Raw) -> bool {
        let Ok(value) = codec.decode(Some(&field.0)) else { return false };
        let stored = self.store(value.as_value());
        let same = stored.as_ref().is_some_and(|stored| identical(stored, &value));
        let predicted = survives(value.as_value(), self.storage);
        assert_eq!(predicted, same, "{codec} {}: {value:?} is {stored:?}", self.name);
        let again = stored.and_then(|stored| encoded(codec, &stored));
        if codec == Codec::NumericAs(None, NumericForm::Any) {
            // Zeros at the end of a fraction mean nothing to it.
            return same && again.is_some_and(|again| codec.decode(Some(&again.0)) == Ok(value));
        }
        same && again.as_ref() == Some(field)
    }
}

fn identical(left: &OwnedValue, right: &OwnedValue) -> bool {
    match (left, right) {
        (OwnedValue::Real(left), OwnedValue::Real(right)) => left.to_bits() == right.to_bits(),
        _ => left == right,
    }
}

/// The field without its length; none for NULL and for what the codec refuses.
fn encoded(codec: Codec, value: &OwnedValue) -> Option<Raw> {
    let mut field = Vec::new();
    codec.encode(value.as_value(), &mut field).ok()?;
    (*value != OwnedValue::Null).then(|| Raw(field.split_off(4)))
}

/// Tables `given`, with every value, and `taken`, whose trigger lets nothing in that its guard
/// refuses.
async fn tables(client: &Client, pg_type: &str) {
    let collation = if pg_type == "text" || pg_type.starts_with("varchar") {
        "COLLATE insensitive"
    } else {
        ""
    };
    let sql = format!(
        "DROP TABLE IF EXISTS given, taken; \
         CREATE TABLE given (id int GENERATED ALWAYS AS IDENTITY, v {pg_type} {collation}); \
         CREATE TABLE taken (id int, v {pg_type} {collation})"
    );
    client.batch_execute(&sql).await.expect("tables");
}

async fn client() -> Client {
    let client = Cluster::shared().database().await.owner().await;
    let sql = "CREATE COLLATION insensitive \
                 (provider = icu, locale = 'und-u-ks-level2', deterministic = false); \
               CREATE TYPE enum AS ENUM ('a', 'b|c', '12', 'd'); \
               CREATE FUNCTION skip() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'";
    client.batch_execute(sql).await.expect("a collation and a function");
    client
}

/// Ids of the values that the guard lets pass.
async fn ids(client: &Client, condition: Option<&str>) -> HashSet<i32> {
    let trigger = condition.map_or(String::new(), |condition| {
        format!(
            "CREATE TRIGGER guard BEFORE INSERT ON taken FOR EACH ROW \
             WHEN (NOT {condition}) EXECUTE FUNCTION skip();"
        )
    });
    let sql = format!(
        "TRUNCATE taken; {trigger} INSERT INTO taken SELECT id, v FROM given; \
         DROP TRIGGER IF EXISTS guard ON taken"
    );
    client.batch_execute(&sql).await.unwrap_or_else(|error| panic!("{error:?}\n{condition:?}"));
    let rows = client.query("SELECT id FROM taken", &[]).await.expect("ids");
    rows.iter().map(|row| row.get(0)).collect()
}

/// Holds the guards of a codec against what comes back, for every kind of column.
async fn hold(client: &Client, codec: Codec, columns: &[Column]) {
    let pg_type = codec.natural_type();
    let sql = "SELECT id, v, v::text FROM given ORDER BY id";
    let rows = client.query(sql, &[]).await.expect("values");
    let values: Vec<(i32, Option<Raw>, Option<String>)> =
        rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect();
    let mut wrong = Vec::new();
    for column in columns {
        let guard = guard(&codec, &pg_type, column.storage, "NEW.\"v\"");
        let condition = guard.as_ref().map(|guard| guard.condition.as_str());
        let passed = ids(client, condition).await;
        if let Some(quick) = guard.as_ref().and_then(|guard| guard.quick.as_ref()) {
            let quickly = ids(client, Some(quick)).await;
            assert!(quickly.is_subset(&passed), "{codec} {}", column.name);
        }
        for (id, field, text) in &values {
            let back = field.as_ref().is_none_or(|field| column.gives_back(codec, field));
            if passed.contains(id) != back {
                let verdict = if back { "refused, and comes back" } else { "passed, and is lost" };
                wrong.push(format!("{codec} {}: {text:?} is {verdict}", column.name));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of them:\n{}",
        wrong.len(),
        wrong[..wrong.len().min(40)].join("\n")
    );
}

#[tokio::test]
async fn what_passes_is_what_comes_back() {
    hold_all(CODECS).await;
}

/// Holds the guards of the codecs against what comes back.
async fn hold_all(names: &[&str]) {
    let columns = Column::all();
    let client = client().await;
    for name in names {
        let codec: Codec = name.parse().expect("a codec");
        client.batch_execute("RESET ALL").await.expect("settings");
        tables(&client, &codec.natural_type()).await;
        let mut fields: Vec<Raw> = Vec::new();
        for column in &columns {
            let stored =
                values::sources().into_iter().filter_map(|value| column.store(value.as_value()));
            fields.extend(stored.filter_map(|stored| encoded(codec, &stored)));
        }
        fields.sort_by(|left, right| left.0.cmp(&right.0));
        fields.dedup();
        let insert = client.prepare("INSERT INTO given (v) VALUES ($1)").await.expect("SQL");
        for field in &fields {
            client.execute(&insert, &[field]).await.expect("what a codec makes is a value");
        }
        let rows = client.query("SELECT v FROM given ORDER BY id", &[]).await.expect("values");
        let sent: Vec<Raw> = rows.iter().map(|row| row.get(0)).collect();
        assert_eq!(sent, fields, "{name}: PostgreSQL sends other bytes");
        let given = values::of(&codec.natural_type());
        let few = ["boolean", "enum"].contains(&codec.natural_type().as_str());
        assert!(given.len() >= 25 || few, "{name}: {}", given.len());
        for value in &given {
            let sql = format!("INSERT INTO given (v) VALUES ({value})");
            client.batch_execute(&sql).await.unwrap_or_else(|error| panic!("{value}: {error:?}"));
        }
        client.batch_execute(HOSTILE).await.expect("settings");
        same_in_a_key(&client, codec).await;
        hold(&client, codec, &columns).await;
    }
}

/// What names a row in the change log is the field that the codec knows, but for numbers of which
/// one has several.
async fn same_in_a_key(client: &Client, codec: Codec) {
    let pg_type = codec.natural_type();
    let several = ["numeric", "double precision", "real"].iter().any(|t| pg_type.starts_with(t));
    let Some(key) = sent_as(&pg_type, "v").filter(|_| !several) else { return };
    let sql = format!("SELECT v, {key} FROM given WHERE v IS NOT NULL");
    for row in client.query(&sql, &[]).await.expect("fields") {
        let (field, key): (Raw, Vec<u8>) = (row.get(0), row.get(1));
        assert_eq!(field.0, key, "{codec}");
    }
}
