use exchange::port::Stream;
use exchange_testing::memory::Memory;
use jiff::SignedDuration;
use requests::admission::RowLimit;
use requests::queue::RequestKey;
use schemas::digest::Digest;
use schemas::sign::SigningKey;

use super::super::answer::ReadEnd;
use super::*;
use crate::lease_keeper::LeaseKeeper;

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

fn answer(deadline: Option<Timestamp>) -> (Answer, Signer) {
    let request_ref = RequestRef {
        key: RequestKey {
            recipient: "insurer-a".parse().unwrap(),
            id: "20260131-abcdefgh".parse().unwrap(),
        },
        request: Digest::of(&[b"request"]),
        deadline,
        definition: None,
    };
    let mut answer = Answer::new(request_ref, 1, 50, (10, RowLimit::Kind));
    answer.ended = Some(ReadEnd::Complete);
    let signer = Signer {
        instance: "one".to_owned(),
        key: Arc::new(SigningKey::generate()),
        to: None,
    };
    (answer, signer)
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
    let (mut late, signer) = answer(Some(deadline));
    assert_eq!(
        publisher.publish_answer(&mut late, &signer).await,
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
    let (mut one, signer) = answer(None);
    exchange.lose_acknowledgements(1);
    // Its acknowledgement is lost, and it finds its own outcome.
    assert_eq!(
        publisher.publish_answer(&mut one, &signer).await,
        PublishOutcome::Done(Outcome::Empty)
    );
    let (mut two, signer) = answer(None);
    assert_eq!(
        publisher.publish_answer(&mut two, &signer).await,
        PublishOutcome::Superseded
    );
    assert_eq!(exchange.stored_messages(Stream::Replies).len(), 1);
    keeping.abort();
}
