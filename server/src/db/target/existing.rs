//! Reading the tables that the application has made from PostgreSQL's catalog.

use std::collections::{HashMap, HashSet};

use tokio_postgres::{GenericClient, IsolationLevel, Row};

use super::Target;
use crate::{
    db::postgres::failed,
    dialect::{
        existing::{
            target::{
                KeyKind, TargetCheck, TargetColumn, TargetForeignKey, TargetIndex, TargetKey,
                TargetSchema, TargetTable, TargetTrigger,
            },
            types::TargetType,
        },
        ident::qualified,
    },
    error::Result,
};

/// Relations of a schema that have columns, without those that belong to an extension.
const TABLES: &str = "SELECT c.relname::text, c.relkind::text, \
     pg_has_role(c.relowner, 'USAGE'), c.relispartition, \
     EXISTS (SELECT FROM pg_inherits i WHERE i.inhparent = c.oid OR i.inhrelid = c.oid), \
     c.relrowsecurity AND (c.relforcerowsecurity OR NOT pg_has_role(c.relowner, 'USAGE')), \
     EXISTS (SELECT FROM pg_rewrite r WHERE r.ev_class = c.oid AND r.ev_type <> '1'), \
     ARRAY(SELECT k.conname::text FROM pg_constraint k \
       JOIN pg_class child ON child.oid = k.conrelid \
       WHERE k.contype = 'f' AND k.confrelid = c.oid \
         AND child.relnamespace <> c.relnamespace) \
   FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
   WHERE n.nspname = $1::text AND c.relkind IN ('r', 'p', 'f', 'v', 'm') \
     AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass \
       AND d.objid = c.oid AND d.deptype = 'e') \
   ORDER BY 1";

/// Their columns. A domain is followed down to the type that it is made of.
const COLUMNS: &str = "WITH RECURSIVE based (attrelid, attnum, typ, modifier, not_null) AS ( \
       SELECT a.attrelid, a.attnum, a.atttypid, a.atttypmod, false \
       FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid \
         JOIN pg_namespace n ON n.oid = c.relnamespace \
       WHERE n.nspname = $1::text AND c.relkind IN ('r', 'p', 'f', 'v', 'm') AND a.attnum > 0 \
         AND NOT a.attisdropped \
     UNION ALL \
       SELECT b.attrelid, b.attnum, t.typbasetype, t.typtypmod, b.not_null OR t.typnotnull \
       FROM based b JOIN pg_type t ON t.oid = b.typ AND t.typtype = 'd') \
   SELECT c.relname::text, a.attname::text, format_type(a.atttypid, a.atttypmod), \
     format_type(b.typ, b.modifier), t.typtype = 'e', t.typname = 'citext', \
     ARRAY(SELECT e.enumlabel::text FROM pg_enum e WHERE e.enumtypid = b.typ \
       ORDER BY e.enumsortorder), \
     a.attnotnull OR b.not_null, \
     CASE WHEN a.attgenerated = '' THEN pg_get_expr(d.adbin, d.adrelid) END, \
     CASE WHEN a.attgenerated <> '' THEN pg_get_expr(d.adbin, d.adrelid) END, \
     a.attidentity <> '', \
     CASE WHEN c.relkind IN ('r', 'p') THEN coalesce( \
       pg_get_serial_sequence(quote_ident($1) || '.' || quote_ident(c.relname), a.attname), \
       (SELECT s.oid::regclass::text FROM pg_depend u JOIN pg_class s ON s.oid = u.refobjid \
          AND s.relkind = 'S' \
        WHERE u.classid = 'pg_attrdef'::regclass AND u.objid = d.oid \
          AND pg_get_expr(d.adbin, d.adrelid) LIKE 'nextval(%' LIMIT 1)) END \
   FROM based b JOIN pg_class c ON c.oid = b.attrelid \
     JOIN pg_attribute a ON a.attrelid = b.attrelid AND a.attnum = b.attnum \
     JOIN pg_type t ON t.oid = b.typ AND t.typtype <> 'd' \
     LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum \
   ORDER BY c.relname, a.attnum";

const CONSTRAINTS: &str = "SELECT c.relname::text, k.conname::text, k.contype::text, \
     k.convalidated, pg_get_constraintdef(k.oid), \
     ARRAY(SELECT a.attname::text FROM unnest(k.conkey) WITH ORDINALITY AS u (n, o) \
       JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.n ORDER BY u.o), \
     coalesce(pn.nspname::text, ''), coalesce(p.relname::text, ''), \
     ARRAY(SELECT a.attname::text FROM unnest(k.confkey) WITH ORDINALITY AS u (n, o) \
       JOIN pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = u.n ORDER BY u.o), \
     k.confupdtype::text, k.confdeltype::text, k.condeferrable, k.condeferred \
   FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid \
     JOIN pg_namespace n ON n.oid = c.relnamespace \
     LEFT JOIN pg_class p ON p.oid = k.confrelid \
     LEFT JOIN pg_namespace pn ON pn.oid = p.relnamespace \
   WHERE n.nspname = $1::text AND k.contype IN ('p', 'u', 'x', 'f', 'c') \
   ORDER BY c.relname, k.conname";

/// Indexes that no constraint has made.
const INDEXES: &str = "SELECT c.relname::text, x.relname::text, i.indisunique, \
     pg_get_indexdef(i.indexrelid), i.indpred IS NOT NULL, \
     CASE WHEN 0 = ANY (i.indkey) THEN NULL ELSE \
       ARRAY(SELECT a.attname::text FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS u (n, o) \
         JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = u.n \
         WHERE u.o <= i.indnkeyatts ORDER BY u.o) END \
   FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid JOIN pg_class x ON x.oid = i.indexrelid \
     JOIN pg_namespace n ON n.oid = c.relnamespace \
   WHERE n.nspname = $1::text AND c.relkind IN ('r', 'p') AND NOT EXISTS ( \
     SELECT FROM pg_constraint k WHERE k.conindid = i.indexrelid AND k.contype IN ('p', 'u', 'x')) \
   ORDER BY c.relname, x.relname";

const TRIGGERS: &str = "SELECT c.relname::text, t.tgname::text, CASE t.tgenabled \
     WHEN 'A' THEN 'always' WHEN 'R' THEN 'replica' ELSE 'origin' END \
   FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid \
     JOIN pg_namespace n ON n.oid = c.relnamespace \
   WHERE n.nspname = $1::text AND NOT t.tgisinternal AND t.tgenabled <> 'D' \
     AND NOT starts_with(t.tgname, 'switchback_') \
   ORDER BY c.relname, t.tgname";

/// What goes with an index or a constraint and is in no definition. An index behind a constraint
/// has its options here; those of another one are in its definition.
const SETTINGS: &str = "SELECT c.relname::text, s.statement FROM pg_index i \
     JOIN pg_class c ON c.oid = i.indrelid JOIN pg_class x ON x.oid = i.indexrelid \
     JOIN pg_namespace n ON n.oid = c.relnamespace \
     LEFT JOIN pg_constraint k ON k.conindid = i.indexrelid AND k.conrelid = c.oid \
       AND k.contype IN ('p', 'u', 'x') \
     LEFT JOIN pg_tablespace t ON t.oid = x.reltablespace \
     CROSS JOIN LATERAL (VALUES \
       (1, 'ALTER INDEX ' || x.oid::regclass || ' SET TABLESPACE ' || quote_ident(t.spcname)), \
       (2, CASE WHEN k.oid IS NOT NULL THEN 'ALTER INDEX ' || x.oid::regclass || ' SET (' || \
          array_to_string(x.reloptions, ', ') || ')' END), \
       (3, CASE WHEN i.indisclustered THEN 'ALTER TABLE ' || c.oid::regclass || ' CLUSTER ON ' \
          || quote_ident(x.relname) END), \
       (4, CASE WHEN i.indisreplident THEN 'ALTER TABLE ' || c.oid::regclass || \
          ' REPLICA IDENTITY USING INDEX ' || quote_ident(x.relname) END), \
       (5, 'COMMENT ON INDEX ' || x.oid::regclass || ' IS ' || \
          quote_literal(obj_description(x.oid, 'pg_class')))) AS s (place, statement) \
   WHERE n.nspname = $1::text AND c.relkind = 'r' AND s.statement IS NOT NULL \
   UNION ALL SELECT c.relname::text, 'ALTER INDEX ' || x.oid::regclass || ' ALTER COLUMN ' || \
       a.attnum || ' SET STATISTICS ' || a.attstattarget \
     FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid JOIN pg_class x ON x.oid = i.indexrelid \
       JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = x.oid \
     WHERE n.nspname = $1::text AND c.relkind = 'r' AND a.attstattarget >= 0 AND 0 = ANY (i.indkey) \
   UNION ALL SELECT c.relname::text, 'COMMENT ON CONSTRAINT ' || quote_ident(k.conname) || ' ON ' \
       || c.oid::regclass || ' IS ' || quote_literal(obj_description(k.oid, 'pg_constraint')) \
     FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid \
       JOIN pg_namespace n ON n.oid = c.relnamespace \
     WHERE n.nspname = $1::text AND c.relkind = 'r' AND k.contype IN ('p', 'u', 'x', 'c') \
       AND obj_description(k.oid, 'pg_constraint') IS NOT NULL \
   ORDER BY 1, 2";

impl Target {
    /// The tables of a schema, read from one snapshot; changes nothing.
    pub async fn read_tables(&self, schema: &str) -> Result<TargetSchema> {
        let mut client = self.postgres().get().await?;
        let transaction = client
            .build_transaction()
            .isolation_level(IsolationLevel::RepeatableRead)
            .read_only(true)
            .start()
            .await
            .map_err(failed)?;
        let tables = tables(&transaction, schema).await?;
        transaction.commit().await.map_err(failed)?;
        Ok(TargetSchema { name: schema.to_owned(), tables })
    }

    /// Those of these tables that hold rows.
    pub async fn filled(&self, schema: &str, tables: &[&str]) -> Result<HashSet<String>> {
        let client = self.postgres().get().await?;
        let mut filled = HashSet::new();
        for table in tables {
            let sql = format!("SELECT EXISTS (SELECT FROM ONLY {})", qualified(schema, table));
            if client.query_one(&sql, &[]).await.map_err(failed)?.get(0) {
                filled.insert((*table).to_owned());
            }
        }
        Ok(filled)
    }
}

async fn tables(client: &impl GenericClient, schema: &str) -> Result<Vec<TargetTable>> {
    let read =
        |sql: &'static str| async move { client.query(sql, &[&schema]).await.map_err(failed) };
    let mut tables: Vec<TargetTable> = read(TABLES).await?.iter().map(table).collect();
    let places: HashMap<String, usize> =
        tables.iter().enumerate().map(|(at, table)| (table.name.clone(), at)).collect();
    let mut put = |row: &Row, add: fn(&mut TargetTable, &Row)| {
        if let Some(at) = places.get(row.get::<_, &str>(0)) {
            add(&mut tables[*at], row);
        }
    };
    read(COLUMNS).await?.iter().for_each(|row| put(row, add_column));
    read(CONSTRAINTS).await?.iter().for_each(|row| put(row, add_constraint));
    read(INDEXES).await?.iter().for_each(|row| put(row, add_index));
    read(TRIGGERS).await?.iter().for_each(|row| put(row, add_trigger));
    read(SETTINGS).await?.iter().for_each(|row| put(row, add_setting));
    Ok(tables)
}

fn table(row: &Row) -> TargetTable {
    let kind: &str = row.get(1);
    let elsewhere: Vec<String> = row.get(7);
    let mut unfit: Vec<String> = Vec::new();
    match kind {
        "r" => {}
        "p" => unfit.push("is partitioned".into()),
        "f" => unfit.push("is a foreign table".into()),
        _ => unfit.push("is a view".into()),
    }
    let reasons = [
        (!row.get::<_, bool>(2), "belongs to a role that the PostgreSQL user is no member of"),
        (row.get(3), "is a partition"),
        (
            row.get::<_, bool>(4) && kind == "r" && !row.get::<_, bool>(3),
            "takes part in inheritance",
        ),
        (row.get(5), "has row-level security that binds the PostgreSQL user too"),
        (row.get::<_, bool>(6) && kind == "r", "has rules"),
    ];
    unfit.extend(reasons.iter().filter(|(is, _)| *is).map(|(_, reason)| (*reason).to_owned()));
    if let Some(first) = elsewhere.first() {
        unfit.push(format!("is referred to from another schema, by {first}"));
    }
    TargetTable { name: row.get(0), unfit, ..TargetTable::default() }
}

fn add_column(table: &mut TargetTable, row: &Row) {
    let (is_enum, is_citext): (bool, bool) = (row.get(4), row.get(5));
    let wire = match (is_enum, is_citext) {
        (true, _) => String::new(),
        (false, true) => "text".to_owned(),
        (false, false) => row.get(3),
    };
    table.columns.push(TargetColumn {
        name: row.get(1),
        r#type: TargetType { name: row.get(2), wire, labels: row.get(6) },
        not_null: row.get(7),
        default: row.get(8),
        generated: row.get(9),
        identity: row.get(10),
        sequence: row.get(11),
    });
}

fn add_constraint(table: &mut TargetTable, row: &Row) {
    let (name, definition, validated) = (row.get(1), row.get(4), row.get(3));
    let kind = match row.get::<_, &str>(2) {
        "f" => {
            table.foreign_keys.push(TargetForeignKey {
                name,
                columns: row.get(5),
                parent_schema: row.get(6),
                parent: row.get(7),
                parent_columns: row.get(8),
                on_update: action(row.get(9)),
                on_delete: action(row.get(10)),
                deferrable: deferrable(row.get(11), row.get(12)),
                definition,
                validated,
            });
            return;
        }
        "c" => {
            table.checks.push(TargetCheck { name, definition, validated });
            return;
        }
        "p" => KeyKind::Primary,
        "u" => KeyKind::Unique,
        _ => KeyKind::Exclusion,
    };
    table.keys.push(TargetKey { name, kind, columns: row.get(5), definition });
}

fn action(code: &str) -> String {
    match code {
        "r" => "RESTRICT",
        "c" => "CASCADE",
        "n" => "SET NULL",
        "d" => "SET DEFAULT",
        _ => "NO ACTION",
    }
    .to_owned()
}

fn deferrable(deferrable: bool, deferred: bool) -> String {
    match (deferrable, deferred) {
        (false, _) => "",
        (true, false) => "DEFERRABLE",
        (true, true) => "DEFERRABLE INITIALLY DEFERRED",
    }
    .to_owned()
}

fn add_index(table: &mut TargetTable, row: &Row) {
    table.indexes.push(TargetIndex {
        name: row.get(1),
        unique: row.get(2),
        definition: row.get(3),
        partial: row.get(4),
        columns: row.get(5),
    });
}

fn add_trigger(table: &mut TargetTable, row: &Row) {
    table.triggers.push(TargetTrigger { name: row.get(1), enabled: row.get(2) });
}

fn add_setting(table: &mut TargetTable, row: &Row) {
    table.settings.push(row.get(1));
}
