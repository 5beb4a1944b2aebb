use exchange::memory::Memory;
use exchange::port::Stream;
use jiff::SignedDuration;
use requests::admission::RowLimit;
use requests::queue::Key;
use schemas::digest::Digest;
use schemas::sign::SigningKey;

use super::super::answer::Ended;
use super::*;
use crate::lease_keeper::LeaseKeeper;

/// What posting needs, with a lease that is held and a clock that stands where it is put.
async fn post(exchange: &Arc<Memory>) -> (Post, tokio::task::JoinHandle<()>) {
    let (keeper, lease) = LeaseKeeper::new(
        Arc::clone(exchange) as Arc<dyn Exchange>,
        "core".parse().unwrap(),
        "one".to_owned(),
        "test".to_owned(),
        Arc::new(SigningKey::generate()),
        crate::lease::Timing::of(Duration::from_secs(30)),
    );
    let keeping = tokio::spawn(keeper.run(tokio_util::sync::CancellationToken::new()));
    lease.clone().held().await;
    let post = Post {
        exchange: Arc::clone(exchange) as Arc<dyn Exchange>,
        lease,
        clock: ExchangeClock::default(),
        options: AnswerOptions::default(),
    };
    (post, keeping)
}

fn answer(deadline: Option<Timestamp>) -> (Answer, Signer) {
    let about = About {
        key: Key {
            recipient: "insurer-a".parse().unwrap(),
            id: "20260131-abcdefgh".parse().unwrap(),
        },
        request: Digest::of(&[b"request"]),
        deadline,
        definition: None,
    };
    let mut answer = Answer::new(about, 1, 50, (10, RowLimit::Kind));
    answer.ended = Some(Ended::All);
    let signer = Signer {
        instance: "one".to_owned(),
        key: Arc::new(SigningKey::generate()),
        to: None,
    };
    (answer, signer)
}

/// An answer that is read in time and cannot be stored in time is never told late.
#[tokio::test]
async fn an_answer_that_would_be_late_is_told_as_expired_once_it_is() {
    let exchange = Arc::new(Memory::new(&["insurer-a".parse().unwrap()]));
    let (post, keeping) = post(&exchange).await;
    let now = Timestamp::now();
    post.clock.saw(now, Instant::now(), Duration::from_secs(1));
    let deadline = now + SignedDuration::from_millis(300);
    let (mut late, signer) = answer(Some(deadline));
    assert_eq!(
        post.answer(&mut late, &signer).await,
        Posted::Done(Outcome::Expired)
    );
    let stored = exchange.kept(Stream::Replies).remove(0);
    assert!(stored.stored_at >= deadline, "not before its deadline either");
    keeping.abort();
}

#[tokio::test]
async fn the_outcome_that_was_stored_first_has_won_and_our_own_is_done() {
    let exchange = Arc::new(Memory::new(&["insurer-a".parse().unwrap()]));
    let (post, keeping) = post(&exchange).await;
    let (mut one, signer) = answer(None);
    exchange.lose_every(1);
    // Its acknowledgement is lost, and it finds its own.
    assert_eq!(post.answer(&mut one, &signer).await, Posted::Done(Outcome::Empty));
    let (mut two, signer) = answer(None);
    assert_eq!(post.answer(&mut two, &signer).await, Posted::Lost);
    assert_eq!(exchange.kept(Stream::Replies).len(), 1);
    keeping.abort();
}
