//! Settings of the store of backups.

use std::path::{self, Path};

use super::{file::File, load::Loader};
use crate::object_store::{Encryption, S3Options, StoreUrl};

/// The store below the state directory, where nobody names another one.
const DEFAULT_DIRECTORY: &str = "backups";

impl Loader<'_> {
    pub(super) fn store(&mut self, file: &File, state_dir: &Path) -> StoreUrl {
        let below = state_dir.join(DEFAULT_DIRECTORY);
        let default =
            StoreUrl::Directory { path: path::absolute(&below).unwrap_or(below), create: true };
        let Some(text) = self.get("SWITCHBACK_STORE").or(file.store.as_deref()) else {
            return default;
        };
        StoreUrl::parse(text).unwrap_or_else(|error| {
            self.problem("SWITCHBACK_STORE", error.message());
            default
        })
    }

    pub(super) fn s3(&mut self, file: &File) -> S3Options {
        S3Options {
            path_style: self.path_style(file),
            encryption: self.encryption(file),
            access: None,
        }
    }

    fn path_style(&mut self, file: &File) -> bool {
        match self.get("SWITCHBACK_S3_PATH_STYLE") {
            None => file.s3_path_style,
            Some("0") => false,
            Some("1") => true,
            Some(other) => {
                let message = format!("{other:?} is neither 0 nor 1");
                self.problem("SWITCHBACK_S3_PATH_STYLE", message);
                false
            }
        }
    }

    fn encryption(&mut self, file: &File) -> Option<Encryption> {
        let method = self.get("SWITCHBACK_S3_SSE").or(file.s3_sse.as_deref());
        let key = self.get("SWITCHBACK_S3_SSE_KMS_KEY_ID").or(file.s3_sse_kms_key_id.as_deref());
        if key.is_some() && method != Some(Encryption::KMS) {
            self.problem(
                "SWITCHBACK_S3_SSE_KMS_KEY_ID",
                "it is used with SWITCHBACK_S3_SSE=aws:kms only",
            );
        }
        match method {
            None => None,
            Some(Encryption::AES256) => Some(Encryption::Aes256),
            Some(Encryption::KMS) => Some(Encryption::Kms(key.map(str::to_owned))),
            Some(other) => {
                let message = format!("{other:?} is neither AES256 nor aws:kms");
                self.problem("SWITCHBACK_S3_SSE", message);
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::loaded;

    #[test]
    fn a_store_is_below_the_state_directory_unless_it_is_named() {
        let config = loaded(&[("SWITCHBACK_STATE_DIR", "/var/lib/s")], "").unwrap();
        let path = "/var/lib/s/backups".into();
        assert_eq!(config.store, StoreUrl::Directory { path, create: true });
        let config = loaded(&[], "state_dir = 'relative'").unwrap();
        let shown = config.store.shown();
        assert!(shown.starts_with("file:///") && shown.ends_with("/relative/backups"), "{shown}");
        let config = loaded(&[("SWITCHBACK_STORE", "file:///b")], "store = 's3://other'").unwrap();
        assert_eq!(config.store.shown(), "file:///b");
    }

    #[test]
    fn both_forms_say_the_same_and_the_shown_one_is_read_again() {
        let variables = [
            ("SWITCHBACK_STORE", "s3://bucket/prefix/"),
            ("SWITCHBACK_S3_PATH_STYLE", "1"),
            ("SWITCHBACK_S3_SSE", "aws:kms"),
            ("SWITCHBACK_S3_SSE_KMS_KEY_ID", "alias/backups"),
        ];
        let config = loaded(&variables, "").unwrap();
        assert_eq!(config.s3.encryption, Some(Encryption::Kms(Some("alias/backups".into()))));
        assert!(config.s3.path_style);
        let again = loaded(&[], &config.to_string().replace("engine = \"auto\"", "")).unwrap();
        assert_eq!((again.store, again.s3), (config.store, config.s3));
    }

    #[test]
    fn what_does_not_go_together_is_named() {
        let key = ("SWITCHBACK_S3_SSE_KMS_KEY_ID", "k");
        assert!(loaded(&[key], "").unwrap_err().contains("aws:kms only"));
        assert!(loaded(&[key, ("SWITCHBACK_S3_SSE", "AES256")], "").is_err());
        let secret = "s3://AKID:hidden@bucket";
        let problems = loaded(&[("SWITCHBACK_STORE", secret)], "").unwrap_err();
        assert!(problems.contains("AWS_ACCESS_KEY_ID") && !problems.contains("hidden"));
    }
}
