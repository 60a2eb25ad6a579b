//! The schema out of `pg_dump`'s archive, by `pg_restore`.

use std::{
    io::Write,
    path::{Path, PathBuf},
};

use tempfile::NamedTempFile;
use tokio::io::AsyncReadExt;

use crate::{
    backup::{
        chunk::Fetch,
        manifest::{Missing, SchemaDump},
        postgres::{
            catalog::missing,
            programs::{Program, Programs, run},
        },
    },
    db::postgres::{Postgres, failed},
    error::{Error, Reason, Result},
    task::blocking,
};

/// OIDs of catalogs, which are the same in all versions: `pg_class` (tables, views, sequences),
/// `pg_attrdef` and `pg_trigger`. What is none of a catalog's objects (privileges, comments) has 0.
const RELATIONS: u32 = 1259;
const DEFAULTS: u32 = 2604;
const TRIGGERS: u32 = 2620;

/// Most findings about what `pg_restore` could not do.
const FINDINGS: usize = 100;

/// Which part of the archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Section {
    /// What is there before the rows.
    PreData,
    /// Keys, indexes, triggers, policies.
    PostData,
}

/// Which entries of the archive.
#[derive(Debug, Clone, Copy)]
pub(super) enum Entries<'a> {
    /// All but these triggers, which are Switchback's own.
    AllBut(&'a [u32]),
    /// Schemas, extensions, types, functions and whatever else tables may need.
    Surroundings,
}

/// An archive in a file.
pub(super) struct Archive<'a> {
    program: Program,
    postgres: &'a Postgres,
    database: &'a str,
    file: NamedTempFile,
    list: NamedTempFile,
    owners: bool,
}

impl<'a> Archive<'a> {
    /// Fetches the archive, to be restored into a database that the pool is connected to.
    ///
    /// Owners are set where the user is a superuser; anybody else could not.
    pub(super) async fn fetch(
        dump: &SchemaDump,
        fetch: &impl Fetch,
        (postgres, database): (&'a Postgres, &'a str),
        (programs, scratch): (&Programs, &Path),
    ) -> Result<Self> {
        let program = newest_enough(programs, dump).await?;
        let mut file = temporary(scratch).await?;
        for chunk in &dump.chunks {
            file = write(file, fetch.get(*chunk).await?).await?;
        }
        let superuser = "SELECT rolsuper FROM pg_roles WHERE rolname = current_user";
        let client = postgres.get().await?;
        let owners = client.query_one(superuser, &[]).await.map_err(failed)?.get(0);
        let list = temporary(scratch).await?;
        Ok(Self { program, postgres, database, file, list, owners })
    }

    /// Says what is to be restored.
    pub(super) async fn choose(mut self, entries: Entries<'_>) -> Result<Self> {
        let mut command = self.program.command(self.postgres);
        command.arg("--list").arg(self.file.path());
        let read = async |mut output: tokio::process::ChildStdout| {
            let mut list = Vec::new();
            output.read_to_end(&mut list).await.map_err(unusable)?;
            Ok(list)
        };
        let (list, said) = run(command, self.postgres.secret(), read).await?;
        if !said.success {
            let message = format!("pg_restore cannot read the schema: {}", said.summary());
            return Err(Error::new(Reason::RestoreFailed, message).hint(
                "verify the backup; a pg_restore of the version of its pg_dump can read it",
            ));
        }
        // Names may be in another encoding; only numbers are looked at, and every line goes back
        // as it came.
        let chosen: Vec<&[u8]> = list
            .split_inclusive(|byte| *byte == b'\n')
            .filter(|line| wanted(line, entries))
            .collect();
        self.list = write(self.list, chosen.concat()).await?;
        Ok(self)
    }

    /// Restores a section; what could not be done is told and not undone.
    pub(super) async fn restore(&self, section: Section) -> Result<Vec<Missing>> {
        let mut command = self.program.command(self.postgres);
        command.args(["--no-password", "--no-tablespaces", "--no-security-labels", "--dbname"]);
        command.arg(connection(self.database)).arg("--use-list").arg(self.list.path());
        match section {
            Section::PreData => command.arg("--section=pre-data"),
            Section::PostData => command.args(["--section=post-data", "--jobs=2"]),
        };
        if !self.owners {
            command.arg("--no-owner");
        }
        command.arg(self.file.path());
        let ignore = async |mut output: tokio::process::ChildStdout| {
            tokio::io::copy(&mut output, &mut tokio::io::sink()).await.map_err(unusable)
        };
        let (_, said) = run(command, self.postgres.secret(), ignore).await?;
        if said.success {
            return Ok(Vec::new());
        }
        let errors = said.errors.into_iter().take(FINDINGS);
        Ok(errors.map(|error| missing("not_restored", "", error)).collect())
    }
}

/// Whether a line of the list stays: `215; 1259 16389 TABLE public t owner`.
fn wanted(line: &[u8], entries: Entries<'_>) -> bool {
    let line = String::from_utf8_lossy(line);
    let mut numbers = line.split(' ');
    let is_entry = numbers.next().is_some_and(|id| id.ends_with(';') && id.len() > 1);
    let mut number = || numbers.next().and_then(|text| text.parse::<u32>().ok());
    let (true, Some(catalog), Some(oid)) = (is_entry, number(), number()) else { return true };
    match entries {
        Entries::AllBut(own) => catalog != TRIGGERS || !own.contains(&oid),
        Entries::Surroundings => ![0, RELATIONS, DEFAULTS, TRIGGERS].contains(&catalog),
    }
}

/// A connection string with nothing but the name, which may look like one itself.
fn connection(database: &str) -> String {
    format!("dbname='{}'", database.replace('\\', "\\\\").replace('\'', "\\'"))
}

async fn newest_enough(programs: &Programs, dump: &SchemaDump) -> Result<Program> {
    let version = dump.pg_dump.split_once(") ").map_or("", |(_, version)| version);
    let major = version.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
    programs.find("pg_restore", major.parse().unwrap_or(0)).await.map_err(|why| {
        Error::new(Reason::RestoreRefused, format!("the schema cannot be restored: {why}")).hint(
            "install PostgreSQL's client programs where switchbackd runs, or name their directory \
             in SWITCHBACK_PG_BIN",
        )
    })
}

async fn temporary(scratch: &Path) -> Result<NamedTempFile> {
    let scratch: PathBuf = scratch.to_owned();
    blocking(move || NamedTempFile::new_in(scratch).map_err(unusable)).await
}

async fn write(mut file: NamedTempFile, content: Vec<u8>) -> Result<NamedTempFile> {
    blocking(move || file.write_all(&content).map(|()| file).map_err(unusable)).await
}

fn unusable(error: std::io::Error) -> Error {
    Error::new(Reason::StateUnusable, "a temporary file for pg_restore cannot be used")
        .hint("check the space and the rights of the state directory")
        .caused_by(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_chosen_by_their_numbers() {
        let list = [
            "; Archive created at 2026-11-26\n",
            ";     Format: CUSTOM\n",
            "5; 2615 16390 SCHEMA - s owner\n",
            "215; 1259 16389 TABLE public 2620 owner\n",
            "3000; 2620 16500 TRIGGER public t switchback_fence owner\n",
            "3001; 2620 16501 TRIGGER public t theirs switchback_fence owner\n",
            "3100; 0 0 ACL public TABLE t owner\n",
            "640; 1247 16400 TYPE public mood owner\n",
            "3101; 2604 16410 DEFAULT public t id owner\n",
        ];
        let chosen = |entries| {
            let lines = list.iter().enumerate();
            let chosen = lines.filter(|(_, line)| wanted(line.as_bytes(), entries));
            chosen.map(|(number, _)| number).collect::<Vec<_>>()
        };
        assert_eq!(chosen(Entries::AllBut(&[16500])), [0, 1, 2, 3, 5, 6, 7, 8]);
        assert_eq!(chosen(Entries::Surroundings), [0, 1, 2, 7]);
    }

    #[test]
    fn a_name_is_a_name() {
        assert_eq!(connection("a b"), "dbname='a b'");
        assert_eq!(connection("x' host='evil\\"), "dbname='x\\' host=\\'evil\\\\'");
    }
}
