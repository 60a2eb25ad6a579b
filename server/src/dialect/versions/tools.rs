//! The schema migration tools that are recognised, by the tables that they keep.

/// A schema migration tool.
#[derive(Debug, PartialEq, Eq)]
pub struct Tool {
    /// The table that records its versions, as the tool spells it. It is what callers are shown.
    pub table: &'static str,
    /// What people call it.
    pub name: &'static str,
    /// Columns of that table without which it is somebody else's.
    pub columns: &'static [&'static str],
    /// Columns that make one version; several are joined by full stops.
    pub version: &'static [&'static str],
    /// Which rows are versions.
    pub rows: Rows,
    /// Columns by which rows are in the order in which they were applied.
    pub order: &'static [&'static str],
    /// Tables that it keeps besides.
    pub others: &'static [OtherTable],
}

/// Which rows of a tool's table are versions that the schema has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rows {
    /// Every one.
    Every,
    /// Those in which this column is true.
    True(&'static str),
    /// Those in which this column is false.
    False(&'static str),
    /// Those that were finished and not undone.
    Finished {
        /// NULL before.
        at: &'static str,
        /// NULL unless it was undone.
        undone: &'static str,
    },
    /// The last row of each version, where it is true.
    LastTrue {
        /// Rises with each row.
        id: &'static str,
        /// Whether it is applied or undone.
        applied: &'static str,
    },
}

/// A table of a tool that holds no versions: a lock, a log.
#[derive(Debug, PartialEq, Eq)]
pub struct OtherTable {
    /// Its name.
    pub table: &'static str,
    /// Columns without which it is somebody else's.
    pub columns: &'static [&'static str],
}

/// What most tools have in common.
const PLAIN: Tool = Tool {
    table: "",
    name: "",
    columns: &[],
    version: &[],
    rows: Rows::Every,
    order: &[],
    others: &[],
};

/// Every tool. Of two that keep a table of the same name, the one with more columns comes first.
pub const TOOLS: &[Tool] = &[
    Tool {
        table: "_sqlx_migrations",
        name: "SQLx",
        columns: &["version", "description", "success", "checksum"],
        version: &["version"],
        rows: Rows::True("success"),
        order: &["version"],
        ..PLAIN
    },
    Tool {
        table: "schema_migrations",
        name: "golang-migrate",
        columns: &["version", "dirty"],
        version: &["version"],
        rows: Rows::False("dirty"),
        order: &["version"],
        ..PLAIN
    },
    Tool {
        table: "schema_migrations",
        name: "Ecto",
        columns: &["version", "inserted_at"],
        version: &["version"],
        order: &["version"],
        ..PLAIN
    },
    Tool {
        table: "schema_migrations",
        name: "Rails, dbmate",
        columns: &["version"],
        version: &["version"],
        order: &["version"],
        others: &[OtherTable { table: "ar_internal_metadata", columns: &["key", "value"] }],
        ..PLAIN
    },
    Tool {
        table: "alembic_version",
        name: "Alembic",
        columns: &["version_num"],
        version: &["version_num"],
        order: &["version_num"],
        ..PLAIN
    },
    Tool {
        table: "django_migrations",
        name: "Django",
        columns: &["id", "app", "name", "applied"],
        version: &["app", "name"],
        order: &["id"],
        ..PLAIN
    },
    Tool {
        table: "flyway_schema_history",
        name: "Flyway",
        columns: &["installed_rank", "version", "success"],
        // NULL for repeatable scripts and for the row that says who made the schema.
        version: &["version"],
        rows: Rows::True("success"),
        order: &["installed_rank"],
        ..PLAIN
    },
    Tool {
        table: "databasechangelog",
        name: "Liquibase",
        columns: &["id", "author", "filename", "orderexecuted"],
        version: &["filename", "id", "author"],
        order: &["orderexecuted"],
        others: &[OtherTable { table: "databasechangeloglock", columns: &["id", "locked"] }],
        ..PLAIN
    },
    Tool {
        table: "_prisma_migrations",
        name: "Prisma",
        columns: &["migration_name", "started_at", "finished_at", "rolled_back_at"],
        version: &["migration_name"],
        rows: Rows::Finished { at: "finished_at", undone: "rolled_back_at" },
        order: &["started_at", "migration_name"],
        ..PLAIN
    },
    Tool {
        table: "knex_migrations",
        name: "Knex",
        columns: &["id", "name", "batch", "migration_time"],
        version: &["name"],
        order: &["id"],
        others: &[OtherTable { table: "knex_migrations_lock", columns: &["index", "is_locked"] }],
        ..PLAIN
    },
    Tool {
        table: "goose_db_version",
        name: "goose",
        columns: &["id", "version_id", "is_applied"],
        version: &["version_id"],
        rows: Rows::LastTrue { id: "id", applied: "is_applied" },
        order: &["id"],
        ..PLAIN
    },
    Tool {
        table: "__EFMigrationsHistory",
        name: "Entity Framework Core",
        columns: &["MigrationId", "ProductVersion"],
        version: &["MigrationId"],
        order: &["MigrationId"],
        others: &[OtherTable { table: "__EFMigrationsLock", columns: &["Id", "Timestamp"] }],
        ..PLAIN
    },
    Tool {
        table: "migrations",
        name: "Laravel",
        columns: &["migration", "batch"],
        version: &["migration"],
        order: &["batch", "migration"],
        ..PLAIN
    },
    Tool {
        table: "migrations",
        name: "TypeORM",
        columns: &["id", "timestamp", "name"],
        version: &["name"],
        order: &["id"],
        ..PLAIN
    },
    Tool {
        table: "SequelizeMeta",
        name: "Sequelize",
        columns: &["name"],
        version: &["name"],
        order: &["name"],
        ..PLAIN
    },
    Tool {
        table: "mikro_orm_migrations",
        name: "MikroORM",
        columns: &["id", "name", "executed_at"],
        version: &["name"],
        order: &["id"],
        ..PLAIN
    },
    Tool {
        table: "refinery_schema_history",
        name: "Refinery",
        columns: &["version", "name", "applied_on", "checksum"],
        version: &["version", "name"],
        order: &["version"],
        ..PLAIN
    },
    Tool {
        table: "__diesel_schema_migrations",
        name: "Diesel",
        columns: &["version", "run_on"],
        version: &["version"],
        order: &["version"],
        ..PLAIN
    },
    Tool {
        table: "migration_log",
        name: "Grafana",
        columns: &["id", "migration_id", "sql", "success"],
        version: &["migration_id"],
        rows: Rows::True("success"),
        order: &["id"],
        ..PLAIN
    },
    Tool {
        table: "migratehistory",
        name: "Peewee",
        columns: &["id", "name", "migrated_at"],
        version: &["name"],
        order: &["id"],
        ..PLAIN
    },
    Tool {
        table: "_yoyo_migration",
        name: "yoyo",
        columns: &["migration_hash", "migration_id", "applied_at_utc"],
        version: &["migration_id"],
        order: &["applied_at_utc", "migration_id"],
        others: &[
            OtherTable { table: "_yoyo_log", columns: &["migration_hash", "operation"] },
            OtherTable { table: "_yoyo_version", columns: &["version", "installed_at_utc"] },
            OtherTable { table: "yoyo_lock", columns: &["locked", "pid"] },
        ],
        ..PLAIN
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    fn used(rows: Rows) -> Vec<&'static str> {
        match rows {
            Rows::Every => Vec::new(),
            Rows::True(column) | Rows::False(column) => vec![column],
            Rows::Finished { at, undone } => vec![at, undone],
            Rows::LastTrue { id, applied } => vec![id, applied],
        }
    }

    #[test]
    fn what_is_read_is_what_a_tool_is_recognised_by() {
        for tool in TOOLS {
            assert!(!tool.version.is_empty() && !tool.order.is_empty(), "{}", tool.name);
            let mut read = used(tool.rows);
            read.extend(tool.version.iter().chain(tool.order));
            for column in read {
                assert!(tool.columns.contains(&column), "{}: {column}", tool.name);
            }
        }
    }

    #[test]
    fn the_page_lists_every_tool_and_no_other() {
        let page = include_str!("../../../../docs/schema-versions.md");
        let listed: Vec<&str> = page.lines().filter(|line| line.starts_with("| `")).collect();
        let rows = TOOLS.iter().map(|tool| {
            let version: Vec<String> = tool.version.iter().map(|c| format!("`{c}`")).collect();
            let others: Vec<String> =
                tool.others.iter().map(|other| format!("`{}`", other.table)).collect();
            let (version, others) = (version.join(", "), others.join(", "));
            let rows = match tool.rows {
                Rows::Every => "all".to_owned(),
                Rows::True(column) => format!("`{column}` is true"),
                Rows::False(column) => format!("`{column}` is false"),
                Rows::Finished { at, undone } => format!("`{at}` is set, `{undone}` is not"),
                Rows::LastTrue { applied, .. } => {
                    format!("the last of each version, where `{applied}` is true")
                }
            };
            format!("| `{}` | {} | {version} | {rows} | {others} |", tool.table, tool.name)
                .replace("|  |", "| |")
        });
        let rows: Vec<String> = rows.collect();
        assert_eq!(listed, rows, "docs/schema-versions.md should list\n{}", rows.join("\n"));
    }
}
