//! What a backup does not hold, so that nobody learns it from a restore.

use tokio_postgres::GenericClient;

use super::Table;
use crate::{
    backup::{manifest::Missing, postgres::SCHEMAS},
    db::postgres::failed,
    dialect::ident::qualified,
    error::Result,
};

/// What neither the dump nor the rows hold.
pub(in super::super) async fn gaps(client: &impl GenericClient) -> Result<Vec<Missing>> {
    let mut found = foreign_tables(client).await?;
    found.extend(extension_rows(client).await?);
    let count = "SELECT count(*) FROM pg_largeobject_metadata";
    let count: i64 = client.query_one(count, &[]).await.map_err(failed)?.get(0);
    if count > 0 {
        let message = format!("{count} large objects are not in the backup");
        found.push(missing("large_objects", "", message));
    }
    let sql = "SELECT subname::text FROM pg_subscription WHERE subdbid = \
                 (SELECT oid FROM pg_database WHERE datname = current_database()) ORDER BY 1";
    for row in client.query(sql, &[]).await.map_err(failed)? {
        let message = format!(
            "subscription {} is not in the backup: a restored one would take its slot",
            row.get::<_, &str>(0)
        );
        found.push(missing("subscription", "", message));
    }
    Ok(found)
}

async fn foreign_tables(client: &impl GenericClient) -> Result<Vec<Missing>> {
    let sql = format!(
        "SELECT n.nspname::text, c.relname::text \
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
         WHERE c.relkind = 'f' AND {SCHEMAS} ORDER BY 1, 2"
    );
    let rows = client.query(&sql, &[]).await.map_err(failed)?;
    let each = rows.iter().map(|row| {
        let name = format!("{}.{}", row.get::<_, &str>(0), row.get::<_, &str>(1));
        let message = "rows of a foreign table are in another database and not in the backup";
        missing("foreign_table", &name, message.into())
    });
    Ok(each.collect())
}

/// Rows that an application has put into tables of an extension, which `CREATE EXTENSION` makes
/// anew without them.
async fn extension_rows(client: &impl GenericClient) -> Result<Vec<Missing>> {
    let sql = "SELECT n.nspname::text, c.relname::text, e.extname::text, k.condition, \
                 has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT') \
               FROM pg_extension e \
                 CROSS JOIN unnest(e.extconfig, e.extcondition) AS k (relation, condition) \
                 JOIN pg_class c ON c.oid = k.relation AND c.relkind = 'r' \
                 JOIN pg_namespace n ON n.oid = c.relnamespace ORDER BY 1, 2";
    let mut found = Vec::new();
    for row in client.query(sql, &[]).await.map_err(failed)? {
        let (schema, name): (&str, &str) = (row.get(0), row.get(1));
        let condition: Option<&str> = row.get(3);
        let table = qualified(schema, name);
        let ask = format!("SELECT EXISTS (SELECT FROM {table} {})", condition.unwrap_or_default());
        let readable: bool = row.get(4);
        if readable && !client.query_one(&ask, &[]).await.map_err(failed)?.get::<_, bool>(0) {
            continue;
        }
        let extension: &str = row.get(2);
        let message = format!(
            "rows that were put into a table of the extension {extension} are not in the backup"
        );
        found.push(missing("extension_rows", &format!("{schema}.{name}"), message));
    }
    Ok(found)
}

/// What is missing besides where there is no dump; `why` says why there is none.
pub(in super::super) fn without_dump(why: &str, tables: &[Table]) -> Vec<Missing> {
    let message = format!(
        "{why}: views, functions, triggers, types, extensions, policies, rules, comments, \
         privileges, collations of columns and storage settings are not in the backup; tables, \
         keys, indexes and sequences are. Install PostgreSQL's client programs of the server's \
         version where switchbackd runs, or name their directory in SWITCHBACK_PG_BIN"
    );
    let mut found = vec![missing("no_schema_dump", "", message)];
    for table in tables {
        let name = format!("{}.{}", table.stored.schema, table.stored.name);
        if table.unlogged {
            let message = "an unlogged table is restored as an ordinary one";
            found.push(missing("unlogged_table", &name, message.into()));
        }
        if table.own_types {
            let message = "the table has types that must exist where it is to be restored";
            found.push(missing("own_types", &name, message.into()));
        }
    }
    found
}

/// A finding; `table` is a name with its schema, or empty.
pub(in super::super) fn missing(code: &str, table: &str, message: String) -> Missing {
    Missing { code: code.into(), table: table.into(), message }
}
