//! Rows that SQLite cannot hold, with lenient guards: they are kept aside in PostgreSQL, told at
//! once, and a rollback has to be told their number (docs/adr/0009).

use switchback_proto::v1::{Finding, GuardMode, Severity};
use tokio_postgres::{GenericClient, Transaction};

use super::reversing::Reverser;
use crate::{
    apply::reverse::{self, KeptOf, LeftRow, Refused, ReversedTable, Taken, left_row},
    db::target::{KeptRows, kept_count, kept_keys, kept_rows, leave_all_behind},
    dialect::finding::{self, Place, finding},
    error::{Error, Reason, Result},
    validate::KeptAside,
};

/// The rows that a rollback leaves behind, beside those of its own batch.
pub(super) struct Leaving {
    pub(super) rows: Vec<LeftRow>,
    /// So many may be left behind, those of the batch included.
    pub(super) allowed: u64,
}

impl Leaving {
    /// The rows by their keys in SQLite, with those that the last batch has refused; an error where
    /// these are more than may be left behind.
    pub(super) fn with(
        self,
        refused: &[Refused],
        tables: &[ReversedTable],
    ) -> Result<Vec<LeftRow>> {
        let Self { mut rows, allowed } = self;
        for row in refused {
            rows.push(left_row(tables, &row.kept_key(tables))?);
        }
        refuse_more(u64::try_from(rows.len()).unwrap_or(u64::MAX), allowed)?;
        Ok(rows)
    }
}

fn refuse_more(count: u64, allowed: u64) -> Result<()> {
    if count <= allowed {
        return Ok(());
    }
    let message = format!("{count} rows that SQLite cannot hold would be left behind by now");
    Err(Error::new(Reason::ReturnRefused, message)
        .hint("more have come meanwhile: look at them (`switchback status`), then go back"))
}

impl Reverser {
    /// Rows are kept aside instead of being refused.
    pub(super) fn is_lenient(&self) -> bool {
        self.plan.guards() == GuardMode::Lenient
    }

    /// Forgets what was kept aside of a batch's rows.
    pub(super) async fn forget_kept(
        &self,
        transaction: &Transaction<'_>,
        taken: &mut Taken,
    ) -> Result<()> {
        if !self.is_lenient() {
            return Ok(());
        }
        reverse::forget(transaction, &self.name, &self.tables, taken).await
    }

    /// How many rows are kept aside.
    pub(super) async fn kept(&self, client: &impl GenericClient) -> Result<u64> {
        if !self.is_lenient() {
            return Ok(0);
        }
        kept_count(client, &self.name, None).await
    }

    /// How many rows a rollback would leave behind by now; an error where SQLite has no name for one.
    pub(super) async fn rows_to_leave(&self) -> Result<u64> {
        let client = self.target.postgres().get().await?;
        let leaving = self.leaving(&*client, u64::MAX).await?;
        Ok(u64::try_from(leaving.rows.len()).unwrap_or(u64::MAX))
    }

    /// Keeps rows aside that SQLite has refused, in the transaction that took them.
    pub(super) async fn keep(
        &self,
        transaction: &Transaction<'_>,
        refused: &[Refused],
    ) -> Result<()> {
        let of = KeptOf {
            database: &self.name,
            migration: &self.migration,
            schema: &self.plan.target_schema,
        };
        reverse::keep(transaction, of, &self.tables, refused).await
    }

    /// Says which rows are kept aside, once that is committed.
    pub(super) async fn tell_kept(&self, refused: &[Refused]) -> Result<()> {
        if !self.is_lenient() {
            return Ok(());
        }
        for (number, table) in self.tables.iter().enumerate() {
            let rows = refused.iter().filter(|row| row.table == number).count();
            if rows > 0 {
                let table = &table.followed.plan.source;
                tracing::warn!(
                    database = self.name,
                    table,
                    rows,
                    "SQLite cannot hold rows: kept aside"
                );
            }
        }
        let findings = self.kept_findings().await?;
        self.standing.set_kept_aside(findings);
        Ok(())
    }

    /// The rows that are kept aside by now, as findings.
    pub(super) async fn kept_findings(&self) -> Result<Vec<Finding>> {
        if !self.is_lenient() {
            return Ok(Vec::new());
        }
        let client = self.target.postgres().get().await?;
        self.kept_findings_in(&*client).await
    }

    pub(super) async fn kept_findings_in(
        &self,
        client: &impl GenericClient,
    ) -> Result<Vec<Finding>> {
        let kept = kept_rows(client, &self.name).await?;
        Ok(kept.into_iter().map(|rows| kept_aside(rows, &self.tables)).collect())
    }

    /// The rows that are kept aside, as a comparison has to know them.
    pub(super) async fn kept_aside(&self, client: &impl GenericClient) -> Result<Vec<KeptAside>> {
        let mut kept = Vec::new();
        for table in self.tables.iter() {
            if let Some(not_kept) = table.not_kept(&self.name) {
                let rows = kept_count(client, &self.name, Some(table.followed.number)).await?;
                kept.push(KeptAside { table: table.followed.plan.source.clone(), not_kept, rows });
            }
        }
        kept.retain(|kept| kept.rows > 0);
        Ok(kept)
    }

    /// What a rollback leaves behind of the rows that are kept aside.
    pub(super) async fn leaving(
        &self,
        client: &impl GenericClient,
        allowed: u64,
    ) -> Result<Leaving> {
        let keys = kept_keys(client, &self.name).await?;
        let rows = keys.iter().map(|key| left_row(&self.tables, key));
        Ok(Leaving { rows: rows.collect::<Result<_>>()?, allowed })
    }

    /// Leaves behind all that is kept aside, in the transaction that decides to go back. Returns
    /// how many rows that are, and the findings.
    pub(super) async fn leave_behind(
        &self,
        transaction: &Transaction<'_>,
    ) -> Result<(u64, Vec<Finding>)> {
        if !self.is_lenient() {
            return Ok((0, Vec::new()));
        }
        let findings = self.kept_findings_in(transaction).await?;
        Ok((leave_all_behind(transaction, &self.name).await?, findings))
    }
}

fn kept_aside(rows: KeptRows, tables: &[ReversedTable]) -> Finding {
    let KeptRows { table, column, count, examples } = rows;
    let source_name = |target: &str| {
        let table = tables.iter().find(|known| known.followed.plan.source == table)?;
        let mut columns = table.followed.columns.iter();
        Some(columns.find(|column| column.target == target)?.source.clone())
    };
    let column = column.map(|target| source_name(&target).unwrap_or(target)).unwrap_or_default();
    let why = if column.is_empty() {
        "they break a constraint that SQLite has"
    } else {
        "the column holds what SQLite would change"
    };
    let message = format!("{count} rows cannot go back to SQLite and are kept aside: {why}");
    let hint = "change or delete them on PostgreSQL; a rollback leaves them behind, and has to be \
                told how many (--accept-left-behind)";
    let place = Place::column(&table, &column);
    let found = finding(Severity::Warning, finding::ROW_KEPT_ASIDE, place, message, hint);
    Finding { count, examples, ..found }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_are_kept_aside_are_no_blocker() {
        let rows = |column: Option<&str>| KeptRows {
            table: "t".into(),
            column: column.map(str::to_owned),
            count: 7,
            examples: vec!["id=1".into()],
        };
        let found = kept_aside(rows(Some("price")), &[]);
        assert_eq!((found.column.as_str(), found.count), ("price", 7));
        assert_eq!(found.severity(), Severity::Warning);
        assert_eq!(found.examples, ["id=1"]);
        assert!(kept_aside(rows(None), &[]).message.contains("constraint"));
    }

    #[test]
    fn no_more_are_left_behind_than_allowed() {
        assert!(refuse_more(0, 0).is_ok() && refuse_more(2, 2).is_ok());
        let refused = refuse_more(3, 2).unwrap_err();
        assert_eq!(refused.reason(), Reason::ReturnRefused);
    }
}
