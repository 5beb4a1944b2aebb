use std::time::Duration;

use exchange::port::Stream;
use exchange_testing::memory::Memory;
use jiff::SignedDuration;
use schemas::reply::Outcome;
use schemas::sign::SigningKey;

use super::super::answer::RequestRef;
use super::super::request_state::{Attempt, Processing, ReadEnd, RequestState};
use super::super::request_step::{Action, Event, QuantumEnd, StepContext, step};
use super::*;
use crate::lease_keeper::LeaseKeeper;
use crate::retry;

/// How a publication ended.
#[derive(Debug, PartialEq, Eq)]
enum PublishOutcome {
    Done(Outcome),
    Superseded,
}

/// A publisher with a held lease and a clock that the test sets.
async fn publisher(exchange: &Arc<Memory>) -> (ReplyPublisher, tokio::task::JoinHandle<()>) {
    let (keeper, lease) = LeaseKeeper::new(
        Arc::clone(exchange) as Arc<dyn exchange::LeaseExchange>,
        "core".parse().unwrap(),
        "one".to_owned(),
        "test".to_owned(),
        Arc::new(SigningKey::generate()),
        crate::lease::Timing::of(Duration::from_secs(30)),
    );
    let keeping = tokio::spawn(keeper.run(tokio_util::sync::CancellationToken::new()));
    lease.clone().acquired().await;
    let publisher = ReplyPublisher {
        exchange: Arc::clone(exchange) as Arc<dyn RequestExchange>,
        lease,
        clock: ExchangeClock::default(),
        options: AnswerOptions::default(),
    };
    (publisher, keeping)
}

/// Publishes an answer without rows, which was read to its end.
async fn publish_answer(publisher: &ReplyPublisher, deadline: Option<Timestamp>) -> PublishOutcome {
    let request_ref = RequestRef {
        key: RequestKey {
            recipient: "insurer-a".parse().unwrap(),
            id: "20260131-abcdefgh".parse().unwrap(),
        },
        request: Digest::of(&[b"request"]),
        deadline,
        definition: None,
    };
    let signer = Signer {
        instance: "one".to_owned(),
        key: Arc::new(SigningKey::generate()),
        to: None,
    };
    let mut processing = Processing {
        state: RequestState::Reading,
        attempt: Some(Attempt::new(1, request_ref.request)),
        ..Processing::default()
    };
    let mut event = Event::QuantumRead(QuantumEnd {
        blocks: 0,
        rows: 0,
        ended: Some(ReadEnd::Complete),
        wait: None,
    });
    let mut in_flight: Option<(Message, SignedMessage)> = None;
    loop {
        let context = StepContext {
            now: Instant::now(),
            exchange_now: publisher.clock.now(Instant::now()),
            deadline,
            jitter: 1.0,
            options: &publisher.options,
        };
        let (after, actions) = step(processing, event, &context);
        processing = after;
        let (message, signed) = match (actions.first(), in_flight.take()) {
            (Some(Action::Publish(message)), _) => {
                let Message::Reply { outcome, .. } = message else {
                    panic!("{message:?}")
                };
                let reply = request_ref.reply(outcome.clone(), &signer, Timestamp::now());
                (message.clone(), sign_reply(&reply, &signer).unwrap())
            }
            (Some(Action::Retry(tries)), Some(message)) => {
                tokio::time::sleep(retry::after(*tries)).await;
                message
            }
            (Some(Action::Drop), _) => return PublishOutcome::Superseded,
            (action, _) => panic!("{action:?}"),
        };
        let result = publisher
            .store(&request_ref.key, &message, &signed.bytes, deadline)
            .await;
        event = match (result, &message) {
            (StoreResult::Stored, Message::Reply { outcome, .. }) => {
                return PublishOutcome::Done(outcome.clone());
            }
            (StoreResult::Exists, _) => Event::Exists,
            (StoreResult::Unconfirmed, _) => Event::Unconfirmed,
            (result, _) => panic!("{result:?}"),
        };
        in_flight = Some((message, signed));
    }
}

/// An answer that is read in time but cannot be stored in time is reported as expired.
#[tokio::test]
async fn publisher_late_answer_is_reported_as_expired() {
    let exchange = Arc::new(Memory::new(&["insurer-a".parse().unwrap()]));
    let (publisher, keeping) = publisher(&exchange).await;
    let now = Timestamp::now();
    publisher
        .clock
        .observe(now, Instant::now(), Duration::from_secs(1));
    let deadline = now + SignedDuration::from_millis(300);
    assert_eq!(
        publish_answer(&publisher, Some(deadline)).await,
        PublishOutcome::Done(Outcome::Expired)
    );
    let stored = exchange.stored_messages(Stream::Replies).remove(0);
    assert!(
        stored.stored_at >= deadline,
        "it is not stored before its deadline"
    );
    keeping.abort();
}

#[tokio::test]
async fn publisher_first_stored_outcome_wins() {
    let exchange = Arc::new(Memory::new(&["insurer-a".parse().unwrap()]));
    let (publisher, keeping) = publisher(&exchange).await;
    exchange.lose_acknowledgements(1);
    // Its acknowledgement is lost, and it finds its own outcome.
    assert_eq!(
        publish_answer(&publisher, None).await,
        PublishOutcome::Done(Outcome::Empty)
    );
    assert_eq!(publish_answer(&publisher, None).await, PublishOutcome::Superseded);
    assert_eq!(exchange.stored_messages(Stream::Replies).len(), 1);
    keeping.abort();
}
