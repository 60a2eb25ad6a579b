//! Validation while applications write to the source: equal pairs match, and what differs is
//! named, whatever changes meanwhile.

use std::{
    pin::Pin,
    sync::{
        atomic::Ordering,
        mpsc::{self, RecvTimeoutError, Sender},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use rusqlite::Connection;
use switchback_proto::v1::{DifferenceKind, Plan, TableComparison, ValidateLevel, ValidateReport};
use switchback_server::{
    capture::log,
    copy::{self, CopyJob, RejectPolicy},
    error::{Reason, Result},
    validate::{self, Follow, TargetReader, ValidateJob},
};
use tokio_util::sync::CancellationToken;

use crate::{
    live_drain::TestDrain,
    support::{Pair, plain_plan},
};

/// Between two transactions of the writer.
const BREATH: Duration = Duration::from_millis(4);

/// The rows of a large table that writers touch; the others stand still.
const TOUCHED: u64 = 70_000;

fn large() -> String {
    "PRAGMA journal_mode = WAL;
     CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT, n INTEGER);
     WITH RECURSIVE n (i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 120000)
         INSERT INTO t SELECT i, 'text ' || i, i * 7 FROM n;"
        .to_owned()
}

/// A table for each way in which the log names rows.
const KINDS: &str = "PRAGMA journal_mode = WAL;
    CREATE TABLE word (lang TEXT NOT NULL COLLATE NOCASE, code INTEGER NOT NULL, v TEXT,
        PRIMARY KEY (lang, code));
    INSERT INTO word VALUES ('de', 1, 'a'), ('fr', 1, 'b'), ('it', 1, 'c'), ('es', 1, 'd');
    CREATE TABLE line (v TEXT);
    INSERT INTO line VALUES ('a'), ('a'), ('b'), (NULL), ('fixed');
    CREATE TABLE hidden (rowid TEXT, oid TEXT, _rowid_ TEXT);
    INSERT INTO hidden VALUES ('1', '2', '3'), ('1', '2', '3');
    CREATE TABLE stock (id INTEGER PRIMARY KEY, qty INTEGER);
    INSERT INTO stock VALUES (1, 5), (2, 'many'), (3, 7), (4, 'few');
    CREATE TABLE \"odd \"\"one\" (k TEXT PRIMARY KEY, \"v w\" REAL);
    INSERT INTO \"odd \"\"one\" VALUES ('a', 0.5), (NULL, 1.5), (NULL, 1.5), ('é', 2.5);";

const KINDS_WRITES: &[&str] = &[
    "UPDATE word SET v = v || 'x', lang = iif(lang = 'DE' COLLATE BINARY, 'de', 'DE') \
     WHERE lang = 'de'; UPDATE word SET v = 'y' WHERE lang = 'fr';",
    "REPLACE INTO word VALUES ('FR', 1, 'replaced'); INSERT INTO line VALUES ('new');",
    "DELETE FROM line WHERE v = 'new'; UPDATE stock SET qty = iif(id = 1, 'none', 4) WHERE id < 3;",
    "UPDATE stock SET qty = iif(id = 1, 9, 'lots') WHERE id < 3; REPLACE INTO word VALUES ('fr', 1, '');",
    "UPDATE \"odd \"\"one\" SET \"v w\" = \"v w\" + 1 WHERE k = 'a' OR rowid = 2;",
];

/// Writes to the source until it is dropped.
struct Writer {
    stop: Sender<()>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    fn start(pair: &Pair, mut write: impl FnMut(&Connection, u64) + Send + 'static) -> Self {
        let connection = Connection::open(&pair.path).unwrap();
        connection.busy_timeout(Duration::from_secs(10)).unwrap();
        connection.pragma_update(None, "synchronous", "OFF").unwrap();
        let (stop, stopped) = mpsc::channel();
        let thread = thread::spawn(move || {
            for round in 0.. {
                connection.execute_batch("BEGIN IMMEDIATE").unwrap();
                write(&connection, round);
                connection.execute_batch("COMMIT").unwrap();
                if stopped.recv_timeout(BREATH) != Err(RecvTimeoutError::Timeout) {
                    return;
                }
            }
        });
        Self { stop, thread: Some(thread) }
    }

    /// A hot row, and updates, inserts and deletes all over the part that is touched.
    fn hammer(pair: &Pair) -> Self {
        let mut next = 1_000_000_u64;
        Self::start(pair, move |connection, round| {
            connection.execute("UPDATE t SET n = n + 1 WHERE id = 1", []).unwrap();
            for step in 0..5 {
                let id = (round * 5 + step).wrapping_mul(2_654_435_761) % TOUCHED + 2;
                let id = i64::try_from(id).unwrap();
                let sql = "UPDATE t SET v = v || 'x', n = ?2 WHERE id = ?1";
                connection.execute(sql, (id, i64::try_from(round).unwrap())).unwrap();
            }
            next += 1;
            let (new, old) = (i64::try_from(next).unwrap(), i64::try_from(next - 50).unwrap());
            connection.execute("INSERT INTO t VALUES (?1, 'new', 0)", [new]).unwrap();
            connection.execute("DELETE FROM t WHERE id = ?1", [old]).unwrap();
        })
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.stop.send(()).ok();
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(matches!(ended, Some(Ok(()))) || thread::panicking(), "the writer failed");
    }
}

/// A copied pair with capture in the source.
async fn captured(sql: &str) -> (Pair, Plan) {
    let pair = Pair::new(sql).await;
    let plan = plain_plan(&pair.schema());
    pair.make_tables(&plan).await;
    let connection = Connection::open(&pair.path).unwrap();
    connection.execute_batch("BEGIN IMMEDIATE").unwrap();
    log::install(&connection, &pair.schema(), "token").unwrap();
    connection.execute_batch("COMMIT").unwrap();
    (pair, plan)
}

async fn copied(sql: &str) -> (Pair, Plan) {
    let (pair, plan) = captured(sql).await;
    let job = CopyJob {
        source: &pair.source,
        schema: &pair.schema(),
        target: &pair.target,
        plan: &plan,
        rejects: RejectPolicy { allowed: true },
        tables_at_once: copy::TABLES_AT_ONCE,
    };
    copy::run(&job, &|_| (), &CancellationToken::new()).await.unwrap();
    (pair, plan)
}

/// One table of each kind; what is in them comes through the log.
async fn kinds() -> (Pair, Plan) {
    let (pair, mut plan) = captured(KINDS).await;
    // Two rows have no key there.
    plan.tables[4].primary_key.clear();
    pair.sql(
        "ALTER TABLE public.\"odd \"\"one\" DROP CONSTRAINT \"odd \"\"one_pkey\", \
              ALTER k DROP NOT NULL",
    )
    .await;
    for table in ["line", "\"odd \"\"one\""] {
        let sql = format!("ALTER TABLE public.{table} ADD COLUMN _switchback_rowid bigint");
        pair.sql(&sql).await;
    }
    pair.sqlite(
        "UPDATE word SET v = v; UPDATE line SET v = v; UPDATE hidden SET oid = oid; \
         UPDATE stock SET qty = qty; UPDATE \"odd \"\"one\" SET k = k;",
    );
    (pair, plan)
}

async fn validate(drain: &TestDrain<'_>, level: ValidateLevel) -> ValidateReport {
    validate_with(drain, drain, level).await.unwrap()
}

async fn validate_with(
    drain: &TestDrain<'_>,
    follow: &dyn Follow,
    level: ValidateLevel,
) -> Result<ValidateReport> {
    let job = ValidateJob {
        source: &drain.pair.source,
        schema: &drain.pair.schema(),
        target: TargetReader { postgres: &drain.pair.postgres, held: None },
        plan: drain.plan,
        level,
        tables: &[],
        max_differences: 100,
        sequences: true,
        live: Some(follow),
        kept_aside: &[],
    };
    validate::run(&job, &|_| (), &CancellationToken::new()).await
}

fn named(table: &TableComparison) -> Vec<(DifferenceKind, &str, String)> {
    let rows = table.differences.iter();
    rows.map(|row| (row.kind(), row.key.as_str(), row.columns.join(","))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_equal_pair_matches_while_it_is_written_to() {
    let (pair, plan) = copied(&large()).await;
    let drain = TestDrain::new(&pair, &plan);
    let writer = Writer::hammer(&pair);
    let report = validate(&drain, ValidateLevel::Exact).await;
    let table = &report.tables[0];
    assert!(report.matches && table.matches && !table.at_least, "{report:#?}");
    assert!(table.unsettled <= 20, "only what is written to all the time: {table:#?}");
    assert!(drain.drains.load(Ordering::Relaxed) <= 30, "the passes stay few");
    let report = validate(&drain, ValidateLevel::Counts).await;
    assert!(report.matches, "{report:#?}");
    drop(writer);
    let report = validate(&drain, ValidateLevel::Exact).await;
    let table = &report.tables[0];
    assert!(report.matches && table.unsettled == 0, "{report:#?}");
    assert_eq!(table.source_rows, table.target_rows);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_differs_is_named_though_writes_go_on() {
    let (pair, plan) = copied(&large()).await;
    pair.sql(
        "UPDATE public.t SET v = 'damaged' WHERE id = 77777; \
         DELETE FROM public.t WHERE id = 88888; \
         INSERT INTO public.t VALUES (-5, 'extra', 0);",
    )
    .await;
    let drain = TestDrain::new(&pair, &plan);
    let writer = Writer::hammer(&pair);
    // A write that the log lost, among others that it has.
    let lost = "UPDATE t SET n = -1 WHERE id = 99999; UPDATE t SET n = n WHERE id = 1; \
                DELETE FROM _switchback_log WHERE tab = 1 AND k1 = 99999;";
    let connection = Connection::open(&pair.path).unwrap();
    connection.busy_timeout(Duration::from_secs(10)).unwrap();
    connection.execute_batch(&format!("BEGIN IMMEDIATE; {lost} COMMIT")).unwrap();
    let report = validate(&drain, ValidateLevel::Exact).await;
    drop(writer);
    let table = &report.tables[0];
    assert!(!report.matches && !table.matches && !table.at_least, "{report:#?}");
    let mut found = named(table);
    found.sort_by_key(|(_, key, _)| *key);
    let none = String::new;
    assert_eq!(
        found,
        [
            (DifferenceKind::Extra, "id=-5", none()),
            (DifferenceKind::Different, "id=77777", "v".to_owned()),
            (DifferenceKind::Missing, "id=88888", none()),
            (DifferenceKind::Different, "id=99999", "n".to_owned()),
        ]
    );
    assert_eq!((table.missing, table.extra, table.different), (1, 1, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_key_is_followed() {
    let (pair, plan) = kinds().await;
    let drain = TestDrain::new(&pair, &plan);
    let write = |connection: &Connection, round: u64| {
        let number = usize::try_from(round).unwrap() % KINDS_WRITES.len();
        connection.execute_batch(KINDS_WRITES[number]).unwrap();
    };
    let writer = Writer::start(&pair, write);
    let report = validate(&drain, ValidateLevel::Exact).await;
    assert!(report.tables.iter().all(|table| table.matches), "{report:#?}");
    assert!(report.schema.is_empty(), "{report:#?}");
    pair.sql(
        "UPDATE public.word SET v = 'damaged' WHERE lang = 'it'; \
         UPDATE public.line SET v = 'damaged' WHERE v = 'fixed'; \
         DELETE FROM switchback.rejects WHERE row_key = 'id=4'; \
         UPDATE public.\"odd \"\"one\" SET \"v w\" = 0 WHERE k = 'é'",
    )
    .await;
    let report = validate(&drain, ValidateLevel::Exact).await;
    drop(writer);
    let found: Vec<_> = report.tables.iter().map(named).collect();
    let different = |key, column: &str| vec![(DifferenceKind::Different, key, column.to_owned())];
    assert_eq!(found[0], different("lang=it, code=1", "v"));
    assert_eq!(found[1], different("rowid=5", "v"));
    assert_eq!(found[2], []);
    assert_eq!(found[3], [(DifferenceKind::Missing, "id=4", String::new())]);
    assert_eq!(found[4], different("rowid=4", "v w"));
    let report = validate(&drain, ValidateLevel::Counts).await;
    assert!(report.tables[0].matches && !report.tables[3].matches, "{report:#?}");
}

/// A drain after which something happens.
struct Odd<'a, 'd> {
    drain: &'a TestDrain<'d>,
    /// Written to the source and to the target, by the number of the drain.
    after: fn(u64) -> [&'static str; 2],
    /// How much more than what it applied it says it did.
    ahead: i64,
}

impl Follow for Odd<'_, '_> {
    fn drain(&self) -> Pin<Box<dyn Future<Output = Result<i64>> + Send + '_>> {
        Box::pin(async {
            let applied = self.drain.drain().await?;
            let [source, target] = (self.after)(self.drain.drains.load(Ordering::Relaxed));
            self.drain.pair.sqlite(source);
            self.drain.pair.sql(target).await;
            Ok(applied + self.ahead)
        })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_never_rest_are_counted_and_hide_nothing_else() {
    let (pair, plan) = kinds().await;
    let drain = TestDrain::new(&pair, &plan);
    drain.drain().await.unwrap();
    pair.sql(
        "UPDATE public.word SET v = 'damaged' WHERE lang IN ('it', 'de'); \
         DELETE FROM switchback.rejects WHERE row_key = 'id=4'",
    )
    .await;
    let after = |_| {
        [
            "UPDATE word SET v = v || 'x' WHERE lang = 'de'; \
                  UPDATE line SET v = v || 'x' WHERE v GLOB 'b*'; \
                  UPDATE hidden SET oid = oid || 'x'; \
                  UPDATE stock SET qty = qty || 'x' WHERE id = 2;",
            "",
        ]
    };
    let follow = Odd { drain: &drain, after, ahead: 0 };
    let report = validate_with(&drain, &follow, ValidateLevel::Exact).await.unwrap();
    let unsettled: Vec<u64> = report.tables.iter().map(|table| table.unsettled).collect();
    assert_eq!(unsettled[..2], [1, 1], "{report:#?}");
    assert!(unsettled[2] > 0, "of what has no key, any row may be the one: {report:#?}");
    assert_eq!(unsettled[3..], [1, 0], "{report:#?}");
    let found: Vec<_> = report.tables.iter().map(named).collect();
    assert_eq!(found[0], [(DifferenceKind::Different, "lang=it, code=1", "v".to_owned())]);
    assert_eq!(found[3], [(DifferenceKind::Missing, "id=4", String::new())]);
    assert!(found[1].is_empty() && found[2].is_empty() && found[4].is_empty(), "{report:#?}");
    let matches: Vec<bool> = report.tables.iter().map(|table| table.matches).collect();
    assert_eq!(matches, [false, true, true, false, true]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_without_names_is_compared_in_a_quiet_moment() {
    let (pair, plan) = kinds().await;
    let drain = TestDrain::new(&pair, &plan);
    drain.drain().await.unwrap();
    pair.sql("UPDATE public.hidden SET oid = '9'").await;
    // What is written elsewhere is no change of it.
    let after = |_| ["UPDATE word SET v = v || 'x' WHERE lang = 'de';", ""];
    let follow = Odd { drain: &drain, after, ahead: 0 };
    let report = validate_with(&drain, &follow, ValidateLevel::Exact).await.unwrap();
    let hidden = &report.tables[2];
    assert_eq!((hidden.missing, hidden.extra, hidden.unsettled), (2, 2, 0), "{hidden:#?}");
    assert!(!hidden.matches);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_a_drain_applied_wrongly_is_a_difference() {
    let (pair, plan) = kinds().await;
    let drain = TestDrain::new(&pair, &plan);
    drain.drain().await.unwrap();
    // It changes during the first pass over its table, and is applied by the next drain.
    let after = |drains| match drains {
        2 => ["UPDATE word SET v = 'new' WHERE lang = 'fr'", ""],
        _ => ["", "UPDATE public.word SET v = 'wrong' WHERE v = 'new'"],
    };
    let follow = Odd { drain: &drain, after, ahead: 0 };
    let report = validate_with(&drain, &follow, ValidateLevel::Exact).await.unwrap();
    let found = named(&report.tables[0]);
    assert_eq!(found, [(DifferenceKind::Different, "lang=fr, code=1", "v".to_owned())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_went_back_proves_nothing() {
    let (pair, plan) = kinds().await;
    let drain = TestDrain::new(&pair, &plan);
    drain.drain().await.unwrap();
    pair.sql("DELETE FROM public.word").await;
    let follow = Odd { drain: &drain, after: |_| ["", ""], ahead: 5 };
    let error = validate_with(&drain, &follow, ValidateLevel::Exact).await.unwrap_err();
    assert_eq!(error.reason(), Reason::SourceChanged);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_come_in_between_two_passes_are_sifted_again() {
    let (pair, plan) =
        captured("CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT, n INTEGER);").await;
    let drain = TestDrain::new(&pair, &plan);
    // Far more rows than can be held come in after the first drain.
    let after = |_| {
        [
            "WITH RECURSIVE n (i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 35000) \
                  INSERT INTO t SELECT i, 'text ' || i, 0 FROM n WHERE true \
                  ON CONFLICT (id) DO UPDATE SET n = n + 1 WHERE n = 0;",
            "",
        ]
    };
    let follow = Odd { drain: &drain, after, ahead: 0 };
    let report = validate_with(&drain, &follow, ValidateLevel::Exact).await.unwrap();
    let table = &report.tables[0];
    assert!(table.matches && table.unsettled == 0, "{report:#?}");
    assert_eq!((table.source_rows, table.target_rows), (35_000, 35_000));
}
