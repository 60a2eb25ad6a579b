//! What is in the target's schema, read from PostgreSQL's catalog with a few queries for all
//! tables together.

use std::collections::{BTreeMap, HashMap, HashSet};

use tokio_postgres::{GenericClient, Row};

use crate::{db::postgres::failed, error::Result};

/// The tables and views of a schema.
#[derive(Debug, Default)]
pub(super) struct Catalog {
    /// Tables by name.
    pub(super) relations: HashMap<String, Relation>,
    /// Names of views.
    pub(super) views: HashSet<String>,
    /// `switchback.rejects` exists.
    pub(super) rejects: bool,
}

/// A table.
#[derive(Debug, Default)]
pub(super) struct Relation {
    pub(super) columns: BTreeMap<String, Column>,
    /// Constraints by name.
    pub(super) constraints: HashMap<String, Constraint>,
    /// Indexes by name.
    pub(super) indexes: HashMap<String, Index>,
}

/// A column.
#[derive(Debug)]
pub(super) struct Column {
    /// As `format_type` writes it.
    pub(super) type_name: String,
    pub(super) not_null: bool,
    pub(super) generated: bool,
    /// The sequence behind an identity column, by its full name, quoted.
    pub(super) sequence: Option<String>,
}

/// A constraint.
#[derive(Debug)]
pub(super) struct Constraint {
    /// `pg_constraint.contype`: p, u, x, f or c.
    pub(super) kind: char,
    pub(super) validated: bool,
    /// Its columns in order.
    pub(super) columns: Vec<String>,
    /// Table that a foreign key refers to.
    pub(super) parent: String,
    /// As `pg_get_constraintdef` gives it.
    pub(super) definition: String,
}

/// An index.
#[derive(Debug)]
pub(super) struct Index {
    pub(super) unique: bool,
    pub(super) valid: bool,
    /// As `pg_get_indexdef` gives it.
    pub(super) definition: String,
}

impl Catalog {
    /// Reads the catalog.
    pub(super) async fn load(client: &impl GenericClient, schema: &str) -> Result<Self> {
        let mut catalog = Self::default();
        let sql = "SELECT c.relname::text, c.relkind IN ('v', 'm') FROM pg_class c \
                   WHERE c.relnamespace = to_regnamespace(quote_ident($1)) \
                     AND c.relkind IN ('r', 'p', 'f', 'v', 'm')";
        for row in query(client, sql, schema).await? {
            if row.get(1) {
                catalog.views.insert(row.get(0));
            } else {
                catalog.relations.insert(row.get(0), Relation::default());
            }
        }
        catalog.load_columns(client, schema).await?;
        catalog.load_constraints(client, schema).await?;
        catalog.load_indexes(client, schema).await?;
        let sql = "SELECT to_regclass('switchback.rejects') IS NOT NULL";
        catalog.rejects = client.query_one(sql, &[]).await.map_err(failed)?.get(0);
        Ok(catalog)
    }

    async fn load_columns(&mut self, client: &impl GenericClient, schema: &str) -> Result<()> {
        let sql = "SELECT c.relname::text, a.attname::text, \
                     format_type(a.atttypid, a.atttypmod), \
                     a.attnotnull OR (SELECT t.typnotnull FROM pg_type t WHERE t.oid = a.atttypid), a.attgenerated <> '', \
                     CASE WHEN a.attidentity <> '' THEN pg_get_serial_sequence( \
                       quote_ident($1) || '.' || quote_ident(c.relname), a.attname) END \
                   FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid \
                   WHERE c.relnamespace = to_regnamespace(quote_ident($1)) \
                     AND c.relkind IN ('r', 'p', 'f') AND a.attnum > 0 AND NOT a.attisdropped";
        for row in query(client, sql, schema).await? {
            let column = Column {
                type_name: row.get(2),
                not_null: row.get(3),
                generated: row.get(4),
                sequence: row.get(5),
            };
            if let Some(relation) = self.relations.get_mut(row.get::<_, &str>(0)) {
                relation.columns.insert(row.get(1), column);
            }
        }
        Ok(())
    }

    async fn load_constraints(&mut self, client: &impl GenericClient, schema: &str) -> Result<()> {
        let sql = "SELECT c.relname::text, k.conname::text, k.contype::text, k.convalidated, \
                     ARRAY(SELECT a.attname::text FROM unnest(k.conkey) WITH ORDINALITY AS u (n, o) \
                       JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.n \
                       ORDER BY u.o), coalesce(p.relname::text, ''), \
                     coalesce(pg_get_constraintdef(k.oid), '') \
                   FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid \
                     LEFT JOIN pg_class p ON p.oid = k.confrelid \
                   WHERE c.relnamespace = to_regnamespace(quote_ident($1))";
        for row in query(client, sql, schema).await? {
            let constraint = Constraint {
                kind: row.get::<_, &str>(2).chars().next().unwrap_or(' '),
                validated: row.get(3),
                columns: row.get(4),
                parent: row.get(5),
                definition: row.get(6),
            };
            if let Some(relation) = self.relations.get_mut(row.get::<_, &str>(0)) {
                relation.constraints.insert(row.get(1), constraint);
            }
        }
        Ok(())
    }

    async fn load_indexes(&mut self, client: &impl GenericClient, schema: &str) -> Result<()> {
        let sql = "SELECT t.relname::text, c.relname::text, i.indisunique, \
                     i.indisvalid AND i.indisready AND i.indislive, \
                     coalesce(pg_get_indexdef(i.indexrelid), '') \
                   FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid \
                     JOIN pg_class t ON t.oid = i.indrelid \
                   WHERE t.relnamespace = to_regnamespace(quote_ident($1))";
        for row in query(client, sql, schema).await? {
            let index = Index { unique: row.get(2), valid: row.get(3), definition: row.get(4) };
            if let Some(relation) = self.relations.get_mut(row.get::<_, &str>(0)) {
                relation.indexes.insert(row.get(1), index);
            }
        }
        Ok(())
    }
}

async fn query(client: &impl GenericClient, sql: &str, schema: &str) -> Result<Vec<Row>> {
    client.query(sql, &[&schema]).await.map_err(failed)
}
