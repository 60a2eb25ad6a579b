//! Writer processes: started together, stopped together, and gone with whoever started them.

use std::{
    fs::{self, OpenOptions},
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::{Duration, Instant},
};

use tempfile::TempDir;
use tokio::process::{Child, ChildStdin, Command};

use super::journal::{self, Fate, History};
use crate::{DEADLINE, binaries, rig::Rig, server::signal};

/// Between two looks at the journals.
const POLL: Duration = Duration::from_millis(10);

/// What the writers do.
#[derive(Debug, Clone)]
pub struct Load {
    /// What their choices come from.
    pub seed: u64,
    /// Rows that each of them has in each table: those of [`super::Start`].
    pub rows: u32,
    /// Transactions a second of each; 0 for as many as it can.
    pub rate: u32,
    /// Changes in a transaction.
    pub size: u32,
    /// Each ends after so many transactions.
    pub count: Option<u64>,
    /// They try again where they are refused, instead of ending.
    pub stay: bool,
}

impl Default for Load {
    /// A rate that several writers of a rollback-journal database reach on two busy cores.
    fn default() -> Self {
        Self { seed: 1, rows: 20, rate: 50, size: 2, count: None, stay: false }
    }
}

/// How the writers are started.
#[derive(Debug, Clone)]
pub enum Launch {
    /// By themselves, on the database of a URL.
    Direct {
        /// `sqlite:///…` or `postgres://…`.
        url: String,
    },
    /// Under `switchback exec`, which takes them along.
    Exec {
        /// Where the server listens.
        endpoint: String,
        /// The source file.
        sqlite: PathBuf,
        /// The target's URL.
        postgres: String,
    },
}

impl Launch {
    /// On a SQLite file; its path must need no escapes.
    pub fn on_file(file: &Path) -> Self {
        Self::Direct { url: format!("sqlite://{}", file.display()) }
    }

    /// Under `switchback exec`, for the server of a rig.
    pub fn under_exec(rig: &Rig) -> Self {
        Self::Exec {
            endpoint: rig.server.endpoint(),
            sqlite: rig.source.clone(),
            postgres: rig.database.url.clone(),
        }
    }
}

/// Running writers, numbered from 1. They are killed when this is dropped.
#[derive(Debug)]
pub struct Writers {
    load: Load,
    launch: Launch,
    directory: TempDir,
    processes: Vec<Option<Process>>,
}

/// A process and what it has started: one process group.
#[derive(Debug)]
struct Process {
    child: Child,
    group: u32,
    /// Ends the writer when it closes, which waiting for the child would do.
    _leash: Option<ChildStdin>,
}

impl Drop for Process {
    fn drop(&mut self) {
        // Not waited for yet, so the number is still its own. Under `exec` the writer is in it too.
        if self.child.id().is_some() {
            let group = format!("-{}", self.group);
            let _ = std::process::Command::new("kill").args(["-KILL", "--", &group]).status();
        }
    }
}

impl Writers {
    /// Starts this many writers.
    pub fn start(count: u32, load: Load, launch: Launch) -> Self {
        let directory = tempfile::Builder::new().prefix("switchback-w-").tempdir();
        let directory = directory.expect("a directory for journals");
        let mut writers = Self { load, launch, directory, processes: Vec::new() };
        for writer in 1..=i64::from(count) {
            writers.processes.push(None);
            writers.launch(writer);
        }
        writers
    }

    /// Where the journals are.
    pub fn journals(&self) -> &Path {
        self.directory.path()
    }

    /// Starts a writer again, which goes on where its journal ends.
    pub fn launch(&mut self, writer: i64) {
        let mut child = self.command(writer).spawn().expect("a writer starts");
        let group = child.id().expect("a writer runs");
        let leash = child.stdin.take();
        self.processes[index(writer)] = Some(Process { child, group, _leash: leash });
    }

    /// SIGKILL for a writer, whatever it is doing.
    pub async fn kill9(&mut self, writer: i64) {
        let mut process = self.processes[index(writer)].take().expect("the writer runs");
        process.child.kill().await.expect("the writer is killed");
    }

    /// Waits until each writer has so many more acknowledged transactions than now, or all that it
    /// is to make.
    pub async fn until_ok(&mut self, more: usize) {
        let wanted: Vec<usize> = self.acknowledged(None).iter().map(|count| count + more).collect();
        self.until(None, &wanted).await;
    }

    /// Waits until each writer has so many more transactions that an engine (`sqlite`, `postgres`)
    /// has acknowledged than now.
    pub async fn until_more_on(&mut self, engine: &str, more: usize) {
        let now = self.acknowledged(Some(engine));
        let wanted: Vec<usize> = now.iter().map(|count| count + more).collect();
        self.until(Some(engine), &wanted).await;
    }

    /// Waits until an engine (`sqlite`, `postgres`) has acknowledged so many transactions of each
    /// writer, from the beginning.
    pub async fn until_ok_on(&mut self, engine: &str, count: usize) {
        let wanted = vec![count; self.processes.len()];
        self.until(Some(engine), &wanted).await;
    }

    /// SIGTERM, and waits until each has ended well.
    pub async fn stop(&mut self) {
        self.done();
        for process in self.processes.iter().flatten() {
            // None for one that has made all its transactions.
            if let Some(pid) = process.child.id() {
                signal(pid, "TERM");
            }
        }
        self.ended().await;
    }

    /// Waits until each has made its transactions ([`Load::count`]) and ended well.
    pub async fn ended(&mut self) {
        for writer in 1..=self.processes.len() {
            let Some(mut process) = self.processes[writer - 1].take() else { continue };
            let status = tokio::time::timeout(DEADLINE, process.child.wait()).await;
            let status: ExitStatus = status.expect("a writer ends").expect("its status is known");
            assert!(status.success(), "writer {writer}: {status}\n{}", self.said(writer));
        }
    }

    /// Stops them and starts them on another database.
    pub async fn move_to(&mut self, launch: Launch) {
        self.stop().await;
        self.launch = launch;
        for writer in 1..=self.processes.len() {
            self.launch(i64::try_from(writer).expect("a small number"));
        }
    }

    fn command(&self, writer: i64) -> Command {
        let mut command = match &self.launch {
            Launch::Direct { url } => {
                let mut command = Command::new(binaries::writer());
                command.env_clear().env("DATABASE_URL", url);
                command
            }
            Launch::Exec { endpoint, sqlite, postgres } => {
                let mut command = Command::new(binaries::switchback());
                command.args(["--endpoint", endpoint, "exec", "--"]).arg(binaries::writer());
                command.env_clear().env("SWITCHBACK_SQLITE", sqlite);
                command.env("SWITCHBACK_POSTGRES", postgres);
                command
            }
        };
        let Load { seed, rows, rate, size, count, stay } = self.load;
        command.args([writer.to_string(), seed.to_string()]).arg(self.journals());
        for (flag, value) in [("--rows", rows), ("--rate", rate), ("--size", size)] {
            command.args([flag, &value.to_string()]);
        }
        if let Some(count) = count {
            command.args(["--count", &count.to_string()]);
        }
        command.args(stay.then_some("--stay")).arg("--leash");
        let log = OpenOptions::new().create(true).append(true).open(self.log(writer));
        // A killed test closes the pipe, which ends the writer.
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(log.expect("a log"));
        command.kill_on_drop(true).process_group(0);
        command
    }

    async fn until(&mut self, engine: Option<&str>, wanted: &[usize]) {
        let started = Instant::now();
        loop {
            // Before the journals: one that has made all its transactions has no more to come.
            let done = self.done();
            let counts = self.acknowledged(engine);
            if counts
                .iter()
                .zip(wanted)
                .zip(done)
                .all(|((count, wanted), done)| done || count >= wanted)
            {
                return;
            }
            assert!(started.elapsed() < DEADLINE, "{counts:?} of {wanted:?} acknowledged");
            tokio::time::sleep(POLL).await;
        }
    }

    /// Acknowledged transactions of each writer.
    fn acknowledged(&self, engine: Option<&str>) -> Vec<usize> {
        let count = |writer: usize| {
            let writer = i64::try_from(writer).expect("a small number");
            // Not there before its first line is.
            let history = History::read(&journal::path(self.journals(), writer));
            let transactions = history.map(|history| history.transactions).unwrap_or_default();
            let counts = |transaction: &&journal::Transaction| {
                matches!(transaction.fate, Fate::Ok(_))
                    && engine.is_none_or(|engine| engine == transaction.engine)
            };
            transactions.iter().filter(counts).count()
        };
        (1..=self.processes.len()).map(count).collect()
    }

    /// Which writers have made all their transactions; fails where one has ended for another
    /// reason.
    fn done(&mut self) -> Vec<bool> {
        let mut done = Vec::new();
        for position in 0..self.processes.len() {
            let status = match &mut self.processes[position] {
                Some(process) => process.child.try_wait().expect("its status is known"),
                None => None,
            };
            let well = self.load.count.is_some() && status.is_some_and(|status| status.success());
            let writer = position + 1;
            assert!(
                well || status.is_none(),
                "writer {writer} ended: {status:?}\n{}",
                self.said(writer)
            );
            done.push(well);
        }
        done
    }

    fn log(&self, writer: i64) -> PathBuf {
        self.journals().join(format!("writer-{writer}.log"))
    }

    /// What a writer has to say, for messages.
    fn said(&self, writer: usize) -> String {
        let writer = i64::try_from(writer).expect("a small number");
        let log = fs::read_to_string(self.log(writer)).unwrap_or_default();
        let journal = journal::path(self.journals(), writer);
        let journal = fs::read_to_string(journal).unwrap_or_default();
        let last: Vec<&str> = journal.lines().rev().take(3).collect();
        format!("{log}{}", last.join("\n"))
    }
}

fn index(writer: i64) -> usize {
    usize::try_from(writer - 1).expect("writers are numbered from 1")
}
