//! Calls of the server.

use std::time::Duration;

use switchback_proto::v1::{
    AbortReport, AbortRequest, CancelOperationRequest, CutoverReport, CutoverRequest, Database,
    DiagnoseRequest, DiagnoseResponse, FinalizeReport, FinalizeRequest, GetDatabaseRequest,
    GetOperationRequest, ListDatabasesRequest, ListOperationsRequest, MigrateReport,
    MigrateRequest, Operation as OperationRecord, PlanReport, PlanRequest, RollbackReport,
    RollbackRequest, ValidateReport, ValidateRequest,
    database_service_client::DatabaseServiceClient,
    operation_service_client::OperationServiceClient, result_event,
};
use tonic::{
    Code, Request, Response, Status,
    service::interceptor::InterceptedService,
    transport::{Channel, Endpoint},
};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use crate::{
    Config, DatabaseWatch, Error, Operation, Result,
    access::Bearer,
    call::{Call, EventStream, events},
    config::invalid_endpoint,
    error::{INVALID_FILE, root_cause},
};

/// Plans of thousands of tables are larger than gRPC's usual 4 MiB.
const MAX_MESSAGE_BYTES: usize = 256 << 20;
/// A channel whose calls carry the token.
pub(crate) type Connection = InterceptedService<Channel, Bearer>;
/// The most operations that the server gives in one page.
const MAX_PAGE: u32 = 500;

/// The server gives each test of a database 15 seconds, and a call a minute.
const DIAGNOSE_TIMEOUT: Duration = Duration::from_secs(60);

/// What a health check answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// Ready for calls.
    Serving,
    /// There, and not ready: the process shuts down, or the active engine is down.
    NotServing,
    /// The server knows no such service.
    Unknown,
}

/// A connection to a server; clones share it.
#[derive(Debug, Clone)]
pub struct Client {
    config: Config,
    databases: DatabaseServiceClient<Connection>,
    operations: OperationServiceClient<Connection>,
    health: HealthClient<Connection>,
}

impl Client {
    /// Connects.
    ///
    /// # Errors
    /// `INVALID_ENDPOINT`, `INVALID_FILE`, or `SERVER_UNREACHABLE`.
    pub async fn connect(config: Config) -> Result<Self> {
        let address = config.address()?;
        let bearer = Bearer::new(config.token.clone(), &config.trace)?;
        let mut endpoint = Endpoint::from_shared(address.clone())
            .map_err(|_| invalid_endpoint("it is no address"))?
            .connect_timeout(config.connect_timeout)
            .tcp_nodelay(true)
            .tcp_keepalive(Some(Duration::from_secs(30)))
            // An operation may be silent for long; a dead peer shows within half a minute.
            .http2_keep_alive_interval(Duration::from_secs(20))
            .keep_alive_timeout(Duration::from_secs(10))
            .keep_alive_while_idle(true)
            .user_agent(concat!("switchback/", env!("CARGO_PKG_VERSION")))
            .map_err(|error| Error::new("INTERNAL", error.to_string()))?;
        if address.starts_with("https://") {
            endpoint = endpoint
                .tls_config(config.tls.config()?)
                .map_err(|error| unusable_certificates(&error))?;
        }
        let channel = tokio::time::timeout(config.connect_timeout, endpoint.connect())
            .await
            .map_err(|elapsed| Error::unreachable(&address, &elapsed))?
            .map_err(|error| Error::unreachable(&address, &error))?;
        let channel = InterceptedService::new(channel, bearer);
        Ok(Self {
            config,
            databases: DatabaseServiceClient::new(channel.clone())
                .max_decoding_message_size(MAX_MESSAGE_BYTES),
            operations: OperationServiceClient::new(channel.clone())
                .max_decoding_message_size(MAX_MESSAGE_BYTES),
            health: HealthClient::new(channel),
        })
    }

    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    /// Says what a migration would do.
    ///
    /// An empty `request_id` is filled in, here and in the other operations, so that a call whose
    /// connection breaks before its first event is not started twice.
    pub async fn plan(&self, mut request: PlanRequest) -> Result<Operation<PlanReport>> {
        fill_in(&mut request.request_id);
        self.start(Call::Plan(request)).await
    }

    /// Moves a database to PostgreSQL.
    pub async fn migrate(&self, mut request: MigrateRequest) -> Result<Operation<MigrateReport>> {
        fill_in(&mut request.request_id);
        self.start(Call::Migrate(Box::new(request))).await
    }

    /// Compares both engines.
    pub async fn validate(
        &self,
        mut request: ValidateRequest,
    ) -> Result<Operation<ValidateReport>> {
        fill_in(&mut request.request_id);
        self.start(Call::Validate(request)).await
    }

    /// Makes PostgreSQL the active engine of a database that is in `following`; with `dry_run`,
    /// only says in the report's `forecast` whether that would be tried.
    pub async fn cutover(&self, mut request: CutoverRequest) -> Result<Operation<CutoverReport>> {
        fill_in(&mut request.request_id);
        self.start(Call::Cutover(request)).await
    }

    /// Undoes a migration that has not been cut over.
    pub async fn abort(&self, mut request: AbortRequest) -> Result<Operation<AbortReport>> {
        fill_in(&mut request.request_id);
        self.start(Call::Abort(request)).await
    }

    /// Makes SQLite the active engine again, with everything that was written on PostgreSQL since;
    /// with `dry_run`, only says in the report's `forecast` whether that would be tried.
    pub async fn rollback(
        &self,
        mut request: RollbackRequest,
    ) -> Result<Operation<RollbackReport>> {
        fill_in(&mut request.request_id);
        self.start(Call::Rollback(request)).await
    }

    /// Ends reverse replication and removes what was installed: there is no way back then.
    pub async fn finalize(
        &self,
        mut request: FinalizeRequest,
    ) -> Result<Operation<FinalizeReport>> {
        fill_in(&mut request.request_id);
        self.start(Call::Finalize(request)).await
    }

    /// Attaches to an operation, from an event number on; 0 gives every event.
    pub async fn watch_operation(
        &self,
        operation_id: impl Into<String>,
        from_sequence: u64,
    ) -> Result<Operation<result_event::Report>> {
        self.start(Call::watch(operation_id.into(), from_sequence)).await
    }

    /// An operation as it is now.
    pub async fn operation(&self, operation_id: impl Into<String>) -> Result<OperationRecord> {
        let request = GetOperationRequest { operation_id: operation_id.into() };
        let mut client = self.operations.clone();
        let response = self.unary(client.get_operation(self.timed(request))).await?;
        response.operation.ok_or_else(|| incomplete("GetOperation"))
    }

    /// The newest operations, at most `limit`, newest first; an empty `database` means all.
    pub async fn operations(&self, database: &str, limit: usize) -> Result<Vec<OperationRecord>> {
        let mut operations = Vec::new();
        let mut page_token = String::new();
        while operations.len() < limit {
            let wanted = u32::try_from(limit - operations.len()).unwrap_or(MAX_PAGE);
            let request = ListOperationsRequest {
                database: database.to_owned(),
                page_size: wanted.min(MAX_PAGE),
                page_token,
            };
            let mut client = self.operations.clone();
            let page = self.unary(client.list_operations(self.timed(request))).await?;
            operations.extend(page.operations);
            page_token = page.next_page_token;
            if page_token.is_empty() {
                break;
            }
        }
        operations.truncate(limit);
        Ok(operations)
    }

    /// Asks an operation to stop and to undo what it did; watch it for its end.
    pub async fn cancel_operation(
        &self,
        operation_id: impl Into<String>,
    ) -> Result<OperationRecord> {
        let request = CancelOperationRequest { operation_id: operation_id.into() };
        let mut client = self.operations.clone();
        let response = self.unary(client.cancel_operation(self.timed(request))).await?;
        response.operation.ok_or_else(|| incomplete("CancelOperation"))
    }

    /// A database as it is now.
    pub async fn database(&self, name: impl Into<String>) -> Result<Database> {
        let request = GetDatabaseRequest { database: name.into() };
        let mut client = self.databases.clone();
        let response = self.unary(client.get_database(self.timed(request))).await?;
        response.database.ok_or_else(|| incomplete("GetDatabase"))
    }

    /// Every database that the server is configured with.
    pub async fn databases(&self) -> Result<Vec<Database>> {
        let mut client = self.databases.clone();
        let request = self.timed(ListDatabasesRequest::default());
        Ok(self.unary(client.list_databases(request)).await?.databases)
    }

    /// Tests what a database needs, or with an empty name what all of them do: engines,
    /// directories, the store. What a test finds is in the answer.
    pub async fn diagnose(&self, database: &str) -> Result<DiagnoseResponse> {
        let request = DiagnoseRequest { database: database.to_owned() };
        let mut client = self.databases.clone();
        within(DIAGNOSE_TIMEOUT, client.diagnose(due_in(DIAGNOSE_TIMEOUT, request))).await
    }

    /// The state of a database, now and at every change.
    pub async fn watch_database(&self, name: impl Into<String>) -> Result<DatabaseWatch> {
        DatabaseWatch::attached(self.clone(), name.into()).await
    }

    /// Asks `grpc.health.v1` for a service: empty for the process, `database/<name>` for a
    /// database, `rollback/<name>` for the way back from PostgreSQL.
    pub async fn health(&self, service: &str) -> Result<Health> {
        let request = HealthCheckRequest { service: service.to_owned() };
        let mut client = self.health.clone();
        let timed = self.timed(request);
        // Bounded here too: the server may hold a connection and answer nothing.
        let answer = tokio::time::timeout(self.config.call_timeout, client.check(timed)).await;
        match answer.map_err(|_| self.late())? {
            Ok(response) => Ok(match response.into_inner().status() {
                ServingStatus::Serving => Health::Serving,
                ServingStatus::NotServing => Health::NotServing,
                ServingStatus::Unknown | ServingStatus::ServiceUnknown => Health::Unknown,
            }),
            Err(status) if status.code() == Code::NotFound => Ok(Health::Unknown),
            Err(status) => Err(Error::from_status(&status)),
        }
    }

    pub(crate) async fn start<R: crate::Report>(&self, call: Call) -> Result<Operation<R>> {
        // It has room for every kind of call; commands hold it several levels down.
        let events = Box::pin(self.open(&call)).await?;
        Ok(Operation::attached(self.clone(), call, events))
    }

    /// Opens the stream of a call.
    pub(crate) async fn open(&self, call: &Call) -> Result<EventStream> {
        let mut databases = self.databases.clone();
        let mut operations = self.operations.clone();
        match call.clone() {
            Call::Plan(request) => Ok(events(self.unary(databases.plan(request)).await?)),
            Call::Migrate(request) => Ok(events(self.unary(databases.migrate(*request)).await?)),
            Call::Validate(request) => Ok(events(self.unary(databases.validate(request)).await?)),
            Call::Cutover(request) => Ok(events(self.unary(databases.cutover(request)).await?)),
            Call::Abort(request) => Ok(events(self.unary(databases.abort(request)).await?)),
            Call::Rollback(request) => Ok(events(self.unary(databases.rollback(request)).await?)),
            Call::Finalize(request) => Ok(events(self.unary(databases.finalize(request)).await?)),
            Call::Backup(request) => Ok(events(self.unary(databases.backup(request)).await?)),
            Call::Restore(request) => Ok(events(self.unary(databases.restore(request)).await?)),
            Call::VerifyBackup(request) => {
                Ok(events(self.unary(databases.verify_backup(request)).await?))
            }
            Call::Watch(request) => {
                Ok(events(self.unary(operations.watch_operation(request)).await?))
            }
        }
    }

    pub(crate) fn database_service(&self) -> DatabaseServiceClient<Connection> {
        self.databases.clone()
    }

    /// A request whose deadline the server knows.
    pub(crate) fn timed<T>(&self, message: T) -> Request<T> {
        due_in(self.config.call_timeout, message)
    }

    /// Waits for one answer, or the first answer of a stream, within the deadline.
    pub(crate) async fn unary<T>(
        &self,
        call: impl Future<Output = Result<Response<T>, Status>>,
    ) -> Result<T> {
        within(self.config.call_timeout, call).await
    }

    fn late(&self) -> Error {
        Error::late(self.config.call_timeout)
    }
}

/// A request whose deadline the server knows.
pub(crate) fn due_in<T>(deadline: Duration, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(deadline);
    request
}

/// Waits for one answer, no longer than the deadline.
pub(crate) async fn within<T>(
    deadline: Duration,
    call: impl Future<Output = Result<Response<T>, Status>>,
) -> Result<T> {
    match tokio::time::timeout(deadline, call).await {
        Ok(Ok(response)) => Ok(response.into_inner()),
        Ok(Err(status)) => Err(Error::from_status(&status)),
        Err(_) => Err(Error::late(deadline)),
    }
}

fn unusable_certificates(error: &tonic::transport::Error) -> Error {
    let cause = root_cause(error);
    Error::new(INVALID_FILE, format!("the certificates cannot be used: {cause}"))
        .with_hint("they are PEM files: --ca, and --cert with its --key")
}

fn incomplete(call: &str) -> Error {
    Error::new("INTERNAL", format!("the server's answer to {call} is empty"))
}

/// Gives a request an id of its own, unless the caller has.
pub(crate) fn fill_in(request_id: &mut String) {
    if request_id.is_empty() {
        *request_id = uuid::Uuid::now_v7().to_string();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::SERVER_UNREACHABLE;

    #[test]
    fn a_request_id_is_kept_and_a_missing_one_made() {
        let mut given = "mine".to_owned();
        fill_in(&mut given);
        assert_eq!(given, "mine");
        let mut made = String::new();
        fill_in(&mut made);
        assert_eq!(made.len(), 36);
    }

    #[tokio::test]
    async fn a_server_that_is_down_is_unreachable() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        drop(listener);
        let error = Client::connect(Config { endpoint, ..Config::default() }).await.unwrap_err();
        assert_eq!(error.reason(), SERVER_UNREACHABLE);
        assert!(error.message().contains("refused"), "{error}");
        assert!(!error.hint().is_empty());
    }
}
