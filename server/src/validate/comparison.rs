//! A comparison under way: both sides of one table after the other, streamed side by side.

use std::sync::Arc;

use rusqlite::Connection;
use switchback_proto::v1::TableComparison;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{
    OnProgress, ValidateJob, ValidateProgress,
    buckets::{Buckets, Keys, Layout},
    differences::{Differences, Left, Names},
    held::{self, Holder, Wanted},
    sides::{self, Watch},
    sieve::Sieve,
    table::TableWork,
    tuple::TupleSink,
};
use crate::{
    capture::guard::Seen,
    error::{Error, Reason, Result},
    task::blocking,
};

/// A comparison under way.
pub(super) struct Comparison<'a> {
    pub(super) job: &'a ValidateJob<'a>,
    pub(super) progress: OnProgress<'a>,
    pub(super) cancel: CancellationToken,
    /// One connection for all tables: opening one reads the whole schema.
    pub(super) connection: Option<Connection>,
    schema: Arc<Seen>,
    pub(super) keys: Keys,
}

impl<'a> Comparison<'a> {
    pub(super) async fn open(
        job: &'a ValidateJob<'a>,
        progress: OnProgress<'a>,
        cancel: &CancellationToken,
    ) -> Result<Self> {
        let source = job.source.clone();
        let (connection, schema) = blocking(move || {
            let connection = source.open()?;
            let seen = Seen::now(&connection).map_err(|error| source.explain(error))?;
            Ok((connection, Arc::new(seen)))
        })
        .await?;
        Ok(Self {
            job,
            progress,
            // Its own, so that one side's failure stops the other.
            cancel: cancel.child_token(),
            connection: Some(connection),
            schema,
            keys: Keys::random(),
        })
    }

    pub(super) async fn exact(
        &mut self,
        work: &Arc<TableWork>,
        rejects: Option<&str>,
    ) -> Result<TableComparison> {
        let layout = Layout::new(self.keys.clone(), work.key.clone(), work.rows_total);
        let side = || Buckets::new(layout.clone(), Arc::default());
        let sides = (side(), side());
        let (ours, theirs) = self.pass(work, rejects, sides, true).await?;
        let limit = self.job.max_differences;
        let names = limit as u64;
        let suspects = held::suspects(&ours.buckets, &theirs.buckets, names, |_| false);
        let mut found = Differences::counted(&suspects);
        let name_of = |key: &[u8]| work.name_of(key);
        let names = Names { columns: &work.names(), name_of: &name_of, limit };
        for buckets in suspects.passes {
            let mut open = Sieve::default();
            open.push(layout.clone(), buckets);
            let wanted = Arc::new(Wanted::Open(open));
            let holder = || Holder::new(layout.clone(), Arc::clone(&wanted));
            let (ours, theirs) = self.pass(work, rejects, (holder(), holder()), false).await?;
            found.add(Left::of(ours, theirs), &names);
        }
        Ok(TableComparison {
            table: work.name.clone(),
            source_rows: ours.rows + ours.rejects,
            target_rows: theirs.rows + work.kept_aside,
            missing: found.missing,
            extra: found.extra,
            different: found.different,
            rejected: theirs.rejects,
            matches: ours.buckets == theirs.buckets,
            differences: found.rows,
            at_least: found.at_least,
            unsettled: 0,
            kept_aside: work.kept_aside,
        })
    }

    /// Streams both sides at once.
    pub(super) async fn pass<S: TupleSink + 'static>(
        &mut self,
        work: &Arc<TableWork>,
        rejects: Option<&str>,
        (mut ours, mut theirs): (S, S),
        report: bool,
    ) -> Result<(S, S)> {
        let connection = self.connection.take().ok_or_else(lost)?;
        let (sender, mut seen) = watch::channel((0, 0));
        let watching = Watch {
            schema: Arc::clone(&self.schema),
            cancel: self.cancel.clone(),
            progress: sender,
        };
        let (file, table) = (self.job.source.clone(), Arc::clone(work));
        let source = blocking(move || {
            sides::read_source(&file, &connection, &table, &mut ours, &watching)?;
            Ok((connection, ours))
        });
        let target = sides::read_target(self.job.target, work, rejects, &mut theirs, &self.cancel);
        let cancel = &self.cancel;
        let source = async { source.await.inspect_err(|_| cancel.cancel()) };
        let target = async { target.await.inspect_err(|_| cancel.cancel()) };
        let reports = async {
            while seen.changed().await.is_ok() {
                let (rows, bytes) = *seen.borrow_and_update();
                if report {
                    (self.progress)(ValidateProgress {
                        table: &work.name,
                        rows,
                        rows_total: work.rows_total,
                        bytes,
                    });
                }
            }
        };
        let (source, target, ()) = tokio::join!(source, target, reports);
        match (source, target) {
            (Ok((connection, ours)), Ok(())) => {
                self.connection = Some(connection);
                Ok((ours, theirs))
            }
            // The side that failed first stopped the other one.
            (Err(error), Err(other)) if error.reason() == Reason::Cancelled => Err(other),
            (Err(error), _) | (_, Err(error)) => Err(error),
        }
    }

    /// Does something with the connection on a thread that may wait.
    pub(super) async fn on_source<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let connection = self.connection.take().ok_or_else(lost)?;
        let (connection, done) = blocking(move || {
            let done = work(&connection);
            Ok((connection, done))
        })
        .await?;
        self.connection = Some(connection);
        done
    }
}

pub(super) fn lost() -> Error {
    Error::new(Reason::Internal, "the comparison's SQLite connection is gone")
}
