//! Metrics by OTLP: what is observed, and how often it is sent.
//!
//! Observing asks nobody: an engine or a disk that hangs must not hold up what tells of it.

use std::{sync::Arc, thread, time::Duration};

use opentelemetry::{
    KeyValue, global,
    metrics::{Meter, MeterProvider},
};
use opentelemetry_otlp::{
    MetricExporter, RetryPolicy, WithExportConfig, WithTonicConfig,
    tonic_types::transport::ClientTlsConfig,
};
use opentelemetry_sdk::{
    Resource,
    metrics::{PeriodicReader, SdkMeterProvider},
    resource::{EnvResourceDetector, TelemetryResourceDetector},
};
use switchback_proto::{v1::Engine, words::Word};
use tokio::{sync::oneshot, time::timeout};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    export::Exporter,
    names::{
        ACTIVE_ENGINE, BACKUP_AGE_SECONDS, BACKUP_BYTES, BACKUPS, DATABASE, DIRECTION, ENGINE,
        ENGINE_UP, EPOCH, LAG_CHANGES, LAG_SECONDS, RESULT, SCOPE, WRITE_PAUSE_SECONDS,
    },
};
use crate::{
    clock,
    config::Otlp,
    db::{DatabaseSet, Known},
    error::{Error, Reason, Result},
};

/// How long a stop waits for the collector to take the last values: a network's round trips, and
/// less than an orchestrator's patience.
const FLUSH: Duration = Duration::from_secs(2);

/// Bounds of the write pause's histogram, in seconds. The SDK's own are for milliseconds.
const PAUSES: [f64; 11] = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// Metrics that are being sent.
#[derive(Debug)]
pub struct Metrics {
    provider: SdkMeterProvider,
    _over: DropGuard,
}

impl Metrics {
    /// Begins to send. Must be called on the runtime, which carries the connection, and before
    /// whatever records a metric.
    pub fn start(otlp: &Otlp, server_id: &str, set: &Arc<DatabaseSet>) -> Result<Self> {
        let over = CancellationToken::new();
        let exporter = Exporter::new(collector(otlp)?, over.clone());
        let reader = PeriodicReader::builder(exporter).with_interval(otlp.interval).build();
        let provider = SdkMeterProvider::builder()
            .with_resource(resource(otlp, server_id))
            .with_reader(reader)
            .build();
        let meter = provider.meter(SCOPE);
        observe_lag(&meter, set);
        observe_engines(&meter, set);
        observe_backups(&meter, set);
        global::set_meter_provider(provider.clone());
        tracing::info!(collector = otlp.shown(), interval = ?otlp.interval, "metrics are sent");
        Ok(Self { provider, _over: over.drop_guard() })
    }

    /// Sends the last values, unless the collector takes too long.
    pub async fn stop(self) {
        let provider = self.provider.clone();
        let (done, flushed) = oneshot::channel();
        // A thread of its own: the runtime would wait for one of its blocking threads.
        thread::spawn(move || {
            // The exporter has told what failed.
            let _ = provider.shutdown();
            let _ = done.send(());
        });
        if timeout(FLUSH, flushed).await.is_err() {
            tracing::warn!("the collector did not take the last metrics in time");
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
    let meter = global::meter(SCOPE);
    let result = if uploaded.is_some() { "succeeded" } else { "failed" };
    let [database, engine] = of_engine(database, engine);
    meter
        .u64_counter(BACKUPS.name)
        .with_unit(BACKUPS.unit)
        .with_description(BACKUPS.description)
        .build()
        .add(1, &[database.clone(), engine.clone(), KeyValue::new(RESULT, result)]);
    meter
        .u64_counter(BACKUP_BYTES.name)
        .with_unit(BACKUP_BYTES.unit)
        .with_description(BACKUP_BYTES.description)
        .build()
        .add(uploaded.unwrap_or_default(), &[database, engine]);
}

fn collector(otlp: &Otlp) -> Result<MetricExporter> {
    let mut exporter = MetricExporter::builder()
        .with_tonic()
        .with_endpoint(otlp.endpoint.expose())
        .with_timeout(otlp.timeout)
        // The next export has newer values; a stop need not wait for more tries.
        .with_retry_policy(RetryPolicy::disabled());
    if otlp.is_encrypted() {
        let tls = ClientTlsConfig::new().with_native_roots().timeout(otlp.timeout);
        exporter = exporter.with_tls_config(tls);
    }
    exporter.build().map_err(|error| {
        Error::new(Reason::InvalidRequest, format!("metrics cannot be sent: {error}"))
            .hint("see the OTEL_EXPORTER_OTLP_* variables; without an endpoint nothing is sent")
    })
}

/// Who sends. Servers on one pair tell the same names apart by their instance.
fn resource(otlp: &Otlp, server_id: &str) -> Resource {
    let ours = [
        KeyValue::new("service.name", "switchbackd"),
        KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
        KeyValue::new("service.instance.id", server_id.to_owned()),
    ];
    let resource = Resource::builder_empty()
        .with_attributes(ours)
        .with_detector(Box::new(TelemetryResourceDetector))
        .with_detector(Box::new(EnvResourceDetector::new()));
    match &otlp.service_name {
        Some(name) => resource.with_service_name(name.clone()).build(),
        None => resource.build(),
    }
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
