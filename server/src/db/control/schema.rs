//! The tables of the control database, which are versioned.

use sqlx::{
    SqlSafeStr, SqlitePool,
    migrate::{MigrateError, Migration, MigrationType, Migrator},
};

use crate::error::{Error, Newer, Reason, Result};

/// Brings the tables up to this version. Those of a later version are an error, and stay as they
/// are.
pub(super) async fn bring_up(pool: &SqlitePool) -> Result<()> {
    let migrations = migrations();
    migrations.run(pool).await.map_err(|error| unfit(error, &migrations))
}

/// Oldest first; a version is never changed, only followed.
pub(super) fn migrations() -> Migrator {
    let versions = [
        ("operations", include_str!("../../../../migrations/control/0001_operations.sql")),
        ("cancel", include_str!("../../../../migrations/control/0002_cancel.sql")),
        ("server", include_str!("../../../../migrations/control/0003_server.sql")),
        ("halted", include_str!("../../../../migrations/control/0004_halted.sql")),
        ("validated", include_str!("../../../../migrations/control/0005_validated.sql")),
        ("carried", include_str!("../../../../migrations/control/0006_carried.sql")),
        ("backed_up", include_str!("../../../../migrations/control/0007_backed_up.sql")),
    ];
    let migrations = (1..).zip(versions).map(|(version, (name, sql))| {
        Migration::new(version, name.into(), MigrationType::Simple, sql.into_sql_str(), false)
    });
    Migrator::with_migrations(migrations.collect())
}

/// Why the control database cannot be brought up to this version. Nothing was changed in it.
fn unfit(error: MigrateError, migrations: &Migrator) -> Error {
    let known = migrations.iter().map(|migration| migration.version).max().unwrap_or_default();
    if let MigrateError::VersionMissing(found) = error {
        let newer = Newer { what: "the control database", found, known };
        if let Err(newer) = newer.check() {
            return newer.into_error(Reason::StateUnusable);
        }
    }
    Error::new(Reason::StateUnusable, format!("the control database is unfit: {error}"))
        .hint("it is damaged: put a copy of it back, or use another SWITCHBACK_STATE_DIR")
        .caused_by(error)
}
