//! Acknowledgements of what another consumer delivered, in both forms and in what a wildcard would take for one.

use bytes::Bytes;
use exchange::{FeedExchange, Settlement};
use futures_util::{FutureExt, StreamExt};
use nats::topology::rights::Right;
use schemas::name::{FeedName, Lane, RecipientName};

use super::scene::{Scene, ask, body};
use super::targets::forms;
use crate::exchange_server::ExchangeServer;

/// What an acknowledgement may hold.
const WORDS: [&str; 8] = [
    "",
    "+ACK",
    "+OK",
    "-NAK",
    "+TERM",
    "+WPI",
    "+NXT",
    "+NXT {\"batch\":10,\"no_wait\":true}",
];

#[tokio::test]
async fn acknowledgement_of_another_consumer_changes_nothing() {
    let scene = Scene::start().await;
    let mut pending = Vec::new();
    for recipient in scene.recipients() {
        for subject in scene.unacknowledged(&recipient).await {
            pending.push((recipient.clone(), subject));
        }
    }
    for party in scene.attackers() {
        let name = party.name.as_str();
        let before = scene.snapshot().await;
        let client = scene.exchange.raw(name).await;
        let inbox = format!("_INBOX_{name}.stolen");
        let mut stolen = client.subscribe(inbox.clone()).await.unwrap();
        for (owner, subject) in pending.iter().filter(|(owner, _)| owner != name) {
            let tokens: Vec<&str> = subject.split('.').collect();
            let [.., stream, consumer, _, _, _, _, _] = tokens.as_slice() else {
                panic!("{subject}");
            };
            assert_eq!(consumer, owner);
            let rest = tokens[tokens.len() - 5..].join(".");
            let mut all = forms(stream, consumer, &rest);
            // The consumer of another name in front of the attacker's own, and the reverse.
            for (first, second) in [(owner.as_str(), name), (name, owner.as_str())] {
                for tail in ["1.1.0", "1.1.1.1.0", "1.1.1.1.0.0", rest.as_str()] {
                    all.push(format!("$JS.ACK.{stream}.{first}.{stream}.{second}.{tail}"));
                }
            }
            for subject in all {
                for word in WORDS {
                    client
                        .publish_with_reply(subject.clone(), inbox.clone(), body(word))
                        .await
                        .unwrap();
                    client.publish(subject.clone(), body(word)).await.unwrap();
                }
            }
        }
        client.flush().await.unwrap();
        let rights: Vec<Right> = scene.rights(party).into_iter().map(|(right, _)| right).collect();
        let harm = before.harm(&scene.snapshot().await, name, &rights);
        assert!(harm.is_empty(), "{name}:\n{}", harm.join("\n"));
        // Its own consumer confirms without any bytes, and hands out its own messages.
        while let Some(Some(heard)) = stolen.next().now_or_never() {
            let is_own = heard.subject.split('.').nth(1) == Some(name);
            assert!(is_own || heard.payload.is_empty(), "{name} got {heard:?}");
        }
    }
}

/// The wildcard of an earlier version took another consumer's subject for its own.
#[tokio::test]
async fn acknowledgement_by_a_wildcard_pulls_of_another_consumer() {
    let exchange = ExchangeServer::with(|path, text| match path {
        "accounts/insurer-a.conf" | "accounts/hub.conf" => text.replace(
            "$JS.ACK.DATA_insurer-a.insurer-a.*.*.*.*.*",
            "$JS.ACK.*.*.DATA_insurer-a.insurer-a.>",
        ),
        _ => text,
    })
    .await;
    exchange.apply(|_| {}).await;
    let lane = lane("insurer-b");
    let bureau = exchange.connect("bureau").await;
    bureau
        .publish_chunk(&lane, Bytes::from_static(b"secret"), 0)
        .await
        .unwrap();
    let thief = exchange.raw("insurer-a").await;
    let subject = "$JS.ACK.DATA_insurer-b.insurer-b.DATA_insurer-a.insurer-a.1.1.0";
    let stolen = ask(&thief, subject, "+NXT {\"batch\":1,\"no_wait\":true}").await;
    assert_eq!(
        stolen.payload, "secret",
        "the attack does not work any more: {stolen:?}"
    );
}

/// The second form is off in the server as of 2.15; both are admitted, each in its exact form.
#[tokio::test]
async fn acknowledgement_in_either_form_is_taken_from_its_own_party() {
    for second_form in [false, true] {
        let exchange = ExchangeServer::with(|path, text| {
            if path == "server.conf" && second_form {
                text + "feature_flags { js_ack_fc_v2: true }\n"
            } else {
                text
            }
        })
        .await;
        exchange.apply(|_| {}).await;
        let lane = lane("insurer-b");
        let bureau = exchange.connect("bureau").await;
        bureau
            .publish_chunk(&lane, Bytes::from_static(b"chunk"), 0)
            .await
            .unwrap();
        let insurer = exchange.connect("insurer-b").await;
        let fetched = insurer.fetch_chunks(&lane.recipient, 10).await.unwrap();
        assert_eq!(fetched.len(), 1);
        let tokens = fetched[0].token.split('.').count();
        assert_eq!(tokens, if second_form { 11 } else { 9 }, "{}", fetched[0].token);
        insurer.settle(&fetched, Settlement::Ack).await.unwrap();
        let thief = exchange.connect("insurer-a").await;
        let refused = thief.settle(&fetched, Settlement::Ack).await.unwrap_err();
        assert_eq!(refused.kind, exchange::ErrorKind::Denied, "{refused}");
    }
}

fn lane(recipient: &str) -> Lane {
    Lane {
        recipient: RecipientName::new(recipient).unwrap(),
        feed: FeedName::new("setl").unwrap(),
    }
}
