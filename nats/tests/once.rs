//! What belongs to a request: each party does its part, no party reads another's answer, and the
//! server itself refuses a second message, from any publisher and with any header.

use std::fmt::Debug;

use async_nats::HeaderMap;
use bytes::Bytes;
use exchange::port::{ReadFrom, Stream};
use exchange::{AuditExchange, ErrorKind, Filed, RequestExchange, Result};
use nats::topology::Admin;
use schemas::name::{OfficerName, RecipientName};
use schemas::request::RequestId;
use serde_json::{Value, json};

use crate::exchange_server::{ExchangeServer, soon};

const A: Bytes = Bytes::from_static(b"first");

fn recipient(name: &str) -> RecipientName {
    RecipientName::new(name).unwrap()
}

fn id() -> RequestId {
    "20260131-abcdefgh".parse().unwrap()
}

fn officer() -> OfficerName {
    OfficerName::new("li_na").unwrap()
}

/// At once: no timeout that is turned into a denial.
async fn denied<T: Debug>(subject: &str, verb: impl Future<Output = Result<T>>) {
    let error = soon(subject, verb).await.expect_err(subject);
    assert_eq!(error.kind, ErrorKind::Denied, "{subject}: {error}");
    let expected = format!("permission denied on {subject}");
    assert!(error.to_string().starts_with(&expected), "{subject}: {error}");
}

/// Each kind of message once, by whom it belongs to.
async fn all_once(exchange: &ExchangeServer, name: &str) {
    let (bureau, insurer) = (exchange.connect("bureau").await, exchange.connect(name).await);
    let (name, id) = (recipient(name), id());
    for filed in [
        insurer.file_request(&name, &id, A).await,
        insurer.cancel_request(&name, &id, A).await,
        bureau.approve(&name, &id, &officer(), A).await,
        bureau.publish_part(&name, &id, 1, 1, A).await,
        bureau.reply(&name, &id, A).await,
        insurer.confirm(&name, &id, A).await,
    ] {
        assert!(matches!(filed, Ok(Filed::Done { .. })), "{filed:?}");
    }
    bureau.write_progress(&name, &id, A).await.unwrap();
}

/// Traps: a publish without the header that asks for order is stored; a message id lets a publish
/// pass for a duplicate; a rollup or an expiry makes room for another.
#[tokio::test]
async fn second_message_is_refused_with_any_header() {
    let exchange = ExchangeServer::start().await;
    all_once(&exchange, "insurer-a").await;
    let auditor = exchange.connect("auditor").await;
    for (user, stream, place, subject) in [
        (
            "insurer-a",
            "REQUESTS_insurer-a",
            Stream::Requests,
            "request.insurer-a.20260131-abcdefgh",
        ),
        (
            "insurer-a",
            "CANCELS_insurer-a",
            Stream::Cancels,
            "cancel.insurer-a.20260131-abcdefgh",
        ),
        (
            "bureau",
            "APPROVALS_insurer-a",
            Stream::Approvals,
            "approval.insurer-a.20260131-abcdefgh.li_na",
        ),
        (
            "bureau",
            "PARTS_insurer-a",
            Stream::Parts,
            "part.insurer-a.20260131-abcdefgh.1.1",
        ),
        (
            "bureau",
            "REPLIES_insurer-a",
            Stream::Replies,
            "reply.insurer-a.20260131-abcdefgh",
        ),
        (
            "insurer-a",
            "CONFIRMS_insurer-a",
            Stream::Confirms,
            "confirm.insurer-a.20260131-abcdefgh",
        ),
    ] {
        let client = exchange.raw(user).await;
        let first = auditor
            .read(place, ReadFrom::Sequence(0), subject, 10)
            .await
            .unwrap();
        assert_eq!(first.len(), 1, "{subject}");
        let last = first[0].sequence.to_string();
        for headers in [
            &[][..],
            &[("Nats-Expected-Stream", stream)],
            &[("Nats-Expected-Last-Subject-Sequence", last.as_str())],
            &[("Nats-Expected-Last-Sequence", last.as_str())],
            &[("Nats-Msg-Id", "another")],
            &[("Nats-Rollup", "sub")],
            &[("Nats-Rollup", "all")],
            &[("Nats-TTL", "1s")],
            &[
                ("Nats-Msg-Id", "another"),
                ("Nats-Expected-Last-Subject-Sequence", last.as_str()),
            ],
        ] {
            let mut map = HeaderMap::new();
            for (name, value) in headers {
                map.insert(*name, *value);
            }
            let second = Bytes::from_static(b"second");
            let answer = if headers.is_empty() {
                client.request(subject, second).await.unwrap()
            } else {
                client.request_with_headers(subject, map, second).await.unwrap()
            };
            let answer: Value = serde_json::from_slice(&answer.payload).unwrap();
            assert!(
                answer["error"]["err_code"].is_u64(),
                "{subject} {headers:?}: {answer}"
            );
            let plain = headers.is_empty();
            assert!(
                !plain || answer["error"]["err_code"] == 10077,
                "{subject}: {answer}"
            );
        }
        // No task waits for the answer: the flush follows it through the server.
        client
            .publish(subject, Bytes::from_static(b"second"))
            .await
            .unwrap();
        client.flush().await.unwrap();
        client
            .request(format!("JS.hub.API.DIRECT.GET.{stream}.{subject}"), Bytes::new())
            .await
            .unwrap();
        let kept = auditor
            .read(place, ReadFrom::Sequence(0), subject, 10)
            .await
            .unwrap();
        assert_eq!(kept, first, "{subject}");
    }
}

/// Two connections, many tries at once: one is stored.
#[tokio::test]
async fn of_many_publishers_at_once_one_is_first() {
    let exchange = ExchangeServer::start().await;
    let name = recipient("insurer-a");
    let (one, other) = (exchange.connect("bureau").await, exchange.connect("bureau").await);
    let mut tries = tokio::task::JoinSet::new();
    for number in 0..40_u32 {
        let (bureau, name) = (if number % 2 == 0 { &one } else { &other }.clone(), name.clone());
        tries.spawn(async move { bureau.reply(&name, &id(), Bytes::from(number.to_string())).await });
    }
    let filed: Vec<Filed> = tries.join_all().await.into_iter().map(Result::unwrap).collect();
    let stored = filed.iter().filter(|filed| matches!(filed, Filed::Done { .. }));
    assert_eq!(stored.count(), 1);
    let (_, reply) = one.request_status(&name, &id()).await.unwrap();
    let reply = reply.unwrap();
    for filed in filed {
        match filed {
            Filed::Done { sequence } => assert_eq!(sequence, reply.sequence),
            Filed::Exists(stored) => assert_eq!(stored, reply),
        }
    }
}

#[tokio::test]
async fn request_of_another_party_is_not_accessible() {
    let exchange = ExchangeServer::start().await;
    all_once(&exchange, "insurer-a").await;
    all_once(&exchange, "insurer-b").await;
    let (own, other, id) = (recipient("insurer-a"), recipient("insurer-b"), id());
    let insurer = exchange.connect("insurer-a").await;
    assert!(insurer.part(&own, &id, 1, 1).await.unwrap().is_some());
    assert!(insurer.progress(&own, &id).await.unwrap().is_some());
    assert!(insurer.confirmation(&own, &id).await.unwrap().is_some());

    // Another recipient's.
    denied(
        "JS.hub.API.DIRECT.GET.PARTS_insurer-b.part.insurer-b.20260131-abcdefgh.1.1",
        insurer.part(&other, &id, 1, 1),
    )
    .await;
    denied(
        "JS.hub.API.DIRECT.GET.PROGRESS_insurer-b.progress.insurer-b",
        insurer.progress(&other, &id),
    )
    .await;
    denied(
        "JS.hub.API.DIRECT.GET.CONFIRMS_insurer-b.confirm.insurer-b",
        insurer.confirmation(&other, &id),
    )
    .await;
    denied("confirm.insurer-b", insurer.confirm(&other, &id, A)).await;
    // The bureau's; officers' decisions are not readable either.
    denied("part.insurer-a", insurer.publish_part(&own, &id, 1, 2, A)).await;
    denied("progress.insurer-a", insurer.write_progress(&own, &id, A)).await;
    denied("approval.insurer-a", insurer.approve(&own, &id, &officer(), A)).await;
    denied(
        "JS.hub.API.DIRECT.GET.APPROVALS_insurer-a",
        insurer.approvals(&own, &id),
    )
    .await;
    // What would read everybody's.
    for stream in [
        Stream::Parts,
        Stream::Progress,
        Stream::Confirms,
        Stream::Approvals,
        Stream::Cancels,
    ] {
        denied(
            "JS.hub.API.DIRECT.GET.",
            insurer.read(stream, ReadFrom::Sequence(0), "part.insurer-b.>", 1),
        )
        .await;
    }
    let raw = Admin::new(insurer);
    for subject in [
        "STREAM.INFO.PARTS_insurer-b",
        "STREAM.MSG.GET.PARTS_insurer-b",
        "CONSUMER.CREATE.PARTS_insurer-b",
    ] {
        denied(&format!("JS.hub.API.{subject}"), raw.api(subject, &Value::Null)).await;
    }
    // The subject form is enforced: a body cannot widen it, and a wildcard stays within the prefix.
    for body in [
        json!({"seq": 2}),
        json!({"last_by_subj": "part.insurer-b.20260131-abcdefgh.1.1"}),
        json!({"seq": 1, "batch": 9, "next_by_subj": "part.insurer-b.>"}),
        json!({"multi_last": ["part.insurer-b.>"]}),
    ] {
        let answer = raw
            .api("DIRECT.GET.PARTS_insurer-a.part.insurer-a.none", &body)
            .await;
        let text = format!("{answer:?}");
        assert!(answer.is_err() && !text.contains("first"), "{body}: {text}");
    }

    // The bureau confirms nothing, and reads parts by their subject only; its own outcomes in order.
    let bureau = exchange.connect("bureau").await;
    denied("confirm.insurer-a", bureau.confirm(&own, &id, A)).await;
    denied(
        "JS.hub.API.DIRECT.GET.PARTS_insurer-a",
        bureau.read(Stream::Parts, ReadFrom::Sequence(0), "part.insurer-a.>", 1),
    )
    .await;

    let outcomes = bureau
        .read(Stream::Replies, ReadFrom::Sequence(0), "reply.insurer-a.*", 10)
        .await;
    assert!(outcomes.is_ok(), "{outcomes:?}");

    // The auditor reads all of it and writes none.
    let auditor = exchange.connect("auditor").await;
    for stream in [
        Stream::Cancels,
        Stream::Approvals,
        Stream::Progress,
        Stream::Parts,
        Stream::Confirms,
    ] {
        let mut read = 0;
        for recipient in ["insurer-a", "insurer-b"] {
            let filter = format!("{}.{recipient}.>", stream.token());
            read += auditor
                .read(stream, ReadFrom::Sequence(0), &filter, 10)
                .await
                .unwrap()
                .len();
        }
        assert_eq!(read, 2, "{stream:?}");
    }
    assert_eq!(auditor.approvals(&own, &id).await.unwrap().len(), 1);
    denied("part.insurer-a", auditor.publish_part(&own, &id, 1, 2, A)).await;
    denied("progress.insurer-a", auditor.write_progress(&own, &id, A)).await;
    denied("approval.insurer-a", auditor.approve(&own, &id, &officer(), A)).await;
    denied("confirm.insurer-a", auditor.confirm(&own, &id, A)).await;
    // Nor does the administrator, who makes the streams.
    let admin = exchange.connect("admin").await;
    denied("part.insurer-a", admin.publish_part(&own, &id, 1, 2, A)).await;
    denied("approval.insurer-a", admin.approve(&own, &id, &officer(), A)).await;
}

/// The exchange keeps the message, regardless of events in between.
#[tokio::test]
async fn full_progress_stream_drops_the_oldest_message() {
    let exchange = ExchangeServer::start().await;
    let admin = exchange.admin().await;
    let mut small = nats::topology::embedded(&crate::exchange_server::recipients()).unwrap();
    for stream in &mut small.streams {
        if stream.name == "PROGRESS_insurer-a" {
            stream.max_bytes = 20_000;
        }
    }
    let plan = nats::topology::plan(&admin, &small).await.unwrap();
    nats::topology::apply(&admin, &plan, false).await.unwrap();
    let (bureau, name) = (exchange.connect("bureau").await, recipient("insurer-a"));
    let of = |number: usize| -> RequestId { format!("20260131-{number:08}").parse().unwrap() };
    for number in 0..40 {
        bureau
            .write_progress(&name, &of(number), Bytes::from(vec![7; 1_000]))
            .await
            .unwrap();
    }
    assert!(bureau.progress(&name, &of(39)).await.unwrap().is_some());
    assert!(bureau.progress(&name, &of(0)).await.unwrap().is_none());
}
