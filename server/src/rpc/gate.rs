//! The gate that every call goes through: who calls, may they, for how long; and the audit log.

use std::{
    mem,
    sync::Arc,
    task::{Context, Poll},
};

use switchback_proto::ERROR_DOMAIN;
use tonic::{
    Code, Status,
    body::Body,
    codegen::{
        BoxFuture, Service, StdError,
        http::{HeaderMap, Request, Response, header},
    },
};
use tonic_types::StatusExt;
use tracing::Instrument;

use super::{
    call::{Call, Pending},
    roles::{self, Method},
    status_of,
    traced::traced,
};
use crate::{
    access::{Caller, Peer, Tokens},
    error::{Error, Reason, Result},
    telemetry::spans,
};

/// Services behind the gate.
#[derive(Debug, Clone)]
pub(super) struct Gate<S> {
    services: S,
    tokens: Option<Arc<Tokens>>,
}

impl<S> Gate<S> {
    /// Without tokens everybody is an admin.
    pub(super) fn new(services: S, tokens: Option<Arc<Tokens>>) -> Self {
        Self { services, tokens }
    }
}

impl<S> Service<Request<Body>> for Gate<S>
where
    S: Service<Request<Body>, Response = Response<Body>> + Clone + Send + 'static,
    S::Error: Into<StdError>,
    S::Future: Send,
{
    type Response = Response<Body>;
    type Error = StdError;
    type Future = BoxFuture<Self::Response, Self::Error>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.services.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let next = self.services.clone();
        // The one that said that it is ready.
        let services = mem::replace(&mut self.services, next);
        let tokens = self.tokens.clone();
        Box::pin(async move { pass(services, tokens.as_deref(), request).await })
    }
}

async fn pass<S>(
    services: S,
    tokens: Option<&Tokens>,
    request: Request<Body>,
) -> Result<Response<Body>, StdError>
where
    S: Service<Request<Body>, Response = Response<Body>>,
    S::Error: Into<StdError>,
{
    let Some(method) = roles::method(request.uri().path()) else {
        return Ok(Status::unimplemented("the server has no such method").into_http());
    };
    let Some(peer) = request.extensions().get::<Peer>().cloned() else {
        let error = Error::new(Reason::Internal, "the connection has no address");
        return Ok(status_of(&error).into_http());
    };
    if !method.is_traced() {
        return admit(services, tokens, (method, peer), request).await;
    }
    let span = spans::call(method.path, &peer, request.headers());
    let admitted = admit(services, tokens, (method, peer), request).instrument(span.clone());
    Ok(traced(admitted.await?, span))
}

async fn admit<S>(
    mut services: S,
    tokens: Option<&Tokens>,
    (method, peer): (&'static Method, Peer),
    mut request: Request<Body>,
) -> Result<Response<Body>, StdError>
where
    S: Service<Request<Body>, Response = Response<Body>>,
    S::Error: Into<StdError>,
{
    let mut call = Call::new(method, peer.clone());
    let known = identify(method, tokens, &peer, request.headers());
    if let Err(error) = known.and_then(|caller| caller.map_or(Ok(()), |caller| call.by(caller))) {
        Pending::new(call).answered(Some(error.reason().as_str()));
        return Ok(status_of(&error).into_http());
    }
    // A token is for the gate only.
    request.headers_mut().remove(header::AUTHORIZATION);
    request.extensions_mut().insert(call.clone());
    let pending = Pending::new(call);
    let Ok(answer) = tokio::time::timeout(method.deadline, services.call(request)).await else {
        let error = late(method);
        pending.answered(Some(error.reason().as_str()));
        return Ok(status_of(&error).into_http());
    };
    let answer = answer.map_err(Into::into)?;
    pending.answered(refusal(answer.headers()).as_deref());
    Ok(answer)
}

/// Who calls; `None` for a method that is open to everybody.
fn identify(
    method: &Method,
    tokens: Option<&Tokens>,
    peer: &Peer,
    headers: &HeaderMap,
) -> Result<Option<Caller>> {
    if method.role.is_none() {
        return Ok(None);
    }
    let Some(tokens) = tokens else { return Ok(Some(Caller::without_token(peer))) };
    let sent = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    tokens.caller(sent).map(Some)
}

fn late(method: &Method) -> Error {
    let message = format!("the call was not answered within {} s", method.deadline.as_secs());
    Error::new(Reason::CallLate, message)
        .hint("send its message at once; see the server's log where it was")
}

/// The reason of an answer that is an error and nothing else.
pub(super) fn refusal(headers: &HeaderMap) -> Option<String> {
    let status = Status::from_header_map(headers).filter(|status| status.code() != Code::Ok)?;
    let info = status.get_details_error_info().filter(|info| info.domain == ERROR_DOMAIN);
    Some(info.map_or_else(|| format!("{:?}", status.code()), |info| info.reason))
}

#[cfg(test)]
mod tests {
    use std::future::{Ready, ready};

    use super::*;

    /// Answers with OK, and says in a header which token it has seen.
    #[derive(Clone)]
    struct Inner;

    impl Service<Request<Body>> for Inner {
        type Response = Response<Body>;
        type Error = StdError;
        type Future = Ready<Result<Response<Body>, StdError>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), StdError>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, request: Request<Body>) -> Self::Future {
            let mut response = Response::new(Body::empty());
            let headers = response.headers_mut();
            let known = request.extensions().get::<Call>().is_some();
            headers.insert("x-known", known.to_string().parse().unwrap());
            let token = request.headers().contains_key(header::AUTHORIZATION);
            headers.insert("x-token", token.to_string().parse().unwrap());
            ready(Ok(response))
        }
    }

    async fn asked(path: &str, peer: Option<&str>) -> Response<Body> {
        let mut request = Request::new(Body::empty());
        *request.uri_mut() = path.parse().unwrap();
        request.headers_mut().insert(header::AUTHORIZATION, "Bearer swb_x".parse().unwrap());
        if let Some(address) = peer {
            let peer = Peer { address: address.parse().unwrap(), certificate: None };
            request.extensions_mut().insert(peer);
        }
        Gate::new(Inner, None).call(request).await.unwrap()
    }

    fn code(response: &Response<Body>) -> Option<Code> {
        Status::from_header_map(response.headers()).map(|status| status.code())
    }

    #[tokio::test]
    async fn a_call_comes_with_its_caller_and_without_its_token() {
        let path = "/switchback.v1.DatabaseService/GetDatabase";
        let answer = asked(path, Some("127.0.0.1:9")).await;
        assert_eq!(code(&answer), None);
        assert_eq!(answer.headers()["x-known"], "true");
        assert_eq!(answer.headers()["x-token"], "false");
    }

    #[tokio::test]
    async fn what_is_not_known_does_not_get_in() {
        let path = "/switchback.v1.DatabaseService/GetDatabase";
        assert_eq!(code(&asked(path, None).await), Some(Code::Internal));
        for path in [
            "/",
            "/switchback.v1.DatabaseService/Drop",
            "/switchback.v1.databaseservice/GetDatabase",
        ] {
            assert_eq!(code(&asked(path, Some("127.0.0.1:9")).await), Some(Code::Unimplemented));
        }
    }

    #[test]
    fn without_tokens_a_caller_is_called_by_where_they_are() {
        let from = |address: &str, certificate: Option<&str>| {
            let certificate = certificate.map(Into::into);
            Caller::without_token(&Peer { address: address.parse().unwrap(), certificate }).name
        };
        assert_eq!(&*from("127.0.0.1:9", None), "loopback");
        assert_eq!(&*from("[::ffff:127.0.0.1]:9", None), "loopback");
        assert_eq!(&*from("192.0.2.1:9", None), "anonymous");
        assert_eq!(&*from("192.0.2.1:9", Some("CN=deploy")), "CN=deploy");
    }
}
