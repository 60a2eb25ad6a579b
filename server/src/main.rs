//! `switchbackd`: arguments → configuration → telemetry → app → drain → exit code.

use std::{
    collections::BTreeMap,
    io::IsTerminal,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Parser;
use switchback_server::{
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
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { EXIT_CONFIG } else { 0 });
        }
    };
    let config = match configuration(arguments.config.as_deref()) {
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
    telemetry::log::start(&config.log, config.log_format);
    match app::run(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(reason = error.reason().as_str(), hint = error.hint_text(), %error, "stopped");
            eprintln!("error: {error}\nhint: {}", error.hint_text());
            ExitCode::FAILURE
        }
    }
}

fn configuration(path: Option<&Path>) -> Result<Config, Vec<String>> {
    let text = path.map(std::fs::read_to_string).transpose().map_err(|error| {
        let path = path.unwrap_or(Path::new("")).display();
        vec![format!("configuration file {path}: {error}")]
    })?;
    let env: BTreeMap<String, String> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    config::load(&env, text.as_deref(), std::io::stderr().is_terminal())
        .map_err(|problems| problems.iter().map(ToString::to_string).collect())
}
