//! Orders of operators: the last record of a party holds all that are in force, so that one read
//! after a restart is enough.
//!
//! Each record is signed as a whole by whoever gave its newest order, and names the record before
//! it. What this version does not know, it keeps and passes on.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::envelope::Payload;
use crate::heads::Mark;
use crate::name::{FeedName, Lane, PartyName, RecipientName, SourceName};
use crate::person::PersonMark;
use crate::sign::PublicKey;
use crate::unreadable::Unreadable;

/// Orders in force at once, at most: a record stays far below the largest message.
pub const MOST_ORDERS: usize = 256;
/// Characters of a name, at most.
pub const MOST_ACTOR: usize = 200;
/// Characters of a reason, at most.
pub const MOST_REASON: usize = 1_000;

/// What one order does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Action {
    /// Nothing is read.
    Pause,
    /// Pauses and limits of the same scope are taken back.
    Resume,
    /// At most this share of the time is worked, in thousandths: 200 is 20 %.
    Limit {
        /// 1 to 1000.
        duty_milli: u32,
    },
    /// Nothing is published of what it names, until it is released.
    Hold(Hold),
    /// The hold of the same scope is taken back.
    Release,
    /// The orders of a record are those that count, although a later record may be lost.
    Confirm(Confirmation),
}

/// What a hold keeps back. All of its fields are always written, so that an order of another version
/// with fewer or more of them is not taken for this one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Hold {
    /// From whom; empty: from everybody.
    pub recipients: Vec<RecipientName>,
    /// Of which feeds; empty: of all.
    pub feeds: Vec<FeedName>,
    /// Only the rows of this person; none: all rows.
    #[serde(deserialize_with = "Option::deserialize")]
    pub person: Option<PersonMark>,
}

impl Hold {
    /// Whether it is about a lane.
    #[must_use]
    pub fn names(&self, lane: &Lane) -> bool {
        (self.recipients.is_empty() || self.recipients.contains(&lane.recipient))
            && (self.feeds.is_empty() || self.feeds.contains(&lane.feed))
    }
}

/// What an operator confirms after the exchange was restored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Confirmation {
    /// The record whose pauses and holds are confirmed; none: there is none, and nothing is ordered.
    #[serde(deserialize_with = "Option::deserialize")]
    pub record: Option<Mark>,
    /// The newest record that something signed names and that is lost; none: nothing names one.
    #[serde(deserialize_with = "Option::deserialize")]
    pub lost: Option<Mark>,
}

/// The scope of confirmations.
pub const SCOPE_OF_CONFIRMATION: &str = "orders";

/// An action of this version, or of a later one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum AnyAction {
    /// Known here.
    Known(Action),
    /// Not known here: kept, reported, and not obeyed.
    Other(BTreeMap<String, serde_json::Value>),
}

impl AnyAction {
    /// Its kind, for people.
    #[must_use]
    pub fn kind(&self) -> &str {
        match self {
            Self::Known(Action::Pause) => "pause",
            Self::Known(Action::Resume) => "resume",
            Self::Known(Action::Limit { .. }) => "limit",
            Self::Known(Action::Hold(_)) => "hold",
            Self::Known(Action::Release) => "release",
            Self::Known(Action::Confirm(_)) => "confirm",
            Self::Other(fields) => fields
                .get("kind")
                .and_then(serde_json::Value::as_str)
                .unwrap_or("unknown"),
        }
    }
}

/// One order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Order {
    /// Tells it from others of this party.
    pub id: String,
    /// What it is about; `gate.<source>` is the gate of a source, `hold.<id>` one hold.
    pub scope: String,
    /// What it does.
    pub action: AnyAction,
    /// The person or program that decided.
    pub actor: String,
    /// Why, in their words.
    pub reason: String,
    /// When, by the giver's clock.
    #[schemars(with = "String")]
    pub given_at: Timestamp,
    /// When it ends by itself; none: when somebody takes it back.
    #[schemars(with = "Option<String>")]
    pub expires: Option<Timestamp>,
}

impl Order {
    /// Whether its time is not over.
    #[must_use]
    pub fn holds(&self, now: Timestamp) -> bool {
        self.expires.is_none_or(|end| now < end)
    }
}

/// All orders of a party in force, and the newest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Control {
    /// The party whose agents obey.
    pub party: PartyName,
    /// Its place in the chain: 1, 2, 3, …
    pub number: u64,
    /// The digest of the last record before that its writer could read.
    pub previous: Option<Digest>,
    /// The message before, where it is not that record: the writer could not read or did not trust it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skips: Option<Unreadable>,
    /// What was ordered by this record.
    pub newest: Order,
    /// All that were in force when it was written, the newest included unless it only ends others.
    pub orders: Vec<Order>,
    /// When it was written, by the writer's clock.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// The key that signed.
    pub key: PublicKey,
}

impl Payload for Control {
    const KIND: &'static str = "slacktide.control.v1";
    fn signer(&self) -> &PublicKey {
        &self.key
    }
}

/// More orders at once than a record may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{MOST_ORDERS} orders are in force already: take some back first")]
pub struct TooMany;

/// The scope of the gate of a source.
#[must_use]
pub fn gate_of(source: &SourceName) -> String {
    format!("gate.{source}")
}

/// The scope of one hold.
#[must_use]
pub fn hold_of(id: &str) -> String {
    format!("hold.{id}")
}

/// PURE: the orders of a record that are in force now.
pub fn fold(control: &Control, now: Timestamp) -> impl Iterator<Item = &Order> {
    control.orders.iter().filter(move |order| order.holds(now))
}

/// PURE: the orders in force after one more. A pause takes the place of a pause of the same scope,
/// a limit that of a limit, and a resume that of both. Each hold has a scope of its own, and a release
/// ends it. What is over drops out.
///
/// # Errors
/// [`TooMany`].
pub fn after(orders: &[Order], newest: &Order, now: Timestamp) -> Result<Vec<Order>, TooMany> {
    let is_end = matches!(newest.action, AnyAction::Known(Action::Resume | Action::Release));
    // It changes nothing, and is only in its own record.
    let is_confirmation = matches!(newest.action, AnyAction::Known(Action::Confirm(_)));
    let ends = |order: &Order| {
        let same_kind = order.action.kind() == newest.action.kind();
        let taken_back = is_end && matches!(order.action, AnyAction::Known(_));
        order.scope == newest.scope && (same_kind || taken_back)
    };
    let mut kept: Vec<Order> = orders
        .iter()
        .filter(|order| order.holds(now) && !ends(order))
        .cloned()
        .collect();
    if !is_end && !is_confirmation {
        kept.push(newest.clone());
    }
    if kept.len() > MOST_ORDERS {
        Err(TooMany)
    } else {
        Ok(kept)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(id: &str, scope: &str, action: AnyAction, expires: Option<i64>) -> Order {
        Order {
            id: id.into(),
            scope: scope.into(),
            action,
            actor: "li".into(),
            reason: "why".into(),
            given_at: Timestamp::UNIX_EPOCH,
            expires: expires.and_then(|second| Timestamp::from_second(second).ok()),
        }
    }

    fn ids(orders: &[Order]) -> Vec<&str> {
        orders.iter().map(|order| order.id.as_str()).collect()
    }

    const PAUSE: AnyAction = AnyAction::Known(Action::Pause);
    const LIMIT: AnyAction = AnyAction::Known(Action::Limit { duty_milli: 200 });
    const RESUME: AnyAction = AnyAction::Known(Action::Resume);

    #[test]
    fn orders_replace_their_like_and_resume_ends_both() -> Result<(), TooMany> {
        let now = Timestamp::UNIX_EPOCH;
        let one = after(&[], &order("a", "gate.core", PAUSE, None), now)?;
        let two = after(&one, &order("b", "gate.core", LIMIT, None), now)?;
        let three = after(&two, &order("c", "gate.core", PAUSE, None), now)?;
        assert_eq!(ids(&three), ["b", "c"]);
        let four = after(&three, &order("d", "gate.other", PAUSE, None), now)?;
        let five = after(&four, &order("e", "gate.core", RESUME, None), now)?;
        assert_eq!(ids(&five), ["d"]);
        Ok(())
    }

    #[test]
    fn a_hold_stays_beside_pauses_and_other_holds_until_its_own_release() -> Result<(), TooMany> {
        let now = Timestamp::UNIX_EPOCH;
        let hold = || {
            AnyAction::Known(Action::Hold(Hold {
                recipients: Vec::new(),
                feeds: Vec::new(),
                person: None,
            }))
        };
        let release = AnyAction::Known(Action::Release);
        let all = after(&[], &order("a", "hold.a", hold(), None), now)?;
        let all = after(&all, &order("b", "hold.b", hold(), None), now)?;
        let all = after(&all, &order("p", "gate.core", PAUSE, None), now)?;
        assert_eq!(
            ids(&after(&all, &order("r", "gate.core", RESUME, None), now)?),
            ["a", "b"]
        );
        assert_eq!(
            ids(&after(&all, &order("r", "hold.a", release, None), now)?),
            ["b", "p"]
        );
        Ok(())
    }

    /// A hold with a word that is not known here could be narrower or wider than it reads.
    #[test]
    fn a_hold_of_another_version_is_kept_as_it_came() -> Result<(), serde_json::Error> {
        let known = r#"{"kind":"hold","recipients":["insurer-a"],"feeds":[],"person":null}"#;
        let action: AnyAction = serde_json::from_str(known)?;
        assert!(matches!(action, AnyAction::Known(Action::Hold(_))));
        assert_eq!(serde_json::to_string(&action)?, known);
        for other in [
            r#"{"feeds":[],"kind":"hold","person":null,"recipients":[],"tables":[]}"#,
            r#"{"feeds":[],"kind":"hold","recipients":[]}"#,
        ] {
            let action: AnyAction = serde_json::from_str(other)?;
            assert!(matches!(action, AnyAction::Other(_)), "{other}");
            assert_eq!(serde_json::to_string(&action)?, other);
        }
        Ok(())
    }

    #[test]
    fn what_is_over_drops_out_and_the_list_is_bounded() -> Result<(), TooMany> {
        let later = Timestamp::from_second(60).unwrap_or_default();
        let short = after(
            &[],
            &order("a", "gate.core", PAUSE, Some(60)),
            Timestamp::UNIX_EPOCH,
        )?;
        assert!(short[0].holds(Timestamp::UNIX_EPOCH) && !short[0].holds(later));
        let next = after(&short, &order("b", "gate.b", PAUSE, None), later)?;
        assert_eq!(ids(&next), ["b"]);
        let many: Vec<Order> = (0..MOST_ORDERS)
            .map(|n| order("x", &format!("gate.s{n}"), PAUSE, None))
            .collect();
        assert_eq!(
            after(&many, &order("y", "gate.y", PAUSE, None), later),
            Err(TooMany)
        );
        Ok(())
    }

    #[test]
    fn a_later_versions_order_is_kept_as_it_came() -> Result<(), Box<dyn std::error::Error>> {
        let text = r#"{"kind":"hold","recipient":"insurer-a"}"#;
        let action: AnyAction = serde_json::from_str(text)?;
        assert_eq!(action.kind(), "hold");
        assert_eq!(serde_json::to_string(&action)?, text);
        let now = Timestamp::UNIX_EPOCH;
        let held = after(&[], &order("h", "gate.core", action, None), now)?;
        let resumed = after(&held, &order("r", "gate.core", RESUME, None), now)?;
        assert_eq!(ids(&resumed), ["h"]);
        Ok(())
    }
}
