//! Notifies each recipient, over the exchange, why its lanes are stopped.
//!
//! A missing chunk carries no reason. So the agent that holds the lease keeps an audit chain for each recipient,
//! `audit.<party>.to-<recipient>`, which states which of its lanes are stopped or held, and when none is. The recipient's
//! credential reads the last entry of that chain and of no other.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use exchange::Exchange;
use schemas::name::{Lane, PartyName, RecipientName};
use schemas::sign::{PublicKey, SigningKey};
use tokio::time::{Instant, MissedTickBehavior};

use crate::audit_log::{AuditEvent, AuditSigner, append};
use crate::lease_keeper::LeaseWatch;
use crate::record_tracker::RecordTracker;
use crate::status::{LaneStatus, StatusRegistry, WAITING_FOR_GATE};

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
    /// The status of lanes and feeds.
    pub registry: StatusRegistry,
    /// All lanes.
    pub lanes: Vec<Lane>,
}

/// PURE: returns, by feed, why a recipient's lanes are stopped, waiting or unverified. An operator's reason is left out: it may
/// name what the recipient must not learn.
#[must_use]
pub fn stopped_lanes(
    recipient: &RecipientName,
    lanes: &[Lane],
    status: &BTreeMap<String, LaneStatus>,
    unverified: impl Fn(&Lane) -> Vec<&'static str>,
    waits: impl Fn(&Lane) -> bool,
) -> BTreeMap<String, String> {
    let reported = |lane: &Lane| {
        let lane_status = status.get(&lane.to_string())?;
        let reason = match (lane_status.stopped_by, &lane_status.held) {
            (Some("restored"), _) => "stopped: exchange restored or rewritten".to_owned(),
            (Some("definition"), _) => "stopped: the feed's definition changed".to_owned(),
            (Some("source_changed"), _) => "stopped: the source was replaced or went back".to_owned(),
            (Some(_), _) => "stopped: the bureau's operator must act".to_owned(),
            (None, Some(_)) => "held by the bureau".to_owned(),
            // Codes only: a detail may name the bureau's internals, such as a database role.
            (None, None) => match unverified(lane) {
                codes if codes.is_empty() && waits(lane) => "waiting: the bureau's core is busy".to_owned(),
                codes if codes.is_empty() => return None,
                codes => format!("unverified: {}", codes.join(", ")),
            },
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
    let mut waiting: BTreeMap<String, Instant> = BTreeMap::new();
    let mut tick = tokio::time::interval(INTERVAL);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        if parts.lease.term().is_none() {
            // The current holder may have written something else.
            reported.clear();
            continue;
        }
        let status = parts.registry.lanes();
        waiting = waiting_since(&waiting, &parts.registry);
        // Until every lane has a state, the picture is incomplete.
        if parts
            .lanes
            .iter()
            .any(|lane| !status.contains_key(&lane.to_string()))
        {
            continue;
        }
        for recipient in &recipients {
            let unverified = |lane: &Lane| parts.registry.unverified(lane);
            let waits = |lane: &Lane| {
                let since = waiting.get(lane.feed.as_str());
                since.is_some_and(|since| since.elapsed() >= MIN_WAIT)
            };
            let now = stopped_lanes(recipient, &parts.lanes, &status, unverified, waits);
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
fn waiting_since(before: &BTreeMap<String, Instant>, registry: &StatusRegistry) -> BTreeMap<String, Instant> {
    let waiting = registry
        .feeds()
        .into_iter()
        .filter(|(_, feed)| feed.state == WAITING_FOR_GATE);
    let since = |name: &String| before.get(name).copied().unwrap_or_else(Instant::now);
    waiting.map(|(name, _)| (name.clone(), since(&name))).collect()
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

    #[test]
    fn notice_names_only_own_lanes_and_no_reason() {
        let lane = |recipient: &str, feed: &str| Lane {
            recipient: recipient.parse().unwrap(),
            feed: feed.parse().unwrap(),
        };
        let lanes = [lane("a", "f"), lane("a", "g"), lane("a", "h"), lane("b", "f")];
        let state = |held: Option<&str>, stopped_by| LaneStatus {
            held: held.map(str::to_owned),
            stopped_by,
            ..LaneStatus::default()
        };
        let status = BTreeMap::from([
            (
                "a.f".to_owned(),
                state(Some("hold 1 by li.na: court order"), None),
            ),
            ("a.g".to_owned(), state(None, None)),
            ("a.h".to_owned(), state(None, None)),
            ("b.f".to_owned(), state(None, Some("definition"))),
        ]);
        let unverified = |lane: &Lane| match lane.feed.as_str() {
            "g" => vec!["clock_behind"],
            _ => Vec::new(),
        };
        let a = stopped_lanes(&lanes[0].recipient, &lanes, &status, unverified, |_| true);
        let wanted = [
            ("f", "held by the bureau"),
            ("g", "unverified: clock_behind"),
            ("h", "waiting: the bureau's core is busy"),
        ];
        assert_eq!(
            a,
            wanted
                .map(|(feed, what)| (feed.to_owned(), what.to_owned()))
                .into()
        );
        let b = stopped_lanes(&lanes[3].recipient, &lanes, &status, unverified, |_| false);
        assert_eq!(b["f"], "stopped: the feed's definition changed");
    }
}
