//! The followed tables: how each is read by key, and how it is written.

use switchback_proto::v1::{Plan, TablePlan};

use crate::{
    capture::table_number,
    copy::{
        columns::{self, Column},
        reader::{Lookup, changed},
    },
    dialect::{
        capture::{CaptureKey, capture_key, keyed},
        ident::{qualified, quote},
        schema::{RowAddress, SourceSchema, Table},
        wire,
    },
    error::Result,
};

/// A table whose changes are carried over.
pub(crate) struct FollowedTable {
    /// Its number in the change log.
    pub(crate) number: i64,
    pub(crate) plan: TablePlan,
    pub(crate) columns: Vec<Column>,
    /// Numbers of the columns that name a row; `None` where any change means to copy all of it.
    pub(crate) key: Option<Vec<usize>>,
    /// Rows are named by their rowid, which VACUUM changes.
    pub(crate) by_rowid: bool,
    /// Rows are copied in the order of such a rowid, whatever names them.
    pub(crate) copied_by_rowid: bool,
    /// Reads the row of a key.
    pub(crate) lookup: Lookup,
    /// Deletes the rows of keys that are given as one array a column.
    pub(crate) delete: String,
    /// Deletes all rows.
    pub(crate) delete_all: String,
    /// `COPY … FROM STDIN`.
    pub(crate) copy_in: String,
}

/// The tables of a plan.
pub(crate) fn followed(plan: &Plan, schema: &SourceSchema) -> Result<Vec<FollowedTable>> {
    let tables = plan.tables.iter().map(|planned| {
        let position = schema.tables.iter().position(|table| table.name == planned.source);
        let position = position.ok_or_else(changed)?;
        let table = keyed(&schema.tables[position], planned);
        let columns = columns::carried(planned, &table)?;
        let key =
            columns::key(&columns, &table).filter(|key| is_ordered_here(&table, &columns, key));
        let full = qualified(&plan.target_schema, &planned.target);
        let unnested = Unnested::new(&plan.target_schema, planned, &columns);
        let names: Vec<&str> =
            key.iter().flatten().map(|column| columns[*column].source.as_str()).collect();
        Ok(FollowedTable {
            number: i64::try_from(table_number(position)).unwrap_or(i64::MAX),
            lookup: Lookup::new(&table, &columns::terms(&columns), &names),
            delete: unnested.delete(key.as_deref().unwrap_or_default()),
            delete_all: format!("DELETE FROM {full}"),
            copy_in: columns::copy_in(&plan.target_schema, planned, &columns),
            by_rowid: matches!(capture_key(&table), CaptureKey::Rowid(_)),
            copied_by_rowid: matches!(table.row_address, RowAddress::Rowid(_)),
            plan: planned.clone(),
            columns,
            key,
        })
    });
    tables.collect()
}

/// A key under a collation that only the application has cannot be looked up by its index, whose
/// order is unknown here.
fn is_ordered_here(table: &Table, columns: &[Column], key: &[usize]) -> bool {
    let named = |column: &&crate::dialect::schema::Column| {
        key.iter().any(|number| columns[*number].source == column.name)
    };
    let mut named = table.columns.iter().filter(named);
    named.all(|column| matches!(column.collation.as_str(), "" | "BINARY" | "NOCASE" | "RTRIM"))
}

/// Statements that find rows by keys, which are given as one array a column.
pub(super) struct Unnested<'a> {
    full: String,
    columns: &'a [Column],
}

impl<'a> Unnested<'a> {
    pub(super) fn new(schema: &str, plan: &TablePlan, columns: &'a [Column]) -> Self {
        Self { full: qualified(schema, &plan.target), columns }
    }

    /// The arrays, and how a row is found by their elements. Behind the arrays of the keys' fields
    /// come those of texts `beside` each key.
    fn keys(&self, key: &[usize], beside: &[&str]) -> (String, String) {
        let numbered =
            || key.iter().zip(1..).map(|(column, number)| (&self.columns[*column], number));
        let mut arrays: Vec<String> =
            numbered().map(|(column, number)| format!("${number}::{}[]", column.r#type)).collect();
        let mut names: Vec<String> = numbered().map(|(_, number)| format!("k{number}")).collect();
        let terms: Vec<String> =
            numbered().map(|(column, number)| same(column, &format!("k.k{number}"))).collect();
        arrays
            .extend((key.len() + 1..).zip(beside).map(|(number, _)| format!("${number}::text[]")));
        names.extend(beside.iter().map(|name| (*name).to_owned()));
        let arrays = format!("unnest({}) AS k ({})", arrays.join(", "), names.join(", "));
        (arrays, terms.join(" AND "))
    }

    fn delete(&self, key: &[usize]) -> String {
        let (keys, terms) = self.keys(key, &[]);
        format!("DELETE FROM {} AS t USING {keys} WHERE {terms}", self.full)
    }

    pub(super) fn select(&self, key: &[usize]) -> String {
        self.select_beside(key, &self.carried(), &[])
    }

    /// Terms over `t`, the rows of keys, and `k`, the texts beside each key.
    pub(super) fn select_beside(&self, key: &[usize], terms: &str, beside: &[&str]) -> String {
        let (keys, found) = self.keys(key, beside);
        format!("SELECT {terms} FROM {} AS t, {keys} WHERE {found}", self.full)
    }

    pub(super) fn select_all(&self) -> String {
        format!("SELECT {} FROM {} AS t", self.carried(), self.full)
    }

    fn carried(&self) -> String {
        let names = self.columns.iter().map(|column| format!("t.{}", quote(&column.target)));
        names.collect::<Vec<_>>().join(", ")
    }
}

/// The condition that a column of `t` holds the value of the same type.
fn same(column: &Column, value: &str) -> String {
    let ours = format!("t.{}", quote(&column.target));
    // `json` has no comparison of its own.
    if column.built_in() == "json" {
        return format!("{ours}::text = {value}::text");
    }
    let equal = format!("{ours} = {value}");
    if column.wire.is_empty() {
        return equal;
    }
    // What is equal to the type (`citext`) need not be the same value; only the plain comparison
    // goes by an index.
    format!("{equal} AND {} = {}", column.value("t"), wire::cast(value, &column.wire))
}
