//! Metrics: what is observed, how often it is sent by OTLP, and what a scrape gets.
//!
//! Observing asks nobody: an engine or a disk that hangs must not hold up what tells of it.

use std::{sync::Arc, time::Duration};

use opentelemetry::{
    KeyValue, global,
    metrics::{Meter, MeterProvider},
};
use opentelemetry_otlp::MetricExporter;
use opentelemetry_sdk::metrics::{PeriodicReader, SdkMeterProvider};
use switchback_proto::{
    v1::{Engine, OperationKind, OperationState},
    words::Word,
};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    export::{self, flush, resource, towards},
    names::{
        ACTIVE_ENGINE, BACKUP_AGE_SECONDS, BACKUP_BYTES, BACKUPS, COPIED_BYTES, COPIED_ROWS,
        DATABASE, DIRECTION, ENGINE, ENGINE_UP, EPOCH, KIND, LAG_CHANGES, LAG_SECONDS, Name,
        OPERATIONS, POOL_CONNECTIONS, POOL_SIZE, REASON, RESULT, SCOPE, STATE, TABLE,
        WRITE_PAUSE_SECONDS,
    },
    scrape::Reader,
};
use crate::{
    clock,
    config::Otlp,
    db::{DatabaseSet, Known},
    error::{Error, Reason, Result},
};

/// Bounds of the write pause's histogram, in seconds. The SDK's own are for milliseconds.
const PAUSES: [f64; 11] = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// Metrics that are being sent or scraped.
#[derive(Debug)]
pub struct Metrics {
    provider: SdkMeterProvider,
    is_sent: bool,
    _over: DropGuard,
}

/// Who gets metrics.
#[derive(Debug)]
pub struct Takers<'a> {
    /// What the server is called, where that is set.
    pub service_name: Option<&'a str>,
    /// A collector.
    pub otlp: Option<&'a Otlp>,
    /// Whoever scrapes.
    pub scraped: Option<Reader>,
}

impl Metrics {
    /// Begins to measure; `None` where nobody takes it. Must be called on the runtime, which
    /// carries the connection, and before whatever records a metric.
    pub fn start(
        takers: Takers<'_>,
        server_id: &str,
        set: &Arc<DatabaseSet>,
    ) -> Result<Option<Self>> {
        let Takers { service_name, otlp, scraped } = takers;
        if otlp.is_none() && scraped.is_none() {
            return Ok(None);
        }
        let over = CancellationToken::new();
        let mut provider =
            SdkMeterProvider::builder().with_resource(resource(service_name, server_id));
        if let Some(otlp) = otlp {
            let exporter = export::Metrics::new(collector(otlp)?, over.clone());
            let reader = PeriodicReader::builder(exporter).with_interval(otlp.interval).build();
            provider = provider.with_reader(reader);
            tracing::info!(collector = otlp.shown(), interval = ?otlp.interval, "metrics are sent");
        }
        if let Some(reader) = scraped {
            provider = provider.with_reader(reader);
        }
        let provider = provider.build();
        let meter = provider.meter(SCOPE);
        observe_lag(&meter, set);
        observe_engines(&meter, set);
        observe_backups(&meter, set);
        observe_pools(&meter, set);
        global::set_meter_provider(provider.clone());
        Ok(Some(Self { provider, is_sent: otlp.is_some(), _over: over.drop_guard() }))
    }

    /// Sends the last values, unless the collector takes too long.
    pub async fn stop(self) {
        if self.is_sent {
            let provider = self.provider.clone();
            // The exporter has told what failed.
            flush("metrics", move || drop(provider.shutdown())).await;
        }
    }
}

/// Records how many milliseconds writers waited at a switch from an engine to the other one.
pub(crate) fn record_write_pause(database: &str, from: Engine, millis: f64) {
    let histogram = global::meter(SCOPE)
        .f64_histogram(WRITE_PAUSE_SECONDS.name)
        .with_unit(WRITE_PAUSE_SECONDS.unit)
        .with_description(WRITE_PAUSE_SECONDS.description)
        .with_boundaries(PAUSES.to_vec())
        .build();
    histogram.record(millis / 1000.0, &away_from(database, from));
}

/// Counts a backup and what it sent to the store.
pub(crate) fn record_backup(database: &str, engine: Engine, uploaded: Option<u64>) {
    let result = if uploaded.is_some() { "succeeded" } else { "failed" };
    let [database, engine] = of_engine(database, engine);
    let result = KeyValue::new(RESULT, result);
    count(BACKUPS, 1, &[database.clone(), engine.clone(), result]);
    count(BACKUP_BYTES, uploaded.unwrap_or_default(), &[database, engine]);
}

/// Counts what a commit of the copy has brought to the target.
pub(crate) fn record_copied(name: &str, table: &str, rows: u64, bytes: u64) {
    let of = [database(name), KeyValue::new(TABLE, table.to_owned())];
    count(COPIED_ROWS, rows, &of);
    count(COPIED_BYTES, bytes, &of);
}

/// Counts an operation that has ended; `reason` is empty for one that has succeeded.
pub(crate) fn record_operation(
    name: &str,
    kind: OperationKind,
    state: OperationState,
    reason: &'static str,
) {
    let of = [
        database(name),
        KeyValue::new(KIND, kind.word()),
        KeyValue::new(RESULT, state.word()),
        KeyValue::new(REASON, reason),
    ];
    count(OPERATIONS, 1, &of);
}

fn count(of: Name, number: u64, attributes: &[KeyValue]) {
    let counter = global::meter(SCOPE)
        .u64_counter(of.name)
        .with_unit(of.unit)
        .with_description(of.description)
        .build();
    counter.add(number, attributes);
}

fn collector(otlp: &Otlp) -> Result<MetricExporter> {
    towards(MetricExporter::builder().with_tonic(), otlp).build().map_err(|error| {
        Error::new(Reason::InvalidRequest, format!("metrics cannot be sent: {error}"))
            .hint("see the OTEL_EXPORTER_OTLP_* variables; without an endpoint nothing is sent")
    })
}

fn observe_lag(meter: &Meter, set: &Arc<DatabaseSet>) {
    let known = Arc::clone(set);
    meter
        .u64_observable_gauge(LAG_CHANGES.name)
        .with_unit(LAG_CHANGES.unit)
        .with_description(LAG_CHANGES.description)
        .with_callback(move |gauge| {
            for Known { name, lag, record, .. } in known.known() {
                if let Some(lag) = lag {
                    gauge.observe(lag.changes, &away_from(name, record.active));
                }
            }
        })
        .build();
    let known = Arc::clone(set);
    meter
        .f64_observable_gauge(LAG_SECONDS.name)
        .with_unit(LAG_SECONDS.unit)
        .with_description(LAG_SECONDS.description)
        .with_callback(move |gauge| {
            for Known { name, lag, record, .. } in known.known() {
                if let Some(lag) = lag {
                    gauge.observe(lag.age.as_secs_f64(), &away_from(name, record.active));
                }
            }
        })
        .build();
}

fn observe_engines(meter: &Meter, set: &Arc<DatabaseSet>) {
    let known = Arc::clone(set);
    meter
        .u64_observable_gauge(ACTIVE_ENGINE.name)
        .with_description(ACTIVE_ENGINE.description)
        .with_callback(move |gauge| {
            for Known { name, record, .. } in known.known() {
                for engine in [Engine::Sqlite, Engine::Postgres] {
                    gauge.observe((engine == record.active).into(), &of_engine(name, engine));
                }
            }
        })
        .build();
    let known = Arc::clone(set);
    meter
        .u64_observable_gauge(EPOCH.name)
        .with_unit(EPOCH.unit)
        .with_description(EPOCH.description)
        .with_callback(move |gauge| {
            for Known { name, record, .. } in known.known() {
                gauge.observe(record.epoch, &[database(name)]);
            }
        })
        .build();
    let known = Arc::clone(set);
    meter
        .u64_observable_gauge(ENGINE_UP.name)
        .with_description(ENGINE_UP.description)
        .with_callback(move |gauge| {
            for Known { name, record, answers, .. } in known.known() {
                if let Some(answers) = answers {
                    gauge.observe(answers.into(), &of_engine(name, record.active));
                }
            }
        })
        .build();
}

fn observe_backups(meter: &Meter, set: &Arc<DatabaseSet>) {
    let known = Arc::clone(set);
    meter
        .f64_observable_gauge(BACKUP_AGE_SECONDS.name)
        .with_unit(BACKUP_AGE_SECONDS.unit)
        .with_description(BACKUP_AGE_SECONDS.description)
        .with_callback(move |gauge| {
            for Known { name, backed_up_at, .. } in known.known() {
                if let Some(at) = backed_up_at {
                    let age = clock::now_millis().saturating_sub(at).max(0);
                    let age = Duration::from_millis(age.unsigned_abs());
                    gauge.observe(age.as_secs_f64(), &[database(name)]);
                }
            }
        })
        .build();
}

fn observe_pools(meter: &Meter, set: &Arc<DatabaseSet>) {
    let known = Arc::clone(set);
    meter
        .u64_observable_gauge(POOL_CONNECTIONS.name)
        .with_unit(POOL_CONNECTIONS.unit)
        .with_description(POOL_CONNECTIONS.description)
        .with_callback(move |gauge| {
            for Known { name, pool, .. } in known.known() {
                for (state, connections) in [("idle", pool.idle), ("used", pool.used)] {
                    let of = [database(name), KeyValue::new(STATE, state)];
                    gauge.observe(connections.into(), &of);
                }
            }
        })
        .build();
    let known = Arc::clone(set);
    meter
        .u64_observable_gauge(POOL_SIZE.name)
        .with_unit(POOL_SIZE.unit)
        .with_description(POOL_SIZE.description)
        .with_callback(move |gauge| {
            for Known { name, pool, .. } in known.known() {
                gauge.observe(pool.size.into(), &[database(name)]);
            }
        })
        .build();
}

fn database(name: &str) -> KeyValue {
    KeyValue::new(DATABASE, name.to_owned())
}

fn of_engine(name: &str, engine: Engine) -> [KeyValue; 2] {
    [database(name), KeyValue::new(ENGINE, engine.word())]
}

/// Changes go from the active engine to the other one.
fn away_from(name: &str, active: Engine) -> [KeyValue; 2] {
    let direction = if active == Engine::Postgres { "reverse" } else { "forward" };
    [database(name), KeyValue::new(DIRECTION, direction)]
}
