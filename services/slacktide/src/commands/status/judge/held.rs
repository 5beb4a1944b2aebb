//! A lane that stands still as ordered: by the page, by the orders in force, or by the bureau's notice.

use schemas::control::{Action, AnyAction};

use super::page::{own, tells_itself, text};
use super::state::{Found, State};
use crate::commands::status::facts::{Facts, LaneFacts};

/// A lane that a hold keeps back.
pub(super) fn held(facts: &Facts, lane: &LaneFacts) -> Found {
    if let Some(why) = text(own(facts, lane), "held") {
        return Some((State::Held, why.to_owned(), String::new()));
    }
    for order in &facts.orders {
        if let AnyAction::Known(Action::Hold(hold)) = &order.action
            && hold.person.is_none()
            && hold.names(&lane.lane())
        {
            let why = format!("hold {} by {}: {}", order.id, order.actor, order.reason);
            return Some((State::Held, why, String::new()));
        }
    }
    let says = lane
        .bureau_says
        .as_deref()
        .filter(|says| !tells_itself(facts) && says.starts_with("held"))?;
    Some((State::Held, says.to_owned(), String::new()))
}
