//! When something of a database was last so: what there is to know while PostgreSQL is away.

use super::{ControlStore, failed};
use crate::{clock, error::Result};

impl ControlStore {
    /// Records that both engines were compared just now and found equal.
    pub async fn set_validated(&self, name: &str) -> Result<()> {
        sqlx::query(
            "INSERT INTO databases (name, active_engine, epoch, phase, validated_at) \
             VALUES (?, 'sqlite', 0, 'idle', ?) ON CONFLICT (name) DO UPDATE SET \
             validated_at = excluded.validated_at",
        )
        .bind(name)
        .bind(clock::now_millis())
        .execute(&self.pool)
        .await
        .map_err(failed)?;
        Ok(())
    }

    /// When both engines were last compared and found equal, in milliseconds since 1970.
    pub async fn validated_at(&self, name: &str) -> Result<Option<i64>> {
        let at: Option<Option<i64>> =
            sqlx::query_scalar("SELECT validated_at FROM databases WHERE name = ?")
                .bind(name)
                .fetch_optional(&self.pool)
                .await
                .map_err(failed)?;
        Ok(at.flatten())
    }

    /// Records when the newest backup was taken, in milliseconds since 1970.
    pub async fn set_backed_up(&self, name: &str, at: i64) -> Result<()> {
        sqlx::query(
            "INSERT INTO databases (name, active_engine, epoch, phase, backed_up_at) \
             VALUES (?, 'sqlite', 0, 'idle', ?) ON CONFLICT (name) DO UPDATE SET \
             backed_up_at = max(coalesce(backed_up_at, 0), excluded.backed_up_at)",
        )
        .bind(name)
        .bind(at)
        .execute(&self.pool)
        .await
        .map_err(failed)?;
        Ok(())
    }

    /// When the newest backup was taken, in milliseconds since 1970.
    pub async fn backed_up_at(&self, name: &str) -> Result<Option<i64>> {
        let at: Option<Option<i64>> =
            sqlx::query_scalar("SELECT backed_up_at FROM databases WHERE name = ?")
                .bind(name)
                .fetch_optional(&self.pool)
                .await
                .map_err(failed)?;
        Ok(at.flatten())
    }

    /// Records until when everything that PostgreSQL acknowledged is in SQLite, in milliseconds
    /// since 1970.
    pub async fn set_carried_until(&self, name: &str, at: i64) -> Result<()> {
        self.update("UPDATE databases SET carried_until = ?2 WHERE name = ?1", name, at).await
    }

    /// Until when everything that PostgreSQL acknowledged is in SQLite.
    pub async fn carried_until(&self, name: &str) -> Result<Option<i64>> {
        let at: Option<Option<i64>> =
            sqlx::query_scalar("SELECT carried_until FROM databases WHERE name = ?")
                .bind(name)
                .fetch_optional(&self.pool)
                .await
                .map_err(failed)?;
        Ok(at.flatten())
    }

    /// Records that a migration's PostgreSQL is given up: it is not active, whatever it says.
    pub async fn give_up(&self, name: &str, migration: &str) -> Result<()> {
        self.update("UPDATE databases SET given_up = ?2 WHERE name = ?1", name, migration).await
    }

    /// Forgets that a migration's PostgreSQL was given up.
    pub async fn take_back(&self, name: &str) -> Result<()> {
        self.give_up(name, "").await
    }

    /// The migration whose PostgreSQL was given up.
    pub async fn given_up(&self, name: &str) -> Result<Option<String>> {
        let migration: Option<String> =
            sqlx::query_scalar("SELECT given_up FROM databases WHERE name = ?")
                .bind(name)
                .fetch_optional(&self.pool)
                .await
                .map_err(failed)?;
        Ok(migration.filter(|migration| !migration.is_empty()))
    }

    async fn update<'v, T>(&self, sql: &'static str, name: &'v str, value: T) -> Result<()>
    where
        T: sqlx::Encode<'v, sqlx::Sqlite> + sqlx::Type<sqlx::Sqlite> + Send + 'v,
    {
        sqlx::query(sql)
            .bind(name.to_owned())
            .bind(value)
            .execute(&self.pool)
            .await
            .map_err(failed)?;
        Ok(())
    }
}
