//! When to stop: SIGTERM or SIGINT.

use tokio::signal::unix::{SignalKind, signal};

/// Resolves at the first signal to stop, with its name.
pub async fn requested() -> &'static str {
    let (Ok(mut term), Ok(mut interrupt)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        // Without handlers the signals end the process on their own.
        return std::future::pending().await;
    };
    tokio::select! {
        _ = term.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    }
}
