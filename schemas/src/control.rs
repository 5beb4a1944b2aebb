//! Operators' orders: the last record of a party holds all orders in force, so that an agent reads one record after a restart.
//!
//! Each record is signed as a whole by the operator who gave its newest order, and names the previous record.
//! An order that this version does not know is kept and passed on.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::envelope::Payload;
use crate::heads::RecordRef;
use crate::name::{FeedName, Lane, PartyName, RecipientName, SourceName};
use crate::person::PersonToken;
use crate::sign::PublicKey;
use crate::unreadable::Unreadable;

/// Maximum number of orders in force; keeps a record far below the maximum message size.
pub const MAX_ORDERS: usize = 256;
/// Maximum number of characters of a name.
pub const MAX_ACTOR_CHARS: usize = 200;
/// Maximum number of characters of a reason.
pub const MAX_REASON_CHARS: usize = 1_000;

/// The effect of an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Action {
    /// Stops all reading.
    Pause,
    /// Ends the pauses and limits of the same scope.
    Resume,
    /// Caps the duty cycle, in thousandths: 200 is 20 %.
    Limit {
        /// 1 to 1000.
        duty_milli: u32,
    },
    /// Withholds what it covers from publication until it is released.
    Hold(Hold),
    /// Ends the hold of the same scope.
    Release,
    /// Declares the orders of a record valid although a later record may be lost.
    Confirm(Confirmation),
}

/// What a hold covers. All of its fields are always written, so that an order of another version
/// with fewer or more fields is not mistaken for this one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Hold {
    /// The recipients; empty means all.
    pub recipients: Vec<RecipientName>,
    /// The feeds; empty means all.
    pub feeds: Vec<FeedName>,
    /// Only the rows of this person; `None` means all rows.
    #[serde(deserialize_with = "Option::deserialize")]
    pub person: Option<PersonToken>,
}

impl Hold {
    /// Returns whether the hold covers a lane.
    #[must_use]
    pub fn covers(&self, lane: &Lane) -> bool {
        (self.recipients.is_empty() || self.recipients.contains(&lane.recipient))
            && (self.feeds.is_empty() || self.feeds.contains(&lane.feed))
    }
}

/// An operator's confirmation after the exchange was restored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Confirmation {
    /// The record whose pauses and holds are confirmed; `None` if there is no record and thus no order.
    #[serde(deserialize_with = "Option::deserialize")]
    pub record: Option<RecordRef>,
    /// The newest lost record that a signed message names; `None` if no message names one.
    #[serde(deserialize_with = "Option::deserialize")]
    pub lost: Option<RecordRef>,
}

/// The scope of confirmations.
pub const CONFIRMATION_SCOPE: &str = "orders";

/// An action of this version, or of a later one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum AnyAction {
    /// Known to this version.
    Known(Action),
    /// Unknown to this version: kept, reported, and not obeyed.
    Other(BTreeMap<String, serde_json::Value>),
}

impl AnyAction {
    /// Returns its kind, for display.
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
    /// Unique among the orders of this party.
    pub id: String,
    /// Its scope: `gate.<source>` is the gate of a source, `hold.<id>` one hold.
    pub scope: String,
    /// Its effect.
    pub action: AnyAction,
    /// The person or program that decided.
    pub actor: String,
    /// The actor's reason.
    pub reason: String,
    /// When it was given, by the actor's clock.
    #[schemars(with = "String")]
    pub given_at: Timestamp,
    /// When it expires; `None` if it stays in force until an operator ends it.
    #[schemars(with = "Option<String>")]
    pub expires: Option<Timestamp>,
}

impl Order {
    /// Returns whether it has not expired.
    #[must_use]
    pub fn is_in_force(&self, now: Timestamp) -> bool {
        self.expires.is_none_or(|end| now < end)
    }
}

/// All orders of a party that are in force, and the newest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Control {
    /// The party whose agents obey.
    pub party: PartyName,
    /// Its number in the chain: 1, 2, 3, …
    pub number: u64,
    /// The digest of the last previous record that its writer could read.
    pub previous: Option<Digest>,
    /// The previous message if it is not that record: the writer could not read or did not trust it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skips: Option<Unreadable>,
    /// The order that this record adds.
    pub newest: Order,
    /// All orders in force when it was written, including the newest unless that only ends others.
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

/// More orders than a record may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{MAX_ORDERS} orders are in force already: end some of them first")]
pub struct TooManyOrders;

/// Returns the scope of a source's gate.
#[must_use]
pub fn gate_scope(source: &SourceName) -> String {
    format!("gate.{source}")
}

/// Returns the scope of one hold.
#[must_use]
pub fn hold_scope(id: &str) -> String {
    format!("hold.{id}")
}

/// PURE: returns the orders of a record that are in force now.
pub fn orders_in_force(control: &Control, now: Timestamp) -> impl Iterator<Item = &Order> {
    control.orders.iter().filter(move |order| order.is_in_force(now))
}

/// PURE: returns the orders in force after one more order. A pause replaces a pause of the same scope, a limit
/// replaces a limit, and a resume ends both. Each hold has its own scope, and a release ends it. Expired orders are removed.
///
/// # Errors
/// [`TooManyOrders`].
pub fn apply_order(orders: &[Order], newest: &Order, now: Timestamp) -> Result<Vec<Order>, TooManyOrders> {
    let is_end = matches!(newest.action, AnyAction::Known(Action::Resume | Action::Release));
    // A confirmation changes no other order, and is only in its own record.
    let is_confirmation = matches!(newest.action, AnyAction::Known(Action::Confirm(_)));
    let ends = |order: &Order| {
        let same_kind = order.action.kind() == newest.action.kind();
        let is_ended = is_end && matches!(order.action, AnyAction::Known(_));
        order.scope == newest.scope && (same_kind || is_ended)
    };
    let mut kept: Vec<Order> = orders
        .iter()
        .filter(|order| order.is_in_force(now) && !ends(order))
        .cloned()
        .collect();
    if !is_end && !is_confirmation {
        kept.push(newest.clone());
    }
    if kept.len() > MAX_ORDERS {
        Err(TooManyOrders)
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
    fn order_replaces_its_kind_and_resume_ends_both() -> Result<(), TooManyOrders> {
        let now = Timestamp::UNIX_EPOCH;
        let one = apply_order(&[], &order("a", "gate.core", PAUSE, None), now)?;
        let two = apply_order(&one, &order("b", "gate.core", LIMIT, None), now)?;
        let three = apply_order(&two, &order("c", "gate.core", PAUSE, None), now)?;
        assert_eq!(ids(&three), ["b", "c"]);
        let four = apply_order(&three, &order("d", "gate.other", PAUSE, None), now)?;
        let five = apply_order(&four, &order("e", "gate.core", RESUME, None), now)?;
        assert_eq!(ids(&five), ["d"]);
        Ok(())
    }

    #[test]
    fn order_hold_stays_in_force_until_its_own_release() -> Result<(), TooManyOrders> {
        let now = Timestamp::UNIX_EPOCH;
        let hold = || {
            AnyAction::Known(Action::Hold(Hold {
                recipients: Vec::new(),
                feeds: Vec::new(),
                person: None,
            }))
        };
        let release = AnyAction::Known(Action::Release);
        let all = apply_order(&[], &order("a", "hold.a", hold(), None), now)?;
        let all = apply_order(&all, &order("b", "hold.b", hold(), None), now)?;
        let all = apply_order(&all, &order("p", "gate.core", PAUSE, None), now)?;
        assert_eq!(
            ids(&apply_order(&all, &order("r", "gate.core", RESUME, None), now)?),
            ["a", "b"]
        );
        assert_eq!(
            ids(&apply_order(&all, &order("r", "hold.a", release, None), now)?),
            ["b", "p"]
        );
        Ok(())
    }

    /// A hold with an unknown field could be narrower or wider than its known fields.
    #[test]
    fn order_hold_of_another_version_is_kept_unchanged() -> Result<(), serde_json::Error> {
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
    fn order_expired_is_removed_and_the_list_is_bounded() -> Result<(), TooManyOrders> {
        let later = Timestamp::from_second(60).unwrap_or_default();
        let short = apply_order(
            &[],
            &order("a", "gate.core", PAUSE, Some(60)),
            Timestamp::UNIX_EPOCH,
        )?;
        assert!(short[0].is_in_force(Timestamp::UNIX_EPOCH) && !short[0].is_in_force(later));
        let next = apply_order(&short, &order("b", "gate.b", PAUSE, None), later)?;
        assert_eq!(ids(&next), ["b"]);
        let many: Vec<Order> = (0..MAX_ORDERS)
            .map(|n| order("x", &format!("gate.s{n}"), PAUSE, None))
            .collect();
        assert_eq!(
            apply_order(&many, &order("y", "gate.y", PAUSE, None), later),
            Err(TooManyOrders)
        );
        Ok(())
    }

    #[test]
    fn order_of_a_later_version_is_kept_unchanged() -> Result<(), Box<dyn std::error::Error>> {
        let text = r#"{"kind":"hold","recipient":"insurer-a"}"#;
        let action: AnyAction = serde_json::from_str(text)?;
        assert_eq!(action.kind(), "hold");
        assert_eq!(serde_json::to_string(&action)?, text);
        let now = Timestamp::UNIX_EPOCH;
        let held = apply_order(&[], &order("h", "gate.core", action, None), now)?;
        let resumed = apply_order(&held, &order("r", "gate.core", RESUME, None), now)?;
        assert_eq!(ids(&resumed), ["h"]);
        Ok(())
    }
}
