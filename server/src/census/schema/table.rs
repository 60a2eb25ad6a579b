//! One ordinary table.

use std::collections::HashMap;

use rusqlite::Connection;

use super::{Object, TableKind};
use crate::dialect::{
    schema::{
        Affinity, Column, ForeignKey, Index, IndexKey, IndexOrigin, IndexTerm, RowAddress, Table,
    },
    sqlite,
    sqlite_ddl::{self, TableText},
};

/// The names of the rowid, the usual one first.
const ROWID_NAMES: [&str; 3] = ["rowid", "_rowid_", "oid"];

/// Reads one table; `index_texts` are the CREATE INDEX statements by name.
pub(super) fn read(
    connection: &Connection,
    object: &Object,
    kind: &TableKind,
    index_texts: &HashMap<&str, &str>,
) -> rusqlite::Result<Table> {
    let mut table = Table { name: object.name.clone(), strict: kind.strict, ..Table::default() };
    let infos = columns(connection, &object.name)?;
    let sql = object.sql.as_deref().unwrap_or_default();
    let text = sqlite_ddl::read_table(sql, infos.len()).unwrap_or_else(|error| {
        table.unread.push(format!(
            "CHECK constraints, collations and generated columns, since its statement cannot be \
             read: {error}"
        ));
        TableText::default()
    });
    if text.resolves_conflicts {
        table.unread.push(
            "ON CONFLICT clauses of constraints: a row that violates one is an error".to_owned(),
        );
    }
    table.primary_key = primary_key(&infos);
    table.columns = infos
        .into_iter()
        .enumerate()
        .map(|(number, info)| column(info, &text, number, kind.strict))
        .collect();
    table.primary_key_name = text.primary_key_name.clone();
    table.autoincrement = text.autoincrement;
    table.checks.clone_from(&text.checks);
    table.indexes = indexes(connection, &mut table, &text, index_texts)?;
    table.foreign_keys = foreign_keys(connection, &table, &text)?;
    table.row_address = row_address(&table, kind.without_rowid);
    Ok(table)
}

/// One row of `PRAGMA table_xinfo`.
struct ColumnInfo {
    name: String,
    declared: String,
    not_null: bool,
    default: Option<String>,
    /// Position in the primary key, from 1; 0 for none.
    key: usize,
    /// 2 and 3: a generated column, virtual and stored.
    hidden: i64,
}

fn columns(connection: &Connection, table: &str) -> rusqlite::Result<Vec<ColumnInfo>> {
    connection
        .prepare(&format!("PRAGMA table_xinfo({})", sqlite::quote(table)))?
        .query_map([], |row| {
            Ok(ColumnInfo {
                name: row.get("name")?,
                declared: row.get("type")?,
                not_null: row.get("notnull")?,
                default: row.get("dflt_value")?,
                key: usize::from(row.get::<_, u16>("pk")?),
                hidden: row.get("hidden")?,
            })
        })?
        .collect()
}

fn primary_key(infos: &[ColumnInfo]) -> Vec<usize> {
    let mut key: Vec<(usize, usize)> =
        infos.iter().enumerate().map(|(number, info)| (info.key, number)).collect();
    key.retain(|(position, _)| *position > 0);
    key.sort_unstable();
    key.into_iter().map(|(_, number)| number).collect()
}

fn column(info: ColumnInfo, text: &TableText, number: usize, strict: bool) -> Column {
    let text = text.columns.get(number).cloned().unwrap_or_default();
    let generated = match (info.hidden, text.generated) {
        (2 | 3, Some(expression)) => Some(expression),
        // Its statement could not be read: generated, by something unknown.
        (2 | 3, None) => Some(String::new()),
        _ => None,
    };
    Column {
        affinity: Affinity::of(&info.declared, strict),
        name: info.name,
        declared: info.declared,
        not_null: info.not_null,
        default: info.default.filter(|_| generated.is_none()),
        generated,
        collation: text.collation.unwrap_or_else(|| "BINARY".into()).to_ascii_uppercase(),
    }
}

fn row_address(table: &Table, without_rowid: bool) -> RowAddress {
    if without_rowid {
        return RowAddress::PrimaryKey;
    }
    let key_has_index = table.indexes.iter().any(|index| index.origin == IndexOrigin::PrimaryKey);
    // `INTEGER PRIMARY KEY DESC` is no rowid alias (SQLite manual, "CREATE TABLE", section 5):
    // SQLite makes an index for it, as for every other key that is not the rowid.
    if let [column] = table.primary_key[..]
        && !key_has_index
        && table.columns[column].declared.eq_ignore_ascii_case("INTEGER")
    {
        return RowAddress::Alias(column);
    }
    let is_free =
        |name: &&&str| !table.columns.iter().any(|column| column.name.eq_ignore_ascii_case(name));
    match ROWID_NAMES.iter().find(is_free) {
        Some(name) => RowAddress::Rowid((*name).into()),
        None => RowAddress::None,
    }
}

/// The indexes in the order of their creation.
fn indexes(
    connection: &Connection,
    table: &mut Table,
    text: &TableText,
    texts: &HashMap<&str, &str>,
) -> rusqlite::Result<Vec<Index>> {
    let mut indexes: Vec<(Index, bool)> = connection
        .prepare(&format!("PRAGMA index_list({})", sqlite::quote(&table.name)))?
        .query_map([], |row| {
            let origin: String = row.get("origin")?;
            let index = Index {
                name: row.get("name")?,
                unique: row.get("unique")?,
                origin: match origin.as_str() {
                    "u" => IndexOrigin::Unique,
                    "pk" => IndexOrigin::PrimaryKey,
                    _ => IndexOrigin::Created,
                },
                ..Index::default()
            };
            Ok((index, row.get("partial")?))
        })?
        .collect::<rusqlite::Result<_>>()?;
    // The newest comes first.
    indexes.reverse();
    for (index, partial) in &mut indexes {
        let text = texts.get(index.name.as_str()).map(|sql| sqlite_ddl::read_index(sql));
        let text = match text.transpose() {
            Ok(text) => text.unwrap_or_default(),
            Err(error) => {
                table.unread.push(format!("the index {:?}: {error}", index.name));
                sqlite_ddl::IndexText::default()
            }
        };
        index.terms = terms(connection, &index.name, &text.terms)?;
        // A partial index whose predicate is unknown keeps an empty one: it must not turn into
        // an index over all rows.
        index.predicate = partial.then(|| text.predicate.unwrap_or_default());
    }
    let mut indexes: Vec<Index> = indexes.into_iter().map(|(index, _)| index).collect();
    name_constraints(&mut indexes, table, text);
    Ok(indexes)
}

fn terms(
    connection: &Connection,
    index: &str,
    texts: &[String],
) -> rusqlite::Result<Vec<IndexTerm>> {
    connection
        .prepare(&format!("PRAGMA index_xinfo({})", sqlite::quote(index)))?
        .query_map([], |row| {
            let number = usize::from(row.get::<_, u16>("seqno")?);
            let column: i64 = row.get("cid")?;
            let collation: Option<String> = row.get("coll")?;
            let is_key: bool = row.get("key")?;
            let key = match usize::try_from(column) {
                Ok(column) => IndexKey::Column(column),
                Err(_) => IndexKey::Expression(texts.get(number).cloned().unwrap_or_default()),
            };
            let term = IndexTerm {
                key,
                descending: row.get("desc")?,
                collation: collation.unwrap_or_default().to_ascii_uppercase(),
            };
            Ok(is_key.then_some(term))
        })?
        .filter_map(Result::transpose)
        .collect()
}

/// Gives the indexes behind UNIQUE constraints the names that the constraints were declared with.
fn name_constraints(indexes: &mut [Index], table: &Table, text: &TableText) {
    for unique in text.uniques.iter().filter(|unique| unique.name.is_some()) {
        let mut wanted: Vec<String> =
            unique.columns.iter().map(|name| name.to_ascii_lowercase()).collect();
        wanted.sort();
        let found = indexes.iter_mut().find(|index| {
            let mut names: Vec<String> = index
                .terms
                .iter()
                .filter_map(|term| match term.key {
                    IndexKey::Column(column) => {
                        Some(table.columns.get(column)?.name.to_ascii_lowercase())
                    }
                    IndexKey::Expression(_) => None,
                })
                .collect();
            names.sort();
            index.origin == IndexOrigin::Unique && index.constraint.is_none() && names == wanted
        });
        if let Some(index) = found {
            index.constraint.clone_from(&unique.name);
        }
    }
}

/// The foreign keys in declared order; `PRAGMA foreign_key_list` has the last one first.
fn foreign_keys(
    connection: &Connection,
    table: &Table,
    text: &TableText,
) -> rusqlite::Result<Vec<ForeignKey>> {
    let mut keys: Vec<ForeignKey> = Vec::new();
    let mut statement =
        connection.prepare(&format!("PRAGMA foreign_key_list({})", sqlite::quote(&table.name)))?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let id = usize::from(row.get::<_, u16>("id")?);
        if id == keys.len() {
            keys.push(ForeignKey {
                parent: row.get("table")?,
                on_update: row.get("on_update")?,
                on_delete: row.get("on_delete")?,
                ..ForeignKey::default()
            });
        }
        let child: String = row.get("from")?;
        let column =
            table.columns.iter().position(|column| column.name.eq_ignore_ascii_case(&child));
        let key = &mut keys[id];
        key.columns.extend(column);
        key.parent_columns.extend(row.get::<_, Option<String>>("to")?);
    }
    keys.reverse();
    if text.foreign_keys.len() == keys.len() {
        for (key, text) in keys.iter_mut().zip(&text.foreign_keys) {
            key.name.clone_from(&text.name);
            key.deferred = text.deferred;
        }
    }
    Ok(keys)
}
