//! A private PostgreSQL cluster for the tests of one binary, and small databases and plans.

use std::{
    fmt::Write as _,
    io::{BufRead, BufReader},
    os::unix::{
        fs::{MetadataExt, chown},
        process::CommandExt,
    },
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
};

use rusqlite::Connection;
use switchback_proto::v1::{ColumnPlan, Plan, TablePlan};
use switchback_server::{
    census::schema,
    db::{
        postgres::{PoolSettings, Postgres},
        source::SourceFile,
        target::{Holder, Made, Step, Target},
    },
    dialect::{
        ident::{qualified, quote},
        schema::{RowAddress, SourceSchema, Table},
    },
};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

/// Starts the server, waits until the tests' process is gone, and leaves nothing behind.
const SCRIPT: &str = r#"
set -e
"$BIN/initdb" -D "$DIR/data" -U switchback -A trust -E UTF8 --locale=C --no-sync >"$DIR/log" 2>&1
"$BIN/pg_ctl" -D "$DIR/data" -w -l "$DIR/server.log" \
    -o "-c listen_addresses= -c unix_socket_directories=$DIR -c fsync=off" \
    start >>"$DIR/log" 2>&1 </dev/null
echo ready
cat >/dev/null
"$BIN/pg_ctl" -D "$DIR/data" -m immediate -w stop >/dev/null 2>&1
rm -rf "$DIR"
"#;

struct Cluster {
    directory: PathBuf,
    // Its standard input closes when this process ends, however it ends.
    _watchdog: Child,
}

fn cluster() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    CLUSTER.get_or_init(|| {
        let directory = tempfile::Builder::new().prefix("swb").tempdir().unwrap().keep();
        let mut command = Command::new("sh");
        command.args(["-c", SCRIPT]).env("BIN", binaries()).env("DIR", &directory);
        command.current_dir("/").process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        if std::fs::metadata("/proc/self").unwrap().uid() == 0 {
            // initdb refuses to run as root.
            const NOBODY: u32 = 65_534;
            chown(&directory, Some(NOBODY), Some(NOBODY)).unwrap();
            command.uid(NOBODY).gid(NOBODY);
        }
        let mut watchdog = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(watchdog.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n", "PostgreSQL did not start; see {}", directory.display());
        Cluster { directory, _watchdog: watchdog }
    })
}

fn binaries() -> PathBuf {
    if let Some(directory) = std::env::var_os("SWITCHBACK_PG_BIN") {
        return directory.into();
    }
    let versions = std::fs::read_dir("/usr/lib/postgresql").expect("PostgreSQL is installed");
    let mut found: Vec<PathBuf> =
        versions.map(|version| version.unwrap().path().join("bin")).collect();
    found.sort();
    found.pop().expect("a version of PostgreSQL is installed")
}

/// A SQLite file, its plan and an empty PostgreSQL database.
pub(crate) struct Pair {
    _directory: TempDir,
    pub(crate) path: PathBuf,
    pub(crate) source: SourceFile,
    pub(crate) postgres: Postgres,
    pub(crate) target: Target,
}

impl Pair {
    /// A pair whose SQLite file is made by the statements.
    pub(crate) async fn new(sql: &str) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("source.db");
        Connection::open(&path).unwrap().execute_batch(sql).unwrap();
        let cluster = cluster();
        let url = |name: &str| {
            format!("host={} user=switchback dbname={name}", cluster.directory.display())
        };
        let name = format!("t{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let settings = PoolSettings { max_connections: 2, ..PoolSettings::default() };
        let admin = Postgres::new(&url("postgres"), settings).unwrap();
        let create = format!("CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'");
        admin.get().await.unwrap().batch_execute(&create).await.unwrap();
        let postgres = Postgres::new(&url(&name), PoolSettings::default()).unwrap();
        Self {
            _directory: directory,
            source: SourceFile::new(&path),
            path,
            target: Target::new(
                postgres.clone(),
                Holder {
                    id: "test".into(),
                    name: "test".into(),
                    lease: std::time::Duration::from_secs(15),
                },
            ),
            postgres,
        }
    }

    pub(crate) fn schema(&self) -> SourceSchema {
        schema::read(&self.source.open().unwrap(), &self.source).unwrap()
    }

    pub(crate) fn sqlite(&self, sql: &str) {
        Connection::open(&self.path).unwrap().execute_batch(sql).unwrap();
    }

    pub(crate) async fn sql(&self, sql: &str) {
        self.postgres.get().await.unwrap().batch_execute(sql).await.unwrap();
    }

    pub(crate) async fn number(&self, sql: &str) -> i64 {
        self.postgres.get().await.unwrap().query_one(sql, &[]).await.unwrap().get(0)
    }

    pub(crate) async fn make(&self, database: &str, step: Step<'_>, sql: &str) {
        self.target.make(database, step, sql, &CancellationToken::new()).await.unwrap();
    }

    /// Makes the planned tables, with their primary keys.
    pub(crate) async fn make_tables(&self, plan: &Plan) {
        self.target.install().await.unwrap();
        for table in &plan.tables {
            let made = Made::Table { schema: &plan.target_schema, name: &table.target };
            let id = format!("table:{}", table.target);
            let sql = create_table(&plan.target_schema, table);
            self.make(&plan.database, Step { id: &id, made }, &sql).await;
        }
    }
}

fn create_table(schema: &str, table: &TablePlan) -> String {
    let mut sql = format!("CREATE TABLE {} (", qualified(schema, &table.target));
    for (number, column) in table.columns.iter().enumerate() {
        let comma = if number == 0 { "" } else { ", " };
        write!(sql, "{comma}{} {}", quote(&column.target), column.r#type).unwrap();
        if column.not_null {
            sql.push_str(" NOT NULL");
        }
        if column.identity {
            sql.push_str(" GENERATED BY DEFAULT AS IDENTITY");
        }
        if !column.generated.is_empty() {
            write!(sql, " GENERATED ALWAYS AS ({}) STORED", column.generated).unwrap();
        }
    }
    if !table.primary_key.is_empty() {
        let columns: Vec<String> = table.primary_key.iter().map(|name| quote(name)).collect();
        let name = quote(&table.primary_key_name);
        write!(sql, ", CONSTRAINT {name} PRIMARY KEY ({})", columns.join(", ")).unwrap();
    }
    sql + ")"
}

/// A plan by the declared types alone: INTEGER, REAL, TEXT and BLOB.
pub(crate) fn plain_plan(schema: &SourceSchema) -> Plan {
    Plan {
        version: 1,
        database: "default".into(),
        target_schema: "public".into(),
        source_fingerprint: schema.fingerprint.clone(),
        tables: schema.tables.iter().map(plain_table).collect(),
        ..Plan::default()
    }
}

fn plain_table(table: &Table) -> TablePlan {
    let columns = table.columns.iter().enumerate().map(|(number, column)| {
        let (pg_type, codec) = match column.declared.as_str() {
            "INTEGER" | "INT" => ("bigint", "integer"),
            "REAL" => ("double precision", "real"),
            "BLOB" => ("bytea", "blob"),
            "ANY" => ("text", "tagged"),
            _ => ("text", "text"),
        };
        ColumnPlan {
            source: column.name.clone(),
            target: column.name.clone(),
            r#type: pg_type.into(),
            codec: codec.into(),
            not_null: column.not_null,
            generated: column.generated.clone().unwrap_or_default(),
            identity: table.row_address == RowAddress::Alias(number),
            ..ColumnPlan::default()
        }
    });
    let key = table.primary_key.iter().map(|number| table.columns[*number].name.clone());
    TablePlan {
        source: table.name.clone(),
        target: table.name.clone(),
        columns: columns.collect(),
        primary_key: key.collect(),
        primary_key_name: format!("{}_pkey", table.name),
        ..TablePlan::default()
    }
}
