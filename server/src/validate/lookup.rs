//! A few rows of both sides by their keys, which takes milliseconds where a pass takes minutes: a
//! row that is written to now and then stands still for that long.

use std::{error::Error as StdError, pin::pin};

use futures_util::StreamExt;
use rusqlite::{Connection, params_from_iter};
use tokio_postgres::{
    Row,
    types::{FromSql, Type},
};

use super::{
    catalog::Relation,
    change_log::{Changed, Entry, LogKeys},
    table::TableWork,
    tuple::{Tuple, TupleSink},
};
use crate::{
    copy::{reader::Bound, tagged},
    db::{
        field_array::FieldArray,
        postgres::{Postgres, failed},
        source::{SourceFile, value},
    },
    dialect::{
        ident,
        schema::{IndexKey, IndexOrigin, RowAddress, Table},
        sqlite::quote,
        value::Value,
        wire,
    },
    error::{Error, Reason, Result},
};

/// Most rows that are looked up; more are found by a pass.
pub(super) const MOST_LOOKED_UP: usize = 10_000;

/// The statements that find rows by key.
#[derive(Debug, Clone)]
pub(super) struct Lookup {
    source: String,
    target: String,
}

/// Where rows of the source are found.
pub(super) struct Place<'a> {
    pub(super) file: &'a SourceFile,
    pub(super) connection: &'a Connection,
    pub(super) work: &'a TableWork,
    pub(super) log: &'a LogKeys,
}

impl Lookup {
    /// None where a look-up would read the whole table for each row, or where the target's keys
    /// are not of the types that the codecs make.
    pub(super) fn new(
        work: &TableWork,
        table: &Table,
        full: &str,
        relation: &Relation,
    ) -> Option<Self> {
        if !is_indexed(work, table) {
            return None;
        }
        let mut arrays = Vec::new();
        for (number, column) in work.key.iter().map(|key| &work.columns[*key]).enumerate() {
            let actual = &relation.columns.get(&column.target)?.type_name;
            if !column.codec.fits_type(wire::built_in(actual, &column.wire)) {
                return None;
            }
            arrays.push(format!("${}::{actual}[]", number + 1));
        }
        let key = || work.key.iter().map(|key| &work.columns[*key]);
        let wanted: Vec<String> = key().map(|c| format!("t.{}", ident::quote(&c.target))).collect();
        let target = format!(
            "SELECT {} FROM {full} AS t WHERE ({}) IN (SELECT * FROM unnest({}) AS u)",
            work.terms(relation),
            wanted.join(", "),
            arrays.join(", ")
        );
        let columns = work.columns.iter().map(|column| column.term().sql());
        let equal = key().enumerate().map(|(n, c)| format!("s.{} = ?{}", quote(&c.source), n + 1));
        let source = format!(
            "SELECT {} FROM main.{} AS s WHERE {}",
            columns.collect::<Vec<_>>().join(", "),
            quote(&table.name),
            equal.collect::<Vec<_>>().join(" AND ")
        );
        Some(Self { source, target })
    }

    /// Reads the rows that the entries name and, from the same snapshot, which of them changed
    /// since `applied`.
    pub(super) fn read_source(
        &self,
        place: &Place<'_>,
        (applied, entries): (i64, &[Entry]),
        sink: &mut impl TupleSink,
        changed: &mut Changed,
    ) -> Result<()> {
        let Place { file, connection, log, .. } = *place;
        let explain = |error| file.explain(error);
        connection.execute_batch("BEGIN").map_err(explain)?;
        let mut reading = || {
            log.read(connection, file, applied, |entry| changed.take(entry))?;
            for entry in entries {
                if !self.read_row(place, entry, sink)? {
                    changed.hide();
                }
            }
            Ok(())
        };
        let done = reading();
        connection.execute_batch("COMMIT").map_err(explain)?;
        done
    }

    /// False where the row is a reject and the entry does not say under which name.
    fn read_row(
        &self,
        place: &Place<'_>,
        entry: &Entry,
        sink: &mut impl TupleSink,
    ) -> Result<bool> {
        let Place { file, connection, work, .. } = *place;
        let explain = |error| file.explain(error);
        let (mut tuple, mut ends) = (Vec::new(), Vec::new());
        let mut statement = connection.prepare_cached(&self.source).map_err(explain)?;
        let bound = params_from_iter(entry.values.iter().map(Bound));
        let mut rows = statement.query(bound).map_err(explain)?;
        while let Some(row) = rows.next().map_err(explain)? {
            if work.encode(|n| value(row, n), &mut tuple, &mut ends).map_err(explain)? {
                // Under a collation other keys are equal to this one, and have entries of their own.
                if Some(key_of(work, &tuple, &ends).as_slice()) == entry.row.as_deref() {
                    sink.take(Tuple::Row { bytes: &tuple, ends: &ends }, &|| None);
                }
                continue;
            }
            let same = work.key.iter().zip(&entry.values).all(|(column, value)| {
                self::value(row, *column).is_ok_and(|found| found == value.as_value())
            });
            if !same {
                continue;
            }
            let Some(name) = &entry.reject else { return Ok(false) };
            let values = work.copied().map(|(n, name)| Ok((name, value(row, n)?)));
            let values: Vec<(&str, Value<'_>)> =
                values.collect::<rusqlite::Result<_>>().map_err(explain)?;
            let data = tagged::write_row(values.into_iter()).map_err(|_| {
                Error::new(Reason::ValueRefused, "a row is larger than PostgreSQL can keep")
            })?;
            let key = String::from_utf8_lossy(name);
            sink.take(Tuple::Reject { key: &key, data: &data }, &|| None);
        }
        Ok(true)
    }

    /// Reads the same rows of the target, and their rejects.
    pub(super) async fn read_target(
        &self,
        postgres: &Postgres,
        work: &TableWork,
        (rejects, entries): (Option<&str>, &[Entry]),
        sink: &mut impl TupleSink,
    ) -> Result<()> {
        let client = postgres.get().await?;
        let arrays = key_arrays(work.key.len(), entries);
        let mut rows = pin!(client.query_raw(&self.target, arrays).await.map_err(failed)?);
        let (mut tuple, mut ends) = (Vec::new(), Vec::new());
        while let Some(row) = rows.next().await {
            fields(&row.map_err(failed)?, &work.field_count, &mut tuple, &mut ends)?;
            sink.take(Tuple::Row { bytes: &tuple, ends: &ends }, &|| None);
        }
        let Some(database) = rejects else { return Ok(()) };
        let names = entries.iter().filter_map(|entry| entry.reject.as_deref());
        let names: Vec<String> =
            names.map(|name| String::from_utf8_lossy(name).into_owned()).collect();
        let sql = "SELECT row_key, row_data::text FROM switchback.rejects \
                   WHERE database = $1 AND tab = $2 AND row_key = ANY ($3)";
        let kept = client.query(sql, &[&database, &work.name, &names]).await.map_err(failed)?;
        for row in kept {
            sink.take(Tuple::Reject { key: row.get(0), data: row.get(1) }, &|| None);
        }
        Ok(())
    }
}

/// Whether the source finds a row by its key without reading others.
fn is_indexed(work: &TableWork, table: &Table) -> bool {
    let by_rowid = work.key.iter().all(|key| work.columns[*key].ours);
    if by_rowid || matches!(table.row_address, RowAddress::Alias(_)) {
        return true;
    }
    let index = table.indexes.iter().find(|index| index.origin == IndexOrigin::PrimaryKey);
    index.is_some_and(|index| {
        index.terms.iter().all(|term| {
            let known = matches!(term.collation.as_str(), "" | "BINARY" | "NOCASE" | "RTRIM");
            matches!(term.key, IndexKey::Column(column)
                if known && term.collation == table.columns[column].collation)
        })
    })
}

fn key_of(work: &TableWork, tuple: &[u8], ends: &[usize]) -> Vec<u8> {
    let fields = work.key.iter().map(|column| &tuple[super::tuple::field(ends, *column)]);
    fields.flatten().copied().collect()
}

/// A row of a query as binary COPY would send it.
fn fields(row: &Row, count: &[u8; 2], tuple: &mut Vec<u8>, ends: &mut Vec<usize>) -> Result<()> {
    tuple.clear();
    ends.clear();
    tuple.extend_from_slice(count);
    for number in 0..row.len() {
        let field: Option<Field<'_>> = row.try_get(number).map_err(failed)?;
        let length = field.as_ref().map_or(Ok(-1), |field| i32::try_from(field.0.len()));
        let length = length.map_err(|_| Error::new(Reason::TargetFailed, "a field is too long"))?;
        tuple.extend_from_slice(&length.to_be_bytes());
        tuple.extend_from_slice(field.map_or(&[], |field| field.0));
        ends.push(tuple.len());
    }
    Ok(())
}

/// A field of any type, as it was sent.
struct Field<'a>(&'a [u8]);

impl<'a> FromSql<'a> for Field<'a> {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn StdError + Sync + Send>> {
        Ok(Self(raw))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

/// The keys of these entries, as an array for each of so many columns.
fn key_arrays(columns: usize, entries: &[Entry]) -> Vec<FieldArray> {
    let mut arrays: Vec<FieldArray> = (0..columns).map(|_| FieldArray::default()).collect();
    for mut bytes in entries.iter().filter_map(|entry| entry.row.as_deref()) {
        for array in &mut arrays {
            let length = bytes.first_chunk().map_or(-1, |length| i32::from_be_bytes(*length));
            let end = 4 + usize::try_from(length).unwrap_or(0);
            let (field, rest) = bytes.split_at(end.min(bytes.len()));
            array.fields.extend_from_slice(field);
            array.count += 1;
            bytes = rest;
        }
    }
    arrays
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_become_an_array_for_each_column() {
        let entry = |row: Option<&[u8]>| Entry {
            row: row.map(Into::into),
            reject: None,
            values: Vec::new(),
        };
        let entries = [
            entry(Some(&[0, 0, 0, 2, 7, 8, 0, 0, 0, 1, b'a'])),
            entry(None),
            entry(Some(&[0, 0, 0, 2, 9, 9, 0, 0, 0, 0])),
        ];
        let [first, second] = key_arrays(2, &entries).try_into().unwrap();
        assert_eq!(
            (first.count, &first.fields[..]),
            (2, &[0, 0, 0, 2, 7, 8, 0, 0, 0, 2, 9, 9][..])
        );
        assert_eq!((second.count, &second.fields[..]), (2, &[0, 0, 0, 1, b'a', 0, 0, 0, 0][..]));
    }
}
