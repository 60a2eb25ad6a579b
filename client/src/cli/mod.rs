//! The command line: arguments in, one exit code out.

mod abort;
mod args;
mod backup;
mod backups;
mod connection;
mod cutover;
mod doctor;
mod env;
mod exec;
mod finalize;
mod fleet;
mod follow;
mod health;
mod interrupt;
mod migrate;
mod operations;
mod options;
mod output;
mod plan;
mod report;
mod restore;
mod rollback;
mod status;
mod urls;
mod validate;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use switchback_client::{Client, Config, DEFAULT_ENDPOINT, Error, Result, exit::Exit};
use tokio::runtime;

use self::{
    args::{Args, Command},
    output::Output,
};

const DEFAULT_DATABASE: &str = "default";
/// Environment variable with the database's name.
const DATABASE_VARIABLE: &str = "SWITCHBACK_DATABASE";

/// How a command ends.
enum Ending {
    Own(Exit),
    /// As the program that it ran.
    Program(u8),
}

/// What every command works with.
struct Session {
    config: Config,
    database: Option<String>,
    output: Output,
}

impl Session {
    async fn connect(&self) -> Result<Client> {
        Client::connect(self.config.clone()).await
    }

    fn database(&self) -> String {
        self.database.clone().unwrap_or_else(|| DEFAULT_DATABASE.to_owned())
    }

    /// A command line that reaches the same server, for hints.
    fn command(&self, rest: &str) -> String {
        let endpoint = &self.config.endpoint;
        if endpoint == DEFAULT_ENDPOINT {
            format!("switchback {rest}")
        } else {
            format!("switchback --endpoint {endpoint} {rest}")
        }
    }

    /// The same for a command that works on a database.
    fn command_on(&self, database: &str, rest: &str) -> String {
        if database == DEFAULT_DATABASE && self.database.is_none() {
            self.command(rest)
        } else {
            self.command(&format!("--database {database} {rest}"))
        }
    }
}

/// Runs the command of the process's arguments.
pub(crate) fn run() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            // A closed pipe is no reason to fail: `switchback --help | head -1`.
            let _ = error.print();
            return ExitCode::from(
                if error.use_stderr() { Exit::Usage } else { Exit::Done }.code(),
            );
        }
    };
    let mut session = Session {
        config: args.connection.config(),
        database: args.database,
        output: Output::new(args.output),
    };
    let ending = execute(&mut session, args.command).unwrap_or_else(|error| {
        session.output.failure(&error);
        Ending::Own(error.exit())
    });
    ExitCode::from(match ending {
        Ending::Own(exit) => session.output.end(exit).code(),
        Ending::Program(code) => code,
    })
}

fn execute(session: &mut Session, command: Command) -> Result<Ending> {
    if let Command::Completions { shell } = command {
        return Ok(Ending::Own(completions(session, shell)));
    }
    // Two threads: Ctrl-C must be seen while this one waits for a full pipe.
    let runtime =
        runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().map_err(
            |error| Error::new("INTERNAL", format!("the runtime does not start: {error}")),
        )?;
    let ending = runtime.block_on(Box::pin(dispatch(session, command)));
    runtime.shutdown_background();
    ending
}

async fn dispatch(session: &mut Session, command: Command) -> Result<Ending> {
    let exit = match command {
        Command::Plan(args) => plan::run(session, args).await,
        Command::Migrate(args) => migrate::run(session, args).await,
        Command::Fleet(command) => fleet::run(session, command).await,
        Command::Cutover(args) => cutover::run(session, args).await,
        Command::Abort => abort::run(session).await,
        Command::Rollback(args) => rollback::run(session, args).await,
        Command::Finalize(args) => finalize::run(session, args).await,
        Command::Validate(args) => validate::run(session, args).await,
        Command::Backup => backup::run(session).await,
        Command::Restore(args) => restore::run(session, args).await,
        Command::Backups(command) => backups::run(session, command).await,
        Command::Status(args) => status::run(session, args).await,
        Command::Env(urls) => env::run(session, urls).await,
        Command::Exec(args) => return exec::run(session, args).await.map(Ending::Program),
        Command::Operations(command) => operations::run(session, command).await,
        Command::Report(args) => report::run(session, args).await,
        Command::Doctor => doctor::run(session).await,
        Command::Health { services } => health::run(session, services).await,
        Command::Completions { .. } => Ok(Exit::Done),
    };
    exit.map(Ending::Own)
}

fn completions(session: &mut Session, shell: clap_complete::Shell) -> Exit {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "switchback", &mut script);
    session.output.text(&String::from_utf8_lossy(&script));
    Exit::Done
}
