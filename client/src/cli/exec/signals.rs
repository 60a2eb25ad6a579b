//! Signals: their names, those that are passed on, and sending one.

use std::io::{self, IsTerminal};

use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
};

const NAMES: &[(&str, Signal)] = &[
    ("HUP", Signal::HUP),
    ("INT", Signal::INT),
    ("QUIT", Signal::QUIT),
    ("USR1", Signal::USR1),
    ("USR2", Signal::USR2),
    ("TERM", Signal::TERM),
    ("ALRM", Signal::ALARM),
    ("CONT", Signal::CONT),
    ("WINCH", Signal::WINCH),
];
const WATCHED: [Signal; 6] =
    [Signal::HUP, Signal::INT, Signal::QUIT, Signal::USR1, Signal::USR2, Signal::TERM];

/// Reads `HUP`, `hup` or `SIGHUP`.
pub(crate) fn named(text: &str) -> Result<Signal, String> {
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    NAMES.iter().find(|(known, _)| *known == name).map(|(_, signal)| *signal).ok_or_else(|| {
        let names: Vec<_> = NAMES.iter().map(|(name, _)| *name).collect();
        format!("it is none of {}", names.join(", "))
    })
}

/// Asks a program to stop, by custom.
pub(super) fn dismisses(signal: Signal) -> bool {
    [Signal::TERM, Signal::INT, Signal::QUIT].contains(&signal)
}

/// A terminal sends these to the program as well.
pub(super) fn came_from_terminal(signal: Signal) -> bool {
    [Signal::INT, Signal::QUIT].contains(&signal) && io::stdin().is_terminal()
}

/// Sends a signal; a process that has just ended needs none.
pub(super) fn send(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _ = kill_process(pid, signal);
    }
}

/// The signals that this process gets from now on.
pub(super) struct Signals {
    received: mpsc::Receiver<Signal>,
}

impl Signals {
    /// Takes them over for the rest of the process.
    pub(super) fn install() -> io::Result<Self> {
        let (sender, received) = mpsc::channel(WATCHED.len());
        for watched in WATCHED {
            let mut stream = signal(SignalKind::from_raw(watched.as_raw()))?;
            let sender = sender.clone();
            tokio::spawn(async move {
                while stream.recv().await.is_some() {
                    if sender.send(watched).await.is_err() {
                        return;
                    }
                }
            });
        }
        Ok(Self { received })
    }

    pub(super) async fn next(&mut self) -> Signal {
        match self.received.recv().await {
            Some(signal) => signal,
            // The senders live as long as the runtime.
            None => std::future::pending().await,
        }
    }

    /// The next one that asks the program to stop.
    pub(super) async fn dismissal(&mut self) {
        while !dismisses(self.next().await) {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_kill_reads_them() {
        for name in ["USR1", "usr1", "SIGUSR1"] {
            assert_eq!(named(name), Ok(Signal::USR1));
        }
        for wrong in ["", "SIG", "KILL", "10"] {
            assert!(named(wrong).is_err(), "{wrong}");
        }
    }
}
