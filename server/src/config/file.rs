//! The TOML form of the configuration.

use std::{collections::BTreeMap, path::PathBuf};

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
