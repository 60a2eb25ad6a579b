//! Restores in place, into an empty database, and by an ordinary user.

use super::{
    super::{
        Progress, Step,
        restore::{self, Restore},
    },
    support::{Database, Memory, Setting, databases, differences},
};
use crate::error::Reason;

const SAMPLE: &str = "CREATE TYPE public.mood AS ENUM ('a'); \
    CREATE FUNCTION public.f(public.mood) RETURNS integer LANGUAGE sql AS 'SELECT 1'; \
    CREATE TABLE public.t (id serial PRIMARY KEY, m public.mood); \
    INSERT INTO public.t (m) VALUES ('a'), (NULL); \
    CREATE SCHEMA other; CREATE VIEW other.v AS SELECT id FROM public.t;";

#[tokio::test]
async fn the_replaced_database_is_kept_and_its_sessions_end() {
    let source = Database::with(SAMPLE).await;
    let name = crate::dialect::ident::quote(&source.name);
    source.sql("CREATE ROLE app LOGIN; CREATE ROLE other_owner").await;
    source
        .sql(&format!(
            "ALTER DATABASE {name} SET search_path = other, public; \
         ALTER ROLE app IN DATABASE {name} SET work_mem = '5MB'; \
         REVOKE ALL ON DATABASE {name} FROM PUBLIC; GRANT CONNECT ON DATABASE {name} TO app; \
         ALTER DATABASE {name} OWNER TO other_owner"
        ))
        .await;
    let properties = "SELECT (SELECT string_agg(setrole::regrole || array_to_string(setconfig, ';'), \
          ',' ORDER BY setrole) FROM pg_db_role_setting WHERE setdatabase = d.oid) \
        || datdba::regrole || (SELECT string_agg(a::text, ',' ORDER BY a::text) \
          FROM unnest(datacl) AS a) FROM pg_database d WHERE datname = current_database()";
    let before = source.text(properties).await;
    let store = Memory::default();
    let backed_up = source.back_up(&store).await.unwrap();
    source.sql("DELETE FROM public.t; CREATE TABLE public.later (a integer)").await;
    let session = source.postgres.get().await.unwrap();
    let setting = Setting::new();
    let job = setting.job(&backed_up.content, &store, &source);
    let restored = restore::replace(&job).await.unwrap();
    assert_eq!(restored.missing, []);
    assert!(session.batch_execute("SELECT 1").await.is_err(), "the session has ended");
    drop(session);
    let fresh = Database::named(&source.name);
    assert_eq!(fresh.number("SELECT count(*) FROM public.t").await, 2);
    assert_eq!(fresh.text(properties).await, before);
    let kept = restored.kept.expect("it is named");
    assert_eq!(databases(&source.name).await, [source.name.clone(), kept.clone()]);
    let kept = Database::named(&kept);
    assert_eq!(kept.number("SELECT count(*) FROM public.later").await, 0);
}

#[tokio::test]
async fn an_empty_database_is_filled_and_emptied_again_after_a_failure() {
    let source = Database::with(SAMPLE).await;
    let store = Memory::default();
    let mut backed_up = source.back_up(&store).await.unwrap();
    let empty = Database::new().await;
    let setting = Setting::new();
    let digest = std::mem::replace(&mut backed_up.content.tables[0].digest, "0".repeat(64));
    let job = setting.job(&backed_up.content, &store, &empty);
    let error = restore::restore_into_empty(&job, false).await.unwrap_err();
    assert_eq!(error.reason(), Reason::RestoreFailed);
    backed_up.content.tables[0].digest = digest;
    let job = setting.job(&backed_up.content, &store, &empty);
    let restored = restore::restore_into_empty(&job, false).await.unwrap();
    assert_eq!((restored.database.as_str(), restored.missing), (empty.name.as_str(), vec![]));
    assert_eq!((restored.tables, restored.rows), (1, 2));
    assert_eq!(differences(&source.schema(), &empty.schema()), [""; 0]);
    assert_eq!(empty.rows().await, source.rows().await);
}

#[tokio::test]
async fn an_ordinary_user_restores_what_it_may_and_is_told_the_rest() {
    let source = Database::with(SAMPLE).await;
    source
        .sql(
            "CREATE ROLE maker LOGIN CREATEDB; CREATE ROLE gone; \
        GRANT SELECT ON public.t TO gone; GRANT USAGE ON SCHEMA other TO maker",
        )
        .await;
    let store = Memory::default();
    let backed_up = source.back_up(&store).await.unwrap();
    source.sql("REVOKE ALL ON public.t FROM gone; DROP ROLE gone").await;
    let maker = Database::of("maker", &source.name);
    let setting = Setting::new();
    let job = setting.job(&backed_up.content, &store, &maker);
    let name = format!("{} by maker", source.name);
    let restored = restore::restore(&job, &name).await.unwrap();
    let codes: Vec<&str> = restored.missing.iter().map(|missing| missing.code.as_str()).collect();
    assert_eq!(codes, ["not_restored"], "{:?}", restored.missing);
    assert!(restored.missing[0].message.contains("gone"), "{:?}", restored.missing);
    let copy = Database::of("maker", &name);
    assert_eq!(copy.number("SELECT count(*) FROM other.v").await, 2);
    assert_eq!(
        copy.text("SELECT tableowner::text FROM pg_tables WHERE tablename = 't'").await,
        "maker"
    );
}

#[tokio::test]
async fn a_cancelled_restore_leaves_nothing() {
    let source = Database::with(SAMPLE).await;
    let store = Memory::default();
    let backed_up = source.back_up(&store).await.unwrap();
    let empty = Database::new().await;
    for step in [Step::Load, Step::Check] {
        let setting = Setting::new();
        let progress = |progress: Progress<'_>| {
            if progress.step == step {
                setting.cancel.cancel();
            }
        };
        let job =
            Restore { progress: &progress, ..setting.job(&backed_up.content, &store, &empty) };
        let error = restore::restore_into_empty(&job, false).await.unwrap_err();
        assert_eq!(error.reason(), Reason::Cancelled);
        let objects = "SELECT count(*) FROM pg_class c JOIN pg_namespace n \
            ON n.oid = c.relnamespace WHERE n.nspname IN ('public', 'other')";
        assert_eq!(empty.number(objects).await, 0);
        let setting = Setting::new();
        let progress = |progress: Progress<'_>| {
            if progress.step == step {
                setting.cancel.cancel();
            }
        };
        let job =
            Restore { progress: &progress, ..setting.job(&backed_up.content, &store, &source) };
        let error = restore::replace(&job).await.unwrap_err();
        assert_eq!(error.reason(), Reason::Cancelled);
        assert_eq!(databases(&source.name).await, [source.name.as_str()]);
    }
    let setting = Setting::new();
    let job = setting.job(&backed_up.content, &store, &empty);
    assert!(restore::restore_into_empty(&job, false).await.is_ok(), "it is empty");
}
