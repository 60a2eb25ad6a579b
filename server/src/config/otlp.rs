//! Where metrics and spans go, by the standard `OTEL_*` variables.
//!
//! The SDK reads most of them itself and passes over what it does not understand. Here they are
//! checked, so that a wrong one stops the start like any other setting.

use std::time::Duration;

use tonic::transport::Uri;

use super::{Secret, load::Loader};

/// Milliseconds, as OpenTelemetry's specification has them.
const METRICS_INTERVAL: u64 = 60_000;
const TRACES_INTERVAL: u64 = 5_000;
const TIMEOUT: u64 = 10_000;

/// Variables that take one of a few words, after `OTEL_EXPORTER_OTLP_`,
/// `OTEL_EXPORTER_OTLP_METRICS_` or `OTEL_EXPORTER_OTLP_TRACES_`.
const WORDS: [(&str, &[&str]); 4] = [
    ("PROTOCOL", &["grpc"]),
    ("COMPRESSION", &["none", "gzip"]),
    ("INSECURE", &["true", "false"]),
    ("TEMPORALITY_PREFERENCE", &["cumulative", "delta", "lowmemory"]),
];

/// What the SDK does not read. To ignore one would be worse than to refuse it.
const LATER: [&str; 3] = ["CERTIFICATE", "CLIENT_KEY", "CLIENT_CERTIFICATE"];

/// Samplers that the SDK knows. For another word it would take everything.
const SAMPLERS: [&str; 6] = [
    "always_on",
    "always_off",
    "traceidratio",
    "parentbased_always_on",
    "parentbased_always_off",
    "parentbased_traceidratio",
];

/// What is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Signal {
    Metrics,
    Traces,
}

impl Signal {
    fn word(self) -> &'static str {
        match self {
            Self::Metrics => "METRICS",
            Self::Traces => "TRACES",
        }
    }
}

/// Metrics, or spans, are sent to a collector.
#[derive(Debug, Clone)]
pub struct Otlp {
    /// The collector; may hold a password.
    pub endpoint: Secret,
    /// Between two exports.
    pub interval: Duration,
    /// The longest that an export takes.
    pub timeout: Duration,
    /// Names of the headers that go with an export. The SDK reads their values: those are secrets.
    pub headers: Vec<String>,
}

impl Otlp {
    /// The collector as it may be shown: scheme, host and port, and nothing else.
    pub fn shown(&self) -> String {
        let Some(uri) = address(self.endpoint.expose()) else { return "(malformed)".into() };
        let host = uri.host().unwrap_or_default();
        let port = uri.port().map(|port| format!(":{port}")).unwrap_or_default();
        format!("{}://{host}{port}", uri.scheme_str().unwrap_or_default())
    }

    /// Whether the collector is reached by TLS. As in the specification, that is so where no scheme
    /// is given, unless `OTEL_EXPORTER_OTLP_INSECURE` says otherwise.
    pub fn is_encrypted(&self) -> bool {
        address(self.endpoint.expose()).is_some_and(|uri| uri.scheme_str() == Some("https"))
    }
}

impl<'a> Loader<'a> {
    /// `None` where no endpoint is given: nothing is sent then.
    pub(super) fn otlp(&mut self, signal: Signal) -> Option<Otlp> {
        let (setting, endpoint) = self.of_signal(signal, "ENDPOINT")?;
        let is_disabled =
            self.get("OTEL_SDK_DISABLED").is_some_and(|word| word.eq_ignore_ascii_case("true"));
        let exporter = format!("OTEL_{}_EXPORTER", signal.word());
        match self.get(&exporter) {
            _ if is_disabled => return None,
            None | Some("otlp") => {}
            Some("none") => return None,
            Some(other) => self.problem(&exporter, format!("{other:?} is neither otlp nor none")),
        }
        let insecure = self.of_signal(signal, "INSECURE");
        let insecure = insecure.is_some_and(|(_, word)| word.eq_ignore_ascii_case("true"));
        let endpoint = with_scheme(endpoint, insecure);
        if address(&endpoint).is_none() {
            // It may hold a password.
            self.problem(&setting, "no URL of a collector such as http://localhost:4317");
        }
        self.check_words(signal);
        let interval = match signal {
            Signal::Metrics => self.millis("OTEL_METRIC_EXPORT_INTERVAL", METRICS_INTERVAL),
            Signal::Traces => {
                self.check_sampler();
                self.millis("OTEL_BSP_SCHEDULE_DELAY", TRACES_INTERVAL)
            }
        };
        let timeout = match self.of_signal(signal, "TIMEOUT") {
            Some((name, _)) => self.millis(&name, TIMEOUT),
            None => Duration::from_millis(TIMEOUT),
        };
        Some(Otlp {
            endpoint: Secret::new(endpoint),
            interval,
            timeout,
            headers: self.headers(signal),
        })
    }

    /// A variable for one signal, or the one for every signal: its name and what it is set to.
    fn of_signal(&self, signal: Signal, suffix: &str) -> Option<(String, &'a str)> {
        let own = format!("OTEL_EXPORTER_OTLP_{}_{suffix}", signal.word());
        let names = [own, format!("OTEL_EXPORTER_OTLP_{suffix}")];
        names.into_iter().find_map(|name| self.get(&name).map(|value| (name, value)))
    }

    fn check_words(&mut self, signal: Signal) {
        for (suffix, known) in WORDS {
            let Some((name, word)) = self.of_signal(signal, suffix) else { continue };
            if !known.iter().any(|known| known.eq_ignore_ascii_case(word)) {
                let message = format!("{word:?} is not supported: {}", known.join(", "));
                self.problem(&name, message);
            }
        }
        for suffix in LATER {
            if let Some((name, _)) = self.of_signal(signal, suffix) {
                self.problem(&name, "not supported by this version: unset it");
            }
        }
    }

    fn check_sampler(&mut self) {
        if let Some(word) = self.get("OTEL_TRACES_SAMPLER")
            && !SAMPLERS.contains(&word)
        {
            let message = format!("{word:?} is not supported: {}", SAMPLERS.join(", "));
            self.problem("OTEL_TRACES_SAMPLER", message);
        }
        if let Some(text) = self.get("OTEL_TRACES_SAMPLER_ARG")
            && !text.parse::<f64>().is_ok_and(|share| (0.0..=1.0).contains(&share))
        {
            let message = format!("{text:?} is no number from 0 to 1");
            self.problem("OTEL_TRACES_SAMPLER_ARG", message);
        }
    }

    fn millis(&mut self, name: &str, default: u64) -> Duration {
        let text = self.get(name);
        let millis = text.map_or(Some(default), |text| text.parse().ok().filter(|ms| *ms > 0));
        if millis.is_none() {
            let message = format!("{:?} is no number of milliseconds", text.unwrap_or_default());
            self.problem(name, message);
        }
        Duration::from_millis(millis.unwrap_or(default))
    }

    fn headers(&mut self, signal: Signal) -> Vec<String> {
        let Some((name, text)) = self.of_signal(signal, "HEADERS") else { return Vec::new() };
        let header = |pair: &str| {
            let (key, value) = pair.split_once('=')?;
            let is_key = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
            let is_value = |byte: u8| byte.is_ascii_graphic() || byte == b' ';
            let (key, value) = (key.trim(), value.trim());
            let fits = !key.is_empty() && key.bytes().all(is_key);
            (fits && !value.is_empty() && value.bytes().all(is_value)).then(|| key.to_owned())
        };
        let headers: Option<Vec<String>> = text.split_terminator(',').map(header).collect();
        if headers.is_none() {
            self.problem(&name, "no headers such as name=value,name=value");
        }
        headers.unwrap_or_default()
    }
}

fn with_scheme(endpoint: &str, insecure: bool) -> String {
    match (endpoint.contains("://"), insecure) {
        (true, _) => endpoint.to_owned(),
        (false, true) => format!("http://{endpoint}"),
        (false, false) => format!("https://{endpoint}"),
    }
}

/// A URL that gRPC can go to.
fn address(endpoint: &str) -> Option<Uri> {
    let uri: Uri = endpoint.parse().ok()?;
    let is_known = matches!(uri.scheme_str(), Some("http" | "https"));
    let host = uri.host().filter(|host| !host.is_empty())?;
    // The parser takes any port.
    let authority = uri.authority()?.as_str();
    let after = authority.rsplit('@').next().unwrap_or_default().strip_prefix(host)?;
    let is_port = after.is_empty() || uri.port_u16().is_some_and(|port| port > 0);
    (is_known && is_port).then_some(uri)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::{Config, Problem, load};
    use super::*;

    const TO: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";

    fn loaded(pairs: &[(&str, &str)]) -> Result<Config, Vec<Problem>> {
        let pair = [("SWITCHBACK_SQLITE", "a.db"), ("SWITCHBACK_POSTGRES", "postgres://h/d")];
        let env: BTreeMap<String, String> = pair
            .iter()
            .chain(pairs)
            .map(|(name, value)| ((*name).into(), (*value).into()))
            .collect();
        load(&env, None, true)
    }

    fn otlp(pairs: &[(&str, &str)]) -> Option<Otlp> {
        loaded(pairs).unwrap().otlp
    }

    #[test]
    fn nothing_is_sent_without_an_endpoint_or_where_it_is_switched_off() {
        let to = (TO, "http://c:4317");
        assert!(otlp(&[]).is_none());
        assert!(otlp(&[(TO, ""), ("OTEL_METRIC_EXPORT_INTERVAL", "x")]).is_none());
        assert!(otlp(&[to, ("OTEL_SDK_DISABLED", "true")]).is_none());
        assert!(otlp(&[to, ("OTEL_METRICS_EXPORTER", "none")]).is_none());
        let given = otlp(&[to, ("OTEL_METRICS_EXPORTER", "otlp")]).unwrap();
        assert_eq!(given.interval, Duration::from_secs(60));
        assert_eq!(given.timeout, Duration::from_secs(10));
    }

    #[test]
    fn what_is_for_metrics_goes_first() {
        let config = loaded(&[
            (TO, "nowhere at all"),
            ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://[::1]:4317/"),
            ("OTEL_METRIC_EXPORT_INTERVAL", "250"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "0"),
            ("OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", "500"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "gRPC"),
            ("OTEL_SERVICE_NAME", "mover"),
            ("OTEL_TRACES_EXPORTER", "none"),
        ])
        .unwrap();
        let given = config.otlp.unwrap();
        assert_eq!(given.shown(), "http://[::1]:4317");
        assert_eq!((given.interval.as_millis(), given.timeout.as_millis()), (250, 500));
        assert_eq!(config.service_name.as_deref(), Some("mover"));
    }

    #[test]
    fn spans_have_variables_of_their_own() {
        let config = loaded(&[
            (TO, "http://c:4317"),
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://t:4317"),
            ("OTEL_BSP_SCHEDULE_DELAY", "50"),
            ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"),
            ("OTEL_TRACES_SAMPLER_ARG", "0.25"),
        ])
        .unwrap();
        let traces = config.traces.unwrap();
        assert_eq!((traces.shown().as_str(), traces.interval.as_millis()), ("http://t:4317", 50));
        assert_eq!(config.otlp.unwrap().shown(), "http://c:4317");
        let config = loaded(&[(TO, "http://c:4317"), ("OTEL_TRACES_EXPORTER", "none")]).unwrap();
        assert!(config.traces.is_none() && config.otlp.is_some());
    }

    #[test]
    fn an_endpoint_without_a_scheme_is_encrypted_unless_that_is_unwanted() {
        let given = otlp(&[(TO, "c:4317")]).unwrap();
        assert_eq!((given.shown().as_str(), given.is_encrypted()), ("https://c:4317", true));
        let given = otlp(&[(TO, "c:4317"), ("OTEL_EXPORTER_OTLP_INSECURE", "true")]).unwrap();
        assert_eq!((given.shown().as_str(), given.is_encrypted()), ("http://c:4317", false));
    }

    #[test]
    fn what_is_wrong_is_named_without_secrets() {
        for endpoint in
            ["http://", "ftp://h", "http://u:hush@h:99999", "http://h:", "a hush", "://"]
        {
            let problems = loaded(&[(TO, endpoint)]).unwrap_err();
            let text = problems[0].to_string();
            assert!(text.starts_with(TO) && !text.contains("hush"), "{endpoint}: {text}");
        }
        for (name, value) in [
            ("OTEL_METRIC_EXPORT_INTERVAL", "0"),
            ("OTEL_METRIC_EXPORT_INTERVAL", "1m"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "-1"),
            ("OTEL_METRICS_EXPORTER", "prometheus"),
            ("OTEL_TRACES_EXPORTER", "zipkin"),
            ("OTEL_TRACES_SAMPLER", "xray"),
            ("OTEL_TRACES_SAMPLER_ARG", "2"),
            ("OTEL_BSP_SCHEDULE_DELAY", "soon"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "zip"),
            ("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "both"),
            ("OTEL_EXPORTER_OTLP_INSECURE", "1"),
            ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/ca.pem"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "hush"),
            ("OTEL_EXPORTER_OTLP_METRICS_HEADERS", "a=hush,b hush=hush"),
        ] {
            let problems = loaded(&[(TO, "http://c:4317"), (name, value)]).unwrap_err();
            let text = problems[0].to_string();
            assert!(problems.len() == 1 && text.starts_with(name), "{problems:?}");
            assert!(!text.contains("hush"), "{text}");
        }
    }

    #[test]
    fn the_effective_configuration_shows_no_secret() {
        let headers = ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20hush, x-tenant=hush");
        let config = loaded(&[(TO, "https://u:hush@c:4317/p?hush"), headers]).unwrap();
        let text = format!("{config}{config:?}");
        assert!(text.contains("# endpoint = \"https://c:4317\""), "{text}");
        assert!(text.contains("# headers = \"authorization=***,x-tenant=***\""), "{text}");
        assert!(text.contains("# interval_ms = 60000") && !text.contains("hush"), "{text}");
    }
}
