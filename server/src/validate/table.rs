//! One table as both sides are asked for it.

use std::collections::HashSet;

use switchback_proto::v1::{Plan, TablePlan};

use super::catalog::{Catalog, Relation};
use crate::{
    copy::{encode, key},
    dialect::{
        codec::Codec,
        ident::{qualified, quote},
        schema::{SourceSchema, Table},
    },
    error::{Error, Reason, Result},
};

/// A column of the plan.
#[derive(Debug, Clone)]
pub(super) struct WorkColumn {
    /// Name in the source.
    pub(super) source: String,
    /// The source has it; otherwise it is compared as NULL.
    pub(super) in_source: bool,
    /// How the source's values look on the other side.
    pub(super) codec: Codec,
    /// PostgreSQL computes it.
    pub(super) generated: bool,
}

/// A table to compare.
#[derive(Debug, Clone)]
pub(super) struct TableWork {
    /// Name in the source.
    pub(super) name: String,
    /// All columns of the plan.
    pub(super) columns: Vec<WorkColumn>,
    /// Number of fields as a row begins with it.
    pub(super) field_count: [u8; 2],
    /// Numbers of the key's columns.
    pub(super) key: Vec<usize>,
    /// The table in the source, if it is there.
    pub(super) table: Option<Table>,
    /// What reads the table from the target; none where it is not there.
    pub(super) copy_out: Option<String>,
    /// What counts its rows there.
    pub(super) count: Option<String>,
    /// Rows that the census counted.
    pub(super) rows_total: u64,
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
        let columns = table.columns.iter().map(|column| {
            Ok(WorkColumn {
                source: column.source.clone(),
                in_source: names.contains(column.source.as_str()),
                codec: encode::codec(table, &column.codec)?,
                generated: !column.generated.is_empty(),
            })
        });
        let key = table.primary_key.iter();
        let key = key.filter_map(|name| table.columns.iter().position(|c| c.target == *name));
        let fields = i16::try_from(table.columns.len()).map_err(|_| {
            Error::new(Reason::InvalidPlan, "the plan has a table of more than 1,600 columns")
        })?;
        let full = qualified(&plan.target_schema, &table.target);
        let relation = catalog.relations.get(&table.target);
        Ok(Self {
            name: table.source.clone(),
            columns: columns.collect::<Result<_>>()?,
            field_count: fields.to_be_bytes(),
            key: key.collect(),
            table: source.cloned(),
            copy_out: relation.map(|relation| copy_out(table, &full, relation)),
            count: relation.map(|_| format!("SELECT count(*) FROM {full}")),
            rows_total: table.rows,
        })
    }

    /// Numbers and names of the columns that are copied.
    pub(super) fn copied(&self) -> impl Iterator<Item = (usize, &str)> {
        let columns = self.columns.iter().enumerate().filter(|(_, column)| !column.generated);
        columns.map(|(number, column)| (number, column.source.as_str()))
    }

    /// Names of all columns in the source.
    pub(super) fn names(&self) -> Vec<&str> {
        self.columns.iter().map(|column| column.source.as_str()).collect()
    }

    /// Names a row by the bytes of its key's fields, each with its length in front. The target
    /// may hold anything, so what the codec does not know is shown as bytes.
    pub(super) fn name_of(&self, mut bytes: &[u8]) -> String {
        let mut parts = Vec::new();
        for number in &self.key {
            let column = &self.columns[*number];
            let Some((length, rest)) = bytes.split_first_chunk::<4>() else { break };
            let length = usize::try_from(i32::from_be_bytes(*length)).ok();
            let (field, rest) = rest.split_at(length.unwrap_or(0).min(rest.len()));
            bytes = rest;
            parts.push(match column.codec.decode(length.map(|_| field)) {
                Ok(value) => key::name(&[(&column.source, value)]),
                Err(_) => format!("{}={}", column.source, key::hex(field)),
            });
        }
        parts.join(", ")
    }
}

fn copy_out(table: &TablePlan, full: &str, relation: &Relation) -> String {
    let columns = table.columns.iter().map(|column| {
        if relation.columns.contains_key(&column.target) {
            quote(&column.target)
        } else {
            "NULL".to_owned()
        }
    });
    let columns: Vec<String> = columns.collect();
    format!("COPY (SELECT {} FROM {full}) TO STDOUT (FORMAT binary)", columns.join(", "))
}
