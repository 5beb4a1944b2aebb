//! Tells each recipient, over the exchange, why its lanes stand still.
//!
//! A chunk that does not come tells nothing. So the agent that holds the lease notes in an audit chain of
//! its own for each recipient, `audit.<party>.to-<recipient>`, which of its lanes are stopped or held, and when
//! none is any more. The recipient's credential reads the last entry of that chain and no other.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use exchange::Exchange;
use schemas::name::{Lane, PartyName, RecipientName};
use schemas::sign::{PublicKey, SigningKey};
use tokio::time::{Instant, MissedTickBehavior};

use crate::act::{Act, append};
use crate::epoch::Signatory;
use crate::lease_keeper::LeaseWatch;
use crate::status::{Board, LaneStatus, WAITING_FOR_GATE};
use crate::witness::Witness;

/// The action of these entries.
pub const ACTION: &str = "lanes.state";

const EACH: Duration = Duration::from_secs(1);
const BOUND: Duration = Duration::from_secs(2);

/// A gate that is shut for less than this is told to nobody: it opens and shuts all day.
const SHUT_FOR: Duration = Duration::from_secs(120);

/// The chain's writer. It is nobody else's: a recipient may be called as one of our own writers is.
#[must_use]
pub fn writer(recipient: &RecipientName) -> Option<PartyName> {
    PartyName::new(format!("to-{recipient}")).ok()
}

/// What telling needs.
pub struct NoticeParts {
    /// Where it is told.
    pub exchange: Arc<dyn Exchange>,
    /// Who tells.
    pub party: PartyName,
    /// Signs entries.
    pub key: Arc<SigningKey>,
    /// Keys of the agents that wrote before.
    pub trusted: Vec<PublicKey>,
    /// One life of one process.
    pub instance: String,
    /// Only its holder knows.
    pub lease: LeaseWatch,
    /// What chunks name of this chain.
    pub witness: Witness,
    /// What lanes say of themselves.
    pub board: Board,
    /// All lanes.
    pub lanes: Vec<Lane>,
}

/// PURE: what a recipient is told of its lanes that stand still or are unverified, by feed. No reason of an operator: that may
/// name what is not the recipient's to know.
#[must_use]
pub fn standing_still(
    recipient: &RecipientName,
    lanes: &[Lane],
    status: &BTreeMap<String, LaneStatus>,
    unverified: impl Fn(&Lane) -> Vec<&'static str>,
    waits: impl Fn(&Lane) -> bool,
) -> BTreeMap<String, String> {
    let told = |lane: &Lane| {
        let one = status.get(&lane.to_string())?;
        let what = match (one.stopped_by, &one.held) {
            (Some("restored"), _) => "stopped: exchange restored or rewritten".to_owned(),
            (Some("definition"), _) => "stopped: the feed's definition changed".to_owned(),
            (Some("source_changed"), _) => "stopped: the source was replaced or went back".to_owned(),
            (Some(_), _) => "stopped: the bureau's operator has to act".to_owned(),
            (None, Some(_)) => "held by the bureau".to_owned(),
            // Codes only: a detail may name what is the bureau's alone, such as a role of its database.
            (None, None) => match unverified(lane) {
                codes if codes.is_empty() && waits(lane) => "waiting: the bureau's core is busy".to_owned(),
                codes if codes.is_empty() => return None,
                codes => format!("unverified: {}", codes.join(", ")),
            },
        };
        Some((lane.feed.to_string(), what))
    };
    lanes
        .iter()
        .filter(|lane| lane.recipient == *recipient)
        .filter_map(told)
        .collect()
}

/// Tells until it is dropped.
pub async fn keep(parts: NoticeParts) {
    let recipients: Vec<&RecipientName> = {
        let mut names: Vec<&RecipientName> = parts.lanes.iter().map(|lane| &lane.recipient).collect();
        names.sort();
        names.dedup();
        names
    };
    let mut told: BTreeMap<&RecipientName, BTreeMap<String, String>> = BTreeMap::new();
    let mut waiting: BTreeMap<String, Instant> = BTreeMap::new();
    let mut tick = tokio::time::interval(EACH);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        if parts.lease.term().is_none() {
            // Whoever holds it now may have told something else.
            told.clear();
            continue;
        }
        let status = parts.board.lanes();
        waiting = still_waiting(&waiting, &parts.board);
        // Before every lane has a state nothing is known of it.
        if parts
            .lanes
            .iter()
            .any(|lane| !status.contains_key(&lane.to_string()))
        {
            continue;
        }
        for recipient in &recipients {
            let unverified = |lane: &Lane| parts.board.unverified(lane);
            let waits = |lane: &Lane| {
                let since = waiting.get(lane.feed.as_str());
                since.is_some_and(|since| since.elapsed() >= SHUT_FOR)
            };
            let now = standing_still(recipient, &parts.lanes, &status, unverified, waits);
            if told.get(recipient) == Some(&now) {
                continue;
            }
            let noted =
                tokio::time::timeout(BOUND, note(&parts, recipient, &now, told.contains_key(recipient)));
            if noted.await.unwrap_or(false) {
                told.insert(recipient, now);
            }
        }
    }
}

/// Since when feeds wait for the gate, without a pause.
fn still_waiting(before: &BTreeMap<String, Instant>, board: &Board) -> BTreeMap<String, Instant> {
    let waiting = board
        .feeds()
        .into_iter()
        .filter(|(_, feed)| feed.state == WAITING_FOR_GATE);
    let since = |name: &String| before.get(name).copied().unwrap_or_else(Instant::now);
    waiting.map(|(name, _)| (name.clone(), since(&name))).collect()
}

/// Appends an entry, but none that says what the last one does; whether it is told now.
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
    let act = Act {
        actor: "agent".to_owned(),
        action: ACTION.to_owned(),
        reason: if now.is_empty() {
            "no lane stands still".to_owned()
        } else {
            "lanes stand still".to_owned()
        },
        detail: now.clone(),
    };
    let who = Signatory {
        key: &parts.key,
        trusted: &parts.trusted,
        instance: &parts.instance,
        party: &parts.party,
        writer: &writer,
    };
    let noted = append(&*parts.exchange, &who, &act).await;
    if let Ok(mark) = &noted {
        parts.witness.audited(&parts.party, &writer, *mark);
    }
    noted.is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_recipient_is_told_of_its_own_lanes_and_of_no_reason() {
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
        let a = standing_still(&lanes[0].recipient, &lanes, &status, unverified, |_| true);
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
        let b = standing_still(&lanes[3].recipient, &lanes, &status, unverified, |_| false);
        assert_eq!(b["f"], "stopped: the feed's definition changed");
    }
}
