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
        (pin!(serving), pin!(in_order(health, operations.drained(), (stop, grace))));
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
    drained: impl Future<Output = ()>,
    (stop, grace): (&Stop, Duration),
) -> Deadlines {
    stop.announced.cancelled().await;
    let deadlines = Deadlines::of(Instant::now(), grace);
    if let Err(error) = health.await {
        tracing::error!(%error, "health stopped on a defect");
    }
    sleep(TOLD).await;
    stop.work.cancel();
    if timeout_at(deadlines.work, drained).await.is_err() {
        tracing::warn!("an operation did not stop in time; it goes on at the next start");
    }
    stop.port.cancel();
    deadlines
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use tokio::{sync::oneshot, task::yield_now};

    use super::*;

    /// Lets everything go on that can.
    async fn idle() {
        for _ in 0..20 {
            yield_now().await;
        }
    }

    #[tokio::test]
    async fn each_step_waits_for_the_one_before() {
        let stop = Stop::default();
        let ((told, telling), (stopped, stopping)) = (oneshot::channel(), oneshot::channel());
        let health = tokio::spawn(async { telling.await.unwrap() });
        let order = tokio::spawn({
            let (stop, drained) = (stop.clone(), async { stopping.await.unwrap() });
            async move { in_order(health, drained, (&stop, Duration::from_secs(600))).await }
        });
        idle().await;
        assert!(!stop.work.is_cancelled() && !stop.port.is_cancelled(), "nobody stops it");
        stop.announced.cancel();
        idle().await;
        assert!(!stop.work.is_cancelled(), "health has not been told");
        let began = Instant::now();
        told.send(()).unwrap();
        stop.work.cancelled().await;
        assert!(began.elapsed() >= TOLD, "nobody can have noticed in {:?}", began.elapsed());
        idle().await;
        assert!(!stop.port.is_cancelled(), "operations have not stopped");
        stopped.send(()).unwrap();
        stop.port.cancelled().await;
        order.await.unwrap();
    }

    #[tokio::test]
    async fn operations_that_do_not_stop_are_left_in_time() {
        let stop = Stop::default();
        stop.announced.cancel();
        let (began, grace) = (Instant::now(), Duration::from_millis(400));
        let health = tokio::spawn(async {});
        let deadlines = in_order(health, pending(), (&stop, grace)).await;
        assert!(stop.work.is_cancelled() && stop.port.is_cancelled());
        assert!(Instant::now() >= deadlines.work && deadlines.end >= began + grace);
    }
}
