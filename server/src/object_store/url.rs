//! Places of stores as people write them: `file:///directory` and `s3://bucket/prefix`.

use std::{
    ffi::OsString,
    fmt::Write,
    os::unix::ffi::{OsStrExt, OsStringExt},
    path::{Path, PathBuf},
};

use super::is_segment;
use crate::error::{Error, Reason, Result};

/// Where a store is. There are no credentials in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreUrl {
    /// A directory.
    Directory {
        /// The directory, as an absolute path.
        path: PathBuf,
        /// Made where it is not there. Not for one that somebody has named: it may be a disk that
        /// is not mounted.
        create: bool,
    },
    /// A bucket.
    S3 {
        /// Its name.
        bucket: String,
        /// What stands before the names of objects, without a slash at its ends; may be empty.
        prefix: String,
    },
}

impl StoreUrl {
    /// Reads a place. The message of an error says what to write and never quotes the text, which
    /// may hold a secret where somebody has put one.
    pub fn parse(text: &str) -> Result<Self> {
        if let Some(rest) = text.strip_prefix("file://") {
            return directory(rest);
        }
        if let Some(rest) = text.strip_prefix("s3://") {
            return bucket(rest);
        }
        Err(wrong("it is neither file:///directory nor s3://bucket/prefix"))
    }

    /// The place as [`StoreUrl::parse`] reads it.
    pub fn shown(&self) -> String {
        match self {
            Self::Directory { path, .. } => format!("file://{}", encoded(path)),
            Self::S3 { bucket, prefix } if prefix.is_empty() => format!("s3://{bucket}"),
            Self::S3 { bucket, prefix } => format!("s3://{bucket}/{prefix}"),
        }
    }
}

fn wrong(message: &str) -> Error {
    Error::new(Reason::InvalidRequest, message)
}

fn directory(rest: &str) -> Result<StoreUrl> {
    let rest = rest.strip_prefix("localhost").unwrap_or(rest);
    if !rest.starts_with('/') {
        return Err(wrong("a directory is an absolute path behind file://, as in file:///backups"));
    }
    if rest.contains(['?', '#']) {
        return Err(wrong("a directory has no '?' and no '#': write them as %3F and %23"));
    }
    let path = decoded(rest)
        .ok_or_else(|| wrong("a '%' stands before two hexadecimal digits: write it as %25"))?;
    if path.contains(&0) {
        return Err(wrong("a directory has no zero byte"));
    }
    let path = PathBuf::from(OsString::from_vec(path));
    if path.components().count() < 2 {
        return Err(wrong("the root of the file system is no place for a store: name a directory"));
    }
    Ok(StoreUrl::Directory { path, create: false })
}

fn bucket(rest: &str) -> Result<StoreUrl> {
    if rest.contains('@') {
        return Err(wrong(
            "credentials do not belong here: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
        ));
    }
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    if bucket.contains(':') {
        return Err(wrong(
            "a bucket has no port: set AWS_ENDPOINT_URL to the address of an S3-compatible store",
        ));
    }
    if !(3..=63).contains(&bucket.len()) || !is_segment(bucket) {
        return Err(wrong(
            "the name of a bucket has 3 to 63 ASCII letters, digits, '-', '.' and '_'",
        ));
    }
    let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
    if !prefix.is_empty() && !prefix.split('/').all(is_segment) {
        return Err(wrong(
            "a prefix has ASCII letters, digits, '-', '.' and '_' between single slashes",
        ));
    }
    // With a name of an object behind it, it is below S3's 1024 bytes.
    if prefix.len() > 200 {
        return Err(wrong("a prefix has at most 200 characters"));
    }
    Ok(StoreUrl::S3 { bucket: bucket.into(), prefix: prefix.into() })
}

/// Bytes of a path of a URL (RFC 3986, 2.1); `None` where a `%` has not its two digits.
fn decoded(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || char::from(rest.next()?).to_digit(16);
        let code = digit()? * 16 + digit()?;
        bytes.push(u8::try_from(code).ok()?);
    }
    Some(bytes)
}

fn encoded(path: &Path) -> String {
    let mut text = String::new();
    for byte in path.as_os_str().as_bytes() {
        if byte.is_ascii_alphanumeric() || b"/-_.~".contains(byte) {
            text.push(char::from(*byte));
        } else {
            // Writing to a string does not fail.
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_directory(path: &str) -> StoreUrl {
        StoreUrl::Directory { path: path.into(), create: false }
    }

    fn in_bucket(bucket: &str, prefix: &str) -> StoreUrl {
        StoreUrl::S3 { bucket: bucket.into(), prefix: prefix.into() }
    }

    #[test]
    fn places_are_read_and_shown() {
        for (text, url, shown) in [
            ("file:///backups", in_directory("/backups"), "file:///backups"),
            ("file:///a%20b/%C3%A4%25", in_directory("/a b/ä%"), "file:///a%20b/%C3%A4%25"),
            ("file:///ä b", in_directory("/ä b"), "file:///%C3%A4%20b"),
            ("file://localhost/b", in_directory("/b"), "file:///b"),
            ("s3://bucket", in_bucket("bucket", ""), "s3://bucket"),
            ("s3://bucket/", in_bucket("bucket", ""), "s3://bucket"),
            ("s3://b.u-k/a/b_c/", in_bucket("b.u-k", "a/b_c"), "s3://b.u-k/a/b_c"),
        ] {
            let read = StoreUrl::parse(text).unwrap();
            assert_eq!(read, url, "{text}");
            assert_eq!(read.shown(), shown);
            assert_eq!(StoreUrl::parse(shown).unwrap(), url, "{shown}");
        }
    }

    #[test]
    fn what_is_no_place_is_refused_without_being_quoted() {
        for (text, said) in [
            ("", "neither"),
            ("/backups", "neither"),
            ("gs://bucket", "neither"),
            ("S3://bucket", "neither"),
            ("file://backups", "absolute"),
            ("file://", "absolute"),
            ("file:///", "root"),
            ("file:///a%2", "hexadecimal"),
            ("file:///a%zz", "hexadecimal"),
            ("file:///a%00", "zero byte"),
            ("file:///a?b", "%3F"),
            ("s3://", "3 to 63"),
            ("s3://ab/x", "3 to 63"),
            ("s3://b u", "3 to 63"),
            ("s3://bucket//a", "prefix"),
            ("s3://bucket/../a", "prefix"),
            ("s3://bucket/a?b", "prefix"),
            ("s3://host:9000/bucket", "AWS_ENDPOINT_URL"),
            ("s3://AKIDEXAMPLE:hidden@bucket/p", "AWS_SECRET_ACCESS_KEY"),
        ] {
            let error = StoreUrl::parse(text).unwrap_err();
            assert!(error.message().contains(said), "{text}: {error}");
            assert!(!error.message().contains("hidden"));
        }
    }
}
