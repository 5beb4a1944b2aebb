//! kill -9 of responders, requesters and the exchange at random, two responders at once; and a second reply by hand.

use std::collections::BTreeSet;
use std::time::Duration;

use exchange::port::Stream;
use exchange::{Exchange, Filed};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use schemas::reply::Reply;

use super::office::{Office, payload};
use super::wishes::{Wish, wish};
use crate::path::site::Agent;

/// `FLOW_KILLS` makes it as large as wanted.
#[tokio::test(flavor = "multi_thread")]
async fn kills_at_random_moments_leave_exactly_one_outcome_of_each_request() {
    let kills = std::env::var("FLOW_KILLS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(10);
    let mut office = Office::start("request_kills", 20_000, "mode = \"open\"").await;
    let mut agents: Vec<(&str, Agent)> = Vec::new();
    for name in ["bureau-1", "bureau-2", "insurer-a-1", "insurer-a-2"] {
        agents.push((name, start(&office, name)));
    }
    for (_, agent) in &agents[2..] {
        agent
            .shows("the store to be prepared", "/is_prepared", |is| *is == true)
            .await;
    }
    let mut chance = StdRng::seed_from_u64(11);
    let mut filed = 0;
    for _ in 0..kills {
        let more: Vec<Wish> = (filed..filed + 40).map(|n| wish(n, "insurer-a")).collect();
        filed += 40;
        office.a_writes(&more).await;
        // The moment of the kill is the input of this test, not a wait for something.
        tokio::time::sleep(Duration::from_millis(chance.random_range(100..1_000))).await;
        let victim = chance.random_range(0..=agents.len());
        match agents.get_mut(victim) {
            Some((name, agent)) => {
                agent.process.kill9();
                *agent = start(&office, name);
            }
            None => {
                office.nats.kill9();
                office.nats.restart().await;
            }
        }
    }
    office.until_stream(Stream::Confirms, filed as usize).await;
    let replies = office.stream(Stream::Replies).await;
    let subjects: BTreeSet<&str> = replies.iter().map(|reply| reply.subject.as_str()).collect();
    assert_eq!((replies.len(), subjects.len()), (filed as usize, filed as usize));
    // Stored once: as many rows for each request as its reply says.
    let rows: u64 = replies
        .iter()
        .map(|stored| payload::<Reply>(stored).outcome.rows())
        .sum();
    let mut stored = 0;
    for table in [
        "answer_claim__by_person",
        "answer_claim__day",
        "answer_claim__over",
    ] {
        stored += office
            .store
            .number(&format!("SELECT count(*) FROM {table}"))
            .await;
    }
    assert_eq!(u64::try_from(stored).unwrap(), rows);

    a_second_reply_is_refused(&office, &payload(&replies[0])).await;
    for (_, agent) in agents {
        agent.stop().await;
    }
}

fn start(office: &Office, name: &str) -> Agent {
    if name.starts_with("bureau") {
        office.social(name)
    } else {
        office.commercial("insurer-a", name)
    }
}

/// By the bureau itself, with its own key. Headers are tried on the server in the exchange's own tests.
async fn a_second_reply_is_refused(office: &Office, reply: &Reply) {
    let bureau = office.exchange("bureau").await;
    let another = bytes::Bytes::from_static(b"another outcome");
    let filed = bureau.reply(&reply.recipient, &reply.id, another).await.unwrap();
    assert!(
        !matches!(filed, Filed::Done { .. }),
        "a second reply was stored: {filed:?}"
    );
    bureau.close().await;
}
