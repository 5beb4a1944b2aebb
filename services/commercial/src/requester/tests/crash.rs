//! Lost acknowledgements and ends in the middle of things.

use std::time::Duration;

use exchange::port::Stream;

use super::office::{Office, until};

/// Trap: an acknowledgement that is lost. Each second one is, on both sides.
#[tokio::test]
async fn lost_acknowledgements_double_nothing() {
    let office = Office::open().await;
    office.exchange.lose_every(2);
    for number in 0..20 {
        office.write(&format!("claim {number}"), "p1");
    }
    let (stop, running) = office.start();
    until("all requests", async || office.requests().len() == 20).await;
    for (request, digest) in office.requests() {
        office.answer(&request, digest, &[2, 1]).await;
    }
    until("all confirmations", async || office.confirmed() == 20).await;
    assert_eq!(office.number("SELECT count(*) FROM answer_setl__by_person"), 60);
    stop.cancel();
    running.await.unwrap();
}

/// Whatever was done when it was killed, the next life goes on; beside another one, too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_step_and_doubled_it_comes_to_the_same() {
    for steps in 1..=10 {
        let office = Office::open().await;
        for number in 0..3 {
            office.write(&format!("claim {number}"), "p1");
        }
        let done = async || office.exchange.kept(Stream::Requests).len() + office.confirmed();
        let (_, victim) = office.start();
        // Answers come as soon as requests do.
        let answering = async {
            let mut answered = 0;
            until("all answers", async || true).await;
            while answered < 3 {
                for (request, digest) in office.requests().into_iter().skip(answered) {
                    office.answer(&request, digest, &[2]).await;
                    answered += 1;
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        let killing = async {
            until("its step", async || done().await >= steps.min(6)).await;
            victim.abort();
            let (one, first) = office.start();
            let (two, second) = office.start();
            until("all confirmations", async || office.confirmed() == 3).await;
            one.cancel();
            two.cancel();
            first.await.unwrap();
            second.await.unwrap();
        };
        tokio::join!(answering, killing);
        assert_eq!(office.requests().len(), 3, "killed after {steps}");
        assert_eq!(
            office.number("SELECT count(*) FROM answer_setl__by_person"),
            6,
            "killed after {steps}"
        );
    }
}
