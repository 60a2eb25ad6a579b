//! How a bucket is reached: credentials, region and endpoint by the standard `AWS_*` variables.

use std::{env, time::Duration};

use aws_config::{
    BehaviorVersion, ConfigLoader, environment::EnvironmentVariableRegionProvider,
    meta::region::RegionProviderChain, profile::ProfileFileRegionProvider, retry::RetryConfig,
    timeout::TimeoutConfig,
};
use aws_sdk_s3::{
    Client,
    config::{
        Builder, Credentials, ProvideCredentials, RequestChecksumCalculation,
        ResponseChecksumValidation,
        interceptors::InterceptorContext,
        retry::{ClassifyRetry, RetryAction, RetryPartition, TokenBucket},
    },
};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};

use super::failure;
use crate::{
    config::Secret,
    error::{Error, Reason, Result},
};

/// S3-compatible stores mostly ignore the region; those that do not, call theirs so or say theirs.
const DEFAULT_REGION: &str = "us-east-1";

/// The SDK reads it itself, but does not tell.
const S3_ENDPOINT: &str = "AWS_ENDPOINT_URL_S3";

const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// For an attempt without its bytes. The first byte of a large list takes seconds.
const ATTEMPT_LIMIT: Duration = Duration::from_secs(60);

/// A request may take so many times what an attempt may: not every attempt is a slow one.
const SLOW_ATTEMPTS: u32 = 3;

/// Bytes per second below which a connection is no use: sixteen requests share it.
const SLOWEST: u64 = 64 << 10;

/// With the pauses below about eight seconds on average: a restart of a store, not an outage.
const ATTEMPTS: u32 = 7;
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// What the standard variables do not say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct S3Options {
    /// The bucket is part of the path, not of the host's name; always so where an endpoint is set.
    pub path_style: bool,
    /// How the store is asked to encrypt; `None` leaves it to the bucket.
    pub encryption: Option<Encryption>,
    /// Instead of the variables; for tests, which cannot set those of their own process.
    pub access: Option<Access>,
}

/// Encryption by the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Encryption {
    /// With keys of the store's own.
    Aes256,
    /// With a key of KMS; `None` for the account's default one.
    Kms(Option<String>),
}

impl Encryption {
    /// What S3 calls [`Encryption::Aes256`].
    pub const AES256: &str = "AES256";
    /// What S3 calls [`Encryption::Kms`].
    pub const KMS: &str = "aws:kms";
}

/// An endpoint and its credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// URL of the store.
    pub endpoint: String,
    /// Id of the key.
    pub key_id: String,
    /// The key.
    pub key: Secret,
}

/// A client; `place` is for messages. Reads files and may ask the machine's metadata for
/// credentials, but does not ask the store.
pub(super) async fn client(options: &S3Options, place: &str) -> Result<Client> {
    let shared = loader(options).load().await;
    let provider = shared.credentials_provider().ok_or_else(|| no_credentials(place, "none"))?;
    provider
        .provide_credentials()
        .await
        .map_err(|error| no_credentials(place, &failure::chain(&error)))?;
    // The SDK's own quota of tries is one for the whole process, and a long outage uses it up.
    let partition =
        RetryPartition::custom("switchback").token_bucket(TokenBucket::unlimited()).build();
    // Stores behind an endpoint rarely have a name in DNS for each bucket.
    let endpoint = shared.endpoint_url().is_some() || env::var_os(S3_ENDPOINT).is_some();
    let config = Builder::from(&shared)
        .retry_partition(partition)
        .retry_classifier(TooManyRequests)
        .force_path_style(options.path_style || endpoint)
        .build();
    Ok(Client::from_conf(config))
}

fn loader(options: &S3Options) -> ConfigLoader {
    let http = aws_smithy_http_client::Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .build_https();
    let region = RegionProviderChain::first_try(EnvironmentVariableRegionProvider::new())
        .or_else(ProfileFileRegionProvider::new())
        .or_else(DEFAULT_REGION);
    let retry = RetryConfig::standard()
        .with_max_attempts(ATTEMPTS)
        .with_initial_backoff(FIRST_PAUSE)
        .with_max_backoff(LONGEST_PAUSE);
    let loader = aws_config::defaults(BehaviorVersion::latest())
        .http_client(http)
        .region(region)
        .retry_config(retry)
        .timeout_config(time_limits(0))
        // Stores refuse what they do not know, and objects are hashed end to end.
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired);
    match &options.access {
        None => loader,
        Some(access) => loader.endpoint_url(&access.endpoint).credentials_provider(
            Credentials::new(&access.key_id, access.key.expose(), None, None, "test"),
        ),
    }
}

/// Some stores slow clients down by status 429, which S3 does not have and the SDK does not know.
#[derive(Debug)]
struct TooManyRequests;

impl ClassifyRetry for TooManyRequests {
    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        match context.response().map(|response| response.status().as_u16()) {
            Some(429) => RetryAction::throttling_error(),
            _ => RetryAction::NoActionIndicated,
        }
    }

    fn name(&self) -> &'static str {
        "too many requests"
    }
}

/// The configuration of one request that carries so many bytes.
pub(super) fn patient(bytes: u64) -> Builder {
    aws_sdk_s3::Config::builder().timeout_config(time_limits(bytes))
}

fn time_limits(bytes: u64) -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(CONNECT_LIMIT)
        .operation_attempt_timeout(time_for(bytes))
        .operation_timeout(time_for(bytes) * SLOW_ATTEMPTS)
        .build()
}

/// How long so many bytes may take.
pub(super) fn time_for(bytes: u64) -> Duration {
    ATTEMPT_LIMIT + Duration::from_secs(bytes / SLOWEST)
}

fn no_credentials(place: &str, why: &str) -> Error {
    Error::new(Reason::StoreRefused, format!("there are no credentials for the store {place}"))
        .hint("set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give the server a role")
        .caused_by(why)
}
