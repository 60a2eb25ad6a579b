//! Tokens: 256 random bits, of which the server keeps a hash.
//!
//! A plain SHA-256 is right for them. A slow, salted hash protects secrets that can be guessed;
//! nobody guesses 256 random bits, and each call is checked.

use std::fmt;

use jiff::{Span, SpanRelativeTo, Timestamp};
use ring::{
    digest::{SHA256, digest},
    rand::{SecureRandom, SystemRandom},
};
use subtle::ConstantTimeEq;

use super::Role;
use crate::clock;

/// What a token begins with, so that people and scanners of repositories recognise one.
pub const PREFIX: &str = "swb_";

/// What the hash begins with in the file.
const HASH: &str = "sha256:";

/// What an expiry begins with in the file.
const EXPIRES: &str = "expires=";

const LONGEST_NAME: usize = 64;

/// SHA-256 of a token.
#[derive(Clone, Copy)]
pub struct Hash([u8; 32]);

impl Hash {
    /// Of a token as a caller sends it.
    pub fn of(token: &str) -> Self {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
        Self(bytes)
    }

    /// Whether they are equal, in a time that does not depend on where they differ.
    pub fn is(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }

    fn parse(text: &str) -> Option<Self> {
        let hex = text.strip_prefix(HASH).filter(|hex| hex.len() == 64 && hex.is_ascii())?;
        let mut bytes = [0; 32];
        for (byte, at) in bytes.iter_mut().zip((0..).step_by(2)) {
            *byte = u8::from_str_radix(hex.get(at..at + 2)?, 16).ok()?;
        }
        Some(Self(bytes))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// One line of the file of tokens: `NAME ROLE sha256:HEX [expires=TIME]`.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Who has the token.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// Its hash.
    pub hash: Hash,
    /// When it ends to be one, in milliseconds since 1970.
    pub expires: Option<i64>,
}

impl Entry {
    /// Reads a line. A problem never repeats it: somebody may have put the token itself there.
    pub fn parse(line: &str) -> Result<Self, String> {
        let mut words = line.split_ascii_whitespace();
        let mut next = || words.next().unwrap_or_default();
        let (name, role, hash, expires) = (next(), next(), next(), next());
        if words.next().is_some() {
            return Err("more than a name, a role, a hash and an expiry".into());
        }
        check_name(name)?;
        let role = Role::from_word(role).ok_or("the role is none of viewer, operator, admin")?;
        let hash = Hash::parse(hash).ok_or("the hash is not sha256: and 64 hex digits")?;
        let expires = match expires.strip_prefix(EXPIRES) {
            Some(time) => {
                let millis = clock::from_rfc3339(time);
                Some(millis.ok_or("the expiry is no time such as 2030-01-31T00:00:00Z")?)
            }
            None if expires.is_empty() => None,
            None => return Err("the fourth word is not expires=TIME".into()),
        };
        Ok(Self { name: name.to_owned(), role, hash, expires })
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {HASH}", self.name, self.role.word())?;
        self.hash.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        match self.expires {
            Some(millis) => write!(f, " {EXPIRES}{}", clock::rfc3339(millis)),
            None => Ok(()),
        }
    }
}

/// Names stand in lines of the file and in the audit log.
pub fn check_name(name: &str) -> Result<(), String> {
    let is_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.@".contains(&byte));
    if is_name && !name.is_empty() && name.len() <= LONGEST_NAME {
        return Ok(());
    }
    Err("a name has ASCII letters, digits, '-', '_', '.' and '@', at most 64 of them".into())
}

/// Milliseconds since 1970 of a time from now: `90d`, `12h`.
pub fn expiry(text: &str) -> Result<i64, String> {
    let wrong = || "it is no time such as 90d or 12h".to_owned();
    let span: Span = text.parse().map_err(|_| wrong())?;
    let time = span.to_duration(SpanRelativeTo::days_are_24_hours()).map_err(|_| wrong())?;
    if !time.is_positive() {
        return Err("it has passed already".into());
    }
    let end = Timestamp::now().checked_add(time).map_err(|_| wrong())?;
    Ok(end.as_millisecond())
}

/// A new token.
pub fn generate() -> Result<String, String> {
    let mut bytes = [0; 32];
    let filled = SystemRandom::new().fill(&mut bytes);
    filled.map_err(|_| "the system gives no random bytes".to_owned())?;
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("{PREFIX}{digits}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_as_it_was_written() {
        let token = generate().unwrap();
        assert_eq!((token.len(), token.starts_with(PREFIX)), (68, true));
        assert_ne!(token, generate().unwrap());
        for expires in [None, Some(1_900_000_000_000)] {
            let (name, role, hash) = ("deploy".to_owned(), Role::Operator, Hash::of(&token));
            let line = Entry { name, role, hash, expires }.to_string();
            assert!(!line.contains(&token));
            let read = Entry::parse(&line).unwrap();
            assert!(read.hash.is(&Hash::of(&token)) && !read.hash.is(&Hash::of("swb_other")));
            assert_eq!((read.name.as_str(), read.role, read.expires), ("deploy", role, expires));
        }
    }

    /// `printf %s abc | sha256sum`
    #[test]
    fn the_hash_is_the_one_that_other_programs_make() {
        let line = "a viewer sha256:\
                    ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert!(Entry::parse(line).unwrap().hash.is(&Hash::of("abc")));
    }

    #[test]
    fn wrong_lines_are_refused_and_not_repeated() {
        let hash = format!("sha256:{}", "0".repeat(64));
        for line in [
            "",
            "a viewer",
            "a root HASH",
            "a/b viewer HASH",
            "a viewer HASH 2030-01-01",
            "a viewer HASH expires=soon",
            "a viewer HASH expires=2030-01-31T00:00:00Z more",
            "a viewer swb_0123456789",
            "a viewer sha256:0123",
            "a viewer sha256:ééééééééééééééééééééééééééééééééé",
        ] {
            let problem = Entry::parse(&line.replace("HASH", &hash)).unwrap_err();
            assert!(!problem.contains("swb_") && !problem.contains(&hash), "{problem}");
        }
        assert!(check_name(&"n".repeat(65)).is_err());
    }

    #[test]
    fn an_expiry_is_a_time_from_now() {
        let day = expiry("1d").unwrap() - clock::now_millis();
        assert!((86_390_000..=86_400_000).contains(&day), "{day}");
        assert!(expiry("12h").is_ok());
        for wrong in ["", "0s", "-1d", "1 fortnight", "1mo", "999999999999y"] {
            assert!(expiry(wrong).is_err(), "{wrong}");
        }
    }
}
