//! How long to wait between attempts to reach the server again, and when to stop.

use std::time::Duration;

use tokio::time::Instant;

const FIRST: Duration = Duration::from_millis(200);
const LONGEST: Duration = Duration::from_secs(5);
/// A connection that held this long counts as a good one: the next loss is a new outage.
const STEADY: Duration = Duration::from_secs(30);

/// Delays of one outage. An outage ends with the first news from the server, not with the first
/// connection: a server that accepts and drops at once must not be asked for ever.
pub(crate) struct Backoff {
    patience: Duration,
    outage_began: Option<Instant>,
    attached: Instant,
    delay: Duration,
}

impl Backoff {
    pub(crate) fn new(patience: Duration) -> Self {
        Self { patience, outage_began: None, attached: Instant::now(), delay: FIRST }
    }

    /// The server sent something new.
    pub(crate) fn progressed(&mut self) {
        self.outage_began = None;
    }

    /// The connection is back.
    pub(crate) fn attached(&mut self) {
        self.attached = Instant::now();
    }

    /// The connection is gone; to be called once, before the first delay.
    pub(crate) fn lost(&mut self) {
        let now = Instant::now();
        if self.outage_began.is_none() || now.duration_since(self.attached) > STEADY {
            self.outage_began = Some(now);
            self.delay = FIRST;
        }
    }

    /// Waits before the next attempt; `false` where it has been tried for long enough.
    pub(crate) async fn wait(&mut self) -> bool {
        let outage = self.outage_began.map_or(Duration::ZERO, |began| began.elapsed());
        if outage >= self.patience {
            return false;
        }
        tokio::time::sleep(self.delay).await;
        self.delay = (self.delay * 2).min(LONGEST);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn no_patience_is_no_attempt() {
        let mut backoff = Backoff::new(Duration::ZERO);
        backoff.lost();
        assert!(!backoff.wait().await);
    }

    #[tokio::test]
    async fn only_news_ends_an_outage() {
        let mut backoff = Backoff::new(Duration::from_millis(150));
        backoff.lost();
        assert!(backoff.wait().await);
        backoff.attached();
        backoff.lost();
        assert!(!backoff.wait().await, "a connection without news does not start a new outage");
        backoff.progressed();
        backoff.lost();
        assert!(backoff.wait().await);
    }
}
