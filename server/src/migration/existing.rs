//! Taking over the tables that the application has made in PostgreSQL: what would be in the way of
//! the copy is taken off, written down in `switchback.set_aside`, and made again afterwards.

use std::{collections::HashSet, time::Duration};

use switchback_proto::v1::{Plan, TablePlan};
use tokio::time::sleep;
use tokio_postgres::{Transaction, error::SqlState};

use super::build::Context;
use crate::{
    db::{
        postgres::{explain, failed},
        target::{AsideOf, Made, Step, empty, fence, has_rows, take_off},
    },
    dialect::{
        capture::ROWID_COLUMN,
        ddl::{self, Aside},
        ident::{qualified, quote},
    },
    error::{Error, Reason, Result},
    failpoint,
    task::cancelled,
    validate::{not_owned, target_changes},
};

/// Longest wait for the locks of a table at a time: others wait behind it.
const LOCK_WAIT: &str = "SET LOCAL lock_timeout = '2s'";

/// Tries for the locks of a table, and the pause between two of them.
const TRIES: u32 = 5;
const AGAIN: Duration = Duration::from_millis(500);

/// Takes over the tables of a plan. Goes on where an earlier run has stopped.
///
/// Everything is looked at before the first thing is changed, and each table once more under its
/// lock.
pub(super) async fn take_over(context: &Context<'_>, plan: &Plan) -> Result<()> {
    let taking = Taking {
        context,
        plan,
        taken: context.target.set_aside(context.name(), context.id).await?,
    };
    let done = context.target.steps_done(context.name()).await?;
    let tables: Vec<&TablePlan> =
        plan.tables.iter().filter(|table| !done.contains(&taking.step(table))).collect();
    taking.look(&tables).await?;
    for key in ddl::foreign_keys_aside(plan).iter().filter(|key| !taking.is_taken(key)) {
        taking.take_key(key).await?;
    }
    for table in tables {
        taking.take_table(table).await?;
    }
    Ok(())
}

struct Taking<'a> {
    context: &'a Context<'a>,
    plan: &'a Plan,
    /// Kind, table and name of what an earlier run has taken off.
    taken: HashSet<(String, String, String)>,
}

impl Taking<'_> {
    fn of(&self) -> AsideOf<'_> {
        AsideOf {
            database: self.context.name(),
            migration: self.context.id,
            schema: &self.plan.target_schema,
        }
    }

    fn step(&self, table: &TablePlan) -> String {
        format!("existing:{}", self.full(&table.target))
    }

    fn full(&self, table: &str) -> String {
        qualified(&self.plan.target_schema, table)
    }

    fn is_taken(&self, aside: &Aside) -> bool {
        let known = (aside.kind.word().to_owned(), aside.table.clone(), aside.name.clone());
        self.taken.contains(&known)
    }

    fn empties(&self) -> bool {
        self.plan.existing.as_ref().is_some_and(|existing| existing.empty_target)
    }

    /// Says what is in the way, before anything is changed.
    async fn look(&self, tables: &[&TablePlan]) -> Result<()> {
        let client = self.context.target.postgres().get().await?;
        let foreign = not_owned(self.plan, &*client).await?;
        if !foreign.is_empty() {
            let message =
                format!("the PostgreSQL user does not own the tables {}", foreign.join(", "));
            return Err(Error::new(Reason::TargetPermission, message).hint(
                "use the role that owns them, or grant it to the user: only an owner can take \
                 indexes and constraints off",
            ));
        }
        refuse(target_changes(self.plan, &*client, &self.taken, None).await?)?;
        if self.empties() {
            return Ok(());
        }
        let mut full = Vec::new();
        for table in tables {
            if has_rows(&*client, &self.full(&table.target)).await? {
                full.push(table.target.as_str());
            }
        }
        refuse_rows(&full)
    }

    /// Takes a foreign key off, in a transaction of its own.
    async fn take_key(&self, key: &Aside) -> Result<()> {
        let planned = ddl::all_foreign_keys(self.plan);
        let mut same =
            planned.filter(|(table, known)| *table == key.table && known.name == key.name);
        let parent = same.next().map(|(_, known)| known.parent.as_str());
        let mut names = vec![key.table.as_str()];
        names.extend(parent.filter(|parent| !parent.is_empty() && *parent != key.table));
        let mut client = self.context.target.postgres().get().await?;
        let transaction = client.transaction().await.map_err(failed)?;
        lock(self, &transaction, &names).await?;
        self.context.target.require(&transaction, self.context.name()).await?;
        take_off(&transaction, self.of(), key).await?;
        failpoint::hit("taken_key.before");
        transaction.commit().await.map_err(failed)
    }

    /// Takes everything else off a table, empties and fences it, in one transaction.
    async fn take_table(&self, table: &TablePlan) -> Result<()> {
        let (schema, name) = (&self.plan.target_schema, &table.target);
        let full = self.full(name);
        let mut client = self.context.target.postgres().get().await?;
        let transaction = client.transaction().await.map_err(failed)?;
        lock(self, &transaction, &[name]).await?;
        refuse(target_changes(self.plan, &transaction, &self.taken, Some(name)).await?)?;
        for aside in ddl::table_aside(self.plan, table) {
            take_off(&transaction, self.of(), &aside).await?;
        }
        if self.empties() {
            empty(&transaction, &full).await?;
        } else if has_rows(&transaction, &full).await? {
            refuse_rows(&[name])?;
        }
        if table.carries_rowid {
            let rowid = format!(
                "ALTER TABLE {full} ADD COLUMN {} bigint GENERATED BY DEFAULT AS IDENTITY",
                quote(ROWID_COLUMN)
            );
            transaction.batch_execute(&rowid).await.map_err(failed)?;
        }
        fence(&transaction, schema, name).await?;
        let step = Step { id: &self.step(table), made: Made::Existing { schema, name } };
        self.context.target.record(&transaction, self.context.name(), step).await?;
        failpoint::hit("taken.before");
        transaction.commit().await.map_err(failed)?;
        failpoint::hit("taken.after");
        Ok(())
    }
}

/// Holds tables for the transaction alone; an error that says who has them where they are not to
/// be had.
async fn lock(taking: &Taking<'_>, transaction: &Transaction<'_>, names: &[&str]) -> Result<()> {
    let tables: Vec<String> = names.iter().map(|name| taking.full(name)).collect();
    transaction.batch_execute(LOCK_WAIT).await.map_err(failed)?;
    let lock =
        format!("SAVEPOINT locks; LOCK TABLE {} IN ACCESS EXCLUSIVE MODE", tables.join(", "));
    for left in (0..TRIES).rev() {
        let Err(error) = transaction.batch_execute(&lock).await else { return Ok(()) };
        if !is_in_the_way(&error) {
            return Err(explain(&error));
        }
        // The locks that it has got are given back.
        transaction.batch_execute("ROLLBACK TO SAVEPOINT locks").await.map_err(failed)?;
        if left > 0 {
            sleep(AGAIN).await;
        }
        if taking.context.halt.is_cancelled() {
            return Err(cancelled());
        }
    }
    Err(in_use(transaction, names, &tables).await?)
}

fn is_in_the_way(error: &tokio_postgres::Error) -> bool {
    let states = [SqlState::LOCK_NOT_AVAILABLE, SqlState::T_R_DEADLOCK_DETECTED];
    error.code().is_some_and(|code| states.contains(code))
}

/// The error for tables that other sessions hold.
async fn in_use(transaction: &Transaction<'_>, names: &[&str], tables: &[String]) -> Result<Error> {
    let sql = "SELECT DISTINCT format('%s (%s)', a.pid, a.application_name) FROM pg_locks l \
                 JOIN pg_stat_activity a ON a.pid = l.pid \
               WHERE l.relation = ANY ($1::text[]::regclass[]) AND l.granted \
                 AND l.pid <> pg_backend_pid() ORDER BY 1";
    let rows = transaction.query(sql, &[&tables]).await.map_err(failed)?;
    let holders: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    let who = match holders.as_slice() {
        [] => String::new(),
        holders => format!(" by the sessions {}", holders.join(", ")),
    };
    let message = format!("the target's tables {} are in use{who}", names.join(", "));
    Ok(Error::new(Reason::TargetInUse, message)
        .hint("applications write to SQLite until the cutover: end these sessions, migrate again"))
}

fn refuse(changes: Vec<String>) -> Result<()> {
    if changes.is_empty() {
        return Ok(());
    }
    let message =
        format!("the target's schema has changed since it was planned for: {}", changes.join("; "));
    Err(Error::new(Reason::TargetChanged, message)
        .hint("plan again; hold the application's own schema migrations back until the cutover"))
}

fn refuse_rows(tables: &[&str]) -> Result<()> {
    if tables.is_empty() {
        return Ok(());
    }
    let message = format!("the target's tables {} hold rows", tables.join(", "));
    Err(Error::new(Reason::TargetNotEmpty, message)
        .hint("empty them, or plan with `empty_target` to have their rows deleted"))
}
