//! `switchbackd`: arguments → configuration → telemetry → app → drain → exit code.

use std::{
    collections::BTreeMap,
    io::IsTerminal,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Args, Parser, Subcommand};
use switchback_server::{
    access::{Role, token},
    app,
    config::{self, Config},
    telemetry,
};

/// Bad configuration (sysexits.h EX_CONFIG is 78; the contract says 64, EX_USAGE).
const EXIT_CONFIG: u8 = 64;

/// Moves a live SQLite database to PostgreSQL, proves it, and can go back.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "\
Configuration comes from the environment; a TOML file serves several databases.

Examples:
  SWITCHBACK_SQLITE=app.db SWITCHBACK_POSTGRES=postgres://user:pw@localhost/app switchbackd
  switchbackd --config /etc/switchback.toml
  switchbackd --check-config"
)]
struct Arguments {
    /// TOML file with the configuration.
    #[arg(long, env = "SWITCHBACK_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print the effective configuration, secrets masked, and exit.
    #[arg(long)]
    check_config: bool,
    /// Serve no reflection, as SWITCHBACK_REFLECTION=off.
    #[arg(long)]
    no_reflection: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a token, and the line for the file that SWITCHBACK_TOKENS names.
    #[command(after_help = "\
The token is the first line of the output and is shown once; the second line goes to the file.

Example:
  switchbackd token --role operator --name deploy --expires 90d")]
    Token(TokenArguments),
}

#[derive(Debug, Args)]
struct TokenArguments {
    /// viewer reads, operator runs, admin also overwrites, deletes and finalizes.
    #[arg(long, value_parser = role, default_value = "viewer", value_name = "ROLE")]
    role: Role,
    /// Who it is for: the audit log says so.
    #[arg(long, value_name = "NAME")]
    name: String,
    /// How long it is one: 90d, 12h; without it, until its line is deleted.
    #[arg(long, value_name = "DURATION", value_parser = token::expiry)]
    expires: Option<i64>,
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { EXIT_CONFIG } else { 0 });
        }
    };
    if let Some(Command::Token(arguments)) = arguments.command {
        return make_token(arguments);
    }
    let config = match configuration(&arguments) {
        Ok(config) => config,
        Err(problems) => {
            for problem in problems {
                eprintln!("error: {problem}");
            }
            return ExitCode::from(EXIT_CONFIG);
        }
    };
    if arguments.check_config {
        print!("{config}");
        return ExitCode::SUCCESS;
    }
    let traces = telemetry::log::start(&config);
    match app::run(config, traces) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(reason = error.reason().as_str(), hint = error.hint_text(), %error, "stopped");
            eprintln!("error: {error}\nhint: {}", error.hint_text());
            ExitCode::FAILURE
        }
    }
}

/// Prints a new token and its line.
fn make_token(TokenArguments { role, name, expires }: TokenArguments) -> ExitCode {
    let made = token::check_name(&name).and_then(|()| token::generate());
    match made {
        Ok(token) => {
            let hash = token::Hash::of(&token);
            println!("{token}\n{}", token::Entry { name, role, hash, expires });
            ExitCode::SUCCESS
        }
        Err(problem) => {
            eprintln!("error: {problem}");
            ExitCode::from(EXIT_CONFIG)
        }
    }
}

fn role(word: &str) -> Result<Role, String> {
    Role::from_word(word).ok_or_else(|| "it is none of viewer, operator and admin".into())
}

fn configuration(arguments: &Arguments) -> Result<Config, Vec<String>> {
    let path = arguments.config.as_deref();
    let text = path.map(std::fs::read_to_string).transpose().map_err(|error| {
        let path = path.unwrap_or(Path::new("")).display();
        vec![format!("configuration file {path}: {error}")]
    })?;
    let mut env: BTreeMap<String, String> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    if arguments.no_reflection {
        env.insert("SWITCHBACK_REFLECTION".into(), "off".into());
    }
    config::load(&env, text.as_deref(), std::io::stderr().is_terminal())
        .map_err(|problems| problems.iter().map(ToString::to_string).collect())
}
