//! Stores that refuse or do not answer.

use switchback_server::{
    error::{Error, Reason},
    object_store::{self, Access, S3Options, StoreUrl},
};
use switchback_tests::{
    cluster::free_port,
    faults::{Fault, FaultProxy},
    store::{KEY_ID, S3Server, SECRET},
};

use crate::{Store, open};

/// The error of every kind of request.
async fn errors(store: &Store) -> Vec<Error> {
    let later = std::time::SystemTime::now();
    let errors = [
        store.get("a".into()).await.err(),
        store.head("a".into()).await.err(),
        store.put("a".into(), vec![1].into()).await.err(),
        store.put("a".into(), vec![1; 9 << 20].into()).await.err(),
        store.list(String::new(), String::new()).await.err(),
        store.delete(vec!["a".into()]).await.err(),
        store.delete(vec!["a".into(), "b".into()]).await.err(),
        store.clean(later).await.err(),
    ];
    errors.into_iter().map(|error| error.expect("an error")).collect()
}

fn assert_tells_no_secret(error: &Error) {
    let text = format!("{error} {error:?} {}", error.hint_text());
    assert!(!text.contains(SECRET) && !text.contains(KEY_ID), "{text}");
    assert!(!error.hint_text().is_empty());
}

#[tokio::test]
async fn a_bucket_that_is_not_there_is_named_so() {
    let mut place = S3Server::shared().await.place().await;
    place.url = "s3://nobody-has-made-it/prefix".into();
    for error in errors(&open(&place)).await {
        assert_eq!(error.reason(), Reason::StoreRefused, "{error}");
        assert!(error.hint_text().contains("bucket"), "{}", error.hint_text());
        assert_tells_no_secret(&error);
    }
}

#[tokio::test]
async fn what_is_not_allowed_is_not_tried_again() {
    let place = S3Server::shared().await.place().await;
    let proxy = FaultProxy::start(&place.endpoint).await;
    let store = open(&place.behind(proxy.endpoint()));
    for (code, hint) in [
        ("AccessDenied", "allow"),
        ("InvalidAccessKeyId", "AWS_ACCESS_KEY_ID"),
        ("SignatureDoesNotMatch", "AWS_SECRET_ACCESS_KEY"),
        ("ExpiredToken", "AWS_SESSION_TOKEN"),
        ("RequestTimeTooSkewed", "clock"),
    ] {
        let before = proxy.hits();
        proxy.fail_next(Fault::Answer(403, code), 100);
        let error = store.put("a".into(), vec![1].into()).await.expect_err("refused");
        assert_eq!(error.reason(), Reason::StoreRefused, "{error}");
        assert!(error.message().contains(code), "{error}");
        assert!(error.hint_text().contains(hint), "{}", error.hint_text());
        assert_tells_no_secret(&error);
        // A HEAD has no code, only the status, and is made twice.
        let error = store.head("a".into()).await.expect_err("refused");
        assert_eq!(error.reason(), Reason::StoreRefused, "{error}");
        assert_eq!(proxy.hits() - before, 3, "{code}");
        proxy.heal();
    }
    proxy.fail_next(Fault::Answer(507, "XMinioStorageFull"), 1);
    let error = store.put("a".into(), vec![1].into()).await.expect_err("full");
    assert_eq!(error.reason(), Reason::StoreFull, "{error}");
}

#[tokio::test]
async fn a_store_that_does_not_answer_is_unreachable() {
    let mut place = S3Server::shared().await.place().await;
    place.endpoint = format!("http://127.0.0.1:{}", free_port().expect("a free port"));
    let error = open(&place).get("a".into()).await.expect_err("nobody listens");
    assert_eq!(error.reason(), Reason::StoreUnreachable, "{error}");
    assert_tells_no_secret(&error);
}

#[tokio::test]
async fn a_store_that_is_overloaded_for_long_is_unreachable() {
    let place = S3Server::shared().await.place().await;
    let proxy = FaultProxy::start(&place.endpoint).await;
    proxy.fail_next(Fault::Answer(503, "SlowDown"), 100);
    let store = open(&place.behind(proxy.endpoint()));
    let error = store.put("a".into(), vec![1].into()).await.expect_err("overloaded");
    assert_eq!(error.reason(), Reason::StoreUnreachable, "{error}");
    assert_eq!(proxy.hits(), 7);
    proxy.heal();
    store.put("a".into(), vec![1].into()).await.expect("written");
}

#[tokio::test]
async fn a_key_is_not_shown() {
    let place = S3Server::shared().await.place().await;
    let access = Access {
        endpoint: place.endpoint.clone(),
        key_id: "id".into(),
        key: switchback_server::config::Secret::new(SECRET),
    };
    let options = S3Options { access: Some(access), ..S3Options::default() };
    let store = object_store::open(&StoreUrl::parse(&place.url).expect("a place"), &options);
    store.put("a".into(), vec![1].into()).await.expect("written");
    assert_eq!(store.shown(), place.url);
    assert!(!format!("{store:?} {options:?}").contains(SECRET));
}
