//! The oracle sees what it is there for.

use rusqlite::Connection;

use super::*;
use crate::workload::{
    choose::{Random, transaction},
    engine::{Engine, Outcome, Place, Refusal},
    journal::Journal,
    schema::{Start, schema},
};

const ROWS: u32 = 10;
const WRITER: i64 = 1;
const TRANSACTIONS: u64 = 60;

/// A file with a journal that fits it.
struct Fixture {
    directory: tempfile::TempDir,
    journal: Journal,
    model: Model,
}

impl Fixture {
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let connection = Connection::open(directory.path().join("a.db")).unwrap();
        schema(&connection, Start { writers: 1, rows: ROWS }).unwrap();
        let file = journal::path(directory.path(), WRITER);
        let mut journal = Journal::open(&file, WRITER, 1, ROWS).unwrap();
        journal.run("sqlite").unwrap();
        let mut fixture = Self { directory, journal, model: Model::start(WRITER, ROWS) };
        for n in 1..=TRANSACTIONS {
            fixture.begin_and_make(n).await;
            fixture.journal.ok(n).unwrap();
        }
        fixture
    }

    fn file(&self) -> std::path::PathBuf {
        self.directory.path().join("a.db")
    }

    async fn begin_and_make(&mut self, n: u64) {
        let ops = transaction(&mut Random::of(1, WRITER, n), &mut self.model, 3);
        self.journal.begin(n, &ops).unwrap();
        let mut engine = Engine::open(&Place::Sqlite(self.file())).await.ok().unwrap();
        let outcome = engine.transact(WRITER, n, &ops).await;
        assert!(matches!(outcome, Outcome::Done), "{outcome:?}");
    }

    fn sql(&self, sql: &str) {
        let connection = Connection::open(self.file()).unwrap();
        connection.execute_batch(sql).unwrap();
    }

    async fn violations(&self) -> String {
        check(self.directory.path(), Side::Sqlite(&self.file())).await.violations.join("\n")
    }
}

#[tokio::test]
async fn a_true_journal_is_green() {
    let mut fixture = Fixture::new().await;
    // Unknown and there.
    fixture.begin_and_make(TRANSACTIONS + 1).await;
    let verdict = check(fixture.directory.path(), Side::Sqlite(&fixture.file())).await;
    let report = verdict.expect_green();
    assert_eq!((report.ok, report.failed, report.unknown), (TRANSACTIONS, 0, 1));
    assert!(!report.longest_gap.is_zero());
    // Unknown and not there: the model stays behind.
    let ops = transaction(&mut Random::of(1, WRITER, 999), &mut fixture.model.clone(), 3);
    fixture.journal.settled(TRANSACTIONS + 1, true).unwrap();
    fixture.journal.begin(TRANSACTIONS + 2, &ops).unwrap();
    assert_eq!(fixture.violations().await, "");
}

#[tokio::test]
async fn a_lost_transaction_is_seen() {
    let fixture = Fixture::new().await;
    fixture.sql("DELETE FROM ledger WHERE n = 7");
    let said = fixture.violations().await;
    assert_eq!(said, "transaction 7 of writer 1 on sqlite is lost");
}

#[tokio::test]
async fn lost_changes_of_a_transaction_are_seen() {
    let fixture = Fixture::new().await;
    fixture.sql("UPDATE spots SET height = 0.5 WHERE rowid = (SELECT max(rowid) FROM spots)");
    let said = fixture.violations().await;
    assert!(said.contains("has other values") && said.contains("must be there"), "{said}");
}

#[tokio::test]
async fn a_duplicate_in_the_ledger_is_seen() {
    let fixture = Fixture::new().await;
    fixture.sql("INSERT INTO ledger (writer, n) VALUES (1, 7)");
    let said = fixture.violations().await;
    assert!(said.contains("transaction 7 of writer 1 on sqlite is there more than once"), "{said}");
}

#[tokio::test]
async fn an_entry_that_nobody_made_is_seen() {
    let fixture = Fixture::new().await;
    fixture.sql("INSERT INTO ledger (writer, n) VALUES (1, 1000), (2, 1)");
    let said = fixture.violations().await;
    assert!(said.contains("was never begun") && said.contains("writer 2"), "{said}");
}

#[tokio::test]
async fn an_id_that_came_again_is_seen() {
    let fixture = Fixture::new().await;
    fixture.sql("UPDATE ledger SET id = -1 WHERE n = 50");
    assert!(fixture.violations().await.contains("an id came again"));
}

#[tokio::test]
async fn an_id_that_the_engine_gave_twice_is_seen() {
    let fixture = Fixture::new().await;
    fixture.sql("UPDATE births SET event = (SELECT min(event) FROM births)");
    assert!(fixture.violations().await.contains("again"));
    let fixture = Fixture::new().await;
    fixture.sql("DELETE FROM births WHERE rowid = 1");
    assert!(fixture.violations().await.contains("births of writer 1 instead of"));
}

#[tokio::test]
async fn a_deleted_key_that_is_back_is_seen() {
    let fixture = Fixture::new().await;
    let gone = (1..).find(|id| !fixture.model.items.contains_key(id)).unwrap();
    let id = 1_000_000_000 + gone;
    fixture.sql(&format!("INSERT INTO items (id, writer, code) VALUES ({id}, 1, 'again')"));
    let said = fixture.violations().await;
    assert!(said.contains(&format!("items writer=1 id={id}")), "{said}");
    assert!(said.contains("must be absent"), "{said}");
}

#[tokio::test]
async fn one_row_too_many_of_rows_that_are_alike_is_seen() {
    let fixture = Fixture::new().await;
    fixture.sql("INSERT INTO tags SELECT * FROM tags LIMIT 1");
    assert!(fixture.violations().await.contains("tags writer=1"));
}

#[tokio::test]
async fn a_refused_transaction_that_is_there_is_seen() {
    let mut fixture = Fixture::new().await;
    let before = fixture.model.clone();
    fixture.begin_and_make(TRANSACTIONS + 1).await;
    fixture.model = before;
    let refusal = Refusal::new(Cause::Moved, "moved to PostgreSQL");
    fixture.journal.failed(TRANSACTIONS + 1, &refusal).unwrap();
    let said = fixture.violations().await;
    assert!(
        said.contains("transaction 61 of writer 1 on sqlite was refused and is there"),
        "{said}"
    );
    assert!(said.lines().count() > 1, "its changes are there too: {said}");
}

#[tokio::test]
async fn half_of_an_unknown_transaction_is_seen() {
    for (sql, words) in [
        ("DELETE FROM ledger WHERE n = 61", "its changes are there, its entry is not"),
        ("UPDATE items SET note = 'x' WHERE id = 1000000999", "its changes are not all there"),
    ] {
        let mut fixture = Fixture::new().await;
        let add = crate::workload::op::parse("item.add 999 999 4; item.add 998 998 4").unwrap();
        fixture.journal.begin(TRANSACTIONS + 1, &add).unwrap();
        let mut engine = Engine::open(&Place::Sqlite(fixture.file())).await.ok().unwrap();
        engine.transact(WRITER, TRANSACTIONS + 1, &add).await;
        let refusal = Refusal::new(Cause::Lost, "connection closed");
        fixture.journal.unknown(TRANSACTIONS + 1, &refusal).unwrap();
        assert_eq!(fixture.violations().await, "");
        fixture.sql(sql);
        let said = fixture.violations().await;
        assert!(said.contains("transaction 61 of writer 1: ") && said.contains(words), "{said}");
    }
}

#[tokio::test]
async fn an_unknown_transaction_that_changed_its_mind_is_seen() {
    for (settled, words) in [(true, "is lost"), (false, "was not there and is there now")] {
        let mut fixture = Fixture::new().await;
        fixture.begin_and_make(TRANSACTIONS + 1).await;
        fixture.journal.settled(TRANSACTIONS + 1, settled).unwrap();
        if settled {
            fixture.sql("DELETE FROM ledger WHERE n = 61");
        }
        assert!(fixture.violations().await.contains(words));
    }
}

#[tokio::test]
async fn an_engine_that_does_not_hold_what_it_acknowledged_is_seen_by_its_writer() {
    let mut fixture = Fixture::new().await;
    let drop = crate::workload::op::parse("item.drop 555").unwrap();
    fixture.journal.begin(TRANSACTIONS + 1, &drop).unwrap();
    let mut engine = Engine::open(&Place::Sqlite(fixture.file())).await.ok().unwrap();
    let Outcome::Failed(refusal) = engine.transact(WRITER, TRANSACTIONS + 1, &drop).await else {
        panic!("a row that is not there was deleted");
    };
    fixture.journal.failed(TRANSACTIONS + 1, &refusal).unwrap();
    assert!(fixture.violations().await.contains("0 rows instead of 1"));
}

/// What a writer did after it had followed the switch is not the old engine's matter.
#[tokio::test]
async fn at_a_switch_the_engine_answers_for_what_it_acknowledged() {
    let mut fixture = Fixture::new().await;
    fixture.journal.run("postgres").unwrap();
    let ops = crate::workload::op::parse("item.add 999 999 4").unwrap();
    fixture.journal.begin(TRANSACTIONS + 1, &ops).unwrap();
    fixture.journal.ok(TRANSACTIONS + 1).unwrap();
    let (directory, file) = (fixture.directory.path(), fixture.file());
    check_at_switch(directory, Side::Sqlite(&file), 1).await.expect_green();
    assert!(fixture.violations().await.contains("transaction 61 of writer 1 on postgres is lost"));
    fixture.sql("DELETE FROM ledger WHERE n = 60");
    let verdict = check_at_switch(directory, Side::Sqlite(&file), 1).await;
    assert_eq!(verdict.violations, ["transaction 60 of writer 1 on sqlite is lost"]);
}
