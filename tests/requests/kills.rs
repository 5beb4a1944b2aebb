//! kill -9 of responders, requesters and the exchange at random, with two responders at once; and a forged second reply.

use std::collections::BTreeSet;
use std::time::Duration;

use exchange::port::Stream;
use exchange::{Exchange, Filed, RequestExchange};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use schemas::reply::Reply;

use super::cases::{RequestCase, request_case};
use super::request_site::{RequestSite, payload};
use crate::pipeline::site::Agent;

/// `FLOW_KILLS` sets the number of kills.
#[tokio::test(flavor = "multi_thread")]
async fn request_agents_killed_at_random_leave_one_outcome_each() {
    let kills = std::env::var("FLOW_KILLS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(10);
    let mut request_site = RequestSite::start("request_kills", 20_000, "mode = \"open\"").await;
    let mut agents: Vec<(&str, Agent)> = Vec::new();
    for name in ["bureau-1", "bureau-2", "insurer-a-1", "insurer-a-2"] {
        agents.push((name, start(&request_site, name)));
    }
    for (_, agent) in &agents[2..] {
        agent
            .wait_status("the store to be prepared", "/is_prepared", |is| *is == true)
            .await;
    }
    let mut rng = StdRng::seed_from_u64(11);
    let mut filed = 0;
    for _ in 0..kills {
        let more: Vec<RequestCase> = (filed..filed + 40)
            .map(|n| request_case(n, "insurer-a"))
            .collect();
        filed += 40;
        request_site.write_outbox_of_a(&more).await;
        // The moment of the kill is the input of this test, not a wait for something.
        tokio::time::sleep(Duration::from_millis(rng.random_range(100..1_000))).await;
        let victim = rng.random_range(0..=agents.len());
        match agents.get_mut(victim) {
            Some((name, agent)) => {
                agent.process.kill9();
                *agent = start(&request_site, name);
            }
            None => {
                request_site.nats.kill9();
                request_site.nats.restart().await;
            }
        }
    }
    request_site.wait_stream(Stream::Confirms, filed as usize).await;
    let replies = request_site.stream(Stream::Replies).await;
    let subjects: BTreeSet<&str> = replies.iter().map(|reply| reply.subject.as_str()).collect();
    assert_eq!((replies.len(), subjects.len()), (filed as usize, filed as usize));
    request_site.assert_answers_stored_once(&replies).await;
    assert_second_reply_refused(&request_site, &payload(&replies[0])).await;
    for (_, agent) in agents {
        agent.stop().await;
    }
}

fn start(request_site: &RequestSite, name: &str) -> Agent {
    if name.starts_with("bureau") {
        request_site.social(name)
    } else {
        request_site.commercial("insurer-a", name)
    }
}

/// Published with the bureau's own key. The exchange's own tests try headers on the server.
async fn assert_second_reply_refused(request_site: &RequestSite, reply: &Reply) {
    let bureau = request_site.exchange("bureau").await;
    let another = bytes::Bytes::from_static(b"another outcome");
    let filed = bureau.reply(&reply.recipient, &reply.id, another).await.unwrap();
    assert!(
        !matches!(filed, Filed::Done { .. }),
        "a second reply was stored: {filed:?}"
    );
    bureau.close().await;
}
