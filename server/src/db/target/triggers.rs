//! Triggers of the application on tables that were taken over: they are off while PostgreSQL
//! follows, and fire as they did while it is active.

use switchback_proto::v1::Plan;
use tokio_postgres::{GenericClient, Transaction};

use crate::{
    db::postgres::failed,
    dialect::{
        ddl,
        ident::{qualified, quote},
    },
    error::Result,
};

/// Lets them fire again, in the transaction that makes PostgreSQL the active engine. One that is
/// gone is an error.
pub(crate) async fn enable_triggers(transaction: &Transaction<'_>, plan: &Plan) -> Result<()> {
    for step in ddl::triggers_on(plan) {
        let on = transaction.execute(&step.sql, &[]).await.map_err(failed);
        on.map_err(|error| error.at(format!("the trigger {} of {}", step.name, step.table)))?;
    }
    Ok(())
}

/// Switches them off, in the transaction that decides against PostgreSQL. The plan without those
/// that the application has dropped meanwhile; none where all are there.
pub(super) async fn disable_triggers(
    transaction: &Transaction<'_>,
    plan: &Plan,
) -> Result<Option<Plan>> {
    let there = triggers(transaction, &plan.target_schema).await?;
    let mut left = plan.clone();
    for table in &mut left.tables {
        let target = &table.target;
        table.triggers.retain(|trigger| there.contains(&(target.clone(), trigger.name.clone())));
        let full = qualified(&plan.target_schema, target);
        for trigger in &table.triggers {
            let sql = format!("ALTER TABLE {full} DISABLE TRIGGER {}", quote(&trigger.name));
            transaction.batch_execute(&sql).await.map_err(failed)?;
        }
    }
    Ok((left != *plan).then_some(left))
}

/// Table and name of each trigger in a schema that is not one of PostgreSQL's own.
async fn triggers(client: &impl GenericClient, schema: &str) -> Result<Vec<(String, String)>> {
    let sql = "SELECT c.relname::text, t.tgname::text FROM pg_trigger t \
                 JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace \
               WHERE n.nspname = $1 AND NOT t.tgisinternal";
    let rows = client.query(sql, &[&schema]).await.map_err(failed)?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}
