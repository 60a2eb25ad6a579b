//! `env`: the URL of the active engine, for scripts.

use serde::Serialize;
use switchback_client::{Result, exit::Exit, v1::Engine, words::Word};

use super::{Session, urls::UrlArgs};

/// The JSON object; its shape is part of the interface.
#[derive(Serialize)]
struct Active<'a> {
    engine: String,
    epoch: u64,
    database_url: &'a str,
}

pub(crate) async fn run(session: &mut Session, urls: UrlArgs) -> Result<Exit> {
    let client = session.connect().await?;
    let database = client.database(session.database()).await?;
    let engine: Engine = database.active_engine();
    let url = urls.url(engine)?;
    if session.output.is_json() {
        let engine = engine.word();
        session.output.json(&Active { engine, epoch: database.epoch, database_url: &url });
    } else {
        session.output.line(&format!("DATABASE_URL={}", quoted(&url)));
    }
    Ok(Exit::Done)
}

/// As a POSIX shell reads it back.
fn quoted(text: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "_-./:@%+,=".contains(letter);
    if text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn only_what_a_shell_would_change_is_quoted() {
        assert_eq!(quoted("sqlite:///srv/a.db"), "sqlite:///srv/a.db");
        assert_eq!(quoted("file:/srv/it's.db"), r"'file:/srv/it'\''s.db'");
    }

    #[test]
    fn a_shell_reads_back_what_was_quoted() {
        for url in ["postgres://u:p$a'b\"c`d@h/d?x=1&y=~", "file:/a b\\c\nd;e", "~/a:~/b", ""] {
            let script = format!("DATABASE_URL={}\nprintf %s \"$DATABASE_URL\"", quoted(url));
            let output = Command::new("sh").args(["-c", &script]).output().unwrap();
            assert_eq!(String::from_utf8_lossy(&output.stdout), url);
        }
    }
}
