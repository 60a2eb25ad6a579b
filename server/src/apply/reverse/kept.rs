//! Keeping the rows aside in PostgreSQL that a batch could not write into SQLite.

use tokio_postgres::{Transaction, types::ToSql};

use super::{
    ReversedTable,
    read::{Taken, TakenTable},
    refused::{Refused, Why},
};
use crate::{
    apply::{tables::Unnested, write::Pieces},
    db::{field_array::FieldArray, postgres::failed},
    dialect::{capture::is_ours, ident},
    error::{Error, Reason, Result},
};

/// Whose rows are kept aside.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KeptOf<'a> {
    pub(crate) database: &'a str,
    pub(crate) migration: &'a str,
    /// Schema of the tables in the target.
    pub(crate) schema: &'a str,
}

/// Forgets what was kept aside of a batch's rows: it is written into SQLite, or kept aside anew.
pub(crate) async fn forget(
    transaction: &Transaction<'_>,
    database: &str,
    tables: &[ReversedTable],
    taken: &mut Taken,
) -> Result<()> {
    for changed in &mut taken.tables {
        let table = &tables[changed.table];
        if table.kept_by.is_some() {
            forget_rows(transaction, database, table, changed).await?;
        }
    }
    Ok(())
}

async fn forget_rows(
    transaction: &Transaction<'_>,
    database: &str,
    table: &ReversedTable,
    changed: &mut TakenTable,
) -> Result<()> {
    let sql = format!(
        "DELETE FROM switchback.kept_aside WHERE database = $1 AND tab = {} AND NOT left_behind",
        table.followed.number
    );
    if changed.whole {
        return transaction.execute(&sql, &[&database]).await.map(drop).map_err(failed);
    }
    let width = table.followed.key.as_ref().map_or(0, Vec::len);
    let columns = |each: &dyn Fn(usize) -> String| (1..=width).map(each).collect::<Vec<_>>();
    let arrays = columns(&|number| format!("${}::bytea[]", number + 1)).join(", ");
    let names = columns(&|number| format!("k{number}")).join(", ");
    let sql =
        format!("{sql} AND key IN (SELECT ARRAY[{names}] FROM unnest({arrays}) AS k ({names}))");
    let statement = transaction.prepare(&sql).await.map_err(failed)?;
    let mut pieces = Pieces::new(&mut changed.keys, width)?;
    while let Some(arrays) = pieces.next()? {
        let mut values: Vec<&(dyn ToSql + Sync)> = vec![&database];
        values.extend(arrays.iter().map(|array| array as &(dyn ToSql + Sync)));
        transaction.execute(&statement, &values).await.map_err(failed)?;
    }
    Ok(())
}

/// Keeps rows aside exactly as the transaction that took them sees them.
pub(crate) async fn keep(
    transaction: &Transaction<'_>,
    of: KeptOf<'_>,
    tables: &[ReversedTable],
    refused: &[Refused],
) -> Result<()> {
    for (number, table) in tables.iter().enumerate() {
        let rows: Vec<&Refused> = refused.iter().filter(|row| row.table == number).collect();
        if !rows.is_empty() {
            let kept = keep_rows(transaction, of, table, &rows).await;
            kept.map_err(|error| error.at(format!("table {}", table.followed.plan.source)))?;
        }
    }
    Ok(())
}

async fn keep_rows(
    transaction: &Transaction<'_>,
    of: KeptOf<'_>,
    table: &ReversedTable,
    rows: &[&Refused],
) -> Result<()> {
    let (Some(kept_by), Some(key)) = (&table.kept_by, &table.followed.key) else {
        return Err(unnamed());
    };
    let terms = format!(
        "{}, {}, (SELECT epoch FROM switchback.returned WHERE database = {0}), {}, {kept_by}, {}, \
         k.row_key, k.why, k.column_name, {}",
        ident::literal(of.database),
        ident::literal(of.migration),
        table.followed.number,
        ident::literal(&table.followed.plan.source),
        row_text(transaction, of.schema, &table.followed.plan.target).await?
    );
    let unnested = Unnested::new(of.schema, &table.followed.plan, &table.followed.columns);
    let sql = format!(
        "INSERT INTO switchback.kept_aside (database, migration, epoch, tab, key, source_table, \
           row_key, why, column_name, row_text) {}",
        unnested.select_beside(key, &terms, &["row_key", "why", "column_name"])
    );
    let mut fields: Vec<FieldArray> = key.iter().map(|_| FieldArray::default()).collect();
    for row in rows {
        for (array, field) in fields.iter_mut().zip(&row.key) {
            // PostgreSQL has sent it.
            let length = i32::try_from(field.len()).unwrap_or(i32::MAX);
            array.fields.extend_from_slice(&length.to_be_bytes());
            array.fields.extend_from_slice(field);
            array.count += 1;
        }
    }
    let row_keys: Vec<&str> = rows.iter().map(|row| row.row_key.as_str()).collect();
    let why: Vec<&str> = rows.iter().map(|row| row.why.word()).collect();
    let column = |row: &&Refused| match row.why {
        Why::Value(number) => table.followed.columns[number].target.as_str(),
        Why::Constraint => "",
    };
    let columns: Vec<&str> = rows.iter().map(column).collect();
    let mut values: Vec<&(dyn ToSql + Sync)> =
        fields.iter().map(|array| array as &(dyn ToSql + Sync)).collect();
    values.extend([&row_keys as &(dyn ToSql + Sync), &why, &columns]);
    let kept = transaction.execute(&sql, &values).await.map_err(failed)?;
    if usize::try_from(kept) == Ok(rows.len()) { Ok(()) } else { Err(unnamed()) }
}

/// A row `t` as a JSON object: every column that it has now, and its value as text. Our sessions
/// set what the form of a value depends on.
async fn row_text(transaction: &Transaction<'_>, schema: &str, table: &str) -> Result<String> {
    let sql = "SELECT a.attname::text FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid \
                 JOIN pg_namespace n ON n.oid = c.relnamespace \
               WHERE n.nspname = $1 AND c.relname = $2 AND a.attnum > 0 AND NOT a.attisdropped \
               ORDER BY a.attnum";
    let columns = transaction.query(sql, &[&schema, &table]).await.map_err(failed)?;
    let columns: Vec<&str> = columns.iter().map(|row| row.get(0)).collect();
    let own = || columns.iter().filter(|name| !is_ours(name));
    let names: Vec<String> = own().map(|name| ident::literal(name)).collect();
    let texts: Vec<String> = own().map(|name| format!("t.{}::text", ident::quote(name))).collect();
    Ok(format!("json_object(ARRAY[{}]::text[], ARRAY[{}])", names.join(", "), texts.join(", ")))
}

fn unnamed() -> Error {
    Error::new(Reason::Internal, "a row that SQLite cannot hold was not found by its key")
}
