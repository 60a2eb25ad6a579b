//! What a PostgreSQL database is like before anything is changed in it.

use std::collections::HashSet;

use tokio_postgres::{GenericClient, IsolationLevel};

use super::{Control, Target, controls, installed_version, refuse_a_foreign_schema};
use crate::{
    db::postgres::failed,
    error::{Error, Reason, Result},
};

/// Oldest server that is supported; its number as `server_version_num` gives it.
const OLDEST: i32 = 130_000;

/// How many names are listed of what is in the way.
const NAMES: usize = 20;

/// A look at the target.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TargetFacts {
    /// `server_version`: "15.13".
    pub version: String,
    /// `server_version_num`: 150013.
    pub version_number: i32,
    /// Encoding of the database: "UTF8".
    pub encoding: String,
    /// The server is a standby.
    pub in_recovery: bool,
    /// Transactions are read-only by setting.
    pub read_only: bool,
    /// The schema that was asked for, or else the first of the user's `search_path` that exists.
    pub schema: String,
    /// That schema exists.
    pub schema_exists: bool,
    /// The user may create schemas in the database.
    pub can_create_in_database: bool,
    /// The user may create tables in the schema.
    pub can_create_in_schema: bool,
    /// The first few relations and types in the schema that neither an extension nor Switchback
    /// (for this database) made.
    pub relations: Vec<String>,
    /// How many there are.
    pub relation_count: u64,
    /// The schema `switchback` is installed.
    pub installed: bool,
    /// What is recorded in it.
    pub controls: Vec<Control>,
}

impl TargetFacts {
    /// Whether a migration can go there at all; it says nothing about the relations that are in
    /// the schema already.
    pub fn check(&self) -> Result<()> {
        let unfit = |message: String, hint: &str| {
            Err(Error::new(Reason::TargetUnsupported, message).hint(hint))
        };
        if self.version_number < OLDEST {
            let message = format!("PostgreSQL {} is older than 13", self.version);
            return unfit(message, "use a supported release of PostgreSQL");
        }
        if self.in_recovery || self.read_only {
            let what = if self.in_recovery { "is a standby" } else { "is set to read-only" };
            let hint = "name the primary in SWITCHBACK_POSTGRES, or unset \
                        default_transaction_read_only";
            return unfit(format!("the PostgreSQL server {what}"), hint);
        }
        if self.encoding != "UTF8" {
            let message = format!("the PostgreSQL database has the encoding {}", self.encoding);
            return unfit(message, "create it with ENCODING 'UTF8' TEMPLATE template0");
        }
        let lacks = |what: &str| {
            Err(Error::new(Reason::TargetPermission, format!("the PostgreSQL user may not {what}"))
                .hint(
                    "grant the user CREATE on the database and on the target schema, or use \
                     their owner",
                ))
        };
        if self.schema == "switchback" {
            return unfit("the target schema is Switchback's own".into(), "choose another schema");
        }
        if self.schema.is_empty() {
            return lacks("use any schema of its search_path");
        }
        let needs_a_schema = !self.installed || !self.schema_exists;
        if needs_a_schema && !self.can_create_in_database {
            return lacks("create schemas in the database");
        }
        if self.schema_exists && !self.can_create_in_schema {
            return lacks("create tables in the target schema");
        }
        Ok(())
    }
}

impl Target {
    /// Looks at the target from one snapshot; changes nothing. An empty `schema` stands for the
    /// user's own default.
    pub async fn inspect(&self, database: &str, schema: &str) -> Result<TargetFacts> {
        self.upgrade().await?;
        let mut client = self.postgres().get().await?;
        let transaction = client
            .build_transaction()
            .isolation_level(IsolationLevel::RepeatableRead)
            .read_only(true)
            .start()
            .await
            .map_err(failed)?;
        let mut facts = server(&transaction, schema).await?;
        facts.installed = installed_version(&transaction).await?.is_some();
        if facts.installed {
            facts.controls = controls(&transaction).await?;
        } else {
            refuse_a_foreign_schema(&transaction).await?;
        }
        let names = relations(&transaction, database, &facts).await?;
        facts.relation_count = names.len().try_into().unwrap_or(u64::MAX);
        facts.relations = names.into_iter().take(NAMES).collect();
        transaction.commit().await.map_err(failed)?;
        Ok(facts)
    }
}

/// The first schema of the user's own `search_path` that exists; empty where none does. It is called
/// in a transaction.
pub(crate) async fn default_schema(client: &impl GenericClient) -> Result<String> {
    let reset = "SET LOCAL search_path TO DEFAULT";
    client.batch_execute(reset).await.map_err(failed)?;
    // For a user named switchback, "$user" is Switchback's own schema.
    let sql = "SELECT (SELECT s::text FROM unnest(current_schemas(false)) \
                 WITH ORDINALITY AS path (s, o) WHERE s <> 'switchback' ORDER BY o LIMIT 1)";
    let found: Option<String> = client.query_one(sql, &[]).await.map_err(failed)?.get(0);
    let back = "SET LOCAL search_path TO pg_catalog";
    client.batch_execute(back).await.map_err(failed)?;
    Ok(found.unwrap_or_default())
}

async fn server(client: &impl GenericClient, schema: &str) -> Result<TargetFacts> {
    let schema = match schema {
        "" => default_schema(client).await?,
        named => named.to_owned(),
    };
    // The transaction is read-only itself, so the setting is asked for, not its state.
    let sql = "SELECT current_setting('server_version'), \
                 current_setting('server_version_num')::int4, \
                 current_setting('server_encoding'), pg_is_in_recovery(), \
                 current_setting('default_transaction_read_only') = 'on', \
                 has_database_privilege(current_database(), 'CREATE'), \
                 n.oid IS NOT NULL, coalesce(has_schema_privilege(n.oid, 'CREATE'), false) \
               FROM (VALUES (1)) AS one LEFT JOIN pg_namespace n ON n.nspname = $1::text";
    let row = client.query_one(sql, &[&schema]).await.map_err(failed)?;
    Ok(TargetFacts {
        version: row.get(0),
        version_number: row.get(1),
        encoding: row.get(2),
        in_recovery: row.get(3),
        read_only: row.get(4),
        can_create_in_database: row.get(5),
        schema_exists: row.get(6),
        can_create_in_schema: row.get(7),
        schema,
        ..TargetFacts::default()
    })
}

/// Names in the schema that are taken: relations other than indexes and row types of tables, and
/// types, except those of extensions and of the migration of this database.
async fn relations(
    client: &impl GenericClient,
    database: &str,
    facts: &TargetFacts,
) -> Result<Vec<String>> {
    let sql = "SELECT c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
               WHERE n.nspname = $1::text AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S', 'c') \
                 AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass \
                   AND d.objid = c.oid AND d.deptype IN ('e', 'i', 'a')) \
               UNION ALL \
               SELECT t.typname::text FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace \
               WHERE n.nspname = $1::text AND t.typtype IN ('e', 'd', 'r') \
                 AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_type'::regclass \
                   AND d.objid = t.oid AND d.deptype = 'e') \
               ORDER BY 1";
    let names = client.query(sql, &[&facts.schema]).await.map_err(failed)?;
    let mut names: Vec<String> = names.iter().map(|row| row.get(0)).collect();
    if facts.installed {
        let sql = "SELECT relation FROM switchback.steps \
                   WHERE database = $1 AND namespace = $2 AND kind IN ('table', 'view')";
        let ours = client.query(sql, &[&database, &facts.schema]).await.map_err(failed)?;
        let ours: HashSet<String> = ours.iter().map(|row| row.get(0)).collect();
        names.retain(|name| !ours.contains(name));
    }
    Ok(names)
}
