//! Writers of an application under `switchback exec`.

use std::{
    fs::{self, OpenOptions},
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::TempDir;
use tokio::process::{Child, ChildStdin, Command};

use super::Application;
use crate::{DEADLINE, binaries, rig::Rig, server::signal};

/// Between two looks at the journals.
const POLL: Duration = Duration::from_millis(20);

/// Running writers, numbered from 1; killed when this is dropped.
#[derive(Debug)]
pub struct Writers {
    directory: TempDir,
    processes: Vec<Process>,
}

#[derive(Debug)]
struct Process {
    child: Child,
    /// Ends the writer when it closes, which waiting for the child would do.
    _leash: Option<ChildStdin>,
}

impl Writers {
    pub(super) fn start(application: &Application, rig: &Rig, count: u32) -> Self {
        let directory = tempfile::Builder::new().prefix("switchback-a-").tempdir();
        let directory = directory.expect("a directory for journals");
        fs::create_dir(directory.path().join("journals")).expect("a directory");
        let mut writers = Self { directory, processes: Vec::new() };
        for writer in 1..=count {
            let mut command = writers.command(application, rig, writer);
            let mut child = command.spawn().expect("switchback starts");
            let leash = child.stdin.take();
            writers.processes.push(Process { child, _leash: leash });
        }
        writers
    }

    /// Where the journals are: each is called as its writer's number.
    pub fn journals(&self) -> PathBuf {
        self.directory.path().join("journals")
    }

    /// Waits until each writer has so many more transactions that an engine (`sqlite`,
    /// `postgresql`) has acknowledged than now.
    pub async fn until_more_on(&mut self, engine: &str, more: usize) {
        let now = self.acknowledged(engine);
        let started = Instant::now();
        loop {
            let counts = self.acknowledged(engine);
            if counts.iter().zip(&now).all(|(count, now)| *count >= now + more) {
                return;
            }
            self.assert_running();
            assert!(started.elapsed() < DEADLINE, "{counts:?} on {engine}, {now:?} before");
            tokio::time::sleep(POLL).await;
        }
    }

    /// SIGTERM, and waits until each has ended well.
    pub async fn stop(&mut self) {
        self.assert_running();
        for process in &self.processes {
            signal(process.child.id().expect("it runs"), "TERM");
        }
        for (writer, mut process) in (1..).zip(self.processes.drain(..)) {
            let status = tokio::time::timeout(DEADLINE, process.child.wait()).await;
            let status = status.expect("a writer ends").expect("its status is known");
            let said = said(self.directory.path(), writer);
            assert!(status.success(), "writer {writer}: {status}\n{said}");
        }
    }

    fn assert_running(&mut self) {
        for (writer, process) in (1..).zip(&mut self.processes) {
            let status = process.child.try_wait().expect("its status is known");
            let said = said(self.directory.path(), writer);
            assert!(status.is_none(), "writer {writer} ended: {status:?}\n{said}");
        }
    }

    fn command(&self, application: &Application, rig: &Rig, writer: u32) -> Command {
        let number = writer.to_string();
        let mut command = Command::new(binaries::switchback());
        command.args(["--endpoint", &rig.server.endpoint(), "exec"]);
        command.args(["--sqlite-url", application.sqlite_url, "--"]);
        command.arg(&application.python).args(["-m", application.module, "write", "--leash"]);
        command.arg(&number).arg(self.journals().join(&number));
        command
            .env_clear()
            .envs(application.variables())
            .env("SWITCHBACK_SQLITE", &rig.source)
            .env("SWITCHBACK_POSTGRES", &rig.database.url);
        let log =
            OpenOptions::new().create(true).append(true).open(log(self.directory.path(), writer));
        // A killed test closes the pipe, which ends the writer; the group is for a dropped one.
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(log.expect("a log"));
        command.kill_on_drop(true).process_group(0);
        command
    }

    /// Transactions of each writer that an engine has acknowledged.
    fn acknowledged(&self, engine: &str) -> Vec<usize> {
        let count = |writer: usize| {
            let journal = self.journals().join(writer.to_string());
            // Not there before its first line is.
            let journal = fs::read_to_string(journal).unwrap_or_default();
            let lines = journal.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            lines.filter(|line| line["engine"] == engine).count()
        };
        (1..=self.processes.len()).map(count).collect()
    }
}

impl Drop for Writers {
    fn drop(&mut self) {
        for group in self.processes.iter().filter_map(|process| process.child.id()) {
            let group = format!("-{group}");
            let _ = std::process::Command::new("kill").args(["-KILL", "--", &group]).status();
        }
    }
}

fn log(directory: &Path, writer: u32) -> PathBuf {
    directory.join(format!("{writer}.log"))
}

/// The end of what a writer has to say.
fn said(directory: &Path, writer: u32) -> String {
    let log = fs::read_to_string(log(directory, writer)).unwrap_or_default();
    let last: Vec<&str> = log.lines().rev().take(20).collect();
    last.into_iter().rev().collect::<Vec<_>>().join("\n")
}
