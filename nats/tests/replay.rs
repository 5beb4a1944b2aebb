//! Reading and fetching when messages are large, gone or many.

use bytes::Bytes;
use exchange::port::{ReadFrom, Stream};
use exchange::{AuditExchange, FeedExchange, Filed, Published, RequestExchange, Settlement};
use schemas::name::{FeedName, Lane, RecipientName};
use schemas::request::RequestId;
use serde_json::json;

use crate::exchange_server::ExchangeServer;

fn insurer() -> RecipientName {
    RecipientName::new("insurer-a").unwrap()
}

fn lane(feed: &str) -> Lane {
    Lane {
        recipient: insurer(),
        feed: FeedName::new(feed).unwrap(),
    }
}

async fn publish(bureau: &nats::JetStream, feed: &str, count: u8, size: usize) -> Vec<u64> {
    let mut sequences = vec![];
    for number in 0..count {
        let expected = sequences.last().copied().unwrap_or(0);
        match bureau
            .publish_chunk(&lane(feed), Bytes::from(vec![number; size]), expected)
            .await
            .unwrap()
        {
            Published::Done { sequence } => sequences.push(sequence),
            Published::Conflict => panic!("{feed} is not empty"),
        }
    }
    sequences
}

/// Memory stays flat: neither a page nor a fetch returns more than some messages of the largest
/// size, and none is left out.
#[tokio::test]
async fn large_messages_come_in_bounded_portions() {
    const SIZE: usize = 3_900_000;
    let exchange = ExchangeServer::start().await;
    let wanted = publish(&exchange.connect("bureau").await, "large", 7, SIZE).await;
    let auditor = exchange.connect("auditor").await;
    let (mut read, mut pages, mut next) = (vec![], 0, 0);
    loop {
        let page = auditor
            .read(Stream::Data, ReadFrom::Sequence(next), "data.insurer-a.>", 100)
            .await
            .unwrap();
        let Some(last) = page.last() else { break };
        assert!(page.len() <= 5, "{}", page.len());
        next = last.sequence + 1;
        pages += 1;
        read.extend(page.iter().map(|message| message.sequence));
    }
    assert_eq!(read, wanted);
    assert!(pages > 1);

    let recipient = exchange.connect("insurer-a").await;
    let (mut fetched, mut largest) = (vec![], 0);
    loop {
        let some = recipient.fetch_chunks(&insurer(), 100).await.unwrap();
        if some.is_empty() && recipient.is_drained(&insurer()).await.unwrap() {
            break;
        }
        largest = largest.max(some.len());
        recipient.settle(&some, Settlement::Ack).await.unwrap();
        assert!(
            some.iter()
                .all(|delivery| delivery.bytes.len() == SIZE && delivery.attempt == 1)
        );
        fetched.extend(some.iter().map(|delivery| delivery.sequence));
    }
    assert_eq!(fetched, wanted);
    assert!(largest <= 5, "{largest}");
}

/// Retention leaves gaps in the stream's sequence.
#[tokio::test]
async fn replay_skips_purged_messages() {
    let exchange = ExchangeServer::start().await;
    let bureau = exchange.connect("bureau").await;
    let kept = publish(&bureau, "kept", 3, 10).await;
    let gone = publish(&bureau, "gone", 5, 10).await;
    let after = publish(&bureau, "after", 2, 10).await;
    let admin = exchange.admin().await;
    admin
        .api(
            "STREAM.PURGE.DATA_insurer-a",
            &json!({"filter": "data.insurer-a.gone", "keep": 1}),
        )
        .await
        .unwrap();
    let auditor = exchange.connect("auditor").await;
    let read = auditor
        .read(Stream::Data, ReadFrom::Sequence(kept[1]), "data.insurer-a.>", 100)
        .await
        .unwrap();
    let read: Vec<u64> = read.iter().map(|message| message.sequence).collect();
    assert_eq!(read, [&kept[1..], &gone[4..], &after].concat());
    // The last one is kept, so the chain goes on from it.
    assert_eq!(
        bureau.last_chunk(&lane("gone")).await.unwrap().unwrap().sequence,
        gone[4]
    );
}

/// More requests than a page, most of them answered.
#[tokio::test]
async fn queue_is_found_behind_many_answered_requests() {
    let exchange = ExchangeServer::start().await;
    let (bureau, recipient) = (
        exchange.connect("bureau").await,
        exchange.connect("insurer-a").await,
    );
    let mut open = vec![];
    for number in 0..230 {
        let id: RequestId = format!("20260131-queue{number:04}").parse().unwrap();
        let filed = recipient
            .file_request(&insurer(), &id, Bytes::from_static(b"q"))
            .await
            .unwrap();
        let Filed::Done { sequence } = filed else {
            panic!("{filed:?}")
        };
        if number % 100 == 99 || number == 229 {
            open.push(sequence);
        } else {
            bureau
                .reply(&insurer(), &id, Bytes::from_static(b"r"))
                .await
                .unwrap();
        }
    }
    let found = |from, max| {
        let bureau = bureau.clone();
        async move {
            let some = bureau.fetch_requests(&insurer(), from, max).await.unwrap();
            some.into_iter()
                .map(|request| request.sequence)
                .collect::<Vec<_>>()
        }
    };
    assert_eq!(found(0, 100).await, open);
    assert_eq!(found(0, 2).await, open[..2]);
    assert_eq!(found(open[1] + 1, 100).await, open[2..]);
}
