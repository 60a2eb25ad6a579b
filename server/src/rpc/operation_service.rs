//! `OperationService`.

use std::pin::Pin;

use futures_util::{Stream, StreamExt};
use switchback_proto::v1::{
    CancelOperationRequest, CancelOperationResponse, GetOperationRequest, GetOperationResponse,
    ListOperationsRequest, ListOperationsResponse, WatchOperationRequest, WatchOperationResponse,
    operation_service_server::OperationService,
};
use tonic::{Request, Response, Status};

use super::{Watchers, call::Call, check, status_of, stopping::until_stop};
use crate::operations::{Operations, is_last};

const DEFAULT_PAGE: u32 = 50;
const LARGEST_PAGE: u32 = 500;

/// Serves `OperationService`.
#[derive(Debug, Clone)]
pub struct OperationRpc {
    operations: Operations,
    watchers: Watchers,
}

impl OperationRpc {
    /// Over the server's operations.
    pub fn new(operations: Operations, watchers: Watchers) -> Self {
        Self { operations, watchers }
    }
}

#[tonic::async_trait]
impl OperationService for OperationRpc {
    type WatchOperationStream =
        Pin<Box<dyn Stream<Item = Result<WatchOperationResponse, Status>> + Send>>;

    async fn get_operation(
        &self,
        request: Request<GetOperationRequest>,
    ) -> Result<Response<GetOperationResponse>, Status> {
        let id = request.into_inner().operation_id;
        let operation = self.operations.get(&id).await.map_err(|e| status_of(&e))?;
        Ok(Response::new(GetOperationResponse { operation: Some(operation) }))
    }

    async fn list_operations(
        &self,
        request: Request<ListOperationsRequest>,
    ) -> Result<Response<ListOperationsResponse>, Status> {
        let request = request.into_inner();
        check::page_token(&request.page_token)?;
        let size = match request.page_size {
            0 => DEFAULT_PAGE,
            size => size.min(LARGEST_PAGE),
        };
        let page = self.operations.list(&request.database, &request.page_token, size + 1).await;
        let mut operations = page.map_err(|e| status_of(&e))?;
        let more = operations.len() > size as usize;
        operations.truncate(size as usize);
        let last = operations.last().map(|operation| operation.operation_id.clone());
        let next_page_token = last.filter(|_| more).unwrap_or_default();
        Ok(Response::new(ListOperationsResponse { operations, next_page_token }))
    }

    async fn watch_operation(
        &self,
        request: Request<WatchOperationRequest>,
    ) -> Result<Response<Self::WatchOperationStream>, Status> {
        let WatchOperationRequest { operation_id, from_sequence } = request.into_inner();
        let place = self.watchers.of_operation().map_err(|e| status_of(&e))?;
        self.operations.link(&operation_id);
        let events = self.operations.watch(&operation_id, from_sequence).await;
        let events = events.map_err(|e| status_of(&e))?.map(move |event| {
            let _held = &place;
            event.map_err(|e| status_of(&e))
        });
        let stop = self.operations.stop();
        let events = until_stop(events, (stop.announced, stop.port), is_last);
        let wrap = |event| WatchOperationResponse { event: Some(event) };
        Ok(Response::new(Box::pin(events.map(move |event| event.map(wrap)))))
    }

    async fn cancel_operation(
        &self,
        request: Request<CancelOperationRequest>,
    ) -> Result<Response<CancelOperationResponse>, Status> {
        let (call, request) = Call::open(request)?;
        let id = request.operation_id;
        call.operation(&id);
        let operation = self.operations.cancel(&id).await.map_err(|e| status_of(&e))?;
        call.about(&operation.database, "");
        Ok(Response::new(CancelOperationResponse { operation: Some(operation) }))
    }
}
