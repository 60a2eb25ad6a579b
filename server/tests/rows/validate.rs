//! Validation against a real PostgreSQL: each damage is named, and nothing else is.

use crate::support::{Pair, plain_plan};
use switchback_proto::v1::{
    CheckPlan, DifferenceKind, ForeignKeyPlan, IndexPlan, Plan, TableComparison, ValidateLevel,
    ValidateReport, ViewPlan,
};
use switchback_server::{
    copy::{self, CopyJob, RejectPolicy},
    error::Reason,
    validate::{self, TargetReader, ValidateJob},
};
use tokio_util::sync::CancellationToken;

const SAMPLE: &str = "
    CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, b REAL, c BLOB);
    WITH RECURSIVE n (i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 5000)
        INSERT INTO t SELECT i, 'text ' || i, i / 7.0, zeroblob(i % 5) FROM n;
    CREATE TABLE pair (lang TEXT COLLATE NOCASE, code INTEGER, v TEXT,
        PRIMARY KEY (lang, code)) WITHOUT ROWID;
    INSERT INTO pair VALUES ('DE', 1, 'x'), ('de', 2, 'y'), ('fr', 1, NULL);
    CREATE TABLE log (line TEXT, n INTEGER);
    INSERT INTO log VALUES ('a', 1), ('a', 1), ('a', 1), (NULL, NULL), ('b', 2);
";

async fn migrated(sql: &str) -> (Pair, Plan) {
    let pair = Pair::new(sql).await;
    let plan = plain_plan(&pair.schema());
    pair.make_tables(&plan).await;
    let job = CopyJob {
        source: &pair.source,
        schema: &pair.schema(),
        target: &pair.target,
        plan: &plan,
        rejects: RejectPolicy { allowed: false },
        tables_at_once: copy::TABLES_AT_ONCE,
    };
    copy::run(&job, &|_| (), &CancellationToken::new()).await.unwrap();
    for table in &plan.tables {
        for column in table.columns.iter().filter(|column| column.identity) {
            pair.sql(&format!(
                "SELECT setval(pg_get_serial_sequence('public.{0}', '{1}'), \
                   coalesce(max({1}), 1)) FROM public.{0}",
                table.target, column.target
            ))
            .await;
        }
    }
    (pair, plan)
}

async fn validate_at(
    pair: &Pair,
    plan: &Plan,
    level: ValidateLevel,
    limit: usize,
) -> ValidateReport {
    let job = ValidateJob {
        source: &pair.source,
        schema: &pair.schema(),
        target: TargetReader { postgres: &pair.postgres, held: None },
        plan,
        level,
        tables: &[],
        max_differences: limit,
        sequences: true,
        live: None,
        kept_aside: &[],
    };
    validate::run(&job, &|_| (), &CancellationToken::new()).await.unwrap()
}

async fn validate(pair: &Pair, plan: &Plan) -> ValidateReport {
    validate_at(pair, plan, ValidateLevel::Exact, 100).await
}

fn named(table: &TableComparison) -> Vec<(DifferenceKind, &str, u64, String)> {
    let rows = table.differences.iter();
    rows.map(|row| (row.kind(), row.key.as_str(), row.count, row.columns.join(","))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn equal_databases_match() {
    let (pair, plan) = migrated(SAMPLE).await;
    for level in [ValidateLevel::Counts, ValidateLevel::Exact] {
        let report = validate_at(&pair, &plan, level, 10).await;
        assert!(report.matches, "{report:#?}");
        assert_eq!(report.rows, 5008);
    }
    // However the rows lie in the target.
    pair.sql("UPDATE public.t SET a = a WHERE id % 3 = 0; CLUSTER public.t USING t_pkey").await;
    pair.sql("UPDATE public.log SET n = n").await;
    assert!(validate(&pair, &plan).await.matches);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_damaged_row_is_named_on_either_side() {
    use DifferenceKind::{Different, Extra, Missing};
    let (pair, plan) = migrated(SAMPLE).await;
    pair.sql(
        "UPDATE public.t SET a = 'text 17 ' WHERE id = 17; \
         UPDATE public.t SET b = b + 1e-12, c = NULL WHERE id = 18; \
         DELETE FROM public.t WHERE id = 4000; \
         INSERT INTO public.t VALUES (-3, NULL, 'NaN', NULL); \
         UPDATE public.pair SET lang = 'De' WHERE lang = 'DE'; \
         UPDATE public.pair SET v = '' WHERE lang = 'fr';",
    )
    .await;
    pair.sqlite(
        "UPDATE t SET a = NULL WHERE id = 19; DELETE FROM t WHERE id = 20;
         INSERT INTO t VALUES (6000, 'new', 1.5, NULL);",
    );
    let report = validate(&pair, &plan).await;
    assert!(!report.matches);
    let t = &report.tables[0];
    assert_eq!((t.missing, t.extra, t.different, t.at_least), (2, 2, 3, false));
    assert_eq!((t.source_rows, t.target_rows), (5000, 5000), "the counts alone say nothing");
    let mut found = named(t);
    found.sort_by_key(|(_, key, ..)| *key);
    assert_eq!(
        found,
        [
            (Extra, "id=-3", 1, String::new()),
            (Different, "id=17", 1, "a".into()),
            (Different, "id=18", 1, "b,c".into()),
            (Different, "id=19", 1, "a".into()),
            (Extra, "id=20", 1, String::new()),
            (Missing, "id=4000", 1, String::new()),
            (Missing, "id=6000", 1, String::new()),
        ]
    );
    let mut found = named(&report.tables[1]);
    found.sort_by_key(|(_, key, ..)| *key);
    assert_eq!(
        found,
        [
            (Missing, "lang=DE, code=1", 1, String::new()),
            (Extra, "lang=De, code=1", 1, String::new()),
            (Different, "lang=fr, code=1", 1, "v".into()),
        ]
    );
    assert!(report.tables[2].matches);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_without_a_key_are_counted() {
    let (pair, plan) = migrated(SAMPLE).await;
    pair.sql(
        "DELETE FROM public.log WHERE ctid IN (SELECT ctid FROM public.log WHERE n = 1 LIMIT 2); \
         INSERT INTO public.log VALUES (NULL, NULL);",
    )
    .await;
    let report = validate(&pair, &plan).await;
    let log = &report.tables[2];
    assert_eq!((log.missing, log.extra, log.different), (2, 1, 0), "{log:#?}");
    let found = named(log);
    assert_eq!((found[0].0, found[0].2), (DifferenceKind::Missing, 2));
    assert!(found[0].1.starts_with("rowid=1, digest="), "{}", found[0].1);
    assert_eq!((found[1].0, found[1].2), (DifferenceKind::Extra, 1));
    assert!(found[1].1.starts_with("digest="), "{}", found[1].1);
}

#[tokio::test(flavor = "multi_thread")]
async fn counts_stay_right_beyond_what_is_named() {
    let (pair, plan) = migrated(SAMPLE).await;
    pair.sql("UPDATE public.t SET a = 'x'; DELETE FROM public.log;").await;
    let report = validate_at(&pair, &plan, ValidateLevel::Exact, 3).await;
    let t = &report.tables[0];
    assert_eq!((t.missing, t.extra, t.different, t.at_least), (0, 0, 5000, false));
    assert_eq!(t.differences.len(), 3);
    assert_eq!((report.tables[2].missing, report.tables[2].differences.len()), (5, 3));
    let report = validate_at(&pair, &plan, ValidateLevel::Exact, 0).await;
    assert_eq!((report.tables[2].missing, report.tables[2].differences.len()), (5, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn changed_types_and_odd_values_are_differences_not_errors() {
    let (pair, plan) = migrated(SAMPLE).await;
    pair.sql(
        "ALTER TABLE public.t ALTER b TYPE numeric, ALTER a TYPE jsonb USING to_jsonb(a); \
         ALTER TABLE public.pair DROP COLUMN v, ADD COLUMN w text; \
         ALTER TABLE public.log ALTER n TYPE text USING 'k' || n;",
    )
    .await;
    let report = validate(&pair, &plan).await;
    assert_eq!(report.tables[0].different, 5000);
    assert_eq!(report.tables[1].different, 2, "v is compared as NULL");
    let found: Vec<String> =
        report.schema.iter().map(|d| format!("{} {}.{}", d.object, d.table, d.name)).collect();
    for expected in ["column t.a", "column t.b", "column pair.v", "column pair.w", "column log.n"] {
        assert!(found.contains(&expected.to_owned()), "{expected} in {found:?}");
    }
    pair.sql("ALTER TABLE public.t ALTER id DROP IDENTITY").await;
    pair.sql("ALTER TABLE public.t ALTER id TYPE text").await;
    pair.sql("DROP TABLE public.log").await;
    let report = validate(&pair, &plan).await;
    let t = &report.tables[0];
    assert_eq!((t.missing, t.extra), (5000, 5000), "no key of one side is one of the other");
    let key = &t.differences[t.differences.len() - 1].key;
    assert!(key.starts_with("id="), "{key}");
    assert_eq!((report.tables[2].target_rows, report.tables[2].missing), (0, 5));
    assert!(report.schema.iter().any(|d| d.object == "table" && d.name == "log"));
}

/// A pair with one object of each kind, as planned.
async fn with_objects() -> (Pair, Plan) {
    let sql = "CREATE TABLE p (id INTEGER PRIMARY KEY, u TEXT);
               INSERT INTO p VALUES (7, 'a');
               CREATE TABLE c (id INTEGER PRIMARY KEY, p INTEGER);
               INSERT INTO c VALUES (1, 7), (2, 8);";
    let (pair, mut plan) = migrated(sql).await;
    let text = &mut plan.tables[0].columns[1];
    text.r#type = "varchar(9)".into();
    pair.sql(
        "ALTER TABLE public.p ALTER u TYPE varchar(9), ADD CONSTRAINT p_u UNIQUE (u), \
           ADD CONSTRAINT p_check CHECK (u <> ''); \
         CREATE INDEX c_p ON public.c (p); \
         ALTER TABLE public.c ADD CONSTRAINT c_fk FOREIGN KEY (p) REFERENCES public.p NOT VALID; \
         CREATE VIEW public.v AS SELECT 1 AS one;",
    )
    .await;
    let index = |target: &str, unique| IndexPlan {
        target: target.into(),
        unique,
        constraint: unique,
        ..IndexPlan::default()
    };
    plan.tables[0].indexes.push(index("p_u", true));
    plan.tables[0].checks.push(CheckPlan { name: "p_check".into(), ..CheckPlan::default() });
    plan.tables[1].indexes.push(index("c_p", false));
    plan.tables[1].foreign_keys.push(ForeignKeyPlan {
        name: "c_fk".into(),
        columns: vec!["p".into()],
        parent: "p".into(),
        parent_columns: vec!["id".into()],
        ..ForeignKeyPlan::default()
    });
    plan.views.push(ViewPlan { target: "v".into(), ..ViewPlan::default() });
    (pair, plan)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_object_of_the_schema_is_checked() {
    let (pair, mut plan) = with_objects().await;
    let report = validate(&pair, &plan).await;
    assert!(report.matches, "{:#?}", report.schema);

    plan.tables[1].foreign_keys[0].validate = true;
    pair.sql(
        "SELECT setval(pg_get_serial_sequence('public.p', 'id'), 6); \
         ALTER TABLE public.p DROP CONSTRAINT p_u, DROP CONSTRAINT p_check, \
           ALTER u SET NOT NULL, ALTER u TYPE varchar(8); \
         CREATE UNIQUE INDEX p_u ON public.p (u); \
         DROP INDEX public.c_p; DROP VIEW public.v; \
         ALTER TABLE public.c DROP CONSTRAINT c_pkey;",
    )
    .await;
    let report = validate(&pair, &plan).await;
    assert!(report.tables.iter().all(|table| table.matches) && !report.matches);
    let mut found: Vec<String> =
        report.schema.iter().map(|d| format!("{} {} {}", d.object, d.name, d.message)).collect();
    found.sort();
    assert_eq!(
        found,
        [
            "check p_check is missing in the target",
            "column u has the type character varying(8), planned was character varying(9)",
            "column u is NOT NULL, unlike planned",
            "foreign key c_fk is not validated",
            "index c_p is missing in the target",
            "index p_u is not behind a UNIQUE constraint",
            "primary key c_pkey is missing in the target",
            "sequence id gives 7 next, which is not above the largest value 7",
            "view v is missing in the target",
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn one_table_can_be_chosen_and_a_comparison_stopped() {
    let (pair, plan) = migrated(SAMPLE).await;
    let schema = pair.schema();
    let job = |tables| ValidateJob {
        source: &pair.source,
        schema: &schema,
        target: TargetReader { postgres: &pair.postgres, held: None },
        plan: &plan,
        level: ValidateLevel::Exact,
        tables,
        max_differences: 10,
        sequences: true,
        live: None,
        kept_aside: &[],
    };
    let names = ["log".to_owned()];
    let token = CancellationToken::new();
    let report = validate::run(&job(&names), &|_| (), &token).await.unwrap();
    assert_eq!((report.tables.len(), report.rows), (1, 5));
    let names = ["nothing".to_owned()];
    let error = validate::run(&job(&names), &|_| (), &token).await.unwrap_err();
    assert_eq!(error.reason(), Reason::UnknownTable);
    token.cancel();
    let error = validate::run(&job(&[]), &|_| (), &token).await.unwrap_err();
    assert_eq!(error.reason(), Reason::Cancelled);
}
