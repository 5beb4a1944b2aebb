//! Applying: idempotent, nothing destroyed without force; and what the shipped server really does.

use bytes::Bytes;
use exchange::{ErrorKind, FeedExchange};
use harness::http_get;
use nats::topology::diff::{Kind, Object};
use nats::topology::{self, Admin};
use schemas::name::{FeedName, Lane, RecipientName};
use serde_json::json;

use crate::exchange_server::{ExchangeServer, recipients};

/// By default JetStream acknowledges before it fsyncs.
#[tokio::test]
async fn shipped_server_syncs_writes_and_accepts_largest_message() {
    let exchange = ExchangeServer::bare().await;
    let varz = http_get(&format!("{}/varz", exchange.server.monitoring()))
        .await
        .unwrap()
        .json();
    assert_eq!(
        varz["jetstream"]["config"]["sync_always"], true,
        "{}",
        varz["jetstream"]
    );
    assert!(varz["max_payload"].as_u64().unwrap() > 4_000_000);
    assert_eq!(varz["auth_required"], true);
}

#[tokio::test]
async fn applying_twice_changes_nothing() {
    let exchange = ExchangeServer::bare().await;
    let admin = exchange.admin().await;
    let shipped = topology::embedded(&recipients()).unwrap();
    let plan = topology::plan(&admin, &shipped).await.unwrap();
    // The leases; audit entries of four parties, orders and status of three; nine streams and two consumers of each recipient.
    assert_eq!(plan.changes.len(), 1 + 4 + 2 * 3 + 2 * (9 + 2));
    assert!(
        plan.changes.iter().all(|change| change.kind == Kind::Create),
        "{plan}"
    );
    topology::apply(&admin, &plan, false).await.unwrap();
    let again = topology::plan(&admin, &shipped).await.unwrap();
    assert!(again.is_empty(), "{again}");
    assert_eq!(again.to_string(), "the exchange matches the files\n");
    topology::apply(&admin, &again, false).await.unwrap();
    // The plan that was made before is harmless too.
    topology::apply(&admin, &plan, false).await.unwrap();
}

#[tokio::test]
async fn topology_change_is_shown_and_applied() {
    let exchange = ExchangeServer::start().await;
    let admin = exchange.admin().await;
    let mut changed = topology::embedded(&recipients()).unwrap();
    changed
        .streams
        .iter_mut()
        .filter(|s| s.name == "AUDIT_bureau")
        .for_each(|s| s.max_bytes *= 2);
    changed.consumers[0].ack_wait_seconds = 45;
    let plan = topology::plan(&admin, &changed).await.unwrap();
    let text = plan.to_string();
    assert!(
        text.contains("~ stream AUDIT_bureau\n    max_bytes = 268435456 -> 536870912\n"),
        "{text}"
    );
    assert!(text.contains("ack_wait = 30000000000 -> 45000000000"), "{text}");
    topology::apply(&admin, &plan, false).await.unwrap();
    assert!(topology::plan(&admin, &changed).await.unwrap().is_empty());
}

#[tokio::test]
async fn topology_destructive_change_needs_force() {
    let exchange = ExchangeServer::start().await;
    let admin = exchange.admin().await;
    let lane = Lane {
        recipient: RecipientName::new("insurer-a").unwrap(),
        feed: FeedName::new("setl").unwrap(),
    };
    let bureau = exchange.connect("bureau").await;
    bureau
        .publish_chunk(&lane, Bytes::from(vec![0; 50_000]), 0)
        .await
        .unwrap();
    let mut changed = topology::embedded(&recipients()).unwrap();
    for stream in &mut changed.streams {
        match stream.name.as_str() {
            "DATA_insurer-a" => stream.max_bytes = 10_000,
            "AUDIT_bureau" => stream.max_bytes *= 2,
            _ => {}
        }
    }
    let plan = topology::plan(&admin, &changed).await.unwrap();
    assert_eq!(plan.destructive().count(), 1, "{plan}");
    let error = topology::apply(&admin, &plan, false).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Topology);
    assert!(
        error.to_string().contains("--force") && error.to_string().contains("stream DATA"),
        "{error}"
    );
    let still = topology::plan(&admin, &changed).await.unwrap();
    assert_eq!(still.changes.len(), 2, "nothing at all was changed: {still}");
    assert!(bureau.last_chunk(&lane).await.unwrap().is_some());
}

#[tokio::test]
async fn topology_unlisted_streams_are_listed_and_kept() {
    let exchange = ExchangeServer::start().await;
    let admin: Admin = exchange.admin().await;
    admin
        .api(
            "STREAM.CREATE.OWN",
            &json!({"name": "OWN", "subjects": ["own.>"]}),
        )
        .await
        .unwrap();
    let one = topology::embedded(&recipients()[..1]).unwrap();
    let plan = topology::plan(&admin, &one).await.unwrap();
    assert!(plan.is_empty(), "{plan}");
    assert!(
        plan.unlisted.contains(&Object::Stream { stream: "OWN".into() }),
        "{plan}"
    );
    let consumer = Object::Consumer {
        stream: "DATA_insurer-b".into(),
        consumer: "insurer-b".into(),
    };
    assert!(plan.unlisted.contains(&consumer), "{plan}");
    topology::apply(&admin, &plan, true).await.unwrap();
    let status = topology::status(&admin).await.unwrap();
    assert!(status.streams.iter().any(|stream| stream.name == "OWN"));
    assert_eq!(
        status
            .streams
            .iter()
            .map(|stream| stream.consumers.len())
            .sum::<usize>(),
        4
    );
}
