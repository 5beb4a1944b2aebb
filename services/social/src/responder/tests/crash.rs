//! Kills, concurrent responders and lost acknowledgements: one complete outcome for each request.

use std::collections::BTreeSet;

use exchange::port::Stream;
use schemas::reply::Outcome;

use super::fixture::{A, B, Fixture, until};
use super::table_source::Table;

const PERSONS: [&str; 3] = ["p1", "p2", "p3"];

async fn mixed(fixture: &Fixture, count: usize) -> Vec<schemas::request::Request> {
    let mut requests = Vec::new();
    for at in 0..count {
        let recipient = if at % 3 == 0 { B } else { A };
        let request = match at % 10 {
            9 => fixture.ask(recipient, "setl.none", None).await,
            8 => fixture.ask(recipient, "setl.by_person", Some("unknown")).await,
            _ => {
                fixture
                    .ask(recipient, "setl.by_person", Some(PERSONS[at % 3]))
                    .await
            }
        };
        requests.push(request);
    }
    requests
}

fn check(fixture: &Fixture, requests: &[schemas::request::Request], replies: &[schemas::reply::Reply]) {
    for (at, (request, reply)) in requests.iter().zip(replies).enumerate() {
        match at % 10 {
            9 => assert_eq!(reply.outcome.name(), "refused"),
            8 => assert_eq!(reply.outcome, Outcome::Empty),
            _ => assert_eq!(fixture.ids(request, reply).len(), 20),
        }
    }
}

/// Trap: a lost acknowledgement is taken as a failure, and the answer is stored twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn responder_lost_acks_give_one_outcome_each() {
    let fixture = Fixture::new(Table::of(60, &PERSONS, 10));
    fixture.exchange.lose_acknowledgements(3);
    let agent = fixture.agent("core");
    let requests = mixed(&fixture, 40).await;
    check(&fixture, &requests, &fixture.outcomes(&requests).await);
    agent.end().await;
    assert_eq!(fixture.exchange.stored_messages(Stream::Replies).len(), 40);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn responder_two_at_once_give_one_outcome_each() {
    let fixture = Fixture::new(Table::of(60, &PERSONS, 10));
    // Each holds a lease, like a process that was suspended and resumed.
    let (one, two) = (fixture.agent("core"), fixture.agent("again"));
    let requests = mixed(&fixture, 200).await;
    check(&fixture, &requests, &fixture.outcomes(&requests).await);
    assert_eq!(fixture.exchange.stored_messages(Stream::Replies).len(), 200);
    one.end().await;
    two.end().await;
}

/// Each agent is killed as soon as it has stored one more message than the previous one; the answer is long.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn responder_killed_after_each_message_gives_one_outcome() {
    let mut fixture = Fixture::new(Table::of(3_000, &["p1"], 1_000));
    fixture.min_rows = 200;
    // A killed agent may have lost acknowledgements.
    fixture.exchange.lose_acknowledgements(4);
    let request = fixture.ask(A, "setl.all", None).await;
    let stored = || {
        let streams = [Stream::Parts, Stream::Replies];
        streams
            .map(|stream| fixture.exchange.stored_messages(stream).len())
            .iter()
            .sum::<usize>()
    };
    let mut kills = 0;
    for messages in 1.. {
        let agent = fixture.agent("core");
        let before = stored();
        until(|| stored() >= before + messages || fixture.reply(&request).is_some()).await;
        agent.kill().await;
        kills += 1;
        if fixture.reply(&request).is_some() {
            break;
        }
    }
    let reply = fixture.reply(&request).unwrap();
    assert_eq!(fixture.ids(&request, &reply), (1..=3_000).collect::<Vec<_>>());
    let attempts: BTreeSet<u32> = fixture
        .parts(&request)
        .iter()
        .map(|part| part.manifest.attempt)
        .collect();
    assert!(attempts.len() > 1 && kills > 1, "{attempts:?} {kills}");
    // A request with an outcome is not answered again.
    let (agent, reads) = (fixture.agent("core"), fixture.table.reads());
    until(|| {
        agent
            .view
            .status()
            .requests
            .is_some_and(|status| status.polled_at.is_some())
    })
    .await;
    let other = fixture.ask(A, "setl.by_person", Some("p1")).await;
    fixture.outcome(&other).await;
    assert!(fixture.table.reads() > reads);
    assert_eq!(fixture.reply(&request), Some(reply));
    agent.end().await;
}

/// The gate closes during each quantum: rows that were read are kept, and nothing is read while it is closed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn responder_gate_closing_repeatedly_completes_a_long_answer() {
    let (gate, script) = gate::Gate::scripted();
    script.open();
    let fixture = Fixture::at(Table::of(2_000, &["p1"], 200), gate);
    let script = std::sync::Arc::new(script);
    let (shutting, closed) = tokio::sync::mpsc::unbounded_channel();
    let inner = std::sync::Arc::clone(&script);
    fixture.table.after_each(move |_| {
        inner.close("busy");
        let _ = shutting.send(());
    });
    let opener = tokio::spawn(async move {
        let mut closed = closed;
        while closed.recv().await.is_some() {
            script.open();
        }
    });
    let agent = fixture.agent("core");
    let request = fixture.ask(A, "setl.all", None).await;
    let reply = fixture.outcome(&request).await;
    assert_eq!(fixture.ids(&request, &reply), (1..=2_000).collect::<Vec<_>>());
    assert_eq!(fixture.table.while_closed(), 0);
    agent.end().await;
    opener.abort();
}

/// Trap: many waiting requests are queried one by one at each poll.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn responder_many_requests_get_one_outcome_each() {
    let fixture = Fixture::new(Table::of(60, &PERSONS, 10));
    let requests = mixed(&fixture, 2_000).await;
    let agent = fixture.agent("core");
    until(|| fixture.exchange.stored_messages(Stream::Replies).len() == 2_000).await;
    let sample: Vec<_> = requests.iter().step_by(37).cloned().collect();
    for request in &sample {
        assert!(fixture.reply(request).is_some());
    }
    agent.end().await;
}
