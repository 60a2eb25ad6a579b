//! `exec`: runs a program on the active engine, and takes it along when the engine is switched.

mod decide;
mod follow;
mod signals;

use std::{
    ffi::{OsStr, OsString},
    io,
    time::Duration,
};

use clap::Args as ArgsGroup;
use rustix::process::Signal;
use switchback_client::{Client, Config, ENDPOINT_VARIABLE, Error, Result, words::Word};
use tokio::{
    process::{Child, Command},
    time::{Instant, sleep_until},
};

use self::{
    decide::{Active, AfterEnd, End, after_end, exit_code, in_use},
    follow::{Follower, note},
    signals::Signals,
};
use super::{
    DATABASE_VARIABLE, Session, connection,
    urls::{UrlArgs, Urls},
};

/// What a shell answers where a program is not there, and where it cannot be run.
const NOT_FOUND: u8 = 127;
const NOT_EXECUTABLE: u8 = 126;

#[derive(Debug, ArgsGroup)]
pub(crate) struct ExecArgs {
    #[command(flatten)]
    urls: UrlArgs,
    /// Time between SIGTERM and SIGKILL at a switch
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    grace: u32,
    /// Only send this signal at a switch: HUP, USR1, USR2, INT, TERM, QUIT, …
    #[arg(long, value_name = "NAME", value_parser = signals::named)]
    signal: Option<Signal>,
    /// The program and its arguments
    #[arg(required = true, trailing_var_arg = true, value_name = "CMD")]
    command: Vec<OsString>,
}

/// Runs the program to its last end; its exit code.
pub(crate) async fn run(session: &Session, args: ExecArgs) -> Result<u8> {
    let urls = args.urls.both()?;
    // The program outlives every outage of the server.
    let config = Config { reattach_for: Duration::MAX, ..session.config.clone() };
    let client = Client::connect(config).await?;
    let follower = Follower::begin(client, session.database()).await?;
    let signals = Signals::install()
        .map_err(|error| Error::new("INTERNAL", format!("signals cannot be handled: {error}")))?;
    let mut supervisor = Supervisor {
        variables: variables(session, &urls),
        urls,
        command: args.command,
        switch_signal: args.signal,
        grace: Duration::from_secs(u64::from(args.grace)),
        follower,
        signals,
    };
    loop {
        let active = supervisor.follower.active();
        let program = match supervisor.start(active) {
            Ok(program) => program,
            Err(error) => return Ok(supervisor.not_started(&error)),
        };
        if let Some(code) = supervisor.tend(program).await {
            return Ok(code);
        }
        let active = supervisor.follower.active();
        note(&format!("{} is active; starting the program again", active.engine.word()));
    }
}

/// What lets the program ask `switchback env` as this process would.
fn variables(session: &Session, urls: &Urls) -> Vec<(&'static str, String)> {
    let mut variables = urls.variables().to_vec();
    variables.push((ENDPOINT_VARIABLE, session.config.endpoint.clone()));
    variables.extend(connection::variables(&session.config));
    variables.push((DATABASE_VARIABLE, session.database()));
    variables
}

/// What the program is told of the active engine.
fn environment(active: Active, url: &str) -> [(&'static str, String); 3] {
    [
        ("DATABASE_URL", url.to_owned()),
        ("SWITCHBACK_ACTIVE_ENGINE", active.engine.word()),
        ("SWITCHBACK_EPOCH", active.epoch.to_string()),
    ]
}

fn code_of_start(error: &io::Error) -> u8 {
    if error.kind() == io::ErrorKind::NotFound { NOT_FOUND } else { NOT_EXECUTABLE }
}

struct Supervisor {
    urls: Urls,
    variables: Vec<(&'static str, String)>,
    command: Vec<OsString>,
    switch_signal: Option<Signal>,
    grace: Duration,
    follower: Follower,
    signals: Signals,
}

/// A running program and what it has been told.
struct Program {
    child: Child,
    started: Active,
    /// The engine it was last told of.
    told: Option<(Active, Instant)>,
    /// It is being stopped for a switch, and killed then.
    kill_at: Option<Instant>,
    dismissed: bool,
    /// The last signal that was passed on.
    passed: Option<Signal>,
}

impl Program {
    fn knows(&self) -> Active {
        self.told.map_or(self.started, |(active, _)| active)
    }

    fn send(&self, signal: Signal) {
        // No id once it has been waited for: the number may be another process's by now.
        if let Some(pid) = self.child.id() {
            signals::send(pid, signal);
        }
    }

    fn pass_on(&mut self, signal: Signal) {
        self.dismissed |= signals::dismisses(signal);
        self.passed = Some(signal);
        if !signals::came_from_terminal(signal) {
            self.send(signal);
        }
    }

    fn end(&self, status: std::process::ExitStatus) -> End {
        let passed = self.passed.map(|signal| 128 + signal.as_raw());
        let died_of_it = passed == Some(i32::from(exit_code(status)));
        let dismissed = self.dismissed || died_of_it;
        End { status, replaced: self.kill_at.is_some(), dismissed }
    }
}

impl Supervisor {
    fn start(&self, active: Active) -> io::Result<Program> {
        let (name, arguments) = self.command.split_first().ok_or(io::ErrorKind::NotFound)?;
        let child = Command::new(name)
            .args(arguments)
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .envs(environment(active, self.urls.url(active.engine)))
            .spawn()?;
        Ok(Program {
            child,
            started: active,
            told: None,
            kill_at: None,
            dismissed: false,
            passed: None,
        })
    }

    fn not_started(&self, error: &io::Error) -> u8 {
        let name = self.command.first().map_or(OsStr::new(""), OsString::as_os_str);
        note(&format!("{} does not start: {error}", name.display()));
        code_of_start(error)
    }

    /// Stays with a program to its end; `None` where it is to be started again.
    async fn tend(&mut self, mut program: Program) -> Option<u8> {
        let status = loop {
            let (kill_at, knows) = (program.kill_at, program.knows().engine);
            tokio::select! {
                status = program.child.wait() => break status,
                signal = self.signals.next() => program.pass_on(signal),
                active = self.follower.switched(knows), if kill_at.is_none() => {
                    self.take_along(&mut program, active);
                }
                () = sleep_until(kill_at.unwrap_or_else(Instant::now)), if kill_at.is_some() => {
                    program.send(Signal::KILL);
                    // It ends now; nothing is to be done a second time.
                    program.kill_at = Some(Instant::now() + self.grace.max(Duration::from_secs(1)));
                }
            }
        };
        let Ok(status) = status else { return Some(1) };
        match after_end(program.end(status)) {
            AfterEnd::Exit(code) => Some(code),
            AfterEnd::StartAgain => None,
            AfterEnd::Ask(code) => (!self.may_follow(&program).await).then_some(code),
        }
    }

    /// Tells a program of a switch, or begins to stop it.
    fn take_along(&self, program: &mut Program, active: Active) {
        let now = Instant::now();
        if let Some(signal) = self.switch_signal {
            program.told = Some((active, now));
            program.send(signal);
        } else {
            program.kill_at = Some(now + self.grace);
            program.send(Signal::TERM);
        }
    }

    /// Whether the program ended because the engine was switched under it.
    async fn may_follow(&mut self, program: &Program) -> bool {
        let told = program.told.map(|(active, at)| (active, at.into_std()));
        let used = in_use(program.started, told, self.grace, std::time::Instant::now());
        tokio::select! {
            switched = self.follower.was_switched(used) => switched,
            () = self.signals.dismissal() => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use switchback_client::v1::Engine;

    use super::*;

    #[test]
    fn the_program_is_told_of_the_active_engine() {
        let active = Active { engine: Engine::Postgres, epoch: 3 };
        let [url, engine, epoch] = environment(active, "postgres://h/d");
        assert_eq!(url, ("DATABASE_URL", "postgres://h/d".to_owned()));
        assert_eq!(engine, ("SWITCHBACK_ACTIVE_ENGINE", "postgres".to_owned()));
        assert_eq!(epoch, ("SWITCHBACK_EPOCH", "3".to_owned()));
    }

    #[test]
    fn a_start_that_fails_has_the_code_of_a_shell() {
        assert_eq!(code_of_start(&io::ErrorKind::NotFound.into()), 127);
        assert_eq!(code_of_start(&io::ErrorKind::PermissionDenied.into()), 126);
    }
}
