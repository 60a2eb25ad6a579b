//! What cannot be backed up or restored says so, and nothing is left.

use std::{os::unix::fs::PermissionsExt, path::Path};

use tokio_util::sync::CancellationToken;

use super::{
    super::{
        create,
        programs::Programs,
        restore::{self, Restore},
    },
    support::{Database, Memory, Setting, databases},
};
use crate::error::Reason;

/// A user of its own; anybody else's tables are none of its business.
async fn guest(database: &Database, name: &str) -> Database {
    database.sql(&format!("CREATE ROLE {name} LOGIN")).await;
    Database::of(name, &database.name)
}

#[tokio::test]
async fn a_table_that_may_not_be_read_is_no_gap_but_an_error() {
    let database = Database::with(
        "CREATE TABLE public.open (a integer); \
        CREATE TABLE public.closed (a integer); INSERT INTO public.closed VALUES (1)",
    )
    .await;
    let guest = guest(&database, "reader").await;
    database.sql("GRANT SELECT ON public.open TO reader").await;
    let error = guest.back_up(&Memory::default()).await.unwrap_err();
    assert_eq!(error.reason(), Reason::TargetPermission);
    assert!(error.message().contains("public.closed"), "{error}");

    database.sql("GRANT SELECT ON public.closed TO reader").await;
    assert!(guest.back_up(&Memory::default()).await.is_ok());
    database.sql("ALTER TABLE public.closed ENABLE ROW LEVEL SECURITY").await;
    let error = guest.back_up(&Memory::default()).await.unwrap_err();
    assert_eq!(error.reason(), Reason::TargetPermission);
    assert!(error.message().contains("row-level security"), "{error}");

    database.sql("ALTER TABLE public.closed DISABLE ROW LEVEL SECURITY").await;
    database.sql("CREATE SEQUENCE public.hidden").await;
    let error = guest.back_up(&Memory::default()).await.unwrap_err();
    assert!(error.message().contains("public.hidden"), "{error}");
}

#[tokio::test]
async fn a_database_whose_text_is_of_no_known_encoding_is_refused() {
    let sql = "CREATE DATABASE ascii_only TEMPLATE template0 ENCODING 'SQL_ASCII'";
    Database::named("postgres").sql(sql).await;
    let error = Database::named("ascii_only").back_up(&Memory::default()).await.unwrap_err();
    assert_eq!(error.reason(), Reason::TargetUnsupported);
}

fn program(directory: &Path, name: &str, script: &str) {
    let path = directory.join(name);
    std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

#[tokio::test]
async fn a_pg_dump_that_fails_ends_the_backup_and_tells_no_secret() {
    let database = Database::with("CREATE TABLE public.t (a integer)").await;
    let directory = tempfile::tempdir().unwrap();
    let arguments = directory.path().join("arguments");
    let script = format!(
        "if [ \"$1\" = --version ]; then echo 'pg_dump (PostgreSQL) 99.1'; exit; fi\n\
         echo \"$@\" > {}\n\
         echo \"pg_dump: error: no entry for $PGUSER with $PGPASSWORD\" >&2\n\
         echo \"DETAIL:  Key (a)=(private)\" >&2; exit 1",
        arguments.display()
    );
    program(directory.path(), "pg_dump", &script);
    let programs = Programs::in_directories(vec![directory.path().to_owned()]);
    let error = database.back_up_with(&Memory::default(), &programs).await.unwrap_err();
    assert_eq!(error.message(), "pg_dump: no entry for switchback with ***");
    assert!(!format!("{error:?}").contains("s3cret") && !format!("{error:?}").contains("private"));
    let arguments = std::fs::read_to_string(arguments).unwrap();
    assert!(arguments.contains("--snapshot") && !arguments.contains("s3cret"), "{arguments}");
}

#[tokio::test]
async fn a_cancelled_backup_gives_its_connections_back() {
    let database =
        Database::with("CREATE TABLE public.t AS SELECT generate_series(1, 100000)").await;
    let cancel = CancellationToken::new();
    let programs = Programs::in_directories(Vec::new());
    let job = create::Job {
        postgres: &database.postgres,
        programs: &programs,
        progress: &|_| cancel.cancel(),
        cancel: &cancel,
    };
    let error = create::read(&job, &Memory::default()).await.unwrap_err();
    assert_eq!(error.reason(), Reason::Cancelled);
    // Nothing of it is in the way of DDL.
    database.sql("ALTER TABLE public.t ADD b integer").await;
}

#[tokio::test]
async fn damage_is_found_and_nothing_is_left() {
    let source =
        Database::with("CREATE TABLE public.t AS SELECT i AS a FROM generate_series(1, 9) i").await;
    let store = Memory::default();
    let backed_up = source.back_up(&store).await.unwrap();
    for content in store.chunks.lock().unwrap().values_mut() {
        // The last byte of the last row: 9 becomes 8.
        if content.ends_with(&[0, 1, 0, 0, 0, 4, 0, 0, 0, 9]) {
            *content.last_mut().unwrap() = 8;
        }
    }
    let setting = Setting::new();
    let job = setting.job(&backed_up.content, &store, &source);
    let name = format!("{} restored", source.name);
    let error = restore::restore(&job, &name).await.unwrap_err();
    assert_eq!(error.reason(), Reason::RestoreFailed);
    assert!(error.message().ends_with("rows of public.t"), "{error}");
    assert_eq!(databases(&source.name).await, [source.name.as_str()]);

    let error = restore::replace(&job).await.unwrap_err();
    assert_eq!(error.reason(), Reason::RestoreFailed);
    assert_eq!(databases(&source.name).await, [source.name.as_str()]);
    assert_eq!(source.number("SELECT count(*) FROM public.t").await, 9);
}

#[tokio::test]
async fn a_key_that_cannot_be_made_fails_the_restore_and_names_the_cause() {
    let source = Database::with(
        "CREATE TABLE public.t (a integer PRIMARY KEY); \
         INSERT INTO public.t SELECT generate_series(200000001, 200000009)",
    )
    .await;
    let store = Memory::default();
    let backed_up = source.back_up(&store).await.unwrap();
    for content in store.chunks.lock().unwrap().values_mut() {
        if content.ends_with(&200_000_009_i32.to_be_bytes()) {
            let last = content.len() - 4;
            content[last..].copy_from_slice(&200_000_008_i32.to_be_bytes());
        }
    }
    let setting = Setting::new();
    let job = setting.job(&backed_up.content, &store, &source);
    let error = restore::restore(&job, "never").await.unwrap_err();
    assert_eq!(error.reason(), Reason::RestoreFailed);
    assert!(error.message().contains("primary key of public.t"), "{error}");
    assert!(error.message().contains("could not create unique index"), "{error}");
    assert!(!format!("{error:?}").contains("200000008"), "{error:?}");
    assert_eq!(databases("never").await, [""; 0]);
}

#[tokio::test]
async fn a_sequence_elsewhere_is_a_difference() {
    let source = Database::with("CREATE SEQUENCE public.s; SELECT nextval('public.s')").await;
    let store = Memory::default();
    let mut backed_up = source.back_up(&store).await.unwrap();
    backed_up.content.sequences[0].increment = 3;
    let setting = Setting::new();
    let job = setting.job(&backed_up.content, &store, &source);
    let error = restore::restore(&job, "never").await.unwrap_err();
    assert!(error.message().ends_with("sequence public.s"), "{error}");
}

#[tokio::test]
async fn a_name_that_is_taken_and_a_user_without_rights_are_refused() {
    let source = Database::with("CREATE TABLE public.t (a integer)").await;
    let store = Memory::default();
    let backed_up = source.back_up(&store).await.unwrap();
    let setting = Setting::new();
    let job = setting.job(&backed_up.content, &store, &source);
    let error = restore::restore(&job, &source.name).await.unwrap_err();
    assert_eq!(error.reason(), Reason::RestoreRefused);
    let error = restore::restore_into_empty(&job, false).await.unwrap_err();
    assert_eq!(error.reason(), Reason::RestoreRefused);

    let some = Restore { tables: Some(&[]), ..setting.job(&backed_up.content, &store, &source) };
    let error = restore::replace(&some).await.unwrap_err();
    assert_eq!(error.reason(), Reason::InvalidRequest);

    let guest = guest(&source, "nobody_much").await;
    let job = setting.job(&backed_up.content, &store, &guest);
    let error = restore::restore(&job, "never").await.unwrap_err();
    assert_eq!(error.reason(), Reason::TargetPermission);
    assert!(error.hint_text().contains("CREATEDB"));

    let nowhere = Setting { programs: Programs::in_directories(Vec::new()), ..Setting::new() };
    let job = nowhere.job(&backed_up.content, &store, &source);
    let error = restore::restore(&job, "never").await.unwrap_err();
    assert_eq!(error.reason(), Reason::RestoreRefused);
    assert!(error.message().contains("pg_restore is not installed"), "{error}");
    assert_eq!(databases("never").await, [""; 0]);
}
