//! PURE: the effect of operators' holds on a request.
//!
//! A hold of a recipient, or of a feed whose rows a kind returns, delays its requests. A hold of a person delays requests about that
//! person, and withholds the person's rows from all other answers. Unknown cases are held: orders that could not be read yet, a
//! mark under another key, and a kind without `feeds` under a hold of any feed. A delayed request still expires at its deadline.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemas::control::{Action, AnyAction, Hold, Order};
use schemas::digest::Digest;
use schemas::name::RecipientName;
use schemas::person::PersonKey;

use crate::argument::Bound;
use crate::kind::Kind;

/// The effect on a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HoldDecision {
    /// It may continue. Rows of the persons with these digests are withheld and counted, by the hold's id.
    Free(BTreeMap<Digest, String>),
    /// It waits. The reason, for the recipient, names a hold only by its id.
    Waits(String),
}

/// Evaluates the orders in force for one request. `orders` is `None` if they were never read.
#[must_use]
pub fn evaluate(
    orders: Option<&[Order]>,
    recipient: &RecipientName,
    kind: &Kind,
    bound: &[Bound],
    persons: &PersonKey,
    now: Timestamp,
) -> HoldDecision {
    let Some(orders) = orders else {
        return HoldDecision::Waits("the bureau's orders could not be read yet".to_owned());
    };
    let asked: Vec<Digest> = kind.persons_in(bound, persons).collect();
    let mut marks = BTreeMap::new();
    for order in orders.iter().filter(|order| order.is_in_force(now)) {
        let AnyAction::Known(Action::Hold(hold)) = &order.action else {
            continue;
        };
        if !names(hold, recipient, kind) {
            continue;
        }
        let waits = HoldDecision::Waits(format!("hold {} of the bureau", order.id));
        match &hold.person {
            None => return waits,
            Some(mark) if mark.key != *persons.public() => return waits,
            Some(mark) if asked.contains(&mark.digest) => return waits,
            Some(mark) => marks.insert(mark.digest, order.id.clone()),
        };
    }
    HoldDecision::Free(marks)
}

fn names(hold: &Hold, recipient: &RecipientName, kind: &Kind) -> bool {
    let feeds = kind.feeds();
    let to = hold.recipients.is_empty() || hold.recipients.contains(recipient);
    let of = hold.feeds.is_empty() || feeds.is_empty() || feeds.iter().any(|feed| hold.feeds.contains(feed));
    to && of
}
