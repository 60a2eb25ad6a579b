//! Every way in: without a token, with a wrong one, with a role that may not.

use std::path::PathBuf;

use switchback_proto::v1::{
    ExistingSchema, GetDatabaseRequest, MigrateRequest, Plan, PlanOptions, PruneBackupsRequest,
    RestoreRequest, RollbackRequest, database_service_client::DatabaseServiceClient,
};
use switchback_tests::{
    certificates::put,
    cli,
    rig::directory,
    server::Server,
    tokens::{Bearer, Token},
};
use tempfile::TempDir;
use tonic::{Code, Status, service::interceptor::InterceptedService, transport::Channel};
use tonic_types::StatusExt;

use crate::methods;

/// Nobody listens there: most of this asks no engine.
pub(crate) const NOWHERE: &str = "postgres://owner@127.0.0.1:1/nothing";

const VIEWER: [&str; 10] = [
    "GetDatabase",
    "ListDatabases",
    "WatchDatabase",
    "ListBackups",
    "Diagnose",
    "GetOperation",
    "ListOperations",
    "WatchOperation",
    "grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
];
const OPERATOR: [&str; 11] = [
    "Plan",
    "Migrate",
    "Validate",
    "Cutover",
    "Rollback",
    "Abort",
    "Backup",
    "Restore",
    "VerifyBackup",
    "PruneBackups",
    "CancelOperation",
];
const ADMIN: [&str; 2] = ["DeleteBackup", "Finalize"];

/// A server with a token for each role.
pub(crate) struct Guarded {
    pub(crate) server: Server,
    pub(crate) viewer: Token,
    pub(crate) operator: Token,
    pub(crate) admin: Token,
    pub(crate) file: PathBuf,
    pub(crate) directory: TempDir,
}

impl Guarded {
    pub(crate) async fn start(more: &[(&str, &str)]) -> Self {
        let directory = directory();
        let [viewer, operator, admin] =
            ["viewer", "operator", "admin"].map(|role| Token::make(role, &[]));
        let file = directory.path().join("tokens");
        put(&file, &[&viewer, &operator, &admin].map(|token| token.line.as_str()).join("\n"));
        let source = directory.path().join("source.db");
        let path = file.display().to_string();
        let settings = [&[("SWITCHBACK_TOKENS", path.as_str())], more].concat();
        let server = Server::start_with(&source, NOWHERE, &settings).await;
        Self { server, viewer, operator, admin, file, directory }
    }

    pub(crate) fn databases(&self, token: &Token) -> Databases {
        DatabaseServiceClient::new(token.on(self.server.channel()))
    }

    async fn ask(&self, token: &Token) -> Code {
        let request = GetDatabaseRequest { database: "default".into() };
        code(self.databases(token).get_database(request).await)
    }
}

pub(crate) type Databases = DatabaseServiceClient<InterceptedService<Channel, Bearer>>;

pub(crate) fn code<T>(answer: Result<T, Status>) -> Code {
    answer.map_or_else(|status| status.code(), |_| Code::Ok)
}

/// Every method that reflection tells of, so that a new one cannot be forgotten.
#[tokio::test]
async fn every_method_asks_for_a_token_and_for_a_role() {
    let guarded = Guarded::start(&[]).await;
    let channel = guarded.server.channel();
    let all = methods::of(guarded.viewer.on(channel.clone())).await;
    assert!(all.len() >= VIEWER.len() + OPERATOR.len() + ADMIN.len(), "{all:?}");
    let (mut open, mut guarded_ones) = (0, 0);
    for path in &all {
        let is_one_of = |list: &[&str]| list.iter().any(|name| path.ends_with(&format!("/{name}")));
        let with = |token: &str| methods::call(Bearer::of(token, channel.clone()), path.clone());
        if path.starts_with("/grpc.health.v1.Health/") {
            let (without, _) = methods::call(channel.clone(), path.clone()).await;
            assert_ne!(without, Code::Unauthenticated, "{path}");
            open += 1;
            continue;
        }
        guarded_ones += 1;
        for (code, reason) in
            [methods::call(channel.clone(), path.clone()).await, with("swb_guessed").await]
        {
            assert_eq!(
                (code, reason.as_str()),
                (Code::Unauthenticated, "UNAUTHENTICATED"),
                "{path}"
            );
        }
        let allowed = if is_one_of(&VIEWER) {
            [true, true, true]
        } else if is_one_of(&OPERATOR) {
            [false, true, true]
        } else {
            assert!(
                is_one_of(&ADMIN),
                "{path} is new: say who may call it, here and in docs/security.md"
            );
            [false, false, true]
        };
        let tokens = [&guarded.viewer, &guarded.operator, &guarded.admin];
        for (token, allowed) in tokens.into_iter().zip(allowed) {
            let (code, reason) = with(&token.token).await;
            let denied = code == Code::PermissionDenied;
            assert_eq!(denied, !allowed, "{path} with {}: {code:?} {reason}", token.line);
            assert_ne!(code, Code::Unauthenticated, "{path}");
            assert_eq!(reason == "PERMISSION_DENIED", denied, "{path}: {reason}");
        }
    }
    assert_eq!((open > 0, guarded_ones), (true, VIEWER.len() + OPERATOR.len() + ADMIN.len()));
}

/// What a method does with some requests takes more than what it does with others.
#[tokio::test]
async fn to_overwrite_and_to_leave_behind_is_the_admins() {
    let guarded = Guarded::start(&[]).await;
    let database = || "default".to_owned();
    let restore = |overwrite| RestoreRequest {
        database: database(),
        backup_id: "20260101T000000Z-0".into(),
        overwrite,
        ..Default::default()
    };
    let rollback =
        |accept_loss| RollbackRequest { database: database(), accept_loss, ..Default::default() };
    let prune = |confirm| PruneBackupsRequest {
        database: "other".into(),
        keep_last: 1,
        confirm,
        ..Default::default()
    };
    let migrate = |empty_target| MigrateRequest {
        database: "other".into(),
        options: Some(PlanOptions { schema_mode: 2, ..Default::default() }),
        plan: Some(Plan {
            existing: Some(ExistingSchema { empty_target, ..Default::default() }),
            ..Default::default()
        }),
        ..Default::default()
    };
    for (token, denied) in [(&guarded.operator, true), (&guarded.admin, false)] {
        let mut databases = guarded.databases(token);
        for dangerous in [false, true] {
            for (what, code) in [
                ("restore", code(databases.restore(restore(dangerous)).await)),
                ("rollback", code(databases.rollback(rollback(dangerous)).await)),
                ("prune", code(databases.prune_backups(prune(dangerous)).await)),
                ("migrate", code(databases.migrate(migrate(dangerous)).await)),
            ] {
                let is_denied = code == Code::PermissionDenied;
                assert_eq!(is_denied, denied && dangerous, "{what} {dangerous}: {code:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_token_is_known_until_its_line_goes_or_it_expires() {
    let guarded = Guarded::start(&[]).await;
    assert_eq!(guarded.ask(&guarded.operator).await, Code::Ok);
    // A file that says nothing sensible changes nothing.
    put(&guarded.file, "the-operator operator swb_put_here_by_mistake");
    assert_eq!(guarded.ask(&guarded.operator).await, Code::Ok);
    put(&guarded.file, &guarded.viewer.line);
    assert_eq!(guarded.ask(&guarded.operator).await, Code::Unauthenticated);
    assert_eq!(guarded.ask(&guarded.viewer).await, Code::Ok);
    let later = Token::make("admin", &["--expires", "1d"]);
    let past = later.line.split_once(" expires=").expect("it ends").0;
    put(&guarded.file, &format!("{past} expires=2020-01-01T00:00:00Z"));
    let request = GetDatabaseRequest { database: "default".into() };
    let refused = guarded.databases(&later).get_database(request).await.expect_err("it has ended");
    assert_eq!(refused.code(), Code::Unauthenticated);
    assert!(refused.message().contains("expired"), "{refused}");
    let details = refused.get_details_error_info().expect("rich error");
    assert!(!details.metadata["hint"].is_empty());
    put(&guarded.file, &later.line);
    assert_eq!(guarded.ask(&later).await, Code::Ok);
    let logs = guarded.server.logs();
    assert!(logs.contains("line 1"), "the mistake is not told: {logs}");
    for secret in ["swb_put_here", &later.token, &guarded.operator.token] {
        assert!(!logs.contains(secret), "a token is in the log: {logs}");
    }
}

#[tokio::test]
async fn the_command_line_carries_a_token() {
    let guarded = Guarded::start(&[]).await;
    let endpoint = guarded.server.endpoint();
    let run = cli::run(&endpoint, &["status"]).await;
    run.refused(5, "UNAUTHENTICATED");
    let file = guarded.directory.path().join("viewer.token");
    let path = file.display().to_string();
    let with_file = ["--token-file", path.as_str()];
    let missing = cli::run(&endpoint, &[&with_file[..], &["status"]].concat()).await;
    assert_eq!((missing.code, missing.reason()), (2, "INVALID_FILE"), "{}", missing.stderr);
    put(&file, &format!("{}\n", guarded.viewer.token));
    cli::run(&endpoint, &[&with_file[..], &["status"]].concat()).await.expect(0);
    let run = cli::run(&endpoint, &[&with_file[..], &["finalize"]].concat()).await;
    run.refused(5, "PERMISSION_DENIED");
    assert!(run.message().contains("the-viewer"), "{}", run.message());
    for (name, value) in
        [("SWITCHBACK_TOKEN", guarded.viewer.token.as_str()), ("SWITCHBACK_TOKEN_FILE", &path)]
    {
        cli::start_with(&endpoint, &["status"], &[(name, value)]).finish().await.expect(0);
    }
    // It stays on this machine unless somebody answers for the network.
    let arguments = [&with_file[..], &["status"]].concat();
    let elsewhere = cli::run("http://switchback.example:1", &arguments).await;
    assert_eq!((elsewhere.code, elsewhere.reason()), (2, "INVALID_ENDPOINT"));
}

#[tokio::test]
async fn reflection_can_be_switched_off() {
    let guarded = Guarded::start(&[("SWITCHBACK_REFLECTION", "off")]).await;
    let path = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo".to_owned();
    let (code, _) = methods::call(guarded.viewer.on(guarded.server.channel()), path).await;
    assert_eq!(code, Code::Unimplemented);
    assert_eq!(guarded.ask(&guarded.viewer).await, Code::Ok);
    let arguments = ["--check-config", "--no-reflection"];
    let ended = Server::run("/data/app.db".as_ref(), NOWHERE, &arguments).await;
    assert!(ended.output.contains("reflection = false"), "{}", ended.output);
}

/// One start tells everything that is missing; with `SWITCHBACK_INSECURE` it warns each time.
#[tokio::test]
async fn other_machines_are_let_in_with_tls_and_tokens_only() {
    let listen = ("SWITCHBACK_LISTEN", "0.0.0.0:50051");
    let source = "/data/app.db".as_ref();
    let settings = [listen, ("SWITCHBACK_TLS_CERT", "/nowhere.pem"), ("SWITCHBACK_LEASE", "0")];
    let ended = Server::run_with(source, NOWHERE, &settings).await;
    assert_eq!(ended.code, 64, "{}", ended.output);
    for part in ["SWITCHBACK_LISTEN", "SWITCHBACK_TOKENS", "SWITCHBACK_TLS_KEY", "lease"] {
        assert!(ended.output.contains(part), "{part}: {}", ended.output);
    }
    let mut server = Server::start(source, NOWHERE).await;
    server.terminate().await;
    let before = server.logs();
    assert!(!before.contains("insecurely"), "{before}");
    let listen = format!("0.0.0.0:{}", server.port());
    server.set("SWITCHBACK_LISTEN", &listen);
    server.set("SWITCHBACK_INSECURE", "1");
    server.launch().await;
    assert!(server.logs().contains("insecurely"), "{}", server.logs());
}
