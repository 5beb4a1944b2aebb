//! Everything that the exchange holds, and what of it a party may have changed.

use std::collections::BTreeMap;

use nats::topology::Admin;
use nats::topology::rights::{Purpose, Right};
use serde_json::{Map, Value, json};

/// The streams as the administrator sees them.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Snapshot(BTreeMap<String, StreamSnapshot>);

#[derive(Debug, Clone, PartialEq)]
struct StreamSnapshot {
    config: Map<String, Value>,
    /// By sequence, whole.
    messages: BTreeMap<u64, Value>,
    /// By name: configuration, deliveries and acknowledgements.
    consumers: BTreeMap<String, Value>,
}

impl Snapshot {
    /// Once nothing changes any more: what the server still does for an attacker is waited for.
    pub(super) async fn of(admin: &Admin) -> Self {
        let mut before = Self::read(admin).await;
        loop {
            let after = Self::read(admin).await;
            if before == after {
                return after;
            }
            before = after;
        }
    }

    async fn read(admin: &Admin) -> Self {
        let mut streams = BTreeMap::new();
        for stream in admin.live().await.unwrap().streams {
            let name = stream.config["name"].as_str().unwrap().to_owned();
            let [first, last] = ["first_seq", "last_seq"].map(|key| stream.state[key].as_u64().unwrap());
            let mut messages = BTreeMap::new();
            for sequence in first..=last {
                let question = format!("STREAM.MSG.GET.{name}");
                // One that was removed is missing.
                if let Ok(answer) = admin.api(&question, &json!({ "seq": sequence })).await {
                    messages.insert(sequence, answer["message"].clone());
                }
            }
            let consumers = stream.consumers.iter().map(|consumer| {
                let kept = [
                    "config",
                    "delivered",
                    "ack_floor",
                    "num_ack_pending",
                    "num_redelivered",
                    "num_waiting",
                    "paused",
                ];
                let picked: Map<String, Value> = kept
                    .iter()
                    .filter_map(|key| Some(((*key).to_owned(), consumer.get(*key)?.clone())))
                    .collect();
                (
                    consumer["name"].as_str().unwrap().to_owned(),
                    Value::Object(picked),
                )
            });
            let snapshot = StreamSnapshot {
                config: stream.config.clone(),
                consumers: consumers.collect(),
                messages,
            };
            streams.insert(name, snapshot);
        }
        Self(streams)
    }

    /// What changed that the party had no right to change. It may add messages on the subjects that it publishes,
    /// and use the consumers of its name; nothing that was there may change or go.
    pub(super) fn harm(&self, after: &Self, party: &str, rights: &[Right]) -> Vec<String> {
        let mut harm = Vec::new();
        for name in after.0.keys().filter(|name| !self.0.contains_key(*name)) {
            harm.push(format!("stream {name} is new"));
        }
        for (name, before) in &self.0 {
            let Some(after) = after.0.get(name) else {
                harm.push(format!("stream {name} is gone"));
                continue;
            };
            if before.config != after.config {
                harm.push(format!("stream {name} has another configuration"));
            }
            let keeps_last = before.config["discard"] == "old" && before.config["max_msgs_per_subject"] == 1;
            for (sequence, message) in &before.messages {
                let subject = message["subject"].as_str().unwrap_or_default();
                // Its own word in the place of its own earlier one.
                let is_replaced = keeps_last
                    && may_publish(rights, subject)
                    && after
                        .messages
                        .values()
                        .any(|newer| newer["subject"] == message["subject"]);
                if after.messages.get(sequence) != Some(message) && !is_replaced {
                    harm.push(format!(
                        "message {sequence} of {name} changed or is gone: {subject}"
                    ));
                }
            }
            for (sequence, message) in &after.messages {
                let subject = message["subject"].as_str().unwrap_or_default();
                let is_own =
                    may_publish(rights, subject) || is_own_delivery(&before.config, party, rights, subject);
                if !before.messages.contains_key(sequence) && !is_own {
                    harm.push(format!("{name} has a message on {subject}"));
                }
            }
            let names = before.consumers.keys().chain(after.consumers.keys());
            for consumer in names.filter(|consumer| consumer.as_str() != party) {
                let (was, is) = (before.consumers.get(consumer), after.consumers.get(consumer));
                if was != is {
                    harm.push(format!(
                        "consumer {consumer} of {name} changed: {was:?} -> {is:?}"
                    ));
                }
            }
        }
        harm
    }
}

/// A delivery keeps its subject, so a recipient that has its own deliveries sent to a subject that it publishes
/// stores them there as what they are. No one reads them: every reader asks by subject.
fn is_own_delivery(config: &Map<String, Value>, party: &str, rights: &[Right], subject: &str) -> bool {
    let delivered = ["data", "reply"].map(|first| format!("{first}.{party}."));
    let holds = config["subjects"].as_array().into_iter().flatten();
    delivered.iter().any(|own| subject.starts_with(own))
        && holds
            .filter_map(Value::as_str)
            .any(|pattern| may_publish(rights, &pattern.replace('*', party)))
}

fn may_publish(rights: &[Right], subject: &str) -> bool {
    let publish = rights.iter().filter(|right| right.purpose == Purpose::Publish);
    publish.into_iter().any(|right| {
        let (right, subject): (Vec<&str>, Vec<&str>) =
            (right.hub.split('.').collect(), subject.split('.').collect());
        right.len() == subject.len() && right.iter().zip(&subject).all(|(a, b)| *a == "*" || a == b)
    })
}
