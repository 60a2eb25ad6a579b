//! Schemas of PostgreSQL as `pg_dump` writes them and `psql` reads them.

use std::{path::Path, process::Stdio};

use tokio::process::Command;

use crate::{cluster::Database, programs::Programs};

/// The schema of a database without what is Switchback's own, to the byte; only what `pg_dump`
/// makes up for each run is left out.
pub async fn schema(database: &Database) -> String {
    let mut dump = program("pg_dump");
    dump.args(["--schema-only", "--exclude-schema=switchback", "--dbname", &database.url]);
    let text = run(dump).await;
    let lines = text.lines().filter(|line| !is_of_one_run(line));
    lines.flat_map(|line| [line, "\n"]).collect()
}

/// Runs a file of SQL as the owner, to its end or to the first error.
pub async fn load(database: &Database, file: &Path) {
    let mut psql = program("psql");
    psql.args(["--no-psqlrc", "--quiet", "--set", "ON_ERROR_STOP=1", "--dbname", &database.url]);
    psql.arg("--file").arg(file);
    run(psql).await;
}

/// A key that keeps what is in a dump from running commands of psql.
fn is_of_one_run(line: &str) -> bool {
    line.starts_with("\\restrict ") || line.starts_with("\\unrestrict ")
}

fn program(name: &str) -> Command {
    Command::new(Programs::find().expect("PostgreSQL's programs").path(name))
}

async fn run(mut command: Command) -> String {
    let output = command.env("LC_ALL", "C.UTF-8").stdin(Stdio::null()).output().await;
    let output = output.expect("a program of PostgreSQL starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {said}", command.as_std().get_program().display());
    String::from_utf8(output.stdout).expect("UTF-8")
}
