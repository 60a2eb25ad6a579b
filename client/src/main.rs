//! `switchback`: the command line of a Switchback server.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run()
}
