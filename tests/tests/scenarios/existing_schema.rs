//! An application that has made its own tables in PostgreSQL, and the plan of a migration into them.

use std::{fs, process::Stdio};

use switchback_proto::v1::{
    CheckPlan, ColumnPlan, ExistingSchema, ForeignKeyPlan, IndexPlan, OuterForeignKey, Plan,
    TablePlan, TriggerPlan,
};
use switchback_tests::{
    cluster::{Cluster, OWNER},
    rig::Rig,
};
use tokio::process::Command;
use tokio_postgres::Client;

use crate::round;

/// What SQLite holds.
const SOURCE: &str = "
CREATE TABLE users (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, mood TEXT NOT NULL,
  age INTEGER, legacy TEXT DEFAULT 'none');
CREATE TABLE orders (id INTEGER PRIMARY KEY, owner INTEGER NOT NULL, parent INTEGER,
  region TEXT NOT NULL, number INTEGER NOT NULL, total INTEGER NOT NULL, twice INTEGER,
  half INTEGER AS (total / 2) STORED);
CREATE TABLE lines (region TEXT NOT NULL, number INTEGER NOT NULL, n INTEGER NOT NULL, what TEXT,
  PRIMARY KEY (region, number, n));
CREATE TABLE notes (at TEXT, note TEXT);
INSERT INTO users VALUES (1, 'Ann', 'ok', 31, 'a'), (2, 'Bob', 'sad', NULL, 'b'),
  (5, 'Cid', 'ok', 50, 'c');
INSERT INTO orders (id, owner, parent, region, number, total, twice) VALUES
  (1, 1, NULL, 'eu', 1, 10, 20), (2, 1, 1, 'eu', 2, 7, 14), (9, 2, 2, 'us', 1, 3, 6);
INSERT INTO lines VALUES ('eu', 1, 1, 'tea'), ('eu', 1, 2, NULL), ('us', 1, 1, 'milk');
INSERT INTO notes VALUES ('now', 'one'), ('now', 'one'), ('then', NULL);";

/// What the application has made in PostgreSQL. `events` and `audit` are in no plan.
const TARGET: &str = "
CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE DOMAIN positive AS bigint CHECK (VALUE > 0);
CREATE TABLE events (id bigserial PRIMARY KEY, what text);
CREATE FUNCTION log_it() RETURNS trigger LANGUAGE plpgsql AS $$
  BEGIN INSERT INTO public.events (what) VALUES (TG_NAME); RETURN NEW; END $$;
CREATE TABLE users (id bigserial PRIMARY KEY, name text NOT NULL, mood mood NOT NULL,
  age positive CONSTRAINT grown CHECK (age > 17), shown text,
  added timestamptz NOT NULL DEFAULT now(), CONSTRAINT one_name UNIQUE (name) DEFERRABLE);
CREATE INDEX by_age ON users (age DESC) WHERE age IS NOT NULL;
CREATE UNIQUE INDEX by_lower ON users (lower(name));
COMMENT ON INDEX by_age IS 'old''s first';
ALTER TABLE users CLUSTER ON by_lower;
CREATE TABLE orders (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  owner bigint NOT NULL CONSTRAINT owned REFERENCES users (id) ON DELETE CASCADE,
  parent bigint CONSTRAINT follows REFERENCES orders (id) DEFERRABLE INITIALLY DEFERRED,
  region text NOT NULL, number bigint NOT NULL, total bigint NOT NULL,
  twice bigint GENERATED ALWAYS AS (total * 2) STORED, half bigint,
  CONSTRAINT in_region UNIQUE (region, number),
  CONSTRAINT one_of_each EXCLUDE USING btree (number WITH =, region WITH =));
COMMENT ON CONSTRAINT owned ON orders IS 'who pays';
CREATE TABLE lines (region text NOT NULL, number bigint NOT NULL, n bigint NOT NULL, what text,
  CONSTRAINT of_order FOREIGN KEY (region, number) REFERENCES orders (region, number)
    ON UPDATE CASCADE);
CREATE TABLE notes (at text, note text);
CREATE TABLE audit (id bigserial PRIMARY KEY, who bigint REFERENCES users (id), what text);
CREATE TRIGGER told AFTER INSERT ON users FOR EACH ROW EXECUTE FUNCTION log_it();
CREATE TRIGGER always_told AFTER UPDATE ON users FOR EACH ROW EXECUTE FUNCTION log_it();
CREATE TRIGGER silent AFTER INSERT ON users FOR EACH ROW EXECUTE FUNCTION log_it();
ALTER TABLE users ENABLE ALWAYS TRIGGER always_told, DISABLE TRIGGER silent;";

/// A pair whose PostgreSQL has the application's tables, which an ordinary role owns, and a plan.
pub(crate) async fn pair() -> (Rig, Plan) {
    let rig = Rig::of_sql(SOURCE).await;
    let mut plan = round::planned(&rig, &[]).await;
    rig.database.owner().await.batch_execute(TARGET).await.expect("the application's tables");
    adapt(&mut plan);
    fill(&mut plan, &rig.target().await).await;
    (rig, plan)
}

/// Writes the plan down for `--plan`.
pub(crate) fn write(rig: &Rig, plan: &Plan) -> String {
    let file = rig.directory.path().join("plan.json");
    fs::write(&file, serde_json::to_string_pretty(plan).expect("JSON")).expect("writable");
    file.display().to_string()
}

/// What `pg_dump` says of everything but what is ours.
pub(crate) async fn dump(rig: &Rig) -> String {
    let cluster = Cluster::shared();
    let output = Command::new(cluster.programs().path("pg_dump"))
        .args(["--schema-only", "--exclude-schema=switchback", "--username", "admin"])
        .arg("--host")
        .arg(cluster.socket())
        .args(["--port", &cluster.port().to_string(), "--dbname", &rig.database.name])
        .stdin(Stdio::null())
        .output()
        .await
        .expect("pg_dump runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("text");
    // It has a random key in each run.
    text.lines().filter(|line| !line.contains("restrict ")).collect::<Vec<_>>().join("\n")
}

/// What only a person or a planner knows: how the columns of both sides belong together.
fn adapt(plan: &mut Plan) {
    let users = &mut plan.tables[0];
    users.columns.retain(|column| column.source != "legacy");
    users.skipped = vec!["legacy".into()];
    users.defaulted = vec!["added".into()];
    let codec = users.columns.iter().find(|column| column.source == "name");
    let codec = codec.expect("a column").codec.clone();
    users.columns.push(ColumnPlan {
        target: "shown".into(),
        expression: "upper(name) || '!'".into(),
        codec,
        ..ColumnPlan::default()
    });
    let twice = plan.tables[1].columns.iter_mut().find(|column| column.source == "twice");
    twice.expect("a column").generated = "(total * 2)".into();
    let half = plan.tables[1].columns.iter_mut().find(|column| column.source == "half");
    half.expect("a column").generated.clear();
    let own = IndexPlan {
        target: "switchback_lines".into(),
        unique: true,
        ours: true,
        terms: ["region", "number", "n"].map(|name| format!("\"{name}\"")).into(),
        ..IndexPlan::default()
    };
    plan.existing = Some(ExistingSchema::default());
    for table in &mut plan.tables {
        table.foreign_keys.clear();
        table.checks.clear();
        table.indexes.clear();
        table.primary_key.clear();
        for column in &mut table.columns {
            column.identity = false;
            column.default.clear();
        }
    }
    // PostgreSQL has nothing that names its rows.
    plan.tables[2].indexes.push(own);
}

/// What the catalog says.
async fn fill(plan: &mut Plan, client: &Client) {
    client.batch_execute("SET search_path = pg_catalog").await.expect("set");
    let names: Vec<String> = plan.tables.iter().map(|table| table.target.clone()).collect();
    for table in &mut plan.tables {
        columns(table, client).await;
        constraints(table, client).await;
        indexes(table, client).await;
        triggers(table, client).await;
    }
    let sql = "SELECT c.relname::text, k.conname::text, p.relname::text, pg_get_constraintdef(k.oid) \
               FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid \
                 JOIN pg_class p ON p.oid = k.confrelid \
               WHERE k.contype = 'f' AND p.relname = ANY ($1) AND c.relname <> ALL ($1)";
    let outer = client.query(sql, &[&names]).await.expect("foreign keys");
    let outer = outer.iter().map(|row| OuterForeignKey {
        table: row.get(0),
        key: Some(ForeignKeyPlan {
            name: row.get(1),
            parent: row.get(2),
            definition: row.get(3),
            validate: true,
            ..ForeignKeyPlan::default()
        }),
    });
    plan.existing.as_mut().expect("existing").foreign_keys = outer.collect();
}

async fn columns(table: &mut TablePlan, client: &Client) {
    let sql = "SELECT format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity <> '', \
                 coalesce(pg_get_serial_sequence('public.' || $1, a.attname), ''), \
                 CASE WHEN t.typtype = 'd' THEN format_type(t.typbasetype, t.typtypmod) \
                   WHEN t.typtype = 'e' THEN 'text' ELSE '' END \
               FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid \
               WHERE a.attrelid = ('public.' || $1)::regclass AND a.attname = $2";
    for column in &mut table.columns {
        let row = client.query_one(sql, &[&table.target, &column.target]).await.expect("a column");
        column.r#type = row.get(0);
        column.not_null = row.get(1);
        column.identity = row.get(2);
        column.sequence = row.get(3);
        column.wire = row.get(4);
    }
}

async fn constraints(table: &mut TablePlan, client: &Client) {
    let sql = "SELECT k.conname::text, k.contype::text, pg_get_constraintdef(k.oid), \
                 coalesce(p.relname::text, ''), \
                 ARRAY(SELECT a.attname::text FROM unnest(k.conkey) WITH ORDINALITY AS u (n, o) \
                   JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.n ORDER BY u.o) \
               FROM pg_constraint k LEFT JOIN pg_class p ON p.oid = k.confrelid \
               WHERE k.conrelid = ('public.' || $1)::regclass ORDER BY k.oid";
    for row in client.query(sql, &[&table.target]).await.expect("constraints") {
        let (name, definition): (String, String) = (row.get(0), row.get(2));
        match row.get::<_, &str>(1) {
            "p" => {
                table.primary_key_name = name;
                table.primary_key_definition = definition;
                table.primary_key = row.get(4);
            }
            "f" => table.foreign_keys.push(ForeignKeyPlan {
                name,
                definition,
                parent: row.get(3),
                validate: true,
                ..ForeignKeyPlan::default()
            }),
            "c" => table.checks.push(CheckPlan { name, definition, ..CheckPlan::default() }),
            kind => table.indexes.push(IndexPlan {
                target: name,
                definition,
                unique: kind == "u",
                constraint: true,
                ..IndexPlan::default()
            }),
        }
    }
}

async fn indexes(table: &mut TablePlan, client: &Client) {
    let sql = "SELECT c.relname::text, i.indisunique, pg_get_indexdef(c.oid), i.indisclustered, \
                 obj_description(c.oid, 'pg_class'), quote_literal(obj_description(c.oid, 'pg_class')) \
               FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid \
               WHERE i.indrelid = ('public.' || $1)::regclass \
                 AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = c.oid \
                   AND k.contype IN ('p', 'u', 'x')) ORDER BY 1";
    for row in client.query(sql, &[&table.target]).await.expect("indexes") {
        let target: String = row.get(0);
        if let Some(comment) = row.get::<_, Option<String>>(5) {
            table.settings.push(format!("COMMENT ON INDEX public.{target} IS {comment}"));
        }
        if row.get(3) {
            let name = &table.target;
            table.settings.push(format!("ALTER TABLE public.{name} CLUSTER ON {target}"));
        }
        let (unique, definition) = (row.get(1), row.get(2));
        table.indexes.push(IndexPlan { target, unique, definition, ..IndexPlan::default() });
    }
}

async fn triggers(table: &mut TablePlan, client: &Client) {
    let sql = "SELECT tgname::text, CASE tgenabled WHEN 'A' THEN 'always' ELSE 'origin' END \
               FROM pg_trigger WHERE tgrelid = ('public.' || $1)::regclass \
                 AND NOT tgisinternal AND tgenabled <> 'D' ORDER BY 1";
    let rows = client.query(sql, &[&table.target]).await.expect("triggers");
    let triggers = rows.iter().map(|row| TriggerPlan { name: row.get(0), enabled: row.get(1) });
    table.triggers = triggers.collect();
}

/// Makes the owner of a table somebody else.
pub(crate) async fn give_away(rig: &Rig, table: &str) {
    let sql = format!("ALTER TABLE {table} OWNER TO admin; GRANT ALL ON {table} TO {OWNER}");
    rig.target().await.batch_execute(&sql).await.expect("given away");
}
