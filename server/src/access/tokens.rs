//! The file of tokens, and who has one.

use std::{fs, path::Path};

use super::{
    Caller, Reload,
    token::{Entry, Hash},
};
use crate::{
    clock,
    error::{Error, Reason, Result},
};

/// Tokens of a file that is read again when it changes.
#[derive(Debug)]
pub struct Tokens {
    entries: Reload<Vec<Entry>>,
}

impl Tokens {
    /// Reads the file. A problem names the line and not what is in it.
    pub fn open(path: &Path) -> Result<Self, String> {
        let file = path.to_owned();
        let entries = Reload::open(vec![file.clone()], move || read(&file))?;
        Ok(Self { entries })
    }

    /// Who sends this value of the header `authorization`; `None` where there is none.
    ///
    /// # Errors
    /// `UNAUTHENTICATED`
    pub(crate) fn caller(&self, authorization: Option<&str>) -> Result<Caller> {
        find(&self.entries.current(), authorization, clock::now_millis())
    }
}

fn find(entries: &[Entry], authorization: Option<&str>, now: i64) -> Result<Caller> {
    let token = authorization.and_then(bearer).ok_or_else(|| {
        unauthenticated("the call has no token")
            .hint("give one with --token-file or SWITCHBACK_TOKEN; `switchbackd token` makes them")
    })?;
    let hash = Hash::of(token);
    // Every one of them is compared, so that the time does not tell which one it is.
    let found = entries.iter().fold(
        None,
        |found, entry| {
            if entry.hash.is(&hash) { Some(entry) } else { found }
        },
    );
    let Some(entry) = found else {
        return Err(unauthenticated("the token is not known")
            .hint("the server's file of tokens (SWITCHBACK_TOKENS) needs its line"));
    };
    if entry.expires.is_some_and(|expires| expires <= now) {
        return Err(unauthenticated("the token has expired")
            .hint("make a new one with `switchbackd token` and put its line in the place of it"));
    }
    Ok(Caller::named(&entry.name, entry.role))
}

/// The token of `Bearer TOKEN` (RFC 6750; the scheme's case does not count).
fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim()).filter(|token| !token.is_empty())
}

fn unauthenticated(message: &str) -> Error {
    Error::new(Reason::Unauthenticated, message)
}

fn read(path: &Path) -> Result<Vec<Entry>, String> {
    let cannot = |error: std::io::Error| format!("it cannot be read: {}", error.kind());
    let text = fs::read_to_string(path).map_err(cannot)?;
    // Who may add a line makes themselves an admin. To read hashes of random bits is no danger.
    if super::others_may_write(path).map_err(cannot)? {
        return Err("users other than its owner may write it: chmod 600".into());
    }
    parse(&text)
}

fn parse(text: &str) -> Result<Vec<Entry>, String> {
    let mut entries: Vec<Entry> = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let entry = Entry::parse(line).map_err(|problem| format!("line {number}: {problem}"))?;
        if entries.iter().any(|other| other.name == entry.name) {
            return Err(format!("line {number}: the name {:?} stands twice", entry.name));
        }
        entries.push(entry);
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::Role;

    fn entries() -> Vec<Entry> {
        let entry = |name: &str, role, expires| Entry {
            name: name.into(),
            role,
            hash: Hash::of(&format!("swb_{name}")),
            expires,
        };
        let all = [
            entry("grafana", Role::Viewer, None),
            entry("deploy", Role::Operator, Some(1000)),
            entry("root", Role::Admin, None),
        ];
        parse(&all.map(|entry| entry.to_string()).join("\n# comment\n\n")).unwrap()
    }

    #[test]
    fn a_token_is_who_has_it_until_it_expires() {
        let entries = entries();
        let who = |header: &str, now| find(&entries, Some(header), now);
        let root = who("Bearer swb_root", 0).unwrap();
        assert_eq!((&*root.name, root.role), ("root", Role::Admin));
        assert_eq!(who("bearer  swb_grafana", 0).unwrap().role, Role::Viewer);
        assert_eq!(who("Bearer swb_deploy", 999).unwrap().role, Role::Operator);
        assert!(who("Bearer swb_deploy", 1000).unwrap_err().message().contains("expired"));
    }

    #[test]
    fn anything_else_is_nobody() {
        let entries = entries();
        let wrong = ["", "Bearer", "Bearer ", "swb_root", "Basic swb_root", "Bearer swb_roo"];
        for header in wrong.map(Some).into_iter().chain([None]) {
            let error = find(&entries, header, 0).unwrap_err();
            assert_eq!(error.reason(), Reason::Unauthenticated, "{header:?}");
            assert!(!error.hint_text().is_empty() && !error.message().contains("swb_"));
        }
        assert!(find(&[], Some("Bearer swb_root"), 0).is_err());
    }

    #[test]
    fn a_name_stands_once() {
        let line = entries()[0].to_string();
        assert!(parse(&format!("{line}\n{line}")).unwrap_err().starts_with("line 2"));
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_others_may_write_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("tokens");
        fs::write(&path, entries()[0].to_string()).unwrap();
        for (mode, sound) in [(0o600, true), (0o644, true), (0o660, false), (0o602, false)] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(Tokens::open(&path).is_ok(), sound, "{mode:o}");
        }
    }
}
