//! The status of agents at the exchange: who may publish and read it, what is kept, and an exchange that is older.

use bytes::Bytes;
use exchange::{ErrorKind, StatusExchange};
use schemas::name::PartyName;

use crate::exchange_server::ExchangeServer;

const A: Bytes = Bytes::from_static(b"a");
const B: Bytes = Bytes::from_static(b"b");

fn party(name: &str) -> PartyName {
    PartyName::new(name).unwrap()
}

async fn denied<T: std::fmt::Debug>(what: &str, asked: impl Future<Output = exchange::Result<T>>) {
    let error = asked.await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Denied, "{what}: {error}");
}

#[tokio::test]
async fn status_is_readable_by_its_party_and_the_auditor_only() {
    let exchange = ExchangeServer::start().await;
    let (bureau, insurer) = (
        exchange.connect("bureau").await,
        exchange.connect("insurer-a").await,
    );
    let auditor = exchange.connect("auditor").await;
    for (name, publisher, reader, stranger) in [
        ("bureau", &bureau, &auditor, &insurer),
        ("insurer-a", &insurer, &auditor, &bureau),
    ] {
        let (name, writer) = (party(name), party("agent"));
        publisher.publish_status(&name, &writer, A).await.unwrap();
        publisher.publish_watch(&name, B).await.unwrap();
        for reader in [publisher, reader] {
            let read = reader.statuses(&name).await.unwrap();
            assert_eq!(read.len(), 1, "{name}");
            assert_eq!(read[0].bytes, A);
        }
        assert_eq!(publisher.last_watch(&name).await.unwrap().unwrap().bytes, B);
        denied("read", stranger.statuses(&name)).await;
        denied("watch", stranger.last_watch(&name)).await;
        for forger in [stranger, reader] {
            denied("publish", forger.publish_status(&name, &writer, B)).await;
            denied("call a watch", forger.publish_watch(&name, B)).await;
        }
        assert_eq!(publisher.statuses(&name).await.unwrap()[0].bytes, A);
    }
    // Another recipient's.
    denied("read", insurer.statuses(&party("insurer-b"))).await;
}

#[tokio::test]
async fn status_stream_keeps_the_last_of_each_for_a_day() {
    let exchange = ExchangeServer::start().await;
    let insurer = exchange.connect("insurer-a").await;
    let name = party("insurer-a");
    for bytes in [A, B, A, B] {
        insurer.publish_status(&name, &party("one"), bytes).await.unwrap();
    }
    let large = Bytes::from(vec![0; 524_288]);
    let error = insurer
        .publish_status(&name, &party("one"), large)
        .await
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::TooLarge, "{error}");
    let live = exchange.admin().await.live().await.unwrap();
    let stream = live
        .streams
        .iter()
        .find(|stream| stream.config["name"] == "STATUS_insurer-a")
        .unwrap();
    assert_eq!(stream.state["messages"], 1);
    assert_eq!(stream.config["max_age"], 86_400_000_000_000_u64);
    assert_eq!(insurer.statuses(&name).await.unwrap()[0].bytes, B);
}

/// An exchange that was made before there was a status.
#[tokio::test]
async fn status_without_its_stream_is_an_error_of_topology() {
    let exchange = ExchangeServer::bare().await;
    exchange
        .apply(|topology| {
            topology
                .streams
                .retain(|stream| !stream.name.starts_with("STATUS_"));
        })
        .await;
    let insurer = exchange.connect("insurer-a").await;
    let name = party("insurer-a");
    for error in [
        insurer.statuses(&name).await.unwrap_err(),
        insurer.last_watch(&name).await.unwrap_err(),
        insurer.publish_status(&name, &party("one"), A).await.unwrap_err(),
    ] {
        assert_eq!(error.kind, ErrorKind::Topology, "{error}");
        assert!(error.to_string().contains("slacktide exchange apply"), "{error}");
    }
}
