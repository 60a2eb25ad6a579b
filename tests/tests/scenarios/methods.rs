//! Every method that a server tells of by reflection, and calls of them that know no message.

use std::{collections::BTreeSet, fmt::Display};

use switchback_proto::ERROR_DOMAIN;
use tokio_stream::StreamExt;
use tonic::{
    Code, Request,
    body::Body,
    client::{Grpc, GrpcService},
    codegen::{Bytes, StdError, http::uri::PathAndQuery},
};
use tonic_prost::{ProstCodec, prost::Message};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
};
use tonic_types::StatusExt;

/// Paths of all methods: `/package.Service/Method`.
pub(crate) async fn of<S>(service: S) -> BTreeSet<String>
where
    S: GrpcService<Body> + Clone,
    S::Error: Into<StdError>,
    S::ResponseBody: tonic::codegen::Body<Data = Bytes> + Send + 'static,
    <S::ResponseBody as tonic::codegen::Body>::Error: Into<StdError> + Send,
{
    let ask = |question| {
        let request =
            ServerReflectionRequest { host: String::new(), message_request: Some(question) };
        let mut client = ServerReflectionClient::new(service.clone());
        async move {
            let answers = client.server_reflection_info(tokio_stream::iter([request])).await;
            let answer = answers.expect("reflection").into_inner().next().await;
            answer.expect("an answer").expect("an answer").message_response.expect("a response")
        }
    };
    let MessageResponse::ListServicesResponse(list) =
        ask(MessageRequest::ListServices(String::new())).await
    else {
        panic!("no list of services");
    };
    let mut paths = BTreeSet::new();
    // Both versions are served; each tells of itself only.
    paths.insert("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo".to_owned());
    paths.insert("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo".to_owned());
    for service in list.service {
        let file = ask(MessageRequest::FileContainingSymbol(service.name.clone())).await;
        let MessageResponse::FileDescriptorResponse(files) = file else {
            panic!("no file of {}", service.name);
        };
        for bytes in files.file_descriptor_proto {
            let file = prost_types::FileDescriptorProto::decode(&*bytes).expect("a descriptor");
            for described in &file.service {
                let name = format!("{}.{}", file.package(), described.name());
                let methods = described.method.iter();
                paths.extend(methods.map(|method| format!("/{name}/{}", method.name())));
            }
        }
    }
    paths
}

/// Calls a method with an empty message, up to the beginning of its answer: its code, and the
/// reason of its error where there is one.
pub(crate) async fn call<S>(service: S, path: impl Display) -> (Code, String)
where
    S: GrpcService<Body>,
    S::Error: Into<StdError>,
    S::ResponseBody: tonic::codegen::Body<Data = Bytes> + Send + 'static,
    <S::ResponseBody as tonic::codegen::Body>::Error: Into<StdError> + Send,
{
    let mut grpc = Grpc::new(service);
    let ready = grpc.ready().await.map_err(Into::<StdError>::into);
    ready.expect("a connection");
    let path: PathAndQuery = path.to_string().parse().expect("a path");
    let codec = ProstCodec::<(), ()>::default();
    match grpc.server_streaming(Request::new(()), path, codec).await {
        Ok(_) => (Code::Ok, String::new()),
        Err(status) => {
            let info = status.get_details_error_info().filter(|info| info.domain == ERROR_DOMAIN);
            (status.code(), info.map(|info| info.reason).unwrap_or_default())
        }
    }
}
