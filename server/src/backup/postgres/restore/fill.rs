//! A database from nothing to what the backup holds.

use tokio_postgres::{Client, error::SqlState};

use super::{
    Restore,
    archive::{Archive, Entries, Section},
    check,
    load::load_rows,
};
use crate::{
    backup::{
        chunk::Fetch,
        manifest::{Missing, SchemaDump},
        postgres::{
            catalog::{self, missing},
            ddl::Selection,
        },
    },
    db::postgres::{Postgres, explain, failed},
    error::{Error, Reason, Result},
};

/// Most causes that an error names.
const CAUSES: usize = 5;

/// Fills an empty database and validates it; what could not be restored besides tables.
pub(super) async fn fill(
    job: &Restore<'_, impl Fetch>,
    selection: &Selection<'_>,
    postgres: &Postgres,
) -> Result<Vec<Missing>> {
    let facts = catalog::facts(&*postgres.get().await?).await?;
    let place = (postgres, facts.name.as_str());
    let whole = job.tables.is_none();
    let mut found = match (&job.content.dump, whole) {
        (Some(dump), true) => from_archive(job, dump, selection, place).await?,
        (dump, _) => {
            let mut found = match dump {
                Some(dump) => surroundings(job, dump, place).await?,
                None => Vec::new(),
            };
            found.extend(from_catalog(job, selection, postgres).await?);
            found
        }
    };
    let checked = check::check(postgres, selection, whole, job.progress).await;
    checked.map_err(|error| with_causes(error, &found))?;
    found.extend(finish(postgres).await?);
    Ok(found)
}

async fn from_archive(
    job: &Restore<'_, impl Fetch>,
    dump: &SchemaDump,
    selection: &Selection<'_>,
    place: (&Postgres, &str),
) -> Result<Vec<Missing>> {
    let archive = Archive::fetch(dump, job.fetch, place, (job.programs, job.scratch)).await?;
    let archive = archive.choose(Entries::AllBut(&dump.own_triggers)).await?;
    let mut found = archive.restore(Section::PreData).await?;
    let absent = check::absent(place.0, selection).await?;
    if let Some(table) = absent.first() {
        let message = format!("table {table} and {} more were not made", absent.len() - 1);
        let error = Error::new(Reason::RestoreFailed, message)
            .hint("the server lacks what the tables need: roles, extensions, or rights");
        return Err(with_causes(error, &found));
    }
    load_rows(place.0, &selection.tables, job.fetch, job.progress).await?;
    all(&*place.0.get().await?, &selection.positions()).await?;
    found.extend(archive.restore(Section::PostData).await?);
    Ok(found)
}

/// What `pg_restore` said goes with the error that comes of it.
fn with_causes(error: Error, found: &[Missing]) -> Error {
    if found.is_empty() || error.reason() != Reason::RestoreFailed {
        return error;
    }
    let said: Vec<&str> =
        found.iter().take(CAUSES).map(|missing| missing.message.as_str()).collect();
    let message = format!("{}; {}", error.message(), said.join("; "));
    Error::new(error.reason(), message).hint(error.hint_text())
}

/// What a selection of tables may need: types, functions, extensions. What cannot be made shows
/// where a table needs it.
async fn surroundings(
    job: &Restore<'_, impl Fetch>,
    dump: &SchemaDump,
    place: (&Postgres, &str),
) -> Result<Vec<Missing>> {
    let archive = Archive::fetch(dump, job.fetch, place, (job.programs, job.scratch)).await?;
    let archive = archive.choose(Entries::Surroundings).await?;
    archive.restore(Section::PreData).await
}

async fn from_catalog(
    job: &Restore<'_, impl Fetch>,
    selection: &Selection<'_>,
    postgres: &Postgres,
) -> Result<Vec<Missing>> {
    let client = postgres.get().await?;
    all(&client, &selection.before_rows()).await?;
    load_rows(postgres, &selection.tables, job.fetch, job.progress).await?;
    all(&client, &selection.positions()).await?;
    all(&client, &selection.bindings()).await?;
    all(&client, &selection.keys()).await?;
    let mut found = Vec::new();
    for (table, sql) in selection.foreign_keys() {
        let absent = [SqlState::UNDEFINED_TABLE, SqlState::INVALID_SCHEMA_NAME];
        match client.batch_execute(sql).await {
            Err(error) if error.code().is_some_and(|code| absent.contains(code)) => {
                let name = format!("{}.{}", table.schema, table.name);
                let message = "a foreign key to a table that was not restored is left out";
                found.push(missing("foreign_key_left_out", &name, message.into()));
            }
            result => result.map_err(failed)?,
        }
    }
    Ok(found)
}

async fn all(client: &Client, statements: &[impl AsRef<str>]) -> Result<()> {
    for sql in statements {
        client.batch_execute(sql.as_ref()).await.map_err(failed)?;
    }
    Ok(())
}

/// Computes materialized views, which a dump of the schema leaves empty, and statistics.
async fn finish(postgres: &Postgres) -> Result<Vec<Missing>> {
    let client = postgres.get().await?;
    let sql = "SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c \
                 JOIN pg_namespace n ON n.oid = c.relnamespace \
               WHERE c.relkind = 'm' AND NOT c.relispopulated ORDER BY c.oid";
    let rows = client.query(sql, &[]).await.map_err(failed)?;
    let mut waiting: Vec<(String, String)> =
        rows.iter().map(|row| (row.get(0), String::new())).collect();
    // One that reads another one waits for it.
    loop {
        let before = waiting.len();
        let mut still = Vec::new();
        for (view, _) in waiting {
            let sql = format!("REFRESH MATERIALIZED VIEW {view}");
            if let Err(error) = client.batch_execute(&sql).await {
                still.push((view, explain(&error).to_string()));
            }
        }
        waiting = still;
        if waiting.is_empty() || waiting.len() == before {
            break;
        }
    }
    // PostgreSQL's own tables belong to the superuser: each would be a warning in the log.
    let sql = "SELECT string_agg(format('%I.%I', n.nspname, c.relname), ', ') FROM pg_class c \
                 JOIN pg_namespace n ON n.oid = c.relnamespace \
               WHERE c.relkind IN ('r', 'p', 'm') AND n.nspname !~ '^pg_' \
                 AND n.nspname <> 'information_schema'";
    let tables: Option<String> = client.query_one(sql, &[]).await.map_err(failed)?.get(0);
    if let Some(tables) = tables {
        client.batch_execute(&format!("ANALYZE {tables}")).await.map_err(failed)?;
    }
    let each = waiting.into_iter().map(|(view, why)| {
        let message = format!("a materialized view could not be computed: {why}");
        missing("materialized_view", &view, message)
    });
    Ok(each.collect())
}
