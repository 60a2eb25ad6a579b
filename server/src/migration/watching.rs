//! What may happen to both engines by hand while there is a way back: seen, put right where that is
//! possible, and told.

use std::{
    sync::PoisonError,
    time::{Duration, Instant},
};

use switchback_proto::v1::Finding;
use tokio_postgres::{GenericClient, Transaction};

use super::{marked, reversing::Reverser};
use crate::{
    db::{
        postgres::failed,
        target::{log_all, reshaped, uncaptured},
    },
    error::{Reason, Result},
    validate::target_drift,
};

/// Between two looks.
const LOOK: Duration = Duration::from_secs(5);

impl Reverser {
    /// Puts capture back where somebody has switched it off.
    async fn heal(&self) -> Result<()> {
        // A file that was put back is seen although nothing waits, and takes no writes for long.
        if let Err(error) = self.source_at().await {
            if error.reason() == Reason::Halted {
                self.fence_source().await?;
            }
            return Err(error);
        }
        let lost = {
            let mut client = self.target.postgres().get().await?;
            let transaction = client.transaction().await.map_err(failed)?;
            self.log_reshaped(&transaction).await?;
            transaction.commit().await.map_err(failed)?;
            self.uncaptured(&*client).await?
        };
        for number in lost {
            let table = &self.tables[number];
            tracing::warn!(
                database = self.name,
                table = table.followed.plan.source,
                "capture was switched off in PostgreSQL: the whole table is carried back"
            );
            let (key, guards) = (table.key(), table.guards());
            self.target.recapture(&table.captured(&self.plan, &key, &guards)).await?;
        }
        Ok(())
    }

    /// PostgreSQL is active: whatever is at the path must not take writes.
    async fn fence_source(&self) -> Result<()> {
        let Some(connection) = marked::lock_open(&self.source, &self.migration).await? else {
            return Ok(());
        };
        // Under the lock: another server may have gone back since this one has looked.
        self.target.check_tenure(&self.name).await?;
        let record = self.target.switch_record(&self.name, &self.migration).await?;
        if !record.postgres_active {
            return Ok(());
        }
        let fence = (record.attempt, self.moved.as_str());
        marked::fence_again(connection, &self.source, &self.schema, fence).await
    }

    /// Tables whose changes are not all written down.
    async fn uncaptured(&self, client: &impl GenericClient) -> Result<Vec<usize>> {
        let parts: Vec<_> =
            self.tables.iter().map(|table| (table, table.key(), table.guards())).collect();
        let captured: Vec<_> = parts
            .iter()
            .map(|(table, key, guards)| table.captured(&self.plan, key, guards))
            .collect();
        uncaptured(client, &captured).await
    }

    /// Has tables carried back as a whole whose changes were not all written down. The transaction
    /// holds them.
    pub(super) async fn log_uncaptured(&self, transaction: &Transaction<'_>) -> Result<()> {
        for number in self.uncaptured(transaction).await? {
            log_all(transaction, &self.tables[number].captured(&self.plan, &[], &[])).await?;
        }
        self.log_reshaped(transaction).await
    }

    /// Has tables carried back as a whole whose columns are not those of before.
    async fn log_reshaped(&self, transaction: &Transaction<'_>) -> Result<()> {
        let names = reshaped(transaction, &self.name, &self.plan.target_schema).await?;
        for name in names {
            let found = self.tables.iter().find(|table| table.followed.plan.target == name);
            let Some(table) = found else { continue };
            tracing::warn!(
                database = self.name,
                table = table.followed.plan.source,
                "the table's columns were changed in PostgreSQL: all of it is carried back"
            );
            log_all(transaction, &table.captured(&self.plan, &[], &[])).await?;
        }
        Ok(())
    }

    /// How the target's schema differs from the plan, by now.
    pub(super) async fn drift(&self) -> Result<Vec<Finding>> {
        let client = self.target.postgres().get().await?;
        target_drift(&self.plan, &client).await
    }

    /// The same from time to time; `None` in between.
    pub(super) async fn drift_now_and_then(&self) -> Result<Option<Vec<Finding>>> {
        let last = *self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        if last.is_some_and(|last| last.elapsed() < LOOK) {
            return Ok(None);
        }
        // An application may hold the table; what is logged elsewhere does not wait for it.
        if let Err(error) = self.heal().await {
            if error.reason() == Reason::Halted || error.reason() == Reason::SourceChanged {
                return Err(error);
            }
            tracing::warn!(database = self.name, %error, "capture could not be put back yet");
        }
        let findings = self.drift().await?;
        *self.looked.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        Ok(Some(findings))
    }
}
