//! Lost acknowledgements and interrupted steps.

use std::time::Duration;

use exchange::port::Stream;

use super::insurer_site::{InsurerSite, until};

/// Every second acknowledgement is lost, on both sides.
#[tokio::test]
async fn requester_lost_acknowledgement_duplicates_nothing() {
    let site = InsurerSite::open().await;
    site.exchange.lose_acknowledgements(2);
    for number in 0..20 {
        site.write(&format!("claim {number}"), "p1");
    }
    let (stop, running) = site.start();
    until("all requests", async || site.requests().len() == 20).await;
    for (request, digest) in site.requests() {
        site.answer(&request, digest, &[2, 1]).await;
    }
    until("all confirmations", async || site.confirmed() == 20).await;
    assert_eq!(site.number("SELECT count(*) FROM answer_setl__by_person"), 60);
    stop.cancel();
    running.await.unwrap();
}

/// After an interruption at any step the next process continues, also next to a second one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requester_killed_at_any_step_has_same_result() {
    for steps in 1..=10 {
        let site = InsurerSite::open().await;
        for number in 0..3 {
            site.write(&format!("claim {number}"), "p1");
        }
        let done = async || site.exchange.stored_messages(Stream::Requests).len() + site.confirmed();
        let (_, victim) = site.start();
        // The bureau answers each request at once.
        let answering = async {
            let mut received = 0;
            until("all answers", async || true).await;
            while received < 3 {
                for (request, digest) in site.requests().into_iter().skip(received) {
                    site.answer(&request, digest, &[2]).await;
                    received += 1;
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        let killing = async {
            until("its step", async || done().await >= steps.min(6)).await;
            victim.abort();
            let (one, first) = site.start();
            let (two, second) = site.start();
            until("all confirmations", async || site.confirmed() == 3).await;
            one.cancel();
            two.cancel();
            first.await.unwrap();
            second.await.unwrap();
        };
        tokio::join!(answering, killing);
        assert_eq!(site.requests().len(), 3, "killed after {steps}");
        assert_eq!(
            site.number("SELECT count(*) FROM answer_setl__by_person"),
            6,
            "killed after {steps}"
        );
    }
}
