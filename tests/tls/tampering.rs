//! What the exchange's operator can alter, and who detects it. Each alteration is on its own lane, in chunks that the receiver
//! has not seen; a cut tail is on a lane that it has.

use std::collections::BTreeMap;

use schemas::envelope::Envelope;
use schemas::manifest::Manifest;
use schemas::name::Lane;
use schemas::sign::SigningKey;
use serde_json::Value;

use super::exchange_admin::{chunks, claims, lane, replace_chunks};
use super::site::{DEADLINE, Site};
use harness::until;

const RECIPIENTS: [&str; 2] = ["insurer-a", "insurer-b"];

/// The feeds, named for their alteration; all read the same table, so unaltered they would deliver the same rows.
const FEEDS: [&str; 6] = ["dropped", "swapped", "corrupted", "signed", "moved", "cut"];

fn feeds(head: &str) -> String {
    let mut text = head.to_owned();
    for name in FEEDS {
        let recipients = match name {
            "cut" => "[\"insurer-b\"]",
            "moved" => "[\"insurer-a\", \"insurer-b\"]",
            _ => "[\"insurer-a\"]",
        };
        text += &format!(
            "[[feed]]\nname = \"{name}\"\nsql = \"SELECT id, updated_at, person, amount, memo, deleted FROM claim\"\n\
             cursor = [\"updated_at\", \"id\"]\ncursor_set_by = \"application\"\nlag = \"1s\"\nkey = [\"id\"]\n\
             money = [\"amount\"]\nrecipients = {recipients}\n"
        );
    }
    text
}

/// Signs the same manifest with another key, which it names.
fn sign_with(bytes: &[u8], key: &SigningKey) -> Vec<u8> {
    let envelope = Envelope::decode(bytes).unwrap();
    let mut manifest: Manifest = envelope.read().unwrap();
    manifest.content.key = key.public().clone();
    let body = envelope.body.into_vec();
    Envelope::sign(&manifest, body, key).unwrap().encode().unwrap()
}

fn corrupt(bytes: &[u8]) -> Vec<u8> {
    let mut envelope = Envelope::decode(bytes).unwrap();
    *envelope.body.last_mut().unwrap() ^= 1;
    envelope.encode().unwrap()
}

/// Returns the altered chunks.
fn alter(history: &BTreeMap<Lane, Vec<Vec<u8>>>) -> Vec<(Lane, Vec<u8>)> {
    let key = SigningKey::generate();
    let mut all = Vec::new();
    for (lane, chunks) in history {
        let mut chunks = chunks.clone();
        match (lane.recipient.as_str(), lane.feed.as_str()) {
            (_, "dropped") => drop(chunks.remove(1)),
            (_, "swapped") => chunks.swap(1, 2),
            (_, "corrupted") => chunks[1] = corrupt(&chunks[1]),
            (_, "signed") => chunks[1] = sign_with(&chunks[1], &key),
            ("insurer-a", "moved") => {
                let mut other = lane.clone();
                other.recipient = "insurer-b".parse().unwrap();
                chunks[1] = history[&other][1].clone();
            }
            (_, "cut") => chunks.truncate(chunks.len() - 2),
            _ => {}
        }
        all.extend(chunks.into_iter().map(|bytes| (lane.clone(), bytes)));
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn exchange_operator_alterations_are_detected() {
    let mut site = Site::start(&RECIPIENTS, |text| text).await;
    let with_feeds = |text: String| feeds(text.split_once("[[feed]]").unwrap().0);
    let social = site.agent("bureau", "altering", with_feeds);
    let seen_all = site.agent("insurer-b", "altering", |text| text);
    // Four chunks for each lane, so that the operator can alter chunks in the middle.
    for wanted in 1..=4 {
        if wanted > 1 {
            site.add(20);
        }
        for name in FEEDS {
            let recipient = if name == "cut" { "insurer-b" } else { "insurer-a" };
            social
                .wait_status(
                    &format!("chunk {wanted} of {name}"),
                    &format!("/lanes/{recipient}.{name}/number"),
                    |number| number.as_u64() >= Some(wanted),
                )
                .await;
        }
    }
    let until_stored = async |insurer: &str, feed: &str, rows: i64| {
        until(&format!("{rows} rows of {feed}"), DEADLINE, async || {
            let stored = claims(&site.open(&format!("{insurer}/store.db")), feed);
            if stored == Some(rows) {
                Ok(())
            } else {
                Err(format!("{stored:?}"))
            }
        })
        .await;
    };
    until_stored("insurer-b", "cut", 160).await;
    let published = social
        .wait_status("its number", "/lanes/insurer-b.cut/number", |number| {
            number.is_u64()
        })
        .await;
    seen_all
        .wait_status(
            "the receipt for all of it",
            "/lanes/insurer-b.cut/receipted",
            |to| *to == published,
        )
        .await;
    social.stop().await;
    seen_all.stop().await;

    let mut history: BTreeMap<Lane, Vec<Vec<u8>>> = BTreeMap::new();
    for message in chunks(&site).await {
        history
            .entry(lane(&message))
            .or_default()
            .push(message.bytes.to_vec());
    }
    replace_chunks(&mut site, &RECIPIENTS, &alter(&history)).await;

    let poller = site.poller("altering");
    let until_stored = async |feed: &str, wanted: &dyn Fn(i64) -> bool| {
        until(&format!("the rows of {feed}"), DEADLINE, async || {
            let stored = claims(&site.open("insurer-a/store.db"), feed);
            if stored.is_some_and(wanted) {
                Ok(())
            } else {
                Err(format!("{stored:?}"))
            }
        })
        .await;
    };
    // A changed order alters nothing: all rows arrive.
    until_stored("swapped", &|rows| rows == 160).await;
    // A gap is named, and no receipt passes it.
    let missing = poller
        .wait_status("the gap", "/lanes/insurer-a.dropped/missing", |missing| {
            !missing.is_null()
        })
        .await;
    assert_eq!(
        (&missing["epoch"], &missing["number"]),
        (&Value::from(1), &Value::from(2))
    );
    poller
        .wait_status(
            "the receipt to end before it",
            "/lanes/insurer-a.dropped/receipted",
            |to| *to == 1,
        )
        .await;
    // Forged chunks are quarantined with the reason, and nothing of them is stored.
    until("what was forged in quarantine", DEADLINE, async || {
        let output = site
            .command(&["quarantine", "list", "--json", "--config", &poller.config])
            .await
            .stdout;
        let all = [
            "the body's digest is",
            "not a trusted key",
            "a chunk of insurer-b.moved is on",
        ];
        let unseen: Vec<&str> = all.into_iter().filter(|why| !output.contains(why)).collect();
        if unseen.is_empty() {
            Ok(())
        } else {
            Err(format!("{unseen:?} not in {output}"))
        }
    })
    .await;
    for feed in ["dropped", "corrupted", "signed", "moved"] {
        until_stored(feed, &|rows| rows < 160).await;
    }
    // A tail that was cut after the receiver acknowledged it is detected by the sender, from the receipt.
    let social = site.agent("bureau", "altering-again", with_feeds);
    social
        .wait_status("the cut", "/lanes/insurer-b.cut/state", |state| {
            state
                .as_str()
                .is_some_and(|state| state.contains("exchange restored or rewritten"))
        })
        .await;
    // The auditor names the position of each alteration.
    let output = site
        .run_failing(7, &["audit", "verify", "--config", "auditor/auditor.toml"])
        .await;
    for feed in [
        "insurer-a.dropped",
        "insurer-a.swapped",
        "insurer-a.corrupted",
        "insurer-a.signed",
        "insurer-a.moved",
        "insurer-b.cut",
    ] {
        let fault = output
            .lines()
            .any(|line| line.starts_with("FAULT ") && line.contains(feed));
        assert!(fault, "the auditor did not find {feed}:\n{output}");
    }
    social.stop().await;
    poller.stop().await;
}
