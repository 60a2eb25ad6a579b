//! Every value of the source tried with the codec that a reviewed plan gives its column.

use std::collections::BTreeMap;

use rusqlite::Connection;
use switchback_proto::v1::{Disposition, Finding, Plan, Severity, TablePlan};
use tokio_util::sync::CancellationToken;

use crate::{
    capture::guard::Seen,
    copy::{
        encode::{code, codec, words},
        reader::{ChunkEnd, Flow, RowSink, SourceRow, TableReader, Term, changed},
    },
    db::source::SourceFile,
    dialect::{
        codec::{Codec, Refusal},
        ddl,
        schema::SourceSchema,
    },
    error::Result,
    task::cancelled,
};

/// Keys that are named for each trouble of a column.
const EXAMPLES: usize = 5;

/// Rows between two looks at whether to stop.
const ROWS_A_LOOK: u64 = 4096;

/// Values that the plan's codecs cannot carry: blockers, or warnings where the plan's choice for
/// them is to reject.
pub fn refused_values(
    source: &SourceFile,
    connection: &Connection,
    plan: &Plan,
    schema: &SourceSchema,
    halt: &CancellationToken,
) -> Result<Vec<Finding>> {
    let seen = Seen::now(connection).map_err(|error| source.explain(error))?;
    let mut findings = Vec::new();
    for planned in &plan.tables {
        let table = schema.tables.iter().find(|table| table.name == planned.source);
        let table = table.ok_or_else(changed)?;
        let columns = ddl::copy_columns(planned);
        let terms: Vec<Term<'_>> =
            columns.iter().map(|column| Term::of(&column.source, &column.expression)).collect();
        let codecs = columns.iter().map(|column| codec(planned, &column.codec));
        let mut trial = Trial {
            source,
            codecs: codecs.collect::<Result<_>>()?,
            scratch: Vec::new(),
            refused: BTreeMap::new(),
            rows: 0,
            halt,
        };
        TableReader::new(source, connection, &seen, table, &terms).read(&mut trial)?;
        let refused = trial.refused;
        findings.extend(refused.into_iter().map(|((column, refusal), trouble)| {
            let column = columns[column];
            let name = if column.source.is_empty() { &column.target } else { &column.source };
            finding(plan, planned, name, refusal, trouble)
        }));
    }
    Ok(findings)
}

struct Trial<'a> {
    source: &'a SourceFile,
    codecs: Vec<Codec>,
    scratch: Vec<u8>,
    refused: BTreeMap<(usize, Refusal), Trouble>,
    rows: u64,
    halt: &'a CancellationToken,
}

#[derive(Default)]
struct Trouble {
    count: u64,
    examples: Vec<String>,
}

impl RowSink for Trial<'_> {
    fn row(&mut self, row: SourceRow<'_, '_>) -> Result<Flow> {
        self.rows += 1;
        if self.rows.is_multiple_of(ROWS_A_LOOK) && self.halt.is_cancelled() {
            return Err(cancelled());
        }
        for (column, codec) in self.codecs.iter().enumerate() {
            self.scratch.clear();
            let value = row.value(column).map_err(|error| self.source.explain(error))?;
            if let Err(refusal) = codec.encode(value, &mut self.scratch) {
                let trouble = self.refused.entry((column, refusal)).or_default();
                trouble.count += 1;
                if trouble.examples.len() < EXAMPLES {
                    let key = row.key().map_err(|error| self.source.explain(error))?;
                    trouble.examples.push(key);
                }
            }
        }
        Ok(Flow::More)
    }

    fn end_chunk(&mut self, _: ChunkEnd) -> Result<()> {
        Ok(())
    }
}

fn finding(
    plan: &Plan,
    table: &TablePlan,
    column: &str,
    refusal: Refusal,
    trouble: Trouble,
) -> Finding {
    let code = code(refusal);
    let reject = plan
        .choices
        .iter()
        .any(|choice| choice.code == code && choice.disposition() == Disposition::Reject);
    let severity = if reject { Severity::Warning } else { Severity::Blocker };
    Finding {
        code: code.into(),
        severity: severity.into(),
        table: table.source.clone(),
        column: column.into(),
        count: trouble.count,
        examples: trouble.examples,
        message: format!("the plan's codec for the column refuses {}", words(refusal)),
        hint: "change the column's type and codec in the plan, or choose `reject` for the code"
            .into(),
        choices: vec![Disposition::Fail.into(), Disposition::Reject.into()],
    }
}
