//! What a writer has done, in its own words: one file a writer, which only it appends to.
//!
//! ```text
//! writer 3 seed 7 rows 20          what it started with
//! run sqlite 4711                  a start, with its engine and process
//! begin 1 item.add 21 21 33        written before the transaction
//! ok 1 1764153768123456            acknowledged, in microseconds since 1970
//! failed 2 moved …                 refused
//! unknown 3 lost …                 COMMIT had no answer
//! settled 3 yes                    the ledger told
//! ```

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use super::{
    engine::{Cause, Refusal},
    model::Model,
    op::{self, Op},
};

/// What became of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Acknowledged at this time since 1970.
    Ok(Duration),
    /// Refused.
    Failed(Cause),
    /// Not known; what the ledger told later, where it was asked.
    Unknown(Option<bool>),
}

/// A transaction.
#[derive(Debug, Clone)]
pub struct Transaction {
    /// Its number, rising from 1.
    pub n: u64,
    /// What it does.
    pub ops: Vec<Op>,
    /// What became of it.
    pub fate: Fate,
    /// The engine that it was sent to.
    pub engine: String,
    /// The engine's words where it was refused.
    pub said: String,
}

/// A journal that was read.
#[derive(Debug, Clone)]
pub struct History {
    /// Number of the writer.
    pub writer: i64,
    /// Rows that it had in each table at the start.
    pub rows: u32,
    /// Its transactions.
    pub transactions: Vec<Transaction>,
    engine: String,
    switches: usize,
}

impl History {
    /// Reads a journal.
    pub fn read(file: &Path) -> Result<Self, String> {
        Self::read_until(file, usize::MAX)
    }

    /// Reads a journal up to where its writer had followed more switches than this. A line that
    /// was not written to its end is left out.
    pub fn read_until(file: &Path, switches: usize) -> Result<Self, String> {
        let text = fs::read_to_string(file).map_err(|error| format!("{file:?}: {error}"))?;
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        let mut lines = whole.lines();
        let first: Vec<&str> = lines.next().unwrap_or_default().split(' ').collect();
        let ["writer", writer, "seed", _, "rows", rows] = first[..] else {
            return Err(format!("{file:?} is no journal"));
        };
        let mut history = Self {
            writer: number(writer)?,
            rows: number(rows)?,
            transactions: Vec::new(),
            engine: String::new(),
            switches: 0,
        };
        for line in lines {
            history.add(line).map_err(|error| format!("{file:?}: {line:?}: {error}"))?;
            if history.switches > switches {
                break;
            }
        }
        Ok(history)
    }

    fn add(&mut self, line: &str) -> Result<(), String> {
        let (word, rest) = line.split_once(' ').ok_or("a line has two words")?;
        let (first, more) = rest.split_once(' ').unwrap_or((rest, ""));
        if word == "run" {
            self.switches += usize::from(!self.engine.is_empty() && self.engine != first);
            self.engine = first.to_owned();
            return Ok(());
        }
        let n = number(first)?;
        if word == "begin" {
            self.transactions.push(Transaction {
                n,
                ops: op::parse(more)?,
                fate: Fate::Unknown(None),
                engine: self.engine.clone(),
                said: String::new(),
            });
            return Ok(());
        }
        let last = self.transactions.last_mut().filter(|transaction| transaction.n == n);
        let last = last.ok_or("it is not about the last transaction")?;
        let (cause, said) = more.split_once(' ').unwrap_or((more, ""));
        match word {
            "ok" => last.fate = Fate::Ok(Duration::from_micros(number(more)?)),
            "failed" => last.fate = Fate::Failed(cause.parse()?),
            "unknown" => {}
            "settled" => last.fate = Fate::Unknown(Some(more == "yes")),
            _ => return Err("an unknown word".into()),
        }
        said.clone_into(&mut last.said);
        Ok(())
    }

    /// The transaction whose outcome must be found out first.
    pub fn open(&self) -> Option<&Transaction> {
        self.transactions.last().filter(|last| last.fate == Fate::Unknown(None))
    }

    /// Number of the next transaction.
    pub fn next(&self) -> u64 {
        self.transactions.last().map_or(1, |last| last.n + 1)
    }

    /// What the writer's rows must be; a transaction of unknown outcome counts where `unknown`
    /// says so.
    pub fn model(&self, unknown: impl Fn(u64) -> bool) -> Model {
        let mut model = Model::start(self.writer, self.rows);
        for transaction in &self.transactions {
            let done = match transaction.fate {
                Fate::Ok(_) | Fate::Unknown(Some(true)) => true,
                Fate::Failed(_) | Fate::Unknown(Some(false)) => false,
                Fate::Unknown(None) => unknown(transaction.n),
            };
            if done {
                transaction.ops.iter().for_each(|op| model.apply(op));
            }
        }
        model
    }
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("{text:?} is no number"))
}

/// Where the journal of a writer is.
pub fn path(directory: &Path, writer: i64) -> PathBuf {
    directory.join(format!("writer-{writer}.journal"))
}

/// Reads every journal of a directory, up to a number of switches.
pub fn read_all(directory: &Path, switches: usize) -> Result<Vec<History>, String> {
    let entries = fs::read_dir(directory).map_err(|error| format!("{directory:?}: {error}"))?;
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    files.retain(|file| file.extension().is_some_and(|end| end == "journal"));
    files.sort();
    files.iter().map(|file| History::read_until(file, switches)).collect()
}

/// A journal that is written. Each line is one write, so that a killed process leaves whole lines
/// or the beginning of one.
#[derive(Debug)]
pub struct Journal {
    file: File,
}

impl Journal {
    /// Opens a journal, or begins it, and cuts off a line that was not written to its end.
    pub fn open(file: &Path, writer: i64, seed: u64, rows: u32) -> io::Result<Self> {
        let text = fs::read(file).unwrap_or_default();
        let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let opened = OpenOptions::new().create(true).append(true).open(file)?;
        opened.set_len(u64::try_from(whole).unwrap_or(u64::MAX))?;
        let mut journal = Self { file: opened };
        if whole == 0 {
            journal.line(&format!("writer {writer} seed {seed} rows {rows}"))?;
        }
        Ok(journal)
    }

    /// A process starts on an engine.
    pub fn run(&mut self, engine: &str) -> io::Result<()> {
        self.line(&format!("run {engine} {}", std::process::id()))
    }

    /// A transaction begins.
    pub fn begin(&mut self, n: u64, ops: &[Op]) -> io::Result<()> {
        self.line(&format!("begin {n} {}", op::line(ops)))
    }

    /// It was acknowledged.
    pub fn ok(&mut self, n: u64) -> io::Result<()> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.line(&format!("ok {n} {}", now.as_micros()))
    }

    /// It was refused.
    pub fn failed(&mut self, n: u64, refusal: &Refusal) -> io::Result<()> {
        self.line(&format!("failed {n} {} {}", refusal.cause, refusal.text))
    }

    /// Nobody knows.
    pub fn unknown(&mut self, n: u64, refusal: &Refusal) -> io::Result<()> {
        self.line(&format!("unknown {n} {} {}", refusal.cause, refusal.text))
    }

    /// The ledger told.
    pub fn settled(&mut self, n: u64, done: bool) -> io::Result<()> {
        self.line(&format!("settled {n} {}", if done { "yes" } else { "no" }))
    }

    fn line(&mut self, line: &str) -> io::Result<()> {
        self.file.write_all(format!("{line}\n").as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn journal(text: &str) -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let file = path(directory.path(), 3);
        fs::write(&file, format!("writer 3 seed 7 rows 5\n{text}")).unwrap();
        (directory, file)
    }

    #[test]
    fn a_line_that_was_cut_off_is_cut_off() {
        let (_directory, file) = journal("run sqlite 1\nbegin 1 item.drop 2\nok 1 17");
        let history = History::read(&file).unwrap();
        assert_eq!((history.writer, history.rows, history.next()), (3, 5, 2));
        assert_eq!(history.open().map(|open| open.n), Some(1));
        Journal::open(&file, 3, 7, 5).unwrap().settled(1, true).unwrap();
        let history = History::read(&file).unwrap();
        assert_eq!(history.transactions[0].fate, Fate::Unknown(Some(true)));
        assert!(history.open().is_none());
        assert_eq!(history.model(|_| false).rows(0).len(), 4);
    }

    #[test]
    fn outcomes_are_read_back() {
        let (_directory, file) = journal("run sqlite 1\n");
        let mut journal = Journal::open(&file, 3, 7, 5).unwrap();
        let ops = op::parse("item.drop 2; tag.add 1 1").unwrap();
        journal.begin(1, &ops).unwrap();
        journal.ok(1).unwrap();
        journal.begin(2, &ops).unwrap();
        journal.failed(2, &Refusal::new(Cause::Moved, "it has\nmoved to PostgreSQL")).unwrap();
        journal.run("postgres").unwrap();
        journal.begin(3, &ops).unwrap();
        journal.unknown(3, &Refusal::new(Cause::Lost, "")).unwrap();

        let history = History::read(&file).unwrap();
        let [first, second, third] = &history.transactions[..] else { panic!("{history:?}") };
        assert!(matches!(first.fate, Fate::Ok(at) if !at.is_zero()) && first.ops == ops);
        assert_eq!(second.fate, Fate::Failed(Cause::Moved));
        assert_eq!(second.said, "it has moved to PostgreSQL");
        assert_eq!((third.fate, third.engine.as_str()), (Fate::Unknown(None), "postgres"));
        assert_eq!(History::read_until(&file, 0).unwrap().transactions.len(), 2);
    }
}
