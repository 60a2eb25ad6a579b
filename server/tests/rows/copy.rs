//! The copy against a real PostgreSQL: completeness, resuming, rejects, cleaning up.

use std::sync::Mutex;

use crate::support::{Pair, plain_plan};
use switchback_proto::v1::{Plan, ValidateLevel, ValidateReport};
use switchback_server::{
    copy::{self, CopyJob, CopySummary, RejectPolicy},
    db::target::{Control, Made, Step},
    error::{Reason, Result},
    validate::{self, TargetReader, ValidateJob},
};
use tokio_util::sync::CancellationToken;

const SAMPLE: &str = "
    CREATE TABLE person (id INTEGER PRIMARY KEY, name TEXT NOT NULL, height REAL, photo BLOB);
    INSERT INTO person VALUES (-5, '', 0.0, x''), (1, 'Ann', 1.5, x'00ff'),
        (9223372036854775807, 'é😀', 9e999, NULL), (-9223372036854775808, 'least', 5e-324, NULL);
    CREATE TABLE word (lang TEXT COLLATE NOCASE, code TEXT, meaning TEXT,
        PRIMARY KEY (lang, code)) WITHOUT ROWID;
    INSERT INTO word VALUES ('DE', 'b', 'x'), ('de', 'a', 'y'), ('fr', 'z', NULL);
    CREATE TABLE newest (at INTEGER, n INTEGER, PRIMARY KEY (at DESC, n)) WITHOUT ROWID;
    INSERT INTO newest VALUES (1, 1), (2, 1), (2, 2);
    CREATE TABLE log (line TEXT, n INTEGER);
    INSERT INTO log VALUES ('a', 1), ('a', 1), (NULL, NULL), (NULL, NULL), ('b', 2);
    CREATE TABLE hidden (rowid TEXT, oid TEXT, _rowid_ TEXT);
    INSERT INTO hidden VALUES ('1', '2', '3'), ('1', '2', '3');
    CREATE TABLE mixed (id INTEGER PRIMARY KEY, v ANY);
    INSERT INTO mixed VALUES (1, 1), (2, 1.0), (3, 'x'), (4, x'00'), (5, NULL);
    CREATE TABLE empty (id INTEGER PRIMARY KEY);
    CREATE TABLE \"a \"\"b\"\"\" (\"c d\" INTEGER, twice INTEGER AS (\"c d\" * 2) STORED);
    INSERT INTO \"a \"\"b\"\"\" VALUES (21);
";

async fn copy_all(pair: &Pair, plan: &Plan, allowed: bool) -> Result<CopySummary> {
    copy_with(pair, plan, allowed, &|_| (), &CancellationToken::new()).await
}

async fn copy_with(
    pair: &Pair,
    plan: &Plan,
    allowed: bool,
    progress: copy::OnProgress<'_>,
    cancel: &CancellationToken,
) -> Result<CopySummary> {
    let job = CopyJob {
        source: &pair.source,
        schema: &pair.schema(),
        target: &pair.target,
        plan,
        rejects: RejectPolicy { allowed },
        tables_at_once: copy::TABLES_AT_ONCE,
    };
    copy::run(&job, progress, cancel).await
}

async fn validate(pair: &Pair, plan: &Plan) -> ValidateReport {
    let job = ValidateJob {
        source: &pair.source,
        schema: &pair.schema(),
        target: TargetReader { postgres: &pair.postgres, held: None },
        plan,
        level: ValidateLevel::Exact,
        tables: &[],
        max_differences: 100,
        sequences: true,
        live: None,
        kept_aside: &[],
    };
    validate::run(&job, &|_| (), &CancellationToken::new()).await.unwrap()
}

/// Three tables of several chunks each, one for each way to go on.
fn large() -> String {
    let rows = "WITH RECURSIVE n (i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 30000)";
    format!(
        "CREATE TABLE by_rowid (id INTEGER PRIMARY KEY, t TEXT);
         {rows} INSERT INTO by_rowid SELECT i * 3, printf('%0400d', i) FROM n;
         CREATE TABLE by_key (a TEXT, b INTEGER, t TEXT, PRIMARY KEY (a, b)) WITHOUT ROWID;
         {rows} INSERT INTO by_key SELECT 'k' || (i % 7), i, printf('%0400d', i) FROM n;
         CREATE TABLE whole (rowid TEXT, oid INTEGER, _rowid_ TEXT);
         {rows} INSERT INTO whole SELECT printf('%0400d', i), i, NULL FROM n;"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn every_value_arrives_and_the_source_is_untouched() {
    for sql in [SAMPLE.to_owned(), format!("PRAGMA encoding = 'UTF-16le'; {SAMPLE}")] {
        let pair = Pair::new(&sql).await;
        let plan = plain_plan(&pair.schema());
        pair.make_tables(&plan).await;
        let before = std::fs::read(&pair.path).unwrap();
        let summary = copy_all(&pair, &plan, false).await.unwrap();
        assert_eq!(std::fs::read(&pair.path).unwrap(), before);
        let rows: Vec<u64> = summary.tables.iter().map(|table| table.rows).collect();
        assert_eq!(rows, [4, 3, 3, 5, 2, 5, 0, 1]);
        let odd = "SELECT count(*) FROM public.person WHERE (id = -5 AND height::text = '0' \
                     AND name = '' AND photo = '') OR (id = 1 AND photo = '\\x00ff') \
                     OR (height = 'infinity' AND name = 'é😀') OR (height = '5e-324'::float8 AND id < -5)";
        assert_eq!(pair.number(odd).await, 4);
        let tagged = "SELECT count(*) FROM public.mixed \
                      WHERE v IN ('i:1', 'r:1.0', 't:x', 'b:00') OR v IS NULL";
        assert_eq!(pair.number(tagged).await, 5);
        assert_eq!(pair.number("SELECT twice FROM public.\"a \"\"b\"\"\"").await, 42);
        // A sequence above every value is for a later phase; all else is as planned.
        let report = validate(&pair, &plan).await;
        assert!(report.tables.iter().all(|table| table.matches), "{report:#?}");
        assert_eq!(report.rows, 23);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_copy_goes_on_from_its_last_chunk() {
    let pair = Pair::new(&large()).await;
    let plan = plain_plan(&pair.schema());
    pair.make_tables(&plan).await;
    let mut interrupted = 0;
    loop {
        let cancel = CancellationToken::new();
        let stop = |_: copy::CopyProgress<'_>| cancel.cancel();
        match copy_with(&pair, &plan, false, &stop, &cancel).await {
            Ok(_) => break,
            Err(error) => assert_eq!(error.reason(), Reason::Cancelled),
        }
        interrupted += 1;
        // What is recorded is what is there, whenever the copy was stopped.
        let positions = pair.target.copy_positions("default").await.unwrap();
        for table in ["by_rowid", "by_key", "whole"] {
            let there = pair.number(&format!("SELECT count(*) FROM public.{table}")).await;
            let recorded = positions.get(table).map_or(0, |at| at.rows);
            assert_eq!(u64::try_from(there).unwrap(), recorded, "{table}");
        }
        // A table that can only be read as a whole begins again, and would do so for ever.
        if interrupted == 8 {
            break;
        }
    }
    assert!(interrupted > 1, "the tables have several chunks");
    let starts = Mutex::new(Vec::new());
    let progress = |at: copy::CopyProgress<'_>| starts.lock().unwrap().push(at.rows);
    let cancel = CancellationToken::new();
    let summary = copy_with(&pair, &plan, false, &progress, &cancel).await.unwrap();
    assert!(summary.tables.iter().all(|table| table.rows == 30_000), "{summary:?}");
    let report = validate(&pair, &plan).await;
    assert!(report.tables.iter().all(|table| table.matches), "{report:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collation_of_the_application_does_not_keep_its_rows() {
    let pair = Pair::new("").await;
    let connection = rusqlite::Connection::open(&pair.path).unwrap();
    connection.create_collation("backwards", |left, right| right.cmp(left)).unwrap();
    connection
        .execute_batch(
            "CREATE TABLE tag (t TEXT COLLATE backwards PRIMARY KEY) WITHOUT ROWID;
             INSERT INTO tag VALUES ('a'), ('c'), ('b');
             CREATE TABLE plain (id INTEGER PRIMARY KEY, t TEXT UNIQUE COLLATE backwards);
             INSERT INTO plain VALUES (1, 'x'), (2, 'y');",
        )
        .unwrap();
    drop(connection);
    let plan = plain_plan(&pair.schema());
    pair.make_tables(&plan).await;
    let summary = copy_all(&pair, &plan, false).await.unwrap();
    assert_eq!((summary.tables[0].rows, summary.tables[1].rows), (3, 2));
    let report = validate(&pair, &plan).await;
    assert!(report.tables.iter().all(|table| table.matches), "{report:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_connection_can_be_tried_again() {
    let pair = Pair::new(&large()).await;
    let plan = plain_plan(&pair.schema());
    pair.make_tables(&plan).await;
    let begun = tokio::sync::Notify::new();
    let progress = |_: copy::CopyProgress<'_>| begun.notify_one();
    let lose = async {
        begun.notified().await;
        pair.sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
             WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
        .await;
    };
    let cancel = CancellationToken::new();
    let (first, ()) = tokio::join!(copy_with(&pair, &plan, false, &progress, &cancel), lose);
    let error = first.expect_err("two connections were cut in the middle");
    assert!(error.is_retryable(), "{error:?}");
    let summary = copy_all(&pair, &plan, false).await.unwrap();
    assert!(summary.tables.iter().all(|table| table.rows == 30_000), "{summary:?}");
    let report = validate(&pair, &plan).await;
    assert!(report.tables.iter().all(|table| table.matches), "{report:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_do_not_fit_are_refused_or_kept() {
    let sql = "CREATE TABLE stock (id INTEGER PRIMARY KEY, qty INTEGER, note TEXT);
               INSERT INTO stock VALUES (1, 5, 'fine'), (2, 'secret', 'x'),
                   (3, 7, CAST(x'6100' AS TEXT)), (4, NULL, CAST(x'ff' AS TEXT)), (5, 1, 'ok');";
    let pair = Pair::new(sql).await;
    let plan = plain_plan(&pair.schema());
    pair.make_tables(&plan).await;
    let error = copy_all(&pair, &plan, false).await.unwrap_err();
    assert_eq!(error.reason(), Reason::ValueRefused);
    let shown = error.to_string();
    for part in ["stock", "qty", "id=2"] {
        assert!(shown.contains(part), "{shown}");
    }
    assert!(!shown.contains("secret"));
    assert_eq!(pair.number("SELECT count(*) FROM public.stock").await, 0);

    let summary = copy_all(&pair, &plan, true).await.unwrap();
    assert_eq!((summary.tables[0].rows, summary.tables[0].rejected), (2, 3));
    let kept = "SELECT count(*) FROM switchback.rejects WHERE tab = 'stock' AND \
        (row_key, column_name, reason, row_data::text) IN ( \
        ('id=2', 'qty', 'mixed_types', '{\"id\":\"i:2\",\"note\":\"t:x\",\"qty\":\"t:secret\"}'), \
        ('id=3', 'note', 'nul_in_text', '{\"id\":\"i:3\",\"note\":\"x:6100\",\"qty\":\"i:7\"}'), \
        ('id=4', 'note', 'invalid_utf8', '{\"id\":\"i:4\",\"note\":\"x:ff\",\"qty\":null}'))";
    assert_eq!(pair.number(kept).await, 3);
    let report = validate(&pair, &plan).await;
    let table = &report.tables[0];
    assert!(table.matches, "{table:#?}");
    assert_eq!((table.source_rows, table.target_rows, table.rejected), (5, 2, 3));

    pair.sql("DELETE FROM switchback.rejects WHERE row_key = 'id=3'").await;
    pair.sql("UPDATE switchback.rejects SET row_data = '{}' WHERE row_key = 'id=4'").await;
    let report = validate(&pair, &plan).await;
    let table = &report.tables[0];
    assert_eq!((table.missing, table.extra, table.different), (1, 0, 1), "{table:#?}");
    let mut keys: Vec<&str> = table.differences.iter().map(|row| row.key.as_str()).collect();
    keys.sort_unstable();
    assert_eq!(keys, ["id=3", "id=4"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_the_schema_stops_the_copy() {
    let pair = Pair::new(&large()).await;
    let plan = plain_plan(&pair.schema());
    pair.make_tables(&plan).await;
    let alter = |at: copy::CopyProgress<'_>| {
        if at.table == "by_rowid" && !at.done {
            pair.sqlite("CREATE TABLE IF NOT EXISTS late (a)");
        }
    };
    let cancel = CancellationToken::new();
    let error = copy_with(&pair, &plan, false, &alter, &cancel).await.unwrap_err();
    assert_eq!(error.reason(), Reason::SourceChanged);
    // And the plan is for another schema now.
    let error = copy_all(&pair, &plan, false).await.unwrap_err();
    assert_eq!(error.reason(), Reason::SourceChanged);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_postgresql_refuses_names_the_table_and_no_value() {
    let pair = Pair::new("CREATE TABLE t (a TEXT); INSERT INTO t VALUES ('topsecret');").await;
    let plan = plain_plan(&pair.schema());
    pair.make_tables(&plan).await;
    pair.sql("ALTER TABLE public.t ADD CHECK (length(a) < 3)").await;
    let error = copy_all(&pair, &plan, true).await.unwrap_err();
    assert_eq!(error.reason(), Reason::ValueRefused);
    assert!(error.to_string().contains("table t"), "{error}");
    assert!(!format!("{error:?}").contains("topsecret"), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn cleaning_up_leaves_nothing_and_takes_nothing_else() {
    let pair = Pair::new(SAMPLE).await;
    let plan = plain_plan(&pair.schema());
    let before = pair.target.inspect("default", "").await.unwrap();
    assert_eq!((before.schema.as_str(), before.relation_count), ("public", 0));
    before.check().unwrap();
    assert!(!before.installed);
    pair.make_tables(&plan).await;
    copy_all(&pair, &plan, false).await.unwrap();
    let control = Control {
        database: "default".into(),
        migration: "m".into(),
        format: 1,
        phase: "copying".into(),
        decision: "none".into(),
        active: "sqlite".into(),
        epoch: 0,
        attempt: 1,
        plan: "{}".into(),
        source_schema: String::new(),
        request: String::new(),
        holder: String::new(),
        holder_name: String::new(),
        abandoned: false,
        created_at: std::time::SystemTime::UNIX_EPOCH,
    };
    assert!(pair.target.write_control(&control).await.unwrap());
    let other = Control { migration: "other".into(), ..control.clone() };
    assert!(!pair.target.write_control(&other).await.unwrap(), "the first one holds it");
    assert_eq!(pair.target.clean_up("default", "other").await.unwrap(), 0, "not its own");
    let read = pair.target.read_control("default").await.unwrap().unwrap();
    assert_eq!((read.phase.as_str(), read.attempt), ("copying", 1));
    pair.target.install().await.unwrap();

    let key = Made::ForeignKey { schema: "public", table: "log", name: "log_n" };
    let sql = "ALTER TABLE public.log ADD CONSTRAINT log_n FOREIGN KEY (n) \
               REFERENCES public.person NOT VALID";
    pair.make("default", Step { id: "fk:log_n", made: key }, sql).await;
    pair.sql("CREATE TABLE public.mine (a int); CREATE VIEW public.v AS TABLE public.log;").await;
    let facts = pair.target.inspect("default", "").await.unwrap();
    assert_eq!(facts.relations, ["mine", "v"], "ours are not in the way");
    assert_eq!(facts.controls.len(), 1);
    assert_eq!(pair.target.inspect("other", "").await.unwrap().relation_count, 10);

    let error = pair.target.clean_up("default", "m").await.unwrap_err();
    assert_eq!(error.reason(), Reason::TargetInUse, "{error}");
    pair.sql("DROP VIEW public.v").await;
    assert_eq!(pair.target.clean_up("default", "m").await.unwrap(), 9);
    let after = pair.target.inspect("default", "").await.unwrap();
    assert_eq!((after.relations, after.installed), (vec!["mine".to_owned()], false));
    assert_eq!(
        pair.number("SELECT count(*) FROM pg_namespace WHERE nspname = 'switchback'").await,
        0
    );
    assert_eq!(pair.target.clean_up("default", "m").await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_database_is_cleaned_up_beside_another() {
    let pair = Pair::new("").await;
    pair.target.install().await.unwrap();
    for name in ["a", "b"] {
        let made = Made::Schema(name);
        let sql = format!("CREATE SCHEMA {name}");
        pair.make(name, Step { id: "schema", made }, &sql).await;
    }
    assert_eq!(pair.target.clean_up("a", "m").await.unwrap(), 1);
    assert!(pair.target.steps_done("b").await.unwrap().contains("schema"));
    pair.sql("CREATE TABLE b.someone (a int)").await;
    assert_eq!(pair.target.clean_up("b", "m").await.unwrap(), 0, "someone lives in b by now");
    assert_eq!(pair.number("SELECT count(*) FROM b.someone").await, 0);
}
