//! The log: events of `tracing` on standard error, as text or as JSON; and the audit log, in a file
//! of its own where one is configured.

use std::{
    fmt as text,
    fs::{File, OpenOptions},
    io::{self, Write},
    path::PathBuf,
};

use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::{
    EnvFilter, Layer,
    filter::{Directive, LevelFilter, filter_fn},
    fmt::{
        self, FmtContext, MakeWriter,
        format::{Format, FormatEvent, FormatFields, Json, JsonFields, Writer},
    },
    layer::SubscriberExt,
    registry::LookupSpan,
    util::SubscriberInitExt,
};

use super::{
    names,
    traces::{self, Traces},
};
use crate::{
    access::audit,
    config::{Config, LogFormat},
};

/// Starts logging, and recording spans. The configuration has checked the filter.
pub fn start(config: &Config) -> Traces {
    let traces = Traces::new(config);
    let own_file = config.audit_log.clone();
    let level = if own_file.is_some() { LevelFilter::OFF } else { LevelFilter::INFO };
    let filter = EnvFilter::new(&config.log)
        .add_directive(at(audit::TARGET, level))
        .add_directive(at(names::TRACE, LevelFilter::OFF));
    let lines = fmt::layer().with_writer(io::stderr);
    let lines = match config.log_format {
        LogFormat::Text => lines.with_target(false).boxed(),
        LogFormat::Json => lines.event_format(Traced(json())).fmt_fields(JsonFields::new()).boxed(),
    };
    let audited = own_file.map(|path| {
        fmt::layer()
            .event_format(Traced(json().with_current_span(false)))
            .fmt_fields(JsonFields::new())
            .with_writer(AuditFile(path))
            .with_filter(filter_fn(is_audit))
    });
    tracing_subscriber::registry()
        .with(traces.layer())
        .with(lines.with_filter(filter))
        .with(audited)
        .init();
    traces
}

fn json() -> Format<Json> {
    fmt::format().json().flatten_event(true).with_span_list(false).with_target(false)
}

/// JSON lines with the ids of the span that they are from.
struct Traced(Format<Json>);

impl<S, N> FormatEvent<S, N> for Traced
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    N: for<'writer> FormatFields<'writer> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> text::Result {
        let mut line = String::new();
        self.0.format_event(context, Writer::new(&mut line), event)?;
        match (traces::current(), line.strip_suffix("}\n")) {
            (Some((trace, span)), Some(open)) => {
                writeln!(writer, r#"{open},"trace_id":"{trace}","span_id":"{span}"}}"#)
            }
            _ => writer.write_str(&line),
        }
    }
}

/// What the filter of the log says does not count for the audit log, nor for traces.
fn at(target: &str, level: LevelFilter) -> Directive {
    let directive = format!("{target}={level}").parse();
    directive.unwrap_or_else(|_| level.into())
}

fn is_audit(metadata: &Metadata<'_>) -> bool {
    metadata.target() == audit::TARGET
}

/// The file of the audit log, opened for each line: it can be moved away at any time, and there
/// are few lines.
struct AuditFile(PathBuf);

/// One line, in the file or, where that cannot be, on standard error.
enum AuditLine {
    File(File),
    Error(io::Stderr),
}

impl<'a> MakeWriter<'a> for AuditFile {
    type Writer = AuditLine;

    fn make_writer(&'a self) -> AuditLine {
        let mut options = OpenOptions::new();
        options.create(true).append(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        match options.open(&self.0) {
            Ok(file) => AuditLine::File(file),
            // Not by the log, in whose middle this is.
            Err(error) => {
                eprintln!("error: cannot open the audit log {}: {error}", self.0.display());
                AuditLine::Error(io::stderr())
            }
        }
    }
}

impl Write for AuditLine {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::File(file) => file.write(bytes),
            Self::Error(error) => error.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::File(file) => file.flush(),
            Self::Error(error) => error.flush(),
        }
    }
}
