//! Names of the metrics, of their attributes, and of the spans' target.
//!
//! A name ends in its unit where that is needed to tell two of them apart, and the unit is given in
//! UCUM beside it. Those that say yes or no have none: exporters for Prometheus would append
//! `_ratio` for the unit `1`.

/// Target of the spans that are for traces and not for the log: its lines name the operation.
pub(super) const TRACE: &str = "switchback::trace";

/// Name of the meter and of the tracer.
pub(super) const SCOPE: &str = "switchback";

/// The configured name of a database.
pub(super) const DATABASE: &str = "database";

/// `sqlite` or `postgres`.
pub(super) const ENGINE: &str = "engine";

/// A table's name in the source.
pub(super) const TABLE: &str = "table";

/// Kind of an operation: `migrate`.
pub(super) const KIND: &str = "kind";

/// Why an operation failed: `TARGET_UNREACHABLE`; empty where it has not.
pub(super) const REASON: &str = "reason";

/// `idle` or `used`.
pub(super) const STATE: &str = "state";

/// `succeeded` or `failed`, for an operation also `cancelled`.
pub(super) const RESULT: &str = "result";

/// Where changes go: `forward` is from the source to the target.
pub(super) const DIRECTION: &str = "direction";

/// What a metric is called and what it counts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Name {
    pub(super) name: &'static str,
    pub(super) unit: &'static str,
    pub(super) description: &'static str,
}

pub(super) const LAG_CHANGES: Name = Name {
    name: "switchback.lag_changes",
    unit: "{change}",
    description: "changes recorded and not yet applied",
};

pub(super) const LAG_SECONDS: Name = Name {
    name: "switchback.lag_seconds",
    unit: "s",
    description: "age of the oldest change that is recorded and not yet applied",
};

pub(super) const ACTIVE_ENGINE: Name = Name {
    name: "switchback.active_engine",
    unit: "",
    description: "1 for the engine that applications write to, 0 for the other one",
};

pub(super) const EPOCH: Name = Name {
    name: "switchback.epoch",
    unit: "{switch}",
    description: "how often the active engine has changed",
};

pub(super) const ENGINE_UP: Name = Name {
    name: "switchback.engine_up",
    unit: "",
    description: "1 where the active engine answers the health check, 0 where it does not",
};

pub(super) const WRITE_PAUSE_SECONDS: Name = Name {
    name: "switchback.write_pause_seconds",
    unit: "s",
    description: "how long writers waited at a switch",
};

pub(super) const BACKUP_AGE_SECONDS: Name = Name {
    name: "switchback.backup_age_seconds",
    unit: "s",
    description: "time since the newest good backup was taken",
};

pub(super) const BACKUPS: Name = Name {
    name: "switchback.backups",
    unit: "{backup}",
    description: "backups that were made, or failed",
};

pub(super) const BACKUP_BYTES: Name = Name {
    name: "switchback.backup_bytes",
    unit: "By",
    description: "bytes that went to the store of backups",
};

pub(super) const COPIED_ROWS: Name = Name {
    name: "switchback.copied_rows",
    unit: "{row}",
    description: "rows that migrations have copied to PostgreSQL",
};

pub(super) const COPIED_BYTES: Name = Name {
    name: "switchback.copied_bytes",
    unit: "By",
    description: "bytes that migrations have sent to PostgreSQL for these rows",
};

pub(super) const OPERATIONS: Name = Name {
    name: "switchback.operations",
    unit: "{operation}",
    description: "operations that have ended",
};

pub(super) const POOL_CONNECTIONS: Name = Name {
    name: "switchback.pool_connections",
    unit: "{connection}",
    description: "open connections to PostgreSQL",
};

pub(super) const POOL_SIZE: Name = Name {
    name: "switchback.pool_size",
    unit: "{connection}",
    description: "most connections to PostgreSQL",
};

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{super::prometheus, *};

    const ALL: [Name; 14] = [
        LAG_CHANGES,
        LAG_SECONDS,
        ACTIVE_ENGINE,
        EPOCH,
        ENGINE_UP,
        WRITE_PAUSE_SECONDS,
        BACKUP_AGE_SECONDS,
        BACKUPS,
        BACKUP_BYTES,
        COPIED_ROWS,
        COPIED_BYTES,
        OPERATIONS,
        POOL_CONNECTIONS,
        POOL_SIZE,
    ];

    const COUNTERS: [Name; 5] = [BACKUPS, BACKUP_BYTES, COPIED_ROWS, COPIED_BYTES, OPERATIONS];

    #[test]
    fn the_page_lists_every_metric_and_no_other() {
        let page = include_str!("../../../docs/metrics.md");
        let listed: BTreeSet<&str> = page
            .lines()
            .filter_map(|line| line.strip_prefix("| `switchback."))
            .filter_map(|line| line.split('`').next())
            .collect();
        let known: BTreeSet<&str> =
            ALL.iter().filter_map(|name| name.name.strip_prefix("switchback.")).collect();
        assert_eq!(listed, known);
        for Name { name, unit, description } in ALL {
            let is_counter = COUNTERS.iter().any(|counter| counter.name == name);
            let scraped = prometheus::name(name, unit, is_counter);
            let unit = if unit.is_empty() { String::new() } else { format!("`{unit}`") };
            let row = format!("| `{name}` | `{scraped}` | {unit} | {description} |")
                .replace("|  |", "| |");
            assert!(page.contains(&row), "docs/metrics.md lacks\n{row}");
        }
    }
}
