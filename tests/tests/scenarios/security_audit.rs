//! What is written about who did what, and who tried to.

use std::fs;

use serde_json::Value;
use switchback_proto::v1::RestoreRequest;
use switchback_tests::{
    certificates::put,
    cli,
    rig::{Rig, directory},
    server::Server,
    tokens::Token,
};
use tonic::Code;

use crate::security::{Guarded, code};

#[tokio::test]
async fn the_audit_log_has_who_did_what_and_how_it_ended() {
    let rig =
        Rig::of_sql("CREATE TABLE t (id INTEGER PRIMARY KEY); INSERT INTO t VALUES (1)").await;
    let [viewer, admin] = ["viewer", "admin"].map(|role| Token::make(role, &[]));
    let place = rig.directory.path();
    put(&place.join("tokens"), &format!("{}\n{}", viewer.line, admin.line));
    let [tokens, audit] =
        ["tokens", "audit.log"].map(|name| place.join(name).display().to_string());
    let settings = [
        ("SWITCHBACK_TOKENS", tokens.as_str()),
        ("SWITCHBACK_AUDIT_LOG", &audit),
        // No filter hides it.
        ("SWITCHBACK_LOG", "off"),
    ];
    let server = Server::start_with(&rig.source, &rig.database.url, &settings).await;
    let endpoint = server.endpoint();
    let run = |arguments: &'static [&str], token: &Token| {
        let token = token.token.clone();
        let endpoint = endpoint.clone();
        async move {
            let variables = [("SWITCHBACK_TOKEN", token.as_str())];
            cli::start_with(&endpoint, arguments, &variables).finish().await
        }
    };
    run(&["status"], &viewer).await.expect(0);
    run(&["backup"], &viewer).await.expect(5);
    let migrated = run(&["migrate", "--skip-backup", "--request-id", "rq\n7"], &admin).await;
    migrated.expect(0);
    run(&["migrate", "--skip-backup"], &admin).await.expect(5);
    cli::run(&endpoint, &["status"]).await.expect(5);

    let (text, lines) = audited(&audit);
    let find = |outcome: &str, method: &str| {
        let mut found = lines.iter().filter(|line| {
            line["outcome"] == outcome && line["method"].as_str().unwrap_or("").ends_with(method)
        });
        found.next().unwrap_or_else(|| panic!("no {outcome} {method} in {text}"))
    };
    let refused = find("refused", "/Backup");
    assert_eq!((&refused["caller"], &refused["role"]), (&"the-viewer".into(), &"viewer".into()));
    assert_eq!(refused["reason"], "PERMISSION_DENIED");
    let accepted = find("accepted", "/Migrate");
    for (field, value) in [
        ("caller", "the-admin"),
        ("role", "admin"),
        ("database", "default"),
        ("request_id", "rq\n7"),
        ("operation_id", migrated.operation()),
        ("reason", ""),
    ] {
        assert_eq!(accepted[field], value, "{field} of {accepted}");
    }
    assert!(accepted["peer"].as_str().is_some_and(|peer| peer.starts_with("127.0.0.1:")));
    let ended = find("ended", "");
    assert_eq!(ended["operation_id"], migrated.operation());
    assert_eq!((&ended["state"], &ended["caller"]), (&"succeeded".into(), &"the-admin".into()));
    assert_eq!(find("refused", "/GetDatabase")["reason"], "UNAUTHENTICATED");
    // Reading is written down where it is refused only.
    assert!(!lines.iter().any(|line| {
        line["outcome"] == "accepted" && line["method"].as_str().unwrap_or("").contains("Get")
    }));
    assert!(!text.contains("swb_") && !server.logs().contains("swb_"));
    drop(server);
    rig.finish().await;
}

fn audited(file: &str) -> (String, Vec<Value>) {
    let text = fs::read_to_string(file).expect("an audit log");
    let lines = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    (text, lines)
}

/// A file of the audit log may be moved away at any time.
#[tokio::test]
async fn the_audit_log_is_rotated_under_the_server() {
    let place = directory();
    let audit = place.path().join("audit.log");
    let path = audit.display().to_string();
    let guarded = Guarded::start(&[("SWITCHBACK_AUDIT_LOG", &path)]).await;
    for _ in 0..2 {
        let request = RestoreRequest { backup_id: "../x".into(), ..Default::default() };
        let refused = guarded.databases(&guarded.operator).restore(request).await;
        assert_eq!(code(refused), Code::InvalidArgument);
        let text = fs::read_to_string(&audit).expect("a line");
        assert_eq!(text.lines().count(), 1, "{text}");
        fs::rename(&audit, place.path().join("audit.log.1")).expect("moved");
    }
}
