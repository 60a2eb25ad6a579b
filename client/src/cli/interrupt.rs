//! Ctrl-C: the first one lets the command say how to go on, the second one ends at once.

use std::process;

use switchback_client::exit::Exit;
use tokio::{signal, sync::watch};

/// Tells when Ctrl-C was pressed.
pub(crate) struct Interrupt {
    pressed: watch::Receiver<bool>,
}

impl Interrupt {
    /// Takes Ctrl-C over for the rest of the process.
    pub(crate) fn install() -> Self {
        let (sender, pressed) = watch::channel(false);
        tokio::spawn(async move {
            if signal::ctrl_c().await.is_err() {
                // Without a handler Ctrl-C keeps its plain meaning; only the sender must live.
                sender.closed().await;
                return;
            }
            let _ = sender.send(true);
            if signal::ctrl_c().await.is_ok() {
                process::exit(i32::from(Exit::Interrupted.code()));
            }
        });
        Self { pressed }
    }

    /// Resolves once Ctrl-C has been pressed.
    pub(crate) async fn wait(&mut self) {
        let _ = self.pressed.wait_for(|pressed| *pressed).await;
    }
}
