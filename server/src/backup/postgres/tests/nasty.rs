//! A database with everything that PostgreSQL has, backed up and restored.

use super::{
    super::{programs::Programs, restore},
    support::{Database, Memory, Setting, databases, differences},
};
use crate::backup::manifest::RowFormat;

const NASTY: &str = include_str!("nasty.sql");

#[tokio::test]
async fn everything_comes_back() {
    let source = Database::with(&format!("SET search_path = public; {NASTY}")).await;
    let store = Memory::default();
    let backed_up = source.back_up(&store).await.unwrap();
    assert_eq!(backed_up.missing, []);
    let dump = backed_up.content.dump.as_ref().expect("pg_dump is installed");
    assert!(dump.pg_dump.starts_with("pg_dump"));
    assert_eq!(dump.own_triggers.len(), 1);
    let as_text: Vec<&str> = backed_up
        .content
        .tables
        .iter()
        .filter(|table| table.format == RowFormat::Text)
        .map(|table| table.name.as_str())
        .collect();
    assert_eq!(as_text, ["we'ird \"table", "by_name"]);
    let setting = Setting::new();
    let job = setting.job(&backed_up.content, &store, &source);
    let name = format!("{} restored", source.name);
    let restored = restore::restore(&job, &name).await.unwrap();
    assert_eq!((restored.missing, restored.kept), (vec![], None));
    assert_eq!(restored.database, name);
    let copy = Database::named(&name);
    source.sql("DROP TRIGGER switchback_fence ON public.no_rows").await;
    assert_eq!(differences(&source.schema(), &copy.schema()), [""; 0]);
    assert_eq!(copy.rows().await, source.rows().await);
    assert_eq!(
        copy.number("SELECT count(*) FROM pg_namespace WHERE nspname = 'switchback'").await,
        0
    );
    copy.sql("INSERT INTO public.owned DEFAULT VALUES; INSERT INTO public.no_key VALUES ('n', 1)")
        .await;
    assert_eq!(copy.text("SELECT max(id)::text FROM public.owned").await, "10");
    assert_eq!(copy.number("SELECT count(*) FROM public.audit").await, 1, "triggers work");
    assert_eq!(databases(&format!("{}_restoring", source.name)).await, [""; 0]);
    assert_eq!(std::fs::read_dir(setting.scratch.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn without_pg_dump_tables_come_back_and_the_rest_is_named() {
    const TABLES: &str = "CREATE SCHEMA \"o \"\"s\"; SET search_path = public; \
        CREATE SEQUENCE free AS integer START 5 INCREMENT 5; SELECT nextval('free'); \
        CREATE TABLE \"o \"\"s\".\"a 'b\" (id bigint GENERATED ALWAYS AS IDENTITY \
          (SEQUENCE NAME \"o \"\"s\".\"odd name\" START 3) PRIMARY KEY, \
          n integer NOT NULL DEFAULT nextval('free'), twice integer GENERATED ALWAYS AS (n * 2) \
          STORED, t text DEFAULT 'it''s', v varchar(9) CHECK (v IN ('x', 'y'))); \
        INSERT INTO \"o \"\"s\".\"a 'b\" (v) VALUES ('x'), (NULL); \
        CREATE TABLE serial (id serial PRIMARY KEY, parent bigint \
          CONSTRAINT \"f \"\"k\" REFERENCES \"o \"\"s\".\"a 'b\" DEFERRABLE); \
        INSERT INTO serial (parent) VALUES (3), (4); \
        CREATE INDEX \"i \"\" ON ONLY \" ON serial (parent DESC) WHERE id > 0; \
        CREATE TABLE root (a integer NOT NULL, b text, UNIQUE (a)) PARTITION BY RANGE (a); \
        CREATE TABLE low PARTITION OF root FOR VALUES FROM (MINVALUE) TO (10); \
        CREATE TABLE high PARTITION OF root DEFAULT; CREATE INDEX \"r \"\" ON ONLY \" ON root (b); \
        INSERT INTO root SELECT i, 'x' FROM generate_series(1, 20) AS i; \
        CREATE TABLE animal (name text CONSTRAINT named CHECK (name <> '')); \
        CREATE TABLE dog (tail integer) INHERITS (animal); INSERT INTO dog VALUES ('d', 1); \
        CREATE UNLOGGED TABLE light (a integer); INSERT INTO light VALUES (1); \
        CREATE TABLE none (); INSERT INTO none DEFAULT VALUES";
    let source = Database::with(TABLES).await;
    let store = Memory::default();
    let nowhere = Programs::in_directories(Vec::new());
    let backed_up = source.back_up_with(&store, &nowhere).await.unwrap();
    assert_eq!(backed_up.content.dump, None);
    let codes: Vec<&str> = backed_up.missing.iter().map(|missing| missing.code.as_str()).collect();
    assert_eq!(codes, ["no_schema_dump", "unlogged_table"]);
    let setting = Setting { programs: nowhere, ..Setting::new() };
    let job = setting.job(&backed_up.content, &store, &source);
    let name = format!("{} restored", source.name);
    let restored = restore::restore(&job, &name).await.unwrap();
    assert_eq!(restored.missing, []);
    let copy = Database::named(&name);
    assert_eq!(copy.rows().await, source.rows().await);
    source.sql("ALTER TABLE public.light SET LOGGED").await;
    // PostgreSQL writes such a check in another form after it has read its own.
    let differ = differences(&source.schema(), &copy.schema());
    assert!(differ.iter().all(|line| line.contains("_v_check")) && differ.len() == 2, "{differ:?}");
}

#[tokio::test]
async fn what_a_backup_cannot_hold_is_named() {
    let database = Database::with(
        "CREATE FOREIGN DATA WRAPPER nothing; CREATE SERVER far FOREIGN DATA WRAPPER nothing; \
         CREATE FOREIGN TABLE public.away (a integer) SERVER far; SELECT lo_create(0); \
         CREATE TYPE public.own AS ENUM ('a'); CREATE TABLE public.t (a public.own)",
    )
    .await;
    let found = |missing: &[crate::backup::manifest::Missing]| -> Vec<(String, String)> {
        missing.iter().map(|missing| (missing.code.clone(), missing.table.clone())).collect()
    };
    let pairs = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
        pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
    };
    let backed_up = database.back_up(&Memory::default()).await.unwrap();
    let gaps = [("foreign_table", "public.away"), ("large_objects", "")];
    assert_eq!(found(&backed_up.missing), pairs(&gaps));
    let nowhere = Programs::in_directories(Vec::new());
    let backed_up = database.back_up_with(&Memory::default(), &nowhere).await.unwrap();
    let more = [("no_schema_dump", ""), ("own_types", "public.t")];
    assert_eq!(found(&backed_up.missing), pairs(&[gaps, more].concat()));
}
