//! How an S3-compatible store is spoken to.

use std::process::Command;

use switchback_server::object_store::{self, Encryption, S3Options, StoreUrl};
use switchback_tests::{
    faults::FaultProxy,
    store::{S3Server, SECRET},
};

use crate::{open, open_with, suite::content};

/// An endpoint with a name: the SDK puts no bucket before a number, whatever it is told.
fn named(endpoint: &str) -> String {
    endpoint.replace("127.0.0.1", "localhost")
}

#[tokio::test]
async fn requests_have_nothing_that_compatible_stores_refuse() {
    let place = S3Server::shared().await.place().await;
    let proxy = FaultProxy::start(&place.endpoint).await;
    let store = open(&place.behind(named(&proxy.endpoint())));
    store.put("a".into(), vec![1].into()).await.expect("written");
    store.put("b".into(), content(9 << 20, 0).into()).await.expect("written");
    store.get("a".into()).await.expect("read");
    let requests = proxy.requests();
    let path = place.url.trim_start_matches("s3:/").to_owned();
    for request in &requests {
        let target = request.split(' ').nth(1).expect("a target");
        assert!(target.starts_with(&path), "the bucket is no part of the path: {request}");
        for header in [
            "aws-chunked",
            "if-none-match",
            "transfer-encoding",
            "x-amz-checksum-",
            "x-amz-sdk-checksum",
            "x-amz-server-side-encryption",
            "x-amz-trailer",
        ] {
            assert!(!request.contains(header), "{header} in {request}");
        }
        assert!(!request.contains(SECRET));
    }
    // What arrives is compared with this by every store that looks at signatures.
    let signed = requests.iter().filter(|request| request.starts_with("put "));
    assert_eq!(signed.clone().count(), 3);
    for request in signed {
        let hash = request.split("x-amz-content-sha256: ").nth(1).expect("a hash");
        assert_eq!(hash.lines().next().map(str::len), Some(64), "{request}");
    }
}

#[tokio::test]
async fn a_store_is_asked_to_encrypt() {
    let place = S3Server::shared().await.place().await;
    let proxy = FaultProxy::start(&place.endpoint).await;
    for (encryption, headers) in [
        (Encryption::Aes256, vec!["x-amz-server-side-encryption: aes256"]),
        (
            Encryption::Kms(Some("key-1".into())),
            vec![
                "x-amz-server-side-encryption: aws:kms",
                "x-amz-server-side-encryption-aws-kms-key-id: key-1",
            ],
        ),
    ] {
        let before = proxy.requests().len();
        let options = S3Options { encryption: Some(encryption), ..S3Options::default() };
        let store = open_with(&place.behind(proxy.endpoint()), options);
        store.put("a".into(), vec![1].into()).await.expect("written");
        store.put("b".into(), content(9 << 20, 0).into()).await.expect("written");
        let requests = proxy.requests();
        let begun = requests[before..].iter().filter(|request| {
            request.starts_with("put /") && !request.contains("uploadid=")
                || request.starts_with("post /") && request.contains("?uploads")
        });
        assert_eq!(begun.clone().count(), 2);
        for (request, header) in begun.flat_map(|r| headers.iter().map(move |h| (r, h))) {
            assert!(request.contains(header), "no {header} in {request}");
        }
    }
}

#[tokio::test]
async fn stores_in_one_bucket_do_not_see_each_other() {
    let mut place = S3Server::shared().await.place().await;
    let first = open(&place);
    place.url.push('2');
    let second = open(&place);
    place.url = place.url.trim_end_matches("/prefix2").to_owned();
    let whole = open(&place);
    for (store, key) in [(&first, "one"), (&second, "two"), (&whole, "three")] {
        store.put(key.into(), vec![1].into()).await.expect("written");
    }
    let mut seen = Vec::new();
    for store in [first, second, whole] {
        let page = store.list(String::new(), String::new()).await.expect("listed");
        let keys: Vec<String> = page.objects.into_iter().map(|object| object.key).collect();
        seen.push(keys.join(" "));
    }
    assert_eq!(seen, ["one", "two", "prefix/one prefix2/two three"]);
}

/// A test cannot set variables of its own process: it starts itself with them.
#[tokio::test]
async fn the_standard_variables_are_enough() {
    let place = S3Server::shared().await.place().await;
    for endpoint in ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"] {
        let settings = place.settings().into_iter().filter(|(name, _)| *name != "AWS_REGION");
        let settings = settings.map(|(name, value)| match name {
            "AWS_ENDPOINT_URL" => (endpoint, named(&value)),
            _ => (name, value),
        });
        let output = with_variables().envs(settings).output().expect("it runs");
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && text.contains("1 passed"), "{endpoint}: {text}");
    }
    // Without credentials: the machine's metadata is not asked.
    let mut without = with_variables();
    without.env("SWITCHBACK_STORE", &place.url).env("AWS_ENDPOINT_URL", &place.endpoint);
    let output = without.env("AWS_EC2_METADATA_DISABLED", "true").output().expect("it runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(!output.status.success(), "{text}");
    assert!(text.contains("StoreRefused") && text.contains("AWS_ACCESS_KEY_ID"), "{text}");
}

fn with_variables() -> Command {
    let mut command = Command::new(std::env::current_exe().expect("a program knows its path"));
    command
        .args(["--exact", "s3::a_store_of_the_environment", "--ignored", "--nocapture"])
        .env_clear()
        .envs(std::env::vars().filter(|(name, _)| name == "PATH" || name == "TMPDIR"));
    command
}

#[tokio::test]
#[ignore = "runs with variables that another test sets"]
async fn a_store_of_the_environment() {
    let url = std::env::var("SWITCHBACK_STORE").expect("a store");
    let url = StoreUrl::parse(&url).expect("a place");
    let store = object_store::open(&url, &S3Options::default());
    if let Err(error) = store.put("a".into(), vec![1].into()).await {
        println!("{error:?}");
        panic!("{error}");
    }
}
