//! Killed at any moment, answered by two at once, acknowledgements lost: one outcome each, and whole.

use std::collections::BTreeSet;

use exchange::port::Stream;
use schemas::reply::Outcome;

use super::scene::{A, B, Scene, until};
use super::table::Table;

const PERSONS: [&str; 3] = ["p1", "p2", "p3"];

async fn mixed(scene: &Scene, count: usize) -> Vec<schemas::request::Request> {
    let mut asked = Vec::new();
    for at in 0..count {
        let recipient = if at % 3 == 0 { B } else { A };
        let request = match at % 10 {
            9 => scene.ask(recipient, "setl.none", None).await,
            8 => scene.ask(recipient, "setl.by_person", Some("nobody")).await,
            _ => {
                scene
                    .ask(recipient, "setl.by_person", Some(PERSONS[at % 3]))
                    .await
            }
        };
        asked.push(request);
    }
    asked
}

fn check(scene: &Scene, asked: &[schemas::request::Request], replies: &[schemas::reply::Reply]) {
    for (at, (request, reply)) in asked.iter().zip(replies).enumerate() {
        match at % 10 {
            9 => assert_eq!(reply.outcome.name(), "refused"),
            8 => assert_eq!(reply.outcome, Outcome::Empty),
            _ => assert_eq!(scene.ids(request, reply).len(), 20),
        }
    }
}

/// Trap: a lost acknowledgement taken for a failure, and the answer given twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_acknowledgements_give_one_outcome_each() {
    let scene = Scene::new(Table::of(60, &PERSONS, 10));
    scene.exchange.lose_every(3);
    let agent = scene.agent("core");
    let asked = mixed(&scene, 40).await;
    check(&scene, &asked, &scene.outcomes(&asked).await);
    agent.end().await;
    assert_eq!(scene.exchange.kept(Stream::Replies).len(), 40);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_responders_at_once_give_one_outcome_each() {
    let scene = Scene::new(Table::of(60, &PERSONS, 10));
    // Each holds a lease, as one would believe that was stopped in the middle and woke again.
    let (one, two) = (scene.agent("core"), scene.agent("again"));
    let asked = mixed(&scene, 200).await;
    check(&scene, &asked, &scene.outcomes(&asked).await);
    assert_eq!(scene.exchange.kept(Stream::Replies).len(), 200);
    one.end().await;
    two.end().await;
}

/// One agent after the other is killed as soon as one message more is stored; the answer is long.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_after_each_message_it_is_one_whole_outcome() {
    let mut scene = Scene::new(Table::of(3_000, &["p1"], 1_000));
    scene.least = 200;
    // And whoever is killed was not told that all of it is stored.
    scene.exchange.lose_every(4);
    let request = scene.ask(A, "setl.all", None).await;
    let stored = || {
        let streams = [Stream::Parts, Stream::Replies];
        streams
            .map(|stream| scene.exchange.kept(stream).len())
            .iter()
            .sum::<usize>()
    };
    let mut kills = 0;
    for messages in 1.. {
        let agent = scene.agent("core");
        let before = stored();
        until(|| stored() >= before + messages || scene.reply(&request).is_some()).await;
        agent.kill().await;
        kills += 1;
        if scene.reply(&request).is_some() {
            break;
        }
    }
    let reply = scene.reply(&request).unwrap();
    assert_eq!(scene.ids(&request, &reply), (1..=3_000).collect::<Vec<_>>());
    let attempts: BTreeSet<u32> = scene
        .parts(&request)
        .iter()
        .map(|part| part.part.attempt)
        .collect();
    assert!(attempts.len() > 1 && kills > 1, "{attempts:?} {kills}");
    // Nobody begins again what has its outcome.
    let (agent, reads) = (scene.agent("core"), scene.table.reads());
    until(|| {
        agent
            .view
            .status()
            .requests
            .is_some_and(|status| status.looked_at.is_some())
    })
    .await;
    let other = scene.ask(A, "setl.by_person", Some("p1")).await;
    scene.outcome(&other).await;
    assert!(scene.table.reads() > reads);
    assert_eq!(scene.reply(&request), Some(reply));
    agent.end().await;
}

/// A gate that shuts in the middle of each quantum: what was read is kept, and nothing is read while it is shut.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gate_that_shuts_again_and_again_lets_a_long_answer_through() {
    let (gate, script) = gate::Gate::scripted();
    script.open();
    let scene = Scene::at(Table::of(2_000, &["p1"], 200), gate);
    let script = std::sync::Arc::new(script);
    let (shutting, shut) = tokio::sync::mpsc::unbounded_channel();
    let inner = std::sync::Arc::clone(&script);
    scene.table.after_each(move |_| {
        inner.shut("busy");
        let _ = shutting.send(());
    });
    let opener = tokio::spawn(async move {
        let mut shut = shut;
        while shut.recv().await.is_some() {
            script.open();
        }
    });
    let agent = scene.agent("core");
    let request = scene.ask(A, "setl.all", None).await;
    let reply = scene.outcome(&request).await;
    assert_eq!(scene.ids(&request, &reply), (1..=2_000).collect::<Vec<_>>());
    assert_eq!(scene.table.while_shut(), 0);
    agent.end().await;
    opener.abort();
}

/// Trap: ten thousand waiting requests, each asked for at each look.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_requests_of_two_insurers_get_one_outcome_each() {
    let scene = Scene::new(Table::of(60, &PERSONS, 10));
    let asked = mixed(&scene, 2_000).await;
    let agent = scene.agent("core");
    until(|| scene.exchange.kept(Stream::Replies).len() == 2_000).await;
    let sample: Vec<_> = asked.iter().step_by(37).cloned().collect();
    for request in &sample {
        assert!(scene.reply(request).is_some());
    }
    agent.end().await;
}
