//! A gateway or nats-server that is killed, connections that end or hang.

use std::time::Duration;

use bytes::Bytes;
use exchange::port::Stream;
use exchange::{ErrorKind, Exchange, FeedExchange, Filed, Published, RequestExchange, Stored};
use harness::Proxy;
use schemas::request::RequestId;
use tokio::task::JoinSet;
use web::WebExchange;

use super::gateway_server::{GatewayServer, Setup, wide_limits};
use super::scene::{SOON, Scene, insurer, lane, wait_for, wait_until_answered};

const A: Bytes = Bytes::from_static(b"a");
const B: Bytes = Bytes::from_static(b"b");

#[tokio::test(flavor = "multi_thread")]
async fn agent_waits_for_a_gateway_and_commands_fail() {
    let scene = Scene::start().await;
    let mut gateway = scene.gateway().await;
    gateway.kill().await;
    let error = WebExchange::connect(scene.options(&gateway.url(), "bureau")).await;
    assert_eq!(error.unwrap_err().kind, ErrorKind::Unreachable);
    let options = web::Options {
        wait: true,
        ..scene.options(&gateway.url(), "bureau")
    };
    let bureau = WebExchange::connect(options).await.unwrap();
    wait_for(&bureau, false).await;
    let error = bureau.publish_chunk(&lane("waiting"), A, 0).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unreachable, "{error}");
    gateway.restart().await;
    // Without any request of the agent.
    wait_for(&bureau, true).await;
    bureau.publish_chunk(&lane("waiting"), A, 0).await.unwrap();
    bureau.close().await;
    let error = bureau.last_chunk(&lane("waiting")).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unreachable, "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn gateway_restarted_on_its_port_is_used_again() {
    let scene = Scene::start().await;
    let mut gateway = scene.gateway().await;
    let bureau = scene.connect(&gateway.url(), "bureau").await;
    let mut expected = 0;
    for _ in 0..5 {
        match bureau
            .publish_chunk(&lane("restarted"), A, expected)
            .await
            .unwrap()
        {
            Published::Done { sequence } => expected = sequence,
            Published::Conflict => panic!("another writer"),
        }
        gateway.restart().await;
        // A connection that has ended is replaced; at most one request notices.
        wait_until_answered(&bureau).await;
    }
    let stored = bureau.last_chunk(&lane("restarted")).await.unwrap();
    assert_eq!(stored.unwrap().sequence, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn second_address_is_used_while_the_first_is_away() {
    let scene = Scene::start().await;
    let (mut first, mut second) = (scene.gateway().await, scene.gateway().await);
    let both = format!("{}, {}", first.url(), second.url());
    let bureau = scene.connect(&both, "bureau").await;
    first.kill().await;
    wait_until_answered(&bureau).await;
    first.restart().await;
    second.kill().await;
    wait_until_answered(&bureau).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nats_killed_behind_the_gateway_is_reported_and_left() {
    let mut scene = Scene::start().await;
    let gateway = scene.gateway().await;
    let bureau = scene.connect(&gateway.url(), "bureau").await;
    bureau.publish_chunk(&lane("behind"), A, 0).await.unwrap();
    scene.nats.kill9();
    // The gateway may have sent it on before it noticed.
    let error = bureau.publish_chunk(&lane("behind"), B, 1).await.unwrap_err();
    assert!(error.kind.is_transient(), "{:?}: {error}", error.kind);
    wait_for(&bureau, false).await;
    scene.nats.restart().await;
    wait_for(&bureau, true).await;
    let stored = bureau.last_chunk(&lane("behind")).await.unwrap().unwrap();
    // The gateway's client had not noticed the end of its connection: what it had taken is sent over the next one.
    let may_be_stored = error.kind == ErrorKind::Unknown && stored.bytes == B;
    assert!(
        stored.bytes == A || may_be_stored,
        "{:?}: what was reported as not sent is stored",
        error.kind
    );
    let next = bureau
        .publish_chunk(&lane("behind"), B, stored.sequence)
        .await
        .unwrap();
    assert!(matches!(next, Published::Done { .. }), "{next:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn hanging_connection_leaves_a_write_unknown() {
    let scene = Scene::start().await;
    let gateway = scene.gateway().await;
    let proxy = Proxy::start(gateway.port()).await;
    let options = web::Options {
        timeout: Duration::from_millis(500),
        ..scene.options(&format!("https://localhost:{}", proxy.port()), "bureau")
    };
    let bureau = WebExchange::connect(options).await.unwrap();
    proxy.black_hole();
    let error = bureau.publish_chunk(&lane("hanging"), A, 0).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unknown, "{error}");
    // A new connection gets no answer either, and nothing was sent over it.
    let error = bureau.publish_chunk(&lane("hanging"), A, 0).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unreachable, "{error}");
    wait_for(&bureau, false).await;
    proxy.restore();
    wait_for(&bureau, true).await;
    let stored = bureau.last_chunk(&lane("hanging")).await.unwrap();
    assert_eq!(stored, None, "the black hole passed nothing on");
}

/// Connections are closed by GOAWAY every few milliseconds, while many requests share them.
#[tokio::test(flavor = "multi_thread")]
async fn goaway_during_many_requests_loses_and_doubles_nothing() {
    let scene = Scene::start().await;
    let mut limits = wide_limits();
    limits.connection_age = Duration::from_millis(20);
    let gateway = GatewayServer::start(Setup {
        limits,
        ..scene.setup()
    })
    .await;
    let insurer_a = scene.connect(&gateway.url(), "insurer-a").await;
    let mut filing = JoinSet::new();
    for worker in 0..8 {
        let insurer_a = insurer_a.clone();
        filing.spawn(async move {
            for number in 0..25 {
                file_until_stored(&insurer_a, &id(worker, number)).await;
            }
        });
    }
    while let Some(done) = filing.join_next().await {
        done.unwrap();
    }
    let direct = scene.direct("insurer-a").await;
    let ids = direct.request_ids(&insurer(), Stream::Requests).await;
    assert_eq!(ids.unwrap().len(), 8 * 25);
}

fn id(worker: u32, number: u32) -> RequestId {
    format!("20260131-goaway{worker:02}{number:04}").parse().unwrap()
}

/// Files a request as an agent does: after an error that may pass, again. Only `Unknown` may have stored it.
async fn file_until_stored(exchange: &WebExchange, id: &RequestId) {
    let bytes = Bytes::from(id.to_string());
    let begun = tokio::time::Instant::now();
    let mut may_be_stored = false;
    loop {
        assert!(begun.elapsed() < SOON, "{id} is not filed");
        match exchange.file_request(&insurer(), id, bytes.clone()).await {
            Ok(Filed::Done { .. }) => return,
            Ok(Filed::Exists(Stored { bytes: stored, .. })) => {
                assert!(
                    may_be_stored,
                    "{id} was stored by a request that reported nothing stored"
                );
                assert_eq!(stored, bytes);
                return;
            }
            Err(error) => {
                assert!(error.kind.is_transient(), "{:?}: {error}", error.kind);
                may_be_stored |= error.kind == ErrorKind::Unknown;
            }
        }
    }
}
