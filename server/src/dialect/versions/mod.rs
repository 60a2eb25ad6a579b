//! The versions that schema migration tools record: which tables they are in, how they are read,
//! and whether both engines have the same.

mod tools;

use std::{collections::HashSet, fmt};

pub use tools::{OtherTable, Rows, TOOLS, Tool};

use super::ident::quote;

/// Most versions that are read of one table; a table with more is passed over.
pub const MOST: usize = 100_000;

/// Characters of a version that are read; names of files are at most 255 bytes long.
const LONGEST_READ: usize = 500;

/// Characters of a version that are shown.
const LONGEST_SHOWN: usize = 100;

/// How many versions are named on each side.
const NAMED: usize = 20;

/// A table as an engine's catalogue has it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Relation {
    /// Its name.
    pub name: String,
    /// Its columns.
    pub columns: Vec<String>,
}

/// A tool's table that an engine has, with the names as they are spelt there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The tool.
    pub tool: &'static Tool,
    /// The table.
    pub table: Relation,
}

/// The versions of one tool that one engine has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// The tool.
    pub tool: &'static Tool,
    /// The table's name as it is spelt there.
    pub table: String,
    /// In the order in which they were applied.
    pub versions: Vec<String>,
}

/// Both engines record versions of a tool, and not the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// The tool.
    pub tool: &'static Tool,
    /// What PostgreSQL has and SQLite has not.
    pub missing_in_sqlite: Missing,
    /// What SQLite has and PostgreSQL has not.
    pub missing_in_postgres: Missing,
}

/// Versions that an engine lacks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Missing {
    /// The first few, as they may be shown.
    pub names: Vec<String>,
    /// How many there are.
    pub count: usize,
}

/// Names of every table that a tool records versions in, in lower case.
pub fn tables() -> Vec<String> {
    let mut names: Vec<String> = TOOLS.iter().map(|tool| tool.table.to_lowercase()).collect();
    names.dedup();
    names
}

/// The tool that keeps a table for itself. Such a table is not the application's data: what is
/// right in one engine's need not be right in the other's.
pub fn is_bookkeeping(table: &str, columns: &[&str]) -> Option<&'static Tool> {
    let fits = |name: &str, needed: &[&str]| {
        table.eq_ignore_ascii_case(name) && needed.iter().all(|needed| has(columns, needed))
    };
    TOOLS.iter().find(|tool| {
        fits(tool.table, tool.columns)
            || tool.others.iter().any(|other| fits(other.table, other.columns))
    })
}

fn has(columns: &[&str], wanted: &str) -> bool {
    columns.iter().any(|column| column.eq_ignore_ascii_case(wanted))
}

/// The tools whose tables are among these; one for each table.
pub fn recognise(relations: &[Relation]) -> Vec<Found> {
    let mut found: Vec<Found> = Vec::new();
    for tool in TOOLS {
        if found.iter().any(|found| found.tool.table == tool.table) {
            continue;
        }
        // PostgreSQL may have several that differ in case only: the tool's own spelling counts.
        let spelt = |relation: &&Relation| relation.name.eq_ignore_ascii_case(tool.table);
        let named = relations.iter().find(|relation| relation.name == tool.table);
        let Some(relation) = named.or_else(|| relations.iter().find(spelt)) else { continue };
        let columns: Vec<&str> = relation.columns.iter().map(String::as_str).collect();
        if tool.columns.iter().all(|needed| has(&columns, needed)) {
            found.push(Found { tool, table: relation.clone() });
        }
    }
    found
}

impl Found {
    /// The query for its versions: one column of text, in the order in which they were applied, one
    /// row more than are read at most. Both engines take it.
    pub fn select(&self, schema: &str) -> String {
        let table = format!("{}.{}", quote(schema), quote(&self.table.name));
        let text = |column: &&str| format!("CAST({} AS text)", self.column("t", column));
        let version: Vec<String> = self.tool.version.iter().map(text).collect();
        let version = version.join(" || '.' || ");
        let order: Vec<String> =
            self.tool.order.iter().map(|column| self.column("t", column)).collect();
        format!(
            "SELECT substr({version}, 1, {LONGEST_READ}) FROM {table} AS t \
             WHERE ({version}) IS NOT NULL AND {} ORDER BY {} LIMIT {}",
            self.condition(&table),
            order.join(", "),
            MOST + 1
        )
    }

    fn condition(&self, table: &str) -> String {
        let column = |name| self.column("t", name);
        let truth = |name| format!("lower(CAST({} AS text)) IN ('1', 't', 'true')", column(name));
        match self.tool.rows {
            Rows::Every => "1 = 1".to_owned(),
            Rows::True(name) => truth(name),
            Rows::False(name) => format!("NOT {}", truth(name)),
            Rows::Finished { at, undone } => {
                format!("{} IS NOT NULL AND {} IS NULL", column(at), column(undone))
            }
            Rows::LastTrue { id, applied } => {
                let same = self.tool.version.iter().map(|name| {
                    format!("{} = {}", self.column("later", name), self.column("t", name))
                });
                let same: Vec<String> = same.collect();
                format!(
                    "{} AND NOT EXISTS (SELECT 1 FROM {table} AS later WHERE {} AND {} > {})",
                    truth(applied),
                    same.join(" AND "),
                    self.column("later", id),
                    column(id)
                )
            }
        }
    }

    /// A column as it is spelt there: quoted names have a case in PostgreSQL.
    fn column(&self, of: &str, name: &str) -> String {
        let spelt = self.table.columns.iter().find(|column| column.eq_ignore_ascii_case(name));
        format!("{of}.{}", quote(spelt.map_or(name, String::as_str)))
    }

    /// What was read by the query; `None` where there is more than is read.
    pub fn recorded(self, versions: Vec<String>) -> Option<Recorded> {
        if versions.len() > MOST {
            return None;
        }
        Some(Recorded { tool: self.tool, table: self.table.name, versions })
    }
}

impl Recorded {
    /// The version that was applied last, as it may be shown; empty where there is none.
    pub fn newest(&self) -> String {
        self.versions.last().map(|version| shown(version)).unwrap_or_default()
    }
}

/// A version as it may be shown: names of files and numbers, and not too long.
fn shown(version: &str) -> String {
    let mut text: String = version
        .chars()
        .take(LONGEST_SHOWN)
        .map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c })
        .collect();
    if version.chars().nth(LONGEST_SHOWN).is_some() {
        text.push('…');
    }
    text
}

/// Where both engines record versions of a tool, and not the same. A tool that only one of them
/// has is no mismatch: an application may use one for each.
pub fn compare(sqlite: &[Recorded], postgres: &[Recorded]) -> Vec<Mismatch> {
    let mut mismatches = Vec::new();
    for ours in sqlite {
        let Some(theirs) = recorded_in(postgres, ours.tool) else { continue };
        let mismatch = Mismatch {
            tool: ours.tool,
            missing_in_sqlite: missing(&theirs.versions, &ours.versions),
            missing_in_postgres: missing(&ours.versions, &theirs.versions),
        };
        if mismatch.missing_in_sqlite.count + mismatch.missing_in_postgres.count > 0 {
            mismatches.push(mismatch);
        }
    }
    mismatches
}

/// The versions of a tool, or of another one that keeps them in a table of the same name.
pub fn recorded_in<'a>(engine: &'a [Recorded], tool: &Tool) -> Option<&'a Recorded> {
    engine.iter().find(|recorded| recorded.tool.table == tool.table)
}

fn missing(of: &[String], among: &[String]) -> Missing {
    let known: HashSet<&str> = among.iter().map(String::as_str).collect();
    let mut seen = HashSet::new();
    let mut missing = Missing::default();
    for version in of {
        if known.contains(version.as_str()) || !seen.insert(version.as_str()) {
            continue;
        }
        missing.count += 1;
        if missing.names.len() < NAMED {
            missing.names.push(shown(version));
        }
    }
    missing
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.tool.table, self.tool.name)?;
        let sides =
            [("SQLite", &self.missing_in_sqlite), ("PostgreSQL", &self.missing_in_postgres)];
        let mut separator = ": ";
        for (engine, missing) in sides {
            if missing.count > 0 {
                write!(f, "{separator}{engine} lacks {missing}")?;
                separator = ", ";
            }
        }
        Ok(())
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.names.join(" "))?;
        match self.count - self.names.len() {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

#[cfg(test)]
mod tests;
