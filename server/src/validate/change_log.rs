//! Which rows the source's change log names as changed since a drain.

use std::collections::{BTreeSet, HashMap, HashSet};

use rusqlite::Connection;

use super::{differences::Key, held::Wanted};
use crate::{
    capture::log,
    copy::key,
    db::source::{SourceFile, value},
    dialect::{
        capture::{CaptureKey, LOG},
        codec::Codec,
        schema::Table,
        sqlite::quote,
        value::OwnedValue,
    },
    error::{Error, Reason, Result},
};

/// How the log names the rows of one table, and how the comparison names the same rows.
#[derive(Debug, Clone)]
pub(super) struct LogKeys {
    /// Reads the entries behind a sequence number.
    sql: String,
    /// Reads how many rows they name.
    pub(super) count_sql: String,
    /// The entries name no rows: each means all of them.
    pub(super) whole: bool,
    /// Codecs of the key's columns, in the order of the log and of the comparison's key.
    codecs: Vec<Codec>,
    /// Names of the columns by which rejects are named; none where these are not the key's.
    reject_names: Option<Vec<String>>,
}

/// What one entry names.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    /// The row's key as bytes; none where its codecs refuse it, so that it can only be a reject.
    pub(super) row: Option<Box<[u8]>>,
    /// How the row would be named as a reject, where the log says so.
    pub(super) reject: Option<Box<[u8]>>,
    /// The key as the source has it.
    pub(super) values: Vec<OwnedValue>,
}

impl Entry {
    /// The key in both forms.
    pub(super) fn keys(&self) -> impl Iterator<Item = Key> {
        let row = self.row.clone().map(|key| (false, key));
        row.into_iter().chain(self.reject.clone().map(|key| (true, key)))
    }
}

impl LogKeys {
    /// `number` is the table's in the log, `codecs` are those of the key's columns.
    pub(super) fn new(number: usize, table: &Table, key: &CaptureKey, codecs: Vec<Codec>) -> Self {
        let reject_names = match key {
            CaptureKey::Columns(columns) => {
                Some(columns.iter().map(|column| table.columns[*column].name.clone()).collect())
            }
            // Rejects of a table with a nullable primary key are named by that one.
            CaptureKey::Rowid(_) => table.primary_key.is_empty().then(|| vec!["rowid".to_owned()]),
            CaptureKey::Whole => None,
        };
        let columns: Vec<String> = (1..=codecs.len()).map(|number| format!("k{number}")).collect();
        let terms = if columns.is_empty() { "NULL".to_owned() } else { columns.join(", ") };
        let from = format!("FROM main.{} WHERE seq > ?1 AND tab = {number}", quote(LOG));
        // 1, 1.0 and '1' are different rows.
        let classes: Vec<String> =
            columns.iter().map(|column| format!("typeof({column})")).collect();
        let distinct = [terms.as_str(), &classes.join(", ")].join(", ");
        let distinct = distinct.trim_end_matches(", ");
        Self {
            sql: format!("SELECT {terms} {from}"),
            count_sql: format!("SELECT count(*) FROM (SELECT DISTINCT {distinct} {from})"),
            whole: *key == CaptureKey::Whole,
            codecs,
            reject_names,
        }
    }

    /// Whether the entries say how their rows are named as rejects.
    pub(super) fn names_rejects(&self) -> bool {
        self.reject_names.is_some()
    }

    /// What an entry with this key names.
    fn entry(&self, values: Vec<OwnedValue>) -> Entry {
        let mut bytes = Vec::new();
        let row = self
            .codecs
            .iter()
            .zip(&values)
            .all(|(codec, value)| codec.encode(value.as_value(), &mut bytes).is_ok())
            .then(|| bytes.into_boxed_slice());
        let reject = self.reject_names.as_ref().map(|names| {
            let named: Vec<(&str, OwnedValue)> =
                names.iter().map(String::as_str).zip(values.iter().cloned()).collect();
            key::name(&named).into_bytes().into_boxed_slice()
        });
        Entry { row, reject, values }
    }

    /// Reads the entries behind `applied`, the newest one that is in the target. They are read one
    /// by one, as often as a row changed: there may be any number of them.
    pub(super) fn read(
        &self,
        connection: &Connection,
        file: &SourceFile,
        applied: i64,
        mut each: impl FnMut(Option<Entry>),
    ) -> Result<()> {
        check_anchor(connection, file, applied)?;
        let mut reading = || {
            let mut statement = connection.prepare_cached(&self.sql)?;
            let mut rows = statement.query([applied])?;
            while let Some(row) = rows.next()? {
                let values = (0..self.codecs.len()).map(|n| Ok(value(row, n)?.into()));
                let values = values.collect::<rusqlite::Result<_>>()?;
                each((!self.whole).then(|| self.entry(values)));
            }
            Ok(())
        };
        reading().map_err(|error| file.explain(error))
    }
}

/// The entry that was applied last stays in the log. A log without it is another one, and says
/// nothing about what changed since.
pub(super) fn check_anchor(connection: &Connection, file: &SourceFile, applied: i64) -> Result<()> {
    if log::has(connection, applied).map_err(|error| file.explain(error))? {
        return Ok(());
    }
    Err(Error::new(Reason::SourceChanged, "the change log lost what was applied from it last")
        .hint("was an older copy of the SQLite file put back? abort the migration and start again"))
}

/// The rows that changed, among those that differ.
#[derive(Debug, Default)]
pub(super) struct Changed {
    /// Keys that are of interest.
    suspects: HashSet<Key>,
    entries: Vec<Entry>,
    /// Number of the entry that names a key.
    named: HashMap<Key, usize>,
    /// Something changed.
    pub(super) any: bool,
    /// Each entry means all rows.
    whole: bool,
    /// Each entry means all rejects.
    all_rejects: bool,
    /// Rows that are rejects by now, under names that the log does not say.
    hidden: u64,
}

impl Changed {
    pub(super) fn among(log: &LogKeys, suspects: impl IntoIterator<Item = Key>) -> Self {
        Self {
            suspects: suspects.into_iter().collect(),
            whole: log.whole,
            all_rejects: log.reject_names.is_none(),
            ..Self::default()
        }
    }

    /// Takes what the log names, as often as it does.
    pub(super) fn take(&mut self, entry: Option<Entry>) {
        self.any = true;
        let Some(entry) = entry else { return };
        // Both forms of a row together: it may become a reject with its next change.
        let keys: Vec<Key> = entry.keys().collect();
        let known = keys.first().is_none_or(|key| self.named.contains_key(key));
        if known || !keys.iter().any(|key| self.suspects.contains(key)) {
            return;
        }
        for key in keys {
            self.named.entry(key).or_insert(self.entries.len());
        }
        self.entries.push(entry);
    }

    /// Takes note of a row that is a reject and cannot be found among the target's.
    pub(super) fn hide(&mut self) {
        self.hidden += 1;
    }

    /// Whether the row with this key may have changed.
    pub(super) fn holds(&self, key: &Key) -> bool {
        let all = self.whole || (self.all_rejects && key.0);
        (self.any && all) || self.named.contains_key(key)
    }

    /// Which of these keys are unsettled.
    pub(super) fn unsettled<'k>(&self, left: impl Iterator<Item = &'k Key>) -> Unsettled {
        let (mut numbers, mut nameless) = (BTreeSet::new(), HashSet::new());
        for key in left.filter(|key| self.holds(key)) {
            match self.named.get(key) {
                Some(number) => drop(numbers.insert(*number)),
                None => drop(nameless.insert(key)),
            }
        }
        Unsettled {
            entries: numbers.into_iter().map(|number| self.entries[number].clone()).collect(),
            nameless: nameless.len() as u64 + self.hidden,
        }
    }
}

/// Rows that changed while they were compared.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Unsettled {
    pub(super) entries: Vec<Entry>,
    /// Further rows that may have changed, and that the log does not name.
    pub(super) nameless: u64,
}

impl Unsettled {
    pub(super) fn rows(&self) -> u64 {
        self.entries.len() as u64 + self.nameless
    }

    /// The same rows again, in whichever form they are.
    pub(super) fn wanted(&self) -> Wanted {
        let keys = |of: fn(&Entry) -> &Option<Box<[u8]>>| {
            self.entries.iter().filter_map(|entry| of(entry).clone()).collect()
        };
        Wanted::Keys { rows: keys(|entry| &entry.row), rejects: keys(|entry| &entry.reject) }
    }
}

#[cfg(test)]
mod tests;
