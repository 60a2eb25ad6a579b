//! Real applications in Python, with models and migrations of their own (`tests/apps`).

mod writers;

use std::{
    path::{Path, PathBuf},
    process::Stdio,
};

use serde_json::Value;
use tokio::process::Command;

use crate::{DEADLINE, python, rig::Rig};

pub use writers::Writers;

/// An application that runs on either engine.
#[derive(Debug, Clone)]
pub struct Application {
    module: &'static str,
    python: PathBuf,
    /// How it writes the URL of a SQLite file, as `switchback exec --sqlite-url` takes it.
    sqlite_url: &'static str,
}

/// Every row that an application reads, by table or model: values with their types, sorted.
pub type Content = serde_json::Map<String, Value>;

impl Application {
    /// Django with psycopg.
    pub async fn django() -> Self {
        Self::of("django_app", "sqlite://{path}").await
    }

    /// `SQLAlchemy` and Alembic with psycopg.
    pub async fn alembic() -> Self {
        Self::of("alembic_app", "sqlite:///{path}").await
    }

    async fn of(module: &'static str, sqlite_url: &'static str) -> Self {
        let requirements = applications().join(module).join("requirements.txt");
        let python = tokio::task::spawn_blocking(move || python::python(&requirements)).await;
        let python = python.expect("no panic").unwrap_or_else(|error| panic!("{module}: {error}"));
        Self { module, python, sqlite_url }
    }

    /// URL of a SQLite file, which its path needs no escapes for.
    pub fn sqlite(&self, file: &Path) -> String {
        self.sqlite_url.replace("{path}", &file.display().to_string())
    }

    /// Runs the application's own migrations.
    pub async fn migrate(&self, url: &str) {
        self.run(url, &["migrate"]).await;
    }

    /// Makes rows of so many seeds in every table, from this one on.
    pub async fn fill(&self, url: &str, first: u32, count: u32) {
        self.run(url, &["fill", &first.to_string(), &count.to_string()]).await;
    }

    /// Reads everything.
    pub async fn read(&self, url: &str) -> Content {
        self.check(url, &[]).await
    }

    /// Reads everything, and inserts a row into each table, which is not kept; whoever logs in
    /// does so.
    pub async fn read_and_insert(&self, url: &str) -> Content {
        self.check(url, &["--insert"]).await
    }

    /// Reads everything, and holds it against what the writers were told.
    pub async fn read_and_verify(&self, url: &str, writers: &Writers) -> Content {
        self.check(url, &["--journals", &writers.journals().display().to_string()]).await
    }

    async fn check(&self, url: &str, flags: &[&str]) -> Content {
        let said = self.run(url, &[&["check"], flags].concat()).await;
        serde_json::from_str(&said).expect("a line of JSON")
    }

    /// Runs the application to its end, which must be a good one, and gives what it printed.
    pub async fn run(&self, url: &str, arguments: &[&str]) -> String {
        let ended = self.ended(url, arguments).await;
        ended.unwrap_or_else(|said| panic!("{} {arguments:?}: {said}", self.module))
    }

    /// Runs the application to its end: what it printed, or what it complained of.
    pub async fn ended(&self, url: &str, arguments: &[&str]) -> Result<String, String> {
        let mut command = Command::new(&self.python);
        command.args(["-m", self.module]).args(arguments).envs(self.variables());
        command.env("DATABASE_URL", url).stdin(Stdio::null()).kill_on_drop(true);
        let output = tokio::time::timeout(DEADLINE, command.output()).await;
        let output = output.expect("the application ends").expect("the application starts");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
        if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
    }

    /// Starts writers under `switchback exec`.
    pub fn writers(&self, rig: &Rig, count: u32) -> Writers {
        Writers::start(self, rig, count)
    }

    fn variables(&self) -> [(&'static str, PathBuf); 2] {
        // The sources are no place for what Python compiles.
        [("PYTHONPATH", applications()), ("PYTHONDONTWRITEBYTECODE", "1".into())]
    }
}

/// Fails with the first rows that differ.
#[track_caller]
pub fn assert_same(found: &Content, wanted: &Content, when: &str) {
    let tables: Vec<&String> = wanted.keys().collect();
    assert_eq!(found.keys().collect::<Vec<_>>(), tables, "{when}");
    for (table, rows) in wanted {
        let (rows, others) =
            (rows.as_array().expect("rows"), found[table].as_array().expect("rows"));
        let missing: Vec<_> = rows.iter().filter(|row| !others.contains(row)).take(2).collect();
        let extra: Vec<_> = others.iter().filter(|row| !rows.contains(row)).take(2).collect();
        assert!(
            rows == others,
            "{when}: {} rows of {table}, and {} were wanted;\nmissing: {missing:#?}\nextra: {extra:#?}",
            others.len(),
            rows.len()
        );
    }
}

fn applications() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("apps")
}
