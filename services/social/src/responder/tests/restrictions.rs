//! Holds, the block list and masks.

use std::sync::Arc;

use disclosure::hold::Holds;
use disclosure::row_filter::WithheldReason;
use exchange::port::Stream;
use schemas::encryption::{DecryptionKeys, EncryptionKey};
use schemas::part;
use schemas::progress::Waiting;
use schemas::reply::Outcome;

use super::fixture::{A, B, Fixture, name, until};
use super::table_source::Table;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hold_delays_and_reveals_only_its_id() {
    let fixture = Fixture::new(Table::of(10, &["p1"], 10));
    fixture.hold(&[A], None);
    let agent = fixture.agent("core");
    let held = fixture.ask(A, "setl.by_person", Some("p1")).await;
    let free = fixture.ask(B, "setl.by_person", Some("p1")).await;
    fixture.outcome(&free).await;
    let reason = "hold h1 of the bureau".to_owned();
    until(|| {
        fixture.last_state(&held)
            == Some(Waiting::Held {
                reason: reason.clone(),
            })
    })
    .await;
    assert_eq!(fixture.reply(&held), None);
    fixture.holds.send_replace(Holds::Known(Vec::new()));
    assert_eq!(fixture.outcome(&held).await.outcome.rows(), 10);
    agent.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn responder_unread_orders_hold_everything() {
    let fixture = Fixture::new(Table::of(10, &["p1"], 10));
    fixture.holds.send_replace(Holds::Unread("away".into()));
    let agent = fixture.agent("core");
    let request = fixture.ask(A, "setl.by_person", Some("p1")).await;
    until(|| matches!(fixture.last_state(&request), Some(Waiting::Held { .. }))).await;
    assert_eq!(fixture.table.reads(), 0);
    agent.end().await;
}

/// A list made with another key would match no person.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn responder_unusable_block_list_holds_everything() {
    let (fixture, other) = (
        Fixture::new(Table::of(10, &["p1"], 10)),
        Fixture::new(Table::default()),
    );
    fixture.blocked.send_replace(other.blocked.borrow().clone());
    let agent = fixture.agent("core");
    let request = fixture.ask(A, "setl.by_person", Some("p1")).await;
    until(|| matches!(fixture.last_state(&request), Some(Waiting::Held { .. }))).await;
    assert_eq!(fixture.table.reads(), 0);
    fixture.list(&[]);
    assert_eq!(fixture.outcome(&request).await.outcome.rows(), 10);
    agent.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn responder_blocked_and_held_persons_are_withheld() {
    let fixture = Fixture::new(Table::of(30, &["p1", "p2", "p3"], 10));
    fixture.list(&["p1"]);
    fixture.hold(&[A], Some("p2"));
    let agent = fixture.agent("core");
    let request = fixture.ask(A, "setl.all", None).await;
    let reply = fixture.outcome(&request).await;
    // Rows of `p3`.
    assert_eq!(
        fixture.ids(&request, &reply),
        (2..=29).step_by(3).collect::<Vec<_>>()
    );
    assert_eq!(reply.withheld, 20);
    let parts = fixture.parts(&request);
    assert_eq!(
        parts
            .iter()
            .map(|part| part.manifest.content.totals.withheld)
            .sum::<u64>(),
        20
    );
    // The status is updated after the reply.
    until(|| {
        let requests = agent.view.status().requests;
        requests.is_some_and(|requests| requests.withheld == 20)
    })
    .await;
    assert!(WithheldReason::Blocked < WithheldReason::Held("h1"));
    agent.end().await;
}

/// If all rows are withheld, the reply is empty and counts them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn responder_fully_withheld_answer_is_empty_and_counted() {
    let fixture = Fixture::new(Table::of(30, &["p1"], 10));
    fixture.list(&["p1"]);
    let agent = fixture.agent("core");
    let request = fixture.ask(A, "setl.all", None).await;
    let reply = fixture.outcome(&request).await;
    assert_eq!((reply.outcome, reply.withheld), (Outcome::Empty, 30));
    agent.end().await;
}

/// No byte at the exchange holds a value that is not granted or is masked.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn responder_denied_or_masked_value_is_in_no_byte() {
    let fixture = Fixture::new(Table::of(40, &["31010004711"], 3));
    let agent = fixture.agent("core");
    let request = fixture.ask(A, "setl.by_person", Some("31010004711")).await;
    let reply = fixture.outcome(&request).await;
    assert_eq!(fixture.ids(&request, &reply).len(), 40);
    for part in fixture.parts(&request) {
        let plain = String::from_utf8_lossy(&part.plain).into_owned();
        assert!(!plain.contains("SECRET") && !plain.contains("31010004711"));
    }
    for stream in [Stream::Parts, Stream::Replies, Stream::Progress] {
        for stored in fixture.exchange.stored_messages(stream) {
            let text = String::from_utf8_lossy(&stored.bytes).into_owned();
            assert!(
                !text.contains("SECRET") && !text.contains("31010004711"),
                "{stream:?}"
            );
        }
    }
    agent.end().await;
}

/// Parts are encrypted to one recipient only, including their money totals.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn responder_parts_are_encrypted_to_the_recipient() {
    let mut fixture = Fixture::new(Table::of(10, &["p1"], 10));
    let theirs = Arc::new(EncryptionKey::generate().unwrap());
    fixture
        .encryption
        .recipients
        .insert(name(A), theirs.public().clone());
    let agent = fixture.agent("core");
    let request = fixture.ask(A, "setl.by_person", Some("p1")).await;
    let reply = fixture.outcome(&request).await;
    let stored = fixture.exchange.stored_messages(Stream::Parts).remove(0);
    let trusted = [fixture.bureau.public().clone()];
    assert!(part::VerifiedPart::open(&stored.bytes, &trusted, &DecryptionKeys::default()).is_err());
    let opened =
        part::VerifiedPart::open(&stored.bytes, &trusted, &DecryptionKeys::new(vec![theirs])).unwrap();
    assert_eq!(
        (opened.manifest.content.totals.rows, reply.outcome.parts()),
        (10, &[opened.digest][..])
    );
    assert!(opened.manifest.content.totals.money.contains_key("amount"));
    agent.end().await;
}
