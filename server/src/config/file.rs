//! The TOML form of the configuration.

use std::{collections::BTreeMap, ops::Range, path::PathBuf};

use serde::Deserialize;

/// What `--config` and `SWITCHBACK_CONFIG` name.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct File {
    pub(super) listen: Option<String>,
    pub(super) metrics_listen: Option<String>,
    pub(super) state_dir: Option<PathBuf>,
    pub(super) insecure: bool,
    pub(super) tls_cert: Option<PathBuf>,
    pub(super) tls_key: Option<PathBuf>,
    pub(super) tls_client_ca: Option<PathBuf>,
    pub(super) tokens: Option<PathBuf>,
    pub(super) reflection: Option<bool>,
    pub(super) audit_log: Option<PathBuf>,
    pub(super) store: Option<String>,
    pub(super) restore_dir: Option<PathBuf>,
    pub(super) s3_path_style: bool,
    pub(super) s3_sse: Option<String>,
    pub(super) s3_sse_kms_key_id: Option<String>,
    pub(super) log: Option<String>,
    pub(super) log_format: Option<String>,
    pub(super) lease: Option<u32>,
    pub(super) shutdown_grace: Option<u32>,
    pub(super) max_operations: Option<u32>,
    pub(super) backup_key: Option<PathBuf>,
    pub(super) databases: BTreeMap<String, Database>,
}

/// One table `[databases.NAME]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Database {
    pub(super) sqlite: Option<PathBuf>,
    pub(super) postgres: Option<String>,
    pub(super) engine: Option<String>,
    pub(super) pool_size: Option<u32>,
    pub(super) copy_workers: Option<u32>,
    pub(super) validate_every: Option<u32>,
    pub(super) backup_schedule: Option<String>,
}

/// Most lines of a file that are named; a file of another program has no end of them.
const MOST: usize = 100;

/// A line that is wrong, without its text, which may hold a password.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    /// From 1 on.
    pub(super) line: usize,
    pub(super) message: String,
}

impl File {
    /// Reads a document, and names every setting in it that is unknown or no value for it. What
    /// is no TOML at all is named alone: nobody knows what the lines below it would be.
    pub(super) fn read(text: &str) -> (Self, Vec<Wrong>) {
        if let Err(error) = text.parse::<toml::Table>() {
            return (Self::default(), vec![Wrong::of(text, &error)]);
        }
        let mut text = text.to_owned();
        let mut wrong = Vec::new();
        loop {
            match toml::from_str(&text) {
                Ok(file) => return (file, wrong),
                Err(error) => {
                    wrong.push(Wrong::of(&text, &error));
                    // What is left is read again without it.
                    let rest = error.span().and_then(|span| without(&text, &span));
                    match rest.filter(|_| wrong.len() < MOST) {
                        Some(rest) => text = rest,
                        None => return (Self::default(), wrong),
                    }
                }
            }
        }
    }
}

impl Wrong {
    fn of(text: &str, error: &toml::de::Error) -> Self {
        let start = error.span().map_or(0, |span| span.start);
        let line = 1 + text.get(..start).unwrap_or_default().matches('\n').count();
        Self { line, message: error.message().to_owned() }
    }
}

/// A document with empty lines in place of a setting, or of a table with all its settings; `None`
/// where that would be the same document.
fn without(text: &str, place: &Range<usize>) -> Option<String> {
    let first = text.get(..place.start)?.matches('\n').count();
    let last = first + text.get(place.clone())?.trim_end().matches('\n').count();
    let is_heading = |line: &str| line.trim_start().starts_with('[');
    let lines: Vec<&str> = text.lines().collect();
    let table = lines.get(first).is_some_and(|line| is_heading(line));
    let next = lines.iter().skip(last + 1).position(|line| is_heading(line));
    let end = if table { next.map_or(lines.len(), |next| last + 1 + next) } else { last + 1 };
    let kept = lines.iter().enumerate();
    let kept = kept.map(|(at, line)| if (first..end).contains(&at) { "" } else { *line });
    let rest = kept.collect::<Vec<_>>().join("\n");
    (rest.trim() != text.trim()).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<usize> {
        File::read(text).1.iter().map(|wrong| wrong.line).collect()
    }

    #[test]
    fn every_line_that_is_wrong_is_named_and_the_others_are_read() {
        let text = "listen = 7\nlog = 'debug'\nlgo = 'info'\nlease = [\n  1,\n  2,\n]\n\n\
            [database.a]\nsqlite = 'a.db'\n\n[databases.b]\nsqlite = 'b.db'\n\
            pool_size = 'many'\nworkers = 2\ncopy_workers = -1\n";
        let (file, wrong) = File::read(text);
        let mut named: Vec<usize> = wrong.iter().map(|wrong| wrong.line).collect();
        named.sort_unstable();
        assert_eq!(named, [1, 3, 4, 9, 14, 15, 16], "{wrong:?}");
        assert_eq!(file.log.as_deref(), Some("debug"));
        assert_eq!(file.databases["b"].sqlite.as_deref(), Some("b.db".as_ref()));
    }

    #[test]
    fn what_is_no_document_is_named_alone() {
        assert_eq!(lines("lease = 1\nlog = 'x' y\nlgo = 1\n"), [2]);
        assert_eq!(lines("[a\n"), [1]);
        assert_eq!(lines(""), [] as [usize; 0]);
        assert_eq!(lines("[[databases]]\nsqlite = 'a'\n"), [1]);
        assert_eq!(lines("databases = 1"), [1]);
    }
}
