//! What the documents tell people to type.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use switchback_tests::{
    DEADLINE, binaries,
    certificates::{Authority, put},
    rig::{Rig, directory},
    server::Server,
    tokens::Token,
};
use tokio::{process::Command, time::timeout};

/// Writes down what it is called with: arguments end with NUL, calls with NUL as well.
const RECORDER: &str = "#!/bin/sh
{ printf '%s\\0' \"${0##*/}\" \"$@\"; printf '\\0'; } >>\"$RECORD\"
";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The README and the handbook.
fn documents() -> Vec<PathBuf> {
    let handbook = fs::read_dir(root().join("docs")).expect("the handbook");
    let mut all: Vec<PathBuf> = handbook.flatten().map(|entry| entry.path()).collect();
    all.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    all.extend([root().join("README.md"), root().join("CONTRIBUTING.md")]);
    all
}

/// Commands of a document's blocks for the shell, continued lines as one.
fn commands(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).expect("a document");
    let mut commands = Vec::new();
    for block in text.split("```sh\n").skip(1) {
        let block = block.split("```").next().unwrap_or_default().replace("\\\n", " ");
        commands.extend(block.lines().map(|line| line.trim().to_owned()));
    }
    commands
}

/// Every command of ours, as a shell passes it on.
async fn calls(directory: &Path) -> Vec<Vec<String>> {
    let (programs, record) = (directory.join("bin"), directory.join("record"));
    fs::create_dir(&programs).expect("a directory");
    for name in ["switchback", "switchbackd", "make"] {
        fs::write(programs.join(name), RECORDER).expect("written");
        fs::set_permissions(programs.join(name), fs::Permissions::from_mode(0o755)).expect("ours");
    }
    for command in documents().iter().flat_map(|path| commands(path)) {
        // Nothing else is there to be run.
        let status = Command::new("/bin/sh")
            .args(["-c", &command])
            .current_dir(directory)
            .env_clear()
            .envs([("PATH", &programs), ("RECORD", &record)])
            .output();
        timeout(DEADLINE, status).await.expect("it ends").expect("a shell");
    }
    let record = fs::read_to_string(record).expect("some are ours");
    let calls = record.split("\0\0").filter(|call| !call.is_empty());
    calls.map(|call| call.split('\0').map(str::to_owned).collect()).collect()
}

#[tokio::test]
async fn every_command_is_one_that_there_is() {
    let directory = directory();
    let calls = calls(directory.path()).await;
    let makefile = fs::read_to_string(root().join("Makefile")).expect("a Makefile");
    let of = |name: &str| calls.iter().filter(|call| call[0] == name).count();
    let counts = ["switchback", "switchbackd", "make"].map(of);
    assert!(counts[0] > 40 && counts[1] > 1 && counts[2] > 1, "{counts:?}");
    for call in &calls {
        let program = match call[0].as_str() {
            "make" => {
                let target = format!("\n{}:", call[1]);
                assert!(makefile.contains(&target), "{call:?}");
                continue;
            }
            "switchback" => binaries::switchback(),
            _ => binaries::switchbackd(),
        };
        // What stands before it is looked at first, and nothing is done.
        let end = call.iter().position(|word| word == "--").unwrap_or(call.len());
        let mut arguments = call[1..end].to_vec();
        arguments.push("--help".into());
        let output = Command::new(program).args(&arguments).env_clear().output();
        let output = timeout(DEADLINE, output).await.expect("it ends").expect("it starts");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{call:?}\n{said}");
    }
}

/// As grpcurl does: by reflection, without a file of the interface.
#[tokio::test]
async fn calls_without_a_client_of_ours_are_answered() {
    let directory = directory();
    let place = directory.path();
    let rig = Rig::of_sql("CREATE TABLE words (id INTEGER PRIMARY KEY, word TEXT)").await;
    let (authority, token) = (Authority::new("example"), Token::make("viewer", &[]));
    let [certificate, key] = authority.server().put(place, "server");
    put(&place.join("ca.crt"), &authority.root());
    put(&place.join("token"), &token.token);
    put(&place.join("tokens"), &token.line);
    let [certificate, key, tokens] =
        [certificate, key, place.join("tokens")].map(|path| path.display().to_string());
    let settings = [
        ("SWITCHBACK_TLS_CERT", certificate.as_str()),
        ("SWITCHBACK_TLS_KEY", key.as_str()),
        ("SWITCHBACK_TOKENS", tokens.as_str()),
    ];
    let (url, trusted) = (&rig.database.url, authority.trusted());
    let guarded = Server::start_tls(&rig.source, url, &settings, trusted).await;
    let mut answered = Vec::new();
    for command in commands(&root().join("README.md")) {
        if !command.starts_with("buf curl") {
            continue;
        }
        let own = command
            .replace("http://127.0.0.1:50051", &rig.server.endpoint())
            .replace("https://switchback.example.com:50051", &guarded.endpoint());
        assert_ne!(own, command, "an address that the test does not know");
        let tools = root().join(".cache/buf/bin").display().to_string();
        let path = format!("{tools}:{}", std::env::var("PATH").unwrap_or_default());
        let output = Command::new("/bin/sh")
            .args(["-c", &own])
            .current_dir(place)
            .env("PATH", path)
            .output();
        let output = timeout(DEADLINE, output).await.expect("it ends").expect("a shell");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && !said.is_empty(), "{own}\n{said}\n{errors}");
        answered.push(said);
    }
    assert!(answered.len() > 3, "{answered:?}");
    assert!(answered[0].contains("switchback.v1.DatabaseService/Migrate"), "{}", answered[0]);
    assert!(answered.iter().filter(|said| said.contains("ENGINE_SQLITE")).count() > 1);
    assert!(answered.iter().any(|said| said.contains("OPERATION_STATE_SUCCEEDED")));
    drop(guarded);
    rig.finish().await;
}
