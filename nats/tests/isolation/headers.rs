//! Headers by which a message asks the server for something: to write elsewhere, to remove, to believe a name.

use async_nats::HeaderMap;
use nats::topology::rights::{Purpose, Right};

use super::deputy::concrete;
use super::scene::{Listener, Scene, body, settled};
use super::targets::targets;

/// Headers that name a place.
const PLACES: [&str; 5] = [
    "Nats-Trace-Dest",
    "Nats-Schedule-Target",
    "Nats-Consumer-Stalled",
    "Nats-Reply-To",
    "Reply-To",
];

/// Headers with a fixed value.
const FIXED: [(&str, &str); 15] = [
    ("Nats-Rollup", "sub"),
    ("Nats-Rollup", "all"),
    ("Nats-TTL", "1s"),
    ("Nats-Incr", "1"),
    ("Nats-Msg-Id", "stolen"),
    ("Nats-Marker-Reason", "Purge"),
    ("Nats-Batch-Id", "stolen"),
    ("Nats-Stream-Source", "DATA_insurer-b 1"),
    ("Nats-Sequence", "1"),
    ("Nats-Subject", "control.insurer-b"),
    ("Nats-Request-Info", r#"{"acc":"HUB","svc":"HUB","user":"admin"}"#),
    ("Nats-Request-Info", r#"{"acc":"$SYS","user":"admin"}"#),
    ("Nats-Expected-Last-Subject-Sequence-Subject", "control.>"),
    ("Nats-Required-Api-Level", "99"),
    ("Status", "100 Idle Heartbeat"),
];

#[tokio::test]
async fn headers_make_the_server_do_nothing_for_a_party() {
    let scene = Scene::start().await;
    for recipient in scene.recipients() {
        scene.unacknowledged(&recipient).await;
    }
    let mut harm = Vec::new();
    for party in scene.attackers() {
        let name = party.name.as_str();
        let mut listeners = Listener::start_others(&scene, party).await;
        let client = scene.exchange.raw(name).await;
        let rights = scene.rights(party);
        let owned: Vec<Right> = rights.iter().map(|(right, _)| right.clone()).collect();
        let before = scene.snapshot().await;
        for (right, subject) in &rights {
            let subject = concrete(subject);
            let mut sets: Vec<HeaderMap> = FIXED.iter().map(|header| headers(&[*header])).collect();
            for target in targets(name) {
                for place in PLACES {
                    sets.push(headers(&[
                        (place, &target.subject),
                        ("Nats-Schedule", "@at 2020-01-01T00:00:00Z"),
                    ]));
                }
                sets.push(headers(&[
                    ("Nats-Trace-Dest", &target.subject),
                    ("Nats-Trace-Only", "true"),
                ]));
            }
            for set in sets {
                let text = if right.purpose == Purpose::Publish {
                    "{}"
                } else {
                    ""
                };
                client
                    .publish_with_headers(subject.clone(), set, body(text))
                    .await
                    .unwrap();
            }
            settled(&client, &subject).await;
        }
        let mut found = before.harm(&scene.snapshot().await, name, &owned);
        for listener in &mut listeners {
            found.extend(listener.heard().await);
        }
        harm.extend(found.into_iter().map(|what| format!("{name}: {what}")));
    }
    assert!(harm.is_empty(), "{} breaches:\n{}", harm.len(), harm.join("\n"));
}

fn headers(list: &[(&str, &str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in list {
        map.insert(*name, *value);
    }
    map
}
