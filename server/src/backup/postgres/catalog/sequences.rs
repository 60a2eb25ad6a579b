//! Sequences and where they are.

use tokio_postgres::{GenericClient, Row};

use crate::{
    backup::{
        manifest::{SequenceOwner, StoredSequence, TableName},
        postgres::{NO_EXTENSION, SCHEMAS},
    },
    db::postgres::failed,
    dialect::ident::qualified,
    error::{Error, Reason, Result},
};

/// Sequences that one query asks.
const AT_ONCE: usize = 100;

/// Every sequence but those of extensions. Where one is belongs to no snapshot: it is read later,
/// and so never behind a row that the snapshot shows.
pub(in super::super) async fn sequences(
    client: &impl GenericClient,
) -> Result<Vec<StoredSequence>> {
    let sql = format!(
        "SELECT n.nspname::text, c.relname::text, format_type(s.seqtypid, NULL), s.seqstart, \
           s.seqincrement, s.seqmin, s.seqmax, s.seqcycle, on_.nspname::text, \
           oc.relname::text, oa.attname::text, d.deptype::text = 'i', \
           has_schema_privilege(n.oid, 'USAGE') AND has_sequence_privilege(c.oid, 'SELECT') \
         FROM pg_sequence s JOIN pg_class c ON c.oid = s.seqrelid \
           JOIN pg_namespace n ON n.oid = c.relnamespace \
           LEFT JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid \
             AND d.refclassid = 'pg_class'::regclass AND d.refobjsubid > 0 \
             AND d.deptype IN ('a', 'i') \
           LEFT JOIN pg_class oc ON oc.oid = d.refobjid \
           LEFT JOIN pg_namespace on_ ON on_.oid = oc.relnamespace \
           LEFT JOIN pg_attribute oa ON oa.attrelid = d.refobjid AND oa.attnum = d.refobjsubid \
         WHERE c.relpersistence <> 't' AND {SCHEMAS} AND {NO_EXTENSION} \
         ORDER BY n.nspname, c.relname"
    );
    let rows = client.query(&sql, &[]).await.map_err(failed)?;
    if let Some(row) = rows.iter().find(|row| !row.get::<_, bool>(12)) {
        let (schema, name): (&str, &str) = (row.get(0), row.get(1));
        let message =
            format!("sequence {schema}.{name} may not be read, so that it cannot be backed up");
        return Err(Error::new(Reason::TargetPermission, message)
            .hint("grant the user of SWITCHBACK_POSTGRES SELECT on the sequences"));
    }
    let mut sequences: Vec<StoredSequence> = rows.iter().map(sequence).collect();
    for some in sequences.chunks_mut(AT_ONCE) {
        read_positions(client, some).await?;
    }
    Ok(sequences)
}

async fn read_positions(
    client: &impl GenericClient,
    sequences: &mut [StoredSequence],
) -> Result<()> {
    let queries: Vec<String> = sequences
        .iter()
        .enumerate()
        .map(|(number, sequence)| {
            let name = qualified(&sequence.schema, &sequence.name);
            format!("SELECT {number} AS number, last_value, is_called FROM {name}")
        })
        .collect();
    let sql = format!("{} ORDER BY number", queries.join(" UNION ALL "));
    let rows = client.query(&sql, &[]).await.map_err(failed)?;
    for (sequence, row) in sequences.iter_mut().zip(&rows) {
        (sequence.last_value, sequence.is_called) = (row.get(1), row.get(2));
    }
    Ok(())
}

fn sequence(row: &Row) -> StoredSequence {
    let owner = row.get::<_, Option<String>>(8).map(|schema| SequenceOwner {
        table: TableName { schema, name: row.get(9) },
        column: row.get(10),
        identity: row.get(11),
    });
    StoredSequence {
        schema: row.get(0),
        name: row.get(1),
        data_type: row.get(2),
        start: row.get(3),
        increment: row.get(4),
        minimum: row.get(5),
        maximum: row.get(6),
        cycle: row.get(7),
        last_value: 0,
        is_called: false,
        owner,
    }
}
