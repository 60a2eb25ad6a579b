//! The simplest thing that brings a target up to a source that is written to.

use std::{
    collections::HashMap,
    fmt::Write as _,
    pin::Pin,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use rusqlite::{Connection, params_from_iter, types::Value as Sql};
use switchback_proto::v1::{Plan, TablePlan};
use switchback_server::{
    capture::{log, table_number},
    dialect::{
        capture::{CaptureKey, LOG, capture_key},
        codec::Codec,
        ident::quote,
        schema::Table,
        value::{OwnedValue, Value},
    },
    error::Result,
    validate::Follow,
};

use crate::support::Pair;

/// Applies the log in one transaction from one snapshot.
pub(crate) struct TestDrain<'a> {
    pub(crate) pair: &'a Pair,
    pub(crate) plan: &'a Plan,
    tables: Vec<Table>,
    reader: Mutex<(Connection, i64)>,
    pub(crate) drains: AtomicU64,
}

impl<'a> TestDrain<'a> {
    pub(crate) fn new(pair: &'a Pair, plan: &'a Plan) -> Self {
        let reader = Mutex::new((Connection::open(&pair.path).unwrap(), 0));
        let tables = pair.schema().tables;
        Self { pair, plan, tables, reader, drains: AtomicU64::new(0) }
    }

    /// All of the log as statements for PostgreSQL, from one snapshot.
    fn batch(&self) -> (i64, String) {
        let mut reader = self.reader.lock().unwrap();
        let (connection, applied) = &mut *reader;
        connection.execute_batch("BEGIN").unwrap();
        let newest = log::newest(connection).unwrap();
        let mut batch = "BEGIN;".to_owned();
        for (position, (table, plan)) in self.tables.iter().zip(&self.plan.tables).enumerate() {
            let mut changes = Changes::new(table, plan, connection);
            changes.read(table_number(position), *applied);
            changes.write(&mut batch);
        }
        connection.execute_batch("COMMIT").unwrap();
        *applied = newest;
        (newest, batch + "COMMIT;")
    }
}

impl Follow for TestDrain<'_> {
    fn drain(&self) -> Pin<Box<dyn Future<Output = Result<i64>> + Send + '_>> {
        Box::pin(async {
            self.drains.fetch_add(1, Ordering::Relaxed);
            let (newest, batch) = self.batch();
            self.pair.sql(&batch).await;
            let trimmer = Connection::open(&self.pair.path).unwrap();
            trimmer.busy_timeout(Duration::from_secs(5)).unwrap();
            log::trim(&trimmer, newest, 1_000).unwrap();
            Ok(newest)
        })
    }
}

/// What changed in one table.
struct Changes<'a> {
    table: &'a Table,
    plan: &'a TablePlan,
    key: CaptureKey,
    connection: &'a Connection,
    /// Names of the key in the source and in the target.
    names: (Vec<String>, Vec<String>),
    gone: HashMap<String, Vec<Sql>>,
    everything: bool,
}

impl<'a> Changes<'a> {
    fn new(table: &'a Table, plan: &'a TablePlan, connection: &'a Connection) -> Self {
        let key = capture_key(table);
        let names: Vec<String> = match &key {
            CaptureKey::Columns(columns) => {
                columns.iter().map(|column| table.columns[*column].name.clone()).collect()
            }
            CaptureKey::Rowid(name) => vec![name.clone()],
            CaptureKey::Whole => Vec::new(),
        };
        let target = match &key {
            CaptureKey::Rowid(_) => vec!["_switchback_rowid".to_owned()],
            _ => names.clone(),
        };
        let (gone, names) = (HashMap::new(), (names, target));
        Self { table, plan, key, connection, names, gone, everything: false }
    }

    fn read(&mut self, number: usize, applied: i64) {
        let width = self.names.0.len();
        let keys: Vec<String> = (1..=width).map(|n| format!("k{n}")).collect();
        let terms = if width == 0 { "NULL".to_owned() } else { keys.join(", ") };
        let sql = format!("SELECT {terms} FROM {LOG} WHERE seq > {applied} AND tab = {number}");
        let mut statement = self.connection.prepare(&sql).unwrap();
        let mut rows = statement.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            let key: Vec<Sql> = (0..width).map(|n| row.get(n).unwrap()).collect();
            self.everything |= width == 0;
            self.gone.insert(format!("{key:?}"), key);
        }
    }

    fn write(&self, batch: &mut String) {
        let name = quote(&self.plan.target);
        let keys: Vec<String> = self.gone.values().map(|key| tuple(key)).collect();
        if self.everything {
            write!(batch, "DELETE FROM public.{name};").unwrap();
            let mut kept = Vec::new();
            self.insert("1", vec![], &mut kept, batch);
            self.insert_all(&kept, batch);
        } else if !keys.is_empty() {
            let columns: Vec<String> = self.names.1.iter().map(|name| quote(name)).collect();
            let (columns, keys) = (columns.join(", "), keys.join(", "));
            write!(batch, "DELETE FROM public.{name} WHERE ({columns}) IN ({keys});").unwrap();
            let equal: Vec<String> = self
                .names
                .0
                .iter()
                .enumerate()
                .map(|(n, name)| format!("{} = ?{} COLLATE BINARY", quote(name), n + 1))
                .collect();
            let mut kept = Vec::new();
            for key in self.gone.values() {
                if let (CaptureKey::Columns(_), [id]) = (&self.key, &key[..]) {
                    let kept = text(&format!("{}={}", self.names.0[0], literal(id)));
                    write!(
                        batch,
                        "DELETE FROM switchback.rejects WHERE row_key = {kept} AND tab = {};",
                        text(&self.plan.source)
                    )
                    .unwrap();
                }
                self.insert(&equal.join(" AND "), key.clone(), &mut kept, batch);
            }
            self.insert_all(&kept, batch);
        }
    }

    fn insert_all(&self, rows: &[String], batch: &mut String) {
        let name = quote(&self.plan.target);
        for rows in rows.chunks(500) {
            write!(batch, "INSERT INTO public.{name} VALUES {};", rows.join(", ")).unwrap();
        }
    }

    fn insert(&self, condition: &str, key: Vec<Sql>, kept: &mut Vec<String>, batch: &mut String) {
        let mut columns: Vec<String> = self.table.columns.iter().map(|c| quote(&c.name)).collect();
        if let CaptureKey::Rowid(name) = &self.key {
            columns.push(name.clone());
        }
        let (columns, from) = (columns.join(", "), quote(&self.table.name));
        let sql = format!("SELECT {columns} FROM {from} WHERE {condition}");
        let mut statement = self.connection.prepare_cached(&sql).unwrap();
        let width = statement.column_count();
        let mut rows = statement.query(params_from_iter(key)).unwrap();
        while let Some(row) = rows.next().unwrap() {
            let values: Vec<Sql> = (0..width).map(|n| row.get(n).unwrap()).collect();
            let fits = self.plan.columns.iter().zip(&values).all(|(column, value)| {
                let codec: Codec = column.codec.parse().unwrap();
                codec.encode(owned(value).as_value(), &mut Vec::new()).is_ok()
            });
            if fits {
                kept.push(tuple(&values));
            } else {
                self.reject(&values, batch);
            }
        }
    }

    fn reject(&self, values: &[Sql], batch: &mut String) {
        let data = self.plan.columns.iter().zip(values).map(|(column, value)| {
            let mut field = Vec::new();
            Codec::Tagged.encode(owned(value).as_value(), &mut field).unwrap();
            format!("\"{}\":\"{}\"", column.source, String::from_utf8_lossy(&field[4..]))
        });
        let data = format!("{{{}}}", data.collect::<Vec<_>>().join(","));
        let name = format!("{}={}", self.names.0[0], literal(&values[0]));
        write!(
            batch,
            "INSERT INTO switchback.rejects (database, tab, row_key, column_name, reason, row_data) \
             VALUES ('default', {}, {}, '', 'mixed_types', {});",
            text(&self.plan.source),
            text(&name),
            text(&data)
        )
        .unwrap();
    }
}

fn owned(value: &Sql) -> OwnedValue {
    OwnedValue::from(match value {
        Sql::Null => Value::Null,
        Sql::Integer(value) => Value::Integer(*value),
        Sql::Real(value) => Value::Real(*value),
        Sql::Text(text) => Value::Text(text.as_bytes()),
        Sql::Blob(bytes) => Value::Blob(bytes),
    })
}

fn text(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn literal(value: &Sql) -> String {
    match value {
        Sql::Integer(value) => value.to_string(),
        Sql::Real(value) => value.to_string(),
        Sql::Text(value) => text(value),
        Sql::Null | Sql::Blob(_) => "NULL".to_owned(),
    }
}

fn tuple(values: &[Sql]) -> String {
    let values: Vec<String> = values.iter().map(literal).collect();
    format!("({})", values.join(", "))
}
