//! Notifies each recipient, over the exchange, why its lanes are stopped.
//!
//! A missing chunk carries no reason. So the agent that holds the lease keeps an audit chain for each recipient,
//! `audit.<party>.to-<recipient>`, which states which of its lanes are stopped or held, and when none is. The recipient's
//! credential reads the last entry of that chain and of no other.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use exchange::Exchange;
use schemas::name::{FeedName, Lane, PartyName, RecipientName};
use schemas::sign::{PublicKey, SigningKey};
use tokio::time::{Instant, MissedTickBehavior};

use crate::audit_log::{AuditEvent, AuditSigner, append};
use crate::conditions::{Conditions, FeedConditions, LaneConditions};
use crate::lease_keeper::LeaseWatch;
use crate::record_tracker::RecordTracker;

pub use crate::notice_chain::{ACTION, writer};

const INTERVAL: Duration = Duration::from_secs(1);
const CALL_TIMEOUT: Duration = Duration::from_secs(2);

/// A shorter wait for the gate is not reported, because the gate opens and closes all day.
const MIN_WAIT: Duration = Duration::from_secs(120);

/// The dependencies of [`keep`].
pub struct NoticeParts {
    /// The exchange.
    pub exchange: Arc<dyn Exchange>,
    /// The party of the agent.
    pub party: PartyName,
    /// Signs entries.
    pub key: Arc<SigningKey>,
    /// Keys of the agents that wrote earlier entries.
    pub trusted: Vec<PublicKey>,
    /// Identifies this run of the process.
    pub instance: String,
    /// The lease, whose holder writes.
    pub lease: LeaseWatch,
    /// Takes the chain's head for chunks.
    pub record_tracker: RecordTracker,
    /// The conditions of lanes and feeds.
    pub conditions: Conditions,
    /// All lanes.
    pub lanes: Vec<Lane>,
}

/// PURE: returns, by feed, why a recipient's lanes are stopped, waiting or unverified. An operator's reason is left out: it may
/// name what the recipient must not learn.
#[must_use]
pub fn stopped_lanes(
    recipient: &RecipientName,
    lanes: &[Lane],
    conditions: &LaneConditions,
    feeds: &FeedConditions,
    waits: impl Fn(&FeedName) -> bool,
) -> BTreeMap<String, String> {
    let reported = |lane: &Lane| {
        let condition = conditions.get(lane)?;
        let reason = match (condition.stopped_by, condition.is_held) {
            (Some("restored"), _) => "stopped: exchange restored or rewritten".to_owned(),
            (Some("definition"), _) => "stopped: the feed's definition changed".to_owned(),
            (Some("source_changed"), _) => "stopped: the source was replaced or went back".to_owned(),
            (Some(_), _) => "stopped: the bureau's operator must act".to_owned(),
            (None, true) => "held by the bureau".to_owned(),
            // Codes only: a detail may name the bureau's internals, such as a database role.
            (None, false) => {
                let feed = feeds.get(&lane.feed).map(|feed| &feed.unverified);
                let codes = feed.into_iter().flatten().chain(&condition.unverified);
                match codes.copied().collect::<Vec<_>>() {
                    codes if codes.is_empty() && waits(&lane.feed) => {
                        "waiting: the bureau's core is busy".to_owned()
                    }
                    codes if codes.is_empty() => return None,
                    codes => format!("unverified: {}", codes.join(", ")),
                }
            }
        };
        Some((lane.feed.to_string(), reason))
    };
    lanes
        .iter()
        .filter(|lane| lane.recipient == *recipient)
        .filter_map(reported)
        .collect()
}

/// Writes notices until it is dropped.
pub async fn keep(parts: NoticeParts) {
    let recipients: Vec<&RecipientName> = {
        let mut names: Vec<&RecipientName> = parts.lanes.iter().map(|lane| &lane.recipient).collect();
        names.sort();
        names.dedup();
        names
    };
    let mut reported: BTreeMap<&RecipientName, BTreeMap<String, String>> = BTreeMap::new();
    let mut waiting: BTreeMap<FeedName, Instant> = BTreeMap::new();
    let (feed_conditions, lane_conditions) = (parts.conditions.feeds(), parts.conditions.lanes());
    let mut tick = tokio::time::interval(INTERVAL);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        if parts.lease.term().is_none() {
            // The current holder may have written something else.
            reported.clear();
            continue;
        }
        let (feeds, lanes) = (feed_conditions.borrow().clone(), lane_conditions.borrow().clone());
        waiting = waiting_since(&waiting, &feeds);
        // Until every lane has a state, the picture is incomplete.
        if parts.lanes.iter().any(|lane| !lanes.contains_key(lane)) {
            continue;
        }
        for recipient in &recipients {
            let waits = |feed: &FeedName| waiting.get(feed).is_some_and(|since| since.elapsed() >= MIN_WAIT);
            let now = stopped_lanes(recipient, &parts.lanes, &lanes, &feeds, waits);
            if reported.get(recipient) == Some(&now) {
                continue;
            }
            let result = tokio::time::timeout(
                CALL_TIMEOUT,
                note(&parts, recipient, &now, reported.contains_key(recipient)),
            );
            if result.await.unwrap_or(false) {
                reported.insert(recipient, now);
            }
        }
    }
}

/// Returns since when each feed has been waiting for the gate.
fn waiting_since(
    before: &BTreeMap<FeedName, Instant>,
    feeds: &FeedConditions,
) -> BTreeMap<FeedName, Instant> {
    let waiting = feeds.iter().filter(|(_, feed)| feed.waits_for_gate);
    let since = |name: &FeedName| before.get(name).copied().unwrap_or_else(Instant::now);
    waiting.map(|(name, _)| (name.clone(), since(name))).collect()
}

/// Appends an entry, unless the last one states the same. Returns whether the recipient is notified.
async fn note(
    parts: &NoticeParts,
    recipient: &RecipientName,
    now: &BTreeMap<String, String>,
    is_known: bool,
) -> bool {
    let Some(writer) = writer(recipient) else {
        return true;
    };
    if !is_known {
        match parts.exchange.last_audit(&parts.party, &writer).await {
            Ok(None) if now.is_empty() => return true,
            Ok(Some(stored)) => {
                let last = schemas::envelope::Envelope::decode(&stored.bytes)
                    .and_then(|envelope| envelope.read::<schemas::audit::AuditEntry>());
                if last.is_ok_and(|last| last.detail == *now) {
                    return true;
                }
            }
            Ok(None) => {}
            Err(_) => return false,
        }
    }
    let event = AuditEvent {
        actor: "agent".to_owned(),
        action: ACTION.to_owned(),
        reason: if now.is_empty() {
            "no lane is stopped".to_owned()
        } else {
            "lanes are stopped".to_owned()
        },
        detail: now.clone(),
    };
    let signer = AuditSigner {
        key: &parts.key,
        trusted: &parts.trusted,
        instance: &parts.instance,
        party: &parts.party,
        writer: &writer,
    };
    let result = append(&*parts.exchange, &signer, &event).await;
    if let Ok(mark) = &result {
        parts.record_tracker.set_audit_head(&parts.party, &writer, *mark);
    }
    result.is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conditions::{FeedCondition, LaneCondition};

    #[test]
    fn notice_names_only_own_lanes_and_no_reason() {
        let lane = |recipient: &str, feed: &str| Lane {
            recipient: recipient.parse().unwrap(),
            feed: feed.parse().unwrap(),
        };
        let lanes = [lane("a", "f"), lane("a", "g"), lane("a", "h"), lane("b", "f")];
        let condition = |is_held, stopped_by, unverified: &[&'static str]| LaneCondition {
            stopped_by,
            is_held,
            unverified: unverified.iter().copied().collect(),
        };
        let conditions = LaneConditions::from([
            (lanes[0].clone(), condition(true, None, &[])),
            (lanes[1].clone(), condition(false, None, &["receiver_behind"])),
            (lanes[2].clone(), condition(false, None, &[])),
            (lanes[3].clone(), condition(false, Some("definition"), &[])),
        ]);
        let feed = FeedCondition {
            unverified: ["clock_behind"].into(),
            ..FeedCondition::default()
        };
        let feeds = FeedConditions::from([(lanes[1].feed.clone(), feed)]);
        let a = stopped_lanes(&lanes[0].recipient, &lanes, &conditions, &feeds, |_| true);
        let wanted = [
            ("f", "held by the bureau"),
            ("g", "unverified: clock_behind, receiver_behind"),
            ("h", "waiting: the bureau's core is busy"),
        ];
        assert_eq!(
            a,
            wanted
                .map(|(feed, what)| (feed.to_owned(), what.to_owned()))
                .into()
        );
        let b = stopped_lanes(&lanes[3].recipient, &lanes, &conditions, &feeds, |_| false);
        assert_eq!(b["f"], "stopped: the feed's definition changed");
    }
}
