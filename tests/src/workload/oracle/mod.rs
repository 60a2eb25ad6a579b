//! Whether an engine holds exactly what the writers' journals say.
//!
//! Each acknowledged transaction is in the ledger once, no refused one is, one of unknown outcome
//! is there with its changes or not at all, and the rows of each writer are those of its model:
//! a deleted key is absent. The engine must stand still meanwhile: its writers have ended, or it
//! is fenced.

mod facts;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    time::Duration,
};

use switchback_proto::v1::Plan;
use tokio_postgres::Client;

use self::facts::Facts;
use super::{
    cell::Row,
    engine::Cause,
    journal::{self, Fate, History},
    model::Model,
    report::Report,
    schema::{TABLES, Table},
};
use crate::checker;

/// Violations that are told; the rest is counted.
const MOST_TOLD: usize = 20;

/// The engine that is judged.
#[derive(Clone, Copy)]
pub enum Side<'a> {
    /// A SQLite file.
    Sqlite(&'a Path),
    /// A PostgreSQL database.
    Postgres(&'a Client),
}

/// What the oracle found.
#[derive(Debug)]
pub struct Verdict {
    /// Numbers of the journals.
    pub report: Report,
    /// What is wrong, each in a sentence.
    pub violations: Vec<String>,
}

impl Verdict {
    fn unreadable(error: String) -> Self {
        Self { report: Report::default(), violations: vec![error] }
    }

    /// Fails with the violations if there are any.
    #[track_caller]
    pub fn expect_green(self) -> Report {
        let count = self.violations.len();
        let told = self.violations.iter().take(MOST_TOLD).cloned().collect::<Vec<_>>().join("\n");
        assert!(count == 0, "{count} violations; {}\n{told}", self.report);
        self.report
    }
}

/// Judges an engine by all that the journals of a directory say.
pub async fn check(journals: &Path, side: Side<'_>) -> Verdict {
    let facts = Facts::of(side).await;
    // After the engine: a line that is written in between is about a transaction that was refused
    // or that the engine already held.
    match journal::read_all(journals, usize::MAX) {
        Ok(histories) => judge(&histories, &facts),
        Err(error) => Verdict::unreadable(error),
    }
}

/// Judges the engine that was active until a switch (the first one is 1) by what the writers had
/// done before they followed it: every transaction that this engine acknowledged must be in it.
/// It must be fenced; its writers may have gone on elsewhere, or may go on being refused. What
/// they have written elsewhere since may have been carried over: of each writer, up to some point.
pub async fn check_at_switch(journals: &Path, side: Side<'_>, switch: usize) -> Verdict {
    let facts = Facts::of(side).await;
    let until = match journal::read_all(journals, switch.saturating_sub(1)) {
        Ok(histories) => histories,
        Err(error) => return Verdict::unreadable(error),
    };
    let until: BTreeMap<i64, usize> =
        until.iter().map(|history| (history.writer, history.transactions.len())).collect();
    judge_up_to_some_point(journals, &facts, |history| {
        until.get(&history.writer).copied().unwrap_or_default()
    })
}

/// Judges a snapshot that was taken while the writers went on: it must hold the transactions of
/// each up to some point and nothing of a later one, and all that were acknowledged before `since`,
/// a time since 1970.
pub async fn check_snapshot(journals: &Path, side: Side<'_>, since: Duration) -> Verdict {
    let facts = Facts::of(side).await;
    let is_due =
        |transaction: &journal::Transaction| matches!(transaction.fate, Fate::Ok(at) if at < since);
    judge_up_to_some_point(journals, &facts, |history| {
        history.transactions.iter().rposition(is_due).map_or(0, |last| last + 1)
    })
}

/// Each writer's transactions count up to the last one that is there, and no less than those that
/// are due.
fn judge_up_to_some_point(
    journals: &Path,
    facts: &Facts,
    due: impl Fn(&History) -> usize,
) -> Verdict {
    let mut histories = match journal::read_all(journals, usize::MAX) {
        Ok(histories) => histories,
        Err(error) => return Verdict::unreadable(error),
    };
    for history in &mut histories {
        let writer = history.writer;
        let is_there = |transaction: &journal::Transaction| facts.count(writer, transaction.n) > 0;
        let there = history.transactions.iter().rposition(is_there).map_or(0, |last| last + 1);
        history.transactions.truncate(there.max(due(history)));
    }
    judge(&histories, facts)
}

/// Whether both engines hold the same in every table of the plan.
pub async fn identical(source: &Path, target: &Client, plan: &Plan) -> Vec<String> {
    let outcomes = checker::compare(source, target, plan).await;
    let differing = outcomes.iter().filter(|outcome| !outcome.is_faithful());
    differing.map(|outcome| format!("{outcome:?}")).collect()
}

fn judge(histories: &[History], facts: &Facts) -> Verdict {
    let mut violations = Vec::new();
    for history in histories {
        judge_ledger(history, facts, &mut violations);
        judge_refusals(history, &mut violations);
        judge_rows(history, facts, &mut violations);
    }
    judge_births(histories, facts, &mut violations);
    let known: Vec<i64> = histories.iter().map(|history| history.writer).collect();
    for writer in facts.writers().filter(|writer| !known.contains(writer)) {
        violations.push(format!("there are rows of writer {writer}, who has no journal"));
    }
    Verdict { report: Report::of(histories), violations }
}

fn judge_ledger(history: &History, facts: &Facts, violations: &mut Vec<String>) {
    let writer = history.writer;
    let entries = facts.ledger(writer);
    for transaction in &history.transactions {
        let n = transaction.n;
        let fault = match (transaction.fate, facts.count(writer, n)) {
            (_, 2..) => "is there more than once",
            (Fate::Ok(_) | Fate::Unknown(Some(true)), 0) => "is lost",
            (Fate::Failed(_), 1) => "was refused and is there",
            (Fate::Unknown(Some(false)), 1) => "was not there and is there now",
            _ => continue,
        };
        let engine = &transaction.engine;
        violations.push(format!("transaction {n} of writer {writer} on {engine} {fault}"));
    }
    let begun: Vec<u64> = history.transactions.iter().map(|transaction| transaction.n).collect();
    for n in entries.iter().filter(|n| begun.binary_search(n).is_err()) {
        violations.push(format!("transaction {n} of writer {writer} is there and was never begun"));
    }
    if entries.windows(2).any(|pair| pair[0] > pair[1]) {
        violations.push(format!(
            "ids of writer {writer}'s entries in the ledger do not rise: an id came again"
        ));
    }
}

/// A writer is refused by a fence, a lock or an outage; anything else means that the engine did
/// not hold the rows that it had acknowledged.
fn judge_refusals(history: &History, violations: &mut Vec<String>) {
    let strange =
        |transaction: &&journal::Transaction| transaction.fate == Fate::Failed(Cause::Other);
    for transaction in history.transactions.iter().filter(strange) {
        let (n, said) = (transaction.n, &transaction.said);
        violations.push(format!("transaction {n} of writer {}: {said}", history.writer));
    }
}

fn judge_rows(history: &History, facts: &Facts, violations: &mut Vec<String>) {
    let held = |n| facts.count(history.writer, n) > 0;
    let differences = compare(&history.model(held), history, facts);
    let Some(open) = history.open().filter(|_| !differences.is_empty()) else {
        violations.extend(differences);
        return;
    };
    let (writer, n) = (history.writer, open.n);
    let other = compare(&history.model(|n| !held(n)), history, facts);
    let (there, fault) = match (held(n), other.is_empty()) {
        (true, true) => ("its entry is there", "its changes are not"),
        (false, true) => ("its changes are there", "its entry is not"),
        (true, false) => ("its entry is there", "its changes are not all there"),
        (false, false) => ("its entry is not there", "the rows differ from before it"),
    };
    violations.push(format!("transaction {n} of writer {writer}: {there}, {fault}"));
    violations.extend(differences);
}

/// An id that the engine chose must not come again, though its row is gone: not on the other
/// engine either.
fn judge_births(histories: &[History], facts: &Facts, violations: &mut Vec<String>) {
    let mut ids = BTreeSet::new();
    for (writer, event) in facts.births() {
        if !ids.insert(event) {
            violations.push(format!("an event of writer {writer} has the id {event} again"));
        }
    }
    for history in histories {
        let writer = history.writer;
        let wanted = history.model(|n| facts.count(writer, n) > 0).births;
        let found = facts.births().iter().filter(|birth| birth.0 == writer).count();
        if found != wanted {
            violations.push(format!("{found} births of writer {writer} instead of {wanted}"));
        }
    }
}

/// What differs between a model and the rows of its writer.
fn compare(model: &Model, history: &History, facts: &Facts) -> Vec<String> {
    let mut differences = Vec::new();
    for (number, table) in TABLES.iter().enumerate() {
        let mut balance: BTreeMap<Row, i64> = BTreeMap::new();
        for row in model.rows(number) {
            *balance.entry(row).or_default() += 1;
        }
        for row in facts.rows(number, history.writer) {
            *balance.entry(row.clone()).or_default() -= 1;
        }
        balance.retain(|_, count| *count != 0);
        let missing: Vec<&Row> =
            balance.iter().filter(|(_, count)| **count > 0).map(|(row, _)| row).collect();
        let keys: Vec<&[_]> = missing.iter().map(|row| &row[..table.key]).collect();
        for (row, count) in &balance {
            let changed = keys.contains(&&row[..table.key]);
            let fault = match count {
                1.. => "must be there",
                _ if changed => "has other values",
                _ => "must be absent: it was deleted, or never written",
            };
            differences.push(format!("{} {}: {fault}", table.name, shown(table, row)));
        }
    }
    differences
}

fn shown(table: &Table, row: &Row) -> String {
    let cells = table.columns.iter().zip(row).map(|(column, cell)| format!("{column}={cell}"));
    cells.collect::<Vec<_>>().join(" ")
}
