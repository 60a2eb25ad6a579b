//! Faults between the server and an S3-compatible store.

use std::time::{Duration, SystemTime};

use switchback_server::error::Reason;
use switchback_tests::{
    faults::{Fault, FaultProxy},
    store::{Place, S3Server},
};

use crate::{Store, open, suite::content};

/// A store behind a proxy.
async fn faulty() -> (FaultProxy, Store, Place) {
    let place = S3Server::shared().await.place().await;
    let proxy = FaultProxy::start(&place.endpoint).await;
    let store = open(&place.behind(proxy.endpoint()));
    (proxy, store, place)
}

async fn put(store: &Store, content: &[u8]) {
    store.put("key".into(), content.to_vec().into()).await.expect("it is written in the end");
}

async fn get(store: &Store) -> Vec<u8> {
    store.get("key".into()).await.expect("it is read in the end").expect("it is there").to_vec()
}

#[tokio::test]
async fn requests_are_tried_again() {
    let (proxy, store, place) = faulty().await;
    let direct = open(&place);
    let faults = [
        Fault::Answer(429, "TooManyRequests"),
        Fault::Answer(500, "InternalError"),
        Fault::Answer(502, "BadGateway"),
        Fault::Answer(503, "SlowDown"),
        Fault::Reset,
        Fault::LoseAnswer,
        Fault::CutRequest(100),
    ];
    for (at, fault) in faults.into_iter().enumerate() {
        let content = content(5_000 + at, at);
        proxy.fail_next(fault, 2);
        put(&store, &content).await;
        assert_eq!(get(&direct).await, content, "{fault:?}");
        proxy.await_hits(4 * u32::try_from(at).unwrap() + 2).await;
        proxy.fail_next(fault, 2);
        assert_eq!(get(&store).await, content, "{fault:?}");
        assert_eq!(proxy.hits(), 4 * u32::try_from(at).unwrap() + 4, "{fault:?}");
    }
    proxy.fail_next(Fault::Answer(503, "SlowDown"), 1);
    let page = store.list(String::new(), String::new()).await.expect("listed");
    assert_eq!(page.objects.len(), 1);
    proxy.fail_next(Fault::LoseAnswer, 1);
    store.delete(vec!["key".into(), "other".into()]).await.expect("deleted");
    assert_eq!(proxy.hits(), 30);
}

#[tokio::test]
async fn a_clock_that_is_wrong_is_corrected() {
    let (proxy, store, _) = faulty().await;
    proxy.fail_next(Fault::Skewed, 1);
    put(&store, b"content").await;
    assert_eq!(get(&store).await, b"content");
    proxy.fail_next_with("HEAD", Fault::Skewed, 1);
    assert!(store.head("key".into()).await.expect("asked").is_some());
    assert_eq!(proxy.hits(), 2);
}

#[tokio::test]
async fn parts_are_tried_again() {
    let (proxy, store, place) = faulty().await;
    let content = content(20 << 20, 3);
    proxy.fail_next_with("PUT", Fault::CutRequest(1 << 20), 2);
    proxy.fail_next_with("PUT", Fault::Answer(500, "InternalError"), 1);
    proxy.fail_next_with("PUT", Fault::Reset, 1);
    put(&store, &content).await;
    assert!(get(&open(&place)).await == content);
    assert_eq!(proxy.hits(), 4);
}

/// The store completes the upload, says so into the void, and then knows it no more.
#[tokio::test]
async fn an_upload_whose_end_was_not_heard_is_made_again() {
    let (proxy, store, place) = faulty().await;
    let content = content(9 << 20, 4);
    proxy.fail_next_end(Fault::LoseAnswer);
    // Some stores remember for a while that they have completed it; moto does.
    proxy.fail_next_end(Fault::Answer(404, "NoSuchUpload"));
    put(&store, &content).await;
    assert!(get(&open(&place)).await == content);
    assert_eq!(proxy.hits(), 2);
    let requests = proxy.requests();
    assert_eq!(requests.iter().filter(|request| request.contains("?uploads")).count(), 2);
}

#[tokio::test]
async fn a_failed_upload_leaves_no_parts() {
    let (proxy, store, _) = faulty().await;
    proxy.fail_next_with("PUT", Fault::Answer(403, "AccessDenied"), 1);
    let put = store.put("key".into(), content(20 << 20, 5).into()).await;
    assert_eq!(put.expect_err("refused").reason(), Reason::StoreRefused);
    let later = SystemTime::now() + Duration::from_secs(3600);
    assert_eq!(store.clean(later).await.expect("cleaned"), 0);
    assert_eq!(store.get("key".into()).await.expect("asked"), None);
}

#[tokio::test]
async fn an_upload_that_was_left_alone_is_cleaned_when_it_is_old() {
    let (proxy, store, _) = faulty().await;
    proxy.fail_next_with("PUT", Fault::Hang, 10);
    let putting = {
        let store = store.clone();
        tokio::spawn(async move { store.put("key".into(), content(20 << 20, 6).into()).await })
    };
    proxy.await_hits(3).await;
    putting.abort();
    proxy.heal();
    let later = SystemTime::now() + Duration::from_secs(3600);
    // Moto says of every upload that it was begun in 2010.
    assert_eq!(store.clean(SystemTime::UNIX_EPOCH).await.expect("cleaned"), 0);
    assert_eq!(store.clean(later).await.expect("cleaned"), 1);
    assert_eq!(store.clean(later).await.expect("cleaned"), 0);
}

#[tokio::test]
async fn a_write_that_was_cut_is_found_and_made_again() {
    let (proxy, store, place) = faulty().await;
    let content = content(5_000, 7);
    proxy.fail_next_with("PUT", Fault::ShortenRequest(4_999), 2);
    put(&store, &content).await;
    assert_eq!(get(&open(&place)).await, content);
    assert_eq!(proxy.hits(), 2);

    proxy.fail_next_with("PUT", Fault::ShortenRequest(4_999), 3);
    let put = store.put("key".into(), content.into()).await;
    let error = put.expect_err("it never arrives whole");
    assert_eq!(error.reason(), Reason::StoreUnreachable, "{error}");
    assert!(error.message().contains("less"), "{error}");
}

#[tokio::test]
async fn an_object_that_comes_incomplete_is_read_again() {
    let (proxy, store, _) = faulty().await;
    let content = content(9 << 20, 8);
    put(&store, &content).await;
    proxy.fail_next_with("GET", Fault::CutAnswer(5 << 20), 2);
    assert!(get(&store).await == content);
    proxy.fail_next_with("GET", Fault::CutAnswer(0), 1);
    assert!(get(&store).await == content);
    assert_eq!(proxy.hits(), 3);

    proxy.fail_next_with("GET", Fault::CutAnswer(1), 100);
    let error = store.get("key".into()).await.expect_err("never whole");
    assert_eq!(error.reason(), Reason::StoreUnreachable, "{error}");
}

/// Objects have hashes of their own: a store does not look at what it carries.
#[tokio::test]
async fn a_bit_that_is_another_one_is_for_the_format_to_find() {
    let (proxy, store, _) = faulty().await;
    let content = content(5_000, 9);
    put(&store, &content).await;
    proxy.fail_next_with("GET", Fault::FlipBit, 1);
    let got = get(&store).await;
    assert_eq!(got.iter().zip(&content).filter(|(a, b)| a != b).count(), 1);
    assert_eq!(get(&store).await, content);
}

#[tokio::test]
async fn a_store_without_batches_deletes_singly() {
    let (proxy, store, place) = faulty().await;
    for (code, key) in [("NotImplemented", "one"), ("MissingContentMD5", "two")] {
        let store = open(&place.behind(proxy.endpoint()));
        store.put(key.into(), vec![1].into()).await.expect("written");
        put(&store, b"x").await;
        proxy.fail_next_with("POST", Fault::Answer(400, code), 1);
        store.delete(vec!["key".into(), key.into()]).await.expect("deleted");
        let left = store.list(String::new(), String::new()).await.expect("listed");
        assert_eq!(left.objects, []);
    }
    assert_eq!(proxy.hits(), 2);
    drop(store);
}

#[tokio::test]
async fn a_store_that_does_not_list_uploads_has_nothing_to_clean() {
    let (proxy, store, _) = faulty().await;
    proxy.fail_next(Fault::Answer(501, "NotImplemented"), 100);
    assert_eq!(store.clean(SystemTime::now()).await.expect("cleaned"), 0);
    assert!(proxy.hits() > 0);
}
