//! What was taken off the tables of an existing schema, and making it again.

use std::collections::HashSet;

use tokio_postgres::{GenericClient, Row, Transaction, error::SqlState, types::ToSql};

use super::{Target, installed_version};
use crate::{
    db::postgres::{explain, failed},
    dialect::{
        ddl::{Aside, AsideKind},
        ident::{literal, qualified, quote},
    },
    error::{Error, Reason, Result},
};

/// Kind of the comment of a foreign key, which is made after the key.
const COMMENT: &str = "comment";

/// Whose objects they are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AsideOf<'a> {
    pub(crate) database: &'a str,
    pub(crate) migration: &'a str,
    /// Schema of the tables.
    pub(crate) schema: &'a str,
}

/// What is to be made again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum GiveBack<'a> {
    /// Everything of a table but its foreign keys, triggers as they were.
    Table(&'a str, &'a str),
    /// Whatever is left, triggers as they were.
    Everything,
    /// What is missing. What an application has changed since the switch stays changed.
    Missing,
}

/// Something that is missing.
struct Missing {
    seq: i64,
    kind: String,
    namespace: String,
    relation: String,
    name: String,
    restore: String,
    /// Whether it is there; triggers and settings are made all the same.
    is_there: bool,
    /// It was made again by the switch.
    was_made: bool,
}

impl Target {
    /// Kind, table and name of all that a migration has set aside.
    pub(crate) async fn set_aside(
        &self,
        database: &str,
        migration: &str,
    ) -> Result<HashSet<(String, String, String)>> {
        let client = self.postgres().get().await?;
        let sql = "SELECT kind, relation, name FROM switchback.set_aside \
                   WHERE database = $1 AND migration = $2";
        let rows = client.query(sql, &[&database, &migration]).await.map_err(failed)?;
        Ok(rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect())
    }

    /// Names of what was set aside and could not be made again when a migration ended.
    pub(crate) async fn not_given_back(&self, database: &str) -> Result<Vec<String>> {
        if !self.upgrade().await? {
            return Ok(Vec::new());
        }
        let client = self.postgres().get().await?;
        let sql = "SELECT kind || ' ' || name || ' of ' || relation FROM switchback.set_aside a \
                   WHERE database = $1 AND NOT EXISTS (SELECT FROM switchback.steps s \
                     WHERE s.database = $1 AND s.kind = 'existing') ORDER BY seq";
        let rows = client.query(sql, &[&database]).await.map_err(failed)?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }
}

/// Writes down how something is made again, and takes it off.
pub(crate) async fn take_off(
    transaction: &Transaction<'_>,
    of: AsideOf<'_>,
    aside: &Aside,
) -> Result<()> {
    if aside.kind == AsideKind::ForeignKey {
        keep_comment(transaction, of, aside).await?;
    }
    write_down(transaction, of, aside.kind.word(), aside, &aside.restore).await?;
    if aside.take_off.is_empty() {
        return Ok(());
    }
    // Prepared, so that what a plan holds can be one statement only.
    let taken = transaction.execute(&aside.take_off, &[]).await;
    taken.map(drop).map_err(|error| depended_on(aside, &error))
}

async fn write_down(
    transaction: &Transaction<'_>,
    of: AsideOf<'_>,
    kind: &str,
    aside: &Aside,
    restore: &str,
) -> Result<()> {
    let sql = "INSERT INTO switchback.set_aside \
                 (database, migration, namespace, relation, kind, name, restore) \
               VALUES ($1, $2, $3, $4, $5, $6, $7)";
    let values = [of.database, of.migration, of.schema, &aside.table, kind, &aside.name, restore];
    let values = values.each_ref().map(|value| value as &(dyn ToSql + Sync));
    transaction.execute(sql, &values).await.map(drop).map_err(failed)
}

/// A comment goes with its constraint.
async fn keep_comment(transaction: &Transaction<'_>, of: AsideOf<'_>, aside: &Aside) -> Result<()> {
    let sql = "SELECT obj_description(k.oid, 'pg_constraint') FROM pg_constraint k \
                 JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace \
               WHERE n.nspname = $1 AND c.relname = $2 AND k.conname = $3";
    let found = transaction.query_opt(sql, &[&of.schema, &aside.table, &aside.name]).await;
    let comment = found.map_err(failed)?.and_then(|row| row.get::<_, Option<String>>(0));
    let Some(comment) = comment else { return Ok(()) };
    let full = qualified(of.schema, &aside.table);
    let name = quote(&aside.name);
    let sql = format!("COMMENT ON CONSTRAINT {name} ON {full} IS {}", literal(&comment));
    write_down(transaction, of, COMMENT, aside, &sql).await
}

/// What else needs an object. The detail of this error names objects, and no values.
fn depended_on(aside: &Aside, error: &tokio_postgres::Error) -> Error {
    let explained = explain(error);
    let detail = error
        .as_db_error()
        .filter(|error| *error.code() == SqlState::DEPENDENT_OBJECTS_STILL_EXIST);
    let what = format!("{} {} of {}", aside.kind.word(), aside.name, aside.table);
    let Some(detail) = detail.and_then(|error| error.detail()) else { return explained.at(what) };
    let detail = detail.replace('\n', "; ");
    Error::new(Reason::TargetInUse, format!("{what} cannot be taken off for the copy: {detail}"))
        .hint("drop that object, migrate, and make it again after the cutover")
}

/// Makes the comments of foreign keys again, in the transaction that has made the keys.
pub(crate) async fn comment_again(
    transaction: &Transaction<'_>,
    database: &str,
    migration: &str,
) -> Result<()> {
    // What an earlier migration could not give back is no business of this one.
    let sql = "SELECT restore FROM switchback.set_aside \
               WHERE database = $1 AND migration = $2 AND kind = 'comment' ORDER BY seq DESC";
    for row in transaction.query(sql, &[&database, &migration]).await.map_err(failed)? {
        transaction.execute(row.get::<_, &str>(0), &[]).await.map_err(failed)?;
    }
    Ok(())
}

/// Makes again what was set aside, `most` things at a time from `below` a number in its order, and
/// forgets it. What cannot be made stays written down. Where to go on; `None` at the end.
pub(super) async fn give_back(
    transaction: &Transaction<'_>,
    database: &str,
    what: GiveBack<'_>,
    (below, most): (i64, i64),
) -> Result<Option<i64>> {
    if installed_version(transaction).await?.is_none() {
        return Ok(None);
    }
    let found = find(transaction, database, what, (below, most)).await?;
    let Some(last) = found.last().map(|missing| missing.seq) else { return Ok(None) };
    let mut made = HashSet::new();
    for missing in found {
        let place = (missing.namespace.clone(), missing.relation.clone());
        let wanted = match (what, missing.kind.as_str()) {
            // With the index goes what was said of it.
            (GiveBack::Missing, "setting" | COMMENT) => made.contains(&place),
            (GiveBack::Missing, "trigger") => false,
            (_, "setting" | COMMENT | "trigger") => true,
            // What the switch has made and is not there now was dropped by the application.
            (GiveBack::Missing, _) => !missing.is_there && !missing.was_made,
            _ => !missing.is_there,
        };
        if wanted {
            if !make_again(transaction, &missing).await? {
                continue;
            }
            made.insert(place);
        }
        let sql = "DELETE FROM switchback.set_aside WHERE seq = $1";
        transaction.execute(sql, &[&missing.seq]).await.map_err(failed)?;
    }
    Ok(Some(last))
}

async fn find(
    transaction: &Transaction<'_>,
    database: &str,
    what: GiveBack<'_>,
    (below, most): (i64, i64),
) -> Result<Vec<Missing>> {
    let (schema, table) = match what {
        GiveBack::Table(schema, table) => (Some(schema), Some(table)),
        GiveBack::Everything | GiveBack::Missing => (None, None),
    };
    let sql = "SELECT a.seq, a.kind, a.namespace, a.relation, a.name, a.restore, \
                 EXISTS (SELECT FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid \
                     JOIN pg_namespace n ON n.oid = c.relnamespace \
                   WHERE n.nspname = a.namespace AND c.relname = a.relation AND k.conname = a.name \
                     AND a.kind <> 'index') \
                 OR EXISTS (SELECT FROM pg_class i JOIN pg_namespace n ON n.oid = i.relnamespace \
                   WHERE n.nspname = a.namespace AND i.relname = a.name AND a.kind = 'index' \
                     AND i.relkind IN ('i', 'I')), \
                 EXISTS (SELECT FROM switchback.steps s WHERE s.database = a.database \
                   AND s.step IN ('primary_key' || w.place, 'unique' || w.place, \
                     'index' || w.place, 'check' || w.place, 'foreign_key' || w.place)) \
               FROM switchback.set_aside a CROSS JOIN LATERAL (VALUES (concat(':', a.namespace, \
                 '.', a.relation, '.', a.name))) AS w (place) \
               WHERE a.database = $1 AND a.seq < $2 AND a.namespace = coalesce($4, a.namespace) \
                 AND a.relation = coalesce($5, a.relation) \
                 AND ($5 IS NULL OR a.kind NOT IN ('foreign_key', 'comment')) \
               ORDER BY a.seq DESC LIMIT $3";
    let rows = transaction.query(sql, &[&database, &below, &most, &schema, &table]).await;
    let missing = |row: &Row| Missing {
        seq: row.get(0),
        kind: row.get(1),
        namespace: row.get(2),
        relation: row.get(3),
        name: row.get(4),
        restore: row.get(5),
        is_there: row.get(6),
        was_made: row.get(7),
    };
    Ok(rows.map_err(failed)?.iter().map(missing).collect())
}

/// Makes one thing again; false where PostgreSQL refuses it.
async fn make_again(transaction: &Transaction<'_>, missing: &Missing) -> Result<bool> {
    let mut refused = attempt(transaction, &missing.restore).await?;
    // The rows that it refers to were deleted before the copy: it holds for new ones.
    if missing.kind == "foreign_key"
        && refused.as_ref().is_some_and(|error| error.reason() == Reason::ValueRefused)
    {
        refused = attempt(transaction, &format!("{} NOT VALID", missing.restore)).await?;
    }
    let Some(error) = refused else { return Ok(true) };
    let Missing { kind, relation, name, .. } = missing;
    tracing::error!(%error, kind, relation, name, "what was set aside could not be made again");
    Ok(false)
}

async fn attempt(transaction: &Transaction<'_>, sql: &str) -> Result<Option<Error>> {
    transaction.batch_execute("SAVEPOINT made_again").await.map_err(failed)?;
    let refused = match transaction.execute(sql, &[]).await.map_err(failed) {
        Ok(_) => None,
        Err(error) if error.is_retryable() || error.reason() == Reason::TargetFull => {
            return Err(error);
        }
        Err(error) => {
            let back = "ROLLBACK TO SAVEPOINT made_again";
            transaction.batch_execute(back).await.map_err(failed)?;
            Some(error)
        }
    };
    transaction.batch_execute("RELEASE SAVEPOINT made_again").await.map_err(failed)?;
    Ok(refused)
}

/// Deletes all rows of a table, at once where nothing refers to it.
pub(crate) async fn empty(transaction: &Transaction<'_>, full: &str) -> Result<()> {
    transaction.batch_execute("SAVEPOINT emptied").await.map_err(failed)?;
    match transaction.batch_execute(&format!("TRUNCATE {full}")).await {
        Err(error) if error.code() == Some(&SqlState::FEATURE_NOT_SUPPORTED) => {
            let delete = format!("ROLLBACK TO SAVEPOINT emptied; DELETE FROM {full}");
            transaction.batch_execute(&delete).await.map_err(failed)
        }
        emptied => emptied.map_err(failed),
    }
}

/// Whether a table has rows.
pub(crate) async fn has_rows(client: &impl GenericClient, full: &str) -> Result<bool> {
    let sql = format!("SELECT EXISTS (SELECT FROM {full})");
    Ok(client.query_one(&sql, &[]).await.map_err(failed)?.get(0))
}
