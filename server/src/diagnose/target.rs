//! The PostgreSQL database, what its user may do, and the programs for its backups.

use super::checks::Checks;
use crate::{
    backup::postgres::programs::Programs,
    db::{Database, postgres::failed},
    error::Result,
};

/// What a server is set to.
#[derive(Debug, Clone)]
struct Settings {
    fsync: bool,
    full_page_writes: bool,
    /// Connections that users other than superusers can have.
    connections: i32,
    may_make_databases: bool,
}

/// Tests the target of a database.
pub(super) async fn test(database: &Database, programs: &Programs, checks: &mut Checks) {
    let postgres = &database.postgres;
    let facts = match database.target().inspect(&database.config.name, "").await {
        Ok(facts) => facts,
        Err(error) => return checks.refused("postgres", &error),
    };
    checks.ok("postgres", format!("{}: PostgreSQL {}", postgres.display(), facts.version));
    match facts.check() {
        Ok(()) => checks.ok(
            "postgres_rights",
            format!("{}, and the user may create tables in {:?}", facts.encoding, facts.schema),
        ),
        Err(error) => checks.refused("postgres_rights", &error),
    }
    match settings(database).await {
        Ok(settings) => judge(&settings, database.config.pool_size, checks),
        Err(error) => checks.refused("postgres_settings", &error),
    }
    let major = u32::try_from(facts.version_number / 10_000).unwrap_or_default();
    match programs.find("pg_dump", major).await {
        Ok(program) => checks.ok("pg_dump", program.version),
        Err(why) => checks.warn(
            "pg_dump",
            why,
            "install PostgreSQL's client programs, or name their directory in SWITCHBACK_PG_BIN: \
             without them a backup of PostgreSQL holds rows, and not every object",
        ),
    }
}

async fn settings(database: &Database) -> Result<Settings> {
    let client = database.postgres.get().await?;
    let sql = "SELECT current_setting('fsync') = 'on', current_setting('full_page_writes') = 'on', \
                 current_setting('max_connections')::int4 \
                   - current_setting('superuser_reserved_connections')::int4, \
                 (SELECT rolcreatedb OR rolsuper FROM pg_roles WHERE rolname = current_user)";
    let row = client.query_one(sql, &[]).await.map_err(failed)?;
    Ok(Settings {
        fsync: row.get(0),
        full_page_writes: row.get(1),
        connections: row.get(2),
        may_make_databases: row.get(3),
    })
}

fn judge(settings: &Settings, pool_size: u32, checks: &mut Checks) {
    if settings.fsync && settings.full_page_writes {
        checks.ok("postgres_settings", "what is committed outlives a crash");
    } else {
        let message = "fsync or full_page_writes is off: a crash can lose the database";
        checks.warn("postgres_settings", message, "set both to on before the cutover");
    }
    let connections = u32::try_from(settings.connections).unwrap_or_default();
    let message = format!("{connections} in all, of which the server uses up to {pool_size}");
    if connections > pool_size.saturating_mul(2) {
        checks.ok("postgres_connections", message);
    } else {
        let hint = "raise max_connections, or lower SWITCHBACK_POOL_SIZE: applications need some";
        checks.warn("postgres_connections", message, hint);
    }
    if settings.may_make_databases {
        checks.ok("postgres_createdb", "the user may create databases, as restorations do");
    } else {
        checks.warn(
            "postgres_createdb",
            "the user may not create databases",
            "ALTER ROLE … CREATEDB, if backups of PostgreSQL are to be restored by the server",
        );
    }
}

#[cfg(test)]
mod tests {
    use switchback_proto::v1::CheckState;

    use super::*;

    #[test]
    fn settings_that_lose_data_and_connections_that_are_few_are_told() {
        let good = Settings {
            fsync: true,
            full_page_writes: true,
            connections: 97,
            may_make_databases: true,
        };
        let states = |settings: Settings| {
            let mut checks = Checks::default();
            judge(&settings, 8, &mut checks);
            checks.into_all().iter().map(|check| check.state()).collect::<Vec<_>>()
        };
        use CheckState::{Ok, Warning};
        assert_eq!(states(good.clone()), [Ok, Ok, Ok]);
        assert_eq!(states(Settings { fsync: false, ..good.clone() }), [Warning, Ok, Ok]);
        assert_eq!(states(Settings { connections: 16, ..good.clone() }), [Ok, Warning, Ok]);
        assert_eq!(states(Settings { may_make_databases: false, ..good }), [Ok, Ok, Warning]);
    }
}
