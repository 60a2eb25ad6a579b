//! The real `switchback` command line, with `--output json`.

use std::process::Stdio;

use serde_json::Value;
use switchback_proto::v1::Plan;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    task::JoinHandle,
    time::timeout,
};

use crate::{DEADLINE, binaries, server::signal};

/// What a run of the command line left.
#[derive(Debug)]
pub struct Run {
    /// Exit code; −1 after a signal.
    pub code: i32,
    /// JSON objects of the standard output, in order.
    pub events: Vec<Value>,
    /// Standard output as it came.
    pub stdout: String,
    /// Standard error as it came.
    pub stderr: String,
}

/// A run that has not ended.
#[derive(Debug)]
pub struct Running {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    errors: JoinHandle<String>,
    stdout: String,
    events: Vec<Value>,
}

/// Runs the command line to its end.
pub async fn run(endpoint: &str, arguments: &[&str]) -> Run {
    start(endpoint, arguments).finish().await
}

/// Starts the command line.
pub fn start(endpoint: &str, arguments: &[&str]) -> Running {
    start_with(endpoint, arguments, &[])
}

/// Starts the command line with these environment variables.
pub fn start_with(endpoint: &str, arguments: &[&str], variables: &[(&str, &str)]) -> Running {
    let mut command = Command::new(binaries::switchback());
    command
        .args(["--endpoint", endpoint, "--output", "json"])
        .args(arguments)
        .env_clear()
        .envs(variables.iter().copied());
    start_program(command)
}

/// Starts another program that writes one JSON object a line.
pub fn start_program(mut command: Command) -> Running {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
    let lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let mut errors = child.stderr.take().expect("a pipe");
    let errors = tokio::spawn(async move {
        let mut said = Vec::new();
        let _ = errors.read_to_end(&mut said).await;
        String::from_utf8_lossy(&said).into_owned()
    });
    Running { child, lines, errors, stdout: String::new(), events: Vec::new() }
}

impl Running {
    /// The next event; `None` at the end of the output.
    pub async fn next(&mut self) -> Option<Value> {
        let Ok(line) = timeout(DEADLINE, self.lines.next_line()).await else {
            let _ = self.child.kill().await;
            panic!("the next event does not come{}", self.said().await);
        };
        let line = line.expect("a readable pipe")?;
        self.stdout.push_str(&line);
        self.stdout.push('\n');
        // Some commands (completions) print no JSON.
        let event: Value = serde_json::from_str(&line).unwrap_or(Value::Null);
        self.events.push(event.clone());
        Some(event)
    }

    /// The first event to come that a condition holds for.
    pub async fn find(&mut self, mut wanted: impl FnMut(&Value) -> bool) -> Value {
        while let Some(event) = self.next().await {
            if wanted(&event) {
                return event;
            }
        }
        panic!("the event never came{}", self.said().await);
    }

    /// What it has written up to its end.
    async fn said(&mut self) -> String {
        let errors = (&mut self.errors).await.unwrap_or_default();
        format!("; the output was:\n{}\n{errors}", tail(&self.stdout))
    }

    /// SIGINT, as Ctrl-C sends it.
    pub fn interrupt(&self) {
        self.signal("INT");
    }

    /// Sends a signal: `TERM`, `HUP`.
    pub fn signal(&self, name: &str) {
        signal(self.child.id().expect("it runs"), name);
    }

    /// Reads to the end.
    pub async fn finish(mut self) -> Run {
        while self.next().await.is_some() {}
        let status = timeout(DEADLINE, self.child.wait()).await;
        let status = status.expect("the program ends").expect("its status is known");
        let stderr = self.errors.await.expect("its messages are read");
        Run { code: status.code().unwrap_or(-1), events: self.events, stdout: self.stdout, stderr }
    }
}

impl Run {
    /// The last event, which must be the result.
    pub fn result(&self) -> &Value {
        let last = self.events.last();
        last.filter(|event| event["event"] == "result").unwrap_or_else(|| {
            panic!("no result; exit code {}\n{}\n{}", self.code, self.stdout, self.stderr)
        })
    }

    /// The typed report of the result.
    pub fn report(&self) -> &Value {
        &self.result()["report"]
    }

    /// Stable reason of the error; empty where there is none.
    pub fn reason(&self) -> &str {
        self.result()["error"]["reason"].as_str().unwrap_or_default()
    }

    /// What the error says.
    pub fn message(&self) -> &str {
        self.result()["error"]["message"].as_str().unwrap_or_default()
    }

    /// What the error says to do; empty where it says nothing.
    pub fn hint(&self) -> &str {
        self.result()["error"]["hint"].as_str().unwrap_or_default()
    }

    /// Id of the operation.
    pub fn operation(&self) -> &str {
        let mut ids = self.events.iter().filter_map(|event| event["operation_id"].as_str());
        ids.next_back().unwrap_or_else(|| panic!("no operation id in {}", self.stdout))
    }

    /// Every finding that was an event.
    pub fn findings(&self) -> Vec<&Value> {
        self.events.iter().filter(|event| event["event"] == "finding").collect()
    }

    /// Findings of one code, those of a plan's report included.
    pub fn found(&self, code: &str) -> Vec<&Value> {
        let planned = self.report()["plan"]["findings"].as_array();
        let mut all = self.findings();
        if all.is_empty() {
            all.extend(planned.into_iter().flatten());
        }
        all.retain(|finding| finding["code"] == code);
        all
    }

    /// The plan in the report of `plan`.
    pub fn plan(&self) -> Plan {
        serde_json::from_value(self.report()["plan"].clone()).unwrap_or_else(|error| {
            panic!("no plan ({error}); exit code {}\n{}\n{}", self.code, self.stdout, self.stderr)
        })
    }

    /// Fails unless the run ended with this exit code.
    #[track_caller]
    pub fn expect(&self, code: i32) -> &Self {
        assert_eq!(self.code, code, "exit code\n{}\n{}", tail(&self.stdout), self.stderr);
        self
    }

    /// Fails unless the run was refused for this reason with a hint, in the words of a person too.
    #[track_caller]
    pub fn refused(&self, code: i32, reason: &str) -> &Self {
        self.expect(code);
        assert_eq!(self.reason(), reason, "{}\n{}", tail(&self.stdout), self.stderr);
        assert!(!self.hint().is_empty(), "no hint: {}", self.result());
        assert!(self.stderr.contains("error:") && self.stderr.contains("hint:"), "{}", self.stderr);
        self
    }
}

/// The end of a long output.
fn tail(text: &str) -> &str {
    let mut from = text.len().saturating_sub(4000);
    while !text.is_char_boundary(from) {
        from += 1;
    }
    &text[from..]
}
