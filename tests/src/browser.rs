//! A real browser without a screen, driven over Chromium's DevTools protocol.
//!
//! The protocol goes through a pipe, one JSON object after another with a zero byte behind each
//! (`--remote-debugging-pipe`): nothing listens anywhere.

use std::{
    env,
    path::{Path, PathBuf},
    process::Stdio,
};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    process::{Child, ChildStdin, ChildStdout, Command},
    time::timeout,
};

use crate::DEADLINE;

/// A browser with one empty page.
#[derive(Debug)]
pub struct Browser {
    _process: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    /// The page's.
    session: String,
    calls: u64,
    events: Vec<Value>,
    /// Its profile.
    _directory: TempDir,
}

/// How a page is looked at.
#[derive(Debug, Clone, Copy)]
pub struct View {
    /// In CSS pixels.
    pub width: u32,
    /// `light` or `dark`.
    pub scheme: &'static str,
    /// `screen` or `print`.
    pub media: &'static str,
}

impl Browser {
    /// `None` where there is none: `SWITCHBACK_CHROMIUM`, or a program of the usual names in
    /// `PATH`.
    pub async fn start() -> Option<Self> {
        let program = find()?;
        let directory = tempfile::tempdir().expect("a directory");
        // It reads descriptor 3 and writes descriptor 4.
        let mut process = Command::new("sh")
            .args(["-c", "exec \"$0\" \"$@\" 3<&0 4>&1 </dev/null >/dev/null"])
            .arg(program)
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"])
            .args(["--no-first-run", "--disable-background-networking"])
            .arg("--remote-debugging-pipe")
            .arg(format!("--user-data-dir={}", directory.path().display()))
            .env("HOME", directory.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("the browser starts");
        let to = process.stdin.take().expect("a pipe");
        let from = BufReader::new(process.stdout.take().expect("a pipe"));
        let mut browser = Self {
            _process: process,
            to,
            from,
            session: String::new(),
            calls: 0,
            events: Vec::new(),
            _directory: directory,
        };
        browser.begin().await;
        Some(browser)
    }

    async fn begin(&mut self) {
        let target = self.call("Target.createTarget", json!({"url": "about:blank"})).await;
        let target = json!({"targetId": target["targetId"], "flatten": true});
        let attached = self.call("Target.attachToTarget", target).await;
        attached["sessionId"].as_str().expect("a session").clone_into(&mut self.session);
        for domain in ["Page", "Runtime", "Log", "Network"] {
            self.call(&format!("{domain}.enable"), json!({})).await;
        }
    }

    /// Opens a file and waits until it is loaded.
    pub async fn open(&mut self, file: &Path) {
        self.events.clear();
        let url = format!("file://{}", file.display());
        self.call("Page.navigate", json!({"url": url})).await;
        while !self.events.iter().any(|event| event["method"] == "Page.loadEventFired") {
            let event = self.read().await;
            self.events.push(event);
        }
    }

    /// Looks at the page in another way.
    pub async fn view(&mut self, view: View) {
        let size =
            json!({"width": view.width, "height": 900, "deviceScaleFactor": 1, "mobile": false});
        self.call("Emulation.setDeviceMetricsOverride", size).await;
        let scheme = json!([{"name": "prefers-color-scheme", "value": view.scheme}]);
        let media = json!({"media": view.media, "features": scheme});
        self.call("Emulation.setEmulatedMedia", media).await;
    }

    /// Value of an expression in the page, which no policy of the page keeps from running.
    pub async fn evaluate(&mut self, expression: &str) -> Value {
        let call = json!({"expression": expression, "returnByValue": true});
        let answer = self.call("Runtime.evaluate", call).await;
        assert!(answer["exceptionDetails"].is_null(), "{answer}");
        answer["result"]["value"].clone()
    }

    /// What the page has said, thrown, been refused, asked people or wanted to load since it was
    /// opened, besides itself.
    pub fn complaints(&self) -> Vec<&Value> {
        let is_complaint = |event: &&Value| match event["method"].as_str() {
            Some(
                "Runtime.consoleAPICalled"
                | "Runtime.exceptionThrown"
                | "Log.entryAdded"
                | "Page.javascriptDialogOpening",
            ) => true,
            Some("Network.requestWillBeSent") => event["params"]["type"] != "Document",
            _ => false,
        };
        self.events.iter().filter(is_complaint).collect()
    }

    async fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.calls += 1;
        let mut call = json!({"id": self.calls, "method": method, "params": parameters});
        if !self.session.is_empty() {
            call["sessionId"] = self.session.clone().into();
        }
        let mut message = call.to_string().into_bytes();
        message.push(0);
        self.to.write_all(&message).await.expect("the browser takes a call");
        loop {
            let answer = self.read().await;
            if answer["id"] == self.calls {
                assert!(answer["error"].is_null(), "{method}: {answer}");
                return answer["result"].clone();
            }
            self.events.push(answer);
        }
    }

    async fn read(&mut self) -> Value {
        let mut message = Vec::new();
        let read = timeout(DEADLINE, self.from.read_until(0, &mut message)).await;
        let length = read.expect("the browser answers").expect("a readable pipe");
        assert!(length > 0, "the browser has ended");
        message.pop();
        serde_json::from_slice(&message).expect("JSON")
    }
}

fn find() -> Option<PathBuf> {
    if let Some(program) = env::var_os("SWITCHBACK_CHROMIUM") {
        return Some(program.into());
    }
    let directories: Vec<PathBuf> = env::split_paths(&env::var_os("PATH")?).collect();
    ["chromium-headless-shell", "chromium", "chromium-browser", "google-chrome"]
        .iter()
        .flat_map(|name| directories.iter().map(move |directory| directory.join(name)))
        .find(|program| program.is_file())
}
