//! PostgreSQL's own programs: where they are, which version they have, and how they are run.

use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt},
    process::Command,
    time::timeout,
};

use crate::{
    db::postgres::Postgres,
    error::{Error, Reason, Result},
};

/// Where packages of several versions are beside each other.
const PACKAGED: &str = "/usr/lib/postgresql";

/// A program that takes longer than this to say its version does not work.
const VERSION: Duration = Duration::from_secs(10);

/// Most bytes that are kept of what a program says.
const SAID: usize = 1 << 16;

/// Most lines and characters of it that go into a message.
const LINES: usize = 5;
const CHARACTERS: usize = 300;

/// Where the programs are looked for.
#[derive(Debug, Clone)]
pub(crate) struct Programs {
    directories: Vec<PathBuf>,
}

/// A program that was found.
#[derive(Debug, Clone)]
pub(crate) struct Program {
    path: PathBuf,
    /// As it prints it.
    pub(crate) version: String,
    pub(super) major: u32,
}

impl Programs {
    /// `SWITCHBACK_PG_BIN` alone where it is set; otherwise `PATH`, then what packages install,
    /// the newest first.
    pub(crate) fn installed() -> Self {
        if let Some(directory) = env::var_os("SWITCHBACK_PG_BIN") {
            return Self::in_directories(vec![directory.into()]);
        }
        let mut all: Vec<PathBuf> =
            env::split_paths(&env::var_os("PATH").unwrap_or_default()).collect();
        all.extend(packaged());
        Self::in_directories(all)
    }

    /// The directories, the first one first.
    pub(crate) fn in_directories(directories: Vec<PathBuf>) -> Self {
        Self { directories }
    }

    /// The first one of this name whose major version is at least so high; otherwise why there is
    /// none, for a message.
    pub(crate) async fn find(&self, name: &str, at_least: u32) -> Result<Program, String> {
        let mut newest: Option<u32> = None;
        for directory in &self.directories {
            let path = directory.join(name);
            if !path.is_file() {
                continue;
            }
            let Some(program) = ask(path).await else { continue };
            if program.major >= at_least {
                return Ok(program);
            }
            newest = newest.max(Some(program.major));
        }
        Err(newest.map_or_else(
            || format!("{name} is not installed"),
            |major| format!("{name} has version {major}, and {at_least} is needed"),
        ))
    }
}

impl Program {
    /// A command that connects as the pool does, to the pool's database where the program takes
    /// it from its environment.
    pub(super) fn command(&self, postgres: &Postgres) -> Command {
        let mut command = bare(&self.path);
        command.envs(postgres.environment());
        command
    }
}

/// What a program has said on its standard error.
#[derive(Debug)]
pub(super) struct Said {
    /// It has ended well.
    pub(super) success: bool,
    /// The lines in which it says what went wrong.
    pub(super) errors: Vec<String>,
}

/// Runs a command to its end. Its output goes to `take` as it comes.
pub(super) async fn run<T>(
    mut command: Command,
    secret: Option<String>,
    take: impl AsyncFnOnce(tokio::process::ChildStdout) -> Result<T>,
) -> Result<(T, Said)> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let unusable = |error: std::io::Error| {
        Error::new(Reason::Internal, "a program of PostgreSQL could not be run").caused_by(error)
    };
    let mut child = command.spawn().map_err(unusable)?;
    let (Some(output), Some(errors)) = (child.stdout.take(), child.stderr.take()) else {
        return Err(Error::new(Reason::Internal, "a program of PostgreSQL has no output"));
    };
    let said = async { Ok(collect(errors).await) };
    let (taken, said) = tokio::try_join!(take(output), said)?;
    let status = child.wait().await.map_err(unusable)?;
    Ok((taken, Said { success: status.success(), errors: lines(&said, secret.as_deref(), status) }))
}

/// A command without the environment of this process: it may hold `PG…` variables for others.
fn bare(path: &Path) -> Command {
    let mut command = Command::new(path);
    command.env_clear().env("LC_ALL", "C").kill_on_drop(true);
    let kept = ["PATH", "LD_LIBRARY_PATH", "TMPDIR"];
    let kept = kept.iter().filter_map(|name| Some((name, env::var_os(name)?)));
    command.envs(kept.collect::<Vec<(_, OsString)>>());
    command
}

async fn ask(path: PathBuf) -> Option<Program> {
    let mut command = bare(&path);
    let output = timeout(VERSION, command.arg("--version").stdin(Stdio::null()).output());
    let output = output.await.ok()?.ok()?;
    let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    Some(Program { path, major: major(&version)?, version })
}

/// 15 of "pg_dump (PostgreSQL) 15.13 (Debian 15.13-0+deb12u1)", 17 of "17beta1".
fn major(version: &str) -> Option<u32> {
    let number = version.split_once(") ")?.1;
    let digits = number.find(|c: char| !c.is_ascii_digit()).unwrap_or(number.len());
    number[..digits].parse().ok()
}

fn packaged() -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(PACKAGED) else { return Vec::new() };
    let mut versions: Vec<u32> =
        entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    versions.sort_unstable_by(|a, b| b.cmp(a));
    versions.iter().map(|v| Path::new(PACKAGED).join(v.to_string()).join("bin")).collect()
}

/// Reads to the end, and keeps the beginning.
async fn collect(mut stream: impl AsyncRead + Unpin) -> Vec<u8> {
    let mut kept = Vec::new();
    let mut buffer = vec![0; 1 << 13];
    while let Ok(count) = stream.read(&mut buffer).await
        && count > 0
    {
        let room = SAID.saturating_sub(kept.len()).min(count);
        kept.extend_from_slice(&buffer[..room]);
    }
    kept
}

/// The lines that name errors. The others may hold rows: DETAIL, CONTEXT, the statement.
fn lines(said: &[u8], secret: Option<&str>, status: ExitStatus) -> Vec<String> {
    let said = String::from_utf8_lossy(said);
    let mut lines: Vec<String> = said
        .lines()
        .filter_map(|line| Some(line.split_once(": error: ")?.1))
        .map(|line| secret.map_or_else(|| line.to_owned(), |secret| line.replace(secret, "***")))
        .map(|line| line.chars().take(CHARACTERS).collect())
        .collect();
    if lines.is_empty() && !status.success() {
        lines.push(format!("it ended with {status}"));
    }
    lines
}

impl Said {
    /// The first lines, for a message.
    pub(super) fn summary(&self) -> String {
        let more = self.errors.len().saturating_sub(LINES);
        let text = self.errors[..self.errors.len() - more].join("; ");
        if more == 0 { text } else { format!("{text}; and {more} more") }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    #[test]
    fn versions_are_read() {
        for (text, expected) in [
            ("pg_dump (PostgreSQL) 15.13 (Debian 15.13-0+deb12u1)", Some(15)),
            ("pg_dump (PostgreSQL) 17beta1", Some(17)),
            ("pg_restore (EnterpriseDB) 16", Some(16)),
            ("something else", None),
        ] {
            assert_eq!(major(text), expected, "{text}");
        }
    }

    #[test]
    fn messages_have_no_rows_and_no_secret() {
        let said = b"pg_restore: error: could not execute query: ERROR:  s3cret is not unique\n\
            DETAIL:  Key (a)=(private) is duplicated.\nCommand was: CREATE private;\n\
            pg_restore: warning: errors ignored on restore: 1\n";
        let lines = lines(said, Some("s3cret"), ExitStatus::from_raw(256));
        assert_eq!(lines, ["could not execute query: ERROR:  *** is not unique"]);
        let said = Said { success: false, errors: vec!["x".into(); 7] };
        assert_eq!(said.summary(), "x; x; x; x; x; and 2 more");
        let lines = super::lines(b"", None, ExitStatus::from_raw(256));
        assert_eq!(lines.len(), 1, "an end without a word has one all the same");
    }

    #[tokio::test]
    async fn a_program_that_is_missing_or_too_old_is_said_to_be() {
        let none = Programs::in_directories(Vec::new()).find("pg_dump", 13).await.unwrap_err();
        assert_eq!(none, "pg_dump is not installed");
        let old = Programs::installed().find("pg_dump", 1000).await.unwrap_err();
        assert!(old.ends_with("and 1000 is needed"), "{old}");
        assert!(Programs::installed().find("pg_dump", 10).await.unwrap().major >= 13);
    }
}
