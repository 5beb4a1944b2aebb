//! PURE: what operators' holds mean for a request.
//!
//! A hold of a recipient, or of a feed whose rows a kind answers with, lets its requests wait. A hold of
//! a person lets requests about that person wait, and keeps the person's rows out of all other answers.
//! What cannot be told is held: orders that nobody could read yet, a mark made under another key, and a
//! kind that does not say which feeds' rows it answers with, under a hold of any feed. A request that
//! waits still expires at its deadline.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemas::control::{Action, AnyAction, Hold, Order};
use schemas::digest::Digest;
use schemas::name::RecipientName;
use schemas::person::PersonKey;

use crate::argument::Bound;
use crate::kind::Kind;

/// What a request may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Held {
    /// Go on. Rows of the persons with these digests are left out and counted, by the hold's id.
    Free(BTreeMap<Digest, String>),
    /// Wait; why, in words for the recipient. A hold is named by its id alone.
    Waits(String),
}

/// Weighs the orders in force for one request. None for `orders`: they were never read.
#[must_use]
pub fn judge(
    orders: Option<&[Order]>,
    recipient: &RecipientName,
    kind: &Kind,
    bound: &[Bound],
    persons: &PersonKey,
    now: Timestamp,
) -> Held {
    let Some(orders) = orders else {
        return Held::Waits("the bureau's orders could not be read yet".to_owned());
    };
    let asked: Vec<Digest> = kind.persons_in(bound, persons).collect();
    let mut marks = BTreeMap::new();
    for order in orders.iter().filter(|order| order.holds(now)) {
        let AnyAction::Known(Action::Hold(hold)) = &order.action else {
            continue;
        };
        if !names(hold, recipient, kind) {
            continue;
        }
        let waits = Held::Waits(format!("hold {} of the bureau", order.id));
        match &hold.person {
            None => return waits,
            Some(mark) if mark.key != *persons.public() => return waits,
            Some(mark) if asked.contains(&mark.digest) => return waits,
            Some(mark) => marks.insert(mark.digest, order.id.clone()),
        };
    }
    Held::Free(marks)
}

fn names(hold: &Hold, recipient: &RecipientName, kind: &Kind) -> bool {
    let feeds = kind.feeds();
    let to = hold.recipients.is_empty() || hold.recipients.contains(recipient);
    let of = hold.feeds.is_empty() || feeds.is_empty() || feeds.iter().any(|feed| hold.feeds.contains(feed));
    to && of
}
