//! A database that nothing is in, and that is made so again.

use crate::{
    db::postgres::{Postgres, failed},
    error::{Error, Reason, Result},
};

/// What is in a database besides the schema `public` and what every database has. Objects of
/// extensions go with those.
const FILLED: &str = "SELECT EXISTS (SELECT FROM pg_namespace n WHERE n.nspname <> 'public' \
        AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema') \
    OR EXISTS (SELECT FROM pg_extension WHERE extname <> 'plpgsql') \
    OR EXISTS (SELECT FROM pg_class WHERE relnamespace = to_regnamespace('public')) \
    OR EXISTS (SELECT FROM pg_type WHERE typnamespace = to_regnamespace('public')) \
    OR EXISTS (SELECT FROM pg_proc WHERE pronamespace = to_regnamespace('public'))";

/// Extensions, schemas, and what is in `public`: dropped one by one, so that the schema stays
/// with its privileges. `IF EXISTS`, because one may have taken another with it.
const CLEAR: &str = "DO $clear$ DECLARE statement text; BEGIN \
    FOREACH statement IN ARRAY ARRAY( \
      SELECT format('DROP EXTENSION IF EXISTS %I CASCADE', extname) FROM pg_extension \
      WHERE extname <> 'plpgsql' \
      UNION ALL SELECT format('DROP SCHEMA IF EXISTS %I CASCADE', nspname) FROM pg_namespace \
      WHERE nspname !~ '^pg_' AND nspname NOT IN ('public', 'information_schema')) \
    LOOP EXECUTE statement; END LOOP; \
    FOREACH statement IN ARRAY ARRAY( \
      SELECT format('DROP %s IF EXISTS public.%I CASCADE', CASE relkind WHEN 'v' THEN 'VIEW' \
        WHEN 'm' THEN 'MATERIALIZED VIEW' WHEN 'S' THEN 'SEQUENCE' \
        WHEN 'f' THEN 'FOREIGN TABLE' ELSE 'TABLE' END, relname) \
      FROM pg_class WHERE relnamespace = to_regnamespace('public') \
        AND relkind IN ('r', 'p', 'v', 'm', 'S', 'f') ORDER BY relkind = 'S') \
    LOOP EXECUTE statement; END LOOP; \
    FOREACH statement IN ARRAY ARRAY( \
      SELECT format('DROP TYPE IF EXISTS public.%I CASCADE', typname) FROM pg_type \
      WHERE typnamespace = to_regnamespace('public') AND typelem = 0 AND typtype <> 'm') \
    LOOP EXECUTE statement; END LOOP; \
    FOREACH statement IN ARRAY ARRAY( \
      SELECT format('DROP ROUTINE IF EXISTS %s CASCADE', oid::regprocedure) FROM pg_proc \
      WHERE pronamespace = to_regnamespace('public')) \
    LOOP EXECUTE statement; END LOOP; END $clear$";

/// Refuses a database that holds anything.
pub(super) async fn refuse_filled(postgres: &Postgres) -> Result<()> {
    let client = postgres.get().await?;
    if client.query_one(FILLED, &[]).await.map_err(failed)?.get(0) {
        return Err(Error::new(Reason::RestoreRefused, "the PostgreSQL database is not empty")
            .hint("restore into a new database, or replace this one, which keeps it"));
    }
    Ok(())
}

/// Empties a database that was empty before the error; the error, which says so where that was
/// not possible.
pub(super) async fn clear(postgres: &Postgres, error: Error) -> Error {
    let Err(clearing) = empty(postgres).await else { return error };
    tracing::warn!(error = %clearing, "database was not emptied");
    let hint = format!("{}; the database is not empty any more", error.hint_text());
    error.hint(hint.trim_start_matches("; "))
}

/// Empties a database.
pub(super) async fn empty(postgres: &Postgres) -> Result<()> {
    let client = postgres.get().await?;
    // What pg_restore had begun goes on without it, and holds locks.
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
               WHERE datname = current_database() AND application_name = $1";
    client.execute(end, &[&postgres.program_name()]).await.map_err(failed)?;
    client.batch_execute(CLEAR).await.map_err(failed)
}
