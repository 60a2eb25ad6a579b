//! Answers whose span lasts for as long as they do: that of a stream, until it ends.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tonic::{
    Code, Status,
    body::Body,
    codegen::{
        Bytes,
        http::{HeaderMap, Response},
    },
};
use tracing::Span;

use super::gate::refusal;
use crate::telemetry::spans;

/// An answer that ends a call's span.
pub(super) fn traced(answer: Response<Body>, span: Span) -> Response<Body> {
    if let Some(status) = Status::from_header_map(answer.headers()) {
        spans::answered(&span, status.code(), refusal(answer.headers()).as_deref());
    }
    answer.map(|body| Body::new(Traced { body, span }))
}

struct Traced {
    body: Body,
    span: Span,
}

impl Traced {
    fn ended(&self, trailers: &HeaderMap) {
        let code = Status::from_header_map(trailers).map_or(Code::Unknown, |status| status.code());
        spans::answered(&self.span, code, refusal(trailers).as_deref());
    }
}

impl HttpBody for Traced {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && let Some(trailers) = frame.trailers_ref()
        {
            self.ended(trailers);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
