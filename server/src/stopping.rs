//! The order of a stop: health first, then operations, then the port; each within its time.

use std::{pin::pin, time::Duration};

use tokio::{
    task::JoinHandle,
    time::{Instant, sleep, timeout_at},
};

use crate::{
    error::Result,
    operations::Operations,
    shutdown::{Deadlines, Stop, TOLD},
};

/// Serves until a stop is announced, stops in order, and says until when the rest may last. A
/// server that fails by itself stops in the same order.
pub(crate) async fn serve_and_stop(
    serving: impl Future<Output = Result<()>>,
    health: JoinHandle<()>,
    operations: &Operations,
    (stop, grace): (&Stop, Duration),
) -> (Result<()>, Deadlines) {
    let (mut serving, mut stopped) =
        (pin!(serving), pin!(in_order(health, operations, (stop, grace))));
    tokio::select! {
        served = &mut serving => {
            stop.announced.cancel();
            (served, stopped.await)
        }
        deadlines = &mut stopped => {
            let served = timeout_at(deadlines.port, serving).await.unwrap_or_else(|_| {
                tracing::warn!("streams that nobody reads were cut off");
                Ok(())
            });
            (served, deadlines)
        }
    }
}

async fn in_order(
    health: JoinHandle<()>,
    operations: &Operations,
    (stop, grace): (&Stop, Duration),
) -> Deadlines {
    stop.announced.cancelled().await;
    let deadlines = Deadlines::of(Instant::now(), grace);
    if let Err(error) = health.await {
        tracing::error!(%error, "health stopped on a defect");
    }
    sleep(TOLD).await;
    stop.work.cancel();
    if timeout_at(deadlines.work, operations.drained()).await.is_err() {
        tracing::warn!("an operation did not stop in time; it goes on at the next start");
    }
    stop.port.cancel();
    deadlines
}
