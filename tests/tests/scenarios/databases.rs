//! PostgreSQL databases beside the configured one: made out of backups, looked into, and counted.

use switchback_tests::{
    cluster::{Cluster, Database, OWNER},
    rig::Rig,
};
use tokio::sync::OnceCell;
use tokio_postgres::{Client, types::ToSql};

/// Ids that the engine gives, one of which is gone, and a key to another table.
pub(crate) const SMALL: &str =
    "CREATE TABLE users (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL);
    CREATE TABLE orders (id INTEGER PRIMARY KEY, user_id INTEGER REFERENCES users, total REAL);
    CREATE INDEX orders_by_user ON orders (user_id);
    INSERT INTO users VALUES (7, 'a'), (9, 'b'); DELETE FROM users WHERE id = 9;
    INSERT INTO orders VALUES (1, 7, 0.5);";

/// What Switchback puts into a database.
pub(crate) const OURS: &str =
    "SELECT 'schema ' || nspname FROM pg_namespace WHERE nspname = 'switchback'
    UNION ALL SELECT 'trigger ' || tgname FROM pg_trigger WHERE NOT tgisinternal
    UNION ALL SELECT 'event trigger ' || evtname FROM pg_event_trigger
    UNION ALL SELECT 'constraint ' || conname FROM pg_constraint WHERE conname LIKE '%switchback%'
    UNION ALL SELECT 'function ' || proname FROM pg_proc
      WHERE pronamespace = 'public'::regnamespace";

/// Lets the owner of all databases make some.
pub(crate) async fn owners_make_databases() {
    // At once they would be in each other's way.
    static DONE: OnceCell<()> = OnceCell::const_new();
    let allow = || async {
        let admin = Cluster::shared().admin("postgres").await;
        let sql = format!("ALTER ROLE {OWNER} CREATEDB");
        admin.batch_execute(&sql).await.expect("the role may make databases");
    };
    DONE.get_or_init(allow).await;
}

/// A pair of which PostgreSQL is active.
pub(crate) async fn migrated(sql: &str) -> Rig {
    owners_make_databases().await;
    let rig = Rig::of_sql(sql).await;
    rig.cli(&["migrate", "--skip-backup"]).await.expect(0);
    rig
}

/// Restores to a new database beside the configured one, which the caller drops.
pub(crate) async fn restored_beside(rig: &Rig, backup: &str, suffix: &str) -> Database {
    let name = format!("{}_{suffix}", rig.database.name);
    let run = rig.cli(&["restore", backup, "--as", &name]).await;
    run.expect(0);
    assert_eq!(run.report()["validated"], true, "{}", run.stdout);
    assert_eq!(run.report()["database"], name.as_str(), "{}", run.stdout);
    // What pg_restore could not make would be one.
    assert_eq!(run.report()["findings"], serde_json::json!([]), "{}", run.stdout);
    Cluster::shared().named(&name)
}

/// Databases whose names begin with that of the configured one.
pub(crate) async fn databases(database: &Database) -> Vec<String> {
    let sql = "SELECT datname FROM pg_database WHERE datname = $1 OR datname LIKE $1 || '\\_%' \
               ORDER BY 1";
    texts(&database.admin().await, sql, &[&database.name]).await
}

/// The first column of a query's rows.
pub(crate) async fn texts(
    client: &Client,
    sql: &str,
    parameters: &[&(dyn ToSql + Sync)],
) -> Vec<String> {
    let rows = client.query(sql, parameters).await.expect("the catalogue is read");
    rows.iter().map(|row| row.get(0)).collect()
}
