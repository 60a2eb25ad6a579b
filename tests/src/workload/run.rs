//! The loop of a writer: what `src/bin/writer.rs` runs.

use std::{io, path::PathBuf, time::Duration};

use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval, sleep},
};

use super::{
    choose::{self, Random},
    engine::{Cause, Engine, Outcome, Place, Refusal},
    journal::{History, Journal, path},
    model::Model,
    op::Op,
};

/// What a program ends with that asks to be started again.
pub const START_AGAIN: u8 = 75;

/// Between two attempts while the engine takes no writes: short at first, as a switch is.
const FIRST_DELAY: Duration = Duration::from_millis(2);
const LONGEST_DELAY: Duration = Duration::from_millis(100);

/// What a writer is told.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Its number, from 1.
    pub writer: i64,
    /// What its choices come from.
    pub seed: u64,
    /// Where its journal is.
    pub directory: PathBuf,
    /// Rows that it had in each table at the start.
    pub rows: u32,
    /// Transactions a second; 0 for as many as it can.
    pub rate: u32,
    /// Changes in a transaction.
    pub size: u32,
    /// It ends after this transaction.
    pub count: Option<u64>,
    /// It tries again by itself instead of ending with [`START_AGAIN`].
    pub stay: bool,
    /// The database.
    pub place: Place,
}

/// Runs a writer to its end; its exit code. `stop` becomes true when it is to end.
pub async fn run(settings: Settings, stop: watch::Receiver<bool>) -> io::Result<u8> {
    let file = path(&settings.directory, settings.writer);
    let (writer, seed) = (settings.writer, settings.seed);
    let mut journal = Journal::open(&file, writer, seed, settings.rows)?;
    journal.run(settings.place.word())?;
    let mut session = Session { settings, stop, journal, file };
    let mut delay = FIRST_DELAY;
    while !session.is_over()? {
        match session.connected().await? {
            End::Over => return Ok(0),
            End::Refused if !session.settings.stay => return Ok(START_AGAIN),
            End::Refused => {}
            End::RefusedAfterSuccess => {
                if !session.settings.stay {
                    return Ok(START_AGAIN);
                }
                delay = FIRST_DELAY;
            }
        }
        tokio::select! {
            () = sleep(delay) => {}
            _ = session.stop.wait_for(|stop| *stop) => {}
        }
        delay = (delay * 2).min(LONGEST_DELAY);
    }
    Ok(0)
}

/// How it ended with a connection.
enum End {
    /// It was asked to end, or has made all its transactions.
    Over,
    /// The engine takes no writes, or is gone.
    Refused,
    /// The same, after some transactions.
    RefusedAfterSuccess,
}

struct Session {
    settings: Settings,
    stop: watch::Receiver<bool>,
    journal: Journal,
    file: PathBuf,
}

impl Session {
    /// Works on one connection for as long as it can.
    async fn connected(&mut self) -> io::Result<End> {
        let Ok(mut engine) = Engine::open(&self.settings.place).await else {
            return Ok(End::Refused);
        };
        if !self.settle(&mut engine).await? {
            return Ok(End::Refused);
        }
        let (mut model, mut n) = self.rebuilt()?;
        let mut pace = self.pace();
        let mut end = End::Refused;
        while !self.is_done(n) {
            if let Some(pace) = &mut pace {
                pace.tick().await;
            }
            let mut random = Random::of(self.settings.seed, self.settings.writer, n);
            let ops = choose::transaction(&mut random, &mut model, self.settings.size);
            match self.transact(&mut engine, n, &ops).await? {
                None => end = End::RefusedAfterSuccess,
                Some(Cause::Moved | Cause::Lost) => return Ok(end),
                Some(Cause::Busy | Cause::Other) => model = self.rebuilt()?.0,
            }
            n += 1;
        }
        Ok(End::Over)
    }

    /// Makes one transaction; why it did not come about, if so.
    async fn transact(
        &mut self,
        engine: &mut Engine,
        n: u64,
        ops: &[Op],
    ) -> io::Result<Option<Cause>> {
        self.journal.begin(n, ops)?;
        let outcome = engine.transact(self.settings.writer, n, ops).await;
        match outcome {
            Outcome::Done => {
                self.journal.ok(n)?;
                Ok(None)
            }
            Outcome::Failed(refusal) => {
                self.journal.failed(n, &refusal)?;
                Ok(Some(refusal.cause))
            }
            Outcome::Unknown(refusal) => {
                self.journal.unknown(n, &refusal)?;
                // Whatever it was: the ledger is asked on a new connection.
                Ok(Some(Cause::Lost))
            }
        }
    }

    /// Finds out what became of a transaction without an outcome; false where nobody answers.
    async fn settle(&mut self, engine: &mut Engine) -> io::Result<bool> {
        let history = self.history()?;
        let Some(open) = history.open() else { return Ok(true) };
        let answer: Result<bool, Refusal> = engine.has(self.settings.writer, open.n).await;
        let Ok(done) = answer else { return Ok(false) };
        self.journal.settled(open.n, done)?;
        Ok(true)
    }

    fn history(&self) -> io::Result<History> {
        History::read(&self.file).map_err(io::Error::other)
    }

    /// The model and the next number, from the journal alone.
    fn rebuilt(&self) -> io::Result<(Model, u64)> {
        let history = self.history()?;
        Ok((history.model(|_| false), history.next()))
    }

    fn is_done(&self, next: u64) -> bool {
        *self.stop.borrow() || self.settings.count.is_some_and(|count| next > count)
    }

    fn is_over(&self) -> io::Result<bool> {
        Ok(self.is_done(self.history()?.next()))
    }

    fn pace(&self) -> Option<tokio::time::Interval> {
        if self.settings.rate == 0 {
            return None;
        }
        let mut pace = interval(Duration::from_secs(1) / self.settings.rate);
        // What a pause has kept back is not made up for in a burst.
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Some(pace)
    }
}
