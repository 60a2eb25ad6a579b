//! How a stream ends when the server stops: with an error that makes its reader come back.

use std::pin::Pin;

use futures_util::{Stream, StreamExt, stream};
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::status_of;
use crate::shutdown::stopping;

type Items<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

struct Until<T> {
    items: Items<T>,
    announced: CancellationToken,
    end: CancellationToken,
    is_last: fn(&T) -> bool,
    ended: bool,
}

/// The items of a stream up to the last one, or up to `end`. Whoever has not had the last one when
/// a stop was `announced` is told so: an end without it would look like the end of what is told.
pub(super) fn until_stop<T: Send + 'static>(
    items: impl Stream<Item = Result<T, Status>> + Send + 'static,
    (announced, end): (CancellationToken, CancellationToken),
    is_last: fn(&T) -> bool,
) -> Items<T> {
    let until = Until { items: Box::pin(items), announced, end, is_last, ended: false };
    Box::pin(stream::unfold(until, |mut until| async move {
        let item = until.next().await?;
        Some((item, until))
    }))
}

impl<T> Until<T> {
    async fn next(&mut self) -> Option<Result<T, Status>> {
        if self.ended {
            return None;
        }
        // What there is first: it may be the last.
        let next = tokio::select! {
            biased;
            next = self.items.next() => next,
            () = self.end.cancelled() => None,
        };
        match next {
            Some(item) => {
                self.ended = item.as_ref().map_or(true, self.is_last);
                Some(item)
            }
            None => {
                self.ended = true;
                self.announced.is_cancelled().then(|| Err(status_of(&stopping())))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tonic::Code;

    use super::*;

    async fn read(items: Vec<u32>, announced: bool, end: bool) -> (Vec<u32>, Option<Code>) {
        let tokens = (CancellationToken::new(), CancellationToken::new());
        if announced {
            tokens.0.cancel();
        }
        let items = stream::iter(items.into_iter().map(Ok));
        let items: Items<u32> =
            if end { Box::pin(items.chain(stream::pending())) } else { Box::pin(items) };
        if end {
            tokens.1.cancel();
        }
        let mut seen = Vec::new();
        let mut until = until_stop(items, tokens, |item| *item == 9);
        while let Some(item) = until.next().await {
            match item {
                Ok(item) => seen.push(item),
                Err(status) => return (seen, Some(status.code())),
            }
        }
        (seen, None)
    }

    #[tokio::test]
    async fn only_what_a_stop_cuts_off_ends_with_an_error() {
        assert_eq!(read(vec![1, 2], false, false).await, (vec![1, 2], None));
        assert_eq!(read(vec![1, 9], true, false).await, (vec![1, 9], None));
        assert_eq!(read(vec![1, 9], true, true).await, (vec![1, 9], None));
        assert_eq!(read(vec![1, 2], true, false).await, (vec![1, 2], Some(Code::Unavailable)));
        assert_eq!(read(vec![1, 2], true, true).await, (vec![1, 2], Some(Code::Unavailable)));
    }
}
