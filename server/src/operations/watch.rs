//! Reading an operation's events, those past and those to come.

use futures_util::{Stream, stream};
use switchback_proto::v1::{OperationEvent, OperationState, operation_event::Event};
use tokio::sync::watch;

use crate::{db::control::ControlStore, error::Result, task::detached};

const PAGE: u32 = 256;

struct Reader {
    store: ControlStore,
    id: String,
    next: u64,
    page: std::vec::IntoIter<OperationEvent>,
    /// Closed when the operation ends; `None` where it does not run in this process.
    announce: Option<watch::Receiver<u64>>,
    ended: bool,
}

/// Events from number `from` on; ends after the result.
pub(super) fn events(
    store: ControlStore,
    id: String,
    from: u64,
    announce: Option<watch::Receiver<u64>>,
) -> impl Stream<Item = Result<OperationEvent>> + Send + use<> {
    let reader =
        Reader { store, id, next: from, page: Vec::new().into_iter(), announce, ended: false };
    stream::unfold(reader, |mut reader| async move {
        let item = reader.next().await.transpose()?;
        Some((item, reader))
    })
}

impl Reader {
    async fn next(&mut self) -> Result<Option<OperationEvent>> {
        loop {
            if let Some(event) = self.page.next() {
                self.next = event.sequence + 1;
                self.ended = matches!(event.event, Some(Event::Result(_)));
                return Ok(Some(event));
            }
            if self.ended {
                return Ok(None);
            }
            // Seen before the store is read, so that no event between the two is missed.
            let open = self.announce.as_mut().is_some_and(|announce| {
                announce.mark_unchanged();
                announce.has_changed().is_ok()
            });
            let (store, id, next) = (self.store.clone(), self.id.clone(), self.next);
            let page = detached(async move { store.events(&id, next, PAGE).await });
            let page = page.await.inspect_err(|_| self.ended = true)?;
            if page.is_empty() {
                match &mut self.announce {
                    Some(announce) if open => {
                        // An error means that the operation has ended: read once more.
                        let _ = announce.changed().await;
                    }
                    _ => return self.result().await,
                }
            }
            self.page = page.into_iter();
        }
    }

    /// The result, which ends the events of whoever asked for later ones too; `None` where the
    /// operation goes on elsewhere.
    async fn result(&mut self) -> Result<Option<OperationEvent>> {
        self.ended = true;
        let (store, id) = (self.store.clone(), self.id.clone());
        detached(async move {
            let operation = store.operation(&id).await?;
            let ended = operation.filter(|operation| operation.state() != OperationState::Running);
            let Some(last) = ended.map(|operation| operation.last_sequence) else {
                return Ok(None);
            };
            Ok(store.events(&id, last, 1).await?.pop())
        })
        .await
    }
}
