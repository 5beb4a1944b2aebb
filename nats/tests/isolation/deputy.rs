//! Requests whose answer the server is to write, or to execute, somewhere else.
//!
//! The server checks the right to publish a request, and never its reply subject. Everything that a party may request, it can
//! name any subject as the place of the answer.

use async_nats::{Client, HeaderMap};
use futures_util::future::join_all;
use nats::topology::Party;
use nats::topology::rights::{Purpose, Right};
use schemas::name::PartyName;

use super::scene::{Listener, Scene, body, settled};
use super::targets::{Target, targets};

/// A subject out of the pattern of a right: none of those that the messages of the scene have.
pub(super) fn concrete(pattern: &str) -> String {
    let mut previous = "";
    let mut tokens = Vec::new();
    for token in pattern.split('.') {
        tokens.push(match (token, previous) {
            ("*", "audit") => "bureau",
            ("*", "lease") => "stolen",
            (
                "*",
                "data" | "receipt" | "request" | "cancel" | "approval" | "progress" | "part" | "reply"
                | "confirm",
            ) => "insurer-b",
            ("*", _) if pattern.starts_with("$JS.ACK") => "1",
            ("*", _) => "stolen",
            (other, _) => other,
        });
        previous = token;
    }
    tokens.join(".")
}

/// What a request of this right may hold, so that the server answers with as many different things as possible.
fn questions(right: &Right, planted: Option<&str>) -> Vec<String> {
    match right.purpose {
        Purpose::Publish => vec![],
        Purpose::Consume if right.hub.contains("MSG.NEXT") => vec![
            r#"{"batch":1,"no_wait":true}"#.into(),
            r#"{"batch":1,"expires":1000000}"#.into(),
            "nonsense".into(),
        ],
        Purpose::Consume => vec![String::new(), "+NXT {\"batch\":1,\"no_wait\":true}".into()],
        Purpose::Last => vec![String::new()],
        Purpose::Scan => {
            let mut all = vec![
                String::new(),
                r#"{"seq":1}"#.into(),
                r#"{"seq":1,"batch":10}"#.into(),
                r#"{"seq":999999}"#.into(),
            ];
            all.extend(planted.map(|subject| format!(r#"{{"last_by_subj":"{subject}"}}"#)));
            all
        }
    }
}

/// Where a party plants bytes that it wants the server to write: its own chain of audit entries.
fn plant(party: &str) -> String {
    format!("audit.{party}.planted")
}

/// Tries one right against every target.
async fn attack(scene: &Scene, client: &Client, party: &str, right: &Right, subject: &str, all: &[Target]) {
    let concrete = concrete(subject);
    for target in all {
        if right.purpose == Purpose::Publish {
            // Stored, and answered with an acknowledgement; refused, and answered with an error.
            send(client, &concrete, &target.subject, &target.body).await;
            let mut headers = HeaderMap::new();
            headers.insert("Nats-Expected-Last-Sequence", "999999999");
            client
                .publish_with_reply_and_headers(
                    concrete.clone(),
                    target.subject.clone(),
                    headers,
                    body(&target.body),
                )
                .await
                .unwrap();
            continue;
        }
        if right.hub.contains("DIRECT.GET.AUDIT_") && party != "auditor" {
            // The bytes that the target wants, as the last message of a subject of its own.
            let stored = client.request(plant(party), body(&target.body)).await.unwrap();
            assert!(!stored.payload.is_empty());
            let question = scene.api(&format!("DIRECT.GET.AUDIT_{party}.{}", plant(party)));
            send(client, &question, &target.subject, "").await;
        }
        for question in questions(right, Some("audit.insurer-a.planted")) {
            send(client, &concrete, &target.subject, &question).await;
        }
    }
    settled(client, &concrete).await;
}

async fn send(client: &Client, subject: &str, reply: &str, text: &str) {
    client
        .publish_with_reply(subject.to_owned(), reply.to_owned(), body(text))
        .await
        .unwrap();
}

/// One credential, every right, every target: what was done that should not have been.
async fn matrix(scene: &Scene, party: &Party, until_harm: bool) -> Vec<String> {
    let name = party.name.as_str();
    let mut listeners = Listener::start_others(scene, party).await;
    let client = scene.exchange.raw(name).await;
    let all = targets(name);
    let rights = scene.rights(party);
    let owned: Vec<Right> = rights.iter().map(|(right, _)| right.clone()).collect();
    let mut before = scene.snapshot().await;
    let mut harm = Vec::new();
    for (right, subject) in &rights {
        attack(scene, &client, name, right, subject, &all).await;
        let after = scene.snapshot().await;
        let mut found = before.harm(&after, name, &owned);
        for listener in &mut listeners {
            found.extend(listener.heard().await);
        }
        harm.extend(
            found
                .into_iter()
                .map(|what| format!("{name} by {subject}: {what}")),
        );
        if until_harm && !harm.is_empty() {
            break;
        }
        before = after;
    }
    harm
}

/// What a credential that only reads can have the server write: bytes that another one planted.
async fn prepare(scene: &Scene) {
    let planter = scene.exchange.raw("insurer-a").await;
    planter.request(plant("insurer-a"), body("")).await.unwrap();
    for recipient in scene.recipients() {
        scene.unacknowledged(&recipient).await;
    }
}

/// The names of those that attack.
fn attackers() -> impl Iterator<Item = PartyName> {
    let parties = Scene::parties();
    let names: Vec<PartyName> = parties.with_account().map(|party| party.name.clone()).collect();
    names.into_iter()
}

#[tokio::test(flavor = "multi_thread")]
async fn deputy_answers_reach_nothing_of_another_party() {
    // All at once, each against an exchange of its own.
    let attacks = attackers().map(|name| async move {
        let scene = Scene::start().await;
        prepare(&scene).await;
        matrix(&scene, scene.parties.find(&name).unwrap(), false).await
    });
    let harm = join_all(attacks).await.concat();
    assert!(harm.is_empty(), "{} breaches:\n{}", harm.len(), harm.join("\n"));
}

/// The same rights as permissions inside one account: each credential, the auditor's too, breaks out.
#[tokio::test(flavor = "multi_thread")]
async fn deputy_in_one_account_breaks_out_of_every_credential() {
    let attacks = attackers().map(|name| async move {
        let scene = Scene::in_one_account().await;
        prepare(&scene).await;
        let harm = matrix(&scene, scene.parties.find(&name).unwrap(), true).await;
        assert!(!harm.is_empty(), "{name} did not break out");
        harm
    });
    let all = join_all(attacks).await.concat();
    let is_heard = |what: &String| what.contains(" heard ");
    assert!(all.iter().any(is_heard), "no listener heard anything: {all:?}");
}
