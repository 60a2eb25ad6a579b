//! One table as both sides are asked for it.

use std::collections::HashSet;

use switchback_proto::v1::{ColumnPlan, Plan, TablePlan};

use super::{
    KeptAside,
    catalog::{Catalog, Relation},
    change_log::LogKeys,
    lookup::Lookup,
};
use crate::{
    capture::table_number,
    copy::{encode, key, reader::Term},
    dialect::{
        capture::{CaptureKey, capture_key},
        codec::{Codec, NumericForm},
        ident::{qualified, quote},
        schema::{SourceSchema, Table},
        value::Value,
    },
    error::{Error, Reason, Result},
};

/// Column of ours in the target that carries the rowid of a table whose key names no rows, until
/// the migration is finalized.
pub(super) use crate::dialect::capture::ROWID_COLUMN as ROWID;

/// A column of the plan.
#[derive(Debug, Clone)]
pub(super) struct WorkColumn {
    /// Name in the source; empty where an expression gives the values.
    pub(super) source: String,
    /// SQL expression of SQLite over the row; empty where the source has the column.
    pub(super) expression: String,
    /// Name in the target.
    pub(super) target: String,
    /// The built-in type in whose form the target sends values; empty where that is the type itself.
    pub(super) wire: String,
    /// The source has it; otherwise it is compared as NULL.
    pub(super) in_source: bool,
    /// How the source's values look on the other side.
    pub(super) codec: Codec,
    /// PostgreSQL computes it.
    pub(super) generated: bool,
    /// It is compared as NULL on both sides.
    pub(super) ignored: bool,
    /// It is no column of the application.
    pub(super) ours: bool,
}

impl WorkColumn {
    /// What gives its values in the source.
    pub(super) fn term(&self) -> Term<'_> {
        if self.in_source { Term::of(&self.source, &self.expression) } else { Term::Nothing }
    }

    fn shown(&self) -> &str {
        if self.source.is_empty() { &self.target } else { &self.source }
    }
}

/// A table to compare.
#[derive(Debug, Clone)]
pub(super) struct TableWork {
    /// Name in the source.
    pub(super) name: String,
    /// All columns of the plan, and behind them the rowid where the target carries it.
    pub(super) columns: Vec<WorkColumn>,
    /// Number of fields as a row begins with it.
    pub(super) field_count: [u8; 2],
    /// Numbers of the key's columns.
    pub(super) key: Vec<usize>,
    /// The table in the source, if it is there.
    pub(super) table: Option<Table>,
    /// What reads the table from the target; none where it is not there.
    pub(super) select: Option<String>,
    /// What counts its rows there.
    pub(super) count: Option<String>,
    /// How many rows there are left out of both: the source cannot hold them.
    pub(super) kept_aside: u64,
    /// Rows that the census counted.
    pub(super) rows_total: u64,
    /// How the change log names its rows, where one is followed.
    pub(super) log: Option<LogKeys>,
    /// How both sides are asked for a few rows, where that is quick.
    pub(super) lookup: Option<Lookup>,
}

impl TableWork {
    /// Prepares the comparison of a planned table with what is there.
    pub(super) fn new(
        plan: &Plan,
        table: &TablePlan,
        schema: &SourceSchema,
        catalog: &Catalog,
    ) -> Result<Self> {
        let source = schema.tables.iter().find(|found| found.name == table.source);
        let names: HashSet<&str> = source
            .iter()
            .flat_map(|table| &table.columns)
            .map(|column| column.name.as_str())
            .collect();
        // What PostgreSQL computes and nothing of the source says is no concern here.
        let compared =
            |column: &&ColumnPlan| !column.source.is_empty() || !column.expression.is_empty();
        let columns = table.columns.iter().filter(compared).map(|column| {
            Ok(WorkColumn {
                source: column.source.clone(),
                expression: column.expression.clone(),
                target: column.target.clone(),
                wire: column.wire.clone(),
                in_source: !column.expression.is_empty() || names.contains(column.source.as_str()),
                codec: encode::codec(table, &column.codec)?,
                generated: !column.generated.is_empty(),
                ignored: false,
                ours: false,
            })
        });
        let full = qualified(&plan.target_schema, &table.target);
        let relation = catalog.relations.get(&table.target);
        let columns: Vec<WorkColumn> = columns.collect::<Result<_>>()?;
        let key = table.primary_key.iter();
        let key = key.filter_map(|name| columns.iter().position(|c| c.target == *name));
        let mut work = Self {
            name: table.source.clone(),
            key: key.collect(),
            columns,
            field_count: [0; 2],
            table: source.cloned(),
            select: None,
            count: relation.map(|_| format!("SELECT count(*) FROM {full} AS t")),
            kept_aside: 0,
            rows_total: table.rows,
            log: None,
            lookup: None,
        };
        work.ask(&full, relation)?;
        Ok(work)
    }

    /// The same for a pair whose source is written to: rows are named as its change log does.
    pub(super) fn followed(
        plan: &Plan,
        table: &TablePlan,
        schema: &SourceSchema,
        catalog: &Catalog,
    ) -> Result<Self> {
        let mut work = Self::new(plan, table, schema, catalog)?;
        let position = schema.tables.iter().position(|found| found.name == table.source);
        let (Some(position), Some(source)) = (position, work.table.clone()) else {
            return Ok(work);
        };
        let mut named = capture_key(&source);
        match &named {
            CaptureKey::Columns(columns) => {
                let found = columns.iter().map(|column| {
                    let name = &source.columns[*column].name;
                    work.columns.iter().position(|planned| {
                        planned.expression.is_empty() && planned.source == *name
                    })
                });
                match found.collect::<Option<Vec<usize>>>() {
                    Some(key) => work.key = key,
                    // Rows that cannot be told apart may all have changed.
                    None => named = CaptureKey::Whole,
                }
            }
            CaptureKey::Rowid(name) => {
                work.key = vec![work.columns.len()];
                work.columns.push(WorkColumn {
                    source: name.clone(),
                    expression: String::new(),
                    target: ROWID.to_owned(),
                    wire: String::new(),
                    in_source: true,
                    codec: Codec::Integer,
                    generated: false,
                    ignored: false,
                    ours: true,
                });
            }
            CaptureKey::Whole => {}
        }
        let codecs = match named {
            CaptureKey::Whole => Vec::new(),
            _ => work.key.iter().map(|column| work.columns[*column].codec).collect(),
        };
        let full = qualified(&plan.target_schema, &table.target);
        let relation = catalog.relations.get(&table.target);
        work.ask(&full, relation)?;
        work.log = Some(LogKeys::new(table_number(position), &source, &named, codecs));
        if let Some(relation) = relation.filter(|_| named != CaptureKey::Whole) {
            work.lookup = Lookup::new(&work, &source, &full, relation);
        }
        Ok(work)
    }

    /// The same without the rows that the source cannot hold.
    pub(super) fn without(self, kept: &KeptAside) -> Self {
        let condition = |sql: String| format!("{sql} WHERE {}", kept.not_kept);
        let (select, count) = (self.select.map(condition), self.count.map(condition));
        Self { select, count, kept_aside: kept.rows, ..self }
    }

    /// The same without the columns that are not carried back, for a target that applications have
    /// written to.
    pub(super) fn both_ways(
        mut self,
        plan: &Plan,
        table: &TablePlan,
        catalog: &Catalog,
    ) -> Result<Self> {
        let computed = |name: &str| {
            let columns = self.table.iter().flat_map(|table| &table.columns);
            let mut found = columns.filter(|column| column.name == name);
            found.any(|column| column.generated.is_some())
        };
        let one_way = |column: &WorkColumn| {
            !column.expression.is_empty() || (!column.generated && computed(&column.source))
        };
        let ignored: Vec<bool> = self.columns.iter().map(one_way).collect();
        for (column, ignored) in self.columns.iter_mut().zip(ignored) {
            column.ignored = ignored;
        }
        let full = qualified(&plan.target_schema, &table.target);
        self.ask(&full, catalog.relations.get(&table.target))?;
        Ok(self)
    }

    /// Makes ready what depends on the columns.
    fn ask(&mut self, full: &str, relation: Option<&Relation>) -> Result<()> {
        let fields = i16::try_from(self.columns.len()).map_err(|_| {
            Error::new(Reason::InvalidPlan, "the plan has a table of more than 1,600 columns")
        })?;
        self.field_count = fields.to_be_bytes();
        self.select = relation.map(|relation| {
            let columns = self.terms(relation);
            format!("SELECT {columns} FROM {full} AS t")
        });
        Ok(())
    }

    /// The columns as the target is asked for them.
    pub(super) fn terms(&self, relation: &Relation) -> String {
        let columns = self.columns.iter().map(|column| {
            let Some(actual) = relation.columns.get(&column.target).filter(|_| !column.ignored)
            else {
                return "NULL".to_owned();
            };
            let value = format!("t.{}", quote(&column.target));
            match column.codec {
                // What it makes of a number has no zeros at the end.
                Codec::NumericAs(None, NumericForm::Any) if actual.type_name == "numeric" => {
                    format!("trim_scale({value})")
                }
                _ => value,
            }
        });
        columns.collect::<Vec<_>>().join(", ")
    }

    /// Renders a row of the source as PostgreSQL would send it; false where the target cannot
    /// hold it.
    pub(super) fn encode<'v>(
        &self,
        value: impl Fn(usize) -> rusqlite::Result<Value<'v>>,
        tuple: &mut Vec<u8>,
        ends: &mut Vec<usize>,
    ) -> rusqlite::Result<bool> {
        tuple.clear();
        ends.clear();
        tuple.extend_from_slice(&self.field_count);
        for (number, column) in self.columns.iter().enumerate() {
            let value = if column.ignored { Value::Null } else { value(number)? };
            if column.codec.encode(value, tuple).is_err() {
                if !column.generated {
                    return Ok(false);
                }
                // PostgreSQL computes the value and cannot have come to this one: a field that
                // no type sends.
                tuple.extend_from_slice(&[0xff; 5]);
            }
            ends.push(tuple.len());
        }
        Ok(true)
    }

    /// Numbers and names of the columns that are copied.
    pub(super) fn copied(&self) -> impl Iterator<Item = (usize, &str)> {
        let copied =
            |column: &WorkColumn| !column.generated && !column.ours && column.expression.is_empty();
        let columns = self.columns.iter().enumerate().filter(move |(_, column)| copied(column));
        columns.map(|(number, column)| (number, column.source.as_str()))
    }

    /// What all columns are called in reports.
    pub(super) fn names(&self) -> Vec<&str> {
        self.columns.iter().map(WorkColumn::shown).collect()
    }

    /// Names a row by the bytes of its key's fields, each with its length in front. The target
    /// may hold anything, so what the codec does not know is shown as bytes.
    pub(super) fn name_of(&self, mut bytes: &[u8]) -> String {
        let mut parts = Vec::new();
        for number in &self.key {
            let column = &self.columns[*number];
            let shown = if column.ours { "rowid" } else { column.shown() };
            let Some((length, rest)) = bytes.split_first_chunk::<4>() else { break };
            let length = usize::try_from(i32::from_be_bytes(*length)).ok();
            let (field, rest) = rest.split_at(length.unwrap_or(0).min(rest.len()));
            bytes = rest;
            parts.push(match column.codec.decode(length.map(|_| field)) {
                Ok(value) => key::name(&[(shown, value)]),
                Err(_) => format!("{shown}={}", key::hex(field)),
            });
        }
        parts.join(", ")
    }
}
