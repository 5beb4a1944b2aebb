//! Holds, the block list and masks.

use std::sync::Arc;

use exchange::port::Stream;
use requests::screen::KeptBack;
use schemas::part;
use schemas::progress::Waiting;
use schemas::reply::Outcome;
use schemas::seal::{SealKey, SealRing};

use super::scene::{A, B, Scene, name, until};
use super::table::Table;
use crate::hold::Holds;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hold_lets_wait_and_says_no_more_than_its_id() {
    let scene = Scene::new(Table::of(10, &["p1"], 10));
    scene.hold(&[A], None);
    let agent = scene.agent("core");
    let held = scene.ask(A, "setl.by_person", Some("p1")).await;
    let free = scene.ask(B, "setl.by_person", Some("p1")).await;
    scene.outcome(&free).await;
    let reason = "hold h1 of the bureau".to_owned();
    until(|| {
        scene.told(&held)
            == Some(Waiting::Held {
                reason: reason.clone(),
            })
    })
    .await;
    assert_eq!(scene.reply(&held), None);
    scene.holds.send_replace(Holds::Known(Vec::new()));
    assert_eq!(scene.outcome(&held).await.outcome.rows(), 10);
    agent.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_that_were_never_read_hold_everything() {
    let scene = Scene::new(Table::of(10, &["p1"], 10));
    scene.holds.send_replace(Holds::Unread("away".into()));
    let agent = scene.agent("core");
    let request = scene.ask(A, "setl.by_person", Some("p1")).await;
    until(|| matches!(scene.told(&request), Some(Waiting::Held { .. }))).await;
    assert_eq!(scene.table.reads(), 0);
    agent.end().await;
}

/// A list of another key's would answer every question with no.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_block_list_that_cannot_be_asked_holds_everything() {
    let (scene, other) = (
        Scene::new(Table::of(10, &["p1"], 10)),
        Scene::new(Table::default()),
    );
    scene.blocked.send_replace(other.blocked.borrow().clone());
    let agent = scene.agent("core");
    let request = scene.ask(A, "setl.by_person", Some("p1")).await;
    until(|| matches!(scene.told(&request), Some(Waiting::Held { .. }))).await;
    assert_eq!(scene.table.reads(), 0);
    scene.list(&[]);
    assert_eq!(scene.outcome(&request).await.outcome.rows(), 10);
    agent.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_of_blocked_and_held_persons_are_kept_back_and_counted() {
    let scene = Scene::new(Table::of(30, &["p1", "p2", "p3"], 10));
    scene.list(&["p1"]);
    scene.hold(&[A], Some("p2"));
    let agent = scene.agent("core");
    let request = scene.ask(A, "setl.all", None).await;
    let reply = scene.outcome(&request).await;
    // Rows of `p3`.
    assert_eq!(
        scene.ids(&request, &reply),
        (2..=29).step_by(3).collect::<Vec<_>>()
    );
    assert_eq!(reply.withheld, 20);
    let parts = scene.parts(&request);
    assert_eq!(
        parts.iter().map(|part| part.part.totals.withheld).sum::<u64>(),
        20
    );
    // The page is written after the reply.
    until(|| {
        let requests = agent.view.status().requests;
        requests.is_some_and(|requests| requests.withheld == 20)
    })
    .await;
    assert!(KeptBack::Blocked < KeptBack::Held("h1"));
    agent.end().await;
}

/// Only rows that are kept back: nothing for the recipient, and it is said.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_of_which_all_is_kept_back_is_empty_and_says_so() {
    let scene = Scene::new(Table::of(30, &["p1"], 10));
    scene.list(&["p1"]);
    let agent = scene.agent("core");
    let request = scene.ask(A, "setl.all", None).await;
    let reply = scene.outcome(&request).await;
    assert_eq!((reply.outcome, reply.withheld), (Outcome::Empty, 30));
    agent.end().await;
}

/// No value that is not granted, or that a mask hides, is in any byte at the exchange.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_denied_or_masked_value_is_in_no_byte_that_is_sent() {
    let scene = Scene::new(Table::of(40, &["31010004711"], 3));
    let agent = scene.agent("core");
    let request = scene.ask(A, "setl.by_person", Some("31010004711")).await;
    let reply = scene.outcome(&request).await;
    assert_eq!(scene.ids(&request, &reply).len(), 40);
    for part in scene.parts(&request) {
        let plain = String::from_utf8_lossy(&part.plain).into_owned();
        assert!(!plain.contains("SECRET") && !plain.contains("31010004711"));
    }
    for stream in [Stream::Parts, Stream::Replies, Stream::Progress] {
        for stored in scene.exchange.kept(stream) {
            let text = String::from_utf8_lossy(&stored.bytes).into_owned();
            assert!(
                !text.contains("SECRET") && !text.contains("31010004711"),
                "{stream:?}"
            );
        }
    }
    agent.end().await;
}

/// What is sealed to one recipient is sealed to nobody else, and sums of money are sealed with it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parts_are_sealed_to_the_recipient() {
    let mut scene = Scene::new(Table::of(10, &["p1"], 10));
    let theirs = Arc::new(SealKey::generate().unwrap());
    scene.sealing.recipients.insert(name(A), theirs.public().clone());
    let agent = scene.agent("core");
    let request = scene.ask(A, "setl.by_person", Some("p1")).await;
    let reply = scene.outcome(&request).await;
    let stored = scene.exchange.kept(Stream::Parts).remove(0);
    let trusted = [scene.bureau.public().clone()];
    assert!(part::open(&stored.bytes, &trusted, &SealRing::default()).is_err());
    let opened = part::open(&stored.bytes, &trusted, &SealRing::new(vec![theirs])).unwrap();
    assert_eq!(
        (opened.part.totals.rows, reply.outcome.parts()),
        (10, &[opened.digest][..])
    );
    assert!(opened.part.totals.money.contains_key("amount"));
    agent.end().await;
}
