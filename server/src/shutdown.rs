//! When to stop: SIGTERM or SIGINT, and at once where one comes again.

use tokio::signal::unix::{Signal, SignalKind, signal};

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
