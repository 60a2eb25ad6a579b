//! Putting reverse capture on the target's tables, switched off until the switch.

use switchback_proto::v1::{Finding, Plan, Severity};

use super::{build::Context, journal::Journal};
use crate::{
    apply::{self, reverse},
    dialect::{
        capture::keyed_schema,
        finding::{self, Place, finding},
        ident::qualified,
    },
    error::{Reason, Result},
};

/// Puts reverse capture on every table that has none yet. A plan of which nothing can be carried
/// back gets none, and a finding says why.
pub(super) async fn capture(
    context: &Context<'_>,
    plan: &Plan,
    journal: &Journal,
) -> Result<Option<Finding>> {
    let schema = keyed_schema(journal.schema()?, plan);
    let followed = apply::followed(plan, journal.schema()?)?;
    let tables = match reverse::reversed(plan, &schema, followed) {
        Err(error) if error.reason() == Reason::ReturnRefused => {
            return Ok(Some(finding(
                Severity::Warning,
                finding::NO_WAY_BACK,
                Place::database(),
                error.to_string(),
                error.hint_text(),
            )));
        }
        tables => tables?,
    };
    let done = context.target.steps_done(context.name()).await?;
    for table in tables.iter() {
        let (key, guards) = (table.key(), table.guards());
        let captured = table.captured(plan, &key, &guards);
        let step = format!("capture:{}", qualified(captured.schema, captured.table));
        if !done.contains(&step) {
            context.target.capture(captured, &step).await?;
        }
    }
    Ok(None)
}
