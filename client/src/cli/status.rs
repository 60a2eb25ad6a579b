//! `status`: the active engine, the phase and both engines' state.

use std::collections::{BTreeMap, BTreeSet};

use clap::Args as ArgsGroup;
use serde::Serialize;
use switchback_client::{
    DatabaseUpdate, Result,
    exit::Exit,
    v1::{Database, Engine, EngineState, EngineStatus, Finding, Phase, RollbackState},
    words::{Word, word_of},
};
use tokio_stream::StreamExt;

use super::{
    Session,
    output::{
        Grid, findings_tally, findings_text,
        format::{as_f64, clean, count, counted, seconds, time},
    },
};

/// The tool of a number that SQLite keeps itself.
const USER_VERSION: &str = "user_version";

/// The JSON object; its shape is part of the interface.
#[derive(Serialize)]
struct Status<'a> {
    database: &'a str,
    active_engine: String,
    epoch: u64,
    phase: String,
    lag_changes: u64,
    lag_ms: u64,
    rollback: String,
    operation_id: &'a str,
    engines: PerEngine<EngineView<'a>>,
    schema_versions: PerEngine<BTreeMap<&'a str, &'a str>>,
    /// Of the tools that record each version.
    #[serde(skip_serializing_if = "PerEngine::is_empty")]
    schema_version_counts: PerEngine<BTreeMap<&'a str, u64>>,
    /// Tools of which the engines have other versions.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    schema_versions_differ: BTreeSet<&'a str>,
    #[serde(skip_serializing_if = "<[Finding]>::is_empty")]
    findings: &'a [Finding],
    #[serde(skip_serializing_if = "str::is_empty")]
    coordinator: &'a str,
    #[serde(skip_serializing_if = "String::is_empty")]
    validated_at: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    backed_up_at: String,
}

#[derive(Serialize)]
struct PerEngine<T> {
    sqlite: T,
    postgres: T,
}

impl<V> PerEngine<BTreeMap<&str, V>> {
    fn is_empty(&self) -> bool {
        self.sqlite.is_empty() && self.postgres.is_empty()
    }
}

#[derive(Serialize)]
struct EngineView<'a> {
    state: String,
    message: &'a str,
    version: &'a str,
}

impl<'a> Status<'a> {
    fn of(database: &'a Database) -> Self {
        let of = |engine: Engine| {
            database.schema_versions.iter().filter(move |version| version.engine() == engine)
        };
        let versions = |engine| {
            of(engine).map(|version| (version.tool.as_str(), version.version.as_str())).collect()
        };
        let counts = |engine| {
            let counted = of(engine).filter(|version| version.tool != USER_VERSION);
            counted.map(|version| (version.tool.as_str(), version.count)).collect()
        };
        let differing = database.schema_versions.iter().filter(|version| version.differs);
        Self {
            database: &database.name,
            active_engine: word_of::<Engine>(database.active_engine),
            epoch: database.epoch,
            phase: word_of::<Phase>(database.phase),
            lag_changes: database.lag_changes,
            lag_ms: database.lag_ms,
            rollback: word_of::<RollbackState>(database.rollback),
            operation_id: &database.operation_id,
            engines: PerEngine {
                sqlite: EngineView::of(database.sqlite.as_ref()),
                postgres: EngineView::of(database.postgres.as_ref()),
            },
            schema_versions: PerEngine {
                sqlite: versions(Engine::Sqlite),
                postgres: versions(Engine::Postgres),
            },
            schema_version_counts: PerEngine {
                sqlite: counts(Engine::Sqlite),
                postgres: counts(Engine::Postgres),
            },
            schema_versions_differ: differing.map(|version| version.tool.as_str()).collect(),
            findings: &database.findings,
            coordinator: &database.coordinator,
            validated_at: time(database.validated_at.as_ref()),
            backed_up_at: time(database.backed_up_at.as_ref()),
        }
    }

    /// One short line, for `--watch`.
    fn line(&self) -> String {
        let mut line = format!(
            "{}: {}, epoch {}, {}; sqlite {}, postgres {}; lag {}",
            clean(self.database),
            self.active_engine,
            self.epoch,
            self.phase,
            self.engines.sqlite.state,
            self.engines.postgres.state,
            self.lag(),
        );
        let found = findings_tally(self.findings);
        if !found.is_empty() {
            line = format!("{line}; {found}");
        }
        if !self.coordinator.is_empty() {
            line = format!("{line}; coordinator {}", clean(self.coordinator));
        }
        line
    }

    fn lag(&self) -> String {
        let behind = seconds(as_f64(self.lag_ms) / 1000.0);
        format!("{} ({behind})", counted(self.lag_changes, "change"))
    }

    fn text(&self) -> String {
        let mut grid = Grid::new(["DATABASE", self.database]);
        grid.row(["active engine", &self.active_engine]);
        grid.row(["epoch", &count(self.epoch)]);
        grid.row(["phase", &self.phase]);
        grid.row(["lag", &self.lag()]);
        grid.row(["rollback", &self.rollback]);
        if !self.validated_at.is_empty() {
            grid.row(["validated", &self.validated_at]);
        }
        if !self.backed_up_at.is_empty() {
            grid.row(["last backup", &self.backed_up_at]);
        }
        let operation = if self.operation_id.is_empty() { "none" } else { self.operation_id };
        grid.row(["operation", operation]);
        if !self.coordinator.is_empty() {
            grid.row(["coordinator", self.coordinator]);
        }
        grid.row(["sqlite", &self.engines.sqlite.text()]);
        grid.row(["postgres", &self.engines.postgres.text()]);
        let (versions, counts) = (&self.schema_versions, &self.schema_version_counts);
        for (engine, versions, counts) in [
            ("sqlite", &versions.sqlite, &counts.sqlite),
            ("postgres", &versions.postgres, &counts.postgres),
        ] {
            for (tool, version) in versions {
                let text = self.version_text(tool, version, counts.get(tool).copied());
                grid.row([format!("{engine} {tool}"), text]);
            }
        }
        let mut text = grid.to_string();
        if !self.findings.is_empty() {
            text = format!("{text}\n{}", findings_text(self.findings));
        }
        text
    }

    /// `shop.0003_price (18 versions), differs`
    fn version_text(&self, tool: &str, newest: &str, versions: Option<u64>) -> String {
        let mut text = match versions {
            None => newest.to_owned(),
            Some(0) => "none".to_owned(),
            Some(number) => format!("{newest} ({})", counted(number, "version")),
        };
        if self.schema_versions_differ.contains(tool) {
            text.push_str(", differs");
        }
        text
    }
}

impl<'a> EngineView<'a> {
    fn of(status: Option<&'a EngineStatus>) -> Self {
        let Some(status) = status else {
            return Self { state: EngineState::Down.word(), message: "not checked", version: "" };
        };
        // An engine is up when the server says so, and down otherwise.
        let state = match status.state() {
            EngineState::Up => EngineState::Up,
            EngineState::Down | EngineState::Unspecified => EngineState::Down,
        };
        Self { state: state.word(), message: &status.message, version: &status.version }
    }

    fn text(&self) -> String {
        let mut text = self.state.clone();
        for more in [self.version, self.message].into_iter().filter(|more| !more.is_empty()) {
            text = format!("{text}, {more}");
        }
        text
    }
}

#[derive(Debug, ArgsGroup)]
pub(crate) struct StatusArgs {
    /// Go on and show every change
    #[arg(long)]
    watch: bool,
}

pub(crate) async fn run(session: &mut Session, args: StatusArgs) -> Result<Exit> {
    let client = session.connect().await?;
    if args.watch {
        return watch(session, client.watch_database(session.database()).await?).await;
    }
    let database = client.database(session.database()).await?;
    let status = Status::of(&database);
    if session.output.is_json() {
        session.output.json(&status);
    } else {
        session.output.text(&status.text());
    }
    Ok(Exit::Done)
}

async fn watch(
    session: &mut Session,
    mut updates: switchback_client::DatabaseWatch,
) -> Result<Exit> {
    while let Some(update) = updates.next().await {
        match update? {
            DatabaseUpdate::State(database) => {
                let status = Status::of(&database);
                if session.output.is_json() {
                    session.output.json(&status);
                } else {
                    session.output.line(&status.line());
                }
            }
            DatabaseUpdate::ConnectionLost(error) => {
                session.output.note(&format!("connection lost: {error}; trying again"));
            }
        }
        if session.output.is_closed() {
            break;
        }
    }
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests;
