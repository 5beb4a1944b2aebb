//! What each credential can and cannot do, by the real server and the shipped accounts. A denial
//! is reported, names the subject, and arrives long before the timeout.

use std::fmt::Debug;

use bytes::Bytes;
use exchange::port::{ReadFrom, Stream};
use exchange::{AuditExchange, ErrorKind, Exchange, FeedExchange, LeaseExchange, RequestExchange, Result};
use nats::JetStream;
use nats::topology::Admin;
use schemas::name::{FeedName, Lane, PartyName, RecipientName, SourceName};
use schemas::request::RequestId;
use serde_json::{Value, json};

use crate::exchange_server::{ExchangeServer, soon};

const A: Bytes = Bytes::from_static(b"a");

fn recipient(name: &str) -> RecipientName {
    RecipientName::new(name).unwrap()
}

fn party(name: &str) -> PartyName {
    PartyName::new(name).unwrap()
}

fn lane(name: &str) -> Lane {
    Lane {
        recipient: recipient(name),
        feed: FeedName::new("setl").unwrap(),
    }
}

fn id() -> RequestId {
    "20260131-abcdefgh".parse().unwrap()
}

/// At once: no timeout that is turned into a denial.
async fn denied<T: Debug>(subject: &str, verb: impl Future<Output = Result<T>>) {
    let error = soon(subject, verb).await.expect_err(subject);
    assert_eq!(error.kind, ErrorKind::Denied, "{subject}: {error}");
    assert!(
        error
            .to_string()
            .starts_with(&format!("permission denied on {subject}")),
        "{subject}: {error}"
    );
}

/// Questions that no agent has a verb for.
async fn api_denied(connection: &JetStream, subjects: &[&str]) {
    let raw = Admin::new(connection.clone());
    for subject in subjects {
        denied(&format!("JS.hub.API.{subject}"), raw.api(subject, &Value::Null)).await;
    }
}

/// Requests that only the administrator may make.
const ADMINISTRATION: [&str; 12] = [
    "STREAM.CREATE.EVIL",
    "STREAM.UPDATE.DATA_insurer-a",
    "STREAM.DELETE.DATA_insurer-a",
    "STREAM.PURGE.DATA_insurer-a",
    "STREAM.MSG.DELETE.DATA_insurer-a",
    "STREAM.MSG.GET.DATA_insurer-a",
    "STREAM.SNAPSHOT.DATA_insurer-a",
    "STREAM.LIST",
    "CONSUMER.CREATE.DATA_insurer-a",
    "CONSUMER.CREATE.DATA_insurer-a.evil.data.insurer-a.setl",
    "CONSUMER.DURABLE.CREATE.DATA_insurer-a.insurer-a",
    "CONSUMER.DELETE.DATA_insurer-a.insurer-a",
];

#[tokio::test]
async fn bureau_has_exactly_its_permissions() {
    let exchange = ExchangeServer::start().await;
    let bureau = exchange.connect("bureau").await;
    bureau.publish_chunk(&lane("insurer-a"), A, 0).await.unwrap();
    bureau.publish_chunk(&lane("insurer-b"), A, 0).await.unwrap();
    bureau
        .write_lease(&SourceName::new("core").unwrap(), A, 0)
        .await
        .unwrap();
    bureau.reply(&recipient("insurer-a"), &id(), A).await.unwrap();
    bureau
        .publish_audit(&party("bureau"), &party("social"), A, 0)
        .await
        .unwrap();
    bureau.last_receipt(&lane("insurer-a")).await.unwrap();
    bureau
        .fetch_requests(&recipient("insurer-a"), 0, 10)
        .await
        .unwrap();
    bureau.cancellation(&recipient("insurer-a"), &id()).await.unwrap();

    let a = recipient("insurer-a");
    denied(
        "receipt.insurer-a.setl",
        bureau.publish_receipt(&lane("insurer-a"), A, 0),
    )
    .await;
    denied(
        "request.insurer-a.20260131-abcdefgh",
        bureau.file_request(&a, &id(), A),
    )
    .await;
    denied(
        "cancel.insurer-a.20260131-abcdefgh",
        bureau.cancel_request(&a, &id(), A),
    )
    .await;
    denied(
        "audit.insurer-a.poller",
        bureau.publish_audit(&party("insurer-a"), &party("poller"), A, 0),
    )
    .await;
    denied(
        "JS.hub.API.CONSUMER.MSG.NEXT.DATA_insurer-a.insurer-a",
        bureau.fetch_chunks(&a, 1),
    )
    .await;
    denied(
        "JS.hub.API.CONSUMER.INFO.DATA_insurer-a.insurer-a",
        bureau.is_drained(&a),
    )
    .await;
    // Its own chunks in order: an epoch goes on from any of them. Not what the recipient alone publishes and reads in order.
    let chunks = bureau.read(Stream::Data, ReadFrom::Sequence(0), "data.insurer-a.>", 1);
    chunks.await.unwrap();
    denied(
        "JS.hub.API.DIRECT.GET.RECEIPTS_insurer-a",
        bureau.read(Stream::Receipts, ReadFrom::Sequence(0), "receipt.insurer-a.>", 1),
    )
    .await;
    api_denied(&bureau, &ADMINISTRATION).await;
}

#[tokio::test]
async fn recipient_has_exactly_its_permissions() {
    let exchange = ExchangeServer::start().await;
    let bureau = exchange.connect("bureau").await;
    bureau.publish_chunk(&lane("insurer-a"), A, 0).await.unwrap();
    bureau.publish_chunk(&lane("insurer-b"), A, 0).await.unwrap();
    let insurer = exchange.connect("insurer-a").await;
    let (own, other) = (recipient("insurer-a"), recipient("insurer-b"));
    let fetched = insurer.fetch_chunks(&own, 10).await.unwrap();
    assert_eq!(
        fetched.iter().map(|d| d.subject.as_str()).collect::<Vec<_>>(),
        ["data.insurer-a.setl"]
    );
    insurer.settle(&fetched, exchange::Settlement::Ack).await.unwrap();
    assert!(insurer.is_drained(&own).await.unwrap());
    insurer.publish_receipt(&lane("insurer-a"), A, 0).await.unwrap();
    insurer.file_request(&own, &id(), A).await.unwrap();
    insurer.cancel_request(&own, &id(), A).await.unwrap();
    insurer
        .publish_audit(&party("insurer-a"), &party("poller"), A, 0)
        .await
        .unwrap();
    assert!(insurer.last_chunk(&lane("insurer-a")).await.unwrap().is_some());
    // The bureau's messages to this recipient, and none for others or for itself.
    insurer
        .last_audit(&party("bureau"), &party("to-insurer-a"))
        .await
        .unwrap();
    for writer in ["to-insurer-b", "operator"] {
        denied(
            &format!("JS.hub.API.DIRECT.GET.AUDIT_bureau.audit.bureau.{writer}"),
            insurer.last_audit(&party("bureau"), &party(writer)),
        )
        .await;
    }
    insurer.request_status(&own, &id()).await.unwrap();
    insurer.fetch_replies(&own, 10).await.unwrap();

    // What is the bureau's.
    denied(
        "data.insurer-a.setl",
        insurer.publish_chunk(&lane("insurer-a"), A, 0),
    )
    .await;
    denied("reply.insurer-a.20260131-abcdefgh", insurer.reply(&own, &id(), A)).await;
    denied(
        "lease.core",
        insurer.write_lease(&SourceName::new("core").unwrap(), A, 0),
    )
    .await;
    denied(
        "audit.bureau.social",
        insurer.publish_audit(&party("bureau"), &party("social"), A, 0),
    )
    .await;
    // What is another recipient's.
    denied(
        "receipt.insurer-b.setl",
        insurer.publish_receipt(&lane("insurer-b"), A, 0),
    )
    .await;
    denied(
        "request.insurer-b.20260131-abcdefgh",
        insurer.file_request(&other, &id(), A),
    )
    .await;
    denied(
        "JS.hub.API.CONSUMER.MSG.NEXT.DATA_insurer-b.insurer-b",
        insurer.fetch_chunks(&other, 1),
    )
    .await;
    denied(
        "JS.hub.API.CONSUMER.INFO.DATA_insurer-b.insurer-b",
        insurer.is_drained(&other),
    )
    .await;
    denied(
        "JS.hub.API.CONSUMER.MSG.NEXT.REPLIES_insurer-b.insurer-b",
        insurer.fetch_replies(&other, 1),
    )
    .await;
    denied(
        "JS.hub.API.DIRECT.GET.DATA_insurer-b.data.insurer-b.setl",
        insurer.last_chunk(&lane("insurer-b")),
    )
    .await;
    denied(
        "JS.hub.API.DIRECT.GET.REPLIES_insurer-b.reply.insurer-b",
        insurer.request_status(&other, &id()),
    )
    .await;
    // What would read without a consumer: the bare form, with any body.
    for (stream, kind) in [(Stream::Data, "DATA"), (Stream::Confirms, "CONFIRMS")] {
        let filter = |party: &str| format!("{}.{party}.>", stream.token());
        let own = insurer
            .read(stream, ReadFrom::Sequence(0), &filter("insurer-a"), 10)
            .await;
        assert!(
            own.unwrap()
                .iter()
                .all(|stored| stored.subject.contains(".insurer-a.")),
            "{kind}"
        );
        denied(
            &format!("JS.hub.API.DIRECT.GET.{kind}_insurer-b"),
            insurer.read(stream, ReadFrom::Sequence(0), &filter("insurer-b"), 1),
        )
        .await;
    }
    denied(
        "JS.hub.API.DIRECT.GET.PARTS_insurer-a",
        insurer.read(Stream::Parts, ReadFrom::Sequence(0), "part.insurer-a.>", 1),
    )
    .await;
    api_denied(&insurer, &ADMINISTRATION).await;
    // Settling another recipient's delivery.
    let theirs = exchange
        .connect("insurer-b")
        .await
        .fetch_chunks(&other, 1)
        .await
        .unwrap();
    denied(
        &theirs[0].token,
        insurer.settle(&theirs, exchange::Settlement::Ack),
    )
    .await;
}

/// The subject form is enforced: a body cannot widen it.
#[tokio::test]
async fn request_body_does_not_widen_the_subject() {
    let exchange = ExchangeServer::start().await;
    let bureau = exchange.connect("bureau").await;
    bureau
        .publish_chunk(&lane("insurer-b"), Bytes::from_static(b"secret"), 0)
        .await
        .unwrap();
    let raw = Admin::new(exchange.connect("insurer-a").await);
    for body in [
        json!({"seq": 1}),
        json!({"last_by_subj": "data.insurer-b.setl"}),
        json!({"seq": 1, "batch": 9}),
    ] {
        let answer = raw
            .api("DIRECT.GET.DATA_insurer-a.data.insurer-a.setl", &body)
            .await;
        let text = format!("{answer:?}");
        assert!(answer.is_err() && !text.contains("secret"), "{body}: {text}");
    }
}

#[tokio::test]
async fn auditor_can_only_read() {
    let exchange = ExchangeServer::start().await;
    exchange
        .connect("bureau")
        .await
        .publish_chunk(&lane("insurer-a"), A, 0)
        .await
        .unwrap();
    let auditor = exchange.connect("auditor").await;
    for stream in [
        Stream::Data,
        Stream::Receipts,
        Stream::Requests,
        Stream::Cancels,
        Stream::Approvals,
        Stream::Progress,
        Stream::Parts,
        Stream::Replies,
        Stream::Confirms,
        Stream::Audit,
    ] {
        let filter = format!("{}.insurer-a.>", stream.token());
        let read = auditor
            .read(stream, ReadFrom::Sequence(0), &filter, 10)
            .await
            .unwrap();
        assert_eq!(read.len(), usize::from(stream == Stream::Data), "{stream:?}");
    }
    let a = recipient("insurer-a");
    denied(
        "data.insurer-a.setl",
        auditor.publish_chunk(&lane("insurer-a"), A, 1),
    )
    .await;
    denied(
        "receipt.insurer-a.setl",
        auditor.publish_receipt(&lane("insurer-a"), A, 0),
    )
    .await;
    denied(
        "request.insurer-a.20260131-abcdefgh",
        auditor.file_request(&a, &id(), A),
    )
    .await;
    denied("reply.insurer-a.20260131-abcdefgh", auditor.reply(&a, &id(), A)).await;
    denied(
        "JS.hub.API.CONSUMER.MSG.NEXT.DATA_insurer-a.insurer-a",
        auditor.fetch_chunks(&a, 1),
    )
    .await;
    api_denied(&auditor, &ADMINISTRATION).await;
}

#[tokio::test]
async fn administrator_cannot_publish_data() {
    let exchange = ExchangeServer::start().await;
    let admin = exchange.connect("admin").await;
    denied(
        "data.insurer-a.setl",
        admin.publish_chunk(&lane("insurer-a"), A, 0),
    )
    .await;
    denied(
        "receipt.insurer-a.setl",
        admin.publish_receipt(&lane("insurer-a"), A, 0),
    )
    .await;
    denied(
        "reply.insurer-a.20260131-abcdefgh",
        admin.reply(&recipient("insurer-a"), &id(), A),
    )
    .await;
}

/// A listener on another party's inbox could read its answers.
#[tokio::test]
async fn inbox_of_another_user_is_denied() {
    let exchange = ExchangeServer::start().await;
    for (thief, victim) in [
        ("insurer-a", "bureau"),
        ("auditor", "insurer-a"),
        ("bureau", "admin"),
        ("insurer-b", "insurer-a"),
    ] {
        let mut options = exchange.options(thief);
        victim.clone_into(&mut options.user);
        let connection = JetStream::connect(options).await.unwrap();
        denied(&format!("_INBOX_{victim}."), connection.ping()).await;
        // Also later, long after the server's denial.
        denied(&format!("_INBOX_{victim}."), connection.ping()).await;
    }
}

/// Names with a common beginning are different subjects.
#[tokio::test]
async fn inbox_is_not_readable_by_a_longer_user_name() {
    let exchange = ExchangeServer::start().await;
    let mut options = exchange.options("insurer-a");
    options.user = "insurer-a2".to_owned();
    let connection = JetStream::connect(options).await.unwrap();
    denied("_INBOX_insurer-a2.", connection.ping()).await;
}
