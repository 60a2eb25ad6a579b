//! When to stop: SIGTERM or SIGINT, and at once where one comes again; and in which order.

use std::time::Duration;

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

use crate::error::{Error, Reason};

/// So that who watches health is told before anything else ends; nobody notices it otherwise.
pub const TOLD: Duration = Duration::from_millis(100);

/// What waits for an engine, or for a lock in one, does not notice a stop; after this long it is left
/// as a crash would leave it. A chunk or a part of a backup takes less.
pub const NOTICED: Duration = Duration::from_secs(2);

/// Connections, and the last metrics, need no more of a long grace.
const LONGEST_CLOSING: Duration = Duration::from_secs(2);

/// Exit code of a server that did not wait for what it was doing, as a shell has it of SIGTERM.
pub const AT_ONCE: i32 = 143;

/// The signals to stop, from when it was made on.
#[derive(Debug)]
pub struct Signals {
    /// Without handlers the signals end the process on their own.
    handled: Option<(Signal, Signal)>,
}

impl Signals {
    /// Takes the signals over for the rest of the process.
    pub fn install() -> Self {
        let term = signal(SignalKind::terminate()).ok();
        Self { handled: term.zip(signal(SignalKind::interrupt()).ok()) }
    }

    /// Resolves at the next signal, with its name.
    pub async fn next(&mut self) -> &'static str {
        let Some((term, interrupt)) = &mut self.handled else {
            return std::future::pending().await;
        };
        tokio::select! {
            _ = term.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        }
    }
}

/// The steps of a stop, each a token that is cancelled when the step begins. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    /// A signal came: health says so, and nothing new begins.
    pub announced: CancellationToken,
    /// Health has said so: operations record where they are and stop, and their streams end.
    pub work: CancellationToken,
    /// Operations have stopped: the port is closed, and connections end.
    pub port: CancellationToken,
}

impl Stop {
    /// Of operations within another one, which end with it.
    pub fn of_work(work: CancellationToken) -> Self {
        Self { work, ..Self::default() }
    }
}

/// Until when each step of a stop may last.
#[derive(Debug, Clone, Copy)]
pub struct Deadlines {
    /// Operations; those that take longer go on at the next start.
    pub work: Instant,
    /// Connections whose streams have not ended.
    pub port: Instant,
    /// All of it.
    pub end: Instant,
}

impl Deadlines {
    /// Of a stop that begins at a moment and may take `grace`.
    pub fn of(began: Instant, grace: Duration) -> Self {
        let closing = (grace / 4).min(LONGEST_CLOSING);
        let end = began + grace;
        Self { work: end - closing, port: end - closing / 2, end }
    }
}

/// Resolves when what should have noticed the stop of its work has not.
pub(crate) async fn overdue(work: &CancellationToken) {
    work.cancelled().await;
    sleep(NOTICED).await;
}

/// What whoever wants something new is told, and whoever follows something that goes on.
pub(crate) fn stopping() -> Error {
    Error::new(Reason::ServerStopping, "the server is being stopped")
        .hint("operations go on at its next start; try again then")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_has_most_of_the_grace() {
        let began = Instant::now();
        for (grace, work, port) in [(2, 1500, 1750), (10, 8000, 9000), (600, 598_000, 599_000)] {
            let deadlines = Deadlines::of(began, Duration::from_secs(grace));
            let after = |at: Instant| at.duration_since(began).as_millis();
            assert_eq!((after(deadlines.work), after(deadlines.port)), (work, port));
            assert_eq!(after(deadlines.end), u128::from(grace) * 1000);
        }
    }
}
