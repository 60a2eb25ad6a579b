//! The log: events of `tracing` on standard error, as text or as JSON; and the audit log, in a file
//! of its own where one is configured.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    path::PathBuf,
};

use tracing::Metadata;
use tracing_subscriber::{
    EnvFilter, Layer,
    filter::{Directive, LevelFilter, filter_fn},
    fmt::{self, MakeWriter},
    layer::SubscriberExt,
    util::SubscriberInitExt,
};

use crate::{
    access::audit,
    config::{Config, LogFormat},
};

/// Starts logging. The configuration has checked the filter.
pub fn start(config: &Config) {
    let own_file = config.audit_log.clone();
    let level = if own_file.is_some() { LevelFilter::OFF } else { LevelFilter::INFO };
    let filter = EnvFilter::new(&config.log).add_directive(of_audit(level));
    let lines = fmt::layer().with_writer(io::stderr).with_target(false);
    let lines = match config.log_format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().flatten_event(true).with_span_list(false).boxed(),
    };
    let audited = own_file.map(|path| {
        fmt::layer()
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(false)
            .with_target(false)
            .with_writer(AuditFile(path))
            .with_filter(filter_fn(is_audit))
    });
    tracing_subscriber::registry().with(lines.with_filter(filter)).with(audited).init();
}

/// What the filter of the log says does not count for the audit log.
fn of_audit(level: LevelFilter) -> Directive {
    let directive = format!("{}={level}", audit::TARGET).parse();
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
