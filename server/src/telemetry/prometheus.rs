//! Metrics in Prometheus' text format, version 0.0.4. The SDK's own exporter for it is deprecated.

use std::fmt::{Display, Write};

use opentelemetry::KeyValue;
use opentelemetry_sdk::metrics::data::{
    AggregatedMetrics, Histogram, Metric, MetricData, ResourceMetrics,
};

/// What the text is, for HTTP.
pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// All metrics as text.
pub(super) fn text(metrics: &ResourceMetrics) -> String {
    let mut text = String::new();
    let about: Vec<KeyValue> = metrics
        .resource()
        .iter()
        .map(|(key, value)| KeyValue::new(key.clone(), value.clone()))
        .collect();
    head(&mut text, "target_info", "who is scraped", "gauge");
    sample(&mut text, "target_info", &labels(about.iter()), 1);
    for metric in metrics.scope_metrics().flat_map(|scope| scope.metrics()) {
        match metric.data() {
            AggregatedMetrics::F64(data) => write(&mut text, metric, data),
            AggregatedMetrics::U64(data) => write(&mut text, metric, data),
            AggregatedMetrics::I64(data) => write(&mut text, metric, data),
        }
    }
    text
}

/// What a metric is called in Prometheus, as OpenTelemetry's specification has it: with its unit
/// at the end, unless it is there, and `_total` for a counter.
pub(super) fn name(name: &str, unit: &str, is_counter: bool) -> String {
    let mut full = plain(name);
    let unit = match unit {
        "s" => "_seconds",
        "By" => "_bytes",
        // What is counted, or nothing.
        _ => "",
    };
    if !full.ends_with(unit) {
        full.push_str(unit);
    }
    if is_counter {
        full.push_str("_total");
    }
    full
}

fn write<T: Copy + Display>(text: &mut String, metric: &Metric, data: &MetricData<T>) {
    let (kind, is_counter) = match data {
        MetricData::Gauge(_) => ("gauge", false),
        MetricData::Sum(sum) if sum.is_monotonic() => ("counter", true),
        MetricData::Sum(_) => ("gauge", false),
        MetricData::Histogram(_) => ("histogram", false),
        // None is recorded as such.
        MetricData::ExponentialHistogram(_) => return,
    };
    let name = name(metric.name(), metric.unit(), is_counter);
    head(text, &name, metric.description(), kind);
    match data {
        MetricData::Gauge(gauge) => {
            for point in gauge.data_points() {
                sample(text, &name, &labels(point.attributes()), point.value());
            }
        }
        MetricData::Sum(sum) => {
            for point in sum.data_points() {
                sample(text, &name, &labels(point.attributes()), point.value());
            }
        }
        MetricData::Histogram(histogram) => buckets(text, &name, histogram),
        MetricData::ExponentialHistogram(_) => {}
    }
}

/// Each bucket counts those below it too.
fn buckets<T: Copy + Display>(text: &mut String, name: &str, histogram: &Histogram<T>) {
    for point in histogram.data_points() {
        let own = labels(point.attributes());
        let separator = if own.is_empty() { "" } else { "," };
        let bounds = point.bounds().map(|bound| bound.to_string()).chain(["+Inf".to_owned()]);
        let mut sum = 0;
        for (bound, count) in bounds.zip(point.bucket_counts()) {
            sum += count;
            let labels = format!("{own}{separator}le=\"{bound}\"");
            sample(text, &format!("{name}_bucket"), &labels, sum);
        }
        sample(text, &format!("{name}_sum"), &own, point.sum());
        sample(text, &format!("{name}_count"), &own, point.count());
    }
}

fn head(text: &mut String, name: &str, help: &str, kind: &str) {
    let help = help.replace('\\', r"\\").replace('\n', r"\n");
    // Writing to a string does not fail.
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

fn sample(text: &mut String, name: &str, labels: &str, value: impl Display) {
    let _ = match labels {
        "" => writeln!(text, "{name} {value}"),
        _ => writeln!(text, "{name}{{{labels}}} {value}"),
    };
}

fn labels<'a>(attributes: impl Iterator<Item = &'a KeyValue>) -> String {
    let label = |attribute: &KeyValue| {
        let value = attribute.value.to_string();
        let value = value.replace('\\', r"\\").replace('"', r#"\""#).replace('\n', r"\n");
        format!("{}=\"{value}\"", plain(attribute.key.as_str()))
    };
    attributes.map(label).collect::<Vec<_>>().join(",")
}

/// Letters, digits and `_`, and no digit at the beginning.
fn plain(name: &str) -> String {
    let plain = |letter: char| if letter.is_ascii_alphanumeric() { letter } else { '_' };
    let mut plain: String = name.chars().map(plain).collect();
    if plain.starts_with(|letter: char| letter.is_ascii_digit()) {
        plain.insert(0, '_');
    }
    plain
}

#[cfg(test)]
mod tests {
    use opentelemetry::metrics::MeterProvider;
    use opentelemetry_sdk::{
        Resource,
        metrics::{ManualReader, SdkMeterProvider, reader::MetricReader},
    };

    use super::{super::scrape::Reader, *};

    #[test]
    fn names_end_in_their_unit_and_counters_in_total() {
        for (given, unit, is_counter, expected) in [
            ("switchback.lag_seconds", "s", false, "switchback_lag_seconds"),
            ("switchback.wait", "s", false, "switchback_wait_seconds"),
            ("switchback.backup_bytes", "By", true, "switchback_backup_bytes_total"),
            ("switchback.epoch", "{switch}", false, "switchback_epoch"),
            ("9.a-b", "", false, "_9_a_b"),
        ] {
            assert_eq!(name(given, unit, is_counter), expected);
        }
    }

    #[test]
    fn every_kind_is_written_and_labels_are_escaped() {
        let reader = Reader::from(ManualReader::default());
        let resource = Resource::builder_empty().with_service_name("it").build();
        let provider =
            SdkMeterProvider::builder().with_resource(resource).with_reader(reader.clone()).build();
        let meter = provider.meter("m");
        let of = [KeyValue::new("table", "a\"b\\c\nd")];
        meter.u64_counter("rows").with_description("x\ny").build().add(3, &of);
        let pause = meter.f64_histogram("pause").with_unit("s");
        let pause = pause.with_boundaries(vec![0.5, 1.0]).build();
        for seconds in [0.25, 0.75, 4.0] {
            pause.record(seconds, &[]);
        }
        meter.i64_gauge("up").build().record(-1, &[]);
        let mut metrics = ResourceMetrics::default();
        reader.collect(&mut metrics).unwrap();
        let text = text(&metrics);
        for expected in [
            "# HELP target_info who is scraped\n# TYPE target_info gauge\n\
             target_info{service_name=\"it\"} 1\n",
            "# HELP rows_total x\\ny\n# TYPE rows_total counter\n\
             rows_total{table=\"a\\\"b\\\\c\\nd\"} 3\n",
            "# TYPE pause_seconds histogram\npause_seconds_bucket{le=\"0.5\"} 1\n\
             pause_seconds_bucket{le=\"1\"} 2\npause_seconds_bucket{le=\"+Inf\"} 3\n\
             pause_seconds_sum 5\npause_seconds_count 3\n",
            "# TYPE up gauge\nup -1\n",
        ] {
            assert!(text.contains(expected), "{expected}\n---\n{text}");
        }
    }
}
