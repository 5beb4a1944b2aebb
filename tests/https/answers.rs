//! Answers that are lost, truncated, replaced or repeated on the way.

use std::sync::Arc;

use bytes::Bytes;
use exchange::port::Stream;
use exchange::{ErrorKind, FeedExchange, Filed, Published, RequestExchange, Settlement};
use harness::until;
use schemas::request::RequestId;

use super::scene::{SOON, Scene, insurer, lane};
use super::web_proxy::{Fault, Hold, WebProxy};

const A: Bytes = Bytes::from_static(b"a chunk of some length");
const B: Bytes = Bytes::from_static(b"another chunk");

const PROXY_TIMEOUT: &str =
    "HTTP/1.1 504 Gateway Timeout\r\ncontent-type: text/html\r\ncontent-length: 6\r\n\r\n<html>";
const PROXY_REFUSAL: &str =
    "HTTP/1.1 502 Bad Gateway\r\ncontent-type: text/html\r\ncontent-length: 6\r\n\r\n<html>";
const PUT: &str = "PUT /v1/lanes/";
const GET: &str = "GET /v1/lanes/";

fn id(token: &str) -> RequestId {
    format!("20260131-{token}").parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn gateway_killed_before_its_answer_leaves_a_write_unknown() {
    let scene = Scene::start().await;
    let mut gateway = scene.plain_gateway().await;
    let proxy = WebProxy::start(gateway.port()).await;
    let bureau = scene.connect(&proxy.url(), "bureau").await;
    let lane = lane("killed");
    let hold = Arc::new(Hold::default());
    proxy.arm(PUT, Fault::LoseAnswer(Arc::clone(&hold)));
    let publishing = {
        let (bureau, lane) = (bureau.clone(), lane.clone());
        tokio::spawn(async move { bureau.publish_chunk(&lane, A, 0).await })
    };
    hold.answered.notified().await;
    gateway.kill().await;
    hold.released.notify_one();
    let error = publishing.await.unwrap().unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unknown, "{error}");
    let error = bureau.last_chunk(&lane).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unreachable, "{error}");
    gateway.restart().await;
    // It was stored: the caller reads it back, and a second attempt changes nothing.
    let stored = bureau.last_chunk(&lane).await.unwrap().unwrap();
    assert_eq!(stored.bytes, A);
    assert_eq!(
        bureau.publish_chunk(&lane, A, 0).await.unwrap(),
        Published::Conflict
    );
    let next = bureau.publish_chunk(&lane, B, stored.sequence).await.unwrap();
    assert!(matches!(next, Published::Done { .. }), "{next:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn answer_truncated_or_altered_is_never_data() {
    let scene = Scene::start().await;
    let gateway = scene.plain_gateway().await;
    let proxy = WebProxy::start(gateway.port()).await;
    let bureau = scene.connect(&proxy.url(), "bureau").await;
    let lane = lane("truncated");
    bureau.publish_chunk(&lane, A, 0).await.unwrap();
    for fault in [Fault::Truncate, Fault::TruncateUnseen, Fault::Alter] {
        proxy.arm(GET, fault.clone());
        let error = bureau.last_chunk(&lane).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unreachable, "{fault:?}: {error}");
        assert!(proxy.is_applied());
        let stored = bureau.last_chunk(&lane).await.unwrap().unwrap();
        assert_eq!(stored.bytes, A, "{fault:?}");
    }
    // A sequence of messages, and JSON.
    let insurer_a = scene.connect(&proxy.url(), "insurer-a").await;
    for fault in [Fault::Truncate, Fault::TruncateUnseen] {
        proxy.arm("POST /v1/deliveries", fault.clone());
        let error = insurer_a.fetch_chunks(&insurer(), 10).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unreachable, "{fault:?}: {error}");
        proxy.arm("GET /v1/deliveries", fault.clone());
        let error = insurer_a.is_drained(&insurer()).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unreachable, "{fault:?}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn proxy_timeout_leaves_a_write_unknown() {
    let scene = Scene::start().await;
    let gateway = scene.plain_gateway().await;
    let proxy = WebProxy::start(gateway.port()).await;
    let bureau = scene.connect(&proxy.url(), "bureau").await;
    let lane = lane("timeout");
    // The gateway stored it.
    proxy.arm(PUT, Fault::Replace(PROXY_TIMEOUT));
    let error = bureau.publish_chunk(&lane, A, 0).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unknown, "{error}");
    let stored = bureau.last_chunk(&lane).await.unwrap().unwrap();
    assert_eq!(stored.bytes, A);
    // The gateway never had it, and the client cannot know.
    proxy.arm(PUT, Fault::Refuse(PROXY_REFUSAL));
    let error = bureau.publish_chunk(&lane, B, stored.sequence).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unknown, "{error}");
    let again = bureau.last_chunk(&lane).await.unwrap().unwrap();
    assert_eq!(again.sequence, stored.sequence);
    for fault in [Fault::Replace(PROXY_TIMEOUT), Fault::Refuse(PROXY_REFUSAL)] {
        proxy.arm(GET, fault.clone());
        let error = bureau.last_chunk(&lane).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unreachable, "{fault:?}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn request_repeated_by_a_proxy_is_stored_once() {
    let scene = Scene::start().await;
    let gateway = scene.plain_gateway().await;
    let proxy = WebProxy::start(gateway.port()).await;
    let bureau = scene.connect(&proxy.url(), "bureau").await;
    let lane = lane("repeated");
    proxy.arm(PUT, Fault::Repeat);
    let outcome = bureau.publish_chunk(&lane, A, 0).await.unwrap();
    assert_eq!(outcome, Published::Conflict, "the second attempt is answered");
    let stored = bureau.last_chunk(&lane).await.unwrap().unwrap();
    assert_eq!(stored.bytes, A, "the first attempt is stored");
    let insurer_a = scene.connect(&proxy.url(), "insurer-a").await;
    proxy.arm("PUT /v1/requests", Fault::Repeat);
    match insurer_a
        .file_request(&insurer(), &id("repeated"), A)
        .await
        .unwrap()
    {
        Filed::Exists(stored) => assert_eq!(stored.bytes, A, "an equal digest is a lost acknowledgement"),
        Filed::Done { sequence } => panic!("filed a second time, at {sequence}"),
    }
    assert!(proxy.is_applied());
    let ids = insurer_a.request_ids(&insurer(), Stream::Requests).await;
    assert_eq!(ids.unwrap(), [id("repeated")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn fetch_with_a_lost_answer_is_delivered_again() {
    let scene = Scene::start().await;
    let gateway = scene.plain_gateway().await;
    let proxy = WebProxy::start(gateway.port()).await;
    let bureau = scene.connect(&proxy.url(), "bureau").await;
    bureau.publish_chunk(&lane("fetched"), A, 0).await.unwrap();
    let insurer_a = scene.connect(&proxy.url(), "insurer-a").await;
    let hold = Arc::new(Hold::default());
    hold.released.notify_one();
    proxy.arm("POST /v1/deliveries", Fault::LoseAnswer(hold));
    let error = insurer_a.fetch_chunks(&insurer(), 10).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unreachable, "{error}");
    let deliveries = until("the second delivery", SOON, async || {
        let deliveries = insurer_a.fetch_chunks(&insurer(), 10).await.unwrap();
        (!deliveries.is_empty()).then_some(deliveries)
    })
    .await;
    assert_eq!(deliveries.len(), 1);
    assert_eq!((deliveries[0].attempt, &deliveries[0].bytes), (2, &A));
    // A lost answer to the settlement: it is settled, and settling again is harmless.
    let hold = Arc::new(Hold::default());
    hold.released.notify_one();
    proxy.arm("POST /v1/settlements", Fault::LoseAnswer(hold));
    let error = insurer_a.settle(&deliveries, Settlement::Ack).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unknown, "{error}");
    insurer_a.settle(&deliveries, Settlement::Ack).await.unwrap();
    assert!(insurer_a.is_drained(&insurer()).await.unwrap());
}
