//! A copy of every table, kept by the log alone.

use std::collections::BTreeMap;

use rusqlite::{Connection, params_from_iter, types::Value};

use crate::{
    capture::table_number,
    dialect::{
        capture::{CaptureKey, capture_key},
        schema::{SourceSchema, Table},
        sqlite::quote,
    },
};

/// Marsaglia's xorshift64.
pub(super) struct Rng(u64);

impl Rng {
    pub(super) fn new(seed: u64) -> Self {
        let mut rng = Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        for _ in 0..4 {
            rng.below(1);
        }
        rng
    }

    pub(super) fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % bound
    }
}

/// Rows by key; both as SQL literals, which tell 1 from 1.0 and 'A' from 'a'.
type Rows = BTreeMap<Vec<String>, Vec<String>>;

struct Copy {
    table: Table,
    key: CaptureKey,
    rows: Rows,
    /// Rows without a key.
    whole: Vec<Vec<String>>,
}

pub(super) struct Model {
    copies: Vec<Copy>,
    applied: i64,
}

impl Model {
    pub(super) fn new(connection: &Connection, schema: &SourceSchema) -> Self {
        let copies = schema.tables.iter().map(|table| Copy::new(connection, table)).collect();
        Self { copies, applied: super::newest(connection).unwrap() }
    }

    /// Deletes every logged key from the copy, then inserts the current rows of these keys.
    pub(super) fn apply(&mut self, connection: &Connection) {
        let newest = super::newest(connection).unwrap();
        for (position, copy) in self.copies.iter_mut().enumerate() {
            let width = copy.key.width();
            let columns: String = (1..=width).map(|number| format!(", k{number}")).collect();
            let number = table_number(position);
            let sql = format!(
                "SELECT tab{columns} FROM _switchback_log WHERE seq > ?1 AND tab = {number}"
            );
            let keys: Vec<Vec<Value>> = connection
                .prepare(&sql)
                .unwrap()
                .query_map([self.applied], |row| {
                    (0..width).map(|column| row.get(column + 1)).collect()
                })
                .unwrap()
                .collect::<rusqlite::Result<_>>()
                .unwrap();
            if copy.key == CaptureKey::Whole && !keys.is_empty() {
                copy.whole = copy.read(connection, &[]);
            } else if copy.key != CaptureKey::Whole {
                copy.apply(connection, &keys);
            }
        }
        self.applied = newest;
        super::trim(connection, newest, 1_000).unwrap();
    }

    pub(super) fn compare(&self, connection: &Connection) -> Result<(), String> {
        for copy in &self.copies {
            let now = Copy::new(connection, &copy.table);
            if (&now.rows, &now.whole) != (&copy.rows, &copy.whole) {
                let (is, was) = ((&now.rows, &now.whole), (&copy.rows, &copy.whole));
                return Err(format!("{}: source {is:?}, copy {was:?}", copy.table.name));
            }
        }
        Ok(())
    }
}

impl Copy {
    fn new(connection: &Connection, table: &Table) -> Self {
        let key = capture_key(table);
        let mut copy = Self { table: table.clone(), key, rows: Rows::new(), whole: Vec::new() };
        let rows = copy.read(connection, &[]);
        if copy.key == CaptureKey::Whole {
            copy.whole = rows;
        } else {
            copy.insert(rows);
        }
        copy
    }

    fn key_columns(&self) -> Vec<String> {
        match &self.key {
            CaptureKey::Columns(columns) => {
                columns.iter().map(|column| quote(&self.table.columns[*column].name)).collect()
            }
            CaptureKey::Rowid(name) => vec![name.clone()],
            CaptureKey::Whole => Vec::new(),
        }
    }

    /// The current rows, key first: all, or those with exactly this key.
    fn read(&self, connection: &Connection, key: &[Value]) -> Vec<Vec<String>> {
        let keys = self.key_columns();
        let columns = self.table.columns.iter().map(|column| quote(&column.name));
        let list: Vec<String> =
            keys.iter().cloned().chain(columns).map(|column| format!("quote({column})")).collect();
        let mut sql = format!("SELECT {} FROM {}", list.join(", "), quote(&self.table.name));
        if !key.is_empty() {
            let exact: Vec<String> = keys
                .iter()
                .enumerate()
                .map(|(at, name)| {
                    let at = at + 1;
                    format!("typeof({name}) = typeof(?{at}) AND {name} = ?{at} COLLATE BINARY")
                })
                .collect();
            sql += &format!(" WHERE {}", exact.join(" AND "));
        }
        connection
            .prepare(&sql)
            .unwrap()
            .query_map(params_from_iter(key), |row| {
                (0..list.len()).map(|column| row.get(column)).collect()
            })
            .unwrap()
            .collect::<rusqlite::Result<_>>()
            .unwrap()
    }

    fn insert(&mut self, rows: Vec<Vec<String>>) {
        for mut row in rows {
            let values = row.split_off(self.key.width());
            let twice = self.rows.insert(row, values);
            assert_eq!(twice, None, "the key names two rows");
        }
    }

    fn apply(&mut self, connection: &Connection, keys: &[Vec<Value>]) {
        let mut dirty = BTreeMap::new();
        for key in keys {
            let literal: Vec<String> = key
                .iter()
                .map(|value| {
                    connection.query_row("SELECT quote(?1)", [value], |row| row.get(0)).unwrap()
                })
                .collect();
            self.rows.remove(&literal);
            dirty.insert(literal, key);
        }
        for key in dirty.into_values() {
            self.insert(self.read(connection, key));
        }
    }
}
