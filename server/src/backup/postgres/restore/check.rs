//! Whether a restored database is what the backup holds: its tables, every row, its sequences.

use std::collections::HashMap;

use super::OnProgress;
use crate::{
    backup::{
        chunk::{ChunkId, ChunkRef, Sink},
        manifest::{StoredSequence, StoredTable, TableName},
        postgres::{
            Step, Watch,
            catalog::{self, BLOCK_RANGES, Table},
            ddl::Selection,
            read::{Reading, read_rows},
            snapshot::Sessions,
        },
    },
    db::postgres::Postgres,
    error::{Error, Reason, Result},
};

/// Most differences that a message names.
const NAMED: usize = 10;

/// Reads what was restored and compares it. What differs is [`Reason::RestoreFailed`].
pub(super) async fn check(
    postgres: &Postgres,
    selection: &Selection<'_>,
    whole: bool,
    progress: OnProgress<'_>,
) -> Result<()> {
    let mut sessions = Sessions::open(postgres).await?;
    let result = compare(&mut sessions, selection, whole, progress).await;
    if result.is_err() {
        sessions.stop().await;
    }
    let found = result?;
    if found.is_empty() {
        return Ok(());
    }
    let more = found.len().saturating_sub(NAMED);
    let mut text = found[..found.len() - more].join("; ");
    if more > 0 {
        text = format!("{text}; and {more} more");
    }
    Err(Error::new(Reason::RestoreFailed, format!("what was restored differs: {text}"))
        .hint("nothing of it was kept; verify the backup, and look at the findings"))
}

/// Tables of the selection that are not there.
pub(super) async fn absent(postgres: &Postgres, selection: &Selection<'_>) -> Result<Vec<String>> {
    let client = postgres.get().await?;
    let version = catalog::facts(&*client).await?.server_version;
    let found = by_name(catalog::tables(&*client, version).await?);
    let absent = selection.tables.iter().filter(|table| !found.contains_key(&table.table_name()));
    Ok(absent.map(|table| format!("{}.{}", table.schema, table.name)).collect())
}

async fn compare(
    sessions: &mut Sessions,
    selection: &Selection<'_>,
    whole: bool,
    progress: OnProgress<'_>,
) -> Result<Vec<String>> {
    let Some(snapshot) = sessions.snapshot().await? else {
        return Ok(vec!["somebody makes or drops tables".into()]);
    };
    let client = &snapshot.coordinator;
    let version = catalog::facts(client).await?.server_version;
    let tables = by_name(catalog::tables(client, version).await?);
    let mut found = Vec::new();
    let mut readings = Vec::new();
    for stored in &selection.tables {
        let name = stored.table_name();
        match tables.get(&name) {
            None => found.push(format!("table {}.{} is missing", name.schema, name.name)),
            Some(table) => {
                let what = shape(stored, &table.stored, whole);
                found.extend(what.map(|what| format!("{what} of {}.{}", name.schema, name.name)));
                let blocks = (version >= BLOCK_RANGES).then_some(table.blocks);
                readings.push(Reading { table: stored, blocks });
            }
        }
    }
    if !found.is_empty() {
        return Ok(found);
    }
    let watch = Watch { step: Step::Check, progress };
    let contents = read_rows(&snapshot.readers, &readings, &Discard, watch).await?;
    for (stored, content) in selection.tables.iter().zip(contents) {
        let tally = content.tally;
        if stored.partition_by.is_empty()
            && (tally.rows, tally.digest.to_hex()) != (stored.rows, stored.digest.clone())
        {
            found.push(format!("rows of {}.{}", stored.schema, stored.name));
        }
    }
    let sequences = catalog::sequences(client).await?;
    for stored in &selection.sequences {
        if !sequences.iter().any(|sequence| same_sequence(sequence, stored)) {
            found.push(format!("sequence {}.{}", stored.schema, stored.name));
        }
    }
    Ok(found)
}

/// What a table has otherwise. Expressions are not compared: PostgreSQL writes some of them in
/// another form after it has read its own. Of a selection, keys may be left out.
fn shape(stored: &StoredTable, found: &StoredTable, whole: bool) -> Option<&'static str> {
    let column = |table: &StoredTable| -> Vec<(String, String, bool, bool)> {
        let columns = table.columns.iter();
        columns
            .map(|column| {
                let (name, of) = (column.name.clone(), column.r#type.clone());
                (name, of, column.not_null, column.generated.is_empty())
            })
            .collect()
    };
    if column(stored) != column(found) {
        return Some("columns");
    }
    if stored.primary_key != found.primary_key && (whole || stored.bound.is_empty()) {
        return Some("primary key");
    }
    let counts = |table: &StoredTable| (table.constraints.len(), table.indexes.len());
    (whole && counts(stored) != counts(found)).then_some("constraints or indexes")
}

fn same_sequence(found: &StoredSequence, stored: &StoredSequence) -> bool {
    // Its owner may have been left out.
    StoredSequence { owner: None, ..found.clone() }
        == StoredSequence { owner: None, ..stored.clone() }
}

fn by_name(tables: Vec<Table>) -> HashMap<TableName, Table> {
    tables.into_iter().map(|table| (table.stored.table_name(), table)).collect()
}

/// Takes rows that only have to be counted and summed.
struct Discard;

impl Sink for Discard {
    fn id(&self, _content: &[u8]) -> ChunkId {
        ChunkId([0; 32])
    }

    async fn put(&self, content: Vec<u8>) -> Result<ChunkRef> {
        Ok(ChunkRef { id: self.id(&content), length: 0 })
    }
}
