//! Row counts alone.

use rusqlite::Connection;
use switchback_proto::v1::TableComparison;

use super::{
    ValidateProgress,
    change_log::LogKeys,
    change_log::check_anchor,
    comparison::{Comparison, lost},
    follow::Follow,
    table::TableWork,
};
use crate::{
    db::postgres::failed,
    dialect::ident::quote,
    error::Result,
    task::{blocking, cancelled},
};

/// How often a table that is written to is counted, in the hope of a moment without a change.
const MOST_COUNTED: u32 = 3;

/// Rows of both sides.
#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    source: u64,
    target: u64,
    rejected: u64,
    /// Rows of the target that are not in `target`.
    kept_aside: u64,
}

impl Comparison<'_> {
    pub(super) async fn counts(
        &mut self,
        work: &TableWork,
        rejects: Option<&str>,
    ) -> Result<TableComparison> {
        let counts = self.count(work, rejects).await?;
        Ok(counts.compare(&work.name, 0))
    }

    /// The source is counted later than the target, so that the counts may differ by as many rows
    /// as changed in between.
    pub(super) async fn counts_live(
        &mut self,
        work: &TableWork,
        rejects: Option<&str>,
        (follow, log): (&dyn Follow, &LogKeys),
    ) -> Result<TableComparison> {
        let mut counted = 0;
        loop {
            let applied = self.drain(follow).await?;
            let counts = self.count(work, rejects).await?;
            let (file, sql, whole) = (self.job.source.clone(), log.count_sql.clone(), log.whole);
            let counting = move |connection: &Connection| {
                check_anchor(connection, &file, applied)?;
                let changed = connection.query_row(&sql, [applied], |row| row.get(0));
                changed.map(number).map_err(|error| file.explain(error))
            };
            let changed = self.on_source(counting).await?;
            counted += 1;
            if changed == 0 || counted == MOST_COUNTED {
                // An entry without a key may stand for any number of rows.
                let rows = if whole && changed > 0 { u64::MAX } else { changed };
                return Ok(counts.compare(&work.name, rows));
            }
        }
    }

    async fn count(&mut self, work: &TableWork, rejects: Option<&str>) -> Result<Counts> {
        let source = self.count_source(work).await?;
        let client = self.job.target.get().await?;
        let target = match &work.count {
            Some(sql) => number(client.query_one(sql, &[]).await.map_err(failed)?.get(0)),
            None => 0,
        };
        let rejected = match rejects {
            Some(database) => {
                let sql =
                    "SELECT count(*) FROM switchback.rejects WHERE database = $1 AND tab = $2";
                let row = client.query_one(sql, &[&database, &work.name]).await.map_err(failed)?;
                number(row.get(0))
            }
            None => 0,
        };
        (self.progress)(ValidateProgress {
            table: &work.name,
            rows: source,
            rows_total: work.rows_total,
            bytes: 0,
        });
        Ok(Counts { source, target, rejected, kept_aside: work.kept_aside })
    }

    async fn count_source(&mut self, work: &TableWork) -> Result<u64> {
        let Some(table) = &work.table else { return Ok(0) };
        let sql = format!("SELECT count(*) FROM main.{}", quote(&table.name));
        let connection = self.connection.take().ok_or_else(lost)?;
        // A count cannot look at the token itself.
        let interrupt = connection.get_interrupt_handle();
        let file = self.job.source.clone();
        let counting = blocking(move || {
            let count = connection.query_row(&sql, [], |row| row.get(0));
            Ok((connection, count.map_err(|error| file.explain(error))))
        });
        let mut counting = std::pin::pin!(counting);
        let (connection, count) = tokio::select! {
            counted = &mut counting => counted?,
            () = self.cancel.cancelled() => {
                interrupt.interrupt();
                drop(counting.await?);
                return Err(cancelled());
            }
        };
        self.connection = Some(connection);
        Ok(number(count?))
    }
}

impl Counts {
    /// `changed` rows were written to between the counts.
    fn compare(self, table: &str, changed: u64) -> TableComparison {
        let expected = self.source.saturating_sub(self.rejected);
        let matches = expected.abs_diff(self.target) <= changed;
        let apart = |more: u64, less: u64| if matches { 0 } else { more.saturating_sub(less) };
        TableComparison {
            table: table.to_owned(),
            source_rows: self.source,
            target_rows: self.target + self.kept_aside,
            kept_aside: self.kept_aside,
            missing: apart(expected, self.target),
            extra: apart(self.target, expected),
            rejected: self.rejected,
            matches,
            // A missing and an extra row make the same count.
            at_least: !matches,
            unsettled: changed.min(self.source.max(self.target)),
            ..TableComparison::default()
        }
    }
}

fn number(count: i64) -> u64 {
    u64::try_from(count).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_may_be_apart_by_what_changed() {
        let counts = Counts { source: 10, target: 7, rejected: 1, kept_aside: 0 };
        let still = counts.compare("t", 0);
        assert_eq!(
            (still.missing, still.extra, still.matches, still.at_least),
            (2, 0, false, true)
        );
        let one = counts.compare("t", 1);
        assert_eq!((one.missing, one.matches, one.unsettled), (2, false, 1));
        let two = counts.compare("t", 2);
        assert_eq!((two.missing, two.matches, two.at_least, two.unsettled), (0, true, false, 2));
        assert_eq!(counts.compare("t", u64::MAX).unsettled, 10);
    }

    #[test]
    fn rows_that_are_kept_aside_are_no_difference() {
        let counts = Counts { source: 10, target: 10, rejected: 0, kept_aside: 2 };
        let found = counts.compare("t", 0);
        assert_eq!((found.extra, found.target_rows, found.kept_aside), (0, 12, 2));
        assert!(found.matches);
    }
}
